//! Events that wake it, and its answers.

use std::time::Duration;

use embedded::{Embedded, Memory, Outgoing};
use pipeline::connect::{self, Connection};
use pipeline::keys::{self, KeyKind};
use pipeline::{ConnectionId, DAY_MS, Settings, TenantId};

use super::*;

const GRAPHITE: &str = include_str!("../../fixtures/graphite.json");
const HEARTBEAT: &str = include_str!("../../fixtures/heartbeat.json");
const BATCH: &str = include_str!("../../fixtures/batch.json");
const BINARY: &str = include_str!("../../fixtures/binary.json");
const NO_CONNECTION: &str = include_str!("../../fixtures/malformed-no-connection.json");
/// The connection of the fixtures.
const CONNECTION: &str = "TWegAcfrjoECJ1Q=";

struct Bench {
    context: Context,
    connections: Connections,
    memory: Memory,
    key: String,
}

impl Bench {
    async fn new() -> Self {
        let memory = Embedded::memory(1).unwrap();
        let settings = Settings { raw_retention_ms: DAY_MS, external_url: String::new(), websocket_url: String::new() };
        let context = Context::new(memory.embedded.ports(), settings);
        let key = keys::create(&context.ports, TenantId::default(), KeyKind::Agent, "").await.unwrap();
        Self { context, connections: Connections::default(), memory, key }
    }

    /// An agent that has said hello.
    async fn connected(&self) -> Outgoing {
        let ports = &self.context.ports;
        let id = ConnectionId(CONNECTION.to_owned());
        let outgoing = self.memory.embedded.connections().register(id.clone());
        let caller = keys::authenticate_text(ports, &self.key).await.unwrap();
        let connection = connect::connect(ports, id, caller, false).await.unwrap();
        let hello = r#"{"action":"hello","version":1,"source":"web-1","epoch":"00000000000000ab","run_id":"r"}"#;
        let hello = AgentFrame::from_json(hello).unwrap();
        let _: Connection = connect::hello(&self.context, &connection, &hello).await.unwrap().unwrap();
        outgoing
    }

    async fn answer(&self, deadline: Deadline, event: &str) -> Result<Value, Failure> {
        let event = serde_json::from_str(&event.replace("KEY", &self.key)).unwrap();
        answer(&self.context, &self.connections, deadline, event).await
    }
}

/// What a connection is told next, of those that do not welcome it.
async fn told(outgoing: &mut Outgoing) -> Option<String> {
    loop {
        let text = tokio::time::timeout(Duration::from_millis(5), outgoing.next()).await.ok().flatten()?;
        if !text.contains("welcome") {
            return Some(text);
        }
    }
}

#[tokio::test]
async fn a_push_is_taken_though_its_sender_calls_it_a_form() {
    let bench = Bench::new().await;
    let answer = bench.answer(Deadline::never(), GRAPHITE).await.unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert!(answer["body"].as_str().unwrap().contains(r#""accepted":2"#), "{answer}");
}

#[tokio::test]
async fn a_push_that_is_not_taken_in_time_comes_again() {
    let bench = Bench::new().await;
    let answer = bench.answer(Deadline::of(Duration::ZERO), GRAPHITE).await.unwrap();
    assert_eq!((&answer["statusCode"], &answer["headers"]["retry-after"]), (&503.into(), &"5".into()), "{answer}");
    assert!(matches!(bench.answer(Deadline::of(Duration::ZERO), HEARTBEAT).await, Err(Failure::Late { .. })));
}

#[tokio::test]
async fn frames_of_a_connection_are_taken_or_answered() {
    let bench = Bench::new().await;
    let mut outgoing = bench.connected().await;
    for (event, expected) in [(HEARTBEAT, None), (BATCH, Some("error")), (BINARY, Some("binary_frame"))] {
        assert_eq!(bench.answer(Deadline::never(), event).await.unwrap()["statusCode"], 200);
        let text = told(&mut outgoing).await;
        assert_eq!(text.is_some(), expected.is_some(), "{text:?}");
        assert!(text.unwrap_or_default().contains(expected.unwrap_or_default()));
    }
    let hello = BATCH.replace("\\\"batch\\\"", "\\\"bye\\\"");
    bench.answer(Deadline::never(), &hello).await.unwrap();
    assert!(told(&mut outgoing).await.unwrap().contains("wrong_route"));
}

#[tokio::test]
async fn a_connection_that_is_gone_is_told_to_end() {
    let bench = Bench::new().await;
    let mut outgoing = bench.memory.embedded.connections().register(ConnectionId(CONNECTION.to_owned()));
    assert_eq!(bench.answer(Deadline::never(), HEARTBEAT).await.unwrap()["statusCode"], 410);
    assert_eq!(outgoing.next().await, None);
}

#[tokio::test]
async fn what_is_malformed_fails_by_name() {
    let bench = Bench::new().await;
    for (event, expected) in [(NO_CONNECTION, "connectionId is missing"), (r#"{"methodArn":"x"}"#, "the authorizer")] {
        let failure = bench.answer(Deadline::never(), event).await.unwrap_err();
        assert!(failure.to_string().contains(expected), "{failure}");
    }
}
