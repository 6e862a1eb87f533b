//! Each limit at its edge and one past it, and that the limit is named.

use series::Timestamp;

use super::storage;
use crate::parse::EXPR_DEPTH_MAX;
use crate::*;

fn limited(expr: &str, limits: Limits) -> Result<usize, EvalError> {
    let options = Options { limits, ..Options::default() };
    let data = storage(10_000, "x{a=\"1\"} 0+1x9\nx{a=\"2\"} 0+1x9");
    let result = range(&parse(expr).unwrap(), Timestamp(0), Timestamp(90_000), 10_000, &data, &options)?;
    Ok(result.value.len())
}

#[test]
fn limits_are_named() {
    let series = |series_max| limited("x", Limits { series_max, ..Limits::default() });
    assert_eq!(series(2), Ok(2));
    let error = series(1).unwrap_err();
    assert!(matches!(error, EvalError::Limit { limit: "series_max", max: 1, .. }));
    assert!(error.to_string().contains("series_max = 1"), "{error}");

    // Ten samples read and ten points computed for each of two series.
    let samples = |samples_max| limited("x", Limits { samples_max, ..Limits::default() });
    assert_eq!(samples(40), Ok(2));
    assert!(matches!(samples(39), Err(EvalError::Limit { limit: "samples_max", max: 39, .. })));

    // At 0 s one sample, then two, then three a window: 27 for each of two series.
    let visits = |visits_max| limited("sum_over_time(x[30s])", Limits { visits_max, ..Limits::default() });
    assert_eq!(visits(54), Ok(2));
    assert!(matches!(visits(53), Err(EvalError::Limit { limit: "visits_max", max: 53, .. })));

    let steps = |steps_max| limited("x", Limits { steps_max, ..Limits::default() });
    assert_eq!(steps(10), Ok(2));
    assert!(matches!(steps(9), Err(EvalError::Limit { limit: "steps_max", max: 9, .. })));
}

#[test]
fn remarks_are_limited() {
    let remarks = |series: usize| {
        let load: String = (0..series).map(|n| format!("gauge{n}{{a=\"1\"}} 0+1x9\n")).collect();
        let expr = parse("sum by (name) (label_join(rate({a=\"1\"}[1m]), \"name\", \"\", \"__name__\"))").unwrap();
        let options = Options { delayed_name_removal: true, ..Options::default() };
        let result = instant(&expr, Timestamp(50_000), &storage(10_000, &load), &options).unwrap();
        result.annotations.len()
    };
    assert_eq!(remarks(ANNOTATIONS_MAX), ANNOTATIONS_MAX);
    assert_eq!(remarks(ANNOTATIONS_MAX + 1), ANNOTATIONS_MAX);
}

#[test]
fn remarks_have_their_place() {
    let remark = |expr: &str| {
        let result =
            instant(&parse(expr).unwrap(), Timestamp(50_000), &storage(10_000, "x 0+1x9"), &Options::default());
        result.unwrap().annotations.join(" ")
    };
    assert_eq!(
        remark("1 + rate(x[1m])"),
        "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"x\" (1:10)"
    );
    assert_eq!(remark("quantile(1.5, x)"), "PromQL warning: quantile value should be between 0 and 1, got 1.5 (1:10)");
    assert_eq!(remark("delta(x[1m])"), "");
}

#[test]
fn a_huge_subquery_is_refused_before_it_is_computed() {
    for expr in
        ["sum_over_time(vector(1)[250y:1ms])", "sum_over_time(x[250y:1ms])", "absent_over_time(absent(no)[250y:1ms])"]
    {
        let error = limited(expr, Limits::default()).unwrap_err();
        assert!(matches!(error, EvalError::Limit { limit: "samples_max", .. }), "{expr}: {error}");
    }
}

#[test]
fn the_deepest_expression_fits_a_small_stack() {
    let deep = |open: &str, close: &str, per_level: usize| {
        let levels = (EXPR_DEPTH_MAX - 2) / per_level;
        format!("{}x{}", open.repeat(levels), close.repeat(levels))
    };
    let texts = [
        deep("abs(", ")", 1),
        deep("-(", ")", 2),
        deep("", " + x", 1),
        deep("sum(", ")", 1),
        deep("x or (", ")", 2),
        deep("max_over_time(", "[5m:1m])", 2),
        deep("max_over_time(", "[5m*1:1m])", 2),
        deep("label_replace(", ", \"a\", \"\", \"\", \"\")", 1),
    ];
    let run = move || {
        for text in &texts {
            let expr = parse(text).unwrap();
            let options = Options { limits: Limits { samples_max: 1_000, ..Limits::default() }, ..Options::default() };
            let _ = selections(&expr, Timestamp(0), Timestamp(0), 1, &options);
            let _ = instant(&expr, Timestamp(0), &storage(10_000, "x 1"), &options);
        }
    };
    // Three quarters of what a thread gets by default, in an unoptimised build.
    std::thread::Builder::new().stack_size(3 << 19).spawn(run).unwrap().join().unwrap();
}

#[test]
fn an_evaluation_ends_when_it_is_asked_to() {
    let looks = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    // Two million samples are looked at, so it is asked again and again.
    let expr = parse("sum_over_time(a[1000s])").unwrap();
    let set = storage(1_000, "a 1x2000");
    let run = |stop: Stop| {
        let options = Options { stop, ..Options::default() };
        range(&expr, Timestamp(0), Timestamp(2_000_000), 1_000, &set, &options)
    };
    let counted = looks.clone();
    let never = Stop::when(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        false
    });
    assert_eq!(run(never).unwrap().samples_read, 2_001);
    let asked = looks.load(std::sync::atomic::Ordering::Relaxed);
    assert!((2..100).contains(&asked), "{asked}");
    assert_eq!(run(Stop::when(|| true)).unwrap_err(), EvalError::Stopped);
}
