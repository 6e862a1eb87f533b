//! The buffer: what waits for the server. A log of segments on disk, and a small one in memory
//! for the time in which the disk cannot be used.
//!
//! ```text
//! DIR/00000001.seg          records in `wire::segment`'s framing, oldest first:
//!   H {json}                first in every file: format, epoch, first seq, the ledger so far
//!   B seq put samples created_at batch      (u64 u64 u32 i64, little endian; `wire::Batch` bytes)
//!   A acked count (from to)*                (u64 u32 (u64 u64)*): acks; `acked` is the sum so far
//! DIR/00000001.seg.quarantine               a file of another format, or one that is damaged
//! ```
//!
//! * A batch is named (epoch, seq). The epoch is made with the buffer; seq counts from 1, without
//!   gaps and never twice for two contents. A batch is sent only after it was fsynced.
//! * put = acked + buffered + evicted, in samples. `put` and `acked` are written, `buffered` is
//!   counted, `evicted` follows: whatever a damaged disk loses is counted as evicted.
//! * The oldest segment is evicted where a new batch would not fit into `max_bytes`.
//! * Before a segment is removed, the acks that allow it are fsynced.
//! * A start never appends to an old segment; so nothing has to be repaired first.
//! * Where the disk fails, batches go to memory, under an epoch of their own: after a crash the
//!   disk's next seq could have been used by a batch that was only in memory.
//!
//! Knows nothing of the network, of clocks and of what is in a batch.

mod disk;
mod disk_log;
mod entries;
mod memory_log;
mod record;
mod recovery;
#[cfg(test)]
mod sim_disk;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;

use series::{Epoch, SourceName, Timestamp};
use wire::{Contents, Counters, SeqRange};

pub use disk::{Disk, FILE_BYTES_MAX, RealDisk};
pub use disk_log::{DiskLog, Look};
use memory_log::MemoryLog;

/// Bytes of a segment; less where the whole buffer is small.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 20;
/// Segments into which a buffer is cut at least, so that little is evicted at once.
pub const SEGMENTS_MIN: u64 = 8;
/// Batches from the oldest one that is kept to the newest. At 16 bytes each, this bounds memory.
pub const BATCHES_MAX: usize = 65_536;
/// Bytes of batches in memory, while the disk cannot be used.
pub const MEMORY_BYTES_MAX: usize = 2 << 20;
/// Quarantined files that are kept; older ones are removed.
pub const QUARANTINED_MAX: usize = 3;
/// How long until a folder that could not be opened is tried again, ms.
pub const REOPEN_MS: i64 = 10_000;

/// What the buffer must know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose batches.
    pub source: SourceName,
    /// Bytes on disk.
    pub bytes_max: u64,
    /// Whether each batch is fsynced before [`Buffer::put`] returns; else [`Buffer::sync`] does it.
    pub sync_each: bool,
}

/// The samples' ledger of one log. All numbers only rise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Put into batches.
    pub put: u64,
    /// In batches that were acknowledged.
    pub acked: u64,
    /// In batches thrown out.
    pub evicted: u64,
    /// Refused before they came into a batch, by reason.
    pub rejected: BTreeMap<String, u64>,
}

impl Ledger {
    /// As it travels.
    #[must_use]
    pub fn counters(&self, buffered: u64) -> Counters {
        let rejected: u64 = self.rejected.values().sum();
        Counters { generated: self.put + rejected, evicted: self.evicted, buffered, rejected: self.rejected.clone() }
    }

    /// Adds what was refused. Reasons beyond the protocol's limit are counted as `other`.
    pub fn reject(&mut self, rejected: BTreeMap<String, u64>) {
        for (mut reason, count) in rejected {
            let known = self.rejected.contains_key(&reason);
            let room = self.rejected.len() + 1 < wire::limits::REASONS_MAX;
            if !known && (!room || reason.len() > wire::limits::REASON_BYTES_MAX) {
                reason = "other".to_owned();
            }
            *self.rejected.entry(reason).or_default() += count;
        }
    }
}

/// One batch's contents before it has a name.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What is in it.
    pub contents: Contents,
    /// What was refused since the batch before.
    pub rejected: BTreeMap<String, u64>,
    /// When it was closed.
    pub created_at: Timestamp,
    /// Whether its ack is waited for.
    pub ack_now: bool,
}

/// Where one log stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogState {
    /// Its epoch.
    pub epoch: Epoch,
    /// The seq that the next batch gets.
    pub next_seq: u64,
    /// Batches below this seq may be sent.
    pub sendable_below: u64,
    /// Its ledger.
    pub ledger: Ledger,
    /// Samples in batches that are not acknowledged.
    pub buffered: u64,
    /// Batches that are not acknowledged.
    pub batches: u64,
    /// Bytes that it takes.
    pub bytes: u64,
    /// When the oldest batch that is not acknowledged was made.
    pub oldest: Option<Timestamp>,
}

impl LogState {
    /// The ledger as it travels.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.ledger.counters(self.buffered)
    }
}

/// The buffer over some disk.
pub struct Buffer<D> {
    settings: Settings,
    open: Box<dyn FnMut() -> io::Result<D> + Send>,
    random: Box<dyn FnMut() -> u64 + Send>,
    opened_at: Timestamp,
    disk: Option<DiskLog<D>>,
    memory: MemoryLog,
    memory_only: bool,
    disk_errors: u64,
}

impl<D: Disk> Buffer<D> {
    /// Opens the buffer. It never fails: where the disk cannot be used, it is in memory until it can.
    pub fn open(
        settings: Settings,
        now: Timestamp,
        mut random: impl FnMut() -> u64 + Send + 'static,
        open: impl FnMut() -> io::Result<D> + Send + 'static,
    ) -> Self {
        let memory = MemoryLog::new(Epoch(random()));
        let mut buffer = Self {
            settings,
            open: Box::new(open),
            random: Box::new(random),
            opened_at: now,
            disk: None,
            memory,
            memory_only: true,
            disk_errors: 0,
        };
        buffer.open_disk();
        buffer
    }

    fn open_disk(&mut self) {
        let opened = (self.open)().and_then(|disk| DiskLog::open(disk, self.settings.clone(), &mut self.random));
        match opened {
            Ok(log) => {
                self.disk = Some(log);
                self.memory_only = false;
            }
            Err(error) => {
                self.disk_errors += 1;
                tracing::error!(%error, "the buffer's folder cannot be used; batches are kept in memory only");
            }
        }
    }

    /// Takes one batch and gives it a name.
    pub fn put(&mut self, draft: Draft) {
        if self.disk.is_none() && (draft.created_at.ms() - self.opened_at.ms()).abs() >= REOPEN_MS {
            self.opened_at = draft.created_at;
            self.open_disk();
        }
        let Some(log) = &mut self.disk else {
            self.memory.put(&self.settings.source, draft);
            return;
        };
        match log.put(draft) {
            Ok(()) => {
                if std::mem::take(&mut self.memory_only) {
                    tracing::info!("the buffer's disk can be used again");
                }
            }
            Err((error, draft)) => {
                self.disk_errors += 1;
                if !std::mem::replace(&mut self.memory_only, true) {
                    tracing::error!(%error, "the buffer's disk fails; batches are kept in memory only");
                }
                self.memory.put(&self.settings.source, *draft);
            }
        }
    }

    /// Makes everything durable that is not yet.
    pub fn sync(&mut self) {
        if let Some(log) = &mut self.disk
            && let Err(error) = log.sync()
        {
            self.disk_errors += 1;
            tracing::error!(%error, "the buffer cannot be made durable");
        }
    }

    /// Forgets batches. Names that it does not know are ignored.
    pub fn ack(&mut self, epoch: Epoch, ranges: &[SeqRange]) {
        if epoch == self.memory.epoch() {
            self.memory.ack(ranges);
        }
        if let Some(log) = &mut self.disk
            && log.epoch() == epoch
            && let Err(error) = log.ack(ranges)
        {
            self.disk_errors += 1;
            tracing::warn!(%error, "an ack could not be written down; its batches may be sent again");
        }
    }

    /// The first batch from `seq` on that may be sent and is not acknowledged.
    #[must_use]
    pub fn next_unacked(&self, epoch: Epoch, seq: u64) -> Option<u64> {
        match &self.disk {
            Some(log) if log.epoch() == epoch => log.next_unacked(seq),
            _ if epoch == self.memory.epoch() => self.memory.next_unacked(seq),
            _ => None,
        }
    }

    /// A batch's bytes. One that cannot be read any more is given up, and counted as evicted.
    pub fn read(&mut self, epoch: Epoch, seq: u64) -> Option<Vec<u8>> {
        if epoch == self.memory.epoch() {
            return self.memory.read(seq);
        }
        let log = self.disk.as_mut().filter(|log| log.epoch() == epoch)?;
        match log.read(seq) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.disk_errors += 1;
                tracing::error!(%error, seq, "a batch cannot be read back and is lost");
                None
            }
        }
    }

    /// Where the log on disk stands, if the disk was ever usable.
    #[must_use]
    pub fn disk_state(&self) -> Option<LogState> {
        self.disk.as_ref().map(DiskLog::state)
    }

    /// Where the log in memory stands.
    #[must_use]
    pub fn memory_state(&self) -> LogState {
        self.memory.state()
    }

    /// Whether batches go to memory now.
    #[must_use]
    pub fn memory_only(&self) -> bool {
        self.memory_only
    }

    /// Errors of the disk so far.
    #[must_use]
    pub fn disk_errors(&self) -> u64 {
        self.disk_errors
    }

    /// Whether more than half of the room is taken: from then on, acks are asked for at once.
    #[must_use]
    pub fn over_half(&self) -> bool {
        self.disk.as_ref().is_some_and(|log| log.unacked_bytes() > self.settings.bytes_max / 2)
            || self.memory.state().bytes > MEMORY_BYTES_MAX as u64 / 2
    }
}
