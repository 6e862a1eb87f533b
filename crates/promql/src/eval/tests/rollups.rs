//! Rollups give what samples give, wherever a selection allows them; and it allows them only where they do.

use proptest::prelude::*;
use series::{Labels, RollupSeries, Sample, Timestamp, rollups, stale_marker};

use crate::*;

const FIVE_MINUTES: i64 = 300_000;
const HOUR: i64 = 3_600_000;

/// Answered bit for bit.
const EXACT: &[&str] = &[
    "x",
    "x offset 5m",
    "timestamp(x)",
    "absent(x)",
    "x @ 3600",
    "sum by (a) (x)",
    "count_over_time(x[15m])",
    "min_over_time(x[10m])",
    "max_over_time(x[1h])",
    "first_over_time(x[20m] offset -10m)",
    "last_over_time(x[5m])",
    "present_over_time(x[10m])",
    "absent_over_time(x[10m])",
    "delta(x[15m])",
    "max_over_time((x)[30m:5m])",
    "count_over_time(last_over_time(x[10m])[1h:10m] offset 5m)",
    "max_over_time(x[30m]) / min_over_time(x[5m] @ end())",
];
/// Answered but for the order of additions.
const NEAR: &[&str] = &[
    "sum_over_time(x[15m])",
    "avg_over_time(x[1h])",
    "increase(x[10m])",
    "rate(x[1h])",
    "rate(x[15m] offset 10m)",
    "sum(rate(x[20m]))",
];
/// Never answered from rollups at a step of 5 min.
const NEVER: &[&str] = &[
    "x offset 1m",
    "x @ 100",
    "rate(x[7m])",
    "rate(x[10m] offset 30s)",
    "irate(x[10m])",
    "changes(x[10m])",
    "stddev_over_time(x[10m])",
    "quantile_over_time(0.5, x[10m])",
    "deriv(x[10m])",
    "x smoothed",
    "rate(x[10m] anchored)",
    "max_over_time(x[30m:1m])",
];

/// Gives rollups alone, so that whoever reads samples fails.
struct Rolled(SeriesSet);

impl Storage for Rolled {
    fn select(&self, _: &[Matcher], _: Timestamp, _: Timestamp) -> Result<Vec<Series>, StorageError> {
        Err(StorageError { message: "samples were asked for".into() })
    }

    fn rollups(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
        width_ms: i64,
    ) -> Result<Option<Vec<RollupSeries>>, StorageError> {
        let all = self.0.select(matchers, Timestamp(i64::MIN), Timestamp(i64::MAX))?;
        let rolled = all.into_iter().map(|one| {
            let rollups = rollups(&one.samples, width_ms);
            let wanted = rollups.into_iter().filter(|rollup| rollup.end >= from && rollup.end <= to);
            RollupSeries { labels: one.labels, rollups: wanted.collect() }
        });
        Ok(Some(rolled.collect()))
    }
}

/// Times in four hours, many of them at the edges of buckets and not many in most of them.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        (0_i64..48).prop_map(|n| n * FIVE_MINUTES),
        (0_i64..1_440).prop_map(|n| n * 10_000),
        0_i64..48 * FIVE_MINUTES,
    ]
}

fn data(value: impl Strategy<Value = f64> + Clone + 'static) -> impl Strategy<Value = Vec<Series>> {
    let one = proptest::collection::btree_map(time(), value, 0..120);
    proptest::collection::vec(one, 1..4).prop_map(|all| {
        let series = all.into_iter().enumerate().map(|(n, samples)| Series {
            labels: Labels::from_pairs([("__name__", "x"), ("a", ["1", "2", "3"][n])]).unwrap(),
            samples: samples.into_iter().map(|(at, value)| Sample { at: Timestamp(at), value }).collect(),
        });
        series.collect()
    })
}

fn gauge() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![8 => -1e3_f64..1e3, 2 => (0_i32..4).prop_map(f64::from), 1 => Just(f64::NAN), 1 => Just(stale_marker())]
}

fn counter() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![8 => 0.0_f64..1e6, 4 => (0_i32..1_000).prop_map(f64::from), 1 => Just(stale_marker())]
}

fn check(data: &[Series], text: &str, step: i64, near: f64) -> Result<(), TestCaseError> {
    let (start, end) = (Timestamp(0), Timestamp(4 * HOUR));
    let (expr, options) = (parse(text).unwrap(), Options::default());
    let chosen = selections(&expr, start, end, step, &options);
    prop_assert!(chosen.iter().all(|one| one.rollup.is_some()), "{}: {:?}", text, chosen);
    let raw = range(&expr, start, end, step, &SeriesSet::new(data.iter().cloned()), &options).unwrap().value;
    let rolled = Rolled(SeriesSet::new(data.iter().cloned()));
    let rolled = range(&expr, start, end, step, &rolled, &options).unwrap().value;
    prop_assert_eq!(raw.len(), rolled.len(), "{}", text);
    for (raw, rolled) in raw.iter().zip(&rolled) {
        prop_assert_eq!(&raw.labels, &rolled.labels);
        prop_assert_eq!(raw.samples.len(), rolled.samples.len(), "{}", text);
        for (a, b) in raw.samples.iter().zip(rolled.samples.iter()) {
            let close = (a.value - b.value).abs() <= near * a.value.abs().max(b.value.abs());
            prop_assert!(a == b || (near > 0.0 && a.at == b.at && close), "{}: {:?} and {:?}", text, a, b);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_hangs_on_no_order_is_the_same_bits(data in data(gauge()), steps in 1_i64..13) {
        for text in EXACT {
            check(&data, text, steps * FIVE_MINUTES, 0.0)?;
        }
    }

    #[test]
    fn sums_and_resets_are_as_near_as_rounding(data in data(counter()), steps in 1_i64..13) {
        for text in NEAR {
            check(&data, text, steps * FIVE_MINUTES, 1e-12)?;
        }
    }

    #[test]
    fn a_counter_without_resets_has_the_same_bits(data in data(counter()), steps in 1_i64..13) {
        let rising: Vec<Series> = data.into_iter().map(|one| {
            let mut total = 0.0;
            let samples = one.samples.iter().filter(|sample| !series::is_stale(sample.value)).map(|sample| {
                total += sample.value;
                Sample { value: total, ..*sample }
            });
            Series { samples: samples.collect(), ..one }
        }).collect();
        for text in ["increase(x[10m])", "rate(x[1h])"] {
            check(&rising, text, steps * FIVE_MINUTES, 0.0)?;
        }
    }
}

/// Answered as of the last whole bucket, bit by bit or as near as rounding.
const OF_LATELY: &[&str] = &[
    "x",
    "timestamp(x)",
    "sum by (a) (x)",
    "x offset 1h",
    "count_over_time(x[1h])",
    "max_over_time(x[2h] offset -1h)",
    "last_over_time(x[1h])",
    "rate(x[1h])",
    "sum_over_time(x[3h])",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_near_answer_is_what_samples_give_at_the_end_of_the_last_bucket(
        data in data(counter()), start in 1_i64..HOUR, step in FIVE_MINUTES..2 * HOUR,
    ) {
        let (set, options) = (SeriesSet::new(data.iter().cloned()), Options::default());
        for text in OF_LATELY {
            // A millisecond after an edge, so that nothing is exact.
            let start = if start % FIVE_MINUTES == 0 { start + 1 } else { start };
            let expr = parse(text).unwrap();
            let (from, to) = (Timestamp(start), Timestamp(start + 2 * step));
            let chosen = selections(&expr, from, to, step, &options);
            // Offsets are of an hour here, so a bucket's end is one with and without.
            let width = chosen[0].near.map_or(0, |near| near.width_ms);
            prop_assert_eq!((chosen[0].rollup, width), (None, if step >= HOUR { HOUR } else { FIVE_MINUTES }));
            let found = range(&expr, from, to, step, &Rolled(set.clone()), &options).unwrap();
            prop_assert_eq!((found.rollups_ms, found.near_ms), (0, width));
            for at in [start, start + step, start + 2 * step] {
                let bucket_end = Timestamp(at.div_euclid(width) * width);
                let Value::Vector(expected) = instant(&expr, bucket_end, &set, &options).unwrap().value else { panic!() };
                let shown: Vec<(Labels, f64)> = found.value.iter().filter_map(|one| {
                    let sample = one.samples.iter().find(|sample| sample.at == Timestamp(at))?;
                    Some((one.labels.clone(), sample.value))
                }).collect();
                prop_assert_eq!(shown.len(), expected.len(), "{} at {}", text, at);
                for (labels, sample) in expected {
                    let value = shown.iter().find(|one| one.0 == labels).unwrap().1;
                    let close = (value - sample.value).abs() <= 1e-12 * value.abs().max(sample.value.abs());
                    prop_assert!(value.to_bits() == sample.value.to_bits() || close, "{}: {} {}", text, value, sample.value);
                }
            }
        }
    }
}

#[test]
fn near_answers_need_a_step_and_windows_of_whole_buckets() {
    let near = |text: &str, step: i64| {
        let found = selections(&parse(text).unwrap(), Timestamp(1), Timestamp(9 * HOUR), step, &Options::default());
        found[0].near.map(|near| near.width_ms)
    };
    for (text, step, expected) in [
        ("x", FIVE_MINUTES - 1, None),
        ("x", FIVE_MINUTES, Some(FIVE_MINUTES)),
        ("x", HOUR - 1, Some(FIVE_MINUTES)),
        ("x", HOUR, Some(HOUR)),
        ("rate(x[1h])", HOUR, Some(HOUR)),
        ("rate(x[5m])", HOUR, Some(FIVE_MINUTES)),
        ("rate(x[90m])", HOUR, Some(FIVE_MINUTES)),
        ("rate(x[4m])", HOUR, None),
        ("rate(x[7m])", HOUR, None),
        ("x @ 7", HOUR, None),
        ("irate(x[1h])", HOUR, None),
        ("quantile_over_time(0.5, x[1h])", HOUR, None),
        ("rate(x[1h] smoothed)", HOUR, None),
    ] {
        assert_eq!(near(text, step), expected, "{text} by {step}");
    }
    let at_once = selections(&parse("x").unwrap(), Timestamp(1), Timestamp(1), HOUR, &Options::default());
    assert_eq!(at_once[0].near, None);
}

#[test]
fn a_bucket_wider_than_the_lookback_does_not_bring_older_samples() {
    let samples = |at: i64| [Sample { at: Timestamp(at), value: 1.0 }].into();
    let labels = Labels::from_pairs([("__name__", "x")]).unwrap();
    for (at, steps) in [(HOUR, 1), (HOUR - FIVE_MINUTES + 1, 1), (HOUR - FIVE_MINUTES, 0)] {
        let rolled = Rolled(SeriesSet::new([Series { labels: labels.clone(), samples: samples(at) }]));
        let (from, to) = (Timestamp(1), Timestamp(3 * HOUR + 1));
        let found = range(&parse("x").unwrap(), from, to, HOUR, &rolled, &Options::default()).unwrap().value;
        assert_eq!(found.iter().map(|one| one.samples.len()).sum::<usize>(), steps, "{at}");
    }
}

fn widths(text: &str, start: i64, end: i64, step: i64) -> Vec<Option<i64>> {
    let found = selections(&parse(text).unwrap(), Timestamp(start), Timestamp(end), step, &Options::default());
    found.iter().map(|one| one.rollup).collect()
}

#[test]
fn only_whole_buckets_and_known_functions_are_answered_from_rollups() {
    for text in NEVER {
        assert!(widths(text, 0, 4 * HOUR, FIVE_MINUTES).contains(&None), "{text}");
    }
    for text in EXACT.iter().chain(NEAR) {
        for (start, step) in [(1, FIVE_MINUTES), (FIVE_MINUTES - 1, FIVE_MINUTES), (0, 60_000), (0, FIVE_MINUTES + 1)] {
            // What `@` and `[:]` fix does not hang on the query's own times.
            let fixed = text.contains('@') || text.contains(':');
            assert!(fixed || widths(text, start, start + 4 * HOUR, step).contains(&None), "{text} {start} {step}");
        }
    }
}

#[test]
fn the_widest_rollups_are_chosen() {
    assert_eq!(widths("rate(x[1h])", 0, 4 * HOUR, HOUR), [Some(HOUR)]);
    assert_eq!(widths("rate(x[1h])", 0, 4 * HOUR, FIVE_MINUTES), [Some(FIVE_MINUTES)]);
    assert_eq!(widths("rate(x[65m])", 0, 4 * HOUR, HOUR), [Some(FIVE_MINUTES)]);
    assert_eq!(widths("x", 0, 4 * HOUR, HOUR), [Some(FIVE_MINUTES)]);
    assert_eq!(widths("rate(x[2h] offset 1h)", HOUR, HOUR, 0), [Some(HOUR)]);
    assert_eq!(widths("x[1h]", HOUR, HOUR, 0), [None]);
    let options = Options { lookback_ms: 60_000, ..Options::default() };
    assert_eq!(selections(&parse("x").unwrap(), Timestamp(0), Timestamp(0), 0, &options)[0].rollup, None);
}

#[test]
fn without_rollups_samples_are_read() {
    let set = super::storage(60_000, "x 0+60x120");
    let expr = parse("rate(x[1h])").unwrap();
    let result = instant(&expr, Timestamp(2 * HOUR), &set, &Options::default()).unwrap();
    assert!(matches!(result.value, Value::Vector(vector) if vector.len() == 1 && vector[0].1.value == 1.0));
}

#[test]
fn rollups_count_as_samples() {
    let rolled = Rolled(super::storage(60_000, "x 0+60x240"));
    let expr = parse("rate(x[1h])").unwrap();
    let ask = |limits: Limits| {
        let options = Options { limits, ..Options::default() };
        range(&expr, Timestamp(0), Timestamp(4 * HOUR), HOUR, &rolled, &options)
    };
    let result = ask(Limits::default()).unwrap();
    // An hour's bucket each, that of the very first sample among them; and a point a step.
    assert_eq!((result.samples_read, result.samples_used), (5, 10));
    assert!(ask(Limits { samples_max: 10, ..Limits::default() }).is_ok());
    let error = ask(Limits { samples_max: 9, ..Limits::default() }).unwrap_err();
    assert!(matches!(error, EvalError::Limit { limit: "samples_max", max: 9, .. }), "{error}");
    let error = ask(Limits { series_max: 0, ..Limits::default() }).unwrap_err();
    assert!(matches!(error, EvalError::Limit { limit: "series_max", max: 0, .. }), "{error}");
}
