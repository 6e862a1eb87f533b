use std::collections::BTreeMap;

use blocks::{join, join_sorted};
use proptest::prelude::*;

use super::*;

fn labels(number: u32) -> Labels {
    let (name, host) = (format!("metric_{}", number % 7), format!("host-{}", number * 31 % 50));
    Labels::from_pairs([("__name__", name.as_str()), ("instance", &host)]).unwrap()
}

/// A batch of these (number, time) in a book: one column a number, in the order of first mention.
fn batch(book: &Arc<Book>, samples: &[(u32, i64)]) -> Arc<Numbered> {
    let mut numbers: Vec<u32> = Vec::new();
    let mut all = Vec::new();
    for (number, at) in samples {
        let column = numbers.iter().position(|known| known == number).unwrap_or_else(|| {
            numbers.push(*number);
            numbers.len() - 1
        });
        all.push((column as u32, Sample { at: Timestamp(*at), value: f64::from(*number) + *at as f64 / 7.0 }));
    }
    all.sort_by_key(|(column, sample)| (*column, sample.at));
    Arc::new(Numbered { book: Arc::clone(book), created_at: Timestamp(0), numbers, samples: all })
}

proptest! {
    #[test]
    fn numbered_batches_join_as_their_columns_do(
        // Some labels twice, as two texts can say the same.
        steps in prop::collection::vec((prop::collection::vec(0_u32..60, 0..12), prop::collection::vec((0_u32..90, 0_i64..9), 0..30)), 1..8),
        other in prop::collection::vec((0_u32..6, 0_i64..9), 0..6),
    ) {
        let (book, second) = (Arc::new(Book::default()), Arc::new(Book::default()));
        (0..6).for_each(|number| _ = second.add(labels(number * 3)));
        let mut batches = vec![batch(&second, &other)];
        for (new, samples) in steps {
            for number in new {
                book.add(labels(number));
            }
            let count = book.labels().len() as u32;
            let samples: Vec<_> = samples.into_iter().filter(|(number, _)| *number < count).collect();
            batches.push(batch(&book, &samples));
            // Whatever had a place in the order before keeps the right one.
            let expected = join(batches.iter().flat_map(|batch| batch.columns()));
            let found = columns(&batches);
            prop_assert!(found.is_sorted_by(|a, b| a.labels < b.labels));
            prop_assert_eq!(join_sorted(found), expected);
        }
    }
}

#[test]
fn places_are_counted_anew_when_enough_series_have_none() {
    let book = Book::default();
    (0..80).for_each(|number| _ = book.add(labels(number)));
    let first = book.order();
    assert_eq!(first.places.len(), 80);
    for number in 80..90 {
        book.add(labels(number));
        assert!(Arc::ptr_eq(&book.order(), &first), "an eighth of them may wait");
    }
    book.add(labels(90));
    let second = book.order();
    assert_eq!(second.places.len(), 91);
    let labels = book.labels();
    assert!(second.numbers.is_sorted_by(|a, b| labels[*a as usize] < labels[*b as usize]));
    for (number, place) in second.places.iter().enumerate() {
        assert_eq!(labels[number], labels[second.numbers[*place as usize] as usize]);
    }
}

#[test]
fn a_series_is_judged_once_for_each_set_of_rules() {
    let book = Arc::new(Book::default());
    (0..3).for_each(|number| _ = book.add(labels(number)));
    let asked = std::cell::RefCell::new(BTreeMap::<Labels, usize>::new());
    let judge = |batch: &Numbered, groups: &Arc<[Group]>| {
        let found = batch.judged(groups, |labels| {
            *asked.borrow_mut().entry(labels.clone()).or_default() += 1;
            labels.get("__name__") == Some("metric_1")
        });
        found.into_iter().map(|column| column.labels).collect::<Vec<_>>()
    };
    let (one, other): (Arc<[Group]>, Arc<[Group]>) = (Arc::new([]), Arc::new([]));
    let two = batch(&book, &[(0, 1), (1, 1)]);
    assert_eq!(judge(&two, &one), [labels(1)]);
    assert_eq!(judge(&two, &one), [labels(1)]);
    assert_eq!(judge(&batch(&book, &[(2, 1), (1, 2)]), &one), [labels(1)]);
    assert!(asked.borrow().values().all(|times| *times == 1) && asked.borrow().len() == 3);
    assert_eq!(judge(&two, &other), [labels(1)], "other rules ask again");
    assert_eq!(asked.borrow()[&labels(1)], 2);
}
