//! Operators between vectors: matching, grouping, sets, names, errors.

use super::check;

const LOAD: &str = "
    errors{host=\"a\", code=\"500\"} 24
    errors{host=\"a\", code=\"404\"} 30
    errors{host=\"b\", code=\"500\"} 6
    requests{host=\"a\"} 600
    requests{host=\"b\"} 120
    info{host=\"a\", os=\"linux\"} 1
    info{host=\"b\", os=\"bsd\"} 1
";

#[test]
fn one_to_one() {
    check(
        LOAD,
        "errors{code=\"500\"} / ignoring(code) requests",
        0.0,
        "{host=\"a\"} 0.04
         {host=\"b\"} 0.05",
    );
    check(LOAD, "errors{code=\"404\"} / on(host) requests", 0.0, "{host=\"a\"} 0.05");
    check(LOAD, "requests - requests", 0.0, "{host=\"a\"} 0\n{host=\"b\"} 0");
    check(LOAD, "errors / requests", 0.0, "");
}

#[test]
fn many_to_one() {
    check(
        LOAD,
        "errors / ignoring(code) group_left requests",
        0.0,
        "{code=\"404\", host=\"a\"} 0.05
         {code=\"500\", host=\"a\"} 0.04
         {code=\"500\", host=\"b\"} 0.05",
    );
    check(
        LOAD,
        "requests * on(host) group_left(os) info",
        0.0,
        "{host=\"a\", os=\"linux\"} 600
         {host=\"b\", os=\"bsd\"} 120",
    );
    check(
        LOAD,
        "info * on(host) group_right(os) errors{code=\"500\"}",
        0.0,
        "{code=\"500\", host=\"a\", os=\"linux\"} 24
         {code=\"500\", host=\"b\", os=\"bsd\"} 6",
    );
    check(LOAD, "requests < on(host) group_right errors", 0.0, "");
}

#[test]
fn ambiguity_is_an_error() {
    check(
        LOAD,
        "errors / ignoring(code) requests",
        0.0,
        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right) ({host=\"a\"})",
    );
    check(
        LOAD,
        "requests / on(host) errors",
        0.0,
        "found duplicate series for the match group {host=\"a\"} on the right hand-side of the operation: \
         [{__name__=\"errors\", code=\"500\", host=\"a\"}, {__name__=\"errors\", code=\"404\", host=\"a\"}];\
         many-to-many matching not allowed: matching labels must be unique on one side",
    );
    check(
        LOAD,
        "errors * on(host) group_left(code) info",
        0.0,
        "multiple matches for labels: grouping labels must ensure unique matches ({host=\"a\"})",
    );
    check(
        "a{x=\"1\"} 1\nb{x=\"1\"} 2",
        "-{x=\"1\"}",
        0.0,
        "vector cannot contain metrics with the same labelset ({x=\"1\"} is there twice)",
    );
}

#[test]
fn comparisons_filter_or_answer() {
    check(LOAD, "requests > 200", 0.0, "requests{host=\"a\"} 600");
    check(LOAD, "200 < requests", 0.0, "requests{host=\"a\"} 600");
    check(LOAD, "requests > bool 200", 0.0, "{host=\"a\"} 1\n{host=\"b\"} 0");
    check(LOAD, "requests == on(host) requests", 0.0, "{host=\"a\"} 600\n{host=\"b\"} 120");
    check(LOAD, "requests >= requests", 0.0, "requests{host=\"a\"} 600\nrequests{host=\"b\"} 120");
    check("x NaN", "x != x", 0.0, "x NaN");
    check("x NaN", "x == bool x", 0.0, "{} 0");
}

#[test]
fn fill_stands_in_for_the_missing_side() {
    check(LOAD, "errors{code=\"404\"} / on(host) fill(0) requests", 0.0, "{host=\"a\"} 0.05\n{host=\"b\"} 0");
    check(LOAD, "requests - on(host) fill_right(1) info{os=\"bsd\"}", 0.0, "{host=\"a\"} 599\n{host=\"b\"} 119");
    check(LOAD, "requests - on(host) fill_left(1) info{os=\"bsd\"}", 0.0, "{host=\"b\"} 119");
    check(LOAD, "nothing + fill_left(7) requests", 0.0, "{host=\"a\"} 607\n{host=\"b\"} 127");
}

#[test]
fn sets() {
    check(LOAD, "requests and on(host) errors{code=\"404\"}", 0.0, "requests{host=\"a\"} 600");
    check(LOAD, "requests unless on(host) errors{code=\"404\"}", 0.0, "requests{host=\"b\"} 120");
    check(
        LOAD,
        "errors{host=\"b\"} or on(host) requests",
        0.0,
        "errors{code=\"500\", host=\"b\"} 6
         requests{host=\"a\"} 600",
    );
    check(LOAD, "requests or info{os=\"none\"}", 0.0, "requests{host=\"a\"} 600\nrequests{host=\"b\"} 120");
    check(LOAD, "vector(1) or requests", 0.0, "{} 1\nrequests{host=\"a\"} 600\nrequests{host=\"b\"} 120");
}
