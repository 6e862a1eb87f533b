//! The manifest item: what is known of a block without opening it. An item without a block carries
//! only notes (heartbeats).
//!
//! A flip from inputs to a compacted block is one write of the new item, which lists the inputs in
//! `replaces`; readers drop what is listed by any item that they see.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use series::{DAY_MS, HOUR_MS, TEN_MINUTES_MS, Timestamp, Window};

use crate::layout::{block_name, compress, decompress};
use crate::notes;
use crate::sources::{BATCHES_PER_ITEM_MAX, SourceNote, check_batches};

/// Bytes of an encoded item (the table's limit).
pub const MANIFEST_BYTES_MAX: usize = 300_000;
/// Up to this many bytes, an item is JSON that a person can read; above it is packed and compressed.
pub const PLAIN_JSON_BYTES_MAX: usize = 1024;
/// Bytes of a packed item before compression.
pub const JSON_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How far a block is compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// One invocation's samples of the current or previous 10 min window.
    Fresh,
    /// Everything of one closed 10 min window.
    Ten,
    /// One invocation's samples of older windows, as far as they are of one day; or several such joined.
    Late,
    /// Everything of one closed hour, and its rollups.
    Hour,
    /// Everything of one closed day, and its rollups.
    Day,
    /// No block: what all days up to the window's end have counted.
    Ledger,
}

impl Level {
    /// Its name in keys.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Ten => "ten",
            Self::Late => "late",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Ledger => "ledger",
        }
    }

    /// The width of its windows.
    #[must_use]
    pub fn width_ms(self) -> i64 {
        match self {
            Self::Fresh | Self::Ten => TEN_MINUTES_MS,
            Self::Hour => HOUR_MS,
            Self::Late | Self::Day | Self::Ledger => DAY_MS,
        }
    }
}

/// An object of rollups, computed from the block of the item that lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollupObject {
    /// The width of its buckets.
    pub width_ms: i64,
    /// The object's name.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// Its series.
    pub series: u64,
}

/// A further object of a block that is too large for one: other series of the same window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartObject {
    /// The object's name.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// Its samples.
    pub samples: u64,
    /// Its series.
    pub series: u64,
}

/// One item of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestItem {
    /// The block's name; `None` where there are only notes, or rollups of a block that has expired.
    pub name: Option<String>,
    /// How far it is compacted.
    pub level: Level,
    /// The window `(start, end]` of its samples, as wide as its level says.
    pub window: Window,
    /// Time of the earliest sample; the window's start where there is none.
    pub min_time: Timestamp,
    /// Time of the latest sample; the window's start where there is none.
    pub max_time: Timestamp,
    /// The block's bytes, all parts together.
    pub bytes: u64,
    /// The block's samples; those that it had, where they have expired.
    pub samples: u64,
    /// The block's series.
    pub series: u64,
    /// Further objects of the block.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartObject>,
    /// The rollups of the block.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollups: Vec<RollupObject>,
    /// Whose samples they are, sorted by source.
    pub sources: Vec<SourceNote>,
    /// The [`ManifestItem::id`]s of items that this one stands for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<String>,
    /// The ids of late items of which everything in this window is in the block.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub includes: Vec<String>,
    /// The ids of items with further notes of this one, where they are too many for one item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes_in: Vec<String>,
    /// When it was written. No part of its id: two that join the same set write the same item.
    #[serde(default, skip_serializing_if = "is_epoch")]
    pub made_at: Timestamp,
    /// The stream was read up to this time of arrival when the block was made.
    pub arrived_through: Timestamp,
}

/// Why a manifest item could not be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("the manifest item has {bytes} bytes, at most {max} are allowed")]
    TooLong { bytes: usize, max: usize },
    #[error("the manifest item is not valid: {what}")]
    Json { what: String },
    #[error("the manifest item speaks of {batches} batches, at most {BATCHES_PER_ITEM_MAX} are allowed")]
    TooManyBatches { batches: u64 },
}

impl ManifestItem {
    /// An item without a block.
    #[must_use]
    pub fn notes_only(window: Window, sources: Vec<SourceNote>, arrived_through: Timestamp) -> Self {
        Self {
            name: None,
            level: Level::Fresh,
            window,
            min_time: window.start,
            max_time: window.start,
            bytes: 0,
            samples: 0,
            series: 0,
            parts: Vec::new(),
            rollups: Vec::new(),
            sources,
            replaces: Vec::new(),
            includes: Vec::new(),
            notes_in: Vec::new(),
            made_at: Timestamp(0),
            arrived_through,
        }
    }

    /// Whether its samples have expired: of them rollups may be left, and what the ledger counts.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.name.is_none() && self.samples > 0
    }

    /// The names of the block's objects; none where there is no block.
    pub fn objects(&self) -> impl Iterator<Item = &str> {
        self.name.as_deref().into_iter().chain(self.parts.iter().map(|part| part.name.as_str()))
    }

    /// Names the item: the block's name (`notes` where there is none) and a hash of the item. Two
    /// items may tell of one block: the same samples, brought by other batches.
    #[must_use]
    pub fn id(&self) -> String {
        let (head, notes) = Self { made_at: Timestamp(0), ..self.clone() }.apart();
        let hash = block_name(&[serde_json::to_vec(&head).unwrap_or_default(), notes].concat());
        format!("{}-{}", self.name.as_deref().unwrap_or("notes"), hash.get(..16).unwrap_or_default())
    }

    /// The item without its batches' notes, and these as bytes.
    fn apart(mut self) -> (Self, Vec<u8>) {
        let notes = notes::encode(&self.sources);
        self.sources.iter_mut().for_each(|source| source.notes.clear());
        (self, notes)
    }

    /// The item's place in the manifest: level, window start (ms, 20 digits, times before 1970
    /// as 0), id.
    #[must_use]
    pub fn sort_key(&self) -> String {
        format!("{}/{:020}/{}", self.level.as_str(), self.window.start.0.max(0), self.id())
    }

    /// The item's bytes: JSON; or, where that is long, zstd of its length (u32, big endian: its first byte is no
    /// `{`), the JSON without the notes, and the notes as `notes.rs` packs them.
    pub fn encode(&self) -> Result<Vec<u8>, ManifestError> {
        check_batches(&self.sources)?;
        let bad_json = |error: serde_json::Error| ManifestError::Json { what: error.to_string() };
        if self.sources.iter().map(|source| source.notes.len()).sum::<usize>() <= PLAIN_JSON_BYTES_MAX {
            let json = serde_json::to_vec(self).map_err(bad_json)?;
            if json.len() <= PLAIN_JSON_BYTES_MAX {
                return Ok(json);
            }
        }
        let (head, notes) = self.clone().apart();
        let head = serde_json::to_vec(&head).map_err(bad_json)?;
        let plain_bytes = head.len() + notes.len();
        if plain_bytes > JSON_BYTES_MAX {
            return Err(ManifestError::TooLong { bytes: plain_bytes, max: JSON_BYTES_MAX });
        }
        let bytes = compress(&[&(head.len() as u32).to_be_bytes()[..], &head, &notes].concat());
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLong { bytes: bytes.len(), max: MANIFEST_BYTES_MAX });
        }
        Ok(bytes)
    }

    /// Reads an item's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLong { bytes: bytes.len(), max: MANIFEST_BYTES_MAX });
        }
        let bad = |what: String| ManifestError::Json { what };
        let from_json = |json: &[u8]| serde_json::from_slice::<Self>(json).map_err(|error| bad(error.to_string()));
        let item = if bytes.starts_with(b"{") {
            from_json(bytes)?
        } else {
            let plain = decompress(bytes, None, JSON_BYTES_MAX + 4, "the manifest item");
            let plain = plain.map_err(|error| bad(error.to_string()))?;
            if plain.starts_with(b"{") {
                // As an earlier version wrote it: zstd of the whole JSON.
                from_json(&plain)?
            } else {
                let parts = plain.split_first_chunk::<4>();
                let parts =
                    parts.and_then(|(length, rest)| rest.split_at_checked(u32::from_be_bytes(*length) as usize));
                let (head, notes) = parts.ok_or_else(|| bad("it ends early".to_owned()))?;
                let mut item = from_json(head)?;
                notes::decode(notes, &mut item.sources).map_err(|error| bad(format!("its notes: {error}")))?;
                item
            }
        };
        check_batches(&item.sources)?;
        Ok(item)
    }

    /// Whether the block may hold samples of the closed stretch `[from, to]`.
    #[must_use]
    pub fn overlaps(&self, from: Timestamp, to: Timestamp) -> bool {
        self.name.is_some() && self.samples > 0 && self.min_time <= to && self.max_time >= from
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_epoch(at: &Timestamp) -> bool {
    at.ms() == 0
}

/// The items that count: those that no other one replaces.
#[must_use]
pub fn live(items: &[ManifestItem]) -> Vec<&ManifestItem> {
    let replaced: BTreeSet<&str> = items.iter().flat_map(|item| item.replaces.iter().map(String::as_str)).collect();
    items.iter().filter(|item| !replaced.contains(item.id().as_str())).collect()
}

/// Names of blocks of which only replaced items tell: these may be deleted. A replaced item's
/// block may not, where a live item tells of the very same block.
#[must_use]
pub fn orphans(items: &[ManifestItem]) -> BTreeSet<&str> {
    fn names<'a>(items: impl IntoIterator<Item = &'a ManifestItem>) -> BTreeSet<&'a str> {
        items.into_iter().flat_map(ManifestItem::objects).collect()
    }
    &names(items) - &names(live(items))
}

#[cfg(test)]
mod tests;
