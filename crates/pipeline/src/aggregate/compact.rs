//! Compaction of closed 10 min windows, and the sweep of what was replaced.
//!
//! The flip from inputs to the joined block is one conditional put of an item that lists them.
//! A crash before it leaves a block that nobody reads; a crash after it leaves inputs that nobody
//! reads. Both are met by the next run: the same set gives the same bytes, and the sweep deletes.

use blocks::Level;
use ports::{Condition, Key, Partition, TenantId, Timestamp, Write};
use series::{HOUR_MS, MINUTE_MS, TEN_MINUTES_MS, Window};

use crate::error::Fault;
use crate::manifest::{self, Placed};
use crate::{Context, documents, read};

/// A window is compacted this long after it can take fresh blocks no more.
pub const SETTLE_MS: i64 = MINUTE_MS;
/// Inputs are deleted this long after their window ended, at the earliest.
pub const KEEP_REPLACED_MS: i64 = HOUR_MS + 2 * TEN_MINUTES_MS;
/// Windows of one run, so that a run ends in time.
pub const WINDOWS_PER_RUN_MAX: usize = 30;

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
    let ports = &context.ports;
    let now = ports.clock.now();
    let open_from = Window::of_block(now.plus_ms(-SETTLE_MS), TEN_MINUTES_MS).previous().start;
    let span = (Timestamp(0), open_from.plus_ms(-1));
    let fresh = manifest::level_between(ports, &context.blocks, tenant, Level::Fresh, span).await?;
    let mut outcome = Ok(());
    for (window, fresh) in manifest::by_window(fresh).into_iter().take(WINDOWS_PER_RUN_MAX) {
        outcome = outcome.and(compact_window(context, tenant, window, fresh).await);
    }
    outcome
}

async fn compact_window(context: &Context, tenant: &TenantId, window: Window, fresh: Vec<Placed>) -> Result<(), Fault> {
    let instant = (window.end, window.end);
    let mut items = manifest::level_between(&context.ports, &context.blocks, tenant, Level::Ten, instant).await?;
    items.extend(fresh);
    join_window(context, tenant, manifest::without_replaced(items)).await?;
    if window.end.plus_ms(KEEP_REPLACED_MS) < context.ports.clock.now() {
        sweep(context, tenant, window).await?;
    }
    Ok(())
}

async fn join_window(context: &Context, tenant: &TenantId, live: Vec<Placed>) -> Result<(), Fault> {
    if live.iter().all(|placed| placed.item.level == Level::Ten) && live.len() <= 1 {
        return Ok(());
    }
    let mut inputs = Vec::with_capacity(live.len());
    for placed in live {
        let block = read::block(&context.ports, &context.blocks, tenant, &placed.item).await?;
        let block = block.ok_or_else(|| Fault::Internal(format!("the block of {} is not stored", placed.sort)))?;
        inputs.push(((*placed.item).clone(), (*block).clone()));
    }
    let packed =
        blocks::compact(inputs, context.ports.clock.now()).map_err(|e| Fault::Internal(format!("compaction: {e}")))?;
    manifest::put(&context.ports, tenant, packed).await
}

/// Deletes the replaced items of a window: first the block, then the item, so that a crash between
/// the two is met again.
async fn sweep(context: &Context, tenant: &TenantId, window: Window) -> Result<(), Fault> {
    let ports = &context.ports;
    let instant = (window.end, window.end);
    let mut items = manifest::level_between(ports, &context.blocks, tenant, Level::Ten, instant).await?;
    items.extend(manifest::level_between(ports, &context.blocks, tenant, Level::Fresh, instant).await?);
    let live = manifest::without_replaced(items.clone());
    let kept = |name: &String| live.iter().any(|placed| manifest::blob_names(tenant, &placed.item).contains(name));
    for placed in &items {
        if live.iter().any(|alive| alive.sort == placed.sort) {
            continue;
        }
        for name in manifest::blob_names(tenant, &placed.item).into_iter().filter(|name| !kept(name)) {
            ports.blobs.delete(&name).await?;
        }
        let key = Key::new(Partition::Manifest(tenant.clone()), &placed.sort);
        ports.table.write(Write::Delete { key, condition: Condition::Always }).await?;
    }
    Ok(())
}
