//! The sharded queue. At-least-once: a record may be delivered again, by itself or with other
//! neighbours, and a producer's retry may store it twice.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use series::{Lane, Timestamp};

use crate::PortError;

/// Bytes of one record (Kinesis: 1 MB, key included).
pub const RECORD_BYTES_MAX: usize = 1_000_000;
/// Records of one put (Kinesis: 500).
pub const RECORDS_PER_PUT_MAX: usize = 500;

/// A record on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRecord {
    /// Which lane; records of one lane are delivered in the order in which they were accepted.
    pub lane: Lane,
    /// The payload, opaque to the stream.
    pub data: Bytes,
}

/// A record as a consumer gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Which shard it came through.
    pub shard: String,
    /// Names the record for partial failure; unique within its shard, rising in delivery order.
    pub sequence: String,
    /// When the stream accepted it.
    pub arrived_at: Timestamp,
    /// The payload.
    pub data: Bytes,
}

/// The answer for one record of a put: accepted durably, or the reason why not.
pub type Accepted = Result<(), PortError>;

/// The way in. (The way out is the adapter's: it calls the functions with [`Delivered`] batches.)
#[async_trait]
pub trait Stream: Send + Sync {
    /// Puts records and answers for each by its index. `Ok` for a record means that it is durable.
    /// More than [`RECORDS_PER_PUT_MAX`] records are a permanent error; a record above
    /// [`RECORD_BYTES_MAX`] is refused alone.
    async fn put(&self, records: Vec<StreamRecord>) -> Result<Vec<Accepted>, PortError>;

    /// Lanes with the same answer go the same way for as long as the process lives: what belongs to several of
    /// them may be one record of any. Where shards may be split nobody can promise that, and each lane is its own.
    fn queue(&self, lane: Lane) -> u16 {
        lane.number()
    }

    /// Puts one record on every shard that is open, so that each shard's consumer can prove that it
    /// is current. Answers the names of these shards, as [`Delivered::shard`] spells them. Together
    /// they take every lane: an adapter whose shards may be split or merged asks for them anew each
    /// time, and puts again where the record went through others than it had asked for.
    async fn put_on_every_shard(&self, data: Bytes) -> Result<BTreeSet<String>, PortError>;
}
