//! What a function did, counted at its ports.
//!
//! The pipeline knows nothing of metrics: whatever is worth counting passes a port, and these
//! wrappers count it there, by the `metrics` facade. Without a recorder (simulators, tests) nothing
//! is kept. Names are the ones in CloudWatch; a metric that was not touched is not sent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use metrics::counter;
use pipeline::wire::StreamEnvelope;
use ports::{
    Accepted, ConnectionId, Delivery, GotMany, Item, Key, Message, Page, Partition, PortError, Ports, Push, Pushed,
    Stream, StreamRecord, Subscriber, Table, Topic, Write, Written, WrittenAll,
};

/// How often a warm process writes its counts down, ms. A line an event would cost as much as the
/// event; what is urgent ([`is_urgent`]) is written at once.
pub const EMIT_EVERY_MS: i64 = 60_000;

/// Whether something was counted that somebody waits for.
static URGENT: AtomicBool = AtomicBool::new(false);

/// Somebody waits for what is counted now: a failure, or something kept aside.
pub fn urgent() {
    URGENT.store(true, Ordering::Relaxed);
}

/// Whether that was so since the last time this was asked.
#[must_use]
pub fn is_urgent() -> bool {
    URGENT.swap(false, Ordering::Relaxed)
}

/// The ports, with counting.
#[must_use]
pub fn metered(ports: Ports) -> Ports {
    Ports {
        stream: Arc::new(MeteredStream(ports.stream)),
        table: Arc::new(MeteredTable(ports.table)),
        topic: Arc::new(MeteredTopic(ports.topic)),
        push: Arc::new(MeteredPush(ports.push)),
        ..ports
    }
}

/// Something was not done, and either comes again or is lossy by design.
pub fn failed(function: &'static str, why: &dyn std::fmt::Display) {
    counter!("Failed").increment(1);
    urgent();
    tracing::error!(function, "{why}");
}

struct MeteredStream(Arc<dyn Stream>);

#[async_trait]
impl Stream for MeteredStream {
    async fn put(&self, records: Vec<StreamRecord>) -> Result<Vec<Accepted>, PortError> {
        let bytes: Vec<Bytes> = records.iter().map(|record| record.data.clone()).collect();
        let answers = self.0.put(records).await?;
        for (data, answer) in bytes.into_iter().zip(&answers) {
            match answer {
                Ok(()) => rejected(data),
                Err(_) => {
                    counter!("RecordsRefused").increment(1);
                    urgent();
                }
            }
        }
        Ok(answers)
    }

    async fn put_on_every_shard(&self, data: Bytes) -> Result<BTreeSet<String>, PortError> {
        self.0.put_on_every_shard(data).await
    }
}

/// What was refused of a record on the way. What it brings is not counted here: the ledger and the stream's own
/// metrics have it, and a metric of ours is billed.
fn rejected(data: Bytes) {
    let Ok(envelope) = StreamEnvelope::decode(data) else { return };
    for rejection in envelope.rejected {
        counter!("SamplesRejected", "Reason" => rejection.reason).increment(rejection.count);
    }
}

struct MeteredTopic(Arc<dyn Topic>);

#[async_trait]
impl Topic for MeteredTopic {
    async fn publish(&self, message: &Message) -> Result<Delivery, PortError> {
        let outcome = self.0.publish(message).await;
        let delivered = outcome.as_ref().is_ok_and(|delivery| delivery.delivered);
        counter!(if delivered { "NotificationsSent" } else { "NotificationsFailed" }).increment(1);
        urgent();
        outcome
    }

    fn has_topics(&self) -> bool {
        self.0.has_topics()
    }

    async fn subscribers(&self) -> Result<Vec<Subscriber>, PortError> {
        self.0.subscribers().await
    }
}

struct MeteredPush(Arc<dyn Push>);

#[async_trait]
impl Push for MeteredPush {
    async fn post(&self, connection: &ConnectionId, text: String) -> Result<Pushed, PortError> {
        let outcome = self.0.post(connection, text).await?;
        let name = match outcome {
            Pushed::Sent => "PushesSent",
            Pushed::Gone => "PushesGone",
            Pushed::TooLarge => "PushesTooLarge",
            Pushed::Throttled => "PushesThrottled",
        };
        counter!(name).increment(1);
        Ok(outcome)
    }

    async fn disconnect(&self, connection: &ConnectionId) -> Result<(), PortError> {
        self.0.disconnect(connection).await
    }
}

struct MeteredTable(Arc<dyn Table>);

/// What is kept aside for good is seen by where it is written.
fn quarantined(key: &Key) {
    if matches!(key.partition, Partition::Quarantine(_)) {
        counter!("Quarantined").increment(1);
        urgent();
    }
}

#[async_trait]
impl Table for MeteredTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        self.0.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<GotMany, PortError> {
        self.0.get_many(keys).await
    }

    async fn query(&self, partition: &Partition, from: &str, to: &str, after: Option<&str>) -> Result<Page, PortError> {
        self.0.query(partition, from, to, after).await
    }

    async fn write(&self, write: Write) -> Result<Written, PortError> {
        let key = write.key().clone();
        let written = self.0.write(write).await?;
        quarantined(&key);
        Ok(written)
    }

    async fn write_all(&self, writes: Vec<Write>) -> Result<WrittenAll, PortError> {
        self.0.write_all(writes).await
    }

    async fn write_many(&self, writes: Vec<Write>) -> Result<Vec<Write>, PortError> {
        self.0.write_many(writes).await
    }
}

#[cfg(test)]
mod tests;
