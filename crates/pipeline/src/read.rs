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

/// Samples that the cache keeps (16 bytes each).
pub const CACHED_SAMPLES_MAX: u64 = 8_000_000;
/// Manifest items that the cache keeps.
pub const CACHED_ITEMS_MAX: usize = 50_000;
/// Samples that one query may load.
pub const LOADED_SAMPLES_MAX: u64 = 50_000_000;

/// Decoded blocks and manifest items of a warm process.
#[derive(Default)]
pub struct BlockCache(Mutex<Cached>);

#[derive(Default)]
struct Cached {
    blocks: HashMap<String, (u64, Arc<Block>)>,
    samples: u64,
    /// Counts uses; the block used longest ago goes first.
    uses: u64,
    items: HashMap<String, Arc<ManifestItem>>,
}

impl BlockCache {
    /// How many blocks and samples it holds.
    #[must_use]
    pub fn size(&self) -> (usize, u64) {
        let cached = self.lock();
        (cached.blocks.len(), cached.samples)
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
        cached.samples += block.samples();
        if let Some((_, before)) = cached.blocks.insert(name.to_owned(), (used, block)) {
            cached.samples -= before.samples();
        }
        if cached.samples > CACHED_SAMPLES_MAX {
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
        self.samples = self.blocks.values().map(|(_, block)| block.samples()).sum();
    }
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
    for placed in manifest::between(&context.ports, &context.blocks, tenant, (from, to)).await? {
        let touched = selections.iter().any(|s| placed.item.overlaps(s.from, s.to));
        if let (true, Some(name)) = (touched, &placed.item.name) {
            visit(&*block(&context.ports, &context.blocks, tenant, name).await?)?;
        }
    }
    Ok(())
}

/// A block, decoded.
pub(crate) async fn block(
    ports: &Ports,
    cache: &BlockCache,
    tenant: &TenantId,
    name: &str,
) -> Result<Arc<Block>, Fault> {
    if let Some(block) = cache.block(name) {
        return Ok(block);
    }
    let bytes = ports.blobs.get(&manifest::blob_name(tenant, name)).await?;
    let bytes = bytes.ok_or_else(|| Fault::Internal(format!("the block {name} is in the manifest and not stored")))?;
    let decoded = Block::decode(bytes).map_err(|e| Fault::Internal(format!("the block {name}: {e}")))?;
    let decoded = Arc::new(decoded);
    cache.keep_block(name, decoded.clone());
    Ok(decoded)
}
