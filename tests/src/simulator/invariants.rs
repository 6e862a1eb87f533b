//! What must hold in the end, and what `aggregate` may claim on the way. Everything is read as users
//! read it: by queries, by the sources' ledgers, from what receivers got.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use pipeline::wire::{Batch, StreamEnvelope, part};
use pipeline::{TenantId, Timestamp, progress, promql, query, sources};
use ports::Partition;
use series::{DAY_MS, Window};

use super::agents::{Identity, Sent};
use super::happened::Happened;
use super::plan::{STEP_MS, Wrong};
use super::shards::Record;
use super::world::World;
use super::wrong;

/// What is critical for so long is paged whatever goes wrong.
const SEEN_FOR_SURE_MS: i64 = 120_000;

fn held(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// Everything was sent, delivered and done.
pub(super) async fn at_the_end(world: &World) -> Result<(), String> {
    stored_is_acknowledged(world).await?;
    ledgers_balance(world).await?;
    poison_is_kept(world).await?;
    bucket_is_empty(world).await?;
    transitions_are_the_checks(world)?;
    pages_are_told_once(world)?;
    proof(world).await?;
    let through = progress::current_through(&world.context.ports).await.map_err(|fault| fault.to_string())?;
    let lag_ms = through.map_or(i64::MAX, |through| world.now().ms() - through.ms());
    held(lag_ms <= 2 * STEP_MS, || format!("the proof stands still at {through:?}, now is {}", world.now()))
}

/// The same set after the windows were joined, and now the ledger is exact.
pub(super) async fn after_compaction(world: &World) -> Result<(), String> {
    stored_is_acknowledged(world).await?;
    ledgers_balance(world).await?;
    days_are_whole(world).await?;
    let all = sources::all(&world.context, &TenantId::default()).await.map_err(|fault| fault.to_string())?;
    for agent in &world.agents {
        // The check's own series is one sample a batch.
        let made = agent.sent.made.len() as u64;
        let source = all.iter().find(|source| source.name == agent.name).ok_or("a source is not known")?;
        let counters = &source.counters;
        let checks = counters.generated.saturating_sub(made + counters.superseded);
        held(counters.stored == made + checks, || format!("{}: {made} samples and {counters:?}", agent.name))?;
    }
    Ok(())
}

/// What is over stands in one item a day, late data and all.
async fn days_are_whole(world: &World) -> Result<(), String> {
    let manifest = Partition::Manifest(TenantId::default());
    let items = world.context.ports.table.query_all(&manifest, "", "").await.map_err(|error| error.to_string())?;
    let over = |sort: &&str| ["fresh/", "ten/", "hour/", "late/"].iter().any(|level| sort.starts_with(level));
    let today = Window::of_block(world.now(), DAY_MS).start.ms();
    let start = |sort: &str| sort.split('/').nth(1).and_then(|start| start.parse::<i64>().ok()).unwrap_or(0);
    let left: Vec<&str> = items.iter().map(|item| item.sort.as_str()).filter(over).collect();
    let left: Vec<&str> = left.into_iter().filter(|sort| start(sort) < today).collect();
    held(left.is_empty(), || format!("{left:?} are left of days that are over"))
}

/// What happened, with the totals of the end.
pub(super) fn sum(world: &World) -> Happened {
    let truth = world.ground.watch.truth();
    let distinct: BTreeSet<&String> = truth.pages.iter().map(|page| &page.transition).collect();
    Happened {
        schedules: 1,
        spread: world
            .stream
            .with(|shards| shards.iter().flat_map(|shard| &shard.records).filter(|record| is_home(record)).count())
            as u64,
        acknowledged: senders(world).map(|sent| sent.acknowledged.len() as u64).sum(),
        transitions: truth.owed.len() as u64,
        pages: truth.pages.len() as u64,
        repeated: (truth.pages.len() - distinct.len()) as u64,
        faults: world.faults_injected(),
        ..world.happened
    }
}

fn senders(world: &World) -> impl Iterator<Item = &Sent> {
    world.agents.iter().map(|agent| &agent.sent).chain([&world.router.sent])
}

/// Whether a record is of a batch that was spread over lanes: each of these has one such part.
fn is_home(record: &Record) -> bool {
    let envelope = StreamEnvelope::decode(record.data.clone());
    envelope.is_ok_and(|envelope| envelope.batch().is_some_and(|(_, number, _)| part::of(number) == part::HOME))
}

/// The samples of one record, by identity.
pub(super) fn identities(data: &Bytes) -> Vec<Identity> {
    let Ok(envelope) = StreamEnvelope::decode(data.clone()) else { return Vec::new() };
    let Some(Ok(decoded)) = envelope.batch().map(|(_, _, bytes)| Batch::decode(bytes)) else { return Vec::new() };
    let columns = decoded.batch.series.iter();
    let named = columns.filter_map(|column| column.labels.get("id").map(|id| (id, &column.samples)));
    named.flat_map(|(id, samples)| samples.iter().map(move |sample| (id.to_owned(), sample.at.ms()))).collect()
}

async fn stored(world: &World) -> Result<BTreeMap<Identity, f64>, String> {
    let options = promql::Options::default();
    let found = query::instant(&world.context, &TenantId::default(), "sim[3d]", world.now(), &options).await;
    let promql::Value::Matrix(matrix) = found.map_err(|fault| fault.to_string())?.value else {
        return Err("a range is no matrix".to_owned());
    };
    let mut all = BTreeMap::new();
    for series in matrix {
        let id = series.labels.get("id").unwrap_or_default().to_owned();
        for sample in series.samples.iter() {
            let before = all.insert((id.clone(), sample.at.ms()), sample.value);
            held(before.is_none(), || format!("{id}@{} is there twice", sample.at))?;
        }
    }
    Ok(all)
}

/// Stored = acknowledged, by identity and value. (In the end everything that was made is
/// acknowledged, so nothing else can be there either.)
async fn stored_is_acknowledged(world: &World) -> Result<(), String> {
    let stored = stored(world).await?;
    let mut expected = 0;
    for sent in senders(world) {
        held(sent.acknowledged.len() == sent.made.len(), || "a sender has not sent everything".to_owned())?;
        expected += sent.made.len();
        for (identity, value) in &sent.made {
            let found = stored.get(identity);
            held(found == Some(value), || format!("{identity:?} was acknowledged as {value}, found {found:?}"))?;
        }
    }
    held(stored.len() == expected, || format!("{expected} samples were made, {} are stored", stored.len()))
}

async fn ledgers_balance(world: &World) -> Result<(), String> {
    let all = sources::all(&world.context, &TenantId::default()).await.map_err(|fault| fault.to_string())?;
    for source in all.iter().filter(|source| source.name != "stranger") {
        let counters = &source.counters;
        let rejected: u64 = counters.rejected.values().sum();
        let parts = counters.stored + counters.superseded + rejected + counters.evicted + counters.buffered;
        let balanced = parts == counters.generated && counters.missing == 0 && counters.buffered == 0 && rejected == 0;
        held(balanced, || format!("the ledger of {}: {counters:?}", source.name))?;
    }
    if world.plan.wrong == Some(Wrong::Increments) {
        let known: u64 = all.iter().map(|source| source.counters.stored + source.counters.superseded).sum();
        let counted = wrong::counted(&world.context.ports).await.map_err(|fault| fault.to_string())?;
        held(u128::from(known) == counted, || format!("{known} samples were stored, {counted} were counted"))?;
    }
    Ok(())
}

/// Every bad record, with its bytes and the reason.
async fn poison_is_kept(world: &World) -> Result<(), String> {
    let aside = Partition::Quarantine(TenantId::default());
    let kept = world.context.ports.table.query_all(&aside, "", "").await.map_err(|error| error.to_string())?;
    for (data, reason) in &world.poison {
        let value = [reason.as_bytes(), b"\n", data].concat();
        held(kept.iter().any(|item| item.value == value), || format!("a bad record ({reason}) is not kept aside"))?;
    }
    let distinct: BTreeSet<&Bytes> = world.poison.iter().map(|(data, _)| data).collect();
    held(kept.len() == distinct.len(), || {
        let names: Vec<&str> = kept.iter().map(|item| item.sort.as_str()).collect();
        format!("{} bad records, and aside are {names:?}", distinct.len())
    })
}

async fn bucket_is_empty(world: &World) -> Result<(), String> {
    let left = world.context.ports.blobs.list("aws/lambda/").await.map_err(|error| error.to_string())?;
    held(left.is_empty(), || format!("{left:?} are still in the on-failure bucket"))
}

/// A check's changes are transitions: all of them where alerts were calm, at their own instant or, where
/// storage shows the bucket before they come, at the next sample.
/// Where senders or `evaluate-alerts` failed, data came later than the grace: then what is seen is
/// seen later, and a short state not at all; the last state is known.
fn transitions_are_the_checks(world: &World) -> Result<(), String> {
    let truth = world.ground.watch.truth();
    held(truth.unread.is_empty(), || format!("{:?}", truth.unread))?;
    for agent in &world.agents {
        let mine = truth.owed.values().filter(|owed| owed.alert == "DiskCritical" && owed.instance == agent.name);
        let mut found: Vec<(Timestamp, bool)> = mine.map(|owed| (owed.at, owed.fires)).collect();
        found.sort();
        let flips = &agent.flips;
        let holds = if world.plan.calm_alerts {
            let seen = |(seen, flip): (&(Timestamp, bool), &(Timestamp, bool))| {
                seen.1 == flip.1 && (flip.0..=flip.0.plus_ms(STEP_MS)).contains(&seen.0)
            };
            found.len() == flips.len() && found.iter().zip(flips).all(seen)
        } else {
            is_late_at_most(&found, flips) && (world.plan.aggregate.retries.is_some() || invents_nothing(&found, flips))
        };
        held(holds, || format!("{}: the check changed {flips:?}, the alert {found:?}", agent.name))?;
    }
    Ok(())
}

/// Whether the alert ends as the check does, and a long critical state was seen.
fn is_late_at_most(found: &[(Timestamp, bool)], flips: &[(Timestamp, bool)]) -> bool {
    let alternating = found.iter().enumerate().all(|(place, (_, fires))| *fires == (place % 2 == 0));
    let ends_right = found.last().is_some_and(|last| last.1) == flips.last().is_some_and(|last| last.1);
    let long_ones_are_seen = flips.windows(2).filter(|pair| pair[0].1).all(|pair| {
        let (from, to) = (pair[0].0, pair[1].0);
        let is_long = to.ms() - from.ms() >= SEEN_FOR_SURE_MS;
        !is_long || found.iter().any(|seen| seen.1 && seen.0 >= from && seen.0 <= to)
    });
    alternating && ends_right && long_ones_are_seen
}

/// Whether there is a change of the check for each transition. Not asked where `aggregate`'s mapping
/// gives up within minutes (the template's does after a day): then pulses prove more than is stored.
fn invents_nothing(found: &[(Timestamp, bool)], flips: &[(Timestamp, bool)]) -> bool {
    let earlier = |seen: &(Timestamp, bool)| flips.iter().any(|flip| flip.1 == seen.1 && flip.0 <= seen.0);
    found.len() <= flips.len() && found.iter().all(earlier)
}

/// A page comes again only where its sender did not come to mark it; and whoever fires in the end is
/// known to fire. Where `evaluate-alerts` itself never failed, each transition was told.
fn pages_are_told_once(world: &World) -> Result<(), String> {
    let truth = world.ground.watch.truth();
    let mut marked: BTreeSet<(&str, &str)> = BTreeSet::new();
    for page in &truth.pages {
        let key = (page.transition.as_str(), page.subject.as_str());
        held(!marked.contains(&key), || format!("{page:?} was sent again although it was marked"))?;
        if page.marked {
            marked.insert(key);
        }
        held(truth.owed.contains_key(&page.transition), || format!("{page:?} tells of no transition"))?;
    }
    if world.plan.calm_alerts {
        let copies_of = |id: &str| truth.pages.iter().filter(|page| page.transition == id).count();
        for (id, owed) in &truth.owed {
            let copies = copies_of(id);
            held(copies == 1, || format!("{owed:?} was paged {copies} times"))?;
        }
    }
    let mut last: BTreeMap<(&str, &str), (Timestamp, bool)> = BTreeMap::new();
    for owed in truth.owed.values() {
        let known = last.entry((&owed.alert, &owed.instance)).or_insert((owed.at, owed.fires));
        *known = (*known).max((owed.at, owed.fires));
    }
    for ((alert, instance), (_, fires)) in last {
        let of = format!("{alert} {instance}");
        let told = truth.pages.iter().rev().find(|page| page.subject.ends_with(&of));
        let right = match told {
            Some(page) => page.subject.starts_with("ALARM") == fires,
            None => !fires,
        };
        held(right, || format!("{of} fires: {fires}, and its receiver was told last: {told:?}"))?;
    }
    Ok(())
}

/// "Everything accepted up to this time is stored": what was acknowledged before it can be read, but
/// for what lies in the on-failure bucket.
pub(super) async fn proof(world: &World) -> Result<(), String> {
    let through = progress::current_through(&world.context.ports).await.map_err(|fault| fault.to_string())?;
    let Some(through) = through else { return Ok(()) };
    let stored = stored(world).await?;
    for sent in senders(world) {
        for (identity, at) in sent.acknowledged.iter().filter(|(_, at)| **at < through) {
            let is_there = stored.contains_key(identity) || world.given_up.contains(identity);
            held(is_there, || format!("proven to {through}, and {identity:?}, acknowledged at {at}, is not stored"))?;
        }
    }
    Ok(())
}
