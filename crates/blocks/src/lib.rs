//! Blocks: immutable objects of joined samples, and the manifest items that tell of them.
//!
//! Bytes in, bytes out. Nothing here knows where a block is stored, who reads it or what time it
//! is; everything is a function of the *set* of samples and notes it is given, so any order and any
//! number of deliveries ends in the same state.

mod codec;
mod column;
mod compact;
mod index;
mod join;
mod layout;
mod ledger;
mod manifest;
mod notes;
mod order;
pub mod parquet;
mod plan;
mod reader;
mod retention;
mod rollup;
mod sources;
#[cfg(test)]
mod testing;

pub use codec::{DecodeError, decode, decode_where, encode};
pub use compact::{
    CompactError, Joiner, Object, PART_SAMPLES_MAX, PARTS_MAX, PackNotes, Packed, object_name, pack, pack_known,
    pack_written, with_further_notes,
};
pub use join::{Block, Joined, join, join_counted, join_sorted, split_by, split_by_window};
pub use layout::{BlockError, INDEX_BYTES_MAX, PAGE_BYTES, PAGE_BYTES_MAX, block_name};
pub use ledger::{Ledger, SourceLedger};
pub use manifest::{
    JSON_BYTES_MAX, Level, MANIFEST_BYTES_MAX, ManifestError, ManifestItem, PLAIN_JSON_BYTES_MAX, PartObject,
    RollupObject, live, orphans,
};
pub use order::{ORDERED_SERIES_MAX, Order};
pub use plan::{
    Job, KEEP_REPLACED_MS, Known, LATE_EVERY_MS, LATE_ITEMS_MAX, SETTLE_MS, Sweep, closed_through, deletable,
    hours_touched, live_of, plan, readable_of, sweep,
};
pub use reader::{BlockReader, SeriesEntry};
pub use retention::{Expiry, Retention, SEAL_AFTER_MS, Sealed, ledger_of, seal};
pub use rollup::{RollupOverlap, join_rollups, rollup};
pub use sources::{BATCHES_PER_ITEM_MAX, BatchNote, RunNote, SourceNote, join_counters, join_sources};
