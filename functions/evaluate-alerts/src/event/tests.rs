//! Events that wake it, and its answers.

use std::time::Duration;

use embedded::{Embedded, Faults, Memory, faulty_ports};
use lambda::wakes::PlainWakes;
use pipeline::keys::{self, KeyKind};
use pipeline::{DAY_MS, Settings};

use super::*;

const KINESIS: &str = include_str!("../../fixtures/kinesis.json");
const CHANGES: &str = include_str!("../../fixtures/changes.json");
const WAKES: &str = include_str!("../../fixtures/wakes.json");
const SCHEDULE: &str = include_str!("../../fixtures/schedule.json");
const BAD_WAKE: &str = include_str!("../../fixtures/malformed-wake.json");
const OTHER_TABLE: &str = include_str!("../../fixtures/malformed-other-table.json");
const NOTHING_FAILED: &str = r#"{"batchItemFailures":[]}"#;

struct Bench {
    context: Context,
    faults: std::sync::Arc<Faults>,
    memory: Memory,
}

impl Bench {
    async fn new() -> Self {
        let memory = Embedded::memory(1).unwrap();
        let faults = Faults::none();
        let settings = Settings { raw_retention_ms: DAY_MS, external_url: String::new(), websocket_url: String::new() };
        let context = Context::new(faulty_ports(&memory.embedded.ports(), &faults), settings);
        keys::create(&context.ports, TenantId::default(), KeyKind::Agent, "").await.unwrap();
        Self { context, faults, memory }
    }

    async fn answer(&self, deadline: Deadline, event: &str) -> Result<String, Failure> {
        let event = serde_json::from_str(event).unwrap();
        let answered = answer(&self.context, &PlainWakes, &Pace::default(), deadline, event).await;
        answered.map(|answer| answer.to_string())
    }

    /// When the next pulses are to be.
    async fn pulses(&self) -> Vec<i64> {
        let far = self.memory.clock_now().plus_ms(DAY_MS);
        let due = self.memory.embedded.timers().due(far).await.unwrap();
        due.iter().filter(|due| due.wake.what == WAKE_PULSE).map(|due| due.wake.at.ms()).collect()
    }
}

#[tokio::test]
async fn every_source_is_answered_in_its_own_way() {
    let bench = Bench::new().await;
    for (event, expected) in
        [(KINESIS, NOTHING_FAILED), (CHANGES, NOTHING_FAILED), (WAKES, NOTHING_FAILED), (SCHEDULE, "{}")]
    {
        assert_eq!(bench.answer(Deadline::never(), event).await.unwrap(), expected, "{event}");
    }
}

#[tokio::test]
async fn what_may_pass_is_given_again() {
    let bench = Bench::new().await;
    bench.faults.set_down(true);
    let changes = bench.answer(Deadline::never(), CHANGES).await.unwrap();
    assert_eq!(changes, r#"{"batchItemFailures":[{"itemIdentifier":"140540000000000206328200"}]}"#);
    // Of a queue each by itself.
    let wakes = bench.answer(Deadline::never(), WAKES).await.unwrap();
    assert_eq!(wakes.matches("059f36b4-87a3-44ab-83d2-66197583000").count(), 2, "{wakes}");
    assert!(bench.answer(Deadline::never(), SCHEDULE).await.is_err());
}

#[tokio::test]
async fn a_wake_up_that_fails_for_now_is_tried_again_soon_and_not_when_the_queue_gives_it_back() {
    let mut bench = Bench::new().await;
    bench.context.ports.timer = bench.memory.embedded.ports().timer;
    bench.faults.set_down(true);
    let wakes = bench.answer(Deadline::never(), WAKES).await.unwrap();
    // The pulse has asked for its successor before it failed; only its own message comes again.
    assert_eq!(wakes, r#"{"batchItemFailures":[{"itemIdentifier":"059f36b4-87a3-44ab-83d2-661975830000"}]}"#);
    let now = bench.memory.clock_now();
    let due = bench.memory.embedded.timers().due(now.plus_ms(WAKE_AGAIN_MS)).await.unwrap();
    let again: Vec<_> = due.iter().filter(|due| due.wake.what == "group:none").map(|due| due.wake.at).collect();
    assert_eq!(again, [now.plus_ms(WAKE_AGAIN_MS)]);
}

#[tokio::test]
async fn without_time_everything_is_handed_back() {
    let bench = Bench::new().await;
    let late = Deadline::of(Duration::ZERO);
    for event in [KINESIS, CHANGES, WAKES] {
        let answer = bench.answer(late, event).await.unwrap();
        assert!(answer.contains("itemIdentifier"), "{answer}");
    }
    assert!(matches!(bench.answer(late, SCHEDULE).await, Err(Failure::Late { .. })));
}

#[tokio::test]
async fn pulses_are_one_chain_however_often_it_is_begun() {
    let bench = Bench::new().await;
    let now = bench.memory.clock_now().ms();
    for event in [SCHEDULE, WAKES, SCHEDULE, WAKES] {
        bench.answer(Deadline::never(), event).await.unwrap();
    }
    assert_eq!(bench.pulses().await, [now + PULSE_EVERY_MS]);
    bench.memory.clock.advance_ms(PULSE_EVERY_MS + 1);
    bench.answer(Deadline::never(), SCHEDULE).await.unwrap();
    assert_eq!(bench.pulses().await, [now + PULSE_EVERY_MS, now + 2 * PULSE_EVERY_MS]);
}

#[tokio::test]
async fn a_message_that_can_never_be_read_is_kept_aside_and_not_given_again() {
    let bench = Bench::new().await;
    assert_eq!(bench.answer(Deadline::never(), BAD_WAKE).await.unwrap(), NOTHING_FAILED);
    // Where it cannot be kept aside, it comes again.
    bench.faults.set_down(true);
    assert!(bench.answer(Deadline::never(), BAD_WAKE).await.unwrap().contains("itemIdentifier"));
}

#[tokio::test]
async fn what_is_malformed_fails_by_name() {
    let bench = Bench::new().await;
    for (event, expected) in [(OTHER_TABLE, "Records[0].dynamodb.Keys.pk.S"), (r#"{"methodArn":"x"}"#, "authorizer")] {
        let failure = bench.answer(Deadline::never(), event).await.unwrap_err();
        assert!(failure.to_string().contains(expected), "{failure}");
    }
}
