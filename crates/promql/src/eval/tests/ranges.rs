//! Functions of range vectors, subqueries, range queries.

use series::Timestamp;

use super::{check, storage};
use crate::*;

#[test]
fn ranges_are_open_on_the_left() {
    check("x 0+1x100", "count_over_time(x[30s])", 100.0, "{} 3");
    check("x 0+1x100", "sum_over_time(x[30s])", 100.0, "{} 27");
    check("x 0+1x100", "x[20s]", 100.0, "x 9 10");
    check("x 1 stale 3", "count_over_time(x[1m])", 20.0, "{} 2");
    check("x 1", "count_over_time(x[10s])", 10.0, "");
}

#[test]
fn rates_are_extrapolated_and_know_resets() {
    // Ten samples from 10 s to 100 s: both ends are within a gap of the window's ends.
    check("x 0+1x100", "increase(x[100s])", 100.0, "{} 10");
    check("x 0+1x100", "rate(x[100s])", 100.0, "{} 0.1");
    check("x 0+1x100", "rate(x[1m] offset 30s)", 100.0, "{} 0.1");
    // The series begins inside of the window: at most half a gap is added.
    check("x _x5 10+1x5", "increase(x[10m])", 100.0, "{} 5.5");
    // A counter is not carried to below zero.
    check("x _x5 0+1x5", "increase(x[10m])", 100.0, "{} 5");
    check("x _x5 0+1x5", "delta(x[10m])", 100.0, "{} 5.5");
    check("x 0 10 20 5 15 25 35", "increase(x[70s])", 60.0, "{} 55");
    check("x 0 10 20 5 15 25 35", "resets(x[70s])", 60.0, "{} 1");
    check("x 1", "rate(x[1m])", 0.0, "");
    check("x 5 1", "irate(x[1m])", 10.0, "{} 0.1");
    check("x 5 9 1", "idelta(x[1m])", 20.0, "{} -8");
    check("x 1 1 NaN NaN 2", "changes(x[1m])", 40.0, "{} 2");
}

#[test]
fn over_time() {
    for (call, expected) in [
        ("avg_over_time(x[1m])", "{} 4"),
        ("min_over_time(x[1m])", "{} 1"),
        ("max_over_time(x[1m])", "{} 9"),
        ("sum_over_time(x[1m])", "{} 16"),
        ("count_over_time(x[1m])", "{} 4"),
        ("first_over_time(x[1m])", "x 2"),
        ("last_over_time(x[1m])", "x 9"),
        ("present_over_time(x[1m])", "{} 1"),
        ("quantile_over_time(0.5, x[1m])", "{} 3"),
        ("mad_over_time(x[1m])", "{} 1.5"),
        ("ts_of_max_over_time(x[1m])", "{} 30"),
    ] {
        check("x 2 1 4 9", call, 30.0, expected);
    }
    check("x 2 4", "stdvar_over_time(x[1m])", 10.0, "{} 1");
    check("x 2 6", "stddev_over_time(x[1m])", 10.0, "{} 2");
    check("x NaN 1", "min_over_time(x[1m])", 10.0, "{} 1");
}

#[test]
fn trends() {
    check("x 0+2x10", "deriv(x[1m])", 100.0, "{} 0.2");
    check("x 0+2x10", "predict_linear(x[1m], 100)", 100.0, "{} 40");
    check("x 0+2x10", "predict_linear(x[1m] offset 50s, 0)", 100.0, "{} 20");
    check("x 5x10", "predict_linear(x[1m], 3600)", 100.0, "{} 5");
    check("x 5", "deriv(x[1m])", 0.0, "");
    check("x 0+2x10", "double_exponential_smoothing(x[1m], 0.5, 0.5)", 100.0, "{} 20");
}

#[test]
fn subqueries() {
    check("x 0+1x100", "max_over_time(rate(x[1m])[5m:1m])", 600.0, "{} 0.1");
    check("x 0+1x100", "(x > 3)[30s:10s]", 50.0, "x 4 5");
    check("x 0+1x100", "sum_over_time(x[30s:10s] offset 9s)", 109.0, "{} 27");
    check("x 0+1x100", "sum_over_time(x[3m:])", 300.0, "{} 72");
    check("x 0+1x100", "sum_over_time(x[30s:10s] @ 100)", 7.0, "{} 27");
}

/// A range query over 10 s steps, a line a series.
fn check_range(load: &str, expr: &str, from: f64, to: f64, expected: &[(&str, &[(i64, f64)])]) {
    let expr = parse(expr).unwrap();
    let (from, to) = (Timestamp::from_seconds(from), Timestamp::from_seconds(to));
    let result = range(&expr, from, to, 10_000, &storage(10_000, load), &Options::default()).unwrap();
    let shown: Vec<(String, Vec<(i64, f64)>)> = result
        .value
        .iter()
        .map(|one| (one.labels.to_string(), one.samples.iter().map(|s| (s.at.ms() / 1_000, s.value)).collect()))
        .collect();
    let expected: Vec<(String, Vec<(i64, f64)>)> =
        expected.iter().map(|(labels, points)| ((*labels).to_owned(), points.to_vec())).collect();
    assert_eq!(shown, expected, "{expr}");
}

#[test]
fn range_queries_are_sorted_and_leave_gaps() {
    check_range(
        "y 2 _ _\nx{a=\"1\"} 1 stale 3",
        "{__name__=~\"x|y\"}",
        0.0,
        20.0,
        &[("x{a=\"1\"}", &[(0, 1.0), (20, 3.0)]), ("y", &[(0, 2.0), (10, 2.0), (20, 2.0)])],
    );
    check_range("", "1 + 1", 0.0, 10.0, &[("{}", &[(0, 2.0), (10, 2.0)])]);
    check_range("x 0+1x9", "topk(1, x or x + 1)", 10.0, 20.0, &[("x", &[(10, 1.0), (20, 2.0)])]);
    check_range("a 1 stale\nb _ 2", "-{__name__=~\"a|b\"}", 0.0, 10.0, &[("{}", &[(0, -1.0), (10, -2.0)])]);
    check_range("x 0+1x9", "x @ end() - x @ start()", 10.0, 30.0, &[("{}", &[(10, 2.0), (20, 2.0), (30, 2.0)])]);
}

#[test]
fn range_queries_need_something_to_draw() {
    let none = SeriesSet::default();
    let ask = |expr: &str| {
        range(&parse(expr).unwrap(), Timestamp(0), Timestamp(10), 1, &none, &Options::default()).unwrap_err()
    };
    assert_eq!(ask("x[5m]"), EvalError::NotARange { found: "range vector" });
    assert_eq!(ask("\"a\""), EvalError::NotARange { found: "string" });
}
