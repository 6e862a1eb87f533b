//! Events that wake it, and its answers.

use std::time::Duration;

use embedded::{Embedded, Faults, Memory, faulty_ports};
use pipeline::keys::{self, KeyKind};
use pipeline::{DAY_MS, Settings, TenantId, ingest};

use super::*;

const KINESIS: &str = include_str!("../../fixtures/kinesis.json");
const SCHEDULE: &str = include_str!("../../fixtures/schedule.json");
const CREATED: &str = include_str!("../../fixtures/object-created.json");
const BY_QUEUE: &str = include_str!("../../fixtures/object-by-queue.json");
const NO_SHARD: &str = include_str!("../../fixtures/malformed-no-shard.json");
/// The object that the fixtures name.
const OBJECT: &str = "aws/lambda/mapping/one";

struct Bench {
    context: Context,
    faults: std::sync::Arc<Faults>,
    memory: Memory,
    pace: Pace,
}

impl Bench {
    fn new() -> Self {
        let memory = Embedded::memory(1).unwrap();
        let faults = Faults::none();
        let settings =
            Settings { raw_retention_ms: 30 * DAY_MS, external_url: String::new(), websocket_url: String::new() };
        let context = Context::new(faulty_ports(&memory.embedded.ports(), &faults), settings);
        Self { context, faults, memory, pace: Pace::default() }
    }

    /// An event of records: one of a pushed sample, and the given ones around it.
    async fn kinesis(&self, before: &[&str], after: &[&str]) -> Value {
        let ports = &self.context.ports;
        let key = keys::create(ports, TenantId::default(), KeyKind::Agent, "sender").await.unwrap();
        let caller = keys::authenticate_text(ports, &key).await.unwrap();
        let request = pipeline::Request { body: "load 1\n".into(), ..pipeline::Request::default() };
        ingest::graphite(&self.context, &caller, &request).await.unwrap();
        let mut data = Vec::new();
        for shard in 0..self.memory.embedded.shards().count() {
            let consumer = self.memory.embedded.shards().consumer("test", shard).await.unwrap();
            for record in consumer.next_batch(10, Duration::from_millis(1)).await.unwrap() {
                data.push(base64(&record.data));
            }
        }
        let mut event: Value = serde_json::from_str(KINESIS).unwrap();
        let template = event["Records"][0].clone();
        let all = before.iter().map(|text| base64(text.as_bytes())).chain(data);
        let all = all.chain(after.iter().map(|text| base64(text.as_bytes())));
        let one = |(n, data): (usize, String)| {
            let mut record = template.clone();
            record["kinesis"]["data"] = data.into();
            record["kinesis"]["sequenceNumber"] = format!("{n}").into();
            record
        };
        event["Records"] = all.enumerate().map(one).collect();
        event
    }

    async fn answer(&self, deadline: Deadline, event: Value) -> Result<Value, Failure> {
        answer(&self.context, &*self.memory.embedded.ports().blobs, &self.pace, deadline, event).await
    }

    /// Names below a folder of the store.
    async fn stored(&self, prefix: &str) -> usize {
        self.memory.embedded.ports().blobs.list(prefix).await.unwrap().len()
    }
}

/// The standard alphabet, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for n in 0..4 {
            let digit = char::from(ALPHABET[(bits >> (18 - 6 * n) & 63) as usize]);
            text.push(if n <= chunk.len() { digit } else { '=' });
        }
    }
    text
}

const NOTHING_FAILED: &str = r#"{"batchItemFailures":[]}"#;
const ALL_FAILED: &str = r#"{"batchItemFailures":[{"itemIdentifier":"0"}]}"#;

#[tokio::test]
async fn a_batch_is_stored_and_poison_among_it_kept_aside() {
    let bench = Bench::new();
    let event = bench.kinesis(&["poison"], &["more"]).await;
    assert_eq!(bench.answer(Deadline::never(), event).await.unwrap().to_string(), NOTHING_FAILED);
    assert_eq!(bench.stored("default/blocks/").await, 1);
}

#[tokio::test]
async fn what_may_pass_is_given_again_from_the_first_record() {
    let bench = Bench::new();
    let event = bench.kinesis(&[], &[]).await;
    bench.faults.set_down(true);
    assert_eq!(bench.answer(Deadline::never(), event.clone()).await.unwrap().to_string(), ALL_FAILED);
    bench.faults.set_down(false);
    assert_eq!(bench.answer(Deadline::never(), event).await.unwrap().to_string(), NOTHING_FAILED);
}

#[tokio::test]
async fn without_time_everything_is_handed_back() {
    let bench = Bench::new();
    let event = bench.kinesis(&[], &[]).await;
    let late = Deadline::of(Duration::ZERO);
    assert_eq!(bench.answer(late, event).await.unwrap().to_string(), ALL_FAILED);
    assert!(matches!(bench.answer(late, serde_json::from_str(SCHEDULE).unwrap()).await, Err(Failure::Late { .. })));
}

#[tokio::test]
async fn what_the_mapping_gave_up_is_joined_whoever_tells_of_it() {
    for (event, expected) in [(SCHEDULE, "{}"), (CREATED, "{}"), (BY_QUEUE, NOTHING_FAILED)] {
        let bench = Bench::new();
        let payload = bench.kinesis(&[], &[]).await.to_string();
        let object = json!({ "version": "1.0", "payload": payload }).to_string();
        // On AWS a bucket of its own.
        bench.memory.embedded.ports().blobs.put(OBJECT, object.into()).await.unwrap();
        let answer = bench.answer(Deadline::never(), serde_json::from_str(event).unwrap()).await.unwrap();
        assert_eq!(answer.to_string(), expected);
        assert_eq!((bench.stored("default/blocks/").await, bench.stored("aws/").await), (1, 0));
    }
}

#[tokio::test]
async fn an_object_that_cannot_be_joined_now_comes_again() {
    let bench = Bench::new();
    let object = json!({ "payload": bench.kinesis(&[], &[]).await.to_string() }).to_string();
    bench.faults.set_down(true);
    bench.memory.embedded.ports().blobs.put(OBJECT, object.into()).await.unwrap();
    let answer = bench.answer(Deadline::never(), serde_json::from_str(BY_QUEUE).unwrap()).await.unwrap();
    assert_eq!(lambda::partial::handed_back(&answer), 1);
    assert!(bench.answer(Deadline::never(), serde_json::from_str(CREATED).unwrap()).await.is_err());
    assert_eq!(bench.stored("aws/").await, 1);
}

#[tokio::test]
async fn what_is_malformed_fails_by_name() {
    let bench = Bench::new();
    for (event, expected) in [(NO_SHARD, "Records[0].eventID"), (r#"{"methodArn":"x"}"#, "the authorizer")] {
        let failure = bench.answer(Deadline::never(), serde_json::from_str(event).unwrap()).await.unwrap_err();
        assert!(failure.to_string().contains(expected), "{failure}");
    }
}
