//! Finding samples again: the hot two hours in memory where there are some, and for what is older
//! manifest → blocks → the series that are asked for.

mod budget;
mod cache;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use blocks::{Block, ManifestItem};
use ports::{Ports, TenantId, Timestamp};
use promql::{Selection, Series, SeriesSet, all_match};
use series::{Labels, Sample, SourceName};
use wire::SeriesColumn;

use budget::Budget;
pub use budget::{LOADED_BYTES_MAX, LOADED_SAMPLES_MAX, LOADED_SERIES_MAX, QUERY_TIME_MS_MAX};
pub use cache::{BlockCache, CACHED_BYTES_MAX, CACHED_ITEMS_MAX};

use crate::error::Fault;
use crate::{Context, manifest};

/// How often a query looks into the manifest again because a block in it was swept meanwhile.
const MANIFEST_READS_MAX: usize = 3;

/// Loads what the selections ask for.
pub async fn load(context: &Context, tenant: &TenantId, selections: &[Selection]) -> Result<SeriesSet, Fault> {
    let mut loaded = Loaded { parts: HashMap::new(), budget: Budget::begin(context) };
    let hot = match &context.head {
        Some(head) => head.read(tenant, selections, |labels, samples| loaded.add(labels, samples))?,
        None => None,
    };
    // After the head: whatever it has not shown is in a block by now.
    let older = before(selections, hot);
    for_each_block(context, tenant, &older, |block| {
        for column in block.columns() {
            if let Some(samples) = wanted(&older, &column.labels, &column.samples) {
                loaded.add(&column.labels, samples.to_vec())?;
            }
        }
        Ok(())
    })
    .await?;
    Ok(loaded.into_set())
}

/// The part of the selections that is older than what was read already.
fn before(selections: &[Selection], hot: Option<Timestamp>) -> Vec<Selection> {
    let Some(hot) = hot else { return selections.to_vec() };
    let older = selections.iter().filter(|selection| selection.from < hot);
    older.map(|selection| Selection { to: selection.to.min(hot.plus_ms(-1)), ..selection.clone() }).collect()
}

/// What a query has so far: the runs of samples of each series.
struct Loaded {
    parts: HashMap<Labels, Vec<Vec<Sample>>>,
    budget: Budget,
}

impl Loaded {
    fn add(&mut self, labels: &Labels, samples: Vec<Sample>) -> Result<(), Fault> {
        self.budget.samples(samples.len())?;
        match self.parts.get_mut(labels) {
            Some(parts) => parts.push(samples),
            None => {
                self.budget.series()?;
                self.parts.insert(labels.clone(), vec![samples]);
            }
        }
        Ok(())
    }

    /// One series a label set, so that the storage joins once and not a block at a time.
    fn into_set(self) -> SeriesSet {
        SeriesSet::new(self.parts.into_iter().map(|(labels, mut parts)| {
            // Runs of different windows then follow each other, and nothing has to be sorted.
            parts.sort_by_key(|part| part.first().map(|sample| sample.at));
            let samples = match parts.as_slice() {
                [only] => Arc::from(only.as_slice()),
                parts => parts.concat().into(),
            };
            Series { labels, samples }
        }))
    }
}

/// Label sets with a sample in the selections' time.
pub async fn labels(context: &Context, tenant: &TenantId, selections: &[Selection]) -> Result<BTreeSet<Labels>, Fault> {
    let mut found = BTreeSet::new();
    let hot = match &context.head {
        Some(head) => head.labels(tenant, selections)?,
        None => None,
    };
    let hot = hot.map(|(from, labels)| {
        found.extend(labels);
        from
    });
    let older = before(selections, hot);
    for_each_block(context, tenant, &older, |block| {
        for column in block.columns() {
            if wanted(&older, &column.labels, &column.samples).is_some() && !found.contains(&column.labels) {
                found.insert(column.labels.clone());
            }
        }
        Ok(())
    })
    .await?;
    Ok(found)
}

/// All columns of blocks that may hold samples of a stretch of time, block after block, kept in no
/// cache: to fill a memory, not to answer a query.
pub(crate) async fn for_each_column(
    context: &Context,
    tenant: &TenantId,
    span: (Timestamp, Timestamp),
    mut visit: impl FnMut(&[SeriesColumn]) -> Result<(), Fault> + Send,
) -> Result<(), Fault> {
    let mut visited: BTreeSet<String> = BTreeSet::new();
    let mut missing = String::new();
    'manifest: for _ in 0..MANIFEST_READS_MAX {
        for placed in manifest::between(&context.ports, &context.blocks, tenant, span).await? {
            if !placed.item.overlaps(span.0, span.1) || visited.contains(&placed.sort) {
                continue;
            }
            for name in manifest::blob_names(tenant, &placed.item) {
                let Some(bytes) = context.ports.blobs.get(&name).await? else {
                    missing = placed.sort;
                    continue 'manifest;
                };
                let block = blocks::decode(bytes).map_err(|e| Fault::Internal(format!("the block {name}: {e}")))?;
                visit(block.columns())?;
            }
            visited.insert(placed.sort);
        }
        return Ok(());
    }
    Err(not_stored(&missing))
}

fn not_stored(sort: &str) -> Fault {
    Fault::Internal(format!("the block of {sort} is in the manifest and not stored"))
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
    let mut budget = Budget::begin(context);
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
            budget.bytes(placed.item.bytes)?;
            budget.time(context)?;
            visit(&block)?;
            visited.insert(placed.sort);
        }
        return Ok(());
    }
    Err(not_stored(&missing))
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
