//! OTLP as its senders see it.

use pipeline::http::{Request, Response};
use pipeline::ingest::limits::Limits;
use pipeline::ingest::metadata;
use pipeline::{DAY_MS, TenantId};
use serde_json::{Value, json};

use super::Bench;

impl Bench {
    async fn otlp(&self, key: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Response {
        let headers = [("authorization", format!("Bearer {key}")), ("content-type", content_type.to_owned())];
        let request = Request {
            method: "POST".to_owned(),
            path: "/v1/metrics".to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            body: body.into().into(),
            ..Request::default()
        };
        assert!(crate::serves(&request));
        crate::handle(&self.context, &request).await
    }

    fn gauge(&self, names: &[&str], ahead_ms: i64) -> Vec<u8> {
        let at = (self.context.ports.clock.now().ms() + ahead_ms) * 1_000_000;
        let metric = |name: &&str| {
            let point = json!({"timeUnixNano": at.to_string(), "asInt": "1"});
            json!({"name": name, "unit": "By", "description": "d", "gauge": {"dataPoints": [point]}})
        };
        let metrics: Vec<Value> = names.iter().map(metric).collect();
        json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}).to_string().into_bytes()
    }
}

fn parsed(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

#[tokio::test]
async fn a_request_is_answered_in_its_own_encoding() {
    let bench = Bench::new().await;
    let (agent, read) = (bench.agent.as_str(), bench.read.as_str());
    let response = bench.otlp(agent, "application/json; charset=utf-8", bench.gauge(&["a", "b"], 0)).await;
    assert_eq!((response.status, &response.body[..]), (200, &b"{}"[..]));
    assert_eq!(bench.context.series.count(&TenantId::default()), 2);
    let all = metadata::all(&bench.context.ports, &TenantId::default()).await.unwrap();
    assert_eq!(all["a_bytes"].kind, "gauge");

    let response = bench.otlp(agent, "application/json", bench.gauge(&["a"], 11 * 60_000)).await;
    let said = parsed(&response);
    assert_eq!((response.status, &said["partialSuccess"]["rejectedDataPoints"]), (200, &json!("1")));
    assert!(said["partialSuccess"]["errorMessage"].as_str().unwrap().contains("too_far_ahead: a_bytes at"), "{said}");
    let response = bench.otlp(agent, "application/json", bench.gauge(&["a"], -31 * DAY_MS)).await;
    assert!(parsed(&response).to_string().contains("too_old"));

    let response = bench.otlp(agent, "application/x-protobuf", b"").await;
    assert_eq!((response.status, response.body.len()), (200, 0));
    for (key, kind, body, status, part) in [
        (agent, "application/x-protobuf", &b"\x0a\xff\x01"[..], 400, "at byte 0"),
        (agent, "application/json", b"{", 400, "line 1"),
        (agent, "text/plain", b"", 415, "application/x-protobuf and application/json"),
        (read, "application/json", b"{}", 403, "may not send data"),
        ("dw_agent_x_y", "application/x-protobuf", b"", 401, "not valid"),
    ] {
        let response = bench.otlp(key, kind, body).await;
        let text = String::from_utf8_lossy(&response.body);
        assert_eq!(response.status, status, "{kind}: {text}");
        assert!(text.contains(part), "{kind}: {text}");
        let kind = if status == 415 { "application/json" } else { kind };
        assert_eq!(response.headers.iter().filter(|(name, _)| name == "content-type").count(), 1);
        assert!(response.headers.contains(&("content-type".to_owned(), kind.to_owned())), "{kind}");
    }
}

#[tokio::test]
async fn above_a_limit_of_a_minute_it_may_come_again() {
    let mut bench = Bench::new().await;
    bench.context.limits = Limits { new_series_per_minute_max: 1, ..Limits::default() };
    let response = bench.otlp(&bench.agent, "application/json", bench.gauge(&["a", "b"], 0)).await;
    assert_eq!((response.status, parsed(&response)["partialSuccess"].is_object()), (200, true));
    let response = bench.otlp(&bench.agent, "application/json", bench.gauge(&["c"], 0)).await;
    assert_eq!((response.status, parsed(&response)["code"].as_u64()), (429, Some(8)));
    assert!(response.headers.iter().any(|(name, _)| name == "retry-after"));
}
