//! What is computed with shortcuts (sliding windows, remembered falls, folds row by row) against the definition,
//! step by step and sample by sample.

use proptest::prelude::*;
use series::{Labels, Sample, Timestamp, is_stale, stale_marker};

use crate::*;

const RANGE_MS: i64 = 60_000;
const STEP_MS: i64 = 7_000;
const END_MS: i64 = 200_000;

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => 0.0_f64..100.0,
        4 => (0_i32..5).prop_map(f64::from),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(stale_marker()),
    ]
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let times = proptest::collection::btree_map(0_i64..40, value(), 0..40);
    times.prop_map(|all| all.into_iter().map(|(at, value)| Sample { at: Timestamp(at * 5_000), value }).collect())
}

fn series(n: usize, samples: &[Sample]) -> Series {
    let labels =
        Labels::from_pairs([("__name__", "x".to_owned()), ("n", n.to_string()), ("even", (n % 2).to_string())]);
    Series { labels: labels.unwrap(), samples: samples.into() }
}

/// `(at − range, at]` without stale markers.
fn window(samples: &[Sample], at: i64) -> Vec<Sample> {
    let inside = |s: &&Sample| s.at.ms() > at - RANGE_MS && s.at.ms() <= at && !is_stale(s.value);
    samples.iter().filter(inside).copied().collect()
}

/// Prometheus's words turned into steps.
fn increase(window: &[Sample], at: i64) -> Option<f64> {
    let (first, last) = (window.first()?, window.last()?);
    if window.len() < 2 {
        return None;
    }
    let mut change = last.value - first.value;
    for pair in window.windows(2) {
        if pair[1].value < pair[0].value {
            change += pair[0].value;
        }
    }
    let seconds = |ms: i64| ms as f64 / 1_000.0;
    let sampled = seconds(last.at.ms() - first.at.ms());
    let gap = sampled / (window.len() - 1) as f64;
    let mut to_start = seconds(first.at.ms() - (at - RANGE_MS));
    if to_start >= gap * 1.1 {
        to_start = gap / 2.0;
    }
    if change > 0.0 && first.value >= 0.0 {
        let to_zero = sampled * (first.value / change);
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    let mut to_end = seconds(at - last.at.ms());
    if to_end >= gap * 1.1 {
        to_end = gap / 2.0;
    }
    Some(change * ((sampled + to_start + to_end) / sampled))
}

/// What a query gives for the first series at each step.
fn asked(set: &SeriesSet, text: &str) -> Vec<(i64, u64)> {
    let expr = parse(text).unwrap();
    let result = range(&expr, Timestamp(0), Timestamp(END_MS), STEP_MS, set, &Options::default()).unwrap();
    let first = result.value.first().map_or(&[][..], |one| &one.samples);
    first.iter().map(|sample| (sample.at.ms(), sample.value.to_bits())).collect()
}

fn steps(of: impl Fn(i64) -> Option<f64>) -> Vec<(i64, u64)> {
    let times = (0..=END_MS / STEP_MS).map(|step| step * STEP_MS);
    times.filter_map(|at| of(at).map(|value| (at, value.to_bits()))).collect()
}

proptest! {
    #[test]
    fn windows_slide_as_if_each_were_searched(samples in samples()) {
        let set = SeriesSet::new([series(0, &samples)]);
        let over = |of: fn(&[Sample]) -> Option<f64>| steps(|at| of(&window(&samples, at)));
        prop_assert_eq!(asked(&set, "increase(x[1m])"), steps(|at| increase(&window(&samples, at), at)));
        prop_assert_eq!(asked(&set, "count_over_time(x[1m])"), over(|w| (!w.is_empty()).then_some(w.len() as f64)));
        prop_assert_eq!(asked(&set, "last_over_time(x[1m])"), over(|w| w.last().map(|s| s.value)));
        prop_assert_eq!(asked(&set, "ts_of_first_over_time(x[1m])"), over(|w| w.first().map(|s| s.at.seconds())));
        prop_assert_eq!(asked(&set, "resets(x[1m])"), over(|w| {
            let falls = w.windows(2).filter(|pair| pair[1].value < pair[0].value).count();
            (!w.is_empty()).then_some(falls as f64)
        }));
    }

    #[test]
    fn the_newest_sample_within_the_lookback_stands_until_a_stale_marker(samples in samples()) {
        let set = SeriesSet::new([series(0, &samples)]);
        let newest = |at: i64| {
            let newest = samples.iter().rfind(|s| s.at.ms() <= at)?;
            (newest.at.ms() > at - LOOKBACK_MS && !is_stale(newest.value)).then_some(newest.value)
        };
        prop_assert_eq!(asked(&set, "x"), steps(newest));
    }

    #[test]
    fn aggregations_fold_what_is_there_at_each_step(all in proptest::collection::vec(samples(), 1..5)) {
        let set = SeriesSet::new(all.iter().enumerate().map(|(n, samples)| series(n, samples)));
        let at_step = |at: i64| -> Vec<f64> {
            let present = all.iter().map(|samples| window(samples, at)).filter(|window| !window.is_empty());
            present.map(|window| window[window.len() - 1].value).collect()
        };
        let folded = |of: fn(&[f64]) -> f64| steps(|at| Some(at_step(at)).filter(|v| !v.is_empty()).map(|v| of(&v)));
        let newest = "last_over_time(x[1m])";
        prop_assert_eq!(asked(&set, &format!("count({newest})")), folded(|v| v.len() as f64));
        prop_assert_eq!(asked(&set, &format!("group({newest})")), folded(|_| 1.0));
        let greatest = |v: &[f64]| v.iter().copied().fold(f64::NAN, f64::max);
        prop_assert_eq!(asked(&set, &format!("max({newest})")), folded(greatest));
        let least = |v: &[f64]| v.iter().copied().fold(f64::NAN, f64::min);
        prop_assert_eq!(asked(&set, &format!("min({newest})")), folded(least));
    }
}
