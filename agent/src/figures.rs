//! The agent's figures about itself: written by whoever knows, read by the own metrics, by
//! `status` and by the built-in check of the buffer. Plain numbers; nothing here acts.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// Figures about the running agent. All are gauges unless the name ends in `_total`.
#[derive(Debug, Default)]
pub struct Figures {
    /// Bytes of the buffer on disk.
    pub buffer_bytes: Figure,
    /// What the buffer may hold, bytes.
    pub buffer_bytes_max: Figure,
    /// Batches in the buffer that are not acknowledged.
    pub buffer_batches: Figure,
    /// Samples in the buffer that are not acknowledged.
    pub buffer_samples: Figure,
    /// When the oldest batch of the buffer was made, ms since 1970; 0 where the buffer is empty.
    pub buffer_oldest_ms: Figure,
    /// Samples that wait in memory for the next flush.
    pub queue_samples: Figure,
    /// Samples and lines that came into being.
    pub generated_total: Figure,
    /// Samples thrown out of the full buffer.
    pub evicted_total: Figure,
    /// Samples and lines refused by the agent.
    pub rejected_total: Figure,
    /// Connections that were lost or could not be made.
    pub reconnects_total: Figure,
    /// Errors of the disk under the buffer.
    pub disk_errors_total: Figure,
    /// Job runs that were left out because the run before had not ended.
    pub job_overruns_total: Figure,
    /// Whether the buffer is in memory only, because the disk cannot be used.
    pub memory_only: Flag,
    /// Whether the server has welcomed the agent on the present connection.
    pub connected: Flag,
    /// The server's clock minus this host's, when the server last welcomed the agent.
    pub clock_offset: Offset,
}

/// One number.
#[derive(Debug, Default)]
pub struct Figure(AtomicU64);

impl Figure {
    /// Reads it.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}

/// A difference of two clocks, which is not known at first.
#[derive(Debug)]
pub struct Offset(AtomicI64);

/// Stands for "not known"; no two clocks are that far apart.
const UNKNOWN_MS: i64 = i64::MIN;

impl Default for Offset {
    fn default() -> Self {
        Self(AtomicI64::new(UNKNOWN_MS))
    }
}

impl Offset {
    /// Reads it, seconds.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        let ms = self.0.load(Ordering::Relaxed);
        (ms != UNKNOWN_MS).then_some(ms as f64 / 1_000.0)
    }

    /// Sets it, ms.
    pub fn set_ms(&self, ms: i64) {
        self.0.store(ms.max(UNKNOWN_MS + 1), Ordering::Relaxed);
    }
}

/// One yes or no.
#[derive(Debug, Default)]
pub struct Flag(AtomicBool);

impl Flag {
    /// Reads it.
    #[must_use]
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub fn set(&self, value: bool) {
        self.0.store(value, Ordering::Relaxed);
    }
}
