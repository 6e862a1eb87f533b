//! Compaction of closed windows, and the sweep of what was replaced; what is due is `blocks::plan`'s to say.
//!
//! A flip is one conditional put of an item that names the joined block, its rollups and the items that
//! it replaces; all objects are written before it. A crash before it leaves objects that nobody
//! reads; a crash after it leaves items that nobody reads. Both are met by a later run: the same set gives
//! the same bytes, and sweeps delete. Two runs at the same time write the same item, or two that the
//! next one joins.

use std::collections::{BTreeMap, BTreeSet};

use blocks::{CompactError, Job, Joiner, Known, Level, ManifestItem, Object, Sweep, plan};
use ports::{Key, Partition, PortError, TenantId, Timestamp};
use series::{DAY_MS, MINUTE_MS};

use super::daily::daily;
use crate::error::Fault;
use crate::manifest::{self, Placed};
use crate::{Context, acks, documents};

/// Flips of one run and tenant, so that a run ends in time.
pub const FLIPS_PER_RUN_MAX: usize = 30;
/// Items that one run deletes.
pub const SWEPT_PER_RUN_MAX: usize = 1_000;
/// A flip that takes longer than this is given up: what it has read may be swept by then.
pub const FLIP_MS_MAX: i64 = 30 * MINUTE_MS;

/// Joins the blocks of every tenant's closed windows and deletes what was replaced long ago. A
/// window that fails is the run's error, and does not stop the others.
pub async fn compact(context: &Context) -> Result<(), Fault> {
    let mut outcome = Ok(());
    for tenant in documents::tenants(&context.ports).await? {
        outcome = outcome.and(compact_tenant(context, &tenant).await);
    }
    outcome
}

async fn compact_tenant(context: &Context, tenant: &TenantId) -> Result<(), Fault> {
    let now = context.ports.clock.now();
    let items = working_set(context, tenant).await?;
    let known: Vec<Known<'_>> = items.iter().map(Placed::known).collect();
    let jobs = plan(&known, now);
    let due = jobs.len();
    let (mut outcome, mut failed) = (Ok(()), 0_usize);
    for job in jobs.into_iter().take(FLIPS_PER_RUN_MAX) {
        if let Err(fault) = flip(context, tenant, &job, &known, now).await {
            tracing::error!(%tenant, level = job.level.as_str(), window = %job.window.start, "a window is not compacted: {fault}");
            failed += 1;
            outcome = outcome.and(Err(fault));
        }
    }
    if due > 0 {
        tracing::info!(%tenant, due, failed, at_once = FLIPS_PER_RUN_MAX, "windows were compacted");
    }
    outcome = outcome.and(sweep(context, tenant, &items, now).await);
    outcome.and(daily(context, tenant).await)
}

/// All items but those of days that no other item touches.
async fn working_set(context: &Context, tenant: &TenantId) -> Result<Vec<Placed>, Fault> {
    let (ports, cache) = (&context.ports, &context.blocks);
    let mut items = Vec::new();
    for level in [Level::Fresh, Level::Ten, Level::Hour, Level::Late] {
        items.extend(manifest::level_between(ports, cache, tenant, level, manifest::ALL_TIME).await?);
    }
    let days: BTreeSet<_> = items.iter().map(|placed| placed.item.window.widened(DAY_MS)).collect();
    for day in days {
        items.extend(manifest::level_between(ports, cache, tenant, Level::Day, (day.end, day.end)).await?);
    }
    Ok(items)
}

/// Writes the objects of a job's item, and then the item.
async fn flip(
    context: &Context,
    tenant: &TenantId,
    job: &Job,
    known: &[Known<'_>],
    started: Timestamp,
) -> Result<(), Fault> {
    let ports = &context.ports;
    let by_id: BTreeMap<&str, Known<'_>> = known.iter().map(|one| (one.id, *one)).collect();
    let present: BTreeSet<&str> = by_id.keys().copied().collect();
    let inputs: Vec<Known<'_>> = job.inputs.iter().filter_map(|id| by_id.get(id.as_str()).copied()).collect();
    let failed = |error: CompactError| Fault::Internal(format!("compaction: {error}"));
    let mut joiner = Joiner::new((job.level, job.window), &inputs, &present, ports.clock.now()).map_err(failed)?;
    for _ in 0..joiner.parts() {
        let mut columns = Vec::new();
        for input in &inputs {
            let (all, places) = (manifest::blob_names(tenant, input.item), joiner.places(input.item));
            for name in all.get(places).unwrap_or_default() {
                let Some(bytes) = ports.blobs.get(name).await? else {
                    return is_gone(context, tenant, input, name).await;
                };
                let read = blocks::decode_where(bytes, |labels| joiner.wants(labels));
                let read = read.map_err(|e| Fault::Internal(format!("the block {name}: {e}")))?;
                columns.extend(joiner.own(input.item, read));
            }
        }
        for object in joiner.add(columns).map_err(failed)? {
            let (place, bytes) = match object {
                Object::Samples { name, bytes } => (manifest::blob_name(tenant, job.level, &name), bytes),
                Object::Rollups { listed, bytes } => (manifest::rollup_name(tenant, &listed), bytes),
            };
            ports.blobs.put(&place, bytes).await?;
        }
    }
    let mut items = joiner.finish().map_err(failed)?;
    let now = ports.clock.now();
    if now > started.plus_ms(FLIP_MS_MAX) {
        return Err(PortError::transient("clock", "a flip took too long, and what it read may be gone").into());
    }
    // What it replaces is kept from now on, not from when it was read.
    items.iter_mut().for_each(|item| item.made_at = now);
    for item in &items {
        manifest::put_item(ports, tenant, item).await?;
    }
    // What was fresh until now is acknowledged; what was in a window of ten minutes has been.
    if inputs.iter().any(|input| input.item.level == Level::Fresh) {
        for item in &items {
            acks::compacted(context, tenant, item).await?;
        }
    }
    Ok(())
}

/// A block that is not stored: somebody else has swept it since, together with its item; or it is lost.
async fn is_gone(context: &Context, tenant: &TenantId, input: &Known<'_>, name: &str) -> Result<(), Fault> {
    let key = Key::new(Partition::Manifest(tenant.clone()), manifest::sort_of(input));
    match context.ports.table.get(&key).await? {
        None => Ok(()),
        Some(_) => Err(Fault::Internal(format!("the object {name} is in the manifest and not stored"))),
    }
}

/// Deletes items that are needed no more, and their objects.
pub(super) async fn sweep(context: &Context, tenant: &TenantId, items: &[Placed], now: Timestamp) -> Result<(), Fault> {
    let known: Vec<Known<'_>> = items.iter().map(Placed::known).collect();
    let (steps, stay) = blocks::sweep(&known, now, SWEPT_PER_RUN_MAX);
    // Two items may name one object.
    let kept: BTreeSet<String> = stay.iter().flat_map(|one| objects(tenant, one.item)).collect();
    for step in steps {
        match step {
            Sweep::Item(one) => manifest::delete(&context.ports, tenant, &manifest::sort_of(&one)).await?,
            Sweep::Objects(one) => {
                for name in objects(tenant, one.item).filter(|name| !kept.contains(name)) {
                    context.ports.blobs.delete(&name).await?;
                }
            }
        }
    }
    Ok(())
}

/// Where all objects of an item lie.
pub(super) fn objects(tenant: &TenantId, item: &ManifestItem) -> impl Iterator<Item = String> {
    let rollups = item.rollups.iter().map(|rollup| manifest::rollup_name(tenant, rollup));
    manifest::blob_names(tenant, item).into_iter().chain(rollups.collect::<Vec<_>>())
}
