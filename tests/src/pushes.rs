//! What other people's senders push over HTTP, through `serve`, to a query and the ledger.

use std::io::Write as _;
use std::process::Command;

use series::Labels;
use series::protobuf::{put_labels, put_varint};
use tests::{Server, until};

fn now_ms() -> i64 {
    i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("a clock").as_millis()).expect("a time")
}

async fn post(url: &str, key: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut request = reqwest::Client::new().post(url).bearer_auth(key).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a text"))
}

/// One series: its labels, and values with their times.
type Sent<'a> = (&'a [(&'a str, &'a str)], &'a [(f64, i64)]);

/// A remote write request: each series with its samples.
fn write(series: &[Sent<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (labels, samples) in series {
        let mut message = Vec::new();
        put_labels(&mut message, &Labels::from_pairs(labels.iter().copied()).expect("labels"));
        for (value, at) in *samples {
            let mut sample = vec![0x09];
            sample.extend_from_slice(&value.to_bits().to_le_bytes());
            sample.push(0x10);
            put_varint(&mut sample, *at as u64);
            message.push(0x12);
            put_varint(&mut message, sample.len() as u64);
            message.extend_from_slice(&sample);
        }
        out.push(0x0a);
        put_varint(&mut out, message.len() as u64);
        out.extend_from_slice(&message);
    }
    snap::raw::Encoder::new().compress_vec(&out).expect("snappy")
}

const REMOTE_WRITE: [(&str, &str); 3] = [
    ("content-encoding", "snappy"),
    ("content-type", "application/x-protobuf"),
    ("x-prometheus-remote-write-version", "0.1.0"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_found_counted_and_bounded() {
    let (mut server, place) = Server::started("pusher").await;
    let (now, url, key) = (now_ms(), server.base_url(), place.agent_key.clone());
    let good: &[(f64, i64)] = &[(1.0, now - 20_000), (2.0, now - 10_000), (3.0, now)];
    let body =
        write(&[(&[("__name__", "pushed"), ("job", "a")], good), (&[("__name__", "pushed"), ("job", "b")], good)]);
    for _ in 0..3 {
        let answer = post(&format!("{url}/api/v1/write"), &key, &REMOTE_WRITE, body.clone()).await;
        assert_eq!(answer, (204, String::new()));
    }
    let bad = write(&[(&[("__name__", "late")], &[(1.0, 7)]), (&[("__name__", "pushed"), ("job", "c")], good)]);
    let (status, said) = post(&format!("{url}/api/v1/write"), &key, &REMOTE_WRITE, bad).await;
    assert_eq!((status, said.contains("3 accepted, 1 rejected; first too_old: late at 7 ms")), (400, true), "{said}");
    let sum = until("every sample counts once", async || {
        place.number("sum(count_over_time(pushed[5m]))").await.filter(|count| *count >= 9.0)
    })
    .await;
    assert!((sum - 9.0).abs() < f64::EPSILON, "{sum}");

    let otlp = format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},
        "scopeMetrics":[{{"metrics":[{{"name":"orders","sum":{{"aggregationTemporality":2,"isMonotonic":true,
        "dataPoints":[{{"timeUnixNano":"{now}000000","asInt":"5"}}]}}}}]}}]}}]}}"#
    );
    let json = [("content-type", "application/json")];
    assert_eq!(post(&format!("{url}/v1/metrics"), &key, &json, otlp.into_bytes()).await, (200, "{}".to_owned()));
    let orders = until("the order is there", async || place.number("orders_total{job=\"shop\"}").await).await;
    assert!((orders - 5.0).abs() < f64::EPSILON);

    let packed = zstd::bulk::compress(b"packed.line 4\n", 3).expect("zstd");
    let (status, said) = post(&format!("{url}/graphite"), &key, &[("content-encoding", "zstd")], packed).await;
    assert_eq!(status, 200, "{said}");
    until("the packed line is there", async || place.number("{__name__=\"packed.line\"}").await).await;

    // 10 GB, in frames that do not say so.
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).expect("zstd");
    for _ in 0..128 {
        encoder.write_all(&[0; 1 << 20]).expect("memory");
    }
    let bomb = encoder.finish().expect("zstd").repeat(80);
    let before = peak_kib(server.pid().expect("it runs"));
    let (status, said) = post(&format!("{url}/graphite"), &key, &[("content-encoding", "zstd")], bomb).await;
    assert_eq!((status, said.contains("decompress")), (413, true), "{said}");
    let more = peak_kib(server.pid().expect("it runs")) - before;
    assert!(more < 128 * 1024, "the bomb took {more} KiB");

    let ledger = until("the ledger has it all", async || {
        // 9 samples by remote write, 12 of them twice or thrice superseded, one refused; an order, a line.
        place.ledger("pusher").await.filter(|ledger| ledger.balances())
    })
    .await;
    assert!(ledger.balances());
    server.stop().await;
}

fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.split_whitespace().next().and_then(|text| text.parse().ok()).expect("a number")
}

const SDK: &str = r#"
import sys, time
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
url, key = sys.argv[1:]
exporter = OTLPMetricExporter(endpoint=url, headers={"authorization": "Bearer " + key}, compression=Compression.Gzip)
reader = PeriodicExportingMetricReader(exporter, export_interval_millis=60000)
resource = Resource.create({"service.name": "sdk", "service.namespace": "py", "service.instance.id": "i-1"})
provider = MeterProvider(metric_readers=[reader], resource=resource)
meter = provider.get_meter("sdk.test", "1.2")
meter.create_counter("jobs.done", unit="1").add(3, {"queue.name": "mail"})
meter.create_up_down_counter("jobs.waiting", unit="{job}").add(-2)
histogram = meter.create_histogram("job.duration", unit="s")
for value in (0.004, 0.2, 30.0): histogram.record(value)
meter.create_gauge("room.temperature", unit="Cel").set(21.5)
assert provider.force_flush(10000)
provider.shutdown()
"#;

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the environment names the Python that has the SDK")]
async fn opentelemetrys_own_sdk_is_understood() {
    let python = std::env::var("DAYWATCH_OTEL_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has = |module: &str| Command::new(&python).args(["-c", &format!("import {module}")]).output();
    if !has("opentelemetry.exporter.otlp.proto.http").is_ok_and(|output| output.status.success()) {
        eprintln!(
            "skipped: {python} has no opentelemetry-exporter-otlp-proto-http (DAYWATCH_OTEL_PYTHON names another)"
        );
        return;
    }
    let (mut server, place) = Server::started("sdk").await;
    let url = format!("{}/v1/metrics", server.base_url());
    let run = Command::new(&python).args(["-c", SDK, &url, &place.agent_key]).output().expect("Python runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && !said.contains("Failed"), "{said}");
    for (expr, expected) in [
        (r#"jobs_done_total{job="py/sdk",instance="i-1",queue_name="mail",otel_scope_name="sdk.test"}"#, 3.0),
        ("jobs_waiting", -2.0),
        (r#"job_duration_seconds_bucket{le="5"}"#, 2.0),
        (r#"job_duration_seconds_bucket{le="+Inf"}"#, 3.0),
        ("job_duration_seconds_count", 3.0),
        ("room_temperature_celsius", 21.5),
        (r#"target_info{job="py/sdk",telemetry_sdk_language="python"}"#, 1.0),
    ] {
        let value = until(expr, async || place.number(expr).await).await;
        assert!((value - expected).abs() < 1e-9, "{expr}: {value}");
    }
    server.stop().await;
}
