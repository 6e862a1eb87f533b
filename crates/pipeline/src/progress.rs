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

/// Puts a pulse on every shard.
pub async fn pulse(ports: &Ports) -> Result<(), Fault> {
    let source = SourceName::new(OWN_SOURCE).map_err(|e| Fault::Internal(e.to_string()))?;
    let envelope = StreamEnvelope::pulse(ports.clock.now(), source);
    ports.stream.put_on_every_shard(envelope.encode()).await?;
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

/// Everything accepted by the stream up to this time is stored. `None` where that is not known.
pub async fn current_through(ports: &Ports) -> Result<Option<Timestamp>, Fault> {
    let items = ports.table.query_all(&Partition::Pulses, "", "").await?;
    let mut oldest: Option<Timestamp> = None;
    for item in &items {
        let at: Timestamp = parse(&item.value, "pulse")?;
        oldest = Some(oldest.map_or(at, |o| o.min(at)));
    }
    Ok(oldest)
}
