//! Reading a shard, as an event source mapping does it: a batch is given again until it is
//! committed, in whole or up to the first record that failed. It must not know who reads.

use std::sync::Arc;
use std::time::Duration;

use ports::{Delivered, PortError, Timestamp};
use redb::ReadableTable;

use crate::stream::{PORT, Shards, checkpoint_key, off_thread};

/// Records of one batch at most.
pub const BATCH_RECORDS_MAX: usize = 10_000;
/// Bytes of one batch: the record that reaches it is the last.
pub const BATCH_BYTES_MAX: usize = 6_000_000;

/// One reader of one shard.
pub struct Consumer {
    shards: Shards,
    shard: u16,
    // None: it leaves no trace.
    name: Option<String>,
    checkpoint: u64,
}

impl Consumer {
    pub(crate) async fn durable(shards: Shards, name: &str, shard: u16) -> Result<Self, PortError> {
        let known = shards.lanes(shard)?.shard.checkpoint(name);
        let mut consumer = Self { shards, shard, name: Some(name.to_owned()), checkpoint: known.unwrap_or(0) };
        if known.is_none() {
            consumer.store_checkpoint(0).await?;
        }
        Ok(consumer)
    }

    pub(crate) fn volatile(shards: Shards, shard: u16) -> Result<Self, PortError> {
        let checkpoint = shards.lanes(shard)?.shard.newest();
        Ok(Self { shards, shard, name: None, checkpoint })
    }

    /// Which shard it reads.
    #[must_use]
    pub fn shard(&self) -> u16 {
        self.shard
    }

    /// Records after the last commit, as soon as there is one; none if `max_wait` passes first.
    /// Until something is committed, it gives the same records again.
    pub async fn next_batch(&self, max_records: usize, max_wait: Duration) -> Result<Vec<Delivered>, PortError> {
        self.gather(max_records, Duration::ZERO, max_wait).await
    }

    /// As [`Consumer::next_batch`], but from the first record on it waits up to `window` for more,
    /// until there are `max_records`.
    pub async fn gather(
        &self,
        max_records: usize,
        window: Duration,
        max_wait: Duration,
    ) -> Result<Vec<Delivered>, PortError> {
        let shard = &self.shards.lanes(self.shard)?.shard;
        self.wait_for(1, max_wait).await;
        if shard.newest() <= self.checkpoint {
            return Ok(Vec::new());
        }
        self.wait_for(max_records as u64, window).await;
        let (shard, after) = (Arc::clone(shard), self.checkpoint);
        let max = max_records.min(BATCH_RECORDS_MAX);
        off_thread(move || shard.read(after, max, BATCH_BYTES_MAX)).await
    }

    /// Waits until `records` are there, or `patience` has passed.
    async fn wait_for(&self, records: u64, patience: Duration) {
        let Ok(lanes) = self.shards.lanes(self.shard) else { return };
        let deadline = tokio::time::sleep(patience);
        tokio::pin!(deadline);
        loop {
            let arrival = lanes.shard.arrival().notified();
            tokio::pin!(arrival);
            arrival.as_mut().enable();
            if lanes.shard.newest().saturating_sub(self.checkpoint) >= records || patience.is_zero() {
                return;
            }
            tokio::select! {
                () = &mut arrival => {}
                () = &mut deadline => return,
            }
        }
    }

    /// Everything up to and including this record is done. Durable when it returns; for a partial
    /// failure, commit the last record before the first that failed, and the failed one comes
    /// again.
    pub async fn commit(&mut self, sequence: &str) -> Result<(), PortError> {
        let unknown = || PortError::permanent(PORT, format!("{sequence:?} is not a sequence number"));
        let sequence: u64 = sequence.parse().map_err(|_| unknown())?;
        if sequence > self.shards.lanes(self.shard)?.shard.newest() {
            return Err(PortError::permanent(PORT, format!("record {sequence} has not been given out")));
        }
        if sequence <= self.checkpoint {
            return Ok(());
        }
        self.store_checkpoint(sequence).await?;
        self.checkpoint = sequence;
        Ok(())
    }

    async fn store_checkpoint(&mut self, sequence: u64) -> Result<(), PortError> {
        let Some(name) = &self.name else { return Ok(()) };
        let key = checkpoint_key(name, self.shard);
        let stored = self.shards.0.store.write(move |tables| {
            // Never back, not even by a second consumer of the same name.
            let before = tables.numbers.get(key.as_str())?.map(|guard| guard.value());
            if before.is_none_or(|before| before < sequence) {
                tables.numbers.insert(key.as_str(), sequence)?;
                tables.changed = true;
            }
            Ok(())
        });
        stored.await?;
        let shard = Arc::clone(&self.shards.lanes(self.shard)?.shard);
        shard.set_checkpoint(name, sequence);
        if shard.has_done() {
            off_thread(move || shard.remove_done()).await?;
        }
        Ok(())
    }

    /// How many records wait for this consumer.
    pub fn backlog(&self) -> Result<u64, PortError> {
        Ok(self.shards.lanes(self.shard)?.shard.newest().saturating_sub(self.checkpoint))
    }

    /// For how long the oldest waiting record has been waiting, 0 where none is.
    pub async fn lag_ms(&self, now: Timestamp) -> Result<i64, PortError> {
        let (shard, after) = (Arc::clone(&self.shards.lanes(self.shard)?.shard), self.checkpoint);
        let oldest = off_thread(move || shard.read(after, 1, 1)).await?;
        Ok(oldest.first().map_or(0, |record| now.ms().saturating_sub(record.arrived_at.ms()).max(0)))
    }
}
