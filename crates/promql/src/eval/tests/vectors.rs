//! Selectors, literals, lookback, staleness, offset and `@`, aggregation.

use super::check;

const CPU: &str = "
    cpu{host=\"a\", mode=\"idle\"} 0+1x100
    cpu{host=\"a\", mode=\"user\"} 0+2x100
    cpu{host=\"b\", mode=\"idle\"} 0+3x100
    cpu{host=\"b\", mode=\"user\"} NaNx100
";

#[test]
fn literals_and_scalars() {
    check("", "1 + 2 * 3 ^ 2 - 4 % 3", 0.0, "18");
    check("", "-2 ^ 2", 0.0, "-4");
    check("", "2 ^ 3 ^ 2", 0.0, "512");
    check("", "1 > bool 2", 0.0, "0");
    check("", "-1 atan2 0", 0.0, "-1.5707963267948966");
    check("", "\"a\\tb\"", 0.0, "\"a\\tb\"");
    check("", "time() + pi() * 0", 12.5, "12.5");
    check("", "0x1F + 1e3", 0.0, "1031");
    check("", "1h30m", 0.0, "5400");
}

#[test]
fn matchers_select() {
    check(CPU, "cpu{host=\"a\"}", 20.0, "cpu{host=\"a\", mode=\"idle\"} 2\ncpu{host=\"a\", mode=\"user\"} 4");
    check(CPU, "{__name__=~\"c.u\", mode!=\"user\", host!~\"b|c\"}", 20.0, "cpu{host=\"a\", mode=\"idle\"} 2");
    check(CPU, "{\"cpu\", mode=\"idle\", gone=\"\", host=\"b\"}", 20.0, "cpu{host=\"b\", mode=\"idle\"} 6");
    check(CPU, "nothing", 20.0, "");
}

#[test]
fn lookback_is_open_on_the_left_and_stale_markers_end_a_series() {
    check("x 1", "x", 299.999, "x 1");
    check("x 1", "x", 300.0, "");
    check("x 1", "x", -0.001, "");
    check("x 1 stale 3", "x", 19.9, "");
    check("x 1 stale 3", "x", 20.0, "x 3");
    check("x NaN", "x", 0.0, "x NaN");
}

#[test]
fn offset_and_at_move_the_time() {
    check("x 0+1x100", "x offset 50s", 100.0, "x 5");
    check("x 0+1x100", "x offset -50s", 100.0, "x 15");
    check("x 0+1x100", "x @ 30", 100.0, "x 3");
    check("x 0+1x100", "x @ 30 offset 10s", 100.0, "x 2");
    check("x 0+1x100", "x @ start() + x @ end()", 100.0, "{} 20");
    check("x 0+1x100", "timestamp(x @ 35)", 100.0, "{} 30");
    check("x 0+1x100", "timestamp((x offset 7s))", 100.0, "{} 90");
    check("x 0+1x100", "timestamp(-x)", 101.0, "{} 101");
}

#[test]
fn aggregations_fold_groups() {
    check(CPU, "sum(cpu{mode=\"idle\"})", 20.0, "{} 8");
    check(CPU, "sum by (host) (cpu{mode=\"idle\"})", 20.0, "{host=\"a\"} 2\n{host=\"b\"} 6");
    check(CPU, "sum without (host) (cpu{mode=\"idle\"})", 20.0, "{mode=\"idle\"} 8");
    check(CPU, "max by (host) (cpu)", 20.0, "{host=\"a\"} 4\n{host=\"b\"} 6");
    check(CPU, "min by (mode) (cpu)", 20.0, "{mode=\"idle\"} 2\n{mode=\"user\"} 4");
    check(CPU, "avg(cpu{host=\"a\"})", 20.0, "{} 3");
    check(CPU, "count(cpu)", 20.0, "{} 4");
    check(CPU, "group(cpu)", 20.0, "{} 1");
    check(CPU, "stdvar(cpu{host=\"a\"})", 20.0, "{} 1");
    check(CPU, "stddev(cpu{host=\"a\"})", 20.0, "{} 1");
    check(CPU, "quantile(0.5, cpu{host=\"a\"})", 20.0, "{} 3");
    check(CPU, "sum(nothing)", 20.0, "");
    check(CPU, "sum by (__name__, host) (cpu{host=\"a\"})", 20.0, "cpu{host=\"a\"} 6");
}

#[test]
fn some_aggregations_keep_series() {
    check(CPU, "topk(2, cpu)", 20.0, "cpu{host=\"b\", mode=\"idle\"} 6\ncpu{host=\"a\", mode=\"user\"} 4");
    check(CPU, "bottomk(1, cpu)", 20.0, "cpu{host=\"a\", mode=\"idle\"} 2");
    check(CPU, "topk by (host) (1, cpu)", 20.0, "cpu{host=\"a\", mode=\"user\"} 4\ncpu{host=\"b\", mode=\"idle\"} 6");
    check(
        CPU,
        "topk(9, cpu{host=\"b\"})",
        20.0,
        "cpu{host=\"b\", mode=\"idle\"} 6\ncpu{host=\"b\", mode=\"user\"} NaN",
    );
    check(
        CPU,
        "bottomk(9, cpu{host=\"b\"})",
        20.0,
        "cpu{host=\"b\", mode=\"idle\"} 6\ncpu{host=\"b\", mode=\"user\"} NaN",
    );
    check(CPU, "topk(0, cpu)", 20.0, "");
    check(CPU, "topk(NaN, cpu)", 20.0, "Parameter value is NaN");
    check(CPU, "count_values(\"v\", cpu > 3)", 20.0, "{v=\"4\"} 1\n{v=\"6\"} 1");
    check(CPU, "count_values by (mode) (\"mode\", cpu * 0)", 20.0, "{mode=\"0\"} 3\n{mode=\"NaN\"} 1");
    check("x{a=\"1\"} 1e300\nx{a=\"2\"} 1e300", "count_values(\"v\", x / 1e300)", 0.0, "{v=\"1\"} 2");
}

#[test]
fn a_ratio_and_its_complement_keep_each_series_once() {
    for ratio in ["0", "0.25", "0.5", "1"] {
        check(CPU, &format!("count(limit_ratio({ratio}, cpu) or limit_ratio({ratio} - 1, cpu))"), 20.0, "{} 4");
        check(CPU, &format!("limit_ratio({ratio}, cpu) and limit_ratio({ratio} - 1, cpu)"), 20.0, "");
    }
    check(CPU, "count(limitk(3, cpu))", 20.0, "{} 3");
}

#[test]
fn what_is_not_built_yet_is_named_with_its_column() {
    check("", "1 +\n  start_timestamp(x)", 0.0, "the function start_timestamp() is not built yet (line 2, column 3)");
}

#[test]
fn functions_of_native_histograms_pass_over_numbers() {
    check(CPU, "histogram_avg(cpu) or histogram_count(cpu) or histogram_stddev(cpu)", 20.0, "");
}
