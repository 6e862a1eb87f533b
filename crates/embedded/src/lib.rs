//! Ports on one machine: what `daywatch serve` and every test runs on.
//!
//! Two things are stored: logs of the stream (`shard.rs`) and one redb file (`store.rs`) for the
//! table, the manifest's changes, wake-ups and checkpoints; objects are files (`blobs.rs`). All of
//! it goes through [`Disk`], so [`Embedded::memory`] is the same code on a disk in memory, on which
//! power cuts and faults happen on demand. [`Faulty`] does the same to whole ports.
//!
//! Of ours it depends on `ports`, and on `webhook` for notifications; it knows nothing of what the
//! pipeline stores.

mod blobs;
mod changes;
mod clock;
mod consumer;
mod disk;
mod embedded;
mod faults;
mod group;
mod lock;
mod push;
mod random;
mod shard;
mod sim_disk;
mod spelling;
mod store;
mod stream;
mod table;
mod timer;
mod topic;

pub use blobs::FileBlobs;
pub use changes::{CHANGES_KEPT_MAX, CHANGES_PER_BATCH_MAX, Change, ChangeConsumer, Changes};
pub use clock::{ManualClock, OsEntropy, SeededEntropy, SystemClock};
pub use consumer::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Consumer};
pub use disk::{DirEntry, Disk, DiskFile, RealDisk};
pub use embedded::{Embedded, EmbeddedOptions, Memory, OpenError};
pub use faults::{FaultRates, Faults, Faulty, faulty_ports};
pub use push::{Connections, MESSAGES_WAITING_MAX, Outgoing};
pub use random::SeededRandom;
pub use shard::ShardOptions;
pub use sim_disk::{CrashKind, DiskFaults, SimDisk};
pub use stream::{SHARDS_MAX, Shards, WAITING_BYTES_MAX};
pub use table::{Documents, PAGE_BYTES_MAX, PAGE_ITEMS_MAX};
pub use timer::{Due, Timers, WAKES_AT_ONCE_MAX, WAKES_MAX};
pub use topic::MemoryTopic;

#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod kill_tests;
