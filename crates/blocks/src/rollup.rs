//! Rollups of a block, and how a reader puts those of several blocks together.
//!
//! A block's rollups are a function of its joined set alone: any order and any repetition of what was
//! joined gives the same rollups, and the same bytes of them. They are never added to.

use std::sync::Arc;

use series::{Labels, Rollup, RollupSeries, Timestamp, rollups};

use crate::join::Block;

/// Two rollups of one bucket that are not parts of it which follow each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{labels}: two rollups of the bucket that ends at {end} share a stretch of time")]
pub struct RollupOverlap {
    /// Of which series.
    pub labels: Labels,
    /// The bucket's end.
    pub end: Timestamp,
}

/// The rollups of every series of a block, sorted by labels. A bucket that the block's window cuts is
/// there with the samples that the block holds of it: see [`join_rollups`].
#[must_use]
pub fn rollup(block: &Block, width_ms: i64) -> Vec<RollupSeries> {
    let one = |column: &wire::SeriesColumn| RollupSeries {
        labels: column.labels.clone(),
        rollups: rollups(&column.samples, width_ms).into(),
    };
    block.columns().iter().map(one).collect()
}

/// Joins the rollups (of one width) of blocks that share no sample. A bucket cut by the edge between two windows becomes
/// whole; the very same rollup given twice counts once. Where two rollups of a bucket overlap in time
/// they are of blocks that share a stretch (a late one), and only samples can tell: an error.
pub fn join_rollups(parts: impl IntoIterator<Item = RollupSeries>) -> Result<Vec<RollupSeries>, RollupOverlap> {
    let mut parts: Vec<RollupSeries> = parts.into_iter().collect();
    parts.sort_by(|a, b| a.labels.cmp(&b.labels));
    let mut joined = Vec::new();
    for same in parts.chunk_by(|a, b| a.labels == b.labels) {
        let [first, rest @ ..] = same else { continue };
        if rest.is_empty() {
            joined.push(first.clone());
            continue;
        }
        let mut all: Vec<Rollup> = same.iter().flat_map(|part| part.rollups.iter().copied()).collect();
        all.sort_by_key(|rollup| (rollup.end, rollup.first_at));
        all.dedup();
        let mut whole: Vec<Rollup> = Vec::with_capacity(all.len());
        for later in all {
            match whole.last_mut().filter(|earlier| earlier.end == later.end) {
                Some(earlier) => {
                    let overlap = || RollupOverlap { labels: first.labels.clone(), end: later.end };
                    *earlier = earlier.followed_by(&later).ok_or_else(overlap)?;
                }
                None => whole.push(later),
            }
        }
        joined.push(RollupSeries { labels: first.labels.clone(), rollups: Arc::from(whole) });
    }
    Ok(joined)
}

#[cfg(test)]
mod tests;
