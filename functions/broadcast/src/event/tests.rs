//! Events that wake it, and its answers.

use embedded::{Embedded, Faults, faulty_ports};
use pipeline::{DAY_MS, Settings};

use super::*;

const KINESIS: &str = include_str!("../../fixtures/kinesis.json");
const NOT_BASE64: &str = include_str!("../../fixtures/malformed-not-base64.json");
const NOTHING_FAILED: &str = r#"{"batchItemFailures":[]}"#;

async fn answered(event: &str, down: bool) -> Result<Value, Failure> {
    let memory = Embedded::memory(1).unwrap();
    let faults = Faults::none();
    faults.set_down(down);
    let settings = Settings { raw_retention_ms: DAY_MS, external_url: String::new(), websocket_url: String::new() };
    let context = Context::new(faulty_ports(&memory.embedded.ports(), &faults), settings);
    answer(&context, &mut Broadcaster::default(), Deadline::never(), serde_json::from_str(event).unwrap()).await
}

#[tokio::test]
async fn news_are_never_given_again() {
    for down in [false, true] {
        assert_eq!(answered(KINESIS, down).await.unwrap().to_string(), NOTHING_FAILED);
    }
}

#[tokio::test]
async fn what_is_malformed_fails_by_name() {
    let tick = r#"{"detail-type":"Scheduled Event","source":"aws.events","detail":{}}"#;
    for (event, expected) in [(NOT_BASE64, "Kinesis"), (tick, "broadcast is not woken by the schedule")] {
        let failure = answered(event, false).await.unwrap_err();
        assert!(failure.to_string().contains(expected), "{failure}");
    }
}
