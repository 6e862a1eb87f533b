//! The whole of the language, one expression for each of its parts: none of them is "not built". What each gives is
//! tested elsewhere; `docs/promql.md` lists them for readers, and every function's name is in it.

use series::Timestamp;

use super::storage;
use crate::*;

/// One call of every function of Prometheus 3, the experimental ones included.
const FUNCTIONS: &str = "
abs(x) absent(x) absent_over_time(x[1m]) acos(x) acosh(x) asin(x) asinh(x) atan(x) atanh(x) avg_over_time(x[1m])
ceil(x) changes(x[1m]) clamp(x,0,1) clamp_max(x,1) clamp_min(x,1) cos(x) cosh(x) count_over_time(x[1m])
day_of_month() day_of_week() day_of_year(x) days_in_month(x) deg(x) delta(x[1m]) deriv(x[1m])
double_exponential_smoothing(x[1m],0.5,0.5) end() exp(x) first_over_time(x[1m]) floor(x)
histogram_avg(x) histogram_count(x) histogram_fraction(0,1,x_bucket) histogram_quantile(0.5,x_bucket)
histogram_quantiles(x_bucket,\"q\",0.5,0.9) histogram_stddev(x) histogram_stdvar(x) histogram_sum(x) hour()
idelta(x[1m]) increase(x[1m]) info(x) irate(x[1m]) label_join(x,\"b\",\"-\",\"a\")
label_replace(x,\"b\",\"$1\",\"a\",\"(.*)\") last_over_time(x[1m]) ln(x) log10(x) log2(x) mad_over_time(x[1m]) max_of(1,2)
max_over_time(x[1m]) min_of(1,2) min_over_time(x[1m]) minute() month() pi() predict_linear(x[1m],60)
present_over_time(x[1m]) quantile_over_time(0.5,x[1m]) rad(x) range() rate(x[1m]) resets(x[1m]) round(x,2) scalar(x)
sgn(x) sin(x) sinh(x) sort(x) sort_by_label(x,\"a\") sort_by_label_desc(x,\"a\") sort_desc(x) sqrt(x) start()
stddev_over_time(x[1m]) stdvar_over_time(x[1m]) step() sum_over_time(x[1m]) tan(x) tanh(x) time() timestamp(x)
ts_of_first_over_time(x[1m]) ts_of_last_over_time(x[1m]) ts_of_max_over_time(x[1m]) ts_of_min_over_time(x[1m])
vector(1) year()";

const AGGREGATIONS: &[&str] = &[
    "sum(x)",
    "avg by (a) (x)",
    "min without (a) (x)",
    "max(x) by (a)",
    "count(x)",
    "group(x)",
    "stddev(x)",
    "stdvar(x)",
    "topk(1, x)",
    "bottomk(1, x)",
    "quantile(0.5, x)",
    "count_values(\"v\", x)",
    "limitk(1, x)",
    "limit_ratio(0.5, x)",
];

const OPERATORS: &[&str] =
    &["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<=", "and", "or", "unless"];

const MODIFIERS: &[&str] = &[
    "x offset 1m",
    "x offset -1m",
    "x @ 10",
    "x @ start() offset 10s",
    "x @ end()",
    "x > bool 1",
    "x + on (a) x",
    "x + ignoring (a) group_left y",
    "y + ignoring (a) group_right (a) x",
    "x + fill (0) y",
    "x + fill_left (0) fill_right (1) y",
    "sum_over_time(x[1m:10s])",
    "sum_over_time(x[1m:] @ 50 offset 5s)",
    "rate(x[1m] anchored)",
    "rate(x[1m] smoothed)",
    "x smoothed",
    "rate(x[30s * 2])",
    "x offset (1m / 2)",
    "{\"x\", \"a\" = \"1\"}",
    "{__name__ =~ \"x\", a !~ \"9\"}",
    "1h30m + 0x1f + 1_000 + 1e3 + .5 + Inf + NaN",
    "-x ^ 2 # a comment",
];

fn works(text: &str) {
    let data = storage(10_000, "x{a=\"1\"} 1+1x20\ny 1x20\nx_bucket{le=\"1\"} 1x20\nx_bucket{le=\"+Inf\"} 2x20");
    let expr = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let options = Options::default();
    let once = instant(&expr, Timestamp(100_000), &data, &options);
    assert!(once.is_ok(), "{text}: {once:?}");
    let often = range(&expr, Timestamp(0), Timestamp(100_000), 10_000, &data, &options);
    assert!(often.is_ok(), "{text}: {often:?}");
}

#[test]
fn every_part_of_the_language_is_built() {
    FUNCTIONS.split_whitespace().chain(AGGREGATIONS.iter().chain(MODIFIERS).copied()).for_each(works);
    OPERATORS.iter().for_each(|operator| works(&format!("x {operator} x")));
}

#[test]
fn every_function_is_in_the_list_for_readers() {
    let list = include_str!("../../../../../docs/promql.md");
    for call in FUNCTIONS.split_whitespace() {
        let name = call.split('(').next().unwrap_or("");
        assert!(list.contains(&format!("`{name}`")), "{name} is not in docs/promql.md");
    }
    for aggregation in AGGREGATIONS {
        let name = aggregation.split(['(', ' ']).next().unwrap_or("");
        assert!(list.contains(&format!("`{name}`")), "{name} is not in docs/promql.md");
    }
}
