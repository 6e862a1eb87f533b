//! What a warm process remembers of blocks. They are immutable and named by their content, so what is
//! remembered stays good for ever; only how much of it is kept is bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use blocks::parquet::Footer;
use blocks::{Block, Level, ManifestItem};
use ports::TenantId;
use promql::Samples;
use series::Window;

use crate::manifest::Placed;

/// Bytes of decoded blocks that the cache keeps.
pub const CACHED_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// What a series costs in it beside its samples: a fresh block has few samples a series.
const SERIES_BYTES: u64 = 400;
const SAMPLE_BYTES: u64 = 16;
/// Bytes of the footers of objects of an hour and of a day that the cache keeps, and one at least.
pub const FOOTER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of series of such objects, decoded, that the cache keeps: those that were asked for.
pub const COLUMN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Manifest items that the cache keeps.
pub const CACHED_ITEMS_MAX: usize = 50_000;
/// Lists of manifest items that it keeps.
pub const CACHED_LISTS_MAX: usize = 256;

/// Decoded blocks and manifest items of a warm process. Only the lists of items can be out of date; they are
/// taken with the revision that the table has now, or not at all.
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
    /// Of each object the series by their numbers.
    columns: HashMap<String, (u64, HashMap<usize, Samples>)>,
    column_bytes: usize,
    /// With the table's revision of which they are.
    lists: HashMap<ListKey, (u64, Arc<[Placed]>)>,
}

/// Items of a level whose windows start in a stretch of time.
pub(crate) type ListKey = (TenantId, Level, Window);

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

    /// Those of an object's series that are kept, in the order asked for.
    pub(super) fn columns(&self, place: &str, numbers: &[usize]) -> Vec<Option<Samples>> {
        let mut cached = self.lock();
        cached.uses += 1;
        let now = cached.uses;
        let Some((used, columns)) = cached.columns.get_mut(place) else { return vec![None; numbers.len()] };
        *used = now;
        numbers.iter().map(|number| columns.get(number).cloned()).collect()
    }

    pub(super) fn keep_columns(&self, place: &str, some: impl IntoIterator<Item = (usize, Samples)>) {
        let mut cached = self.lock();
        cached.uses += 1;
        let used = cached.uses;
        let (_, mut columns) = cached.columns.remove(place).unwrap_or_default();
        for (number, samples) in some {
            cached.column_bytes += column_bytes(&samples);
            if let Some(before) = columns.insert(number, samples) {
                cached.column_bytes -= column_bytes(&before);
            }
        }
        cached.columns.insert(place.to_owned(), (used, columns));
        while cached.column_bytes > COLUMN_BYTES_MAX {
            let oldest = cached.columns.iter().min_by_key(|(_, (used, _))| *used).map(|(place, _)| place.clone());
            let Some((_, gone)) = oldest.and_then(|oldest| cached.columns.remove(&oldest)) else { break };
            cached.column_bytes -= gone.values().map(column_bytes).sum::<usize>();
        }
    }

    /// A list of this revision.
    pub(crate) fn list(&self, key: &ListKey, revision: u64) -> Option<Arc<[Placed]>> {
        self.lock().lists.get(key).filter(|(of, _)| *of == revision).map(|(_, list)| list.clone())
    }

    pub(crate) fn keep_list(&self, key: ListKey, revision: u64, list: Arc<[Placed]>) {
        let mut cached = self.lock();
        if cached.lists.len() >= CACHED_LISTS_MAX {
            cached.lists.clear();
        }
        cached.lists.insert(key, (revision, list));
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

fn column_bytes(samples: &Samples) -> usize {
    samples.len() * SAMPLE_BYTES as usize + SERIES_BYTES as usize
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

    #[test]
    fn decoded_series_of_objects_at_the_limit_and_one_past_it() {
        let cache = BlockCache::default();
        let samples = |count: usize| Samples::from(vec![Sample { at: Timestamp(1), value: 1.0 }; count]);
        let half = (COLUMN_BYTES_MAX / 2 - SERIES_BYTES as usize) / SAMPLE_BYTES as usize;
        cache.keep_columns("a", [(0, samples(half)), (2, samples(half))]);
        assert_eq!(cache.columns("a", &[0, 1, 2]).iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
        // A second time is no more.
        cache.keep_columns("a", [(0, samples(half))]);
        assert!(cache.columns("a", &[0])[0].is_some());
        cache.keep_columns("b", [(0, samples(1))]);
        assert!(cache.columns("a", &[0])[0].is_none() && cache.columns("b", &[0])[0].is_some());
    }

    #[test]
    fn lists_of_another_revision_are_not_taken() {
        let cache = BlockCache::default();
        let key = |n: i64| (TenantId::new("default").unwrap(), Level::Day, Window::around(Timestamp(n), 1));
        cache.keep_list(key(0), 7, Arc::from([]));
        assert!(
            cache.list(&key(0), 7).is_some() && cache.list(&key(0), 8).is_none() && cache.list(&key(1), 7).is_none()
        );
        (1..CACHED_LISTS_MAX as i64).for_each(|n| cache.keep_list(key(n), 7, Arc::from([])));
        assert!(cache.list(&key(0), 7).is_some());
        cache.keep_list(key(-1), 7, Arc::from([]));
        assert!(cache.list(&key(0), 7).is_none() && cache.list(&key(-1), 7).is_some());
    }

    #[test]
    fn footers_at_the_limit_and_one_past_it() {
        let object = blocks::parquet::encode_samples(&block(5_000)).unwrap();
        let each = Arc::new(Footer::of(&object).unwrap());
        let cache = BlockCache::default();
        let fit = FOOTER_BYTES_MAX / each.memory_bytes();
        for n in 0..fit {
            cache.keep_footer(&n.to_string(), each.clone());
        }
        assert!((0..fit).all(|n| cache.footer(&n.to_string()).is_some()));
        // The one that was used longest ago goes.
        assert!(cache.footer("0").is_some());
        cache.keep_footer("one more", each);
        assert!(cache.footer("1").is_none() && cache.footer("0").is_some() && cache.footer("one more").is_some());
        assert!(cache.lock().footer_bytes <= FOOTER_BYTES_MAX);
    }
}
