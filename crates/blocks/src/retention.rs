//! What expires when, and how the ledger lives longer than what it counts.
//!
//! * Raw samples, 5 min and 1 h rollups of a day expire each after their own time. The day's item is put again
//!   without them, in one flip; their objects are swept like all that was replaced.
//! * What a day counted must not expire, and must not be read each time for ever: once no batch of a day can come any
//!   more, its notes are **sealed** into the ledger's item, which says through which day it speaks. It is made
//!   of the one before (which it replaces) and of whole days after that, so each day is in it once, however
//!   often a seal is tried.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use series::{DAY_MS, Epoch, SourceName, Timestamp, Window, rollup_width};

use crate::manifest::{Level, ManifestItem};
use crate::notes;
use crate::plan::{Known, live_of};
use crate::sources::{BatchNote, SourceNote, join_sources};

/// A day is sealed this long after its raw samples have expired: the stream keeps a record for two days.
pub const SEAL_AFTER_MS: i64 = 3 * DAY_MS;

/// How long what is kept, counted from the end of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Samples.
    pub raw_ms: i64,
    /// Rollups of 5 minutes.
    pub five_minutes_ms: i64,
    /// Rollups of an hour.
    pub hour_ms: i64,
}

impl Default for Retention {
    /// 30 days, 13 months, 5 years.
    fn default() -> Self {
        Self { raw_ms: 30 * DAY_MS, five_minutes_ms: 396 * DAY_MS, hour_ms: 1_827 * DAY_MS }
    }
}

/// What becomes of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expiry {
    /// Something of it has expired: this item takes its place.
    Flip(Box<ManifestItem>),
    /// Nothing of it is left.
    Delete,
}

impl Retention {
    /// What expires of a live item of a day, or of a late one. `present`: the ids of all items.
    #[must_use]
    pub fn expire(&self, known: Known<'_>, present: &BTreeSet<&str>, now: Timestamp) -> Option<Expiry> {
        let Known { id, item } = known;
        if !matches!(item.level, Level::Day | Level::Late) {
            return None;
        }
        let is_over = |kept_ms: i64| item.window.end.plus_ms(kept_ms) <= now;
        if item.level == Level::Day && is_over(self.raw_ms.max(self.five_minutes_ms).max(self.hour_ms)) {
            return Some(Expiry::Delete);
        }
        let keeps = |width_ms: i64| match width_ms {
            rollup_width::FIVE_MINUTES_MS => !is_over(self.five_minutes_ms),
            _ => !is_over(self.hour_ms),
        };
        let raw_goes = item.name.is_some() && is_over(self.raw_ms);
        if !raw_goes && item.rollups.iter().all(|rollup| keeps(rollup.width_ms)) {
            return None;
        }
        let mut flipped = item.clone();
        flipped.rollups.retain(|rollup| keeps(rollup.width_ms));
        if raw_goes {
            (flipped.name, flipped.bytes) = (None, 0);
            flipped.parts.clear();
        }
        flipped.replaces.retain(|id| present.contains(id.as_str()));
        flipped.replaces.push(id.to_owned());
        flipped.replaces.sort();
        flipped.made_at = now;
        Some(Expiry::Flip(Box::new(flipped)))
    }
}

/// What a source's sealed days counted of one epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Samples that arrived, each batch once.
    pub samples: u64,
    /// What was refused, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rejected: BTreeMap<String, u64>,
}

/// The ledger's item that counts: the one that speaks through the latest day.
#[must_use]
pub fn ledger_of<'a>(known: &[Known<'a>]) -> Option<Known<'a>> {
    let ledgers = live_of(known).into_iter().filter(|one| one.item.level == Level::Ledger);
    ledgers.max_by_key(|one| (one.item.window.end, one.id))
}

/// The next item of the ledger, where a further day can be sealed. `known`: all items.
#[must_use]
pub fn seal(known: &[Known<'_>], retention: &Retention, now: Timestamp) -> Option<ManifestItem> {
    let before = ledger_of(known);
    let from = before.map_or(Timestamp(0), |one| one.item.window.end);
    let through = Window::of_block(now.plus_ms(-(retention.raw_ms + SEAL_AFTER_MS)), DAY_MS).start;
    let mut days: BTreeMap<Window, Vec<Known<'_>>> = BTreeMap::new();
    for one in live_of(known).into_iter().filter(|one| one.item.level != Level::Ledger) {
        let day = one.item.window.widened(DAY_MS);
        let is_late = one.item.level == Level::Late;
        // What comes late for a day that is sealed is sealed with the next one.
        if day.end <= through && (day.end > from || is_late) {
            days.entry(day).or_default().push(one);
        }
    }
    // A day that is not whole yet, and all after it, wait.
    let is_whole = |items: &[Known<'_>]| {
        items.iter().all(|one| match one.item.level {
            Level::Day => one.item.name.is_none(),
            Level::Late => one.item.name.is_none(),
            _ => false,
        })
    };
    let waits = days.iter().find(|(_, items)| !is_whole(items)).map(|(day, _)| day.start);
    let through = waits.map_or(through, |waits| waits.min(through));
    days.retain(|day, _| day.end <= through);
    if days.is_empty() || through <= from && days.values().flatten().all(|one| one.item.level != Level::Late) {
        return None;
    }
    let mut sources: BTreeMap<SourceName, SourceNote> = BTreeMap::new();
    let end = through.max(from);
    let mut item = ManifestItem::notes_only(Window { start: Timestamp(0), end }, Vec::new(), end);
    if let Some(before) = before {
        item.replaces =
            before.item.replaces.iter().filter(|id| known.iter().any(|one| one.id == *id)).cloned().collect();
        item.replaces.push(before.id.to_owned());
        sources.extend(before.item.sources.iter().map(|note| (note.source.clone(), note.clone())));
    }
    for items in days.into_values() {
        let late = items.iter().filter(|one| one.item.level == Level::Late);
        item.replaces.extend(late.map(|one| one.id.to_owned()));
        add_day(&mut sources, &items);
    }
    (item.level, item.made_at) = (Level::Ledger, now);
    item.replaces.sort();
    item.sources = sources.into_values().collect();
    Some(item)
}

/// Adds a day's notes, of which each batch is told once.
fn add_day(sources: &mut BTreeMap<SourceName, SourceNote>, items: &[Known<'_>]) {
    let own = items.iter().filter(|one| one.item.level != Level::Late).flat_map(|one| &one.item.sources);
    let superseded: BTreeMap<&SourceName, u64> = own.map(|note| (&note.source, note.superseded)).collect();
    for mut note in join_sources(items.iter().flat_map(|one| one.item.sources.iter().cloned())) {
        let superseded = superseded.get(&note.source).copied().unwrap_or(0);
        let union = notes::union(std::mem::take(&mut note.notes));
        let empty = SourceNote::new(note.source.clone(), note.last_seen);
        let sealed = sources.remove(&note.source).unwrap_or(empty);
        let (totals, before) = (sealed.sealed.clone(), sealed.superseded);
        let mut joined = join_sources([sealed, note]).pop().into_iter();
        let Some(mut joined) = joined.next() else { continue };
        (joined.sealed, joined.superseded) = (totals, before.saturating_add(superseded));
        for run in union {
            add_run(&mut joined.sealed, &run);
        }
        sources.insert(joined.source.clone(), joined);
    }
}

fn add_run(sealed: &mut BTreeMap<Epoch, Sealed>, run: &BatchNote) {
    let total = sealed.entry(run.epoch).or_default();
    total.samples = total.samples.saturating_add(run.batches().saturating_mul(run.samples));
    for (reason, count) in &run.rejected {
        let known = total.rejected.entry(reason.clone()).or_default();
        *known = known.saturating_add(run.batches().saturating_mul(*count));
    }
}

#[cfg(test)]
mod tests;
