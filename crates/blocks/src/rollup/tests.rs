use proptest::prelude::*;
use wire::SeriesColumn;

use super::*;
use crate::join::{join, split_by_window};
use crate::testing::{any_columns, column};

#[test]
fn a_bucket_cut_by_a_window_becomes_whole() {
    let samples = [(5, 1.0), (10, 2.0), (15, 3.0), (20, 4.0)];
    let windows = [&samples[..1], &samples[1..3], &samples[3..]].map(|part| (part[0].0, vec![column("x", part)]));
    let windows = std::collections::BTreeMap::from(windows);
    let parts: Vec<RollupSeries> = windows.into_values().flat_map(|columns| rollup(&join(columns), 10)).collect();
    assert_eq!(parts.iter().map(|part| part.rollups.len()).collect::<Vec<_>>(), [1, 2, 1]);
    let whole = join_rollups(parts.clone()).unwrap();
    assert_eq!(whole, rollup(&join([column("x", &samples)]), 10));
    assert_eq!(whole[0].rollups.iter().map(|r| (r.end.0, r.count)).collect::<Vec<_>>(), [(10, 2), (20, 2)]);
    // Given again, a part changes nothing.
    assert_eq!(join_rollups(parts.clone().into_iter().chain(parts)), Ok(whole));
}

#[test]
fn overlapping_parts_are_named() {
    let (a, b) = (join([column("x", &[(1, 1.0), (5, 1.0)])]), join([column("x", &[(3, 1.0)])]));
    let error = join_rollups(rollup(&a, 10).into_iter().chain(rollup(&b, 10))).unwrap_err();
    assert_eq!(error.to_string(), "x: two rollups of the bucket that ends at 10 share a stretch of time");
}

proptest! {
    #[test]
    fn any_order_and_repetition_gives_the_same_rollups(columns in any_columns(), cut in any::<prop::sample::Index>()) {
        let once = rollup(&join(columns.clone()), 3);
        let cut = cut.index(columns.len() + 1);
        let again: Vec<SeriesColumn> = columns[cut..].iter().chain(&columns).rev().cloned().collect();
        prop_assert_eq!(rollup(&join(again), 3), once);
    }

    #[test]
    fn windows_rolled_up_apart_and_joined_count_what_the_whole_counts(columns in any_columns(), width in 1..5_i64) {
        let whole = rollup(&join(columns.clone()), width);
        let windows = split_by_window(join(columns).into_columns(), 4);
        let parts = windows.into_values().flat_map(|columns| rollup(&join(columns), width));
        let joined = join_rollups(parts).unwrap();
        let shape = |series: &[RollupSeries]| series.iter().map(|one| {
            let rollups = one.rollups.iter().map(|r| (r.end, r.count, r.min.to_bits(), r.last.to_bits(), r.last_at, r.stale_at_end));
            (one.labels.clone(), rollups.collect::<Vec<_>>())
        }).collect::<Vec<_>>();
        prop_assert_eq!(shape(&joined), shape(&whole));
    }
}
