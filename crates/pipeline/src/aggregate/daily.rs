//! What is done once a day: expired samples and rollups go, what their days counted is sealed into the ledger's
//! item, and objects that no item names are swept.
//!
//! An object is written before its item, so one without an item may be about to get it. It is deleted
//! when it was found so on two occasions a day apart; the note of the first stands beside the day of the last run.

use std::collections::{BTreeMap, BTreeSet};

use blocks::{Expiry, Known, ledger_of, live_of, seal};
use ports::{Condition, Key, Partition, TenantId, Timestamp, Write};
use serde::{Deserialize, Serialize};
use series::{DAY_MS, Window};

use super::compact::{objects, sweep};
use crate::Context;
use crate::error::Fault;
use crate::manifest::{self, Placed};

/// Items that one run flips or deletes because something of them has expired; the next one goes on.
pub const EXPIRED_PER_RUN_MAX: usize = 50;
/// An object that no item names is deleted when it was found so this long ago.
pub const ORPHAN_AGE_MS: i64 = DAY_MS;
/// Objects that no item names of which one note speaks; others wait until these are gone.
pub const ORPHANS_NOTED_MAX: usize = 2_000;
/// Folders of a tenant's objects. What is quarantined lies elsewhere, and is left alone.
const FOLDERS: [&str; 5] = ["blocks", "late", "hours", "days", "rollups"];

/// What is remembered from one day to the next.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    /// The end of the day in which the last run was done.
    done: Timestamp,
    /// When an object was first found without an item.
    #[serde(default)]
    orphans: BTreeMap<String, Timestamp>,
}

fn note_key(tenant: &TenantId) -> Key {
    Key::new(Partition::Config(tenant.clone()), "upkeep/daily")
}

/// Does it where today it was not done yet.
pub(super) async fn daily(context: &Context, tenant: &TenantId) -> Result<(), Fault> {
    let ports = &context.ports;
    let now = ports.clock.now();
    let today = Window::of_block(now, DAY_MS).end;
    let key = note_key(tenant);
    let stored = ports.table.get(&key).await?;
    let read = |value: &[u8]| serde_json::from_slice(value).map_err(|e| Fault::Internal(format!("upkeep: {e}")));
    let mut note: Note = stored.as_ref().map(|item| read(&item.value)).transpose()?.unwrap_or_default();
    if note.done == today {
        return Ok(());
    }
    // Objects first: one whose item comes after this has an item below, or is found young.
    let mut names = BTreeSet::new();
    for folder in FOLDERS {
        names.extend(ports.blobs.list(&format!("{tenant}/{folder}/")).await?);
    }
    let items = manifest::all(ports, &context.blocks, tenant).await?;
    let is_all = expire(context, tenant, &items, now).await?;
    sweep(context, tenant, &items, now).await?;
    orphans(context, tenant, &items, names, &mut note.orphans).await?;
    note.done = if is_all { today } else { note.done };
    let value = serde_json::to_vec(&note).map_err(|e| Fault::Internal(format!("upkeep: {e}")))?;
    let condition = stored.map_or(Condition::Absent, |item| Condition::Version(item.version));
    // Where another run was faster, its note stands.
    ports.table.write(Write::put(key, value, condition)).await?;
    Ok(())
}

/// Whether nothing more is to expire today.
async fn expire(context: &Context, tenant: &TenantId, items: &[Placed], now: Timestamp) -> Result<bool, Fault> {
    let retention = context.retention();
    let known: Vec<Known<'_>> = items.iter().map(Placed::known).collect();
    let present: BTreeSet<&str> = known.iter().map(|one| one.id).collect();
    if let Some(ledger) = seal(&known, &retention, now) {
        manifest::put_item(&context.ports, tenant, &ledger).await?;
    }
    let sealed = ledger_of(&known).map_or(Timestamp(0), |one| one.item.window.end);
    let expired = live_of(&known).into_iter().filter_map(|one| Some((one, retention.expire(one, &present, now)?)));
    let mut left = EXPIRED_PER_RUN_MAX;
    for (one, expiry) in expired {
        if left == 0 {
            return Ok(false);
        }
        match expiry {
            Expiry::Flip(item) => manifest::put_item(&context.ports, tenant, &item).await?,
            // Its notes are in the ledger, or it waits.
            Expiry::Delete if one.item.window.end <= sealed => {
                for name in objects(tenant, one.item) {
                    context.ports.blobs.delete(&name).await?;
                }
                manifest::delete(&context.ports, tenant, &manifest::sort_of(&one)).await?;
            }
            Expiry::Delete => continue,
        }
        left -= 1;
    }
    Ok(true)
}

async fn orphans(
    context: &Context,
    tenant: &TenantId,
    items: &[Placed],
    names: BTreeSet<String>,
    noted: &mut BTreeMap<String, Timestamp>,
) -> Result<(), Fault> {
    let now = context.ports.clock.now();
    let named: BTreeSet<String> = items.iter().flat_map(|placed| objects(tenant, &placed.item)).collect();
    noted.retain(|name, _| names.contains(name) && !named.contains(name));
    let mut swept = 0_usize;
    for name in names.difference(&named) {
        match noted.get(name) {
            Some(since) if since.plus_ms(ORPHAN_AGE_MS) <= now => {
                context.ports.blobs.delete(name).await?;
                noted.remove(name);
                swept += 1;
            }
            Some(_) => {}
            None if noted.len() < ORPHANS_NOTED_MAX => {
                noted.insert(name.clone(), now);
            }
            None => {}
        }
    }
    if swept > 0 || !noted.is_empty() {
        tracing::info!(%tenant, swept, young = noted.len(), "objects that no item names");
    }
    Ok(())
}
