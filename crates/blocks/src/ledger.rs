//! The conservation law, measured: for each source
//! `generated = stored + superseded + rejected + evicted + buffered + missing`, where `missing` is
//! what the source was told to forget and nothing here knows of; it must be 0.
//!
//! Everything is counted from the *set* of `(source, epoch, seq, window)` in the items' notes, and
//! from the newest ledger of each of the source's epochs. Nothing is incremented: a batch that was
//! delivered again, alone or among other batches, changes nothing.
//!
//! Superseded samples are known for each item by itself. Where a window is not compacted yet, those
//! that lost to a sample in *another* item are not known and count as stored; and where items
//! overlap (a redelivery among other batches), only one of them is believed. So until compaction
//! `superseded` may be too low, never too high; their sum with `stored` is always exact.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use series::{Epoch, SourceName, Timestamp};
use wire::Counters;

use crate::manifest::{Level, ManifestItem};
use crate::notes;
use crate::plan::Known;
use crate::retention::ledger_of;
use crate::sources::{BatchNote, RunNote, SourceNote, join_counters};

/// One source's ledger, in samples (and in lines where no sample could be read).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceLedger {
    /// Came into being.
    pub generated: u64,
    /// Are in the set of identified samples.
    pub stored: u64,
    /// Lost to another sample of the same identity.
    pub superseded: u64,
    /// Are still with the source.
    pub buffered: u64,
    /// Fell out of the source's full buffer and never arrived.
    pub evicted: u64,
    /// Were refused, by the source or here, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Were acknowledged, and are not known here. Must be 0.
    pub missing: u64,
    /// When it was last heard.
    pub last_seen: Timestamp,
    /// The process that spoke for it last.
    pub run: Option<RunNote>,
    /// Whether it keeps a ledger of its own, as agents do.
    pub is_agent: bool,
}

/// The ledgers of all sources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// By source.
    pub sources: BTreeMap<SourceName, SourceLedger>,
}

impl Ledger {
    /// Counts from a set of items. Items that another one replaces are left out; their notes
    /// stand in that other one, and those of days that are sealed stand in the ledger's item.
    #[must_use]
    pub fn join<'a>(items: impl IntoIterator<Item = &'a ManifestItem>) -> Self {
        let items: Vec<&ManifestItem> = items.into_iter().collect();
        let replaced: BTreeSet<&str> = items.iter().flat_map(|item| item.replaces.iter().map(String::as_str)).collect();
        let mut by_source: BTreeMap<&SourceName, Vec<(String, &SourceNote)>> = BTreeMap::new();
        let ids: Vec<String> = items.iter().map(|item| item.id()).collect();
        let known: Vec<Known<'_>> = ids.iter().zip(&items).map(|(id, item)| Known { id, item }).collect();
        let sealed = ledger_of(&known);
        let counts = |id: &str, item: &ManifestItem| match item.level {
            Level::Ledger => sealed.is_some_and(|sealed| sealed.id == id),
            Level::Day => sealed.is_none_or(|sealed| item.window.end > sealed.item.window.end),
            _ => true,
        };
        for Known { id, item } in known.iter().copied() {
            let id = id.to_owned();
            if !replaced.contains(id.as_str()) && counts(&id, item) {
                for note in &item.sources {
                    by_source.entry(&note.source).or_default().push((id.clone(), note));
                }
            }
        }
        let count = |(source, notes): (&SourceName, Vec<_>)| (source.clone(), count_source(notes));
        Self { sources: by_source.into_iter().map(count).collect() }
    }
}

impl SourceLedger {
    /// All that was refused.
    #[must_use]
    pub fn rejected_count(&self) -> u64 {
        self.rejected.values().copied().fold(0, u64::saturating_add)
    }

    /// Whether the law holds.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        let parts = [self.stored, self.superseded, self.rejected_count(), self.evicted, self.buffered];
        self.missing == 0 && parts.into_iter().fold(0, u64::saturating_add) == self.generated
    }
}

fn count_source(notes: Vec<(String, &SourceNote)>) -> SourceLedger {
    let mut ledger = SourceLedger::default();
    let mut counters: BTreeMap<Epoch, Counters> = BTreeMap::new();
    ledger.last_seen = Timestamp(i64::MIN);
    for (_, note) in &notes {
        ledger.last_seen = ledger.last_seen.max(note.last_seen);
        ledger.run = ledger.run.take().max(note.run.clone());
        for (epoch, told) in &note.counters {
            let newest = match counters.remove(epoch) {
                Some(known) => join_counters(known, told.clone()),
                None => told.clone(),
            };
            counters.insert(*epoch, newest);
        }
    }
    let counted = distinct(notes);
    ledger.superseded = counted.superseded.min(counted.samples);
    ledger.stored = counted.samples - ledger.superseded;
    ledger.rejected = counted.rejected;
    let arrived = counted.arrived;
    ledger.is_agent = !counters.is_empty();
    for epoch in arrived.keys().chain(counters.keys()).collect::<BTreeSet<_>>() {
        let told = counters.get(epoch).cloned().unwrap_or_default();
        balance(&mut ledger, &told, arrived.get(epoch).copied().unwrap_or(0));
    }
    ledger
}

/// What the union of some notes says.
#[derive(Debug, Default)]
struct Counted {
    samples: u64,
    superseded: u64,
    rejected: BTreeMap<String, u64>,
    /// Samples and what was refused, by epoch.
    arrived: BTreeMap<Epoch, u64>,
}

impl Counted {
    /// Adds `batches` batches of one epoch of which each says `samples` and `rejected`.
    fn add(&mut self, epoch: Epoch, batches: u64, samples: u64, rejected: &BTreeMap<String, u64>) {
        let refused = rejected.values().copied().fold(0, u64::saturating_add);
        let arrived = self.arrived.entry(epoch).or_default();
        *arrived = arrived.saturating_add(batches.saturating_mul(samples.saturating_add(refused)));
        self.samples = self.samples.saturating_add(batches.saturating_mul(samples));
        for (reason, count) in rejected {
            let known = self.rejected.entry(reason.clone()).or_default();
            *known = known.saturating_add(batches.saturating_mul(*count));
        }
    }
}

/// Counts the union of the notes, and the superseded samples of items that do not overlap. Items
/// with more batches come first: a compacted one before what was delivered again after it.
///
/// Runs are only taken apart where more than one item tells of a window: of a month's compacted
/// windows, each is told of by one.
fn distinct(mut notes: Vec<(String, &SourceNote)>) -> Counted {
    let batches = |note: &SourceNote| note.notes.iter().map(BatchNote::batches).fold(0, u64::saturating_add);
    notes.sort_by_cached_key(|(id, note)| (Reverse(batches(note)), id.clone()));
    let mut windows: BTreeMap<(Epoch, Timestamp), Vec<(usize, &BatchNote)>> = BTreeMap::new();
    for (item, (_, note)) in notes.iter().enumerate() {
        for run in &note.notes {
            windows.entry((run.epoch, run.window)).or_default().push((item, run));
        }
    }
    let mut counted = Counted::default();
    let mut overlapping = vec![false; notes.len()];
    for ((epoch, _), mut runs) in windows {
        // Stable: within a window the items keep their order.
        let several = runs.windows(2).any(|pair| pair[0].0 != pair[1].0);
        runs.sort_by_key(|(item, run)| (*item, run.from_seq));
        if !several && runs.windows(2).all(|pair| pair[0].1.to_seq < pair[1].1.from_seq) {
            for (_, run) in runs {
                counted.add(epoch, run.batches(), run.samples, &run.rejected);
            }
            continue;
        }
        let mut union: Vec<BatchNote> = Vec::new();
        for of_one in runs.chunk_by(|a, b| a.0 == b.0) {
            let own = notes::union(of_one.iter().map(|(_, run)| (*run).clone()).collect());
            if notes::share_samples(&union, &own) {
                overlapping[of_one[0].0] = true;
            }
            union = notes::union(union.into_iter().chain(own).collect());
        }
        for run in union {
            counted.add(epoch, run.batches(), run.samples, &run.rejected);
        }
    }
    let alone = notes.iter().zip(overlapping).filter(|(_, overlaps)| !overlaps);
    for (epoch, sealed) in notes.iter().flat_map(|(_, note)| &note.sealed) {
        counted.add(*epoch, 1, sealed.samples, &sealed.rejected);
    }
    counted.superseded = alone.map(|((_, note), _)| note.superseded).fold(0, u64::saturating_add);
    counted
}

/// Adds one epoch. What arrived is certain; the source's own numbers may be older than that, and
/// count a sample as buffered or evicted although it arrived (its ack was lost).
fn balance(ledger: &mut SourceLedger, told: &Counters, arrived: u64) {
    let refused = told.rejected.values().copied().fold(0, u64::saturating_add);
    let generated = told.generated.max(arrived.saturating_add(refused));
    let open = generated - arrived - refused;
    let evicted = told.evicted.min(open);
    let buffered = told.buffered.min(open - evicted);
    ledger.generated += generated;
    ledger.evicted += evicted;
    ledger.buffered += buffered;
    ledger.missing += open - evicted - buffered;
    add_reasons(&mut ledger.rejected, &told.rejected);
}

fn add_reasons(sum: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (reason, count) in more {
        let known = sum.entry(reason.clone()).or_default();
        *known = known.saturating_add(*count);
    }
}

#[cfg(test)]
mod tests;
