//! How far the pipeline has come: the proof that silence is the hosts' and not our own.
//!
//! A tick puts a pulse on every shard; each shard's `aggregate` notes the newest pulse that it has
//! processed. Everything accepted before the oldest of those notes is in the store.

use ports::{Condition, Key, Partition, Ports, Timestamp, Write};
use series::SourceName;
use wire::StreamEnvelope;

use crate::connect::parse;
use crate::error::Fault;
use crate::ingest::OWN_SOURCE;

/// A shard whose pulses stop for this long does not exist any more.
const SHARD_FORGOTTEN_MS: i64 = 10 * 60_000;

/// Where the number of shards stands, among the shards' own notes.
const SHARDS: &str = "#shards";

/// Puts a pulse on every shard.
pub async fn pulse(ports: &Ports) -> Result<(), Fault> {
    let source = SourceName::new(OWN_SOURCE).map_err(|e| Fault::Internal(e.to_string()))?;
    let envelope = StreamEnvelope::pulse(ports.clock.now(), source);
    let shards = ports.stream.put_on_every_shard(envelope.encode()).await?;
    let key = Key::new(Partition::Pulses, SHARDS);
    let value = serde_json::to_vec(&shards).map_err(|e| Fault::Internal(e.to_string()))?;
    if ports.table.get(&key).await?.is_none_or(|item| item.value != value) {
        ports.table.write(Write::put(key, value, Condition::Always)).await?;
    }
    Ok(())
}

/// Notes that a shard has processed a pulse and all before it.
pub(crate) async fn note(ports: &Ports, shard: &str, at: Timestamp) -> Result<(), Fault> {
    let write = Write::Put {
        key: Key::new(Partition::Pulses, shard),
        value: serde_json::to_vec(&at).map_err(|e| Fault::Internal(e.to_string()))?.into(),
        expires_at: Some(at.plus_ms(SHARD_FORGOTTEN_MS)),
        condition: Condition::Always,
    };
    ports.table.write(write).await?;
    Ok(())
}

/// Everything accepted by the stream up to this time is stored. `None` where that is not known: a
/// shard that says nothing for so long that its note has expired proves nothing.
pub async fn current_through(ports: &Ports) -> Result<Option<Timestamp>, Fault> {
    let items = ports.table.query_all(&Partition::Pulses, "", "").await?;
    let mut shards: Option<usize> = None;
    let mut notes: Vec<Timestamp> = Vec::new();
    for item in &items {
        if item.sort == SHARDS {
            shards = Some(parse(&item.value, "number of shards")?);
        } else {
            notes.push(parse(&item.value, "pulse")?);
        }
    }
    Ok(notes.iter().copied().min().filter(|_| shards.is_some_and(|shards| notes.len() >= shards)))
}

/// Until when silence is proven to be a source's own: now, or earlier where the pipeline is late.
pub(crate) async fn silence_proven_to(ports: &Ports) -> Result<Timestamp, Fault> {
    let now = ports.clock.now();
    Ok(current_through(ports).await?.map_or(Timestamp(0), |through| through.min(now)))
}
