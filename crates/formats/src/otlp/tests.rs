use proptest::prelude::*;
use series::is_stale;
use series::protobuf::put_varint;

use super::*;

#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    metadata: Vec<String>,
    refused: Vec<String>,
}

impl Sink for Seen {
    fn sample(&mut self, labels: &Labels, sample: Sample) {
        let value = if is_stale(sample.value) { "stale".to_owned() } else { sample.value.to_string() };
        self.lines.push(format!("{labels} {value} {}", sample.at));
    }
    fn metadata(&mut self, name: &str, kind: &'static str, help: &str, unit: &str) {
        self.metadata.push(format!("{kind} {name} {help:?} {unit:?}"));
    }
    fn refused(&mut self, reason: &'static str, count: u64, first: String) {
        self.refused.push(format!("{count} {reason}: {first}"));
    }
}

fn json(body: &str) -> Seen {
    let mut seen = Seen::default();
    read_json(body.as_bytes(), &mut seen).unwrap();
    seen
}

/// One metric in a resource and a scope.
fn request(metric: &str) -> String {
    let text = |key: &str, value: &str| format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#);
    let resource = [text("service.name", "shop"), text("service.namespace", "web"), text("service.instance.id", "i-1")];
    format!(
        r#"{{"unknown":1,"resourceMetrics":[{{"resource":{{"attributes":[{},{}]}},"scopeMetrics":[{{
            "scope":{{"name":"lib","version":"1"}},"metrics":[{metric}]}}]}}]}}"#,
        resource.join(","),
        text("host.name", "h1"),
    )
}

const OWN: &str = r#"instance="i-1", job="web/shop", otel_scope_name="lib", otel_scope_version="1""#;

#[test]
fn each_kind_of_metric() {
    let target = r#"target_info{host_name="h1", instance="i-1", job="web/shop"} 1 2"#;
    let table: &[(&str, &[&str])] = &[
        (
            r#"{"name":"queue.size","unit":"{item}","gauge":{"dataPoints":[{"timeUnixNano":"2000000","asInt":"7"}]}}"#,
            &["queue_size{OWN} 7 2"],
        ),
        (
            r#"{"name":"io","unit":"By","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[
                {"timeUnixNano":2000000,"asDouble":1.5,"attributes":[{"key":"http.method","value":{"stringValue":"GET"}}]}]}}"#,
            &[r#"io_bytes_total{http_method="GET", OWN} 1.5 2"#],
        ),
        (
            r#"{"name":"io","sum":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_DELTA","isMonotonic":true,
                "dataPoints":[{"timeUnixNano":"2999999","asInt":-1}]}}"#,
            &["io{OWN} -1 2"],
        ),
        (
            r#"{"name":"took","unit":"ms","histogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"2000000",
                "count":"6","sum":2.5,"bucketCounts":["1","2",3],"explicitBounds":[0.5,10]}]}}"#,
            &[
                r#"took_milliseconds_bucket{OWN, le="0.5"} 1 2"#,
                r#"took_milliseconds_bucket{OWN, le="10"} 3 2"#,
                r#"took_milliseconds_bucket{OWN, le="+Inf"} 6 2"#,
                "took_milliseconds_sum{OWN} 2.5 2",
                "took_milliseconds_count{OWN} 6 2",
            ],
        ),
        (
            r#"{"name":"s","summary":{"dataPoints":[{"timeUnixNano":"2000000","count":"2","sum":3,
                "quantileValues":[{"quantile":0.5,"value":"NaN"}]}]}}"#,
            &[r#"s{OWN, quantile="0.5"} NaN 2"#, "s_sum{OWN} 3 2", "s_count{OWN} 2 2"],
        ),
        (r#"{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"2000000","flags":1}]}}"#, &["g{OWN} stale 2"]),
    ];
    for (metric, expected) in table {
        let seen = json(&request(metric));
        let mut sorted: Vec<String> = expected.iter().map(|line| sort_labels(&line.replace("OWN", OWN))).collect();
        sorted.push(target.to_owned());
        assert_eq!(seen.lines, sorted);
        assert_eq!(seen.refused, Vec::<String>::new());
    }
}

/// `name{b="1", a="2"} v t` with its labels in order, as they are shown.
fn sort_labels(line: &str) -> String {
    let Some((name, rest)) = line.split_once('{') else { return line.to_owned() };
    let (labels, rest) = rest.split_once('}').unwrap();
    let mut labels: Vec<&str> = labels.split(", ").collect();
    labels.sort_unstable();
    format!("{name}{{{}}}{rest}", labels.join(", "))
}

#[test]
fn what_is_refused_has_a_name_and_costs_its_neighbours_nothing() {
    let good = r#"{"timeUnixNano":"2000000","asInt":"1"}"#;
    let of = |metric: &str| {
        let seen = json(&request(&format!(r#"{{"name":"ok","gauge":{{"dataPoints":[{good}]}}}},{metric}"#)));
        assert_eq!(seen.lines.iter().filter(|line| line.starts_with("ok{")).count(), 1, "{metric}");
        assert_eq!(seen.refused.len(), 1, "{metric}: {:?}", seen.refused);
        seen.refused[0].clone()
    };
    for (metric, part) in [
        (
            r#"{"name":"e","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{}]}}"#,
            "exponential_histogram",
        ),
        (r#"{"name":"e","histogram":{"aggregationTemporality":1,"dataPoints":[{}]}}"#, "delta_histogram"),
        (r#"{"name":"e","sum":{"dataPoints":[{}]}}"#, "temporality_unspecified"),
        (r#"{"name":"e","gauge":{"dataPoints":[{"timeUnixNano":"1"}]}}"#, "no_value"),
        (r#"{"name":"","gauge":{"dataPoints":[{"asInt":1}]}}"#, "no_metric_name"),
        (r#"{"name":"e"}"#, "metric_kind"),
        (r#"{"name":"e","gauge":{"dataPoints":[{"asInt":"x"}]}}"#, "bad_point"),
        (r#"{"name":"e","gauge":{"dataPoints":[{"asInt":1,"timeUnixNano":-1}]}}"#, "timeUnixNano"),
        (
            r#"{"name":"e","histogram":{"aggregationTemporality":2,"dataPoints":[{"bucketCounts":[1],"explicitBounds":[1]}]}}"#,
            "bad_histogram",
        ),
        (
            r#"{"name":"e","histogram":{"aggregationTemporality":2,"dataPoints":[{"bucketCounts":[1,1,1],"explicitBounds":[2,1]}]}}"#,
            "do not rise",
        ),
    ] {
        assert!(of(metric).contains(part), "{metric}: {}", of(metric));
    }
    let buckets = |n: usize| {
        let (counts, bounds) =
            (vec!["1"; n + 1].join(","), (0..n).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
        json(&request(&format!(
            r#"{{"name":"h","histogram":{{"aggregationTemporality":2,"dataPoints":[{{"bucketCounts":[{counts}],"explicitBounds":[{bounds}]}}]}}}}"#
        )))
        .refused
    };
    assert_eq!(buckets(BUCKETS_MAX - 1), Vec::<String>::new());
    assert!(buckets(BUCKETS_MAX)[0].contains("buckets_max"));
}

#[test]
fn what_cannot_be_read_says_where() {
    let mut seen = Seen::default();
    let error = read_json(b"{\n]", &mut seen).unwrap_err().to_string();
    assert!(error.starts_with("not JSON: line 2, column 1"), "{error}");
    assert!(read_json(b"[]", &mut seen).is_err());
    assert!(
        read_json(&vec![b' '; JSON_BYTES_MAX + 1], &mut seen).unwrap_err().to_string().contains("otlp_json_bytes_max")
    );
    assert!(
        read_protobuf(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], &mut seen).unwrap_err().to_string().contains("at byte 0")
    );
    let deep = "[".repeat(10_000);
    assert!(read_json(deep.as_bytes(), &mut seen).is_err());
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    put_varint(&mut out, content.len() as u64);
    [out, content.to_vec()].concat()
}

fn fixed(number: u8, bits: u64) -> Vec<u8> {
    [&[number << 3 | 1][..], &bits.to_le_bytes()].concat()
}

fn attribute(number: u8, key: &str, value: &[u8]) -> Vec<u8> {
    field(number, &[field(1, key.as_bytes()), field(2, value)].concat())
}

#[test]
fn protobuf_gives_the_same_as_json() {
    let resource = [
        attribute(1, "service.name", &field(1, b"shop")),
        attribute(1, "service.namespace", &field(1, b"web")),
        attribute(1, "service.instance.id", &field(1, b"i-1")),
        attribute(1, "host.name", &field(1, b"h1")),
    ];
    let scope = [field(1, b"lib"), field(2, b"1")].concat();
    let array = field(5, &[field(1, &field(1, b"a")), field(1, &[0x18, 7])].concat());
    let gauge_point = [fixed(3, 2_000_000), fixed(4, 1.5_f64.to_bits()), attribute(7, "k", &array)].concat();
    let gauge = [field(1, b"g"), field(2, b"help"), field(3, b"s"), field(5, &field(1, &gauge_point))].concat();
    let counts: Vec<u8> = [1_u64, 2, 3].iter().flat_map(|n| n.to_le_bytes()).collect();
    let bounds: Vec<u8> = [0.5_f64, 10.0].iter().flat_map(|n| n.to_le_bytes()).collect();
    let histogram_point =
        [fixed(3, 2_000_000), fixed(4, 6), fixed(5, 2.5_f64.to_bits()), field(6, &counts), field(7, &bounds)].concat();
    let histogram = [field(1, b"h"), field(9, &[field(1, &histogram_point), vec![0x10, 2]].concat())].concat();
    let scope_metrics = [field(1, &scope), field(2, &gauge), field(2, &histogram)].concat();
    let body = field(1, &[field(1, &resource.concat()), field(2, &scope_metrics)].concat());
    let mut seen = Seen::default();
    read_protobuf(&body, &mut seen).unwrap();
    let same = json(&request(
        r#"{"name":"g","description":"help","unit":"s","gauge":{"dataPoints":[{"timeUnixNano":"2000000","asDouble":1.5,
            "attributes":[{"key":"k","value":{"arrayValue":{"values":[{"stringValue":"a"},{"intValue":"7"}]}}}]}]}},
           {"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"2000000",
            "count":"6","sum":2.5,"bucketCounts":["1","2",3],"explicitBounds":[0.5,10]}]}}"#,
    ));
    assert_eq!((seen.lines.len(), seen.refused.len()), (7, 0), "{:?}", seen.refused);
    assert_eq!(seen.lines, same.lines);
    assert_eq!(seen.metadata, same.metadata);
    assert!(seen.lines[0].contains(r#"k="[\"a\",7]""#), "{}", seen.lines[0]);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(prop_oneof![0_u8..0x5a, any::<u8>()], 0..120)) {
        let mut seen = Seen::default();
        let _ = read_protobuf(&bytes, &mut seen);
        let _ = read_protobuf(&field(1, &field(2, &field(2, &field(9, &field(1, &bytes))))), &mut seen);
        let _ = read_json(&bytes, &mut seen);
    }
}
