//! Wrong ways to do it, as many have done it. The invariants must catch each of them, or they would
//! not have caught ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use pipeline::wire::{Batch, StreamEnvelope};
use pipeline::{Context, Delivered, Fault, TenantId};
use ports::{Accepted, Condition, Key, Partition, PortError, Ports, Stream, StreamRecord, Write};

use super::plan::Wrong;
use super::process::is_readable;

/// Whether `aggregate` is what is done wrong.
#[must_use]
pub fn replaces_aggregate(how: Option<Wrong>) -> bool {
    how.is_some_and(|how| how != Wrong::LastWriterAck)
}

/// `aggregate`, done wrong.
pub async fn aggregate(context: &Context, how: Option<Wrong>, records: &[Delivered]) -> Result<(), Fault> {
    let Some(how) = how else { return aggregate::handle(context, records).await };
    match how {
        Wrong::SkipSeen | Wrong::SkipSeenFirst => skip_seen(context, how, records).await,
        Wrong::Increments => {
            aggregate::handle(context, records).await?;
            let before = counted(&context.ports).await?;
            let more: u64 = records.iter().map(samples).sum();
            note(&context.ports, "counted", before + u128::from(more)).await
        }
        Wrong::DropBad => {
            let good: Vec<Delivered> = records.iter().filter(|record| is_readable(&record.data)).cloned().collect();
            aggregate::handle(context, &good).await
        }
        Wrong::LastWriterAck => aggregate::handle(context, records).await,
    }
}

async fn skip_seen(context: &Context, how: Wrong, records: &[Delivered]) -> Result<(), Fault> {
    let mut newest: BTreeMap<&str, u128> = BTreeMap::new();
    let mut fresh = Vec::new();
    for record in records {
        let sequence: u128 = record.sequence.parse().unwrap_or(0);
        let known = number(&context.ports, &record.shard).await?;
        if sequence > known {
            fresh.push(record.clone());
            let most = newest.entry(&record.shard).or_default();
            *most = sequence.max(*most);
        }
    }
    if how == Wrong::SkipSeen {
        aggregate::handle(context, &fresh).await?;
    }
    for (shard, sequence) in newest {
        note(&context.ports, shard, sequence).await?;
    }
    if how == Wrong::SkipSeenFirst {
        aggregate::handle(context, &fresh).await?;
    }
    Ok(())
}

/// What [`Wrong::Increments`] has counted.
pub async fn counted(ports: &Ports) -> Result<u128, Fault> {
    number(ports, "counted").await
}

fn key(name: &str) -> Key {
    Key::new(Partition::Config(TenantId::default()), format!("wrong/{name}"))
}

async fn number(ports: &Ports, name: &str) -> Result<u128, Fault> {
    let item = ports.table.get(&key(name)).await?;
    Ok(item.and_then(|item| String::from_utf8_lossy(&item.value).parse().ok()).unwrap_or(0))
}

async fn note(ports: &Ports, name: &str, value: u128) -> Result<(), Fault> {
    ports.table.write(Write::put(key(name), value.to_string().into_bytes(), Condition::Always)).await?;
    Ok(())
}

fn samples(record: &Delivered) -> u64 {
    let Ok(envelope) = StreamEnvelope::decode(record.data.clone()) else { return 0 };
    let Some(Ok(decoded)) = envelope.batch().map(|(_, _, bytes)| Batch::decode(bytes)) else { return 0 };
    decoded.batch.series.iter().map(|column| column.samples.len() as u64).sum()
}

/// A stream whose last record's answer stands for all.
pub struct LastAnswers(pub Arc<dyn Stream>);

#[async_trait]
impl Stream for LastAnswers {
    async fn put(&self, records: Vec<StreamRecord>) -> Result<Vec<Accepted>, PortError> {
        let answers = self.0.put(records).await?;
        let last = answers.last().cloned().unwrap_or(Ok(()));
        Ok(vec![last; answers.len()])
    }

    async fn put_on_every_shard(&self, data: Bytes) -> Result<BTreeSet<String>, PortError> {
        self.0.put_on_every_shard(data).await
    }
}
