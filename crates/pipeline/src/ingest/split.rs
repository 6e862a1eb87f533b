//! An agent that sends very much is spread over lanes as pushed data is, so that no shard and no reader has to
//! take all of it.
//!
//! Each batch is cut by the hashes of its series; a part is a record of its own under a number of its own
//! ([`wire::part`]), and counts, comes again and is joined by itself. Checks with their states, logs and the agent's ledger
//! stay in its own lane, in their order: alerts on checks hang on it. Whether a source is above the limits is what
//! this process sees of it. A wrong guess costs nothing but records: sets are joined, whoever brings their elements.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ports::{TenantId, Timestamp};
use series::{Lane, METRIC_NAME, PUSH_SPREAD, SourceName};
use wire::{Batch, Contents, Inspected, SeriesColumn, part};

use super::limits::Limits;

/// Agents of which a process remembers how much they send. All are forgotten when there are more: two flushes later they
/// are known again.
pub const LOADS_MAX: usize = 100_000;
/// A series whose samples belong to check results, which travel in the source's own lane.
const CHECK_STATUS: &str = "check_status";

/// A record to be, of an agent's batch.
pub(super) struct Part {
    pub(super) lane: Lane,
    /// The batch's number, with the part's in it.
    pub(super) number: u64,
    pub(super) body: Vec<u8>,
}

/// How much each agent sends.
#[derive(Default)]
pub struct Loads(Mutex<HashMap<(TenantId, SourceName), Load>>);

/// A source's newest two flushes: a flush is cut into batches that fit into frames, all of one `created_at`.
#[derive(Default)]
struct Load {
    now: Flush,
    before: Flush,
    /// The one before that, by when it was closed.
    third_at: Option<Timestamp>,
}

#[derive(Default, Clone, Copy)]
struct Flush {
    at: Option<Timestamp>,
    /// The newest of its batches: one that comes again is not added again.
    seq: u64,
    series: usize,
    samples: u64,
}

impl Flush {
    fn is_above(self, last: Option<Timestamp>, limits: &Limits) -> bool {
        let seconds = match (self.at, last) {
            (Some(at), Some(last)) => u64::try_from(at.ms() - last.ms()).unwrap_or(0).div_ceil(1_000).max(1),
            // Nobody knows yet for how long it gathered.
            _ => u64::MAX,
        };
        self.series > limits.split_series_min
            || self.samples > limits.split_samples_per_second_min.saturating_mul(seconds)
    }
}

impl Loads {
    /// Whether the batch's source sends more than one lane should take, as far as it is known here. A batch that is
    /// older than the newest flush is judged by what is known.
    pub(super) fn is_above(&self, name: (&TenantId, &SourceName), seen: &Inspected, limits: &Limits) -> bool {
        // A panic of somebody who held the lock leaves a load that the next flush mends.
        let mut loads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (name.0.clone(), name.1.clone());
        if loads.len() >= LOADS_MAX && !loads.contains_key(&name) {
            loads.clear();
        }
        let load = loads.entry(name).or_default();
        if load.now.at.is_none_or(|at| seen.created_at > at) {
            load.third_at = load.before.at;
            load.before = load.now;
            load.now = Flush { at: Some(seen.created_at), ..Flush::default() };
        }
        if load.now.at == Some(seen.created_at) && seen.seq > load.now.seq {
            load.now.seq = seen.seq;
            load.now.series += seen.series;
            load.now.samples += seen.samples;
        }
        load.now.is_above(load.before.at, limits) || load.before.is_above(load.third_at, limits)
    }
}

/// Cuts a batch: the parts that are spread, and the one that stays at home.
pub(super) fn cut(tenant: &TenantId, mut batch: Batch) -> (Vec<Part>, Part) {
    let mut spread: [Vec<SeriesColumn>; PUSH_SPREAD as usize] = Default::default();
    let mut home = Vec::new();
    for column in std::mem::take(&mut batch.series) {
        let is_status = column.labels.get(METRIC_NAME) == Some(CHECK_STATUS);
        match spread.get_mut(usize::from(Lane::part(column.labels.id()))) {
            Some(own) if !is_status => own.push(column),
            _ => home.push(column),
        }
    }
    let (source, epoch, seq, created_at) = (&batch.source, batch.epoch, batch.seq, batch.created_at);
    let parts = (0..PUSH_SPREAD).zip(spread).filter(|(_, series)| !series.is_empty());
    let parts = parts.map(|(place, series)| {
        let contents = Contents { series, ..Contents::default() };
        Part {
            lane: Lane::of_source_part(tenant, source, place),
            number: part::numbered(seq, part::FIRST_SPREAD + place),
            body: contents.into_batch(source.clone(), epoch, seq, created_at).encode(),
        }
    });
    let parts = parts.collect();
    batch.series = home;
    let home = Part {
        lane: Lane::of_source(tenant, &batch.source),
        number: part::numbered(batch.seq, part::HOME),
        body: batch.encode(),
    };
    (parts, home)
}

#[cfg(test)]
mod tests;
