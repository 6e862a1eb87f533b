use std::sync::atomic::{AtomicI64, Ordering};

use ports::{ErrorClass, TenantId};
use serde_json::json;

use super::*;
use crate::stub::{Answer, Seen, Stub};

const NOW: i64 = 1_700_000_000_000;

struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

async fn timers(stub: &Stub) -> Timers {
    let config = stub.config().await;
    let clock = Arc::new(SetClock(AtomicI64::new(NOW)));
    let settings = Config {
        table: Some("t".to_owned()),
        timer_queue_url: Some("https://sqs.eu-central-1.amazonaws.com/1/q".to_owned()),
        ..Config::default()
    };
    Timers::new(Sqs::new(&config), Dynamo::new(&config), &settings, clock)
}

fn wake(ahead_ms: i64) -> Wake {
    Wake { at: Timestamp(NOW + ahead_ms), tenant: TenantId::default(), what: "rules/x".to_owned() }
}

fn body(ahead_ms: i64) -> String {
    serde_json::to_string(&wake(ahead_ms)).unwrap()
}

/// Everything works; a note stands from `note_ends_ms` on, where one stands.
fn working(note_ends_ms: Option<i64>) -> Stub {
    Stub::new(move |seen| match seen.operation.as_str() {
        "GetItem" => {
            Answer::ok(note_ends_ms.map_or(json!({}), |ends| json!({ "Item": { "xms": { "N": ends.to_string() } } })))
        }
        "SendMessage" => Answer::ok(json!({ "MessageId": "1" })),
        _ => Answer::ok(json!({})),
    })
}

fn sent(seen: &[Seen]) -> Vec<i64> {
    seen.iter()
        .filter(|seen| seen.operation == "SendMessage")
        .map(|seen| seen.json()["DelaySeconds"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn asking_looks_sends_and_notes() {
    let stub = working(None);
    timers(&stub).await.wake(wake(30_500)).await.unwrap();
    assert_eq!(stub.operations(), ["GetItem", "SendMessage", "PutItem"]);
    let seen = stub.seen();
    assert_eq!(seen[0].json()["ConsistentRead"], true);
    assert_eq!(seen[1].json()["MessageBody"], body(30_500));
    assert_eq!(seen[2].json()["Item"]["xms"]["N"], (NOW + 30_500 + NOTE_LIFE_MS).to_string());
    assert_eq!(seen[2].json()["Item"]["exp"]["N"], ((NOW + 30_500 + NOTE_LIFE_MS) / 1_000 + 1).to_string());
}

#[tokio::test]
async fn what_is_noted_is_not_sent_again_until_the_note_ends() {
    let stub = working(Some(NOW + 1));
    timers(&stub).await.wake(wake(30_000)).await.unwrap();
    assert_eq!(stub.operations(), ["GetItem"]);
    let stub = working(Some(NOW));
    timers(&stub).await.wake(wake(30_000)).await.unwrap();
    assert_eq!(sent(&stub.seen()), [30], "the message of a note that has ended was lost");
}

#[tokio::test]
async fn a_send_that_fails_leaves_no_note() {
    let stub = Stub::new(|seen| match seen.operation.as_str() {
        "SendMessage" => Answer::error(400, "AccessDeniedException"),
        _ => Answer::ok(json!({})),
    });
    let error = timers(&stub).await.wake(wake(0)).await.unwrap_err();
    assert!(error.what.contains("SQS SendMessage: AccessDeniedException"), "{error}");
    assert_eq!(stub.operations(), ["GetItem", "SendMessage"]);
}

#[test]
fn delays_are_whole_seconds_within_the_queues_limit() {
    for (ahead_ms, seconds) in
        [(-5_000, 0), (0, 0), (999, 0), (1_000, 1), (1_999, 1), (900_999, 900), (901_000, 900), (i64::MAX - NOW, 900)]
    {
        assert_eq!(delay_seconds(Timestamp(NOW + ahead_ms), Timestamp(NOW)), seconds, "{ahead_ms} ms ahead");
    }
}

#[tokio::test]
async fn what_lies_far_ahead_is_sent_again_and_stays_noted() {
    for (ahead_ms, delay) in [(WAIT_MS_MAX, 2), (3_600_000, 900)] {
        let stub = working(None);
        assert_eq!(timers(&stub).await.received(&body(ahead_ms)).await, Ok(Received::SentAgain));
        assert_eq!(stub.operations(), ["SendMessage"]);
        assert_eq!(sent(&stub.seen()), [delay]);
    }
}

#[tokio::test]
async fn the_rest_of_a_second_is_waited_for_and_then_the_note_goes() {
    let stub = working(None);
    let timers = timers(&stub).await;
    let started = tokio::time::Instant::now();
    assert_eq!(timers.received(&body(300)).await, Ok(Received::Due(wake(300))));
    assert!(started.elapsed() >= Duration::from_millis(300), "never early");
    assert_eq!(stub.operations(), ["DeleteItem"]);
    let late = WAIT_MS_MAX - 1;
    assert_eq!(timers.received(&body(late)).await, Ok(Received::Due(wake(late))), "at the limit");
    assert_eq!(timers.received(&body(-10_000)).await, Ok(Received::Due(wake(-10_000))));
}

#[tokio::test]
async fn what_cannot_be_read_or_begun_is_an_error() {
    let error = timers(&working(None)).await.received("{}").await.unwrap_err();
    assert!(error.class == ErrorClass::Permanent && error.what.contains("2 bytes is no wake-up"), "{error}");
    let stub = Stub::new(|_| Answer::error(400, "ThrottlingException"));
    let error = timers(&stub).await.received(&body(0)).await.unwrap_err();
    assert!(error.is_transient(), "the message must come again: {error}");
}

#[tokio::test]
async fn limits_and_missing_settings_are_named() {
    let timers = timers(&working(None)).await;
    let long = |bytes: usize| Wake { what: "w".repeat(bytes), ..wake(0) };
    assert_eq!(timers.wake(long(WHAT_BYTES_MAX)).await, Ok(()));
    assert_eq!(timers.wake(long(WHAT_BYTES_MAX + 1)).await.unwrap_err().class, ErrorClass::Permanent);
    assert!(note_of(&long(WHAT_BYTES_MAX)).sk.len() <= 1_024, "DynamoDB's limit of a sort key");
    let without_queue = Timers { queue_url: None, ..timers.clone() };
    assert!(without_queue.wake(wake(0)).await.unwrap_err().what.contains("DAYWATCH_TIMER_QUEUE_URL is not set"));
    let without_table = Timers { table: None, ..timers };
    assert!(without_table.wake(wake(0)).await.unwrap_err().what.contains("DAYWATCH_TABLE is not set"));
}
