//! Packing a block with its manifest item, and compaction: many blocks of one closed 10 min window
//! become one. A pure function of the set of inputs: same set, same bytes.
//!
//! Superseded samples are counted here, where both sides are at hand: samples that the distinct
//! batches brought, less those of the joined set. A sample does not say who sent it, so the block's
//! samples are attributed to the sources thus: a column goes to the source that its label `source`
//! names (agents set it); what is left goes to the sources by the number of samples for which
//! nothing else accounts yet, the greatest first. The sum over the sources is exact; a single
//! source's share is exact unless several unlabelled senders write the same identity.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use series::{DAY_MS, SourceName, Timestamp, Window};

use crate::codec::encode;
use crate::join::{Block, join};
use crate::layout::block_name;
use crate::manifest::{Level, ManifestItem};
use crate::sources::{SourceNote, join_sources};

/// The label by which agents name themselves.
const SOURCE_LABEL: &str = "source";

/// A block ready to be stored: first the bytes under the item's name, then the item.
#[derive(Debug, Clone, PartialEq)]
pub struct Packed {
    /// The manifest item.
    pub item: ManifestItem,
    /// The block.
    pub block: Block,
    /// The block's bytes; empty where there is no block.
    pub bytes: Bytes,
}

/// What a block's manifest item says besides what the block itself shows.
#[derive(Debug, Clone, PartialEq)]
pub struct PackNotes {
    /// How far it is compacted.
    pub level: Level,
    /// Its window.
    pub window: Window,
    /// Whose samples they are; joined, so that a batch may be told of twice.
    pub sources: Vec<SourceNote>,
    /// Ids of the items that it stands for.
    pub replaces: Vec<String>,
    /// The stream was read up to this time of arrival.
    pub arrived_through: Timestamp,
    /// Now.
    pub made_at: Timestamp,
}

/// Why inputs cannot be compacted together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    #[error("there is nothing to compact")]
    Nothing,
    #[error("the block {id} is of another window")]
    OtherWindow { id: String },
    #[error("the block {id} is a late one, which reaches over windows")]
    Late { id: String },
}

/// Encodes a block and describes it. An empty block has no name and no bytes.
#[must_use]
pub fn pack(block: Block, notes: PackNotes) -> Packed {
    let bytes = if block.is_empty() { Bytes::new() } else { encode(notes.level, &block) };
    let mut sources = join_sources(notes.sources);
    attribute(&mut sources, &block);
    let item = ManifestItem {
        name: (!block.is_empty()).then(|| object_name(notes.level, &bytes, notes.made_at)),
        level: notes.level,
        window: notes.window,
        min_time: block.min_time().unwrap_or(notes.window.start),
        max_time: block.max_time().unwrap_or(notes.window.start),
        bytes: bytes.len() as u64,
        samples: block.samples(),
        series: block.series(),
        parts: Vec::new(),
        rollups: Vec::new(),
        sources,
        replaces: notes.replaces,
        includes: Vec::new(),
        made_at: notes.made_at,
        arrived_through: notes.arrived_through,
    };
    Packed { item, block, bytes }
}

/// The name of an object: its content's, and where it might be deleted while the same content is written
/// again also its time. A late block may be delivered again at any time, and an object that no item names
/// is swept after a day: these carry the instant, and the end of the day in which they were made.
#[must_use]
pub fn object_name(level: Level, bytes: &[u8], made_at: Timestamp) -> String {
    let content = block_name(bytes);
    match level {
        Level::Fresh | Level::Ten => content,
        Level::Late => format!("{content}-{}", made_at.ms()),
        Level::Hour | Level::Day => format!("{content}-{}", Window::of_block(made_at, DAY_MS).end.ms()),
    }
}

/// Joins all blocks of one 10 min window, earlier compactions of it included. An item without a
/// block comes with an empty one.
pub fn compact(inputs: Vec<(ManifestItem, Block)>, made_at: Timestamp) -> Result<Packed, CompactError> {
    let first = inputs.first().ok_or(CompactError::Nothing)?;
    let window = first.0.window;
    let (mut sources, mut columns, mut replaces) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut arrived_through = first.0.arrived_through;
    for (item, block) in inputs {
        let id = item.id();
        if item.level == Level::Late {
            return Err(CompactError::Late { id });
        }
        if item.window != window {
            return Err(CompactError::OtherWindow { id });
        }
        replaces.insert(id);
        replaces.extend(item.replaces);
        arrived_through = arrived_through.max(item.arrived_through);
        sources.extend(item.sources);
        columns.extend(block.into_columns());
    }
    let replaces = replaces.into_iter().collect();
    Ok(pack(join(columns), PackNotes { level: Level::Ten, window, sources, replaces, arrived_through, made_at }))
}

/// Sets `superseded` of each source.
fn attribute(sources: &mut [SourceNote], block: &Block) {
    let mut open: BTreeMap<SourceName, u64> =
        sources.iter().map(|note| (note.source.clone(), note.received())).collect();
    let mut unattributed = 0_u64;
    for column in block.columns() {
        let samples = column.samples.len() as u64;
        let owner = column.labels.get(SOURCE_LABEL).and_then(|name| SourceName::new(name).ok());
        let owner = owner.and_then(|name| open.get_mut(&name));
        unattributed += samples - owner.map_or(0, |open| take(open, samples));
    }
    let mut by_open: Vec<(&SourceName, &mut u64)> = open.iter_mut().collect();
    by_open.sort_by_key(|(name, open)| (Reverse(**open), (*name).clone()));
    for (_, open) in by_open {
        unattributed -= take(open, unattributed);
    }
    for note in sources {
        note.superseded = open.get(&note.source).copied().unwrap_or(0);
    }
}

/// Takes up to `wanted` from `open`, and says how much it was.
fn take(open: &mut u64, wanted: u64) -> u64 {
    let taken = wanted.min(*open);
    *open -= taken;
    taken
}

#[cfg(test)]
mod tests;
