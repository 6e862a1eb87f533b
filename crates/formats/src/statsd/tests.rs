//! The vectors of statsd's own tests and of DogStatsD's documentation, and the laws.

use proptest::prelude::*;

use super::*;

fn shown(datagram: &[u8]) -> Vec<String> {
    let mut rejected = Rejects::default();
    let mut items = Vec::new();
    parse_datagram(datagram, &mut rejected, |item| {
        items.push(match item {
            Item::Metric(Metric { name, kind, value, rate, tags }) => {
                let value = match value {
                    Value::Number { value, signed: true } => format!("{value:+}"),
                    Value::Number { value, signed: false } => value.to_string(),
                    Value::Member(member) => member.to_owned(),
                };
                let rate = if rate == 1.0 { String::new() } else { format!(" @{rate}") };
                let tags = if tags.is_empty() { String::new() } else { format!(" #{tags}") };
                format!("{name} {value} {kind:?}{rate}{tags}")
            }
            Item::Event(e) => format!("event {:?} {:?} {:?} {} {} {}", e.title, e.text, e.at, e.host, e.alert, e.tags),
            Item::ServiceCheck(c) => {
                format!("check {} {:?} {:?} {} {} {:?}", c.name, c.state, c.at, c.host, c.tags, c.message)
            }
        });
        Ok(())
    });
    items.extend(rejected.iter().map(|r| format!("{}:{} {}", r.line, r.column, r.reason)));
    items
}

fn check(datagram: impl AsRef<[u8]>, expected: &[&str]) {
    let datagram = datagram.as_ref();
    assert_eq!(shown(datagram), expected, "{:?}", String::from_utf8_lossy(datagram));
}

#[test]
fn values_of_statsds_own_tests() {
    for (field, expected) in [
        ("0,345345|ms", "1:3 value_not_a_number"),
        ("|c", "1:3 value_not_a_number"),
        ("+10e1|c", "a +100 Counter"),
        ("-10|c", "a -10 Counter"),
        ("-1|ms", "1:3 time_negative"),
        ("|g", "1:3 value_not_a_number"),
        ("foo|s", "a foo Set"),
        ("-0.0|c", "a -0 Counter"),
        ("0x1F|c", "a 31 Counter"),
        ("1|g", "a 1 Gauge"),
        ("1e3|ms", "a 1000 Timer"),
        ("1|m", "a 1 Counter"),
        ("x|m", "1:3 value_not_a_number"),
        ("inf|g", "1:3 value_not_a_number"),
        ("NaN|g", "1:3 value_not_a_number"),
        ("1e999|g", "1:3 value_out_of_range"),
        ("1", "1:4 type_missing"),
        ("1|", "1:5 type_missing"),
    ] {
        let expected = if field.starts_with("+10e1") { "a +100 Counter" } else { expected };
        check(format!("a:{field}"), &[expected]);
    }
}

#[test]
fn rates_of_statsds_own_tests() {
    for bad in ["", "b", "@", "@blah", "@.", "@.1.", "@-1.0", "@0"] {
        check(format!("a:1|c|{bad}"), &["1:7 rate_invalid"]);
    }
    check("a:1|c|@.2", &["a 1 Counter @0.2"]);
    check("a:1|c|@2e-1", &["a 1 Counter @0.2"]);
    check("a:1|c|@2", &["a 1 Counter @2"]);
}

#[test]
fn many_values_in_both_spellings() {
    check("a:1|c:2|c", &["a 1 Counter", "a 2 Counter"]);
    check("a:1|c|@0.1:2|g:3|ms", &["a 1 Counter @0.1", "a 2 Gauge", "a 3 Timer"]);
    check(
        "a:1:2:3|d|#k:v,t|@0.5",
        &["a 1 Distribution @0.5 #k:v,t", "a 2 Distribution @0.5 #k:v,t", "a 3 Distribution @0.5 #k:v,t"],
    );
    check("a:1:x:3|h", &["a 1 Histogram", "a 3 Histogram", "1:5 value_not_a_number"]);
    check("a:1|c|@x:2|c", &["a 2 Counter", "1:7 rate_invalid"]);
    check("u:one:two|s", &["u one:two Set"]);
    check("u:1|s:2|s", &["u 1 Set", "u 2 Set"]);
}

#[test]
fn fields_of_dogstatsd() {
    check("page.views:1|c", &["page.views 1 Counter"]);
    check("fuel.level:0.5|g", &["fuel.level 0.5 Gauge"]);
    check("song.length:240|h|@0.5", &["song.length 240 Histogram @0.5"]);
    check("users.uniques:1234|s", &["users.uniques 1234 Set"]);
    check("users.online:1|c|@0.5|#country:china", &["users.online 1 Counter @0.5 #country:china"]);
    check("users.online:1|c|#country:china|@0.5", &["users.online 1 Counter @0.5 #country:china"]);
    check(
        "page.views:1|g|#env:dev|c:83c0a99c0a54c0c187f461c7980e9b57f3f6a8b0c918c8d93df19a9de6f3fe1d",
        &["page.views 1 Gauge #env:dev"],
    );
    check("page.views:15|c|#env:dev|T1656581400", &["page.views 15 Counter #env:dev"]);
    check("a:1|c|T1656581400", &["a 1 Counter"]);
    check("a:1|c|c:abc|card:low|zz:1", &["a 1 Counter"]);
    check("a:1|c|#|x|yy", &["a 1 Counter"]);
}

#[test]
fn events() {
    check(
        "_e{21,36}:An exception occurred|Cannot parse CSV file from 10.0.0.17|t:warning|#err_type:bad_file",
        &["event \"An exception occurred\" \"Cannot parse CSV file from 10.0.0.17\" None  warning err_type:bad_file"],
    );
    check(
        "_e{6,8}:жук|a\\nb\\ncd|d:1700000000|h:web|k:x|p:low|s:y|t:error|new:1",
        &["event \"жук\" \"a\\nb\\ncd\" Some(Timestamp(1700000000000)) web error "],
    );
    check("_e{3,1}:жук|a", &["1:9 event_length"]);
    check("_e{1,2}:a|b", &["1:9 event_length"]);
    check("_e{1,1}:a|bc", &["1:9 event_length"]);
    check("_e{0,1}:|b", &["1:9 event_length"]);
    for bad in ["_e{1}:a|b", "_e{1,x}:a|b", "_e{1,1:a|b", "_e{-1,1}:a|b"] {
        check(bad, &["1:4 event_malformed"]);
    }
    check("_e{5,4}:title|t|xt", &["event \"title\" \"t|xt\" None   "]);
    check("_e{99999999999999999999,4}:title|text", &["1:4 event_malformed"]);
    check("_e{18446744073709551615,4}:title|text", &["1:28 event_length"]);
}

#[test]
fn service_checks() {
    check(
        "_sc|Redis connection|2|#env:dev|m:Redis connection timed out after 10s",
        &["check Redis connection Critical None  env:dev \"Redis connection timed out after 10s\""],
    );
    check("_sc|a|0", &["check a Ok None   \"\""]);
    check(
        "_sc|a|1|d:1700000000|h:web|zz:1|m:x|y\\nz",
        &["check a Warning Some(Timestamp(1700000000000)) web  \"x|y\\nz\""],
    );
    check("_sc|a|3|", &["check a Unknown None   \"\""]);
    check("_sc|a|4", &["1:7 status_invalid"]);
    check("_sc|a", &["1:6 service_check_malformed"]);
    check("_sc||0", &["1:5 service_check_malformed"]);
}

#[test]
fn lines_of_a_datagram() {
    check("a:1|c\n\nb:2|g\r\nbad\n:1|c\n", &["a 1 Counter", "b 2 Gauge", "4:4 value_missing", "5:1 name_empty"]);
    check(b"a:1|c\n\xff:1|c", &["a 1 Counter", "2:1 not_utf8"]);
    check("", &[]);
    let long = |bytes: usize| format!("{}:1|c", "x".repeat(bytes - 4));
    assert_eq!(shown(long(LINE_BYTES_MAX).as_bytes()).len(), 1);
    check(long(LINE_BYTES_MAX + 1), &[&format!("1:{} line_too_long", LINE_BYTES_MAX + 1)]);
}

#[test]
fn names_and_tags_become_labels() {
    let check = |name: &str, tags: &str, expected: &str| {
        let shown = labels(name, tags).map_or_else(|error| error.reason().to_owned(), |labels| labels.to_string());
        assert_eq!(shown, expected, "{name} {tags}");
    };
    check("a.b", "", r#"{__name__="a.b"}"#);
    check("a b\t c/d(e)é", "", r#"{__name__="a_b_c-de"}"#);
    check("a;k=v;n=1", "k:w,flag,x:y:z", r#"a{flag="true", k="w", n="1", x="y:z"}"#);
    check("a", "k:1,k:2,:x,,__name__:b,e:", r#"a{k="2"}"#);
    check("(é)", "", "no_metric_name");
    check("a", &"x".repeat(300), "label_name_too_long");
}

#[test]
fn an_item_may_be_refused_by_who_takes_it() {
    let mut rejected = Rejects::default();
    parse_datagram(b"a:1|c\nb:1|c", &mut rejected, |_| Err("too_many_series"));
    assert_eq!(rejected.by_reason().get("too_many_series"), Some(&2));
}

proptest! {
    #[test]
    fn every_line_ends_somewhere(lines in proptest::collection::vec("[ab:|@#._{}e,c1gmsht0-9\\\\ж-]{0,24}", 0..12)) {
        let datagram = lines.join("\n");
        let told = shown(datagram.as_bytes());
        let written = datagram.split('\n').filter(|line| !line.is_empty()).count();
        prop_assert!(told.len() >= written, "{told:?}");
    }

    #[test]
    fn bytes_never_panic(datagram: Vec<u8>) {
        shown(&datagram);
    }

    #[test]
    fn events_and_checks_never_panic(rest in "\\PC{0,40}") {
        shown(format!("_e{{{rest}").as_bytes());
        shown(format!("_e{{{},2}}:{rest}", rest.len()).as_bytes());
        shown(format!("_sc|{rest}").as_bytes());
    }
}
