//! Bodies of both dialects, what comes out, and the laws.

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn check_as(dialect: Dialect, body: impl AsRef<[u8]>, expected: &[&str]) {
    let body = body.as_ref();
    let parsed = parse_body(body, dialect, NOW);
    let samples = parsed.samples.iter().map(|(labels, s)| match s.at {
        NOW => format!("{labels} {}", s.value),
        at => format!("{labels} {} {at}", s.value),
    });
    let rejects = parsed.rejected.iter().map(|r| format!("{}:{} {}", r.line, r.column, r.reason));
    assert_eq!(samples.chain(rejects).collect::<Vec<_>>(), expected, "{:?}", String::from_utf8_lossy(body));
}

/// In Prometheus's own format.
fn check(body: impl AsRef<[u8]>, expected: &[&str]) {
    check_as(Dialect::Text, body, expected);
}

/// In OpenMetrics, the end mark added.
fn check_open(body: &str, expected: &[&str]) {
    check_as(Dialect::OpenMetrics, format!("{body}\n# EOF\n"), expected);
}

#[test]
fn the_example_of_the_documentation() {
    check(
        r#"# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9

# Minimalistic line:
metric_without_timestamp_and_labels 12.47

# A weird metric from before the epoch:
something_weird{problem="division by zero"} +Inf -3982045

# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.05"} 24054
http_request_duration_seconds_bucket{le="+Inf"} 144320
http_request_duration_seconds_sum 53423
http_request_duration_seconds_count 144320
# TYPE rpc_duration_seconds summary
rpc_duration_seconds{quantile="0.01"} 3102
rpc_duration_seconds_sum 1.7560473e+07
"#,
        &[
            r#"http_requests_total{code="200", method="post"} 1027 1395066363000"#,
            r#"http_requests_total{code="400", method="post"} 3 1395066363000"#,
            r#"msdos_file_access_time_seconds{error="Cannot find file:\n\"FILE.TXT\"", path="C:\\DIR\\FILE.TXT"} 1458255915"#,
            "metric_without_timestamp_and_labels 12.47",
            r#"something_weird{problem="division by zero"} inf -3982045"#,
            r#"http_request_duration_seconds_bucket{le="0.05"} 24054"#,
            r#"http_request_duration_seconds_bucket{le="+Inf"} 144320"#,
            "http_request_duration_seconds_sum 53423",
            "http_request_duration_seconds_count 144320",
            r#"rpc_duration_seconds{quantile="0.01"} 3102"#,
            "rpc_duration_seconds_sum 17560473",
        ],
    );
}

#[test]
fn open_metrics_with_units_exemplars_and_creation() {
    check_open(
        "# TYPE foo_seconds counter\n# UNIT foo_seconds seconds\n# HELP foo_seconds Some \\\"text\\\".\n\
         foo_seconds_total{a=\"b\"} 17.0 1520879607.789 # {trace_id=\"K # }\"} 0.67 1520879607\n\
         foo_seconds_created{a=\"b\"} 1520430000.123\n\
         bar_bucket{le=\"+Inf\"} 5 # {} 0.5\nbar_info{v=\"1\"} 1\nstate{state=\"on\"} 0",
        &[
            r#"foo_seconds_total{a="b"} 17 1520879607789"#,
            r#"foo_seconds_created{a="b"} 1520430000.123"#,
            r#"bar_bucket{le="+Inf"} 5"#,
            r#"bar_info{v="1"} 1"#,
            r#"state{state="on"} 0"#,
        ],
    );
    // An exemplar is none of the text format's, and in OpenMetrics it stands at the end.
    check("a 1 # {x=\"y\"} 1", &["1:5 timestamp_not_a_number"]);
    check_open("a 1 2 3", &["1:7 too_many_fields"]);
    check_open("a 1 #x", &["1:5 timestamp_not_a_number"]);
}

#[test]
fn the_end_of_open_metrics() {
    check_as(Dialect::OpenMetrics, "a 1\n# EOF", &["a 1"]);
    check_as(Dialect::OpenMetrics, "# EOF\n", &[]);
    check_as(Dialect::OpenMetrics, "a 1\n", &["a 1", "2:1 eof_missing"]);
    check_as(Dialect::OpenMetrics, "", &["1:1 eof_missing"]);
    check_as(Dialect::OpenMetrics, "a 1\n# EOF\nb 1\n\n# TYPE c gauge", &["a 1", "3:1 after_eof", "5:1 after_eof"]);
    check("a 1\n# EOF\nb 1\n", &["a 1", "b 1"]);
}

#[test]
fn names_that_stand_in_quotes() {
    check(
        "{\"my.dotted.metric\", \"error-message\"=\"x\",a=\"b\"} 1\n{\"q\"} 2\n{ \"with \\\"quotes\\\"\" , } 3\n\
         {a=\"b\",\"late\"} 4\n# TYPE \"my.dotted.metric\" counter\n# HELP \"a b\" text\n{__name__=\"n\"} 5",
        &[
            r#"{__name__="my.dotted.metric", a="b", "error-message"="x"} 1"#,
            "q 2",
            r#"{__name__="with \"quotes\""} 3"#,
            r#"late{a="b"} 4"#,
            "n 5",
        ],
    );
    check("a{\"b\"} 1", &["1:3 name_twice"]);
    check("{\"a\",\"b\"} 1", &["1:6 name_twice"]);
    check("{a=\"b\"} 1\n{} 1", &["1:1 no_metric_name", "2:1 no_metric_name"]);
    check("my.metric 1", &["1:1 name_invalid"]);
    check("a{b.c=\"1\"} 1", &["1:4 labels_malformed"]);
    check("a{9b=\"1\"} 1", &["1:3 label_name_invalid"]);
}

#[test]
fn white_space_where_it_may_stand() {
    check(
        "  a  1\t5  \n\tb { x = \"y\" , } 2\r\nc{x=\"}\"}3\r\n \t \n#\n#TYPE d gauge",
        &["a 1 5", r#"b{x="y"} 2"#, r#"c{x="}"} 3"#],
    );
}

#[test]
fn values() {
    check(
        "a Inf\nb +Inf\nc -Inf\nd -0\ne .5\nf 5.\ng 1E3",
        &["a inf", "b inf", "c -inf", "d -0", "e 0.5", "f 5", "g 1000"],
    );
    let parsed = parse_body(b"a NaN\nb nan", Dialect::Text, NOW);
    assert!(parsed.samples.iter().all(|(_, sample)| sample.value.to_bits() == NORMAL_NAN_BITS));
    assert!(!series::is_stale(f64::from_bits(NORMAL_NAN_BITS)));
    for bad in ["0x10", "1_000", "x", "1,5", "1e", "\"1\""] {
        check(format!("a {bad}\nb 1"), &["b 1", "1:3 value_not_a_number"]);
    }
    check("a 1e400", &["1:3 value_out_of_range"]);
    check("a 1 1.5", &["1:5 timestamp_not_a_number"]);
    check("a 1 9223372036854775808", &["1:5 timestamp_not_a_number"]);
}

#[test]
fn a_bad_line_names_its_place_and_its_neighbours_stay() {
    check(
        b"a 1\nb{x=\"\xff\"} 1\nc{x=\"y\" 1\nd{x=y} 1\ne\nf{x=\"1\",x=\"2\"} 1\n{,} 1\ng{x=\"a\"y=\"b\"} 1\nh 1",
        &[
            "a 1",
            "h 1",
            "2:6 not_utf8",
            "3:2 labels_unclosed",
            "4:5 labels_malformed",
            "5:2 value_missing",
            "6:1 label_duplicate",
            "7:2 labels_malformed",
            "8:8 labels_malformed",
        ],
    );
    check("ж{x=\"ж\"} y", &["1:10 value_not_a_number"]);
    check(
        "# TYPE a foo\n# TYPE a\n# TYPE\n# HELP 1x y\n# HELP a",
        &["1:10 type_unknown", "2:9 metadata_malformed", "3:7 metadata_malformed", "4:8 name_invalid"],
    );
    check("<html><body>\n<h1>It works</h1>", &["1:13 value_missing", "2:8 value_not_a_number"]);
}

#[test]
fn metadata_is_told() {
    let body = b"# HELP a one \\\\ two\\nthree\n# TYPE a counter\n# UNIT a s\n# just this\n# EOF\n";
    let entries: Vec<Entry<'_>> = Exposition::new(body, Dialect::OpenMetrics).collect();
    assert_eq!(
        entries,
        [
            Entry::Help { metric: "a".into(), text: "one \\ two\nthree".into() },
            Entry::Type { metric: "a".into(), kind: "counter" },
            Entry::Unit { metric: "a".into(), unit: "s" },
            Entry::Comment,
            Entry::End,
        ]
    );
}

#[test]
fn content_types() {
    for (text, expected) in [
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", Dialect::OpenMetrics),
        ("Application/OpenMetrics-Text", Dialect::OpenMetrics),
        ("text/plain; version=0.0.4", Dialect::Text),
        ("", Dialect::Text),
    ] {
        assert_eq!(Dialect::of_content_type(text), expected, "{text}");
    }
}

fn dialect() -> impl Strategy<Value = Dialect> {
    prop_oneof![Just(Dialect::Text), Just(Dialect::OpenMetrics)]
}

proptest! {
    /// No body panics, and every line that is not blank is told exactly once.
    #[test]
    fn every_line_ends_in_one_place(
        lines in proptest::collection::vec("[ab_.:{}\",=\\\\# \t\rnTYPEOFж0-9+e-]{0,24}", 0..20),
        dialect in dialect(),
    ) {
        let body = lines.join("\n");
        let blank = |line: &&str| line.strip_suffix('\r').unwrap_or(line).trim_matches(BLANK).is_empty();
        let written = body.split('\n').filter(|line| !blank(line)).count();
        let entries: Vec<Entry<'_>> = Exposition::new(body.as_bytes(), dialect).collect();
        let missing = |e: &&Entry<'_>| matches!(e, Entry::Bad(reject) if reject.reason == "eof_missing");
        prop_assert_eq!(entries.len() - entries.iter().filter(missing).count(), written);
        let told = entries.iter().filter(|e| matches!(e, Entry::Sample(_) | Entry::Bad(_))).count();
        let parsed = parse_body(body.as_bytes(), dialect, NOW);
        prop_assert_eq!(parsed.samples.len() + parsed.rejected.count() as usize, told);
    }

    #[test]
    fn bytes_never_panic(body: Vec<u8>, dialect in dialect()) {
        let _ = parse_body(&body, dialect, NOW);
    }

    /// What is written is read again, whatever the label's value.
    #[test]
    fn values_of_labels_come_back(value in "\\PC{1,20}|[\\\\\"\n]{1,6}") {
        let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        let parsed = parse_body(format!("a{{b=\"{escaped}\"}} 1\n").as_bytes(), Dialect::Text, NOW);
        prop_assert!(parsed.rejected.is_empty(), "{:?}", parsed.rejected);
        prop_assert_eq!(parsed.samples[0].0.get("b"), Some(value.as_str()));
    }
}
