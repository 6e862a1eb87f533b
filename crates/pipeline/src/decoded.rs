//! Batches of the stream that one function has read, for the next one, where several live in one process
//! (`serve`; on AWS each has its own, and nothing is kept).
//!
//! Whoever comes first reads a record, and `aggregate`, which gathers longest, takes it away. What `ingest` has
//! made itself it hands over before it goes on the stream, as numbers of series and samples: a reader that
//! finds the very bytes on the stream that were made of it need not read them. It is a memory, not a state: what
//! is not found is read again, to the same end. It must not know what a batch says.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ports::{Delivered, TenantId};
use series::{Epoch, Sample};
use wire::{DecodeError, Decoded, SeriesColumn};

use crate::ingest::KnownSeries;
use crate::ingest::book::Numbered;

/// Bytes of decoded batches that `serve` keeps.
pub const DECODED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Readers of a batch that was handed over: `evaluate` and `aggregate`. After them it is forgotten.
const READERS: u8 = 2;

/// Batches by shard and sequence, which no two records of a process share.
#[derive(Default)]
pub struct DecodedBatches {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    batches: BTreeMap<(String, String), (Arc<Decoded>, usize)>,
    handed: HashMap<(Epoch, u64), Handed>,
    bytes: usize,
    /// What was taken last, by shard: what comes after its taker is kept for nobody.
    taken: HashMap<String, String>,
}

/// What `ingest` made.
struct Handed {
    batch: Arc<Numbered>,
    bytes: usize,
    /// Of the batch's bytes: a sender of our numbers with other bytes finds nothing.
    hash: u128,
    readers_left: u8,
}

/// Batches on their way to the stream. Dropped before they are known to be there they are forgotten, since nobody
/// may ever ask for them.
pub(crate) struct Hand<'a> {
    kept: &'a DecodedBatches,
    names: Vec<(Epoch, u64)>,
}

impl Hand<'_> {
    /// Hands a batch over, while there is room.
    pub(crate) fn over(&mut self, name: (Epoch, u64), encoded: &[u8], mut batch: Numbered) {
        if self.kept.bytes_max == 0 {
            return;
        }
        batch.numbers.shrink_to_fit();
        batch.samples.shrink_to_fit();
        let (bytes, hash) = (batch.heap_bytes(), xxhash_rust::xxh3::xxh3_128(encoded));
        let mut kept = self.kept.kept();
        if kept.bytes + bytes <= self.kept.bytes_max {
            kept.bytes += bytes;
            kept.handed.insert(name, Handed { batch: Arc::new(batch), bytes, hash, readers_left: READERS });
            self.names.push(name);
        }
    }

    /// The stream has them.
    pub(crate) fn taken(mut self) {
        self.names.clear();
    }
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        if self.names.is_empty() {
            return;
        }
        let mut kept = self.kept.kept();
        for name in &self.names {
            kept.forget(name);
        }
    }
}

impl Kept {
    fn forget(&mut self, name: &(Epoch, u64)) {
        if let Some(handed) = self.handed.remove(name) {
            self.bytes -= handed.bytes;
        }
    }
}

impl DecodedBatches {
    /// Keeps so many bytes; 0: nothing.
    #[must_use]
    pub fn with_bytes_max(bytes_max: usize) -> Self {
        Self { bytes_max, kept: Mutex::default() }
    }

    /// Whether nothing is kept for anybody: its readers live in processes of their own.
    pub(crate) fn keeps_nothing(&self) -> bool {
        self.bytes_max == 0
    }

    /// Begins to hand batches over.
    pub(crate) fn hand(&self) -> Hand<'_> {
        Hand { kept: self, names: Vec::new() }
    }

    /// The batch that `ingest` made these bytes of, for one of the readers that each batch has.
    pub(crate) fn handed(&self, name: (Epoch, u64), encoded: &[u8]) -> Option<Arc<Numbered>> {
        let batch = self.shown(name, encoded)?;
        let mut kept = self.kept();
        if let Some(handed) = kept.handed.get_mut(&name) {
            handed.readers_left = handed.readers_left.saturating_sub(1);
            if handed.readers_left == 0 {
                kept.forget(&name);
            }
        }
        Some(batch)
    }

    /// The same for whoever reads only now and then.
    pub(crate) fn shown(&self, name: (Epoch, u64), encoded: &[u8]) -> Option<Arc<Numbered>> {
        if self.bytes_max == 0 {
            return None;
        }
        let (batch, hash) = self.kept().handed.get(&name).map(|handed| (Arc::clone(&handed.batch), handed.hash))?;
        (xxhash_rust::xxh3::xxh3_128(encoded) == hash).then_some(batch)
    }

    /// A record's batch; kept for [`DecodedBatches::take`], while there is room.
    pub(crate) fn read(
        &self,
        series: &KnownSeries,
        record: &Delivered,
        tenant: &TenantId,
        batch: &[u8],
    ) -> Result<Arc<Decoded>, DecodeError> {
        let place = (record.shard.clone(), record.sequence.clone());
        if let Some((known, _)) = self.kept().batches.get(&place) {
            return Ok(Arc::clone(known));
        }
        let decoded = Arc::new(series.decode(tenant, batch)?);
        let bytes = heap_bytes(&decoded);
        let mut kept = self.kept();
        let late = kept.taken.get(&place.0).is_some_and(|taken| *taken >= place.1);
        if !late && kept.bytes + bytes <= self.bytes_max {
            kept.bytes += bytes;
            if let Some((_, before)) = kept.batches.insert(place, (Arc::clone(&decoded), bytes)) {
                kept.bytes -= before;
            }
        }
        Ok(decoded)
    }

    /// A record's batch for its last reader; what stands before it in its shard is forgotten.
    pub(crate) fn take(
        &self,
        series: &KnownSeries,
        record: &Delivered,
        tenant: &TenantId,
        batch: &[u8],
    ) -> Result<Decoded, DecodeError> {
        match self.remove(record) {
            Some(known) => Ok(Arc::unwrap_or_clone(known)),
            None => series.decode(tenant, batch),
        }
    }

    fn remove(&self, record: &Delivered) -> Option<Arc<Decoded>> {
        if self.bytes_max == 0 || record.sequence.is_empty() {
            return None;
        }
        let mut kept = self.kept();
        let mut found = None;
        while let Some(first) = kept.batches.range((record.shard.clone(), String::new())..).next() {
            let place = first.0.clone();
            if place.0 != record.shard || place.1 > record.sequence {
                break;
            }
            let Some((batch, bytes)) = kept.batches.remove(&place) else { break };
            kept.bytes -= bytes;
            if place.1 == record.sequence {
                found = Some(batch);
            }
        }
        kept.taken.insert(record.shard.clone(), record.sequence.clone());
        found
    }

    // A panic of somebody who held the lock leaves a batch more or less, which is read again.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// About the bytes that it takes.
fn heap_bytes(decoded: &Decoded) -> usize {
    const ALLOCATION_BYTES: usize = 16;
    let column = |column: &SeriesColumn| {
        size_of::<SeriesColumn>() + ALLOCATION_BYTES + column.samples.capacity() * size_of::<Sample>()
    };
    let checks: usize = decoded.batch.checks.iter().map(|check| size_of_val(check) + check.text.len()).sum();
    let logs: usize = decoded.batch.logs.iter().map(|log| size_of_val(log) + log.text.len()).sum();
    decoded.batch.series.iter().map(column).sum::<usize>() + checks + logs
}

#[cfg(test)]
mod tests;
