//! The manifest, read and written: which blocks there are, and what they replace.

use std::collections::BTreeSet;
use std::sync::Arc;

use blocks::{Known, Level, ManifestItem, Packed, RollupObject};
use futures_util::future::try_join_all;
use ports::{Condition, Key, Partition, Ports, TenantId, Timestamp, Write};
use series::{DAY_MS, Window};

use crate::error::Fault;
use crate::read::{BlockCache, ListKey};

/// Everything since 1970.
pub(crate) const ALL_TIME: (Timestamp, Timestamp) = (Timestamp(1), Timestamp(i64::MAX));

/// An item with its place.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) sort: String,
    pub(crate) item: Arc<ManifestItem>,
}

impl Placed {
    /// The item's id, which is the last part of its place.
    pub(crate) fn id(&self) -> &str {
        self.sort.rsplit('/').next().unwrap_or("")
    }

    /// As the plan of compaction reads it.
    pub(crate) fn known(&self) -> Known<'_> {
        Known { id: self.id(), item: &self.item }
    }
}

/// Stores a block and then its item: readers see both or neither.
pub(crate) async fn put(ports: &Ports, tenant: &TenantId, packed: Packed) -> Result<(), Fault> {
    if let Some(name) = &packed.item.name {
        ports.blobs.put(&blob_name(tenant, packed.item.level, name), packed.bytes).await?;
    }
    put_item(ports, tenant, &packed.item).await
}

/// Stores an item whose objects are stored.
pub(crate) async fn put_item(ports: &Ports, tenant: &TenantId, item: &ManifestItem) -> Result<(), Fault> {
    let value = item.encode().map_err(|e| Fault::Internal(e.to_string()))?;
    let key = Key::new(Partition::Manifest(tenant.clone()), item.sort_key());
    // The place names the content: an item that is there already is this one.
    ports.table.write(Write::put(key, value, Condition::Absent)).await?;
    Ok(())
}

/// Deletes the item at a place.
pub(crate) async fn delete(ports: &Ports, tenant: &TenantId, sort: &str) -> Result<(), Fault> {
    let key = Key::new(Partition::Manifest(tenant.clone()), sort);
    ports.table.write(Write::Delete { key, condition: Condition::Always }).await?;
    Ok(())
}

/// The place of an item of which the id is known.
pub(crate) fn sort_of(known: &Known<'_>) -> String {
    let Known { id, item } = known;
    format!("{}/{:020}/{id}", item.level.as_str(), item.window.start.ms().max(0))
}

/// Items of blocks that may hold samples of `[from, to]`; what others stand for is left out.
pub(crate) async fn between(
    ports: &Ports,
    cache: &BlockCache,
    tenant: &TenantId,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<Placed>, Fault> {
    let levels = [Level::Day, Level::Hour, Level::Ten, Level::Fresh, Level::Late];
    let read = levels.map(|level| known_between(ports, cache, tenant, level, (from, to)));
    let mut items = try_join_all(read).await?.concat();
    let known: Vec<Known<'_>> = items.iter().map(Placed::known).collect();
    let opened: BTreeSet<String> =
        blocks::readable_of(&known, (from, to)).iter().map(|one| one.id.to_owned()).collect();
    items.retain(|placed| opened.contains(placed.id()));
    Ok(items)
}

/// As [`level_between`]; read again only where something of the level has changed since, if the store can tell.
async fn known_between(
    ports: &Ports,
    cache: &BlockCache,
    tenant: &TenantId,
    level: Level,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<Placed>, Fault> {
    // Before the items: what changes while they are read makes another revision.
    let revision = ports.table.revision(&Partition::Manifest(tenant.clone()), level.as_str()).await?;
    let Some(revision) = revision else { return level_between(ports, cache, tenant, level, (from, to)).await };
    // Whole days, so that the next query finds them whose end is a little later.
    let days = Window { start: Window::around(from, DAY_MS).start, end: Window::around(to, DAY_MS).end };
    let key: ListKey = (tenant.clone(), level, days);
    let list = match cache.list(&key, revision) {
        Some(list) => list,
        None => {
            let read: Arc<[Placed]> =
                level_between(ports, cache, tenant, level, (days.start, days.end.plus_ms(-1))).await?.into();
            cache.keep_list(key, revision, read.clone());
            read
        }
    };
    let first = Window::of_block(from, level.width_ms()).start;
    let touches = |placed: &&Placed| first <= placed.item.window.start && placed.item.window.start <= to;
    Ok(list.iter().filter(touches).cloned().collect())
}

/// Every item of which the ledger is counted: days that are sealed are not read any more.
pub(crate) async fn counted(ports: &Ports, cache: &BlockCache, tenant: &TenantId) -> Result<Vec<Placed>, Fault> {
    let mut items = level_between(ports, cache, tenant, Level::Ledger, (Timestamp(0), Timestamp(0))).await?;
    let known: Vec<Known<'_>> = items.iter().map(Placed::known).collect();
    let sealed = blocks::ledger_of(&known).map_or(Timestamp(0), |one| one.item.window.end);
    let (_, end) = ALL_TIME;
    items.extend(level_between(ports, cache, tenant, Level::Day, (sealed.plus_ms(1), end)).await?);
    for level in [Level::Hour, Level::Ten, Level::Fresh, Level::Late] {
        items.extend(level_between(ports, cache, tenant, level, ALL_TIME).await?);
    }
    Ok(without_replaced(items))
}

/// Every item.
pub(crate) async fn all(ports: &Ports, cache: &BlockCache, tenant: &TenantId) -> Result<Vec<Placed>, Fault> {
    let found = ports.table.query_all(&Partition::Manifest(tenant.clone()), "", "").await?;
    found.into_iter().map(|item| placed(cache, item)).collect()
}

/// Items of one level whose window touches `[from, to]`.
pub(crate) async fn level_between(
    ports: &Ports,
    cache: &BlockCache,
    tenant: &TenantId,
    level: Level,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<Placed>, Fault> {
    let first = Window::of_block(from, level.width_ms()).start.ms().max(0);
    let start = format!("{}/{first:020}/", level.as_str());
    let end = format!("{}/{:020}0", level.as_str(), to.ms().max(0));
    let found = ports.table.query_all(&Partition::Manifest(tenant.clone()), &start, &end).await?;
    found.into_iter().map(|item| placed(cache, item)).collect()
}

fn placed(cache: &BlockCache, item: ports::Item) -> Result<Placed, Fault> {
    if let Some(known) = cache.item(&item.sort) {
        return Ok(Placed { sort: item.sort, item: known });
    }
    let decoded = ManifestItem::decode(&item.value)
        .map_err(|e| Fault::Internal(format!("the manifest item {:?}: {e}", item.sort)))?;
    let decoded = Arc::new(decoded);
    cache.keep_item(&item.sort, decoded.clone());
    Ok(Placed { sort: item.sort, item: decoded })
}

/// Drops what another item stands for.
pub(crate) fn without_replaced(mut items: Vec<Placed>) -> Vec<Placed> {
    let replaced: BTreeSet<String> = items.iter().flat_map(|placed| placed.item.replaces.iter().cloned()).collect();
    items.retain(|placed| !replaced.contains(placed.id()));
    items
}

/// Where a block's object lies. The tenant is part of the name, so that a bucket can be split by it.
/// Late blocks lie apart: the same samples may come fresh and, delivered again after an outage, late,
/// and the sweep of a window must not take the block from under the other.
pub(crate) fn blob_name(tenant: &TenantId, level: Level, name: &str) -> String {
    match level {
        Level::Fresh | Level::Ten | Level::Ledger => format!("{tenant}/blocks/{name}"),
        Level::Late => format!("{tenant}/late/{name}"),
        Level::Hour => format!("{tenant}/hours/{name}.parquet"),
        Level::Day => format!("{tenant}/days/{name}.parquet"),
    }
}

/// Where the objects of an item's block lie; none where it has no block.
pub(crate) fn blob_names(tenant: &TenantId, item: &ManifestItem) -> Vec<String> {
    item.objects().map(|name| blob_name(tenant, item.level, name)).collect()
}

/// Where an object of rollups lies.
pub(crate) fn rollup_name(tenant: &TenantId, rollup: &RollupObject) -> String {
    format!("{tenant}/rollups/{}/{}.parquet", rollup.width_ms, rollup.name)
}
