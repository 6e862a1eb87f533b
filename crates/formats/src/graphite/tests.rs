//! Carbon's own vectors, the ones that senders in the wild add, and the laws.

use proptest::prelude::*;

use super::*;
use crate::parsed::REJECT_TEXT_CHARS_MAX;

const NOW: Timestamp = Timestamp(1_732_877_464_906);

/// The samples as `series value ms`, then the rejections as `line:column reason`.
fn shown(parsed: &Parsed) -> Vec<String> {
    let samples = parsed.samples.iter().map(|(labels, s)| match labels.len() {
        1 => format!("{} {} {}", labels.metric_name().unwrap(), s.value, s.at),
        _ => format!("{labels} {} {}", s.value, s.at),
    });
    let rejects = parsed.rejected.iter().map(|r| format!("{}:{} {}", r.line, r.column, r.reason));
    samples.chain(rejects).collect()
}

fn check(text: impl AsRef<[u8]>, expected: &[&str]) {
    let text = text.as_ref();
    assert_eq!(shown(&parse_body(text, NOW)), expected, "{:?}", String::from_utf8_lossy(text));
}

#[test]
fn what_carbon_takes() {
    check("foo.bar 1.5 1", &["foo.bar 1.5 1000"]);
    check("жопа 42 -1", &["жопа 42 1732877464906"]);
    check("lines 1 2\nare 3 4\nnot\nvalid 5 6\n", &["lines 1 2000", "are 3 4000", "valid 5 6000", "3:4 value_missing"]);
    check(
        [&b"\xd0\xb6".repeat(401)[..], b" 1 2\nb 1 2"].concat(),
        &[&format!("{} 1 2000", "ж".repeat(401)), "b 1 2000"],
    );
    check([&b"\xd0\xb6".repeat(401)[..], b"\nb 1 2"].concat(), &["b 1 2000", "1:402 value_missing"]);
    check("a nan 1\na NaN 1\nb 1 1", &["b 1 1000", "1:3 value_nan", "2:3 value_nan"]);
    check("a 1 1005", &["a 1 1005000"]);
    check("a 1 1732877464.906", &["a 1 1732877464000"]);
    check("a 1 -1.0", &["a 1 1732877464906"]);
    check("a inf 1\na -inf 1", &["a inf 1000", "a -inf 1000"]);
}

#[test]
fn what_carbon_refuses_and_senders_send() {
    check("carbon.foo 1", &["carbon.foo 1 1732877464906"]);
    check("carbon.foo 1 N", &["carbon.foo 1 1732877464906"]);
    check("a 1 1732877464906", &["a 1 1732877464906"]);
    assert_eq!(parse_body(b"a 1 1732877464906\nb 1 5", NOW).notes.get("timestamp_in_ms"), Some(&1));
}

#[test]
fn white_space() {
    check("a\t1\t5\r\n  b   2\t 6  \r\n", &["a 1 5000", "b 2 6000"]);
    check("\n \r\n\t\na 1 5", &["a 1 5000"]);
    check("", &[]);
    check("a 1\u{a0}5", &["1:3 value_not_a_number"]);
}

#[test]
fn numbers() {
    check(
        "a 1e3 5\na +1 5\na -1 5\na .5 5\na 5. 5\na -0 5",
        &["a 1000 5000", "a 1 5000", "a -1 5000", "a 0.5 5000", "a 5 5000", "a -0 5000"],
    );
    for bad in ["0x10", "1_000", "up", "1,5", "--1", "1e", "", "\"1\"", "١"] {
        let expected = if bad.is_empty() { "1:2 value_missing" } else { "1:3 value_not_a_number" };
        check(format!("a {bad}"), &[expected]);
        if !bad.is_empty() {
            check(format!("a 1 {bad}"), &["1:5 timestamp_not_a_number"]);
        }
    }
    check("a 1e400 5", &["1:3 value_out_of_range"]);
    check("a 1 nan", &["1:5 timestamp_not_a_number"]);
}

#[test]
fn times_at_the_limits_and_one_past_them() {
    check("a 1 0\na 1 4102444800", &["a 1 0", "a 1 4102444800000"]);
    check("a 1 99999999999", &["a 1 99999999999000"]);
    check("a 1 100000000000", &["1:5 timestamp_out_of_range"]);
    check("a 1 999999999999", &["1:5 timestamp_out_of_range"]);
    check("a 1 1000000000000", &["a 1 1000000000000"]);
    check("a 1 9999999999999", &["a 1 9999999999999"]);
    check("a 1 10000000000000", &["1:5 timestamp_out_of_range"]);
    for bad in ["-2", "-0.5", "inf", "-inf", "1e400", "1732877464906000"] {
        check(format!("a 1 {bad}"), &["1:5 timestamp_out_of_range"]);
    }
}

#[test]
fn tags() {
    check("disk.used;rack=a1;datacenter=dc1 5 6", &[r#"{__name__="disk.used", datacenter="dc1", rack="a1"} 5 6000"#]);
    check("m;a=b=c 5 6", &[r#"m{a="b=c"} 5 6000"#]);
    check("m;a=1;a=2 5 6", &[r#"m{a="2"} 5 6000"#]);
    check("m;name=other;a=1 5 6", &[r#"m{a="1"} 5 6000"#]);
    check("~~a~~.~~~b 5 6", &["a~~.~~~b 5 6000"]);
    check("~~a~~.~~~b;t=v 5 6", &[r#"{__name__="a~~.~~~b", t="v"} 5 6000"#]);
    for (path, expected) in [
        ("metric.name;tag=", "1:17 tag_value_empty"),
        ("metric.name;=value", "1:13 tag_key_empty"),
        ("metric.name;tagvalue", "1:13 tag_without_value"),
        ("metric.name;tag=~value", "1:17 tag_value_tilde"),
        ("metric.name;ta!g=value", "1:15 tag_key_character"),
        ("metric.name;ta^g=value", "1:15 tag_key_character"),
        ("metric.name;", "1:13 tag_without_value"),
        ("m;__name__=x", "1:3 tag_key_reserved"),
        (";a=b", "1:1 name_empty"),
        ("~~~;a=b", "1:1 name_empty"),
        ("~~~", "1:1 name_empty"),
        ("ж;a=", "1:5 tag_value_empty"),
    ] {
        check(format!("{path} 5 6\nb 1 1"), &["b 1 1000", expected]);
    }
    // No spaces anywhere: the rest of a value would be a field of its own.
    check("m;a=b c 5 6", &["1:11 too_many_fields"]);
}

#[test]
fn tags_as_open_metrics_writes_them() {
    check(r#"m{a="1",b="x=,}"} 5 6"#, &[r#"m{a="1", b="x=,}"} 5 6000"#]);
    check(r#"m{a="q\"\\w\d",} 5 6"#, &[r#"m{a="q\"\\w\\d"} 5 6000"#]);
    check("m{} 5 6", &["m 5 6000"]);
    for (path, expected) in [
        ("m{a}", "1:3 tags_malformed"),
        ("m{a=1}", "1:3 tags_malformed"),
        (r#"m{a="1}"#, "1:6 tags_malformed"),
        (r#"m{a="1"b="2"}"#, "1:8 tags_malformed"),
        (r#"m{a="",b="2"}"#, "1:6 tag_value_empty"),
        (r#"m{="1"}"#, "1:3 tag_key_empty"),
        (r#"{a="1"}"#, "1:1 name_empty"),
    ] {
        check(format!("{path} 5 6"), &[expected]);
    }
}

#[test]
fn odd_names_are_taken_as_they_are() {
    for name in ["a..b", ".a", "a.", ".", "a[0].b", "a*b?", "a{b", "a}b", "a.{b,c}.d", "0x10", "-1"] {
        check(format!("{name} 5 6"), &[&format!("{name} 5 6000")]);
    }
}

#[test]
fn long_and_broken_input() {
    check(format!("{} 5 6\nb 1 1", "p".repeat(1_024)), &[&format!("{} 5 6000", "p".repeat(1_024)), "b 1 1000"]);
    check(format!("{} 5 6\nb 1 1", "p".repeat(4_096)), &["b 1 1000", "1:1 label_value_too_long"]);
    check(b"a\xff 5 6\nb 1 1", &["b 1 1000", "1:2 not_utf8"]);
    check(b"a\0 5 6\nb 1 1", &["b 1 1000", "1:1 label_control_character"]);
    check("a\nb 1 2 3\nc 1 1", &["c 1 1000", "1:2 value_missing", "2:7 too_many_fields"]);

    let text = "x".repeat(1_000);
    let parsed = parse_body(text.as_bytes(), NOW);
    assert_eq!(parsed.rejected.iter().next().unwrap().text.len(), REJECT_TEXT_CHARS_MAX);
}

#[test]
fn a_datagram_of_64_kb() {
    let line = "some.metric.name 1 1\n";
    let body = line.repeat(65_507 / line.len());
    assert_eq!(parse_body(body.as_bytes(), NOW).samples.len(), body.lines().count());
}

#[test]
fn a_line_at_the_limit_and_one_past_it() {
    let line = |bytes: usize| format!("a 1{}", " ".repeat(bytes - 3));
    check(format!("{}\nb 1 1", line(LINE_BYTES_MAX)), &["a 1 1732877464906", "b 1 1000"]);
    let past = format!("{}\nb 1 1", line(LINE_BYTES_MAX + 1));
    let expected = format!("1:{} line_too_long", LINE_BYTES_MAX + 1);
    check(&past, &["b 1 1000", &expected]);

    let (mut connection, mut out) = (Connection::new(), Parsed::default());
    for chunk in past.as_bytes().chunks(1_000) {
        connection.read(chunk, NOW, &mut out);
    }
    connection.close(NOW, &mut out);
    assert_eq!(shown(&out), ["b 1 1000", &expected]);
}

#[test]
fn a_connection_cut_anywhere() {
    let text = "a.b;t=v 1 5\r\nbad\r\n\nc.ж 2 6\nlast 3 7";
    for at in 0..=text.len() {
        let (mut connection, mut out) = (Connection::new(), Parsed::default());
        connection.read(&text.as_bytes()[..at], NOW, &mut out);
        connection.read(&text.as_bytes()[at..], NOW, &mut out);
        connection.close(NOW, &mut out);
        assert_eq!(out, parse_body(text.as_bytes(), NOW), "cut at {at}");
        assert_eq!(out.samples.len(), 3);
    }
}

#[test]
fn a_rejection_shows_its_place() {
    let text = "good.one 1 5\nload.avg\tup 5\n";
    let parsed = parse_body(text.as_bytes(), NOW);
    let reject = parsed.rejected.iter().next().unwrap();
    assert_eq!(reject.caret(text), "load.avg\tup 5\n        \t^ value_not_a_number");
    assert_eq!(reject.text, "load.avg\tup 5");
}

fn accounted(parsed: &Parsed, body: &[u8]) -> bool {
    let blank = |line: &&[u8]| line.iter().all(|b| b.is_ascii_whitespace() || *b == 0x0b);
    let lines = body.split(|b| *b == b'\n').filter(|line| !blank(line)).count();
    parsed.samples.len() as u64 + parsed.rejected.count() == lines as u64
}

proptest! {
    #[test]
    fn every_line_is_a_sample_or_a_rejection(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(accounted(&parse_body(&body, NOW), &body));
    }

    #[test]
    fn every_likely_line_is_a_sample_or_a_rejection(
        body in r#"([ab~.;={}",!*\\]{0,8}[ \t]{0,2}(1|-1|nan|1e9|N|x|0.5|1732877464906)?[ ]?(5|-1|N|x)?\r?\n?){0,8}"#,
    ) {
        prop_assert!(accounted(&parse_body(body.as_bytes(), NOW), body.as_bytes()));
    }

    #[test]
    fn what_was_written_is_read_back(
        name in "[a-z][a-z.]{0,20}",
        tags in proptest::collection::btree_map("[a-m]{1,5}", "[a-z0-9=]{1,5}", 0..4),
        value in any::<f64>().prop_filter("finite", |v| v.is_finite()),
        seconds in 0i64..=99_999_999_999,
    ) {
        let written: String = tags.iter().map(|(k, v)| format!(";{k}={v}")).collect();
        let point = parse_line(format!("{name}{written} {value} {seconds}").as_bytes(), NOW).unwrap().unwrap();
        prop_assert_eq!(point.labels.metric_name(), Some(name.as_str()));
        prop_assert_eq!(point.labels.len(), tags.len() + 1);
        for (key, tag) in &tags {
            prop_assert_eq!(point.labels.get(key), Some(tag.as_str()));
        }
        prop_assert_eq!(point.sample, Sample { at: Timestamp(seconds * 1_000), value });
    }
}
