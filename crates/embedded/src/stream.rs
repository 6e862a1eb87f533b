//! The stream port: shards in this process, each a log on disk, accepted when synced.
//!
//! A lane belongs to the shard `lane % shards`; the number of shards is fixed when the data folder
//! is made. Puts that come while a shard's disk is busy share the next sync. It must not know what
//! a record says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use ports::{Accepted, Clock, Lane, PortError, RECORD_BYTES_MAX, RECORDS_PER_PUT_MAX, Stream, StreamRecord};
use redb::ReadableTable;
use tokio::sync::oneshot;

use crate::consumer::Consumer;
use crate::disk::Disk;
use crate::group::GroupCommit;
use crate::shard::{NewRecord, Shard, ShardOptions};
use crate::store::{NUMBERS, Store};

/// Shards of a data folder at most.
pub const SHARDS_MAX: u16 = 64;
/// Bytes that wait for the disk at most, over all shards; beyond, records are refused for now.
pub const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Puts that share one sync at most.
const PUTS_PER_SYNC_MAX: usize = 1_000;
pub(crate) const PORT: &str = "stream";
pub(crate) const CHECKPOINT: &str = "checkpoint/stream/";
const SHARD_COUNT: &str = "shards";

/// One put's records for one shard.
struct Put {
    records: Vec<Bytes>,
    bytes: usize,
    answer: oneshot::Sender<Result<(), PortError>>,
}

pub(crate) struct Lanes {
    pub(crate) shard: Arc<Shard>,
    puts: Arc<GroupCommit<Put>>,
}

/// The stream port. Clones are the same stream.
#[derive(Clone)]
pub struct Shards(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) lanes: Vec<Lanes>,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    waiting_bytes: AtomicUsize,
    // After this, another process may have the folder.
    closed: AtomicBool,
}

impl Shards {
    /// Opens the logs below `dir`. `wanted` shards are made in a new folder; in an old one, the
    /// number that it was made with stands.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        dir: &str,
        wanted: u16,
        options: &ShardOptions,
        store: Store,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PortError> {
        let count = shard_count(&store, wanted)?;
        let checkpoints = stored_checkpoints(&store)?;
        let mut lanes = Vec::new();
        for number in 0..count {
            let shard = Shard::open(Arc::clone(disk), &format!("{dir}/{number}"), number, options.clone())
                .map_err(|error| PortError::transient(PORT, format!("cannot open shard {number}: {error}")))?;
            for (of, consumer, sequence) in checkpoints.iter().filter(|(of, _, _)| *of == number) {
                tracing::debug!(shard = of, consumer, sequence, "checkpoint");
                shard.set_checkpoint(consumer, *sequence);
            }
            lanes.push(Lanes { shard: Arc::new(shard), puts: GroupCommit::new(PUTS_PER_SYNC_MAX) });
        }
        Ok(Self(Arc::new(Inner {
            lanes,
            store,
            clock,
            waiting_bytes: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        })))
    }

    /// How many shards there are.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.0.lanes.len() as u16
    }

    /// The durable consumer of this name, where it last committed; a new one starts with the
    /// oldest record. Records stay until every consumer has committed them.
    pub async fn consumer(&self, name: &str, shard: u16) -> Result<Consumer, PortError> {
        Consumer::durable(self.clone(), name, shard).await
    }

    /// A consumer that starts with the next record and leaves no trace.
    pub fn watcher(&self, shard: u16) -> Result<Consumer, PortError> {
        Consumer::volatile(self.clone(), shard)
    }

    /// Forgets a durable consumer, so that records do not wait for it any longer.
    pub async fn forget(&self, name: &str) -> Result<(), PortError> {
        for number in 0..self.count() {
            let key = checkpoint_key(name, number);
            let removed = self.0.store.write(move |tables| {
                tables.changed |= tables.numbers.remove(key.as_str())?.is_some();
                Ok(())
            });
            removed.await?;
            let shard = Arc::clone(&self.lanes(number)?.shard);
            shard.forget(name);
            off_thread(move || shard.remove_done()).await?;
        }
        Ok(())
    }

    /// Damage found when the logs were opened: stretches of bytes that were no records.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.0.lanes.iter().map(|lanes| lanes.shard.damaged()).sum()
    }

    /// Refuses what comes from now on, and waits until every put before has been answered.
    pub(crate) async fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        for lanes in &self.0.lanes {
            lanes.puts.settled().await;
        }
    }

    pub(crate) fn lanes(&self, shard: u16) -> Result<&Lanes, PortError> {
        let unknown = || PortError::permanent(PORT, format!("there is no shard {shard}"));
        self.0.lanes.get(usize::from(shard)).ok_or_else(unknown)
    }

    fn submit(&self, number: usize, records: Vec<Bytes>) -> oneshot::Receiver<Result<(), PortError>> {
        let (answer, receiver) = oneshot::channel();
        if self.0.closed.load(Ordering::SeqCst) {
            let _ = answer.send(Err(PortError::transient(PORT, "the stream is closed")));
            return receiver;
        }
        let bytes = records.iter().map(Bytes::len).sum();
        let waiting = self.0.waiting_bytes.fetch_add(bytes, Ordering::SeqCst) + bytes;
        if waiting > WAITING_BYTES_MAX {
            self.0.waiting_bytes.fetch_sub(bytes, Ordering::SeqCst);
            let what = format!("more than {WAITING_BYTES_MAX} bytes wait for the disk");
            let _ = answer.send(Err(PortError::transient(PORT, what)));
            return receiver;
        }
        let lanes = &self.0.lanes[number];
        let (shard, inner) = (Arc::clone(&lanes.shard), Arc::clone(&self.0));
        lanes.puts.submit(Put { records, bytes, answer }, || move |puts| append(&shard, &inner, puts));
        receiver
    }
}

/// One sync for many puts.
fn append(shard: &Shard, inner: &Inner, puts: Vec<Put>) {
    let arrived_at = inner.clock.now();
    let records = puts.iter().flat_map(|put| &put.records);
    let records: Vec<NewRecord<'_>> = records.map(|data| NewRecord { arrived_at, data }).collect();
    let result = shard.append(&records).map_err(|error| PortError::transient(PORT, error));
    for put in puts {
        inner.waiting_bytes.fetch_sub(put.bytes, Ordering::SeqCst);
        // A caller that stopped waiting has nobody to tell.
        let _ = put.answer.send(result.clone());
    }
}

async fn answered(receiver: oneshot::Receiver<Result<(), PortError>>) -> Result<(), PortError> {
    receiver.await.unwrap_or_else(|_| Err(PortError::transient(PORT, "the stream is shutting down")))
}

#[async_trait]
impl Stream for Shards {
    async fn put(&self, records: Vec<StreamRecord>) -> Result<Vec<Accepted>, PortError> {
        if records.len() > RECORDS_PER_PUT_MAX {
            let what = format!("{} records in a put, at most {RECORDS_PER_PUT_MAX} are allowed", records.len());
            return Err(PortError::permanent(PORT, what));
        }
        let mut answers: Vec<Accepted> = vec![Ok(()); records.len()];
        let mut by_shard: Vec<(Vec<usize>, Vec<Bytes>)> = vec![Default::default(); self.0.lanes.len()];
        for (index, record) in records.into_iter().enumerate() {
            if record.data.len() > RECORD_BYTES_MAX {
                let what = format!("a record of {} bytes, at most {RECORD_BYTES_MAX} are allowed", record.data.len());
                answers[index] = Err(PortError::permanent(PORT, what));
                continue;
            }
            let (indices, data) = &mut by_shard[usize::from(self.queue(record.lane))];
            indices.push(index);
            data.push(record.data);
        }
        let filled = by_shard.into_iter().enumerate().filter(|(_, (indices, _))| !indices.is_empty());
        let waiting: Vec<_> = filled.map(|(number, (indices, data))| (indices, self.submit(number, data))).collect();
        for (indices, receiver) in waiting {
            if let Err(error) = answered(receiver).await {
                indices.into_iter().for_each(|index| answers[index] = Err(error.clone()));
            }
        }
        Ok(answers)
    }

    fn queue(&self, lane: Lane) -> u16 {
        lane.number() % self.count().max(1)
    }

    async fn put_on_every_shard(&self, data: Bytes) -> Result<BTreeSet<String>, PortError> {
        if data.len() > RECORD_BYTES_MAX {
            let what = format!("a record of {} bytes, at most {RECORD_BYTES_MAX} are allowed", data.len());
            return Err(PortError::permanent(PORT, what));
        }
        let waiting: Vec<_> = (0..self.0.lanes.len()).map(|number| self.submit(number, vec![data.clone()])).collect();
        let mut result = Ok(self.0.lanes.iter().map(|lanes| lanes.shard.name()).collect());
        for receiver in waiting {
            if let Err(error) = answered(receiver).await {
                result = Err(error);
            }
        }
        result
    }
}

/// Runs file work off the async threads.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, PortError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| PortError::transient(PORT, error)),
        Err(_) => Err(PortError::transient(PORT, "the stream is shutting down")),
    }
}

pub(crate) fn checkpoint_key(consumer: &str, shard: u16) -> String {
    format!("{CHECKPOINT}{shard}/{consumer}")
}

/// The number of shards that the folder was made with, or `wanted`, which it is made with now.
fn shard_count(store: &Store, wanted: u16) -> Result<u16, PortError> {
    if wanted == 0 || wanted > SHARDS_MAX {
        return Err(PortError::permanent(PORT, format!("{wanted} shards; 1 to {SHARDS_MAX} are allowed")));
    }
    let count = store.write_now(move |tables| {
        let made = tables.numbers.get(SHARD_COUNT)?.map(|guard| guard.value());
        if made.is_none() {
            tables.numbers.insert(SHARD_COUNT, u64::from(wanted))?;
            tables.changed = true;
        }
        Ok(made.unwrap_or(u64::from(wanted)))
    })?;
    let count = u16::try_from(count).unwrap_or(wanted);
    if count != wanted {
        tracing::warn!(wanted, count, "this data folder was made with another number of shards, which stands");
    }
    Ok(count)
}

/// All (shard, consumer, sequence).
fn stored_checkpoints(store: &Store) -> Result<Vec<(u16, String, u64)>, PortError> {
    store.read_now(|transaction| {
        let numbers = transaction.open_table(NUMBERS)?;
        let mut found = Vec::new();
        for entry in numbers.range::<&str>(CHECKPOINT..)? {
            let (key, value) = entry?;
            let Some(name) = key.value().strip_prefix(CHECKPOINT) else { break };
            if let Some((shard, consumer)) = name.split_once('/')
                && let Ok(shard) = shard.parse()
            {
                found.push((shard, consumer.to_owned(), value.value()));
            }
        }
        Ok(found)
    })
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
