//! Events that wake it, and its answers.

use std::time::Duration;

use embedded::Embedded;
use pipeline::keys::{self, KeyKind};
use pipeline::{DAY_MS, Settings, TenantId};

use super::*;

const ENDPOINTS: &str = include_str!("../../fixtures/endpoints.json");
const QUERY: &str = include_str!("../../fixtures/query.json");
const NOT_BASE64: &str = include_str!("../../fixtures/malformed-base64.json");

/// The status and the body; `KEY` in the event stands for a key that is good.
async fn answered(event: &str, deadline: Deadline) -> (Value, String) {
    let memory = Embedded::memory(1).unwrap();
    let settings = Settings {
        raw_retention_ms: DAY_MS,
        external_url: String::new(),
        websocket_url: "wss://daywatch.invalid/live".to_owned(),
    };
    let context = Context::new(memory.embedded.ports(), settings);
    let key = keys::create(&context.ports, TenantId::default(), KeyKind::Read, "").await.unwrap();
    let event = serde_json::from_str(&event.replace("KEY", &key)).unwrap();
    let answer = answer(&context, deadline, event).await.unwrap();
    (answer["statusCode"].clone(), answer["body"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn requests_are_answered() {
    let (status, body) = answered(ENDPOINTS, Deadline::never()).await;
    assert_eq!((status, body.as_str()), (200.into(), r#"{"websocket":"wss://daywatch.invalid/live"}"#));
    // A form body, base64-coded by the gateway.
    let (status, body) = answered(QUERY, Deadline::never()).await;
    assert!(status == 200 && body.contains(r#""2""#), "{status} {body}");
}

#[tokio::test]
async fn what_is_malformed_is_the_callers_and_what_is_late_comes_again() {
    let (status, body) = answered(NOT_BASE64, Deadline::never()).await;
    assert!(status == 400 && body.contains("base64"), "{status} {body}");
    let (status, body) = answered(QUERY, Deadline::of(Duration::ZERO)).await;
    assert!(status == 503 && body.contains("not there in time"), "{status} {body}");
    let response = response(Response::of(&Fault::Unavailable(PortError::transient("query", "late"))), Asked::unknown());
    assert_eq!(response["headers"]["retry-after"], "5");
}

#[tokio::test]
async fn other_events_are_another_functions() {
    let memory = Embedded::memory(1).unwrap();
    let settings = Settings { raw_retention_ms: DAY_MS, external_url: String::new(), websocket_url: String::new() };
    let context = Context::new(memory.embedded.ports(), settings);
    let tick = serde_json::json!({ "detail-type": "Scheduled Event", "source": "aws.events", "detail": {} });
    let failure = answer(&context, Deadline::never(), tick).await.unwrap_err();
    assert!(failure.to_string().contains("query is not woken by the schedule"), "{failure}");
}
