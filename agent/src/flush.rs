//! The flush: takes what waits in the intake, cuts it into batches that fit a frame, and puts them
//! into the buffer. Every so often, as the server wishes, and at once when somebody asks for it.
//!
//! Flushes stand on their step like collections do: at multiples of the interval since 1970, plus
//! the agent's own phase, which is less than a third of the interval and more than a collection
//! takes. So what rules look at when their bucket ends is there soon after, without being sent more
//! often, and a fleet does not send in one second.

use std::time::Duration;

use series::{SourceName, Timestamp};
use tokio::sync::watch;
use wire::{Contents, SeriesColumn};

use crate::buffer::Draft;
use crate::intake::{Intake, Pending};
use crate::store::Store;
use crate::surroundings::Surroundings;

/// How often at most, whatever the server wishes.
pub const FLUSH_EVERY_MIN: Duration = Duration::from_millis(200);
/// How seldom at least.
pub const FLUSH_EVERY_MAX: Duration = Duration::from_secs(60);
/// For so long after the start somebody may be waiting for the first samples.
pub const START: Duration = Duration::from_secs(30);
/// How often a flush comes meanwhile; one that finds nothing sends nothing.
pub const START_EVERY: Duration = Duration::from_secs(2);
/// The least of a phase where the interval is long enough: samples of the step are there by then.
const AFTER_STEP_MS: i64 = 1_000;

/// Everything that a flush needs.
#[derive(Clone)]
pub struct Flusher {
    /// Where it takes from.
    pub intake: Intake,
    /// Where it puts to.
    pub store: Store,
    /// For the batches' times.
    pub surroundings: Surroundings,
}

impl Flusher {
    /// Flushes again and again, every `every`, until it is dropped.
    pub async fn run(self, mut every: watch::Receiver<Duration>) {
        let share = (self.surroundings.random)();
        let started = tokio::time::Instant::now();
        loop {
            let wished = *every.borrow_and_update();
            let interval = if started.elapsed() < START { wished.min(START_EVERY) } else { wished };
            tokio::select! {
                () = tokio::time::sleep(until_next((self.surroundings.clock)(), interval, share)) => {}
                () = self.intake.flush_wanted() => {}
                changed = every.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    continue;
                }
            }
            self.flush(false).await;
        }
    }

    /// One flush; `ack_now` where nothing follows for a while.
    pub async fn flush(&self, ack_now: bool) {
        let mut pending = self.intake.take();
        let safe = std::mem::take(&mut pending.when_safe);
        if !pending.is_empty() {
            let ack_now = ack_now || self.store.view().borrow().over_half;
            let drafts = drafts(pending, self.intake.source(), (self.surroundings.clock)(), ack_now);
            self.store.put(drafts).await;
        }
        safe.into_iter().for_each(|action| action());
    }
}

/// How long until the next flush of this interval. `share` is the agent's own place among all.
fn until_next(now: Timestamp, interval: Duration, share: u64) -> Duration {
    let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
    let least_ms = AFTER_STEP_MS.min(interval_ms / 4);
    let phase_ms = least_ms + (share % 1_000) as i64 * (interval_ms / 3 - least_ms).max(0) / 1_000;
    let next = series::bucket_end(now.plus_ms(1), interval_ms, phase_ms);
    // A wall clock that jumps never holds a flush up for longer than one interval.
    Duration::from_millis(u64::try_from(next.ms() - now.ms()).unwrap_or(1)).min(interval)
}

/// Cuts what was taken into batches. What was rejected is told with the first.
fn drafts(pending: Pending, source: &SourceName, created_at: Timestamp, ack_now: bool) -> Vec<Draft> {
    let Pending { series, checks, logs, metadata, mut rejected, .. } = pending;
    let mut columns: Vec<SeriesColumn> = series
        .into_iter()
        .map(|(labels, mut samples)| {
            samples.sort_by_key(|sample| sample.at);
            SeriesColumn { labels, samples }
        })
        .collect();
    // Neighbours share most of their labels and their times: they compress best side by side.
    columns.sort_by(|a, b| a.labels.cmp(&b.labels));
    let chunked = wire::chunk(Contents { series: columns, checks, logs, metadata }, source, wire::PAYLOAD_BYTES_MAX);
    for rejection in chunked.rejected {
        tracing::warn!(reason = rejection.reason, count = rejection.count, first = rejection.first, "refused");
        *rejected.entry(rejection.reason).or_default() += rejection.count;
    }
    let mut parts = chunked.parts;
    if parts.is_empty() {
        parts.push(Contents::default());
    }
    parts
        .into_iter()
        .map(|contents| Draft { contents, rejected: std::mem::take(&mut rejected), created_at, ack_now })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use series::{Labels, Sample};

    use super::*;

    #[test]
    fn a_flush_follows_its_step_within_a_third_of_the_interval() {
        for (interval_ms, least_ms) in [(60_000, 1_000), (15_000, 1_000), (1_000, 250), (200, 50)] {
            let interval = Duration::from_millis(interval_ms as u64);
            for share in [0, 1, 499, 999, u64::MAX] {
                let mut now = Timestamp(1_700_000_000_123);
                for _ in 0..3 {
                    let wait = until_next(now, interval, share);
                    assert!(wait > Duration::ZERO && wait <= interval);
                    now = now.plus_ms(wait.as_millis() as i64);
                    let after = now.ms() % interval_ms;
                    assert!((least_ms..=interval_ms / 3).contains(&after), "{interval_ms} {share}: {after}");
                }
            }
        }
    }

    #[test]
    fn every_batch_fits_into_a_frame_and_nothing_is_lost() {
        let source = SourceName::new("web-1").unwrap();
        let intake = Intake::new(source.clone(), &BTreeMap::new(), Arc::default());
        for series in 0..3_000_u64 {
            let name = format!("metric_{}", series.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let labels = Labels::from_pairs([("__name__", name.as_str())]).unwrap();
            intake.samples("node", [(labels, Sample { at: Timestamp(0), value: series as f64 / 7.0 })]);
        }
        intake.reject("graphite_value", 3, "");
        let drafts = drafts(intake.take(), &source, Timestamp(1), false);
        assert!(drafts.len() > 1);
        let samples: usize = drafts.iter().map(|draft| draft.contents.samples()).sum();
        assert_eq!(samples, 3_000);
        let rejected: u64 = drafts.iter().flat_map(|draft| draft.rejected.values()).sum();
        assert_eq!(rejected, 3);
        for draft in drafts {
            let batch = draft.contents.into_batch(source.clone(), series::Epoch(1), 1, Timestamp(1));
            assert!(batch.to_payload().len() <= wire::PAYLOAD_BYTES_MAX);
        }
    }
}
