use proptest::prelude::*;

use super::*;
use crate::join::join;
use crate::testing::{any_columns, column};

#[test]
fn what_came_before_is_known_by_its_place() {
    let mut order = Order::default();
    let (a, b, c) = (column("a", &[(1, 1.0)]), column("b", &[(1, 2.0)]), column("c", &[(1, 3.0)]));
    let columns = vec![c.clone(), a.clone(), b.clone(), a.clone()];
    assert_eq!(order.join(columns.clone()), join(columns.clone()));
    assert_eq!(order.len(), 3);
    let (known, unknown) = order.split(columns);
    assert_eq!((known.len(), unknown.len()), (3, 0));
    // Equal labels that stand elsewhere are unknown, and the same series.
    let again = column("b", &[(1, 5.0), (2, 1.0)]);
    let columns = vec![c, b, again, a];
    let expected = join(columns.clone());
    assert_eq!(order.join(columns), expected);
    assert_eq!(order.len(), 3);
}

#[test]
fn series_at_the_limit_and_one_past_it() {
    let columns = |numbers: std::ops::Range<usize>| -> Vec<SeriesColumn> {
        numbers.rev().map(|number| column(&format!("{number:06}"), &[(1, 1.0)])).collect()
    };
    let mut order = Order::default();
    let _ = order.join(columns(0..ORDERED_SERIES_MAX));
    assert_eq!(order.len(), ORDERED_SERIES_MAX);
    // One more that is learnt: the older ones go.
    let _ = order.join(columns(ORDERED_SERIES_MAX..ORDERED_SERIES_MAX + 2));
    assert_eq!(order.len(), 2);
    let _ = order.join(columns(0..ORDERED_SERIES_MAX + 1));
    assert_eq!(order.len(), 2);
}

proptest! {
    #[test]
    fn whatever_it_remembers_it_joins_as_everybody_does(
        joins in proptest::collection::vec(any_columns(), 1..6),
        shared in any_columns(),
    ) {
        let mut order = Order::default();
        for columns in joins {
            // Some by labels in the same memory, again and again; some by labels of their own.
            let columns: Vec<SeriesColumn> = shared.iter().cloned().chain(columns).rev().collect();
            prop_assert_eq!(order.join(columns.clone()), join(columns));
            prop_assert!(order.sorted.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(order.ranks.len(), order.sorted.len());
        }
    }
}
