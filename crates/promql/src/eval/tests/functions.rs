//! Functions of instant vectors.

use super::check;

#[test]
fn numbers() {
    for (expr, expected) in [
        ("abs(x)", "{} 2.5"),
        ("ceil(x)", "{} -2"),
        ("floor(x)", "{} -3"),
        ("round(x)", "{} -2"),
        ("round(x, 5)", "{} 0"),
        ("round(vector(0.37), 0.1)", "{} 0.4"),
        ("sgn(x)", "{} -1"),
        ("sgn(x * 0)", "{} -0"),
        ("clamp(x, -1, 1)", "{} -1"),
        ("clamp(x, 1, -1)", ""),
        ("clamp_min(x, NaN)", "{} NaN"),
        ("clamp_max(x, -3)", "{} -3"),
        ("clamp_min(vector(Inf), NaN)", "{} +Inf"),
        ("clamp_max(vector(-Inf), NaN)", "{} -Inf"),
        ("clamp_min(vector(-0), 0)", "{} 0"),
        ("sqrt(x)", "{} NaN"),
        ("ln(vector(0))", "{} -Inf"),
        ("log2(vector(8))", "{} 3"),
        ("log10(vector(1000))", "{} 3"),
        ("exp(vector(0))", "{} 1"),
        ("deg(vector(pi()))", "{} 180"),
        ("scalar(x)", "-2.5"),
        ("scalar(nothing)", "NaN"),
        ("scalar({__name__=~\"x|y\"})", "NaN"),
        ("vector(3)", "{} 3"),
    ] {
        check("x -2.5\ny 1", expr, 0.0, expected);
    }
}

#[test]
fn labels_of_labels() {
    let load = "x{a=\"one-two\", b=\"3\"} 1";
    check(
        load,
        "label_replace(x, \"c\", \"$2/${1}\", \"a\", \"(.*)-(.*)\")",
        0.0,
        "x{a=\"one-two\", b=\"3\", c=\"two/one\"} 1",
    );
    check(load, "label_replace(x, \"c\", \"$1\", \"a\", \"one\")", 0.0, "x{a=\"one-two\", b=\"3\"} 1");
    check(load, "label_replace(x, \"b\", \"\", \"\", \"\")", 0.0, "x{a=\"one-two\"} 1");
    check(load, "label_replace(x, \"__name__\", \"y\", \"\", \"\")", 0.0, "y{a=\"one-two\", b=\"3\"} 1");
    check(
        load,
        "label_replace(x, \"c\", \"$1\", \"a\", \"(\")",
        0.0,
        "invalid regular expression in label_replace(): (",
    );
    check(
        load,
        "label_join(x, \"c\", \",\", \"b\", \"gone\", \"a\")",
        0.0,
        "x{a=\"one-two\", b=\"3\", c=\"3,,one-two\"} 1",
    );
    check(
        "x{a=\"1\"} 1\nx{a=\"2\"} 1",
        "label_replace(x, \"a\", \"\", \"\", \"\")",
        0.0,
        "vector cannot contain metrics with the same labelset (x is there twice)",
    );
}

#[test]
fn absence() {
    check("x 1", "absent(x)", 0.0, "");
    check("x 1", "absent(y{a=\"1\", b=~\"2\", c=\"3\", c=\"4\"})", 0.0, "{a=\"1\"} 1");
    check("x 1", "absent(sum(y{a=\"1\"}))", 0.0, "{} 1");
    check("x 1", "absent_over_time(x[1m])", 59.0, "");
    check("x 1", "absent_over_time(x{a=\"1\"}[1m])", 60.0, "{a=\"1\"} 1");
}

#[test]
fn dates() {
    // 2024-02-29 12:34:56 UTC, a Thursday.
    for (expr, expected) in [
        ("year()", "{} 2024"),
        ("month()", "{} 2"),
        ("day_of_month()", "{} 29"),
        ("day_of_year()", "{} 60"),
        ("day_of_week()", "{} 4"),
        ("days_in_month()", "{} 29"),
        ("hour()", "{} 12"),
        ("minute()", "{} 34"),
        ("year(vector(-1))", "{} 1969"),
        ("day_of_week(vector(259200))", "{} 0"),
        ("year(vector(NaN))", "{} NaN"),
        ("year(vector(1e300))", "{} NaN"),
    ] {
        check("", expr, 1_709_210_096.0, expected);
    }
}

#[test]
fn sorting() {
    let load = "x{a=\"n2\"} 2\nx{a=\"n10\"} 1\nx{a=\"n1\"} NaN";
    check(load, "sort(x)", 0.0, "x{a=\"n10\"} 1\nx{a=\"n2\"} 2\nx{a=\"n1\"} NaN");
    check(load, "sort_desc(x)", 0.0, "x{a=\"n2\"} 2\nx{a=\"n10\"} 1\nx{a=\"n1\"} NaN");
    check(load, "sort_by_label(x, \"a\")", 0.0, "x{a=\"n1\"} NaN\nx{a=\"n2\"} 2\nx{a=\"n10\"} 1");
    check(load, "sort_by_label_desc(x, \"a\")", 0.0, "x{a=\"n10\"} 1\nx{a=\"n2\"} 2\nx{a=\"n1\"} NaN");
}

#[test]
fn quantiles_of_classic_histograms() {
    let load = "
        h_bucket{le=\"0.1\"} 5
        h_bucket{le=\"0.2\"} 7
        h_bucket{le=\"1e0\"} 10
        h_bucket{le=\"+Inf\"} 10
        h_bucket{le=\"no\"} 10
    ";
    for (q, expected) in [
        ("0", "{} 0"),
        ("0.25", "{} 0.05"),
        ("0.6", "{} 0.15000000000000002"),
        ("1", "{} 1"),
        ("1.5", "{} +Inf"),
        ("-1", "{} -Inf"),
        ("NaN", "{} NaN"),
    ] {
        check(load, &format!("histogram_quantile({q}, h_bucket)"), 0.0, expected);
    }
    check("h{le=\"1\"} 1\nh{le=\"2\"} 1", "histogram_quantile(0.5, h)", 0.0, "{} NaN");
    check("h{le=\"1\"} 0\nh{le=\"+Inf\"} 0", "histogram_quantile(0.5, h)", 0.0, "{} NaN");
    check("h{le=\"1\"} 4\nh{le=\"2\"} 3\nh{le=\"+Inf\"} 4", "histogram_quantile(1, h)", 0.0, "{} 1");
    check("h{le=\"1\"} 1\nh{le=\"+Inf\"} 4", "histogram_quantile(0.9, h)", 0.0, "{} 1");
    for (from, to, expected) in [
        ("0", "0.1", "{} 0.5"),
        ("0.15", "+Inf", "{} 0.4"),
        ("-Inf", "+Inf", "{} 1"),
        ("1", "0", "{} 0"),
        ("NaN", "1", "{} NaN"),
    ] {
        check(load, &format!("histogram_fraction({from}, {to}, h_bucket)"), 0.0, expected);
    }
}
