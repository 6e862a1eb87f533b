//! Finding samples again: manifest → blocks → the series that are asked for.
//!
//! Blocks are immutable and named by their content, so a decoded one stays good for ever; a warm
//! process keeps as many as fit.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use blocks::{Block, ManifestItem};
use ports::{Ports, TenantId, Timestamp};
use promql::{Selection, Series, SeriesSet, all_match};
use series::{Labels, Sample, SourceName};

use crate::error::Fault;
use crate::{Context, manifest};

/// Bytes of decoded blocks that the cache keeps.
pub const CACHED_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// What a series costs in it beside its samples: a fresh block has few samples a series.
const SERIES_BYTES: u64 = 400;
const SAMPLE_BYTES: u64 = 16;
/// Manifest items that the cache keeps.
pub const CACHED_ITEMS_MAX: usize = 50_000;
/// Samples that one query may load.
pub const LOADED_SAMPLES_MAX: u64 = 20_000_000;
/// How often a query looks into the manifest again because a block in it was swept meanwhile.
const MANIFEST_READS_MAX: usize = 3;

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
}

impl BlockCache {
    /// How many blocks and samples it holds.
    #[must_use]
    pub fn size(&self) -> (usize, u64) {
        let cached = self.lock();
        (cached.blocks.len(), cached.blocks.values().map(|(_, block)| block.samples()).sum())
    }

    fn block(&self, name: &str) -> Option<Arc<Block>> {
        let mut cached = self.lock();
        cached.uses += 1;
        let now = cached.uses;
        let (used, block) = cached.blocks.get_mut(name)?;
        *used = now;
        Some(block.clone())
    }

    fn keep_block(&self, name: &str, block: Arc<Block>) {
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

/// Loads what the selections ask for.
pub async fn load(context: &Context, tenant: &TenantId, selections: &[Selection]) -> Result<SeriesSet, Fault> {
    let mut found: Vec<Series> = Vec::new();
    let mut loaded = 0_u64;
    for_each_block(context, tenant, selections, |block| {
        for column in block.columns() {
            let Some(samples) = wanted(selections, &column.labels, &column.samples) else { continue };
            loaded += samples.len() as u64;
            if loaded > LOADED_SAMPLES_MAX {
                return Err(Fault::Unprocessable(format!(
                    "the query reads more than {LOADED_SAMPLES_MAX} samples (loaded_samples_max)"
                )));
            }
            found.push(Series { labels: column.labels.clone(), samples: samples.into() });
        }
        Ok(())
    })
    .await?;
    Ok(joined(found))
}

/// One series a label set, so that the storage joins once and not a block at a time.
fn joined(found: Vec<Series>) -> SeriesSet {
    let mut parts: HashMap<Labels, Vec<Arc<[Sample]>>> = HashMap::new();
    for series in found {
        parts.entry(series.labels).or_default().push(series.samples);
    }
    SeriesSet::new(parts.into_iter().map(|(labels, mut parts)| {
        let samples = match parts.pop() {
            Some(only) if parts.is_empty() => only,
            last => parts.iter().chain(last.as_ref()).flat_map(|part| part.iter().copied()).collect(),
        };
        Series { labels, samples }
    }))
}

/// Label sets with a sample in the selections' time.
pub async fn labels(context: &Context, tenant: &TenantId, selections: &[Selection]) -> Result<BTreeSet<Labels>, Fault> {
    let mut found = BTreeSet::new();
    for_each_block(context, tenant, selections, |block| {
        for column in block.columns() {
            if wanted(selections, &column.labels, &column.samples).is_some() && !found.contains(&column.labels) {
                found.insert(column.labels.clone());
            }
        }
        Ok(())
    })
    .await?;
    Ok(found)
}

/// The sources that send the selected series.
pub async fn sources_of(
    context: &Context,
    tenant: &TenantId,
    selections: &[Selection],
) -> Result<BTreeSet<SourceName>, Fault> {
    let found = labels(context, tenant, selections).await?;
    Ok(found.iter().filter_map(|labels| SourceName::new(labels.get("source")?).ok()).collect())
}

/// The part of a column that any selection asks for: from the first to the last such sample.
fn wanted<'a>(selections: &[Selection], labels: &Labels, samples: &'a [Sample]) -> Option<&'a [Sample]> {
    let (first, last) = (samples.first()?.at, samples.last()?.at);
    let mut span: Option<(Timestamp, Timestamp)> = None;
    for selection in selections {
        if selection.from <= last && selection.to >= first && all_match(&selection.matchers, labels) {
            let (from, to) = span.unwrap_or((selection.from, selection.to));
            span = Some((from.min(selection.from), to.max(selection.to)));
        }
    }
    let (from, to) = span?;
    let start = samples.partition_point(|sample| sample.at < from);
    let end = samples.partition_point(|sample| sample.at <= to);
    (start < end).then(|| &samples[start..end])
}

async fn for_each_block(
    context: &Context,
    tenant: &TenantId,
    selections: &[Selection],
    mut visit: impl FnMut(&Block) -> Result<(), Fault> + Send,
) -> Result<(), Fault> {
    let (Some(from), Some(to)) = (selections.iter().map(|s| s.from).min(), selections.iter().map(|s| s.to).max())
    else {
        return Ok(());
    };
    let mut visited: BTreeSet<String> = BTreeSet::new();
    let mut missing = String::new();
    // A sweep between reading the manifest and a block takes the block; what replaces it stands in
    // the manifest by then. Meeting samples twice, in a block and in its successor, is harmless.
    'manifest: for _ in 0..MANIFEST_READS_MAX {
        for placed in manifest::between(&context.ports, &context.blocks, tenant, (from, to)).await? {
            let touched = selections.iter().any(|s| placed.item.overlaps(s.from, s.to));
            if !touched || visited.contains(&placed.sort) {
                continue;
            }
            let Some(block) = block(&context.ports, &context.blocks, tenant, &placed.item).await? else {
                missing = placed.sort;
                continue 'manifest;
            };
            visit(&block)?;
            visited.insert(placed.sort);
        }
        return Ok(());
    }
    Err(Fault::Internal(format!("the block of {missing} is in the manifest and not stored")))
}

/// An item's block, decoded; an empty one where the item has only notes. `None`: it is not there,
/// so either it was swept since the item was read, or it is lost.
pub(crate) async fn block(
    ports: &Ports,
    cache: &BlockCache,
    tenant: &TenantId,
    item: &ManifestItem,
) -> Result<Option<Arc<Block>>, Fault> {
    let Some(name) = &item.name else {
        return Ok(Some(Arc::default()));
    };
    if let Some(block) = cache.block(name) {
        return Ok(Some(block));
    }
    let Some(bytes) = ports.blobs.get(&manifest::blob_name(tenant, item.level, name)).await? else { return Ok(None) };
    let decoded = blocks::decode(bytes).map_err(|e| Fault::Internal(format!("the block {name}: {e}")))?;
    let decoded = Arc::new(decoded);
    cache.keep_block(name, decoded.clone());
    Ok(Some(decoded))
}

#[cfg(test)]
mod tests {
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
