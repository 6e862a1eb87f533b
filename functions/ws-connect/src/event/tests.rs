//! Events that wake it, and its answers.

use std::time::Duration;

use embedded::{Embedded, Memory, Outgoing};
use pipeline::keys::{self, KeyKind};
use pipeline::{DAY_MS, Settings, TenantId, tickets};

use super::*;

const AUTHORIZE_AGENT: &str = include_str!("../../fixtures/authorize-agent.json");
const AUTHORIZE_PAGE: &str = include_str!("../../fixtures/authorize-page.json");
const CONNECT: &str = include_str!("../../fixtures/connect.json");
const DISCONNECT: &str = include_str!("../../fixtures/disconnect.json");
const HELLO: &str = include_str!("../../fixtures/hello.json");
const PING: &str = include_str!("../../fixtures/ping.json");
const BAD_FRAME: &str = include_str!("../../fixtures/malformed-frame.json");
const NO_TYPE: &str = include_str!("../../fixtures/malformed-no-type.json");
/// The connection of the fixtures.
const CONNECTION: &str = "TWegAcfrjoECJ1Q=";

struct Bench {
    context: Context,
    connections: Connections,
    memory: Memory,
    outgoing: Outgoing,
}

impl Bench {
    fn new() -> Self {
        let memory = Embedded::memory(1).unwrap();
        let settings = Settings { raw_retention_ms: DAY_MS, external_url: String::new(), websocket_url: String::new() };
        let context = Context::new(memory.embedded.ports(), settings);
        let outgoing = memory.embedded.connections().register(ConnectionId(CONNECTION.to_owned()));
        Self { context, connections: Connections::default(), memory, outgoing }
    }

    async fn key(&self, kind: KeyKind) -> String {
        keys::create(&self.context.ports, TenantId::default(), kind, "").await.unwrap()
    }

    async fn answer(&self, event: Value) -> Result<Value, Failure> {
        answer(&self.context, &self.connections, Deadline::never(), event).await
    }

    /// Whether the authorizer lets in, and its context as the gateway gives it back.
    async fn authorized(&self, event: &str, key: &str, ticket: &str) -> (bool, Value) {
        let event = event.replace("KEY", key).replace("TICKET", ticket);
        let answer = self.answer(serde_json::from_str(&event).unwrap()).await.unwrap();
        let statement = &answer["policyDocument"]["Statement"][0];
        assert_eq!(statement["Resource"][0], "arn:aws:execute-api:eu-west-1:123456789012:w1x2y3z4a5/live/$connect");
        let mut context = answer["context"].clone();
        for value in context.as_object_mut().unwrap().values_mut() {
            *value = value.as_str().map_or_else(|| value.to_string(), str::to_owned).into();
        }
        (statement["Effect"] == "Allow", context)
    }

    /// An event of the connection, with what the authorizer said.
    async fn socket(&self, event: &str, authorizer: &Value) -> u64 {
        let mut event: Value = serde_json::from_str(event).unwrap();
        event["requestContext"]["authorizer"] = authorizer.clone();
        self.answer(event).await.unwrap()["statusCode"].as_u64().unwrap()
    }

    async fn told(&mut self) -> Option<String> {
        tokio::time::timeout(Duration::from_millis(5), self.outgoing.next()).await.ok().flatten()
    }
}

#[tokio::test]
async fn who_is_let_in() {
    let bench = Bench::new();
    let (agent, read) = (bench.key(KeyKind::Agent).await, bench.key(KeyKind::Read).await);
    let caller = keys::authenticate_text(&bench.context.ports, &read).await.unwrap();
    let (ticket, _) = tickets::issue(&bench.context.ports, &caller).await.unwrap();
    let table = [
        (AUTHORIZE_AGENT, agent.as_str(), "", Some("false")),
        // A key that only looks is no agent's.
        (AUTHORIZE_AGENT, &read, "", None),
        (AUTHORIZE_AGENT, "dw_agent_x_y", "", None),
        (AUTHORIZE_PAGE, "", &ticket, Some("true")),
        // A ticket is good once.
        (AUTHORIZE_PAGE, "", &ticket, None),
    ];
    for (event, key, ticket, page) in table {
        let (allowed, context) = bench.authorized(event, key, ticket).await;
        assert_eq!(allowed, page.is_some());
        assert_eq!(context["page"].as_str(), page, "{context}");
        assert!(!context.to_string().contains("dw_"), "{context}");
    }
}

#[tokio::test]
async fn the_life_of_an_agents_connection() {
    let mut bench = Bench::new();
    let key = bench.key(KeyKind::Agent).await;
    let (_, authorizer) = bench.authorized(AUTHORIZE_AGENT, &key, "").await;
    assert_eq!(bench.socket(CONNECT, &authorizer).await, 200);
    // The gateway would answer that the connection is gone.
    assert_eq!(bench.told().await, None);
    assert_eq!(bench.socket(HELLO, &authorizer).await, 200);
    assert!(bench.told().await.unwrap().contains(r#""kind":"welcome""#));
    assert_eq!(bench.socket(PING, &authorizer).await, 200);
    assert_eq!(bench.socket(BAD_FRAME, &authorizer).await, 200);
    assert!(bench.told().await.unwrap().contains("frame_not_json"));
    assert_eq!(bench.socket(DISCONNECT, &authorizer).await, 200);
    assert_eq!(bench.socket(PING, &authorizer).await, 410);
    assert_eq!(bench.socket(DISCONNECT, &authorizer).await, 200);
}

#[tokio::test]
async fn a_key_that_was_revoked_since_opens_nothing_and_keeps_nothing_open() {
    let mut bench = Bench::new();
    let key = bench.key(KeyKind::Agent).await;
    let (_, authorizer) = bench.authorized(AUTHORIZE_AGENT, &key, "").await;
    assert_eq!(bench.socket(CONNECT, &authorizer).await, 200);
    assert_eq!(bench.socket(HELLO, &authorizer).await, 200);
    let key_id = keys::id_of(&key).unwrap();
    keys::revoke(&bench.context.ports, &TenantId::default(), key_id).await.unwrap();
    bench.memory.clock.advance_ms(lambda::connections::CONNECTION_FRESH_MS);
    assert_eq!(bench.socket(PING, &authorizer).await, 410);
    assert!(bench.told().await.unwrap().contains("welcome"));
    assert!(bench.told().await.unwrap().contains("key_revoked"));
    assert_eq!(bench.socket(CONNECT, &authorizer).await, 401);
}

#[tokio::test]
async fn an_api_without_an_authorizer_is_no_open_door() {
    let bench = Bench::new();
    let key = bench.key(KeyKind::Agent).await;
    assert_eq!(bench.socket(CONNECT, &Value::Null).await, 401);
    assert_eq!(bench.socket(&CONNECT.replace("KEY", &key), &Value::Null).await, 200);
}

#[tokio::test]
async fn what_is_malformed_fails_by_name() {
    let bench = Bench::new();
    let tick = r#"{"detail-type":"Scheduled Event","source":"aws.events","detail":{}}"#;
    for (event, expected) in [(NO_TYPE, "eventType is missing"), (tick, "not woken by the schedule")] {
        let failure = bench.answer(serde_json::from_str(event).unwrap()).await.unwrap_err();
        assert!(failure.to_string().contains(expected), "{failure}");
    }
}
