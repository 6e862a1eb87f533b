//! What metrics are, as their senders say: type, help and unit. `/api/v1/metadata` shows it.
//!
//! A tenant's metrics lie in [`PARTS`] documents by the hash of the name, each read and written under a
//! condition, and only where something in it changed: senders repeat everything each minute, so a process
//! remembers what it has stored. The last word wins.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use ports::{Condition, ITEM_BYTES_MAX, Key, Partition, Ports, TenantId, Write, Written};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::Context;
use crate::connect::parse;
use crate::error::Fault;

/// Documents of a tenant.
const PARTS: u64 = 16;
/// Bytes of a help text; what is longer is cut.
pub const HELP_BYTES_MAX: usize = 1_024;
/// Bytes of a name or a unit; metadata with a longer one is not kept.
pub const NAME_BYTES_MAX: usize = 1_024;
/// Metrics that a process remembers to have stored.
const REMEMBERED_MAX: usize = 100_000;
/// How often a document that somebody else changed meanwhile is tried again.
const ATTEMPTS: usize = 4;

/// What a metric is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Metadata {
    /// Prometheus's word: `counter`, `gauge`, `histogram`, `summary`, `unknown`, ….
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    pub help: String,
    /// The unit, often empty.
    pub unit: String,
}

/// What this process has stored: a hash of the content by a hash of tenant and name.
#[derive(Debug, Default)]
pub struct Stored(Mutex<HashMap<u64, u64>>);

/// The metadata of a tenant's metrics, by metric name.
pub async fn all(ports: &Ports, tenant: &TenantId) -> Result<BTreeMap<String, Metadata>, Fault> {
    let items = ports.table.query_prefix(&Partition::Config(tenant.clone()), "metadata/").await?;
    let mut metrics = BTreeMap::new();
    for item in &items {
        metrics.extend(parse::<BTreeMap<String, Metadata>>(&item.value, "metadata")?);
    }
    Ok(metrics)
}

/// Notes what a sender says of its metrics. Answers how many there was no room for.
pub async fn note(
    context: &Context,
    tenant: &TenantId,
    metrics: impl IntoIterator<Item = (&str, Metadata)>,
) -> Result<u64, Fault> {
    let mut changed: BTreeMap<u64, BTreeMap<String, Metadata>> = BTreeMap::new();
    let mut left_out = 0;
    for (name, mut metadata) in metrics {
        if name.is_empty() || name.len().max(metadata.unit.len()) > NAME_BYTES_MAX {
            left_out += 1;
            continue;
        }
        metadata.help.truncate(metadata.help.floor_char_boundary(HELP_BYTES_MAX));
        if !context.metadata.has(tenant, name, &metadata) {
            changed.entry(xxh3_64(name.as_bytes()) % PARTS).or_default().insert(name.to_owned(), metadata);
        }
    }
    for (part, metrics) in changed {
        left_out += store(&context.ports, tenant, part, &metrics).await?;
        for (name, metadata) in &metrics {
            context.metadata.remember(tenant, name, metadata);
        }
    }
    Ok(left_out)
}

/// What an agent's batch says of metrics.
pub(super) fn of_batch(metadata: &[wire::MetricMetadata]) -> impl Iterator<Item = (&str, Metadata)> {
    metadata.iter().map(|described| {
        let wire::MetricMetadata { metric, kind, help, unit } = described;
        (metric.as_str(), Metadata { kind: kind.clone(), help: help.clone(), unit: unit.clone() })
    })
}

async fn store(
    ports: &Ports,
    tenant: &TenantId,
    part: u64,
    metrics: &BTreeMap<String, Metadata>,
) -> Result<u64, Fault> {
    let key = Key::new(Partition::Config(tenant.clone()), format!("metadata/{part:x}"));
    for _ in 0..ATTEMPTS {
        let item = ports.table.get(&key).await?;
        let mut document: BTreeMap<String, Metadata> = match &item {
            Some(item) => parse(&item.value, "metadata")?,
            None => BTreeMap::new(),
        };
        let before = document.clone();
        let mut left_out = 0;
        let mut bytes: usize = document.iter().map(|(name, metadata)| size(name, metadata)).sum();
        for (name, metadata) in metrics {
            let old = document.get(name).map_or(0, |old| size(name, old));
            if bytes - old + size(name, metadata) > ITEM_BYTES_MAX {
                left_out += 1;
                continue;
            }
            bytes = bytes - old + size(name, metadata);
            document.insert(name.clone(), metadata.clone());
        }
        if document == before {
            return Ok(left_out);
        }
        let value = serde_json::to_vec(&document).map_err(|e| Fault::Internal(e.to_string()))?;
        let condition = item.map_or(Condition::Absent, |item| Condition::Version(item.version));
        if let Written::Done(_) = ports.table.write(Write::put(key.clone(), value, condition)).await? {
            return Ok(left_out);
        }
    }
    Err(Fault::Unavailable(ports::PortError::transient("table", "the metadata is being changed by many")))
}

/// At most the bytes that an entry takes as JSON, where each byte of a text may become six.
fn size(name: &str, metadata: &Metadata) -> usize {
    let escaped = |text: &str| -> usize {
        text.bytes()
            .map(|b| {
                if b < 0x20 {
                    6
                } else if matches!(b, b'"' | b'\\') {
                    2
                } else {
                    1
                }
            })
            .sum()
    };
    escaped(name) + escaped(&metadata.kind) + escaped(&metadata.help) + escaped(&metadata.unit) + 48
}

impl Stored {
    fn has(&self, tenant: &TenantId, name: &str, metadata: &Metadata) -> bool {
        let stored = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stored.get(&key_of(tenant, name)) == Some(&content_of(metadata))
    }

    fn remember(&self, tenant: &TenantId, name: &str, metadata: &Metadata) {
        let mut stored = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stored.len() >= REMEMBERED_MAX {
            stored.clear();
        }
        stored.insert(key_of(tenant, name), content_of(metadata));
    }
}

fn key_of(tenant: &TenantId, name: &str) -> u64 {
    xxh3_64(format!("{tenant}\n{name}").as_bytes())
}

fn content_of(metadata: &Metadata) -> u64 {
    let Metadata { kind, help, unit } = metadata;
    xxh3_64(format!("{kind}\n{unit}\n{help}").as_bytes())
}
