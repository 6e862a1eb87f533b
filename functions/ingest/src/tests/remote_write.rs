//! Remote write as its senders see it: statuses, first offenders, what is stored all the same.

use pipeline::http::{Request, Response};
use pipeline::ingest::limits::Limits;
use pipeline::ingest::metadata;
use pipeline::{DAY_MS, TenantId};
use serde_json::Value;

use super::Bench;

/// A field of wire type 2.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    [out, content.to_vec()].concat()
}

fn sample(value: f64, at_ms: i64) -> Vec<u8> {
    let mut at = Vec::new();
    let mut rest = at_ms as u64;
    while rest >= 0x80 {
        at.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    at.push(rest as u8);
    field(2, &[&[0x09][..], &value.to_bits().to_le_bytes(), &[0x10], &at].concat())
}

fn series(labels: &[(&str, &str)], samples: &[(f64, i64)]) -> Vec<u8> {
    let labels =
        labels.iter().map(|(name, value)| field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat()));
    let samples = samples.iter().map(|(value, at)| sample(*value, *at));
    field(1, &labels.chain(samples).collect::<Vec<_>>().concat())
}

/// Snappy's block format without any compression: one literal.
fn snappy(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len();
    let mut out = vec![length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8];
    if length > 0 {
        out.extend_from_slice(&[0xf4, (length - 1) as u8, ((length - 1) >> 8) as u8]);
    }
    out.extend_from_slice(bytes);
    out
}

const HEADERS: [(&str, &str); 3] = [
    ("content-encoding", "snappy"),
    ("content-type", "application/x-protobuf"),
    ("x-prometheus-remote-write-version", "0.1.0"),
];

impl Bench {
    async fn write(&self, body: Vec<u8>, headers: &[(&str, &str)]) -> Response {
        let own = ("authorization".to_owned(), format!("Bearer {}", self.agent));
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let request = Request {
            method: "POST".to_owned(),
            path: "/api/v1/write".to_owned(),
            headers: headers.chain([own]).collect(),
            body: body.into(),
            ..Request::default()
        };
        assert!(crate::serves(&request));
        crate::handle(&self.context, &request).await
    }

    fn now(&self) -> i64 {
        self.context.ports.clock.now().ms()
    }
}

fn error(response: &Response) -> String {
    let json: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(json["status"], "error", "{json}");
    json["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_good_is_answered_without_a_word() {
    let bench = Bench::new().await;
    let now = bench.now();
    let body = [
        series(&[("__name__", "up"), ("job", "a")], &[(1.0, now), (f64::from_bits(0x7ff0_0000_0000_0002), now + 1)]),
        series(&[("__name__", "up"), ("empty", ""), ("job", "b")], &[(f64::INFINITY, now)]),
        series(&[("job", "c"), ("__name__", "up")], &[(f64::NAN, now)]),
    ];
    for _ in 0..2 {
        let response = bench.write(snappy(&body.concat()), &HEADERS).await;
        assert_eq!((response.status, response.body.len()), (204, 0));
    }
    assert_eq!(bench.context.series.count(&TenantId::default()), 3);
    assert_eq!(bench.write(snappy(b""), &HEADERS).await.status, 204);
}

#[tokio::test]
async fn the_first_offender_is_named_and_its_neighbours_are_stored() {
    let bench = Bench::new().await;
    let now = bench.now();
    let good = series(&[("__name__", "good")], &[(1.0, now)]);
    let named = |pairs: &[(&str, &str)]| series(pairs, &[(1.0, now)]);
    let long = "x".repeat(5_000);
    let many: Vec<(String, String)> = (0..70).map(|n| (format!("l{n:02}"), "v".to_owned())).collect();
    let mut many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    many.push(("__name__", "m"));
    let table: &[(&str, Vec<u8>, &str)] = &[
        (
            "a name twice",
            named(&[("__name__", "m"), ("a", "1"), ("a", "2")]),
            "label_duplicate: label \"a\" is given twice",
        ),
        ("an empty name", named(&[("__name__", "m"), ("", "1")]), "label_name_empty"),
        ("no metric name", named(&[("job", "x")]), "no_metric_name"),
        ("an empty metric name", named(&[("__name__", ""), ("job", "x")]), "no_metric_name"),
        ("a control character", named(&[("__name__", "m"), ("a\u{7}", "1")]), "label_control_character"),
        ("a long value", named(&[("__name__", "m"), ("a", &long)]), "label_value_too_long"),
        ("many labels", named(&many), "too_many_labels"),
        ("ahead", series(&[("__name__", "m")], &[(1.0, now + 600_001)]), "too_far_ahead: m at"),
        ("old", series(&[("__name__", "m")], &[(1.0, now - 30 * DAY_MS - 1)]), "too_old: m at"),
        ("no time", series(&[("__name__", "m")], &[(1.0, 0)]), "too_old"),
        ("a length", vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], "not_protobuf: the request, at byte"),
    ];
    for (what, bad, first) in table {
        let response = bench.write(snappy(&[good.as_slice(), &good, bad].concat()), &HEADERS).await;
        let said = error(&response);
        assert_eq!(response.status, 400, "{what}: {said}");
        assert!(said.contains(first) && said.starts_with("2 accepted, 1 rejected"), "{what}: {said}");
    }
    let at_the_limit = series(&[("__name__", "m")], &[(1.0, now + 600_000), (1.0, now - 30 * DAY_MS)]);
    assert_eq!(bench.write(snappy(&at_the_limit), &HEADERS).await.status, 204);
}

#[tokio::test]
async fn what_is_no_remote_write_1_0_is_refused_by_name() {
    let bench = Bench::new().await;
    let [encoding, kind, version] = HEADERS;
    let two = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    type Case<'a> = (&'a [(&'a str, &'a str)], u16, &'a str);
    let table: &[Case<'_>] = &[
        (&[encoding, kind, ("x-prometheus-remote-write-version", "2.0.0")], 415, "remote write 1.0"),
        (&[encoding, ("content-type", two), version], 415, "io.prometheus.write.v2.request"),
        (&[encoding, ("content-type", "application/json"), version], 415, "application/json"),
        (&[kind, version], 415, "snappy"),
        (&[("content-encoding", "gzip"), kind, version], 415, "\"gzip\", not snappy"),
        (&[encoding, ("content-type", "application/x-protobuf;proto=prometheus.WriteRequest")], 204, ""),
    ];
    for (headers, status, part) in table {
        let response = bench.write(snappy(b""), headers).await;
        assert_eq!(response.status, *status, "{headers:?}");
        assert!(part.is_empty() || error(&response).contains(part), "{headers:?}: {}", error(&response));
    }
    let truncated = snappy(&series(&[("__name__", "m")], &[(1.0, 1)]));
    let response = bench.write(truncated[..truncated.len() - 3].to_vec(), &HEADERS).await;
    assert_eq!((response.status, error(&response).contains("not snappy")), (400, true));
    // 4 GB, it says.
    let response = bench.write(vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0], &HEADERS).await;
    assert_eq!((response.status, error(&response).contains("decompression_ratio_max")), (413, true));
}

#[tokio::test]
async fn a_limit_is_named_and_what_is_below_it_is_stored() {
    let now_of = Bench::new().await;
    let now = now_of.now();
    let body = |names: &[&str]| -> Vec<u8> {
        snappy(&names.iter().flat_map(|name| series(&[("__name__", name)], &[(1.0, now)])).collect::<Vec<_>>())
    };
    let with = async |limits: Limits| {
        let mut bench = Bench::new().await;
        bench.context.limits = limits;
        bench
    };
    let active = with(Limits { active_series_max: 2, ..Limits::default() }).await;
    assert_eq!(active.write(body(&["a", "b", "a"]), &HEADERS).await.status, 204);
    let response = active.write(body(&["a", "c"]), &HEADERS).await;
    assert_eq!(
        (response.status, error(&response)),
        (422, "1 accepted, 1 rejected; first active_series_max: c: active_series_max is 2".to_owned())
    );
    let new = with(Limits { new_series_per_minute_max: 1, ..Limits::default() }).await;
    assert_eq!(new.write(body(&["a"]), &HEADERS).await.status, 204);
    let response = new.write(body(&["a", "b"]), &HEADERS).await;
    assert_eq!((response.status, error(&response).contains("new_series_per_minute_max is 1")), (429, true));
    assert!(response.headers.iter().any(|(name, _)| name == "retry-after"));
    let samples = with(Limits { samples_per_body_max: 2, ..Limits::default() }).await;
    assert_eq!(samples.write(body(&["a", "b"]), &HEADERS).await.status, 204);
    let response = samples.write(body(&["a", "b", "c"]), &HEADERS).await;
    assert_eq!((response.status, error(&response).contains("samples_per_body_max is 2")), (422, true));
}

#[tokio::test]
async fn metadata_is_kept_and_the_last_word_wins() {
    let bench = Bench::new().await;
    let of = |kind: u8, help: &str| {
        let message = [vec![0x08, kind], field(2, b"http_requests_total"), field(4, help.as_bytes()), field(5, b"")];
        snappy(&field(3, &message.concat()))
    };
    for (kind, help) in [(1, "Requests."), (1, "Requests."), (2, &*"é".repeat(600))] {
        assert_eq!(bench.write(of(kind, help), &HEADERS).await.status, 204);
    }
    let all = metadata::all(&bench.context.ports, &TenantId::default()).await.unwrap();
    let kept = &all["http_requests_total"];
    assert_eq!((kept.kind.as_str(), kept.help.len(), all.len()), ("gauge", metadata::HELP_BYTES_MAX, 1));
}
