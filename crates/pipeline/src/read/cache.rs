//! What a warm process remembers of blocks. They are immutable and named by their content, so what is
//! remembered stays good for ever; only how much of it is kept is bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use blocks::parquet::Footer;
use blocks::{Block, ManifestItem};

/// Bytes of decoded blocks that the cache keeps.
pub const CACHED_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// What a series costs in it beside its samples: a fresh block has few samples a series.
const SERIES_BYTES: u64 = 400;
const SAMPLE_BYTES: u64 = 16;
/// Bytes of the footers of objects of an hour and of a day that the cache keeps, and one at least.
pub const FOOTER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Manifest items that the cache keeps.
pub const CACHED_ITEMS_MAX: usize = 50_000;

/// Decoded blocks and manifest items of a warm process.
#[derive(Default)]
pub struct BlockCache(Mutex<Cached>);

#[derive(Default)]
struct Cached {
    blocks: HashMap<String, (u64, Arc<Block>)>,
    bytes: u64,
    /// Counts uses; the block used longest ago goes first.
    uses: u64,
    items: HashMap<String, Arc<ManifestItem>>,
    footers: HashMap<String, (u64, Arc<Footer>)>,
    footer_bytes: usize,
}

impl BlockCache {
    /// How many blocks and samples it holds.
    #[must_use]
    pub fn size(&self) -> (usize, u64) {
        let cached = self.lock();
        (cached.blocks.len(), cached.blocks.values().map(|(_, block)| block.samples()).sum())
    }

    pub(super) fn block(&self, name: &str) -> Option<Arc<Block>> {
        let mut cached = self.lock();
        cached.uses += 1;
        let now = cached.uses;
        let (used, block) = cached.blocks.get_mut(name)?;
        *used = now;
        Some(block.clone())
    }

    pub(super) fn keep_block(&self, name: &str, block: Arc<Block>) {
        let mut cached = self.lock();
        cached.uses += 1;
        let used = cached.uses;
        cached.bytes += bytes_of(&block);
        if let Some((_, before)) = cached.blocks.insert(name.to_owned(), (used, block)) {
            cached.bytes -= bytes_of(&before);
        }
        if cached.bytes > CACHED_BYTES_MAX {
            cached.shrink();
        }
    }

    pub(super) fn footer(&self, place: &str) -> Option<Arc<Footer>> {
        let mut cached = self.lock();
        cached.uses += 1;
        let now = cached.uses;
        let (used, footer) = cached.footers.get_mut(place)?;
        *used = now;
        Some(footer.clone())
    }

    pub(super) fn keep_footer(&self, place: &str, footer: Arc<Footer>) {
        let mut cached = self.lock();
        cached.uses += 1;
        let used = cached.uses;
        cached.footer_bytes += footer.memory_bytes();
        if let Some((_, before)) = cached.footers.insert(place.to_owned(), (used, footer)) {
            cached.footer_bytes -= before.memory_bytes();
        }
        while cached.footer_bytes > FOOTER_BYTES_MAX && cached.footers.len() > 1 {
            let oldest = cached.footers.iter().min_by_key(|(_, (used, _))| *used).map(|(place, _)| place.clone());
            let gone = oldest.and_then(|oldest| cached.footers.remove(&oldest));
            cached.footer_bytes -= gone.map_or(0, |(_, footer)| footer.memory_bytes());
        }
    }

    pub(crate) fn item(&self, sort: &str) -> Option<Arc<ManifestItem>> {
        self.lock().items.get(sort).cloned()
    }

    pub(crate) fn keep_item(&self, sort: &str, item: Arc<ManifestItem>) {
        let mut cached = self.lock();
        if cached.items.len() >= CACHED_ITEMS_MAX {
            cached.items.clear();
        }
        cached.items.insert(sort.to_owned(), item);
    }

    fn lock(&self) -> MutexGuard<'_, Cached> {
        // A panic elsewhere leaves a cache, which is never the truth.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cached {
    /// Throws out the older half.
    fn shrink(&mut self) {
        let mut ages: Vec<u64> = self.blocks.values().map(|(used, _)| *used).collect();
        ages.sort_unstable();
        let middle = ages.get(ages.len() / 2).copied().unwrap_or(0);
        self.blocks.retain(|_, (used, _)| *used > middle);
        self.bytes = self.blocks.values().map(|(_, block)| bytes_of(block)).sum();
    }
}

/// About what a decoded block takes.
fn bytes_of(block: &Block) -> u64 {
    block.samples() * SAMPLE_BYTES + block.columns().len() as u64 * SERIES_BYTES
}

#[cfg(test)]
mod tests {
    use series::{Labels, Sample, Timestamp};
    use wire::SeriesColumn;

    use super::*;

    fn block(series: u64) -> Arc<Block> {
        let column = |n: u64| SeriesColumn {
            labels: Labels::from_pairs([("__name__", format!("m{n}").as_str())]).unwrap(),
            samples: vec![Sample { at: Timestamp(1), value: 1.0 }],
        };
        Arc::new(blocks::join((0..series).map(column)))
    }

    #[test]
    fn decoded_blocks_at_the_limit_and_one_past_it() {
        let cache = BlockCache::default();
        let each = block(1_000);
        let fit = CACHED_BYTES_MAX / bytes_of(&each);
        for n in 0..fit {
            cache.keep_block(&n.to_string(), each.clone());
        }
        assert_eq!(cache.size(), (fit as usize, fit * 1_000));
        // A use keeps it; the others of the older half go.
        assert!(cache.block("0").is_some());
        cache.keep_block("one more", each);
        assert!(cache.size().0 as u64 <= fit.div_ceil(2));
        assert!(cache.block("0").is_some() && cache.block("one more").is_some() && cache.block("1").is_none());
    }
}
