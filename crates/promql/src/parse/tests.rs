use proptest::prelude::*;

use super::*;
use crate::matcher::MatchOp;

/// Parses `text` and shows the error, or `ok`.
fn check(text: &str, expected: &str) {
    let shown = parse(text).map_or_else(|error| error.to_string(), |_| "ok".to_owned());
    assert_eq!(shown, expected, "\n{text}\n{shown}");
}

#[test]
fn errors_point_at_the_word() {
    check("sum(rate(x[5m])) by (job)", "ok");
    check(
        "sum(rate(x[5m])",
        "line 1, column 16: unexpected end of the expression\n  sum(rate(x[5m])\n                 ^",
    );
    check("1 + + ) 2", "line 1, column 7: unexpected right parenthesis ')'\n  1 + + ) 2\n        ^");
    check("up{job=}", "line 1, column 8: unexpected }\n  up{job=}\n         ^");
    check("a b", "line 1, column 3: unexpected b\n  a b\n    ^");
    check("", "line 1, column 1: the expression is empty\n  \n  ^");
    check("x >\n  frob(y)", "line 2, column 3: unknown function with name 'frob'\n    frob(y)\n    ^");
    check(
        "rate(x[1m]) + rate(x)",
        "line 1, column 15: expected type matrix in call to function 'rate', got vector\n  rate(x[1m]) + rate(x)\n                ^",
    );
    check("x[Inf]", "line 1, column 3: Inf is not a duration\n  x[Inf]\n    ^");
    check("x offset 1e300", "line 1, column 10: 1e300 is not a duration\n  x offset 1e300\n           ^");
    check(
        "x{a=\"b\\xff\"}",
        "line 1, column 7: this escape is no character; write the character itself\n  x{a=\"b\\xff\"}\n        ^",
    );
    check(
        "x{a='\\é'}",
        "line 1, column 6: this escape is no character; write the character itself\n  x{a='\\é'}\n       ^",
    );
    check("x{a=\"\\x41\\101\\u00e9\\\\xff\"}", "ok");
    check("x[0]", "line 1, column 3: a range must be greater than 0\n  x[0]\n    ^");
}

#[test]
fn what_the_grammar_does_not_know_is_read() {
    for text in [
        "x[5m*2]",
        "rate(x[step()+1m])",
        "x[min(range(), 1h):max(step(), 10s)]",
        "x offset (1h/2)",
        "x offset -step()",
        "x offset 1m^2",
        "x[5m] anchored",
        "rate(x{a=\"1\"}[5m] smoothed offset 1m @ end())",
        "sum by (offset) (x @ 5 anchored offset 1m)",
        "x smoothed + y anchored",
        "{offset=\"1\"} + offset",
        "x[20000000]",
        "1_000 + 0x_1f + 1_0e1_0 + .1_2",
        "x[1_0]",
        "info(x, {a=\"1\"})",
    ] {
        check(text, "ok");
    }
    check("x[-5m]", "line 1, column 3: 2:5: duration must be greater than 0\n  x[-5m]\n    ^");
    check("-rate(x[5m/0])", "line 1, column 9: 8:12: division by zero\n  -rate(x[5m/0])\n          ^");
    check("x[20000000001]", "line 1, column 3: 2:13: duration is out of range\n  x[20000000001]\n    ^");
    check("x[5m*2] + )", "line 1, column 11: unexpected right parenthesis ')'\n  x[5m*2] + )\n            ^");
    check(
        "x anchored smoothed",
        "line 1, column 12: anchored and smoothed modifiers cannot be used together\n  x anchored smoothed\n             ^",
    );
    check(
        "x[5m:1m] smoothed",
        "line 1, column 10: smoothed modifier is not supported for subqueries\n  x[5m:1m] smoothed\n           ^",
    );
    check(
        "x{a=\"1\" or b=\"2\"}",
        "line 1, column 9: unexpected \"or\" in label matching, expected \",\" or \"}\"\n  x{a=\"1\" or b=\"2\"}\n          ^",
    );
    check(
        "x and fill(1) y",
        "line 1, column 3: filling in missing series not allowed for set operators\n  x and fill(1) y\n    ^",
    );
    check(
        "info(x, y)",
        "line 1, column 1: expected label selectors only, got vector selector instead\n  info(x, y)\n  ^",
    );
}

#[test]
fn limits_at_the_edge_and_one_past_it() {
    let padded = |bytes: usize| format!("up{}", " ".repeat(bytes - 2));
    assert!(parse(&padded(EXPR_BYTES_MAX)).is_ok());
    assert!(parse(&padded(EXPR_BYTES_MAX + 1)).unwrap_err().message.contains("bytes"));

    let nested = |depth: usize| format!("{}1{}", "(".repeat(depth - 1), ")".repeat(depth - 1));
    assert!(parse(&nested(EXPR_DEPTH_MAX)).is_ok());
    assert!(parse(&nested(EXPR_DEPTH_MAX + 1)).unwrap_err().message.contains("deep"));

    let listed = |marks: usize| format!("vector(1{})", " + 1".repeat(marks - 1));
    assert!(parse(&listed(MARKS_MAX)).unwrap_err().message.contains("deep"));
    assert!(parse(&listed(MARKS_MAX + 1)).unwrap_err().message.contains("operators"));
    assert!(parse(&"(".repeat(EXPR_BYTES_MAX)).is_err());
}

#[test]
fn places_are_searched_in_texts_up_to_a_size() {
    let wrong = |bytes: usize| format!("x{{a=\"{}\"}} )", "v".repeat(bytes - 9));
    assert_eq!(parse(&wrong(LOCATE_BYTES_MAX)).unwrap_err().column, LOCATE_BYTES_MAX);
    assert_eq!(parse(&wrong(LOCATE_BYTES_MAX + 1)).unwrap_err().column, 1);
}

#[test]
fn selectors_become_matchers() {
    let shown = |text| parse_selector(text).map(|m| m.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
    assert_eq!(shown("up").unwrap(), "__name__=\"up\"");
    assert_eq!(shown("up{job=~\"a|b\",x!=\"\"}").unwrap(), "__name__=\"up\",job=~\"a|b\",x!=\"\"");
    assert_eq!(shown("{__name__=\"load.load.shortterm\"}").unwrap(), "__name__=\"load.load.shortterm\"");
    assert_eq!(shown("{\"a.b\", \"région.x\"=\"ü\"}").unwrap(), "__name__=\"a.b\",région.x=\"ü\"");
    for text in ["up[5m]", "up offset 5m", "up @ 1", "sum(up)", "1", "{}", "{a=~\".*\"}", "up{a=\"1\" or b=\"2\"}"] {
        assert!(shown(text).is_err(), "{text}");
    }
}

#[test]
fn matchers_of_go_regular_expressions() {
    let matchers = parse_selector("x{a=~\"v{abc}\"}").unwrap();
    assert_eq!(matchers[1].op(), MatchOp::Regex);
    assert!(matchers[1].matches_value("v{abc}"));
    assert!(parse_selector("x{a=~\"(\"}").is_err());
}

/// The grammar itself must not panic either: its panics are caught, but they are loud.
fn survives(text: &str) -> Result<(), TestCaseError> {
    let failed = parse(text).is_err_and(|error| error.message.contains("parser failed"));
    prop_assert!(!failed, "{}", text);
    Ok(())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,30}") {
        survives(&text)?;
    }

    #[test]
    fn no_heap_of_tokens_makes_it_panic(words in proptest::collection::vec(prop_oneof![
        Just("("), Just(")"), Just("["), Just("]"), Just("{"), Just("}"), Just(","), Just("="), Just("=~"), Just(":"),
        Just("@"), Just("+"), Just("-"), Just("^"), Just("=="), Just("offset"), Just("by"), Just("on"), Just("bool"),
        Just("sum"), Just("rate"), Just("x"), Just("a"), Just("\"s\""), Just("1"), Just("5m"), Just("Inf"), Just("NaN"),
        Just("1e300"), Just("0"), Just("start"), Just("group_left"), Just("0x1f"), Just("anchored"), Just("smoothed"), Just("step()"), Just("*"), Just("max("), Just("or"), Just("topk"), Just("é"),
    ], 0..16), gap in "[ ]{0,1}") {
        survives(&words.join(&gap))?;
    }
}
