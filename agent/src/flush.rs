//! The flush: takes what waits in the intake, cuts it into batches that fit a frame, and puts them
//! into the buffer. Every so often, as the server wishes, and at once when somebody asks for it.

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
        let mut last = tokio::time::Instant::now();
        loop {
            let interval = *every.borrow_and_update();
            tokio::select! {
                () = tokio::time::sleep_until(last + interval) => {}
                () = self.intake.flush_wanted() => {}
                changed = every.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    continue;
                }
            }
            last = tokio::time::Instant::now();
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

/// Cuts what was taken into batches. What was rejected is told with the first.
fn drafts(pending: Pending, source: &SourceName, created_at: Timestamp, ack_now: bool) -> Vec<Draft> {
    let Pending { series, checks, logs, mut rejected, .. } = pending;
    let mut columns: Vec<SeriesColumn> = series
        .into_iter()
        .map(|(labels, mut samples)| {
            samples.sort_by_key(|sample| sample.at);
            SeriesColumn { labels, samples }
        })
        .collect();
    // Neighbours share most of their labels and their times: they compress best side by side.
    columns.sort_by(|a, b| a.labels.cmp(&b.labels));
    let chunked = wire::chunk(Contents { series: columns, checks, logs }, source, wire::PAYLOAD_BYTES_MAX);
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
