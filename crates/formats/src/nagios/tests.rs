//! Vectors of Icinga 2 and Telegraf, the ones that plugins in the wild add, and the laws.

use proptest::prelude::*;

use super::perfdata::{PERF_ITEMS_MAX, UNIT_CHARS_MAX};
use super::*;

/// An item as `label value unit|warn|crit|min|max`, with ranges shortened.
fn item(item: &PerfItem) -> String {
    let threshold = |t: &Option<Threshold>| match t {
        None => String::new(),
        Some(Threshold { range: Some(range), .. }) => range.to_string(),
        Some(Threshold { text, range: None }) => format!("dropped {text}"),
    };
    let bound = |b: Option<f64>| b.map_or(String::new(), |b| b.to_string());
    let value = item.value.map_or("undetermined".to_owned(), |v| v.to_string());
    let (warn, crit, min, max) = (threshold(&item.warn), threshold(&item.crit), bound(item.min), bound(item.max));
    format!("{} {value} {}|{warn}|{crit}|{min}|{max}", item.label, item.unit)
        .trim_end_matches('|')
        .trim_end()
        .to_owned()
}

fn shown(items: &[PerfItem], rejected: &Rejects, notes: &Rejects) -> Vec<String> {
    let rejected = rejected.iter().map(|r| format!("refused {}:{} {} in {}", r.line, r.column, r.reason, r.text));
    let notes = notes.iter().map(|n| format!("noted {}:{} {}", n.line, n.column, n.reason));
    items.iter().map(item).chain(rejected).chain(notes).collect()
}

/// Performance data by itself.
fn check(text: &str, expected: &[&str]) {
    let perf = perfdata::parse(text);
    assert_eq!(shown(&perf.items, &perf.rejected, &perf.notes), expected, "{text:?}");
}

/// A plugin's whole output.
fn check_output(output: impl AsRef<[u8]>, text: &str, long_text: &str, expected: &[&str]) {
    let out = parse(output.as_ref());
    assert_eq!((out.text.as_str(), out.long_text.as_str()), (text, long_text));
    assert_eq!(shown(&out.perf, &out.rejected, &out.notes), expected);
}

#[test]
fn items_and_labels() {
    check("", &[]);
    check("test=123456", &["test 123456"]);
    check("'hello world'=123456", &["hello world 123456"]);
    check("testA=123456 testB=123456", &["testA 123456", "testB 123456"]);
    check(" 'testA'=123456  \n'testB'=123456", &["testA 123456", "testB 123456"]);
    check("test::a=3 b=4", &["test::a 3", "b 4"]);
    check("load.load1min=4 _=1 größe=2", &["load.load1min 4", "_ 1", "größe 2"]);
    check("'it''s'=1", &["it's 1"]);
    check("'a=b'=1 c=d=2", &["a=b 1", "c=d 2"]);
    check("''''=1 '=;|'=2", &["' 1", "=;| 2"]);
    check("a=1\r\nb=2\r\n", &["a 1", "b 2"]);
    check("a=1\tb=2", &["a 1", "b 2"]);
}

#[test]
fn values_and_units() {
    check("testA=2m;3;4;1;5 testB=2foobar", &["testA 2 m|3|4|1|5", "testB 2 foobar"]);
    check("test=1000ms;200;500", &["test 1000 ms|200|500"]);
    check("test=42c", &["test 42 c"]);
    check("test=123456B;1000;2000;3000;4000", &["test 123456 B|1000|2000|3000|4000"]);
    check("test=1.1e+1", &["test 11"]);
    check("test=1.1E-1;1.2e+1;1.3E-1;1.4e-2;1.5E2", &["test 0.11 |12|0.13|0.014|150"]);
    check("test=23.", &["test 23"]);
    check("test=.42", &["test 0.42"]);
    check("test=+1.5E-15EB", &["test 0.0000000000000015 EB"]);
    check("a=5% b=-3.5°C c=1MB/s d=2µs e=5EB f=1m²", &["a 5 %", "b -3.5 °C", "c 1 MB/s", "d 2 µs", "e 5 EB", "f 1 m²"]);
    check("a=U;;;; b=1", &["a undetermined", "b 1"]);
}

#[test]
fn thresholds_and_bounds() {
    check("test=123456;1000:2000;0:3000;3000;4000", &["test 123456 |1000:2000|3000|3000|4000"]);
    check("testA=5;;7;1;9", &["testA 5 ||7|1|9"]);
    check("a=5;7;;1;9", &["a 5 |7||1|9"]);
    check("a=5;;;1;9", &["a 5 |||1|9"]);
    check("a=2m;;;1", &["a 2 m|||1"]);
    check("a=5;;7;;", &["a 5 ||7"]);
    check("a=5;;;;;;", &["a 5"]);
    check("a=1;@1:3,@10:50000;5 b=2", &["a 1 |dropped @1:3,@10:50000|5", "b 2", "noted 1:5 threshold_of_many_ranges"]);
    check(
        "a=1;20:10;-5;0;9",
        &[
            "a 1 |dropped 20:10|dropped -5|0|9",
            "noted 1:5 threshold_start_after_end",
            "noted 1:11 threshold_start_after_end",
        ],
    );
    let plain = |text: &str| perfdata::parse(text).items[0].warn.as_ref().and_then(Threshold::plain);
    assert_eq!(plain("a=1;90"), Some(90.0));
    assert_eq!(plain("a=1;-5"), Some(-5.0));
    assert_eq!(plain("a=1;~:90"), None);
}

#[test]
fn a_bad_item_goes_and_its_neighbours_stay() {
    for (bad, column, reason) in [
        ("123456", 11, "equals_missing"),
        ("test=", 10, "value_empty"),
        ("test=;1", 10, "value_empty"),
        ("test=1,23456", 11, "value_not_a_number"),
        ("test=123_456", 13, "value_not_a_number"),
        ("test=1.2.3", 13, "value_not_a_number"),
        ("test=1;123,456;1;1;1", 12, "warn_invalid"),
        ("test=1;1;123,456;1;1", 14, "crit_invalid"),
        ("test=1;1;1;123,456;1", 16, "min_invalid"),
        ("test=1;1;1;1;123,456", 18, "max_invalid"),
        ("test=123,456;1;1;1;1", 13, "value_not_a_number"),
        ("test=inf", 10, "value_not_a_number"),
        ("test=Inf", 10, "value_not_a_number"),
        ("test=-inf", 10, "value_not_a_number"),
        ("test=nan", 10, "value_not_a_number"),
        ("test=.", 10, "value_not_a_number"),
        ("test=+-1", 10, "value_not_a_number"),
        ("test=1e999", 10, "value_out_of_range"),
        ("test=1k,b", 11, "unit_invalid"),
        ("test=1;10:20:30", 12, "warn_invalid"),
        ("test=1;:", 12, "warn_invalid"),
        ("test=1;@", 12, "warn_invalid"),
        ("test=1;10:~", 12, "warn_invalid"),
        ("test=1;1,5:2", 12, "warn_invalid"),
        ("test=1;;;~:5", 14, "min_invalid"),
        ("test=1;;;;;5", 16, "too_many_fields"),
        ("=1", 5, "label_empty"),
        ("''=1", 5, "label_empty"),
        ("it's=1", 7, "label_quote"),
        ("'a'1", 8, "equals_missing"),
        ("ж=1;ж", 9, "warn_invalid"),
        ("a=1;2/b=3", 12, "space_missing"),
    ] {
        let refused = format!("refused 1:{column} {reason} in {bad}");
        check(&format!("x=1 {bad} y=2"), &["x 1", "y 2", &refused]);
    }
    // Without its second quote nothing says where the label ends, so the line ends there.
    check("x=1 'a b=1 y=2\nz=3", &["x 1", "z 3", "refused 1:5 quote_not_closed in 'a b=1 y=2"]);
    check("a =1", &["refused 1:2 equals_missing in a", "refused 1:3 label_empty in =1"]);
    check("a= 1", &["refused 1:3 value_empty in a=", "refused 1:5 equals_missing in 1"]);
}

#[test]
fn label_and_unit_at_the_limit_and_one_past_it() {
    let max = series::limits::LABEL_VALUE_BYTES_MAX;
    let label = |n: usize| perfdata::parse(&format!("{}=1", "l".repeat(n)));
    assert_eq!(label(max).items.len(), 1);
    assert_eq!(label(max + 1).rejected.by_reason().get("label_too_long"), Some(&1));
    let unit = |n: usize| perfdata::parse(&format!("a=1{}", "u".repeat(n)));
    assert_eq!(unit(UNIT_CHARS_MAX).items.len(), 1);
    assert_eq!(unit(UNIT_CHARS_MAX + 1).rejected.by_reason().get("unit_invalid"), Some(&1));
    assert_eq!(perfdata::parse("a\0=1").rejected.by_reason().get("label_nul"), Some(&1));
}

#[test]
fn outputs_of_real_plugins() {
    check_output(
        "PING OK - Packet loss = 0%, RTA = 0.30 ms|rta=0.298000ms;4000.000000;6000.000000;0.000000 \
         pl=0%;80;90;0;100\nThis is a long output\nwith three lines",
        "PING OK - Packet loss = 0%, RTA = 0.30 ms",
        "This is a long output\nwith three lines",
        &["rta 0.298 ms|4000|6000|0", "pl 0 %|80|90|0|100"],
    );
    check_output(
        "DISK OK - free space: / 3326 MB (56%); | /=2643MB;5948;5958;0;5968\n\
         / 15272 MB (77%);\n/boot 68 MB (69%);\n/home 69357 MB (27%);\n\
         /var/log 819 MB (84%); | /boot=68MB;88;93;0;98\n\
         /home=69357MB;253404;253409;0;253414 \n/var/log=818MB;970;975;0;980\n",
        "DISK OK - free space: / 3326 MB (56%);",
        "/ 15272 MB (77%);\n/boot 68 MB (69%);\n/home 69357 MB (27%);\n/var/log 819 MB (84%);",
        &[
            "/ 2643 MB|5948|5958|0|5968",
            "/boot 68 MB|88|93|0|98",
            "/home 69357 MB|253404|253409|0|253414",
            "/var/log 818 MB|970|975|0|980",
        ],
    );
    check_output(
        "OK: load average| 'load1'=0.00;~:4;@0:6;0; 'load5'=0.01;3;0:5;0;",
        "OK: load average",
        "",
        &["load1 0 |~:4|@6|0", "load5 0.01 |3|5|0"],
    );
    check_output("OK | something=42", "OK", "", &["something 42"]);
    check_output("OK | cpu=15%;;;; memory=20%;;;;", "OK", "", &["cpu 15 %", "memory 20 %"]);
}

#[test]
fn outputs_that_go_wrong() {
    check_output(
        "OK | =3;;;; dgasdg =;;;; sff=;;;;",
        "OK",
        "",
        &[
            "refused 1:6 label_empty in =3;;;;",
            "refused 1:19 equals_missing in dgasdg",
            "refused 1:20 label_empty in =;;;;",
            "refused 1:30 value_empty in sff=;;;;",
        ],
    );
    check_output(r"OK \| cpu=15%", "OK", "", &["cpu 15 %"]);
    check_output(
        "OK | /=2643MB;5948;5958;0;5968/home=1MB b=2",
        "OK",
        "",
        &["b 2", "refused 1:36 space_missing in /=2643MB;5948;5958;0;5968/home=1MB"],
    );
    check_output(
        "OK | a=1 | b=2|c=3",
        "OK",
        "",
        &["a 1", "b 2", "c 3", "noted 1:10 pipe_between_items", "noted 1:15 pipe_between_items"],
    );
    check_output("OK\nlong | a=1 word\nb=2", "OK", "long", &["a 1", "b 2", "refused 2:16 equals_missing in word"]);
    check_output("OK | a=1\n|b=2\nc=3", "OK", "", &["a 1", "b 2", "c 3"]);
    check_output("OK | a=1\r\nlong\r\nmore | b=2\r\nc=3\r\n", "OK", "long\nmore", &["a 1", "b 2", "c 3"]);
    check_output("OK | a=1\nb=2", "OK", "b=2", &["a 1"]);
    check_output("", "", "", &[]);
    check_output("|", "", "", &[]);
    check_output("\n\n", "", "", &[]);
    check_output("OK | a=1 b=2 a=3", "OK", "", &["a 3", "b 2", "noted 1:14 label_twice"]);
    check_output("größe ж | a=1 x", "größe ж", "", &["a 1", "refused 1:16 equals_missing in x"]);
}

#[test]
fn bytes_that_cannot_be_shown_are_replaced_and_counted() {
    let out = parse(b"O\xffK\0 \xc3\xa9 | a=1 b\0=2");
    assert_eq!(out.text, "O\u{fffd}K\u{fffd} é");
    assert_eq!(out.replaced, 3);
    assert_eq!(shown(&out.perf, &out.rejected, &out.notes), ["a 1", "b\u{fffd} 2"]);
}

#[test]
fn output_at_the_limit_and_one_past_it() {
    let at = "x".repeat(OUTPUT_BYTES_MAX);
    let out = parse(at.as_bytes());
    assert_eq!((out.text.len(), out.truncated), (OUTPUT_BYTES_MAX, false));
    let out = parse(format!("{at}x").as_bytes());
    assert_eq!((out.text.len(), out.truncated), (OUTPUT_BYTES_MAX, true));

    // A character is not cut in two.
    let out = parse(format!("{}жж", "x".repeat(OUTPUT_BYTES_MAX - 1)).as_bytes());
    assert_eq!((out.text.len(), out.truncated, out.replaced), (OUTPUT_BYTES_MAX - 1, true, 0));

    // `b=12` cut from `b=123456` would be a wrong number.
    let start = "OK | a=1";
    let cut = format!("{start}{}b=123456", " ".repeat(OUTPUT_BYTES_MAX - start.len() - 4));
    let out = parse(cut.as_bytes());
    assert_eq!(out.perf.len(), 1);
    assert_eq!(out.rejected.iter().next().unwrap().reason, "output_cut_off");
}

#[test]
fn items_at_the_limit_and_one_past_it() {
    let many = |n: usize| parse(format!("OK |{}", (0..n).map(|i| format!(" i{i}={i}")).collect::<String>()).as_bytes());
    assert!(many(PERF_ITEMS_MAX).rejected.is_empty());
    assert_eq!(many(PERF_ITEMS_MAX).perf.len(), PERF_ITEMS_MAX);
    let out = many(PERF_ITEMS_MAX + 1);
    assert_eq!(out.perf.len(), PERF_ITEMS_MAX);
    assert_eq!(out.rejected.by_reason().get("too_many_items"), Some(&1));
}

#[test]
fn a_megabyte_of_anything_is_bounded() {
    for piece in ["x ", "|", "'", "a=1 ", "=", "\n", "'a'", "a=1;", "\u{fffd}", "a=1 'b\n"] {
        let out = parse(format!("OK | {}", piece.repeat(1_048_576 / piece.len())).as_bytes());
        assert!(out.truncated && out.perf.len() <= PERF_ITEMS_MAX, "{piece:?}");
    }
    assert!(parse(&[0xff; 1_048_576]).truncated);
}

fn check_run(stdout: &str, stderr: &str, ended: Ended, state: State, exit_code: Option<i32>, text: &str, long: &str) {
    let run = parse_run(stdout.as_bytes(), stderr.as_bytes(), &ended);
    assert_eq!((run.state, run.exit_code), (state, exit_code), "{ended:?}");
    assert_eq!((run.output.text.as_str(), run.output.long_text.as_str()), (text, long), "{ended:?}");
}

#[test]
fn how_a_run_ended() {
    use State::{Critical, Ok, Unknown, Warning};
    check_run("fine | a=1", "noise", Ended::Code(0), Ok, Some(0), "fine", "");
    check_run("so so", "", Ended::Code(1), Warning, Some(1), "so so", "");
    check_run("bad", "", Ended::Code(2), Critical, Some(2), "bad", "");
    check_run("", "", Ended::Code(3), Unknown, Some(3), "no output, exit code 3", "");
    check_run(" | a=1", "", Ended::Code(0), Ok, Some(0), "no text, exit code 0", "");
    check_run("", "why\nand how\n", Ended::Code(0), Ok, Some(0), "why", "and how");
    check_run("", "sh: x: not found", Ended::Code(127), Unknown, Some(127), "exit code 127: sh: x: not found", "");
    check_run("half", "denied\nat all", Ended::Code(126), Unknown, Some(126), "exit code 126: half", "denied\nat all");
    check_run("out\nlong", "err", Ended::Code(4), Unknown, Some(4), "exit code 4: out", "long\nerr");
    check_run("", "", Ended::Code(-1), Unknown, Some(-1), "exit code -1", "");
    check_run("got this far", "", Ended::Signal(9), Unknown, Some(137), "killed by signal 9: got this far", "");
    check_run("", "", Ended::TimedOut { after_ms: 10_000 }, Unknown, None, "timed out after 10s", "");
    check_run("x", "", Ended::TimedOut { after_ms: 1_500 }, Unknown, None, "timed out after 1.5s: x", "");
    let why = "no such file".to_owned();
    check_run("", "", Ended::NotStarted { why }, Unknown, None, "could not be started: no such file", "");
}

/// Every word of a line without quotes and pipes is an item or a rejection.
fn words(text: &str) -> u64 {
    text.split(|c: char| c.is_ascii_whitespace() || c == '\u{b}').filter(|word| !word.is_empty()).count() as u64
}

proptest! {
    #[test]
    fn no_bytes_panic(output in proptest::collection::vec(any::<u8>(), 0..300), errors in any::<Vec<u8>>(), code: i32) {
        let run = parse_run(&output, &errors, &Ended::Code(code));
        prop_assert!(!run.output.text.is_empty());
    }

    #[test]
    fn no_likely_output_panics(output in r"([a-c'=;|\n ,.@~:0-9UeE%ж\\-]{0,6}(=1|;2| |\n|\|)?){0,20}") {
        let out = parse(output.as_bytes());
        for refused in out.rejected.iter().chain(&out.notes) {
            let line = output.lines().nth(refused.line as usize - 1).unwrap_or_default();
            prop_assert!(line.contains(&refused.text), "{refused}");
            prop_assert!(refused.column as usize <= line.chars().count() + 1, "{refused}");
        }
    }

    #[test]
    fn every_word_is_an_item_or_a_rejection(text in r"([a-c=;,.:0-9U%ж-]{0,8}[ \n\t]){0,12}") {
        let perf = perfdata::parse(&text);
        let replaced = perf.notes.by_reason().get("label_twice").copied().unwrap_or_default();
        prop_assert_eq!(perf.items.len() as u64 + perf.rejected.count() + replaced, words(&text));
    }

    #[test]
    fn what_was_written_is_read_back(
        label in "[^\0\r\n]{1,12}",
        value in any::<f64>().prop_filter("finite", |v| v.is_finite()),
        unit in "(|s|%|c|MB)",
        start in -1e6..1e6f64,
        width in 0.0..1e6f64,
    ) {
        let range = Range { start, end: start + width, alert_inside: false };
        let quoted = label.replace('\'', "''");
        let perf = perfdata::parse(&format!("'{quoted}'={value}{unit};{range};@{range};{start};{value}"));
        prop_assert!(perf.rejected.is_empty(), "{:?}", perf.rejected);
        let item = &perf.items[0];
        prop_assert_eq!((&item.label, item.value, &item.unit), (&label, Some(value), &unit));
        prop_assert_eq!(item.warn.as_ref().and_then(|t| t.range), Some(range));
        prop_assert_eq!(item.crit.as_ref().and_then(|t| t.range), Some(Range { alert_inside: true, ..range }));
        prop_assert_eq!((item.min, item.max), (Some(start), Some(value)));
    }
}
