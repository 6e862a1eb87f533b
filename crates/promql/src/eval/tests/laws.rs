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
    "increase(x[1m] anchored)",
    "resets(x[1m] anchored offset 10s)",
    "rate(x[45s] smoothed)",
    "x smoothed",
    "max_over_time(x[10s*3])",
    "x offset (10s*2)",
    "info(x, {a=~\".*\", __name__=\"y\"})",
    "x + on(a) fill(0) y",
    "histogram_quantiles(x, \"q\", 0.5, 0.9)",
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

/// Expressions that give an instant vector, most of them.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("x".to_owned()),
        Just("y".to_owned()),
        Just("x{a!=\"1\"}".to_owned()),
        Just("y offset 15s".to_owned()),
        Just("x @ 60".to_owned()),
        Just("vector(time())".to_owned()),
        Just("rate(x[45s])".to_owned()),
        Just("last_over_time(y[1m] offset -10s)".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        let operator = prop_oneof![
            Just("+"),
            Just("- on(a)"),
            Just("* ignoring(a) group_left()"),
            Just("/ on(a) group_right()"),
            Just("^"),
            Just("%"),
            Just(">"),
            Just("<= bool"),
            Just("== on(a)"),
            Just("and"),
            Just("or"),
            Just("unless on(a)"),
            Just("+ fill(1)"),
            Just("- on(a) fill_left(2)"),
        ];
        let call = prop_oneof![
            Just("abs(◇)"),
            Just("-(◇)"),
            Just("sum(◇)"),
            Just("avg by (a) (◇)"),
            Just("count without (a) (◇)"),
            Just("min by (__name__) (◇)"),
            Just("topk(1, ◇)"),
            Just("bottomk by (a) (1, ◇)"),
            Just("stddev(◇)"),
            Just("count_values(\"a\", ◇)"),
            Just("absent(◇)"),
            Just("timestamp(◇)"),
            Just("vector(scalar(◇))"),
            Just("clamp(◇, 0, 2)"),
            Just("round(◇, 0.5)"),
            Just("minute(◇)"),
            Just("label_replace(◇, \"a\", \"$1\", \"a\", \"(.).*\")"),
            Just("label_join(◇, \"b\", \"-\", \"a\")"),
            Just("max_over_time((◇)[40s:10s])"),
            Just("rate((◇)[1m:5s] offset 5s)"),
            Just("(◇) * 2"),
            Just("1 < (◇)"),
            Just("predict_linear((◇)[1m:10s], 10)"),
            Just("quantile(0.5, ◇)"),
            Just("sum_over_time((◇)[30s:10s] @ 50)"),
            Just("limitk(2, ◇)"),
            Just("limit_ratio(0.5, ◇)"),
            Just("histogram_quantile(0.5, ◇)"),
        ];
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
            (call, inner).prop_map(|(call, inner)| call.replace('◇', &inner)),
        ]
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

fn is_its_instants(set: &SeriesSet, text: &str, options: &Options) -> Result<(), TestCaseError> {
    let (start, end, step) = (Timestamp(3_000), Timestamp(130_000), 9_000);
    let expr = parse(text).unwrap();
    let announced = Announced(set, selections(&expr, start, end, step, options));
    let whole = range(&expr, start, end, step, &announced, options);
    let mut instants_fail = false;
    let mut at = start;
    while at <= end {
        let announced = Announced(set, selections(&expr, at, at, 1, options));
        match (instant(&expr, at, &announced, options), &whole) {
            (Ok(one), Ok(whole)) => {
                let at_step = whole.value.iter().filter_map(|series| {
                    let sample = series.samples.iter().find(|sample| sample.at == at)?;
                    Some((series.labels.clone(), sample.value.to_bits()))
                });
                prop_assert_eq!(points(&one.value), at_step.collect::<Vec<_>>(), "{} at {}", text, at);
            }
            (Err(error), Ok(_)) => prop_assert!(false, "{} at {}: only the instant fails: {}", text, at, error),
            (Err(_), Err(_)) => instants_fail = true,
            (Ok(_), Err(_)) => {}
        }
        at = at.plus_ms(step);
    }
    if let Err(error) = whole {
        prop_assert!(instants_fail, "{}: only the range fails: {}", text, error);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_range_is_its_instants_and_needs_what_was_announced(data in series(), delayed in any::<bool>()) {
        let set = SeriesSet::new(data);
        let options = Options { lookback_ms: 30_000, delayed_name_removal: delayed, ..Options::default() };
        for text in EXPRESSIONS {
            is_its_instants(&set, text, &options)?;
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_range_of_any_expression_is_its_instants(data in series(), text in expression()) {
        // With delayed name removal a group's name goes for all steps as soon as it goes at one.
        let options = Options { lookback_ms: 30_000, ..Options::default() };
        is_its_instants(&SeriesSet::new(data), &text, &options)?;
    }
}
