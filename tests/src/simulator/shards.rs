//! A Kinesis stream: shards over ranges of hash keys, split and merged, each a log.
//!
//! Rules, after the Kinesis developer guide ("Reshard a stream") and the API reference:
//!
//! * a record goes to the open shard whose range holds its partition key's hash;
//! * sequence numbers rise within a shard, and over all shards here, as they do on AWS in practice;
//! * a split makes two children of one shard, a merge one child of two neighbours; the parents take
//!   no more records and stay readable;
//! * a producer that tries again stores its record twice, under different sequence numbers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use ports::{Accepted, Clock, PortError, RECORD_BYTES_MAX, RECORDS_PER_PUT_MAX, Stream, StreamRecord, Timestamp};

/// Hashes of partition keys are below this. (Kinesis: 2^128, of MD5.)
pub const HASH_SPACE: u64 = 4_096;
/// Where sequence numbers begin: their texts have one length, and are too long for 64 bits.
const FIRST_SEQUENCE: u128 = 49_590_338_271_490_256_608_559_692_538_361_571_095;

/// A record as it lies on its shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its partition key.
    pub key: String,
    /// Rises within the shard.
    pub sequence: u128,
    /// When it was accepted.
    pub arrived_at: Timestamp,
    /// Its payload.
    pub data: Bytes,
}

/// One shard.
#[derive(Debug, Clone)]
pub struct Shard {
    /// Its name.
    pub name: String,
    /// The hashes that it takes, `from..to`.
    pub range: (u64, u64),
    /// Whose records come before its own.
    pub parents: Vec<usize>,
    /// It takes no more records.
    pub closed: bool,
    /// Its records.
    pub records: Vec<Record>,
}

/// The stream. Clones are the same stream.
#[derive(Clone)]
pub struct Shards(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    shards: Vec<Shard>,
    next_sequence: u128,
}

impl Shards {
    /// With so many shards of equal ranges.
    #[must_use]
    pub fn new(count: u64, clock: Arc<dyn Clock>) -> Self {
        let mut log = Log { shards: Vec::new(), next_sequence: FIRST_SEQUENCE };
        for number in 0..count {
            log.open((number * HASH_SPACE / count, (number + 1) * HASH_SPACE / count), Vec::new());
        }
        Self(Arc::new(Inner { clock, log: Mutex::new(log) }))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All shards, closed ones included.
    #[must_use]
    pub fn all(&self) -> Vec<Shard> {
        self.log().shards.clone()
    }

    /// Calls `look` with the shards.
    pub fn with<T>(&self, look: impl FnOnce(&[Shard]) -> T) -> T {
        look(&self.log().shards)
    }

    /// The places of the open ones, by their ranges.
    #[must_use]
    pub fn open(&self) -> Vec<usize> {
        self.log().open_ones()
    }

    /// Closes a shard and opens two for its range. False: its range cannot be split.
    pub fn split(&self, shard: usize) -> bool {
        let mut log = self.log();
        let Some((from, to)) = log.shards.get(shard).filter(|shard| !shard.closed).map(|shard| shard.range) else {
            return false;
        };
        let middle = from.midpoint(to);
        if middle == from {
            return false;
        }
        log.shards[shard].closed = true;
        log.open((from, middle), vec![shard]);
        log.open((middle, to), vec![shard]);
        true
    }

    /// Closes two neighbours and opens one for both ranges. False: they are no open neighbours.
    pub fn merge(&self, first: usize, second: usize) -> bool {
        let mut log = self.log();
        let (Some(one), Some(two)) = (log.shards.get(first), log.shards.get(second)) else { return false };
        if one.closed || two.closed || one.range.1 != two.range.0 {
            return false;
        }
        let range = (one.range.0, two.range.1);
        log.shards[first].closed = true;
        log.shards[second].closed = true;
        log.open(range, vec![first, second]);
        true
    }

    /// Puts one record by its key's hash; what producers outside of the pipeline do.
    pub fn put_raw(&self, key: &str, hash: u64, data: Bytes) {
        let now = self.0.clock.now();
        let mut log = self.log();
        let shard = log.open_ones().into_iter().find(|shard| log.takes(*shard, hash));
        if let Some(shard) = shard {
            log.append(shard, key, now, data);
        }
    }
}

impl Log {
    fn open(&mut self, range: (u64, u64), parents: Vec<usize>) {
        let name = format!("shardId-{:012}", self.shards.len());
        self.shards.push(Shard { name, range, parents, closed: false, records: Vec::new() });
    }

    fn open_ones(&self) -> Vec<usize> {
        let mut open: Vec<usize> = (0..self.shards.len()).filter(|shard| !self.shards[*shard].closed).collect();
        open.sort_by_key(|shard| self.shards[*shard].range);
        open
    }

    fn takes(&self, shard: usize, hash: u64) -> bool {
        let (from, to) = self.shards[shard].range;
        (from..to).contains(&(hash % HASH_SPACE))
    }

    fn append(&mut self, shard: usize, key: &str, arrived_at: Timestamp, data: Bytes) {
        self.next_sequence += 7;
        let record = Record { key: key.to_owned(), sequence: self.next_sequence, arrived_at, data };
        self.shards[shard].records.push(record);
    }
}

#[async_trait]
impl Stream for Shards {
    async fn put(&self, records: Vec<StreamRecord>) -> Result<Vec<Accepted>, PortError> {
        if records.len() > RECORDS_PER_PUT_MAX {
            return Err(PortError::permanent("stream", format!("{} records in a put", records.len())));
        }
        let put = |record: StreamRecord| {
            if record.data.len() > RECORD_BYTES_MAX {
                return Err(PortError::permanent("stream", format!("a record of {} bytes", record.data.len())));
            }
            let lane = record.lane.number();
            self.put_raw(&lane.to_string(), u64::from(lane), record.data);
            Ok(())
        };
        Ok(records.into_iter().map(put).collect())
    }

    async fn put_on_every_shard(&self, data: Bytes) -> Result<BTreeSet<String>, PortError> {
        let now = self.0.clock.now();
        let mut log = self.log();
        let open = log.open_ones();
        for shard in &open {
            log.append(*shard, "pulse", now, data.clone());
        }
        Ok(open.into_iter().map(|shard| log.shards[shard].name.clone()).collect())
    }
}
