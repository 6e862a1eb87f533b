//! What one query may load. Each limit is named in the answer that it causes.

use std::sync::atomic::{AtomicU64, Ordering};

use promql::Stop;

use crate::error::Fault;

/// Samples that one query may load: 320 MB.
pub const LOADED_SAMPLES_MAX: u64 = 20_000_000;
/// Series that one query may load.
pub const LOADED_SERIES_MAX: u64 = 100_000;
/// Bytes of blocks, as stored, that one query may read.
pub const LOADED_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Samples, or sixteen times as many as series, between two looks at the time: some milliseconds.
const LOOK_EVERY: u64 = 1 << 18;

/// What a query has used so far.
pub(super) struct Budget<'a> {
    samples: u64,
    series: u64,
    /// Of objects that are fetched at the same time.
    bytes: AtomicU64,
    /// The query's own: reading and evaluating take no more together than it says.
    stop: &'a Stop,
    next_look: u64,
}

impl<'a> Budget<'a> {
    pub(super) fn begin(stop: &'a Stop) -> Self {
        Self { samples: 0, series: 0, bytes: AtomicU64::new(0), stop, next_look: 0 }
    }

    pub(super) fn samples(&mut self, more: usize) -> Result<(), Fault> {
        self.samples += more as u64;
        within(self.samples, LOADED_SAMPLES_MAX, "samples", "loaded_samples_max")?;
        self.look()
    }

    /// One series more.
    pub(super) fn series(&mut self) -> Result<(), Fault> {
        self.series += 1;
        within(self.series, LOADED_SERIES_MAX, "series", "loaded_series_max")
    }

    pub(super) fn bytes(&self, more: u64) -> Result<(), Fault> {
        let used = self.bytes.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        within(used, LOADED_BYTES_MAX, "bytes of blocks", "loaded_bytes_max")
    }

    /// Fails where the query has had its time.
    pub(super) fn time(&self) -> Result<(), Fault> {
        if self.stop.asked() { Err(timed_out()) } else { Ok(()) }
    }

    fn look(&mut self) -> Result<(), Fault> {
        let used = self.samples + self.series * 16;
        if used < self.next_look {
            return Ok(());
        }
        self.next_look = used + LOOK_EVERY;
        self.time()
    }
}

/// The answer to a query that took longer than it may, wherever that was noticed.
pub(crate) fn timed_out() -> Fault {
    Fault::Timeout(promql::EvalError::Stopped.to_string())
}

fn within(used: u64, max: u64, what: &str, name: &str) -> Result<(), Fault> {
    if used <= max {
        return Ok(());
    }
    Err(Fault::Unprocessable(format!(
        "the query reads more than {max} {what} ({name}); ask for fewer series or less time"
    )))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn refused(outcome: Result<(), Fault>, name: &str) {
        let fault = outcome.unwrap_err();
        assert_eq!(fault.status(), 422);
        assert!(fault.to_string().contains(name), "{fault}");
    }

    #[test]
    fn each_limit_and_one_past_it() {
        let never = Stop::default();
        let mut budget = Budget { series: LOADED_SERIES_MAX - 1, ..Budget::begin(&never) };
        budget.samples(LOADED_SAMPLES_MAX as usize).unwrap();
        refused(budget.samples(1), "loaded_samples_max");
        budget.series().unwrap();
        refused(budget.series(), "loaded_series_max");
        budget.bytes(LOADED_BYTES_MAX).unwrap();
        refused(budget.bytes(1), "loaded_bytes_max");
    }

    #[test]
    fn the_time_is_looked_at_every_so_many_samples_and_series() {
        let late = Arc::new(AtomicBool::new(false));
        let asked = late.clone();
        let stop = Stop::when(move || asked.load(Ordering::Relaxed));
        let mut budget = Budget::begin(&stop);
        budget.samples(1).unwrap();
        late.store(true, Ordering::Relaxed);
        budget.samples(LOOK_EVERY as usize - 1).unwrap();
        let fault = budget.samples(1).unwrap_err();
        assert_eq!((fault.status(), fault.error_type()), (503, "timeout"), "{fault}");
        (0..LOOK_EVERY / 16).for_each(|_| budget.series().unwrap());
        assert!(budget.samples(0).is_err() && budget.time().is_err());
    }
}
