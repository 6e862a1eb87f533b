//! Sources as people see them: who is here, when it was last heard, and the ledger of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use blocks::{Ledger, Level, ManifestItem, SourceLedger};
use ports::{Partition, Ports, TenantId, Timestamp};
use serde::Serialize;
use series::{SourceName, TEN_MINUTES_MS};

use crate::connect::{NameConflict, Presence, presences};
use crate::error::Fault;
use crate::ingest::OWN_SOURCE;
use crate::presence::is_present;
use crate::read::BlockCache;
use crate::{Context, manifest, progress};

/// A conflict of names is shown for this long after the last attempt.
pub const CONFLICT_SHOWN_MS: i64 = 10 * 60_000;

/// One source, as `/api/v1/sources` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// `agent` or `push`.
    pub kind: &'static str,
    /// Whether it is connected. A pushing source is present while it pushed in the last lease.
    pub present: bool,
    /// When it was last heard.
    pub last_seen_ms: Timestamp,
    /// Its ledger.
    pub counters: SourceCounters,
    /// Its host, where it is an agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its program's version, where it is an agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// Another agent of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<NameConflict>,
}

/// generated = stored + superseded + rejected + evicted + buffered (+ missing, which must be 0).
#[derive(Debug, Clone, Default, Serialize)]
pub struct SourceCounters {
    /// Samples that came into being.
    pub generated: u64,
    /// Samples in the store.
    pub stored: u64,
    /// Samples that lost to another one of the same identity.
    pub superseded: u64,
    /// Samples that are still with the source.
    pub buffered: u64,
    /// Samples that fell out of the source's full buffer.
    pub evicted: u64,
    /// What was refused, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// What was acknowledged and is not known: a fault of ours.
    pub missing: u64,
}

/// All sources of a tenant, by name.
pub async fn all(context: &Context, tenant: &TenantId) -> Result<Vec<Source>, Fault> {
    let ports = &context.ports;
    let now = ports.clock.now();
    let items = manifest::counted(ports, &context.blocks, tenant).await?;
    let items: Vec<Arc<ManifestItem>> = items.into_iter().map(|placed| placed.item).collect();
    let ledger = Ledger::join(items.iter().map(Arc::as_ref));
    let silence_to = progress::silence_proven_to(ports).await?;
    let leases: BTreeMap<SourceName, Presence> = presences(ports, tenant).await?.into_iter().collect();
    let pushing = ports.table.query_all(&Partition::Sources(tenant.clone()), "", "").await?;
    let pushing = pushing.iter().filter_map(|item| SourceName::new(&item.sort).ok());
    let mut names: std::collections::BTreeSet<SourceName> = pushing.collect();
    names.extend(leases.keys().cloned());
    names.extend(ledger.sources.keys().cloned());
    let one = |name: &SourceName| source(name, ledger.sources.get(name), leases.get(name), (now, silence_to));
    Ok(names.iter().filter(|name| name.as_str() != OWN_SOURCE).map(one).collect())
}

fn source(
    name: &SourceName,
    ledger: Option<&SourceLedger>,
    lease: Option<&Presence>,
    (now, silence_to): (Timestamp, Timestamp),
) -> Source {
    let heard = ledger.map(|ledger| ledger.last_seen);
    let present = match lease {
        // One that may still come back is not here yet, though not absent for `up`.
        Some(lease) => {
            let connected = lease.gone_at_ms.is_none() && lease.expected_since_ms.is_none();
            connected && is_present(lease, heard, silence_to)
        }
        None => heard.is_some_and(|heard| heard.plus_ms(crate::connect::PRESENCE_LEASE_MS) > now),
    };
    let conflict = lease.and_then(|lease| lease.conflict.clone());
    Source {
        name: name.as_str().to_owned(),
        kind: if lease.is_some() { "agent" } else { "push" },
        present,
        last_seen_ms: heard.max(lease.map(|lease| lease.connected_at_ms)).unwrap_or(Timestamp(0)),
        counters: ledger.map(counters).unwrap_or_default(),
        host: lease.map(|lease| lease.host.clone()),
        agent_version: lease.map(|lease| lease.agent_version.clone()),
        conflict: conflict.filter(|conflict| conflict.at_ms.plus_ms(CONFLICT_SHOWN_MS) > now),
    }
}

fn counters(ledger: &SourceLedger) -> SourceCounters {
    SourceCounters {
        generated: ledger.generated,
        stored: ledger.stored,
        superseded: ledger.superseded,
        buffered: ledger.buffered,
        evicted: ledger.evicted,
        rejected: ledger.rejected.clone(),
        missing: ledger.missing,
    }
}

/// When each source was last heard, as far as the newest two windows tell.
pub async fn all_last_seen(
    ports: &Ports,
    cache: &BlockCache,
    tenant: &TenantId,
) -> Result<BTreeMap<SourceName, Timestamp>, Fault> {
    let now = ports.clock.now();
    let recent = (now.plus_ms(-2 * TEN_MINUTES_MS), now.plus_ms(2 * TEN_MINUTES_MS));
    let mut seen: BTreeMap<SourceName, Timestamp> = BTreeMap::new();
    for level in [Level::Fresh, Level::Ten] {
        for placed in manifest::level_between(ports, cache, tenant, level, recent).await? {
            for note in &placed.item.sources {
                let known = seen.entry(note.source.clone()).or_insert(note.last_seen);
                *known = note.last_seen.max(*known);
            }
        }
    }
    Ok(seen)
}

/// When one source was last heard.
pub async fn last_seen(ports: &Ports, tenant: &TenantId, source: &SourceName) -> Result<Option<Timestamp>, Fault> {
    // Asked for once a conflict of names, where no warm process' cache is at hand.
    Ok(all_last_seen(ports, &BlockCache::default(), tenant).await?.remove(source))
}
