//! What a manifest item says of the sources whose samples are in its block: which batches came in,
//! and how the sources' own ledgers stood.
//!
//! All of it is joined as sets and greatest elements, never added up, so that a batch that is
//! delivered twice, in any two items, is known once. The key of a fact is
//! `(source, epoch, seq, window)`: one batch may reach into several windows, and each item tells
//! only of its own. What was refused of a batch belongs to the window that holds the batch's
//! `created_at`, so that it lands under the same key each time.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use series::{Epoch, SourceName, TEN_MINUTES_MS, Timestamp, Window};
use wire::Counters;

use crate::manifest::ManifestError;
use crate::notes;
use crate::retention::Sealed;

/// Batches that the notes of one item may speak of: a day of ten thousand agents that flush each second.
pub const BATCHES_PER_ITEM_MAX: u64 = 1_000_000_000;

/// One source, as a manifest item knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceNote {
    /// Which source.
    pub source: SourceName,
    /// When something of it last came in, by the server's clock.
    pub last_seen: Timestamp,
    /// The process that spoke for it last; pushing sources have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunNote>,
    /// Its batches in this item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<BatchNote>,
    /// Its own ledger, by the buffer's life; pushing sources have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<Epoch, Counters>,
    /// What it brought in days that are sealed, in the ledger's item alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sealed: BTreeMap<Epoch, Sealed>,
    /// Samples of these batches that lost to another sample of the same identity. Set when the
    /// block is packed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub superseded: u64,
}

/// A process of an agent. The order is by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunNote {
    /// When it was last heard.
    pub seen_at: Timestamp,
    /// The hello's `run_id`.
    pub run_id: String,
    /// Its host.
    #[serde(default)]
    pub host: String,
    /// Its program's version.
    #[serde(default)]
    pub agent_version: String,
}

/// Batches with consecutive numbers and equal counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchNote {
    /// The buffer's life.
    pub epoch: Epoch,
    /// First seq.
    pub from_seq: u64,
    /// Last seq, included.
    pub to_seq: u64,
    /// Start of the 10 min window.
    pub window: Timestamp,
    /// Samples with good labels that **each** of these batches has in the window.
    pub samples: u64,
    /// What was refused of **each** of these batches, by reason; in the window of its `created_at` alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rejected: BTreeMap<String, u64>,
}

impl SourceNote {
    /// A note of a source that was just heard.
    #[must_use]
    pub fn new(source: SourceName, last_seen: Timestamp) -> Self {
        Self {
            source,
            last_seen,
            run: None,
            notes: Vec::new(),
            counters: BTreeMap::new(),
            sealed: BTreeMap::new(),
            superseded: 0,
        }
    }

    /// Samples that its batches brought, each batch once.
    #[must_use]
    pub fn received(&self) -> u64 {
        notes::samples(&notes::union(self.notes.clone()))
    }
}

impl BatchNote {
    /// A note of one batch.
    #[must_use]
    pub fn new(epoch: Epoch, seq: u64, window: Timestamp, samples: u64) -> Self {
        Self { epoch, from_seq: seq, to_seq: seq, window, samples, rejected: BTreeMap::new() }
    }

    /// The window of which it speaks.
    #[must_use]
    pub fn block_window(&self) -> Window {
        Window { start: self.window, end: self.window.plus_ms(TEN_MINUTES_MS) }
    }

    /// How many batches it speaks of.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.to_seq.checked_sub(self.from_seq).map_or(0, |more| more.saturating_add(1))
    }
}

/// Of two ledgers of one epoch the newer one: all counts but `buffered` only rise, and between two
/// that are equal in these the buffer only empties. It is the greatest of a total order, and so
/// associative, commutative and idempotent.
#[must_use]
pub fn join_counters(a: Counters, b: Counters) -> Counters {
    fn age(counters: &Counters) -> (u64, u64, u64, Reverse<u64>, &BTreeMap<String, u64>) {
        let rejected = counters.rejected.values().copied().fold(0, u64::saturating_add);
        (counters.generated, counters.evicted, rejected, Reverse(counters.buffered), &counters.rejected)
    }
    if age(&a) < age(&b) { b } else { a }
}

/// Joins notes: one a source, sorted by source. `superseded` is 0 in all of them, because it
/// belongs to a block and not to notes.
#[must_use]
pub fn join_sources(notes: impl IntoIterator<Item = SourceNote>) -> Vec<SourceNote> {
    let mut by_source: BTreeMap<SourceName, SourceNote> = BTreeMap::new();
    for note in notes {
        let empty = || SourceNote::new(note.source.clone(), note.last_seen);
        let joined = by_source.entry(note.source.clone()).or_insert_with(empty);
        joined.last_seen = joined.last_seen.max(note.last_seen);
        joined.run = joined.run.take().max(note.run);
        for (epoch, counters) in note.counters {
            let newest = match joined.counters.remove(&epoch) {
                Some(known) => join_counters(known, counters),
                None => counters,
            };
            joined.counters.insert(epoch, newest);
        }
        joined.notes.extend(note.notes);
    }
    by_source.into_values().map(|note| SourceNote { notes: notes::union(note.notes), ..note }).collect()
}

/// Refuses notes that speak of more batches than can be.
pub(crate) fn check_batches(sources: &[SourceNote]) -> Result<(), ManifestError> {
    let runs = sources.iter().flat_map(|source| &source.notes);
    let batches = runs.map(BatchNote::batches).fold(0, u64::saturating_add);
    if batches > BATCHES_PER_ITEM_MAX { Err(ManifestError::TooManyBatches { batches }) } else { Ok(()) }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
