//! What one query may load. Each limit is named in the answer that it causes.

use ports::Timestamp;

use crate::Context;
use crate::error::Fault;

/// Samples that one query may load: 320 MB.
pub const LOADED_SAMPLES_MAX: u64 = 20_000_000;
/// Series that one query may load.
pub const LOADED_SERIES_MAX: u64 = 100_000;
/// Bytes of blocks, as stored, that one query may read.
pub const LOADED_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// How long a query may take to load.
pub const QUERY_TIME_MS_MAX: i64 = 60_000;

/// What a query has used so far.
pub(super) struct Budget {
    samples: u64,
    series: u64,
    bytes: u64,
    deadline: Timestamp,
}

impl Budget {
    pub(super) fn begin(context: &Context) -> Self {
        Self { samples: 0, series: 0, bytes: 0, deadline: context.ports.clock.now().plus_ms(QUERY_TIME_MS_MAX) }
    }

    pub(super) fn samples(&mut self, more: usize) -> Result<(), Fault> {
        self.samples += more as u64;
        within(self.samples, LOADED_SAMPLES_MAX, "samples", "loaded_samples_max")
    }

    /// One series more.
    pub(super) fn series(&mut self) -> Result<(), Fault> {
        self.series += 1;
        within(self.series, LOADED_SERIES_MAX, "series", "loaded_series_max")
    }

    pub(super) fn bytes(&mut self, more: u64) -> Result<(), Fault> {
        self.bytes += more;
        within(self.bytes, LOADED_BYTES_MAX, "bytes of blocks", "loaded_bytes_max")
    }

    pub(super) fn time(&self, context: &Context) -> Result<(), Fault> {
        if context.ports.clock.now() <= self.deadline {
            return Ok(());
        }
        let seconds = QUERY_TIME_MS_MAX / 1_000;
        Err(Fault::Unprocessable(format!("the query takes more than {seconds} s to load (query_time_ms_max)")))
    }
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
    use super::*;

    fn refused(outcome: Result<(), Fault>, name: &str) {
        let fault = outcome.unwrap_err();
        assert_eq!(fault.status(), 422);
        assert!(fault.to_string().contains(name), "{fault}");
    }

    #[test]
    fn each_limit_and_one_past_it() {
        let mut budget = Budget { samples: 0, series: LOADED_SERIES_MAX - 1, bytes: 0, deadline: Timestamp(0) };
        budget.samples(LOADED_SAMPLES_MAX as usize).unwrap();
        refused(budget.samples(1), "loaded_samples_max");
        budget.series().unwrap();
        refused(budget.series(), "loaded_series_max");
        budget.bytes(LOADED_BYTES_MAX).unwrap();
        refused(budget.bytes(1), "loaded_bytes_max");
    }

    #[test]
    fn time_at_the_limit_and_one_past_it() {
        let settings =
            crate::Settings { raw_retention_ms: 1, external_url: String::new(), websocket_url: "/ws".to_owned() };
        let memory = embedded::Embedded::memory(1).unwrap();
        let context = Context::new(memory.embedded.ports(), settings);
        let budget = Budget::begin(&context);
        memory.clock.advance_ms(QUERY_TIME_MS_MAX);
        budget.time(&context).unwrap();
        memory.clock.advance_ms(1);
        refused(budget.time(&context), "query_time_ms_max");
    }
}
