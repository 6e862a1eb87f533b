//! Finding samples again: the hot two hours in memory where there are some, and for what is older
//! manifest → blocks → the series that are asked for.

mod again;
mod budget;
mod cache;
mod loaded;
mod parquet;
mod rollups;

use std::collections::BTreeSet;
use std::sync::Arc;

use blocks::{Block, Level, ManifestItem};
use futures_util::future::try_join_all;
use ports::{Ports, TenantId, Timestamp};
use promql::{Matcher, Selection, Series, SeriesSet, Stop, Storage, StorageError, all_match};
use series::{Labels, RollupSeries, Sample, SourceName};
use wire::SeriesColumn;

pub(crate) use again::Listing;
pub use again::{LISTED_FOR_MS, REMEMBERED_BYTES_MAX, Remembered};
use budget::Budget;
pub(crate) use budget::timed_out;
pub use budget::{LOADED_BYTES_MAX, LOADED_SAMPLES_MAX, LOADED_SERIES_MAX};
pub(crate) use cache::ListKey;
pub use cache::{BlockCache, CACHED_BYTES_MAX, CACHED_ITEMS_MAX, CACHED_LISTS_MAX, COLUMN_BYTES_MAX, FOOTER_BYTES_MAX};
use loaded::{Loaded, Run};

pub use rollups::{NEAR_SPAN_MS_MIN, ROLLUP_SPAN_MS_MIN};

use crate::error::Fault;
use crate::manifest::Placed;
use crate::query::{QUERY_MS_MAX, stop_after};
use crate::{Context, manifest};

/// How often a query looks into the manifest again because a block in it was swept meanwhile.
const MANIFEST_READS_MAX: usize = 3;

/// Objects of an hour and of a day that are read at the same time, each with its ranges.
const OBJECTS_AT_ONCE_MAX: usize = 8;

/// Loads the samples that the selections ask for, which are asked for again soon: as rules do. Where they are not
/// kept any more and rollups are, the last values of those. Takes [`QUERY_MS_MAX`] at most.
pub async fn load(context: &Context, tenant: &TenantId, selections: &[Selection]) -> Result<SeriesSet, Fault> {
    load_by(context, tenant, selections, &mut Listing::default()).await
}

/// The same, several times by one listing of what is stored.
pub(crate) async fn load_by(
    context: &Context,
    tenant: &TenantId,
    selections: &[Selection],
    listing: &mut Listing,
) -> Result<SeriesSet, Fault> {
    let stop = stop_after(context.ports.clock.clone(), QUERY_MS_MAX);
    let (mut loaded, older) = begin(context, tenant, selections, &stop)?;
    let add = |labels: &Labels, run: Run| loaded.add(labels, run);
    again::for_each_run(context, tenant, (&older, listing), &stop, add).await?;
    Ok(loaded.into_set())
}

/// Loads what an evaluation of these selections asks for: rollups where these say the same
/// ([`Selection::rollup`]) and the time is long, or nearly the same ([`Selection::near`]) and samples would be
/// [dear](rollups::NEAR_SPAN_MS_MIN); samples elsewhere. Ends where `stop` says so.
pub async fn load_for(
    context: &Context,
    tenant: &TenantId,
    selections: &[Selection],
    stop: &Stop,
) -> Result<Data, Fault> {
    let (mut rolled, mut as_samples) = (Vec::new(), Vec::new());
    let mut infos = BTreeSet::new();
    let kept_from = context.ports.clock.now().plus_ms(-context.settings.raw_retention_ms);
    for selection in selections {
        let exact = selection.rollup.map(|width_ms| (width_ms, selection.clone()));
        let near = selection.near.filter(|_| rollups::are_samples_dear(selection, kept_from));
        let near = near.map(|near| (near.width_ms, Selection { from: near.from, to: near.to, ..selection.clone() }));
        match exact.or(near) {
            Some((width_ms, wanted)) => match load_rollups(context, tenant, &wanted, (width_ms, stop)).await? {
                Some(series) => rolled.push(Rolled { selection: wanted, width_ms, series }),
                None => as_samples.push(selection.clone()),
            },
            None => as_samples.push(selection.clone()),
        }
    }
    let loaded = load_samples(context, tenant, &as_samples, stop).await?;
    for width_ms in &loaded.only_rollups {
        infos.insert(format!(
            "PromQL info: samples of this time are kept no longer; the last values of {} rollups were read",
            shown(*width_ms)
        ));
    }
    Ok(Data { samples: loaded.into_set(), rolled, infos: infos.into_iter().collect() })
}

/// `5m`, `1h`.
fn shown(width_ms: i64) -> String {
    let minutes = width_ms / series::MINUTE_MS;
    if minutes % 60 == 0 { format!("{}h", minutes / 60) } else { format!("{minutes}m") }
}

/// What one evaluation reads.
#[derive(Debug, Default)]
pub struct Data {
    samples: SeriesSet,
    rolled: Vec<Rolled>,
    infos: Vec<String>,
}

#[derive(Debug)]
struct Rolled {
    selection: Selection,
    width_ms: i64,
    series: Vec<RollupSeries>,
}

impl Data {
    /// What is worth knowing about it, as annotations of a result.
    #[must_use]
    pub fn infos(&self) -> &[String] {
        &self.infos
    }
}

impl Storage for Data {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Result<Vec<Series>, StorageError> {
        self.samples.select(matchers, from, to)
    }

    fn rollups(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
        width_ms: i64,
    ) -> Result<Option<Vec<RollupSeries>>, StorageError> {
        let is_it = |rolled: &&Rolled| {
            let known = &rolled.selection;
            known.matchers == matchers && (known.from, known.to, rolled.width_ms) == (from, to, width_ms)
        };
        Ok(self.rolled.iter().find(is_it).map(|rolled| rolled.series.clone()))
    }
}

async fn load_rollups(
    context: &Context,
    tenant: &TenantId,
    selection: &Selection,
    (width_ms, stop): (i64, &Stop),
) -> Result<Option<Vec<RollupSeries>>, Fault> {
    for _ in 0..MANIFEST_READS_MAX {
        let Some(plan) = rollups::plan(context, tenant, selection, width_ms).await? else { return Ok(None) };
        let mut budget = Budget::begin(stop);
        let read = rollups::read(context, tenant, selection, (&plan, width_ms), &mut budget).await?;
        // An object was swept meanwhile: the manifest knows what stands for it now.
        let Some(mut buckets) = read else { continue };
        let stretch = |(from, to): &(Timestamp, Timestamp)| Selection { from: *from, to: *to, ..selection.clone() };
        for raw in plan.raw.iter().map(stretch) {
            let loaded = load_samples(context, tenant, std::slice::from_ref(&raw), stop).await?;
            if !loaded.only_rollups.is_empty() {
                return Ok(None);
            }
            for series in loaded.into_set().select(&[], raw.from, raw.to).map_err(|e| Fault::Internal(e.to_string()))? {
                buckets.roll_up(series.labels, &series.samples, width_ms);
            }
        }
        return Ok(Some(buckets.into_series()));
    }
    Ok(None)
}

async fn load_samples<'a>(
    context: &Context,
    tenant: &TenantId,
    selections: &[Selection],
    stop: &'a Stop,
) -> Result<Loaded<'a>, Fault> {
    let (mut loaded, older) = begin(context, tenant, selections, stop)?;
    let take = |found: Found<'_>| match found {
        Found::Block(block) => {
            let wanted = block.columns().iter().map(|column| (column, wanted(&older, &column.labels, &column.samples)));
            let mut wanted = wanted.filter_map(|(column, samples)| Some((column, samples?)));
            wanted.try_for_each(|(column, samples)| loaded.add(&column.labels, samples.to_vec()))
        }
        Found::Samples(series) => series.into_iter().try_for_each(|(labels, run)| loaded.add(&labels, run)),
        Found::LastValues(width_ms, series) => {
            if !series.is_empty() {
                loaded.only_rollups.insert(width_ms);
            }
            series.into_iter().try_for_each(|(labels, samples)| loaded.add(&labels, samples))
        }
        Found::Labels(_) => Ok(()),
    };
    for_each_found(context, tenant, &older, take, (What::Samples, stop)).await?;
    Ok(loaded)
}

/// What the head has, and what is to be read after it: whatever it has not shown is in a block by now.
fn begin<'a>(
    context: &Context,
    tenant: &TenantId,
    selections: &[Selection],
    stop: &'a Stop,
) -> Result<(Loaded<'a>, Vec<Selection>), Fault> {
    let mut loaded = Loaded::begin(Budget::begin(stop));
    let hot = match &context.head {
        Some(head) => head.read(tenant, selections, |labels, samples| loaded.add_first(labels, samples))?,
        None => None,
    };
    Ok((loaded, before(selections, hot)))
}

/// The part of the selections that is older than what was read already.
fn before(selections: &[Selection], hot: Option<Timestamp>) -> Vec<Selection> {
    let Some(hot) = hot else { return selections.to_vec() };
    let older = selections.iter().filter(|selection| selection.from < hot);
    older.map(|selection| Selection { to: selection.to.min(hot.plus_ms(-1)), ..selection.clone() }).collect()
}

/// Label sets with a sample in the selections' time. Takes [`QUERY_MS_MAX`] at most.
pub async fn labels(context: &Context, tenant: &TenantId, selections: &[Selection]) -> Result<BTreeSet<Labels>, Fault> {
    let stop = stop_after(context.ports.clock.clone(), QUERY_MS_MAX);
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
    for_each_found(
        context,
        tenant,
        &older,
        |in_block| {
            match in_block {
                Found::Block(block) => {
                    for column in block.columns() {
                        if wanted(&older, &column.labels, &column.samples).is_some() && !found.contains(&column.labels)
                        {
                            found.insert(column.labels.clone());
                        }
                    }
                }
                Found::Samples(_) => {}
                Found::LastValues(_, series) => found.extend(series.into_iter().map(|(labels, _)| labels)),
                Found::Labels(labels) => found.extend(labels),
            }
            Ok(())
        },
        (What::Labels, &stop),
    )
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

/// What is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Samples,
    Labels,
}

/// What a block gave.
enum Found<'a> {
    /// A young block, whole.
    Block(&'a Block),
    /// The samples of an older one.
    Samples(Vec<(Labels, Run)>),
    /// What is left of a block whose samples have expired: rollups' last values, and their width.
    LastValues(i64, Vec<(Labels, Vec<Sample>)>),
    /// Its label sets.
    Labels(Vec<Labels>),
}

async fn for_each_found(
    context: &Context,
    tenant: &TenantId,
    selections: &[Selection],
    mut visit: impl FnMut(Found<'_>) -> Result<(), Fault> + Send,
    (what, stop): (What, &Stop),
) -> Result<(), Fault> {
    let (Some(from), Some(to)) = (selections.iter().map(|s| s.from).min(), selections.iter().map(|s| s.to).max())
    else {
        return Ok(());
    };
    let mut budget = Budget::begin(stop);
    let mut visited: BTreeSet<String> = BTreeSet::new();
    let mut missing = String::new();
    // A sweep between reading the manifest and a block takes the block; what replaces it stands in
    // the manifest by then. Meeting samples twice, in a block and in its successor, is harmless.
    'manifest: for _ in 0..MANIFEST_READS_MAX {
        let placed = manifest::between(&context.ports, &context.blocks, tenant, (from, to)).await?;
        let mut objects = Vec::new();
        for placed in placed {
            let left = rollups::is_all_that_is_left(&placed.item);
            let window = placed.item.window;
            let touches = |s: &&Selection| {
                placed.item.overlaps(s.from, s.to) || (left && s.from <= window.end && s.to > window.start)
            };
            let touching: Vec<Selection> = selections.iter().filter(touches).cloned().collect();
            if touching.is_empty() || visited.contains(&placed.sort) {
                continue;
            }
            budget.time()?;
            let there = match placed.item.level {
                Level::Fresh | Level::Ten | Level::Late | Level::Ledger => {
                    budget.bytes(placed.item.bytes)?;
                    let block = block(&context.ports, &context.blocks, tenant, &placed.item).await?;
                    block.map(|block| visit(Found::Block(&block))).transpose()?
                }
                Level::Hour | Level::Day if left => {
                    let last = rollups::last_values(context, tenant, &placed, &touching, &mut budget).await?;
                    last.map(|(width_ms, series)| visit(Found::LastValues(width_ms, series))).transpose()?
                }
                Level::Hour | Level::Day => {
                    objects.push((placed, touching));
                    continue;
                }
            };
            if there.is_none() {
                missing = placed.sort;
                continue 'manifest;
            }
            visited.insert(placed.sort);
        }
        for some in objects.chunks(OBJECTS_AT_ONCE_MAX) {
            let read =
                some.iter().map(|(placed, touching)| in_objects(context, tenant, placed, (touching, &budget, what)));
            for ((placed, _), found) in some.iter().zip(try_join_all(read).await?) {
                let Some(found) = found else {
                    missing.clone_from(&placed.sort);
                    continue 'manifest;
                };
                found.into_iter().try_for_each(&mut visit)?;
                visited.insert(placed.sort.clone());
            }
        }
        return Ok(());
    }
    Err(not_stored(&missing))
}

/// What an item's objects hold. `None`: one of them is not there.
async fn in_objects(
    context: &Context,
    tenant: &TenantId,
    placed: &Placed,
    (selections, budget, what): (&[Selection], &Budget<'_>, What),
) -> Result<Option<Vec<Found<'static>>>, Fault> {
    let mut all = Vec::new();
    for object in &parquet::objects(tenant, &placed.item) {
        let Some(chosen) = parquet::choose(context, object, selections).await? else { return Ok(None) };
        all.push(match what {
            What::Labels => Found::Labels(chosen.labels(object)?),
            What::Samples => match chosen.samples(context, object, budget).await? {
                Some(samples) => Found::Samples(samples),
                None => return Ok(None),
            },
        });
    }
    Ok(Some(all))
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
