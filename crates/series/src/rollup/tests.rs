use proptest::prelude::*;

use super::rollup_width::{FIVE_MINUTES_MS, HOUR_MS};
use super::*;
use crate::sample::stale_marker;

const STALE: f64 = f64::from_bits(crate::sample::STALE_NAN_BITS);

fn samples(pairs: &[(i64, f64)]) -> Vec<Sample> {
    pairs.iter().map(|&(at, value)| Sample { at: Timestamp(at), value }).collect()
}

fn one(pairs: &[(i64, f64)]) -> Rollup {
    let all = rollups(&samples(pairs), 10);
    assert_eq!(all.len(), 1, "{all:?}");
    all[0]
}

#[test]
fn a_bucket_holds_its_end_and_not_its_start() {
    let all = rollups(&samples(&[(0, 1.0), (1, 2.0), (10, 3.0), (11, 4.0), (35, 5.0)]), 10);
    let shown: Vec<_> = all.iter().map(|r| (r.end.0, r.count, r.first, r.last, r.first_at.0, r.last_at.0)).collect();
    assert_eq!(
        shown,
        [(0, 1, 1.0, 1.0, 0, 0), (10, 2, 2.0, 3.0, 1, 10), (20, 1, 4.0, 4.0, 11, 11), (40, 1, 5.0, 5.0, 35, 35)]
    );
}

#[test]
fn the_numbers_of_a_bucket() {
    // values → count, sum, min, max, increase
    for (values, count, sum, min, max, increase) in [
        (vec![1.0, 2.0, 4.0], 3, 7.0, 1.0, 4.0, 3.0),
        // A counter that fell from 4 to 1: 4 − 2 before, 1 after.
        (vec![2.0, 4.0, 1.0], 3, 7.0, 1.0, 4.0, 3.0),
        (vec![5.0, 0.0, 7.0, 3.0], 4, 15.0, 0.0, 7.0, 10.0),
        (vec![1.0, STALE, 3.0], 2, 4.0, 1.0, 3.0, 2.0),
        (vec![1e100, 1.0, -1e100], 3, 1.0, -1e100, 1e100, -1e100 - 1e100 + 1e100 + 1.0),
        (vec![f64::NAN, 2.0, 1.0], 3, f64::NAN, 1.0, 2.0, f64::NAN),
        (vec![f64::INFINITY, 1.0], 2, f64::INFINITY, 1.0, f64::INFINITY, f64::NAN),
    ] {
        let pairs: Vec<(i64, f64)> = values.iter().enumerate().map(|(at, v)| (at as i64 + 1, *v)).collect();
        let rollup = one(&pairs);
        assert_eq!(rollup.count, count, "{values:?}");
        for (found, expected) in
            [rollup.sum, rollup.min, rollup.max, rollup.increase].into_iter().zip([sum, min, max, increase])
        {
            assert!(found == expected || (found.is_nan() && expected.is_nan()), "{values:?}: {rollup:?}");
        }
    }
}

#[test]
fn stale_markers_are_told_of_and_not_counted() {
    assert!(one(&[(1, 1.0), (2, STALE)]).stale_at_end);
    assert!(!one(&[(1, STALE), (2, 1.0)]).stale_at_end);
    let ended = one(&[(1, 1.0), (2, STALE)]);
    assert_eq!((ended.last_at, ended.count), (Timestamp(1), 1));
    let only = one(&[(3, STALE), (4, STALE)]);
    assert_eq!((only.count, only.stale_at_end, only.first_at, only.last_at), (0, true, Timestamp(4), Timestamp(4)));
    assert!(rollups(&[], 10).is_empty());
}

#[test]
fn the_ends_of_time_neither_hang_nor_lose() {
    let all = rollups(&samples(&[(i64::MIN, 1.0), (-1, 2.0), (i64::MAX, 3.0)]), FIVE_MINUTES_MS);
    assert_eq!(all.iter().map(|r| r.count).sum::<u64>(), 3);
    assert_eq!(rollup_width::ALL, [FIVE_MINUTES_MS, HOUR_MS]);
    assert_eq!(HOUR_MS % FIVE_MINUTES_MS, 0);
}

#[test]
fn parts_of_two_buckets_or_in_wrong_order_do_not_go_together() {
    let (a, b) = (one(&[(1, 1.0), (3, 2.0)]), one(&[(4, 3.0)]));
    assert_eq!(a.followed_by(&b), Some(one(&[(1, 1.0), (3, 2.0), (4, 3.0)])));
    assert_eq!(b.followed_by(&a), None);
    assert_eq!(a.followed_by(&a), None);
    assert_eq!(a.followed_by(&one(&[(11, 1.0)])), None);
}

/// Samples of some buckets of width 10: whole numbers, so that every order of additions gives the same.
fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    let value = prop_oneof![8 => (0..50_i32).prop_map(f64::from), 1 => Just(stale_marker())];
    proptest::collection::btree_map(0..100_i64, value, 0..60)
        .prop_map(|map| map.into_iter().map(|(at, value)| Sample { at: Timestamp(at), value }).collect())
}

/// How far a counter rose, walked sample by sample.
fn raw_increase(samples: &[Sample]) -> f64 {
    let values: Vec<f64> = samples.iter().map(|sample| sample.value).filter(|value| !is_stale(*value)).collect();
    values.windows(2).map(|pair| if pair[1] < pair[0] { pair[1] } else { pair[1] - pair[0] }).sum()
}

proptest! {
    #[test]
    fn buckets_chained_give_the_same_increase_as_raw(samples in any_samples()) {
        let all: Vec<Rollup> = rollups(&samples, 10).into_iter().filter(|rollup| rollup.count > 0).collect();
        let inside: f64 = all.iter().map(|rollup| rollup.increase).sum();
        let between: f64 = all.windows(2).map(|pair| pair[0].increase_to(&pair[1])).sum();
        prop_assert_eq!(inside + between, raw_increase(&samples));
    }

    #[test]
    fn counts_and_sums_are_the_samples(samples in any_samples()) {
        let all = rollups(&samples, 10);
        let values: Vec<f64> = samples.iter().map(|sample| sample.value).filter(|value| !is_stale(*value)).collect();
        prop_assert_eq!(all.iter().map(|r| r.count).sum::<u64>(), values.len() as u64);
        prop_assert_eq!(all.iter().map(|r| r.sum).sum::<f64>(), values.iter().sum::<f64>());
        prop_assert!(all.is_sorted_by(|a, b| a.end < b.end));
        for rollup in &all {
            prop_assert!(rollup.first_at <= rollup.last_at && rollup.last_at <= rollup.end);
            prop_assert!(rollup.first_at.0 > rollup.end.0 - 10);
        }
    }

    #[test]
    fn parts_cut_anywhere_go_together_again(samples in any_samples(), cut in 0..100_i64) {
        let (before, after) = samples.split_at(samples.partition_point(|sample| sample.at.0 < cut));
        let mut parts = rollups(before, 10);
        for later in rollups(after, 10) {
            match parts.last().and_then(|earlier| earlier.followed_by(&later)) {
                Some(whole) => *parts.last_mut().unwrap() = whole,
                None => parts.push(later),
            }
        }
        prop_assert_eq!(parts, rollups(&samples, 10));
    }

    #[test]
    fn a_rising_counter_is_exact_over_parts(steps in proptest::collection::vec(0.0..1e9_f64, 2..20), cut in 1..19_usize) {
        let mut total = 0.1;
        let samples: Vec<Sample> = steps.iter().enumerate().map(|(at, step)| {
            total += step;
            Sample { at: Timestamp(at as i64 + 1), value: total }
        }).collect();
        let (before, after) = samples.split_at(cut.min(samples.len() - 1));
        let whole = rollups(before, 100)[0].followed_by(&rollups(after, 100)[0]).unwrap();
        prop_assert_eq!(whole.increase.to_bits(), rollups(&samples, 100)[0].increase.to_bits());
    }
}
