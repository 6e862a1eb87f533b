//! How far the pipeline has come: the proof that silence is the hosts' and not our own.
//!
//! A tick puts a pulse on every shard; each shard's `aggregate` notes the newest pulse that it has
//! processed. Everything accepted before the oldest of those notes is in the store.
//!
//! Shards may be split and merged. A *generation* is the set of shards that one pulse went to:
//! together they took every lane. What a generation proves is the oldest note of its shards, and
//! nothing while one of them has none. The newest generation proves the most: that its shards have
//! processed a pulse means that their parents, which are read first, are drained. Until then the one
//! before it speaks, and a closed shard's last note is the most that it can ever prove.
//!
//! One condition is the adapter's: a shard's records come to `aggregate` in their order (on AWS a
//! parallelization factor of 1), or a pulse would prove nothing of its neighbours.

use std::collections::{BTreeMap, BTreeSet};

use ports::{Condition, Key, Partition, Ports, Timestamp, Write, Written};
use series::SourceName;
use wire::StreamEnvelope;

use crate::connect::parse;
use crate::error::Fault;
use crate::ingest::OWN_SOURCE;

/// A shard whose pulses stop for this long does not exist any more, or proves nothing.
pub const SHARD_FORGOTTEN_MS: i64 = 10 * 60_000;
/// Generations that are remembered. Each resharding makes one, and only the last two matter unless
/// shards are split and merged faster than they are drained.
pub const GENERATIONS_MAX: usize = 8;

/// Where the generations stand, among the shards' own notes.
const GENERATIONS: &str = "#generations";
/// How often they are written again when another pulse was faster.
const WRITE_ATTEMPTS_MAX: usize = 10;

/// Sets of shards, the one that was met last at the end.
type Generations = Vec<BTreeSet<String>>;

/// Puts a pulse on every shard.
pub async fn pulse(ports: &Ports) -> Result<(), Fault> {
    let source = SourceName::new(OWN_SOURCE).map_err(|e| Fault::Internal(e.to_string()))?;
    let envelope = StreamEnvelope::pulse(ports.clock.now(), source);
    let reached = ports.stream.put_on_every_shard(envelope.encode()).await?;
    remember(ports, reached).await
}

async fn remember(ports: &Ports, reached: BTreeSet<String>) -> Result<(), Fault> {
    let key = Key::new(Partition::Pulses, GENERATIONS);
    for _ in 0..WRITE_ATTEMPTS_MAX {
        let item = ports.table.get(&key).await?;
        let known: Generations =
            item.as_ref().map(|item| parse(&item.value, "generations of shards")).transpose()?.unwrap_or_default();
        let after = with(known.clone(), reached.clone());
        if after == known {
            return Ok(());
        }
        let condition = item.map_or(Condition::Absent, |item| Condition::Version(item.version));
        let value = serde_json::to_vec(&after).map_err(|e| Fault::Internal(e.to_string()))?;
        if let Written::Done(_) = ports.table.write(Write::put(key.clone(), value, condition)).await? {
            return Ok(());
        }
    }
    Err(ports::PortError::transient("table", "the generations of shards are written by many").into())
}

/// The generations, with the one that a pulse has just reached. A set that is part of another one
/// can be no generation, because shards that take every lane leave nothing for a further one: it
/// is what a put saw in the middle of a resharding, and proves nothing.
fn with(mut known: Generations, reached: BTreeSet<String>) -> Generations {
    if reached.is_empty() || known.iter().any(|other| reached.is_subset(other)) {
        return known;
    }
    known.retain(|other| !other.is_subset(&reached));
    known.push(reached);
    let surplus = known.len().saturating_sub(GENERATIONS_MAX);
    known.drain(..surplus);
    known
}

/// Notes that a shard has processed a pulse and all before it. What is delivered again takes
/// nothing back.
pub(crate) async fn note(ports: &Ports, shard: &str, at: Timestamp) -> Result<(), Fault> {
    let key = Key::new(Partition::Pulses, shard);
    for _ in 0..WRITE_ATTEMPTS_MAX {
        let item = ports.table.get(&key).await?;
        let known: Option<Timestamp> = item.as_ref().map(|item| parse(&item.value, "pulse")).transpose()?;
        if known.is_some_and(|known| known >= at) {
            return Ok(());
        }
        let write = Write::Put {
            key: key.clone(),
            value: serde_json::to_vec(&at).map_err(|e| Fault::Internal(e.to_string()))?.into(),
            expires_at: Some(at.plus_ms(SHARD_FORGOTTEN_MS)),
            condition: item.map_or(Condition::Absent, |item| Condition::Version(item.version)),
        };
        if let Written::Done(_) = ports.table.write(write).await? {
            return Ok(());
        }
    }
    Err(ports::PortError::transient("table", "a shard's pulse is noted by many").into())
}

/// Everything accepted by the stream up to this time is stored. `None` where that is not known: a
/// shard that says nothing for so long that its note has expired proves nothing.
pub async fn current_through(ports: &Ports) -> Result<Option<Timestamp>, Fault> {
    let items = ports.table.query_all(&Partition::Pulses, "", "").await?;
    let mut generations = Generations::new();
    let mut notes: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for item in &items {
        match item.sort.as_str() {
            GENERATIONS => generations = parse(&item.value, "generations of shards")?,
            // What an earlier version kept there.
            other if other.starts_with('#') => {}
            shard => {
                notes.insert(shard, parse(&item.value, "pulse")?);
            }
        }
    }
    Ok(generations.iter().filter_map(|shards| proven(shards, &notes)).max())
}

/// The oldest note of a generation's shards, where each has one.
fn proven(shards: &BTreeSet<String>, notes: &BTreeMap<&str, Timestamp>) -> Option<Timestamp> {
    let each: Option<Vec<Timestamp>> = shards.iter().map(|shard| notes.get(shard.as_str()).copied()).collect();
    each?.into_iter().min()
}

/// Until when silence is proven to be a source's own: now, or earlier where the pipeline is late.
pub(crate) async fn silence_proven_to(ports: &Ports) -> Result<Timestamp, Fault> {
    let now = ports.clock.now();
    Ok(current_through(ports).await?.map_or(Timestamp(0), |through| through.min(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &str) -> BTreeSet<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    /// Generations, notes as `shard=time`, what they prove together.
    fn check(generations: &[&str], notes: &str, expected: Option<i64>) {
        let generations = generations.iter().fold(Generations::new(), |known, shards| with(known, set(shards)));
        let notes = notes.split_whitespace().map(|note| note.split_once('=').unwrap());
        let notes: BTreeMap<&str, Timestamp> =
            notes.map(|(shard, at)| (shard, Timestamp(at.parse().unwrap()))).collect();
        let found = generations.iter().filter_map(|shards| proven(shards, &notes)).max();
        assert_eq!(found, expected.map(Timestamp), "{generations:?} {notes:?}");
    }

    #[test]
    fn what_generations_of_shards_prove() {
        check(&[], "", None);
        check(&["a b"], "a=5", None);
        check(&["a b"], "a=5 b=7", Some(5));
        // a was split into c and d: they prove nothing before both have spoken, a says what it could.
        check(&["a b", "b c d"], "a=5 b=9", Some(5));
        check(&["a b", "b c d"], "a=5 b=9 c=8", Some(5));
        check(&["a b", "b c d"], "a=5 b=9 c=8 d=8", Some(8));
        // A closed shard does not hold the proof back, whether its note stays or expires.
        check(&["a b", "b c d"], "b=90 c=80 d=80", Some(80));
        check(&["a b", "b c d"], "b=90 c=80", None);
        // b stood still when a and b were merged: a's note alone must not speak for b.
        check(&["a b", "m"], "a=50", None);
        check(&["a b", "m"], "a=50 b=3", Some(3));
        check(&["a b", "m"], "a=50 b=3 m=60", Some(60));
    }

    #[test]
    fn part_of_a_generation_is_none() {
        // A pulse in the middle of a split reached only one of the children.
        check(&["a b", "b c", "b c d"], "a=5 b=9 c=9", Some(5));
        check(&["a b", "b c d", "b c"], "a=5 b=9 c=9", Some(5));
    }

    #[test]
    fn generations_at_the_limit_and_one_past_it() {
        let all = (0..=GENERATIONS_MAX).fold(Generations::new(), |known, n| with(known, set(&format!("s{n}"))));
        assert_eq!(all.len(), GENERATIONS_MAX);
        assert_eq!(all[0], set("s1"));
    }
}
