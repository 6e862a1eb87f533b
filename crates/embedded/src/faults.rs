//! Faults of whole ports, by seed and by switch, as a cloud shows them: calls that fail, calls that
//! fail although they were done, answers that are partial. What the pipeline promises must hold
//! over these as well. A fault never invents data and never reorders.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use ports::{
    Accepted, Blobs, ConnectionId, Delivery, GotMany, Item, Key, Message, Page, Partition, PortError, Ports, Push,
    Pushed, Stream, StreamRecord, Subscriber, Table, Timer, Topic, Wake, Write, Written, WrittenAll,
};

use crate::random::SeededRandom;

/// How often what happens, in a thousand calls (records, keys).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultRates {
    /// A call fails and nothing was done.
    pub transient: u16,
    /// A change is done, and yet the call fails: the answer was lost.
    pub ambiguous: u16,
    /// A record of a put is refused, its neighbours are not.
    pub refused_record: u16,
    /// A key of a batch call is left unprocessed.
    pub unprocessed: u16,
    /// A connection is gone.
    pub gone: u16,
    /// A connection is throttled.
    pub throttled: u16,
}

/// What may go wrong, shared by the ports that are wrapped with it.
#[derive(Debug)]
pub struct Faults {
    dice: Mutex<(FaultRates, SeededRandom)>,
    down: AtomicBool,
    injected: AtomicU64,
}

impl Faults {
    /// These rates, decided by `seed`.
    #[must_use]
    pub fn new(seed: u64, rates: FaultRates) -> Arc<Self> {
        let dice = Mutex::new((rates, SeededRandom::new(seed)));
        Arc::new(Self { dice, down: AtomicBool::new(false), injected: AtomicU64::new(0) })
    }

    /// None, until it is [switched](Faults::set_down).
    #[must_use]
    pub fn none() -> Arc<Self> {
        Self::new(0, FaultRates::default())
    }

    /// While down, every call fails as transient.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// From now on these rates.
    pub fn set_rates(&self, rates: FaultRates) {
        self.dice().0 = rates;
    }

    /// How many faults there were.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::Relaxed)
    }

    fn dice(&self) -> MutexGuard<'_, (FaultRates, SeededRandom)> {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn happens(&self, rate: impl Fn(&FaultRates) -> u16) -> bool {
        let mut dice = self.dice();
        let rate = rate(&dice.0);
        // No dice for what cannot happen, so that adding a kind of fault keeps old seeds.
        let happens = rate > 0 && dice.1.chance(rate);
        self.injected.fetch_add(u64::from(happens), Ordering::Relaxed);
        happens
    }

    fn before(&self, port: &'static str) -> Result<(), PortError> {
        if self.down.load(Ordering::SeqCst) {
            self.injected.fetch_add(1, Ordering::Relaxed);
            return Err(PortError::transient(port, "switched off"));
        }
        if self.happens(|rates| rates.transient) { Err(PortError::transient(port, "injected fault")) } else { Ok(()) }
    }

    fn after(&self, port: &'static str) -> Result<(), PortError> {
        if self.happens(|rates| rates.ambiguous) {
            return Err(PortError::transient(port, "injected fault: done, but the answer was lost"));
        }
        Ok(())
    }
}

/// A port with faults.
pub struct Faulty<P: ?Sized> {
    inner: Arc<P>,
    faults: Arc<Faults>,
}

impl<P: ?Sized> Faulty<P> {
    /// `inner`, with `faults`.
    pub fn new(inner: Arc<P>, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }
}

/// All ports but clock and entropy, with the same faults. To hit one port only, wrap that one.
#[must_use]
pub fn faulty_ports(ports: &Ports, faults: &Arc<Faults>) -> Ports {
    fn wrap<P: ?Sized>(port: &Arc<P>, faults: &Arc<Faults>) -> Arc<Faulty<P>> {
        Arc::new(Faulty::new(Arc::clone(port), Arc::clone(faults)))
    }
    Ports {
        stream: wrap(&ports.stream, faults),
        table: wrap(&ports.table, faults),
        blobs: wrap(&ports.blobs, faults),
        topic: wrap(&ports.topic, faults),
        push: wrap(&ports.push, faults),
        timer: wrap(&ports.timer, faults),
        clock: Arc::clone(&ports.clock),
        entropy: Arc::clone(&ports.entropy),
    }
}

#[async_trait]
impl<P: Stream + ?Sized> Stream for Faulty<P> {
    async fn put(&self, records: Vec<StreamRecord>) -> Result<Vec<Accepted>, PortError> {
        self.faults.before("stream")?;
        let refused: Vec<bool> = records.iter().map(|_| self.faults.happens(|rates| rates.refused_record)).collect();
        let kept = records.into_iter().zip(&refused).filter(|(_, refused)| !**refused).map(|(record, _)| record);
        let mut answers = self.inner.put(kept.collect()).await?.into_iter();
        self.faults.after("stream")?;
        let refusal = || PortError::transient("stream", "injected fault: the shard is busy");
        let missing = || Err(PortError::transient("stream", "no answer for this record"));
        let answer = |refused| if refused { Err(refusal()) } else { answers.next().unwrap_or_else(missing) };
        Ok(refused.into_iter().map(answer).collect())
    }

    async fn put_on_every_shard(&self, data: Bytes) -> Result<BTreeSet<String>, PortError> {
        self.faults.before("stream")?;
        let shards = self.inner.put_on_every_shard(data).await?;
        self.faults.after("stream").map(|()| shards)
    }
}

#[async_trait]
impl<P: Table + ?Sized> Table for Faulty<P> {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        self.faults.before("table")?;
        self.inner.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<GotMany, PortError> {
        self.faults.before("table")?;
        let (unprocessed, asked): (Vec<Key>, Vec<Key>) =
            keys.iter().cloned().partition(|_| self.faults.happens(|rates| rates.unprocessed));
        let mut got = self.inner.get_many(&asked).await?;
        got.unprocessed.extend(unprocessed);
        Ok(got)
    }

    async fn query(&self, partition: &Partition, from: &str, to: &str, after: Option<&str>) -> Result<Page, PortError> {
        self.faults.before("table")?;
        let mut page = self.inner.query(partition, from, to, after).await?;
        // A page may end early; half of it is still a page.
        if page.items.len() > 1 && self.faults.happens(|rates| rates.unprocessed) {
            page.items.truncate(page.items.len().div_ceil(2));
            page.next = page.items.last().map(|item| item.sort.clone());
        }
        Ok(page)
    }

    async fn write(&self, write: Write) -> Result<Written, PortError> {
        self.faults.before("table")?;
        let written = self.inner.write(write).await?;
        self.faults.after("table").map(|()| written)
    }

    async fn write_all(&self, writes: Vec<Write>) -> Result<WrittenAll, PortError> {
        self.faults.before("table")?;
        let written = self.inner.write_all(writes).await?;
        self.faults.after("table").map(|()| written)
    }

    async fn write_many(&self, writes: Vec<Write>) -> Result<Vec<Write>, PortError> {
        self.faults.before("table")?;
        let (mut unprocessed, done): (Vec<Write>, Vec<Write>) =
            writes.into_iter().partition(|_| self.faults.happens(|rates| rates.unprocessed));
        unprocessed.extend(self.inner.write_many(done).await?);
        self.faults.after("table").map(|()| unprocessed)
    }
}

#[async_trait]
impl<P: Blobs + ?Sized> Blobs for Faulty<P> {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), PortError> {
        self.faults.before("blobs")?;
        self.inner.put(name, bytes).await?;
        self.faults.after("blobs")
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, PortError> {
        self.faults.before("blobs")?;
        self.inner.get(name).await
    }

    async fn get_range(&self, name: &str, offset: u64, length: u64) -> Result<Option<Bytes>, PortError> {
        self.faults.before("blobs")?;
        self.inner.get_range(name, offset, length).await
    }

    async fn length(&self, name: &str) -> Result<Option<u64>, PortError> {
        self.faults.before("blobs")?;
        self.inner.length(name).await
    }

    async fn delete(&self, name: &str) -> Result<(), PortError> {
        self.faults.before("blobs")?;
        self.inner.delete(name).await?;
        self.faults.after("blobs")
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError> {
        self.faults.before("blobs")?;
        self.inner.list(prefix).await
    }
}

#[async_trait]
impl<P: Push + ?Sized> Push for Faulty<P> {
    async fn post(&self, connection: &ConnectionId, text: String) -> Result<Pushed, PortError> {
        self.faults.before("push")?;
        if self.faults.happens(|rates| rates.gone) {
            return Ok(Pushed::Gone);
        }
        if self.faults.happens(|rates| rates.throttled) {
            return Ok(Pushed::Throttled);
        }
        self.inner.post(connection, text).await
    }

    async fn disconnect(&self, connection: &ConnectionId) -> Result<(), PortError> {
        self.faults.before("push")?;
        self.inner.disconnect(connection).await
    }
}

#[async_trait]
impl<P: Topic + ?Sized> Topic for Faulty<P> {
    async fn publish(&self, message: &Message) -> Result<Delivery, PortError> {
        self.faults.before("topic")?;
        let delivery = self.inner.publish(message).await?;
        self.faults.after("topic").map(|()| delivery)
    }

    fn has_topics(&self) -> bool {
        self.inner.has_topics()
    }

    async fn subscribers(&self) -> Result<Vec<Subscriber>, PortError> {
        self.faults.before("topic")?;
        self.inner.subscribers().await
    }
}

#[async_trait]
impl<P: Timer + ?Sized> Timer for Faulty<P> {
    async fn wake(&self, wake: Wake) -> Result<(), PortError> {
        self.faults.before("timer")?;
        self.inner.wake(wake).await?;
        self.faults.after("timer")
    }
}

#[cfg(test)]
#[path = "faults_tests.rs"]
mod tests;
