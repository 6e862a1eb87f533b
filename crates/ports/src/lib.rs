//! What the pipeline needs from the outside, as small traits.
//!
//! An adapter (`embedded`, `aws`) implements each of them and is judged by one contract
//! suite (`ports::contract`). Nothing here knows an adapter; nothing here runs by itself. What can
//! partly fail says so in its answer, as a value: a record that the stream refused, a key that the
//! table left unprocessed, a connection that is gone are not errors. A [`PortError`] is decided
//! once, in the adapter, and carries only its class and a text.

mod blobs;
mod clock;
#[cfg(feature = "contract")]
pub mod contract;
mod error;
mod push;
mod stream;
mod table;
mod timer;
mod topic;

use std::sync::Arc;

pub use blobs::{BLOB_BYTES_MAX, Blobs, part_of};
pub use clock::{Clock, Entropy};
pub use error::{ErrorClass, PortError};
pub use push::{ConnectionId, PUSH_BYTES_MAX, Push, Pushed};
pub use series::{Lane, SourceName, TenantId, Timestamp};
pub use stream::{Accepted, Delivered, RECORD_BYTES_MAX, RECORDS_PER_PUT_MAX, Stream, StreamRecord};
pub use table::{
    Condition, GotMany, ITEM_BYTES_MAX, Item, Key, Page, Partition, SORT_BYTES_MAX, Table, WRITE_ALL_BYTES_MAX,
    WRITES_AT_ONCE_MAX, Write, Written, WrittenAll, check_key, check_writes,
};
pub use timer::{Timer, Wake};
pub use topic::{Delivery, Destination, Message, Subscriber, Topic};
pub use wire::segment;

/// Every port that the pipeline uses, built once by whoever chooses the adapters.
#[derive(Clone)]
pub struct Ports {
    /// The sharded queue between `ingest` and everything behind it.
    pub stream: Arc<dyn Stream>,
    /// Small documents with conditional writes.
    pub table: Arc<dyn Table>,
    /// Large immutable objects, named by their content.
    pub blobs: Arc<dyn Blobs>,
    /// Where notifications go.
    pub topic: Arc<dyn Topic>,
    /// Text to an open websocket.
    pub push: Arc<dyn Push>,
    /// Wake-ups of `evaluate-alerts`.
    pub timer: Arc<dyn Timer>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Randomness for keys and tickets.
    pub entropy: Arc<dyn Entropy>,
}
