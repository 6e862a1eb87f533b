//! Requests and their answers, as a sender sees them.

use embedded::{Embedded, Memory};
use pipeline::http::BODY_BYTES_MAX;
use pipeline::keys::{self, KeyKind};
use pipeline::{DAY_MS, Settings, TenantId};
use serde_json::Value;

use super::*;

mod otlp;
mod remote_write;

struct Bench {
    context: Context,
    agent: String,
    read: String,
}

impl Bench {
    async fn new() -> Self {
        let Memory { embedded, .. } = Embedded::memory(1).unwrap();
        let settings = Settings {
            raw_retention_ms: 30 * DAY_MS,
            external_url: "http://daywatch.invalid".to_owned(),
            websocket_url: "/ws".to_owned(),
        };
        let context = Context::new(embedded.ports(), settings);
        let make = |kind| keys::create(&context.ports, TenantId::default(), kind, "");
        let (agent, read) = (make(KeyKind::Agent).await.unwrap(), make(KeyKind::Read).await.unwrap());
        Self { agent, read, context }
    }

    /// The status, and the body as JSON.
    async fn send(&self, method: &str, path: &str, key: &str, body: impl Into<Vec<u8>>) -> (u16, Value) {
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: vec![("authorization".to_owned(), format!("Bearer {key}"))],
            body: body.into().into(),
            ..Request::default()
        };
        assert!(serves(&request) || method != "POST", "{path}");
        let response = handle(&self.context, &request).await;
        (response.status, serde_json::from_slice(&response.body).unwrap())
    }
}

#[tokio::test]
async fn what_is_taken_and_what_is_refused() {
    let bench = Bench::new().await;
    let (agent, read) = (bench.agent.as_str(), bench.read.as_str());
    let long = "m 1\n".repeat(BODY_BYTES_MAX / 4 + 1);
    let check = r#"{"check":"backup","status":2,"text":"late","ttl":"1h"}"#;
    let table: &[(&str, &str, &str, &str, u16, &str)] = &[
        ("POST", "/graphite", agent, "a 1\nb 2\n", 200, r#""accepted":2,"rejected":[]"#),
        ("POST", "/graphite", agent, "", 200, r#""accepted":0"#),
        // What is good is stored, and the sender hears of the rest with its place.
        ("POST", "/graphite", agent, "a 1\nno line\nb 2\n", 400, r#""accepted":2"#),
        ("POST", "/graphite", agent, "a 1\nno line\nb 2\n", 400, "line 2, column"),
        ("POST", "/graphite", agent, "a 1\nno line\nb 2\n", 400, "2 accepted, 1 rejected"),
        ("POST", "/graphite", agent, "a 1 7\n", 400, "too_old"),
        ("POST", "/graphite", agent, &long, 413, "body_bytes_max"),
        ("GET", "/graphite", agent, "", 405, "GET"),
        ("POST", "/graphite", read, "a 1\n", 403, "may not send data"),
        ("POST", "/graphite", "dw_agent_x_y", "a 1\n", 401, "not valid"),
        ("POST", "/graphite", "", "a 1\n", 401, "not valid"),
        ("POST", "/api/v1/checks", agent, &format!("[{check}]"), 200, r#""accepted":1"#),
        ("POST", "/api/v1/checks", agent, &format!("[{check},{{}}]"), 400, "[1]: missing field `check`"),
        ("POST", "/api/v1/checks", agent, r#"[{"check":"x","status":4}]"#, 400, "status"),
        ("POST", "/api/v1/checks", agent, r#"[{"check":"x","status":0,"ttl":"soon"}]"#, 400, "ttl"),
        ("POST", "/api/v1/checks", agent, "[\n{]", 400, "line 2, column 2"),
        ("POST", "/api/v1/checks", read, "[]", 403, "may not send data"),
    ];
    for (method, path, key, body, status, part) in table {
        let case = format!("{method} {path} {}", body.get(..60).unwrap_or(body));
        let (answered, json) = bench.send(method, path, key, *body).await;
        assert_eq!(answered, *status, "{case}: {json}");
        assert_eq!(json["status"], if *status == 200 { "success" } else { "error" }, "{case}");
        assert_eq!(json["errorType"].is_string(), *status != 200, "{case}: {json}");
        let text = json.to_string();
        assert!(text.contains(part), "{case}: {text}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_text_costs_its_own_lines_only() {
    let bench = Bench::new().await;
    let (status, json) = bench.send("POST", "/graphite", &bench.agent, b"a 1\n\xff\xfe 2\nb 3\n".as_slice()).await;
    assert_eq!((status, json["data"]["accepted"].as_u64()), (400, Some(2)), "{json}");
    let (status, json) = bench.send("POST", "/api/v1/checks", &bench.agent, b"[\xff]".as_slice()).await;
    assert_eq!(status, 400);
    assert!(json["error"].as_str().unwrap().contains("byte is number 2"), "{json}");
}
