use proptest::prelude::*;
use series::{TEN_MINUTES_MS, stale_marker};

use super::*;
use crate::testing::{any_columns, column};

fn block(columns: &[SeriesColumn]) -> Block {
    join(columns.to_vec())
}

#[test]
fn the_trace_of_the_module() {
    let a = block(&[column("x", &[(10, 1.0), (20, 2.0)])]);
    let b = block(&[column("y", &[(10, 7.0)]), column("x", &[(20, 5.0)])]);
    let joined = join_counted(a.clone().into_columns().into_iter().chain(b.clone().into_columns()));
    assert_eq!(joined.block.columns(), [column("x", &[(10, 1.0), (20, 5.0)]), column("y", &[(10, 7.0)])]);
    assert_eq!(joined.superseded, 1);
    assert_eq!(joined.block.clone().joined_with(b), joined.block);
    assert_eq!(a.joined_with(Block::default()).samples(), 2);
}

#[test]
fn a_number_beats_a_stale_marker_whenever_it_comes() {
    for samples in [[(1, 5.0), (1, stale_marker())], [(1, stale_marker()), (1, 5.0)]] {
        assert_eq!(block(&[column("x", &samples)]).columns(), [column("x", &[(1, 5.0)])]);
    }
}

#[test]
fn empty_columns_leave_no_trace() {
    assert_eq!(block(&[column("x", &[])]), Block::default());
    let empty = Block::default();
    assert_eq!((empty.samples(), empty.min_time(), empty.max_time()), (0, None, None));
}

#[test]
fn a_column_is_found_by_its_labels() {
    let block = block(&[column("b", &[(3, 1.0)]), column("a", &[(5, 1.0), (2, 1.0)])]);
    let labels = column("a", &[]).labels;
    assert_eq!(block.column(&labels).map(|column| column.samples.len()), Some(2));
    assert_eq!(block.column(&column("c", &[]).labels), None);
    assert_eq!((block.min_time(), block.max_time()), (Some(Timestamp(2)), Some(Timestamp(5))));
    assert_eq!((block.series(), block.samples()), (2, 3));
}

#[test]
fn windows_hold_their_end_and_not_their_start() {
    let end = TEN_MINUTES_MS;
    let windows = split_by_window([column("x", &[(0, 1.0), (1, 2.0), (end, 3.0), (end + 1, 4.0)])], end);
    let found: Vec<(i64, usize)> =
        windows.iter().map(|(window, columns)| (window.start.0, columns[0].samples.len())).collect();
    assert_eq!(found, [(-end, 1), (0, 2), (end, 1)]);
    // At the ends of time nothing hangs and nothing is lost.
    let ends = column("x", &[(i64::MIN, 1.0), (i64::MAX - 1, 2.0), (i64::MAX, 3.0)]);
    let windows = split_by_window([ends], end);
    assert_eq!(windows.values().flatten().map(|column| column.samples.len()).sum::<usize>(), 3);
}

/// What a store does that counts sequence numbers instead of joining sets: it drops a delivery
/// whose number is not above the last one.
fn skip_if_seen(deliveries: &[(u64, Vec<SeriesColumn>)]) -> Block {
    let (mut last, mut kept) = (0, Vec::new());
    for (seq, columns) in deliveries {
        if *seq > last {
            last = *seq;
            kept.extend(columns.clone());
        }
    }
    join(kept)
}

#[test]
fn skipping_what_was_seen_loses_samples_and_the_join_does_not() {
    let first = (1, vec![column("x", &[(1, 1.0)])]);
    let second = (2, vec![column("x", &[(2, 2.0)])]);
    let out_of_order = [second.clone(), first.clone(), second.clone()];
    let truth = join(first.1.into_iter().chain(second.1));
    assert_ne!(skip_if_seen(&out_of_order), truth);
    assert_eq!(join(out_of_order.into_iter().flat_map(|(_, columns)| columns)), truth);
}

proptest! {
    #[test]
    fn associative(a in any_columns(), b in any_columns(), c in any_columns()) {
        let (a, b, c) = (join(a), join(b), join(c));
        let left = a.clone().joined_with(b.clone()).joined_with(c.clone());
        prop_assert_eq!(left, a.joined_with(b.joined_with(c)));
    }

    #[test]
    fn commutative(a in any_columns(), b in any_columns()) {
        let (a, b) = (join(a), join(b));
        prop_assert_eq!(a.clone().joined_with(b.clone()), b.joined_with(a));
    }

    #[test]
    fn idempotent(a in any_columns()) {
        let a = join(a);
        prop_assert_eq!(a.clone().joined_with(a.clone()), a);
    }

    #[test]
    fn any_grouping_and_order_of_columns_gives_the_same_set(columns in any_columns(), cuts in any::<[prop::sample::Index; 4]>()) {
        let whole = join(columns.clone());
        let mut parts = Vec::new();
        for cut in cuts {
            let at = cut.index(columns.len() + 1);
            parts.extend(join(columns[at..].to_vec()).into_columns());
            parts.extend(join(columns[..at].to_vec()).into_columns());
        }
        prop_assert_eq!(join(parts), whole);
    }

    #[test]
    fn what_came_in_is_what_stands_and_what_lost(columns in any_columns()) {
        let came_in: u64 = columns.iter().map(|column| column.samples.len() as u64).sum();
        let joined = join_counted(columns);
        prop_assert_eq!(joined.block.samples() + joined.superseded, came_in);
        for column in joined.block.columns() {
            prop_assert!(column.samples.is_sorted_by(|a, b| a.at < b.at));
        }
        prop_assert!(joined.block.columns().is_sorted_by(|a, b| a.labels < b.labels));
    }

    #[test]
    fn windows_together_are_the_whole(columns in any_columns(), width in 1..9_i64) {
        let windows = split_by_window(columns.clone(), width);
        for (window, columns) in &windows {
            prop_assert!(columns.iter().flat_map(|column| &column.samples).all(|sample| window.holds(sample.at)));
        }
        prop_assert_eq!(join(windows.into_values().flatten()), join(columns));
    }

    #[test]
    fn places_together_are_the_whole_and_each_is_in_order(columns in any_columns(), width in 1..9_i64, edge in -9..9_i64) {
        let block = join(columns);
        let old = |at: Timestamp| at.0 <= edge;
        let place = |at: Timestamp| {
            let window = Window::of_block(at, width);
            let end = if old(at) { window.end.min(Timestamp(edge)) } else { window.end };
            ((old(at), window), end)
        };
        let places = split_by(block.clone(), place);
        for ((is_old, window), part) in &places {
            let mut samples = part.columns().iter().flat_map(|column| &column.samples);
            prop_assert!(samples.all(|sample| window.holds(sample.at) && old(sample.at) == *is_old));
            prop_assert_eq!(&join(part.columns().to_vec()), part);
        }
        prop_assert_eq!(join(places.into_values().flat_map(Block::into_columns)), block.clone());
        // Several stretches may go to one place.
        let by_age = split_by(block.clone(), |at| (old(at), place(at).1));
        for part in by_age.values() {
            prop_assert_eq!(&join(part.columns().to_vec()), part);
        }
        prop_assert_eq!(join(by_age.into_values().flat_map(Block::into_columns)), block);
    }

    #[test]
    fn labels_that_are_shared_in_memory_are_joined_as_others_are(columns in any_columns()) {
        let apart = |column: &SeriesColumn| {
            let labels = Labels::from_pairs(column.labels.iter()).unwrap();
            SeriesColumn { labels, samples: column.samples.clone() }
        };
        let twice: Vec<SeriesColumn> = columns.iter().cloned().chain(columns.iter().map(apart)).collect();
        prop_assert_eq!(join(twice), join(columns));
    }
}
