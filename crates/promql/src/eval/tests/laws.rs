//! Laws that hold for every expression and every data: a range query is the instant queries at
//! its steps, what `selections` lists is enough, and the order of deliveries does not matter.

use proptest::prelude::*;
use series::{Labels, Sample, Timestamp, is_stale, stale_marker};

use crate::*;

const EXPRESSIONS: &[&str] = &[
    "x",
    "x offset 20s",
    "-x",
    "x > 1",
    "x > bool 1",
    "x + on(a) y",
    "x == on(a) group_left y",
    "x and y",
    "x or y",
    "x unless y",
    "sum by (a) (x)",
    "avg(x)",
    "max without (a) (x)",
    "count_values(\"v\", x)",
    "topk(1, x)",
    "bottomk by (a) (1, x)",
    "quantile(0.3, x)",
    "rate(x[1m])",
    "increase(x[45s] offset 10s)",
    "irate(x[1m])",
    "delta(x[1m])",
    "deriv(x[1m])",
    "predict_linear(x[1m], 60)",
    "changes(x[1m])",
    "avg_over_time(x[30s])",
    "quantile_over_time(0.5, x[1m])",
    "max_over_time(rate(x[1m])[1m:10s])",
    "last_over_time(x[2m:7s])",
    "absent(x)",
    "absent_over_time(x[20s])",
    "scalar(x) + time()",
    "timestamp(x)",
    "label_replace(x, \"b\", \"$1\", \"a\", \"(.)\")",
    "x @ 40 + x",
    "sum_over_time(x[1m] @ 50)",
];

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![6 => -3.0_f64..9.0, 2 => (0_i32..4).prop_map(f64::from), 1 => Just(f64::NAN), 1 => Just(stale_marker())]
}

/// Some series `x{a}` and `y{a}` with samples in the first two minutes.
fn series() -> impl Strategy<Value = Vec<Series>> {
    let one = (0_usize..2, 0_usize..3, proptest::collection::btree_map(0_i64..24, value(), 0..16));
    proptest::collection::vec(one, 0..5).prop_map(|all| {
        let series = all.into_iter().map(|(name, label, samples)| {
            let labels = [("__name__", ["x", "y"][name]), ("a", ["1", "2", "3"][label])];
            let samples = samples.into_iter().map(|(at, value)| Sample { at: Timestamp(at * 5_000), value });
            Series { labels: Labels::from_pairs(labels).unwrap(), samples: samples.collect() }
        });
        series.collect()
    })
}

/// Hands out only what was announced, and no sample of any other time.
struct Announced<'a>(&'a SeriesSet, Vec<Selection>);

impl Storage for Announced<'_> {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Result<Vec<Series>, StorageError> {
        let known = self.1.iter().any(|one| one.matchers == matchers && one.from <= from && one.to >= to);
        if known { self.0.select(matchers, from, to) } else { Err(StorageError { message: "not announced".into() }) }
    }
}

/// The labels and value bits of a result at one time, sorted.
fn points(value: &Value) -> Vec<(Labels, u64)> {
    let mut points: Vec<(Labels, u64)> = match value {
        Value::Scalar(sample) => vec![(Labels::empty(), sample.value.to_bits())],
        Value::Vector(vector) => vector.iter().map(|(l, s)| (l.clone(), s.value.to_bits())).collect(),
        _ => vec![],
    };
    points.sort();
    points
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_range_is_its_instants_and_needs_what_was_announced(data in series(), delayed in any::<bool>()) {
        let set = SeriesSet::new(data);
        let options = Options { lookback_ms: 30_000, delayed_name_removal: delayed, ..Options::default() };
        let (start, end, step) = (Timestamp(3_000), Timestamp(130_000), 9_000);
        for text in EXPRESSIONS {
            let expr = parse(text).unwrap();
            let announced = Announced(&set, selections(&expr, start, end, step, &options));
            let whole = range(&expr, start, end, step, &announced, &options);
            let mut first_error = None;
            let mut at = start;
            while at <= end {
                let announced = Announced(&set, selections(&expr, at, at, 1, &options));
                match (instant(&expr, at, &announced, &options), &whole) {
                    (Ok(one), Ok(whole)) => {
                        let step: Vec<(Labels, u64)> = whole.value.iter().filter_map(|series| {
                            let sample = series.samples.iter().find(|sample| sample.at == at)?;
                            Some((series.labels.clone(), sample.value.to_bits()))
                        }).collect();
                        prop_assert_eq!(points(&one.value), step, "{} at {}", text, at);
                    }
                    (Err(error), Ok(_)) => prop_assert!(false, "{} at {}: only the instant fails: {}", text, at, error),
                    (Err(error), Err(_)) => first_error = Some(error),
                    (Ok(_), Err(_)) => {}
                }
                at = at.plus_ms(step);
            }
            if let Err(error) = whole {
                prop_assert!(first_error.is_some(), "{}: only the range fails: {}", text, error);
            }
        }
    }

    #[test]
    fn results_hang_on_the_set_of_samples_alone(data in series(), seed in any::<u64>()) {
        let mut shuffled: Vec<Series> = data.iter().chain(&data).cloned().collect();
        let length = shuffled.len().max(1);
        shuffled.rotate_left(seed as usize % length);
        shuffled.reverse();
        for text in ["rate(x[1m])", "sum(x)", "x"] {
            let expr = parse(text).unwrap();
            let ask = |data: &[Series]| {
                let set = SeriesSet::new(data.iter().cloned());
                instant(&expr, Timestamp(60_000), &set, &Options::default()).map(|result| points(&result.value))
            };
            prop_assert_eq!(ask(&data), ask(&shuffled));
        }
    }

    #[test]
    fn no_result_is_a_stale_marker(data in series()) {
        let set = SeriesSet::new(data);
        for text in EXPRESSIONS {
            let result = range(&parse(text).unwrap(), Timestamp(0), Timestamp(120_000), 5_000, &set, &Options::default());
            if let Ok(result) = result {
                prop_assert!(result.value.iter().all(|one| one.samples.iter().all(|s| !is_stale(s.value))), "{}", text);
            }
        }
    }
}
