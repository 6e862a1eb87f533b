//! The manifest, read and written: which blocks there are, and what they replace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use blocks::{Level, ManifestItem, Packed};
use ports::{Condition, Key, Partition, Ports, TenantId, Timestamp, Write};
use series::{TEN_MINUTES_MS, Window};

use crate::error::Fault;
use crate::read::BlockCache;

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
}

/// Stores a block and then its item: readers see both or neither.
pub(crate) async fn put(ports: &Ports, tenant: &TenantId, packed: Packed) -> Result<(), Fault> {
    if let Some(name) = blob_name(tenant, &packed.item) {
        ports.blobs.put(&name, packed.bytes).await?;
    }
    let value = packed.item.encode().map_err(|e| Fault::Internal(e.to_string()))?;
    let key = Key::new(Partition::Manifest(tenant.clone()), packed.item.sort_key());
    // The place names the content: an item that is there already is this one.
    ports.table.write(Write::put(key, value, Condition::Absent)).await?;
    Ok(())
}

/// Items of blocks that may hold samples of `[from, to]`, replaced ones left out.
pub(crate) async fn between(
    ports: &Ports,
    cache: &BlockCache,
    tenant: &TenantId,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<Placed>, Fault> {
    let mut items = Vec::new();
    for level in [Level::Ten, Level::Fresh] {
        items.extend(level_between(ports, cache, tenant, level, (from, to)).await?);
    }
    // Late blocks stand under the window of their earliest sample, and may reach far.
    items.extend(level_between(ports, cache, tenant, Level::Late, (Timestamp(0), to)).await?);
    Ok(without_replaced(items))
}

/// Every item, for the ledger.
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
    let first = Window::around(Timestamp(from.ms().max(0)), TEN_MINUTES_MS).start.ms();
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

/// By window, in time order.
pub(crate) fn by_window(items: Vec<Placed>) -> BTreeMap<Window, Vec<Placed>> {
    let mut windows: BTreeMap<Window, Vec<Placed>> = BTreeMap::new();
    for placed in items {
        windows.entry(placed.item.window).or_default().push(placed);
    }
    windows
}

/// Where an item's block lies, if it has one. The tenant is part of the name, so that a bucket can
/// be split by it. Late blocks lie apart: the same samples may come fresh and, delivered again
/// after an outage, late, and the sweep of a window must not take the block from under the other.
pub(crate) fn blob_name(tenant: &TenantId, item: &ManifestItem) -> Option<String> {
    let folder = if item.level == Level::Late { "late" } else { "blocks" };
    item.name.as_deref().map(|name| format!("{tenant}/{folder}/{name}"))
}
