//! Buckets of rule groups over what is stored: is one due, has it closed, what is found in it.
//!
//! A group of which every rule is one threshold needs storage only while one of its alerts is
//! active: to see that its series is gone, and that it has held long enough. The stream begins
//! such alerts, storage goes on with them; so a quiet group of `interval: 1s` costs nothing.

use std::collections::BTreeMap;

use alerts::closing::{Bucket, ClosedBy, Closing, GRACE_MS, SELECTED_SERIES_MAX, Selected, closing, due};
use alerts::instance::{ResultError, found, recorded};
use alerts::rules::{Group, Rule};
use alerts::state::{Observation, Phase, RuleState, Scope};
use ports::{StreamRecord, TenantId, Timestamp, Wake};
use promql::{EvalError, LOOKBACK_MS, Options, Selection, Series, SeriesSet, Storage, all_match};
use series::{Lane, SeriesId, SourceName, bucket_end};
use wire::SeriesColumn;

use super::stored;
use super::{Place, WAKE_GROUPS, apply, external, witness};
use crate::error::Fault;
use crate::{Context, ingest, progress, read};

/// For so long a change of the manifest wakes no group that the stream begins and that has no active
/// alert: its own wake-ups, which the stream asks for, always do.
const IDLE_MS: i64 = 10_000;

/// Why a group is looked at. Its wake-ups are a chain, each asking for the next one: what only
/// looks whether a bucket can close earlier asks for none, except after closing one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// The manifest has grown.
    Early,
    /// It was woken, or its rules have changed.
    Chain,
    /// The tick repairs a chain that may be lost: a bucket that has ended just now it only has woken.
    Tick,
}

/// All groups of a tenant. One that fails does not stop the others.
pub(super) async fn all_groups(context: &Context, tenant: &TenantId, look: Look) -> Result<(), Fault> {
    some_groups(context, tenant, look, |_| true).await
}

/// The groups of one interval, whose buckets end together: they are woken together.
pub(super) async fn groups_of(context: &Context, tenant: &TenantId, interval: &str) -> Result<(), Fault> {
    let interval_ms: Option<i64> = interval.parse().ok();
    some_groups(context, tenant, Look::Chain, |group| Some(group.interval_ms) == interval_ms).await
}

/// Told is the first failure that may pass, or else the first one: what may pass is tried again.
async fn some_groups(
    context: &Context,
    tenant: &TenantId,
    look: Look,
    is_one: impl Fn(&Group) -> bool + Send,
) -> Result<(), Fault> {
    let mut outcome: Result<(), Fault> = Ok(());
    let mut sight = None;
    for group in context.rules.groups(&context.ports, tenant).await?.iter().filter(|group| is_one(group)) {
        let evaluated = evaluate(context, tenant, group, look, &mut sight).await;
        let is_better = |told: &Fault| !told.may_pass() && evaluated.as_ref().is_err_and(Fault::may_pass);
        outcome = if outcome.as_ref().is_err_and(is_better) { evaluated } else { outcome.and(evaluated) };
    }
    outcome
}

/// The group of a wake-up that an earlier version of the program has asked for, where it still exists.
pub(super) async fn one_group(context: &Context, tenant: &TenantId, id: &str) -> Result<(), Fault> {
    let groups = context.rules.groups(&context.ports, tenant).await?;
    match groups.iter().find(|group| group.id() == id) {
        Some(group) => evaluate(context, tenant, group, Look::Chain, &mut None).await,
        None => Ok(()),
    }
}

/// Asks to be woken at the end of the bucket that is open now.
pub(super) async fn wake_next(
    context: &Context,
    tenant: &TenantId,
    group: &Group,
    now: Timestamp,
) -> Result<(), Fault> {
    wake_at(context, tenant, group, bucket_end(now.plus_ms(1), group.interval_ms, 0)).await
}

async fn wake_at(context: &Context, tenant: &TenantId, group: &Group, at: Timestamp) -> Result<(), Fault> {
    // Groups whose buckets end together ask for one wake-up.
    let what = format!("{WAKE_GROUPS}{}", group.interval_ms);
    Ok(context.ports.timer.wake(Wake { at, tenant: tenant.clone(), what }).await?)
}

/// What one look at a tenant's groups has found: what is proven, and after it what is stored.
struct Sight {
    current_through: Timestamp,
    listed: read::Listing,
}

/// Due? → closed? → evaluate → save how far it is, bucket by bucket; then the next wake-up.
async fn evaluate(
    context: &Context,
    tenant: &TenantId,
    group: &Group,
    look: Look,
    sight: &mut Option<Sight>,
) -> Result<(), Fault> {
    let now = context.ports.clock.now();
    if look == Look::Early && context.rules.is_quiet(tenant, group, now) {
        return Ok(());
    }
    let mut known = stored::group(context, tenant, group).await?;
    let mut last = known.value.last;
    if is_direct(group) {
        let Some(since) = active_since(context, tenant, group).await? else {
            context.rules.quiet_until(tenant, group, now.plus_ms(IDLE_MS));
            return Ok(());
        };
        let before = bucket_end(since, group.interval_ms, 0).plus_ms(-group.interval_ms);
        last = Some(last.map_or(before, |last| last.max(before)));
    }
    if last.is_none() {
        // A new group begins with the bucket that ended last, and stays with it until it closes:
        // the proof that the pipeline is current comes more seldom than short buckets end.
        let (first, _) = due(None, now, group.interval_ms, 0);
        last = first.first().map(|end| end.plus_ms(-group.interval_ms));
        known.value.last = last;
        if !stored::save_group(context, tenant, group, &mut known).await? {
            return Ok(());
        }
    }
    let (ends, skipped) = due(last, now, group.interval_ms, 0);
    if ends.is_empty() && !is_direct(group) {
        // How far a group has come only grows: until its next bucket ends, there is nothing to look for.
        context.rules.quiet_until(tenant, group, bucket_end(now.plus_ms(1), group.interval_ms, 0));
    }
    if look == Look::Tick
        && let [end] = ends.as_slice()
        && now < end.plus_ms(GRACE_MS)
    {
        // What its wake-up and the manifest's changes look at is not looked at a second time, in another process.
        return wake_at(context, tenant, group, end.plus_ms(GRACE_MS)).await;
    }
    known.value.skipped += skipped;
    for end in &ends {
        // Before what is stored is listed: a proof that came after it would speak of what was not read.
        let seen = match sight {
            Some(seen) => seen,
            None => {
                let proven = progress::current_through(&context.ports).await?.unwrap_or(Timestamp(i64::MIN));
                sight.insert(Sight { current_through: proven, listed: read::Listing::default() })
            }
        };
        let current_through = seen.current_through;
        let about = witness::Asked { group, end: data_end(group, *end), now, selected: &known.value.selected };
        if witness::is_missing(context, tenant, about, &mut seen.listed).await? {
            return open(context, tenant, group, (look, *end == ends[0]), data_end(group, *end).plus_ms(GRACE_MS))
                .await;
        }
        let loaded = load(context, tenant, (group, *end), now, &mut seen.listed).await;
        let (storage, broken) = match loaded {
            Ok(storage) => (storage, None),
            // A limit is the rules' own fault: it is shown with them, and the next bucket comes.
            Err(Fault::Unprocessable(what)) => (SeriesSet::default(), Some(what)),
            Err(fault) => return Err(fault),
        };
        let all = everything(&storage)?;
        let bucket = Bucket {
            end: data_end(group, *end),
            now,
            current_through,
            selected: &refreshed(&known.value.selected, &all, group),
            stream_is_ahead: group.rules.iter().any(|rule| rule.direct.is_some() && rule.alert().is_some()),
        };
        let complete = match closing(&bucket) {
            Closing::Open { ask_again_at } => {
                witness::keep(context, tenant, group, (&bucket, &all));
                return open(context, tenant, group, (look, *end == ends[0]), ask_again_at).await;
            }
            Closing::Closed { by, complete } => {
                known.value.closed(*end, now, by, selected(&all, &bucket, group));
                complete || by == ClosedBy::AllReported
            }
        };
        for rule in &group.rules {
            let place = Place { tenant, group, rule };
            let outcome = match &broken {
                Some(what) => Err(RuleFailure::Load(what.clone())),
                None => evaluate_rule(context, place, *end, &storage, &all, complete).await,
            };
            match outcome {
                Ok(()) => {}
                Err(RuleFailure::Port(fault)) => return Err(fault),
                Err(failure) => known.value.fail(&rule.id, &failure),
            }
        }
        if !stored::save_group(context, tenant, group, &mut known).await? {
            // Somebody else owns this bucket and goes on from it.
            return Ok(());
        }
    }
    if ends.is_empty() && look == Look::Early {
        return Ok(());
    }
    wake_next(context, tenant, group, now).await
}

/// The bucket stays open; what looks early has been asked for by none, and asks for none itself.
async fn open(
    context: &Context,
    tenant: &TenantId,
    group: &Group,
    (look, is_first): (Look, bool),
    ask_again_at: Timestamp,
) -> Result<(), Fault> {
    if look == Look::Early && is_first {
        return Ok(());
    }
    let now = context.ports.clock.now();
    wake_at(context, tenant, group, ask_again_at.plus_ms(group.query_offset_ms).max(now.plus_ms(1))).await
}

/// Why a rule gave no result.
#[derive(Debug, thiserror::Error)]
enum RuleFailure {
    #[error(transparent)]
    Evaluation(#[from] EvalError),
    #[error(transparent)]
    Result(#[from] ResultError),
    #[error("{0}")]
    Load(String),
    #[error(transparent)]
    Port(#[from] Fault),
}

async fn evaluate_rule(
    context: &Context,
    place: Place<'_>,
    end: Timestamp,
    storage: &SeriesSet,
    all: &[Series],
    complete: bool,
) -> Result<(), RuleFailure> {
    let Place { tenant, group, rule } = place;
    let at = data_end(group, end);
    // Where data may be missing, only a rule all of whose own series have reported is decided. That
    // the last known value goes on would be a conclusion, too: the stream tells of the newer ones.
    if !complete && !has_reported(rule, group, all, at) {
        return Ok(());
    }
    let value = promql::instant(&rule.expr, at, storage, &Options::default())?.value;
    if rule.alert().is_none() {
        let samples = recorded(rule, &value, end, group.limit)?;
        return Ok(record(context, tenant, samples).await?);
    }
    let mut observations: Vec<Observation> = found(rule, &value, end, &external(context))?;
    if rule.direct.is_some() {
        let state = stored::rule(&context.ports, place).await?;
        observations.retain(|seen| is_active(&state.value, seen));
    }
    apply(context, place, Scope::Complete { bucket_end: end }, &observations).await?;
    Ok(())
}

fn is_active(state: &RuleState, seen: &Observation) -> bool {
    state.instances.get(&seen.key).is_some_and(|known| known.phase != Phase::Inactive)
}

/// What a recording rule found goes the way of every sample.
async fn record(
    context: &Context,
    tenant: &TenantId,
    samples: Vec<(series::Labels, series::Sample)>,
) -> Result<(), Fault> {
    if samples.is_empty() {
        return Ok(());
    }
    let source = SourceName::new(ingest::OWN_SOURCE).map_err(|e| Fault::Internal(e.to_string()))?;
    let columns = samples.into_iter().map(|(labels, sample)| SeriesColumn { labels, samples: vec![sample] });
    let data = ingest::own_samples(context, tenant, columns.collect())?;
    ingest::put(&context.ports, vec![StreamRecord { lane: Lane::of_source(tenant, &source), data }]).await
}

fn is_direct(group: &Group) -> bool {
    group.rules.iter().all(|rule| rule.direct.is_some() && rule.alert().is_some())
}

/// The earliest instant up to which an active alert of the group was evaluated.
async fn active_since(context: &Context, tenant: &TenantId, group: &Group) -> Result<Option<Timestamp>, Fault> {
    let mut since: Option<Timestamp> = None;
    for rule in &group.rules {
        let state = stored::rule(&context.ports, Place { tenant, group, rule }).await?.value;
        let active = state.instances.values().filter(|known| known.phase != Phase::Inactive);
        since = since.into_iter().chain(active.map(|known| known.through)).min();
    }
    Ok(since)
}

fn data_end(group: &Group, end: Timestamp) -> Timestamp {
    end.plus_ms(-group.query_offset_ms)
}

/// What the group's rules need at `end`, and what came after it: whether a series has gone on is
/// seen by its newest sample.
async fn load(
    context: &Context,
    tenant: &TenantId,
    (group, end): (&Group, Timestamp),
    now: Timestamp,
    listed: &mut read::Listing,
) -> Result<SeriesSet, Fault> {
    let at = data_end(group, end);
    let mut selections: Vec<Selection> = Vec::new();
    for rule in &group.rules {
        selections.extend(promql::selections(&rule.expr, at, at, 0, &Options::default()));
    }
    for selection in &mut selections {
        if selection.to == at {
            selection.to = now.max(at);
        }
    }
    read::load_by(context, tenant, &selections, listed).await
}

pub(super) fn everything(storage: &SeriesSet) -> Result<Vec<Series>, Fault> {
    storage.select(&[], Timestamp(i64::MIN), Timestamp(i64::MAX)).map_err(|e| Fault::Internal(e.to_string()))
}

/// What is known now of the series of the bucket before.
fn refreshed(before: &[Selected], all: &[Series], group: &Group) -> Vec<Selected> {
    let newest: BTreeMap<SeriesId, Selected> = all
        .iter()
        .filter_map(|series| Selected::from_samples(series.labels.id(), &series.samples, group.interval_ms))
        .map(|selected| (selected.series, selected))
        .collect();
    before
        .iter()
        .map(|known| {
            let now = newest.get(&known.series).copied().unwrap_or(*known);
            Selected { newest: now.newest.max(known.newest), ..*known }
        })
        .collect()
}

/// The series that count in this bucket; with more than the limit, the first of them speak for all.
fn selected(all: &[Series], bucket: &Bucket<'_>, group: &Group) -> Vec<Selected> {
    let counted = all.iter().filter_map(|series| {
        let until = series.samples.partition_point(|sample| sample.at <= bucket.end);
        let known = Selected::from_samples(series.labels.id(), &series.samples[..until], group.interval_ms)?;
        (known.newest > bucket.end.plus_ms(-LOOKBACK_MS)).then_some(known)
    });
    counted.take(SELECTED_SERIES_MAX).collect()
}

/// Whether every series that the rule selects, and there is one, has reported.
fn has_reported(rule: &Rule, group: &Group, all: &[Series], at: Timestamp) -> bool {
    let selections = promql::selections(&rule.expr, at, at, 0, &Options::default());
    let mut any = false;
    for series in all {
        if !selections.iter().any(|selection| all_match(&selection.matchers, &series.labels)) {
            continue;
        }
        let Some(known) = Selected::from_samples(series.labels.id(), &series.samples, group.interval_ms) else {
            continue;
        };
        if known.newest > at.plus_ms(-LOOKBACK_MS) {
            any = true;
            if !known.has_reported(at) {
                return false;
            }
        }
    }
    any
}
