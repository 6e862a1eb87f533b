//! All ports of one data folder, opened together.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ports::{Clock, Entropy, PortError, Ports, Timestamp, Topic};
use webhook::WebhookTopic;

use crate::blobs::FileBlobs;
use crate::changes::Changes;
use crate::clock::{ManualClock, OsEntropy, SeededEntropy, SystemClock};
use crate::disk::{Disk, RealDisk};
use crate::lock::{FolderLock, LockError};
use crate::push::Connections;
use crate::shard::ShardOptions;
use crate::sim_disk::SimDisk;
use crate::store::Store;
use crate::stream::Shards;
use crate::table::Documents;
use crate::timer::Timers;
use crate::topic::MemoryTopic;

const STORE_PATH: &str = "store.redb";
const STREAM_DIR: &str = "stream";
const BLOBS_DIR: &str = "blobs";
const TEMPORARY_DIR: &str = "tmp";
/// Where a manual clock starts: a Tuesday in 2023, far from zero and on a full day.
const MEMORY_START: Timestamp = Timestamp(1_699_920_000_000);

/// Why a data folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{dir} is in use by another daywatch serve (process {by}); stop it, or choose another --data")]
    InUse { dir: String, by: String },
    #[error("cannot open the data folder {dir}: {error}")]
    Io { dir: String, error: io::Error },
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What may be chosen when a folder is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Shards of the stream, fixed when the folder is made.
    pub shards: u16,
    /// Sizes of each shard's log.
    pub shard: ShardOptions,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self { shards: 4, shard: ShardOptions::default() }
    }
}

/// The ports of one machine, and what runs behind them: whoever opens it reads the shards, the
/// changes and the timers, and calls the functions.
pub struct Embedded {
    ports: Ports,
    shards: Shards,
    changes: Changes,
    timers: Timers,
    connections: Connections,
    store: Store,
    // None on a disk in memory.
    lock: Option<FolderLock>,
}

/// An [`Embedded`] in memory, with the handles that tests turn.
pub struct Memory {
    /// The same as on a real disk.
    pub embedded: Embedded,
    /// Its clock, which stands.
    pub clock: Arc<ManualClock>,
    /// Its disk: crash it, then [`Embedded::on_disk`] again.
    pub disk: SimDisk,
    /// What was published.
    pub topic: Arc<MemoryTopic>,
}

impl Memory {
    /// The time on its clock.
    #[must_use]
    pub fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Embedded {
    /// Opens the data folder, making it where it is missing.
    pub fn open(data_dir: &Path, options: &EmbeddedOptions) -> Result<Self, OpenError> {
        let dir = || data_dir.display().to_string();
        let failed = |error| OpenError::Io { dir: dir(), error };
        let root: PathBuf = data_dir.to_owned();
        let disk = RealDisk::new(&root).map_err(failed)?;
        let lock = FolderLock::take(&root).map_err(|error| match error {
            LockError::Taken { by } => OpenError::InUse { dir: dir(), by },
            LockError::Io(error) => failed(error),
        })?;
        let topic = Arc::new(WebhookTopic::new()?);
        let clock = Arc::new(SystemClock::default());
        let mut embedded = Self::on_disk(Arc::new(disk), options, clock, Arc::new(OsEntropy), topic)?;
        embedded.lock = Some(lock);
        Ok(embedded)
    }

    /// A new one in memory; everything random follows `seed`.
    pub fn memory(seed: u64) -> Result<Memory, OpenError> {
        let (disk, clock) = (SimDisk::new(seed), Arc::new(ManualClock::new(MEMORY_START)));
        let (entropy, topic) = (Arc::new(SeededEntropy::new(seed)), Arc::new(MemoryTopic::default()));
        let options = EmbeddedOptions::default();
        let embedded = Self::on_disk(
            Arc::new(disk.clone()),
            &options,
            Arc::clone(&clock) as Arc<dyn Clock>,
            entropy,
            Arc::clone(&topic) as Arc<dyn Topic>,
        )?;
        Ok(Memory { embedded, clock, disk, topic })
    }

    /// On any disk, with any clock, randomness and topic.
    pub fn on_disk(
        disk: Arc<dyn Disk>,
        options: &EmbeddedOptions,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        topic: Arc<dyn Topic>,
    ) -> Result<Self, OpenError> {
        let store = Store::open(Arc::clone(&disk), STORE_PATH, Arc::clone(&clock))?;
        let changes = Changes::new(store.clone());
        let timers = Timers::new(store.clone());
        let connections = Connections::default();
        let shards =
            Shards::open(&disk, STREAM_DIR, options.shards, &options.shard, store.clone(), Arc::clone(&clock))?;
        let blobs = FileBlobs::open(disk, BLOBS_DIR, TEMPORARY_DIR)
            .map_err(|error| OpenError::Io { dir: BLOBS_DIR.to_owned(), error })?;
        let ports = Ports {
            stream: Arc::new(shards.clone()),
            table: Arc::new(Documents::new(store.clone(), Arc::clone(&clock), changes.clone())),
            blobs: Arc::new(blobs),
            topic,
            push: Arc::new(connections.clone()),
            timer: Arc::new(timers.clone()),
            clock,
            entropy,
        };
        Ok(Self { ports, shards, changes, timers, connections, store, lock: None })
    }

    /// The ports, for the pipeline.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports.clone()
    }

    /// The stream's way out.
    #[must_use]
    pub fn shards(&self) -> &Shards {
        &self.shards
    }

    /// The manifest's changes.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The wake-ups.
    #[must_use]
    pub fn timers(&self) -> &Timers {
        &self.timers
    }

    /// The open websockets.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Closes all connections, waits for writes that run, and gives the folder back. Stop whoever
    /// uses the ports first: what they ask for later is refused as transient.
    pub async fn close(self) {
        self.connections.disconnect_all();
        self.shards.close().await;
        self.store.close().await;
        drop(self.lock);
    }
}

#[cfg(test)]
#[path = "embedded_tests.rs"]
mod tests;
