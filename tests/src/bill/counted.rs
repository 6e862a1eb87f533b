//! The memory ports, counting what AWS would bill for each call.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ports::{
    Accepted, Blobs, ConnectionId, Delivery, GotMany, Item, Key, Message, Page, Partition, PortError, Ports, Push,
    Pushed, Stream, StreamRecord, Subscriber, Table, Timer, Topic, Wake, Write, Written, WrittenAll,
};

use super::units::{ASSUMED, Meter, Unit, cpu};

/// Attribute names, version and expiry beside an item's key and value, bytes.
const ITEM_BYTES: usize = 40;

/// Ports that count.
#[must_use]
pub fn counted(ports: &Ports, meter: &Arc<Meter>) -> Ports {
    let meter = || Arc::clone(meter);
    Ports {
        stream: Arc::new(CountedStream(Arc::clone(&ports.stream), meter())),
        table: Arc::new(CountedTable(Arc::clone(&ports.table), meter())),
        blobs: Arc::new(CountedBlobs(Arc::clone(&ports.blobs), meter())),
        topic: Arc::new(CountedTopic(Arc::clone(&ports.topic), meter())),
        push: Arc::new(CountedPush(Arc::clone(&ports.push), meter())),
        timer: Arc::new(CountedTimer(Arc::clone(&ports.timer), meter())),
        clock: Arc::clone(&ports.clock),
        entropy: Arc::clone(&ports.entropy),
    }
}

/// Does what AWS does elsewhere.
async fn call<T>(meter: &Meter, waits_ms: f64, work: impl Future<Output = T>) -> T {
    let before = cpu();
    let answer = work.await;
    meter.called(waits_ms, cpu().saturating_sub(before));
    answer
}

fn units(bytes: usize, of: usize) -> u64 {
    bytes.div_ceil(of).max(1) as u64
}

struct CountedStream(Arc<dyn Stream>, Arc<Meter>);

impl CountedStream {
    fn record(&self, bytes: usize, times: u64) {
        self.1.add(Unit::Records, times);
        self.1.add(Unit::RecordBytes, bytes as u64 * times);
        self.1.add(Unit::PutUnits, units(bytes, 25 * 1024) * times);
    }
}

#[async_trait]
impl Stream for CountedStream {
    async fn put(&self, records: Vec<StreamRecord>) -> Result<Vec<Accepted>, PortError> {
        records.iter().for_each(|record| self.record(record.data.len(), 1));
        call(&self.1, ASSUMED.stream_ms, self.0.put(records)).await
    }

    async fn put_on_every_shard(&self, data: Bytes) -> Result<BTreeSet<String>, PortError> {
        let bytes = data.len();
        let reached = call(&self.1, ASSUMED.stream_ms, self.0.put_on_every_shard(data)).await?;
        self.record(bytes, reached.len() as u64);
        Ok(reached)
    }
}

struct CountedTable(Arc<dyn Table>, Arc<Meter>);

/// The kind of a partition, for the bill's parts.
fn kind(partition: &Partition) -> &'static str {
    match partition {
        Partition::Manifest(_) => "manifest",
        Partition::Connections | Partition::Presence(_) => "connections",
        Partition::Keys | Partition::Tickets => "keys",
        Partition::Config(_) | Partition::Tenants => "config",
        Partition::RuleState(_) => "rules",
        Partition::Pulses => "pulses",
        Partition::Outbox(_) | Partition::NotificationGroups(_) => "outbox",
        _ => "other",
    }
}

/// `aws::keys` spreads some partitions over several; a query asks each of them.
fn spread(partition: &Partition) -> u64 {
    match partition {
        Partition::Keys | Partition::Tickets | Partition::Connections => 16,
        Partition::Presence(_) | Partition::Checks(_) => 4,
        _ => 1,
    }
}

impl CountedTable {
    fn read(&self, partition: &Partition, units: u64) {
        self.1.add(Unit::Reads(kind(partition)), units);
    }

    fn write(&self, write: &Write, times: u64) {
        let key = write.key();
        let size = match write {
            Write::Put { key, value, .. } => Some(key.sort.len() + value.len() + ITEM_BYTES),
            Write::Delete { .. } => None,
        };
        let bytes = self.1.item(key, size);
        self.1.add(Unit::Writes(kind(&key.partition)), units(bytes, 1_024) * times);
    }
}

#[async_trait]
impl Table for CountedTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        let found = call(&self.1, ASSUMED.table_ms, self.0.get(key)).await?;
        let bytes = found.as_ref().map_or(0, |item| item.value.len() + key.sort.len() + ITEM_BYTES);
        self.read(&key.partition, units(bytes, 4_096));
        Ok(found)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<GotMany, PortError> {
        let found = call(&self.1, ASSUMED.table_ms, self.0.get_many(keys)).await?;
        for (key, item) in &found.items {
            self.read(&key.partition, units(item.value.len() + key.sort.len() + ITEM_BYTES, 4_096));
        }
        Ok(found)
    }

    async fn query(&self, partition: &Partition, from: &str, to: &str, after: Option<&str>) -> Result<Page, PortError> {
        let page = call(&self.1, ASSUMED.table_ms, self.0.query(partition, from, to, after)).await?;
        let bytes: usize = page.items.iter().map(|item| item.value.len() + item.sort.len() + ITEM_BYTES).sum();
        self.read(partition, units(bytes, 4_096).max(spread(partition)));
        Ok(page)
    }

    async fn write(&self, write: Write) -> Result<Written, PortError> {
        self.write(&write, 1);
        call(&self.1, ASSUMED.table_ms, self.0.write(write)).await
    }

    async fn write_all(&self, writes: Vec<Write>) -> Result<WrittenAll, PortError> {
        // All or nothing costs twice.
        writes.iter().for_each(|write| self.write(write, 2));
        call(&self.1, ASSUMED.table_ms, self.0.write_all(writes)).await
    }

    async fn write_many(&self, writes: Vec<Write>) -> Result<Vec<Write>, PortError> {
        writes.iter().for_each(|write| self.write(write, 1));
        call(&self.1, ASSUMED.table_ms, self.0.write_many(writes)).await
    }
}

struct CountedBlobs(Arc<dyn Blobs>, Arc<Meter>);

#[async_trait]
impl Blobs for CountedBlobs {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), PortError> {
        self.1.add(Unit::S3Puts, 1);
        self.1.blob(name, Some(bytes.len()));
        call(&self.1, ASSUMED.put_ms, self.0.put(name, bytes)).await
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, PortError> {
        self.1.add(Unit::S3Gets, 1);
        call(&self.1, ASSUMED.get_ms, self.0.get(name)).await
    }

    async fn delete(&self, name: &str) -> Result<(), PortError> {
        self.1.blob(name, None);
        call(&self.1, ASSUMED.get_ms, self.0.delete(name)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError> {
        self.1.add(Unit::S3Puts, 1);
        call(&self.1, ASSUMED.get_ms, self.0.list(prefix)).await
    }
}

struct CountedTopic(Arc<dyn Topic>, Arc<Meter>);

#[async_trait]
impl Topic for CountedTopic {
    async fn publish(&self, message: &Message) -> Result<Delivery, PortError> {
        self.1.add(Unit::Sns, 1);
        call(&self.1, ASSUMED.queue_ms, self.0.publish(message)).await
    }

    fn has_topics(&self) -> bool {
        self.0.has_topics()
    }

    async fn subscribers(&self) -> Result<Vec<Subscriber>, PortError> {
        self.0.subscribers().await
    }
}

struct CountedPush(Arc<dyn Push>, Arc<Meter>);

#[async_trait]
impl Push for CountedPush {
    async fn post(&self, connection: &ConnectionId, text: String) -> Result<Pushed, PortError> {
        self.1.add(Unit::MessagesOut, units(text.len(), 32 * 1024));
        self.1.add(Unit::BytesOut, text.len() as u64);
        call(&self.1, ASSUMED.post_ms, self.0.post(connection, text)).await
    }

    async fn disconnect(&self, connection: &ConnectionId) -> Result<(), PortError> {
        call(&self.1, ASSUMED.post_ms, self.0.disconnect(connection)).await
    }
}

struct CountedTimer(Arc<dyn Timer>, Arc<Meter>);

#[async_trait]
impl Timer for CountedTimer {
    async fn wake(&self, wake: Wake) -> Result<(), PortError> {
        // Decision 009: a look at the note; where there is none, the message and the note. The note goes
        // when it is received.
        self.1.add(Unit::Reads("wake-ups"), 1);
        if self.1.is_new_wake(&wake) {
            self.1.add(Unit::Writes("wake-ups"), 2);
            self.1.add(Unit::Sqs, 1);
        }
        call(&self.1, ASSUMED.queue_ms + ASSUMED.table_ms, self.0.wake(wake)).await
    }
}
