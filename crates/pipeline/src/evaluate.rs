//! `evaluate-alerts`: observations become states, states become what people are owed.
//!
//! Three ways in, one state machine (`alerts::state`):
//!
//! * [`stream`]: newest samples and check states, straight from the stream, for rules that are one
//!   threshold. A fault of storage does not silence them.
//! * [`changes`] and [`wake`]: the manifest grew or a timer is due. Buckets that have closed are
//!   evaluated over what is stored.
//! * [`tick`]: once a minute, whatever a lost timer or a crash has left is taken up again.
//!
//! State and what is owed are one conditional write; sending and marking follow in [`outbox`].
//! A rule's item and a group's item are each owned by whoever writes the next version first, which
//! is the lease on a bucket: the slower one reads again and finds nothing left to do.

mod bucket;
mod removed;
mod rule_files;
mod selected;
mod show;
mod stored;
mod stream;
mod witness;

use alerts::instance::External;
use alerts::rules::{Group, Rule};
use alerts::state::{Observation, RuleName, RuleState, Scope, Timing, step};
use bucket::Look;
use ports::PortError;

pub use rule_files::{RULE_FILES_CACHED_MAX, RuleCache, SETS_CACHED_MAX, TENANTS_CACHED_MAX};
pub use show::{alerts, rules};

use crate::error::Fault;
use crate::{Context, Delivered, TenantId, Timestamp, Wake, aggregate, documents, outbox};

/// How often a step is tried again when somebody else wrote the rule's state meanwhile.
const STEP_ATTEMPTS_MAX: usize = 20;
/// Observations of one step straight from the stream. Each may owe an outbox item of its own, and
/// all of a step's items are one write; a backlog of a flapping value is cut into several steps.
pub const NEWEST_PER_STEP_MAX: usize = 64;
/// What a wake-up for groups begins with; their interval follows, ms.
const WAKE_GROUPS: &str = "groups:";
/// What a wake-up for one group began with; the group's id followed.
const WAKE_GROUP: &str = "group:";

/// One shard's batch. Safe to be delivered again and again; an error is one that may pass.
pub async fn stream(context: &Context, records: &[Delivered]) -> Result<(), Fault> {
    stream::take(context, records).await
}

/// A failure that cannot pass must not hold up everybody else's alerts for ever: it is kept with what
/// it was about (the same one again is the same item), counted, and left. The records themselves are
/// with `aggregate`.
pub async fn set_aside(
    context: &Context,
    tenant: &TenantId,
    about: &str,
    done: Result<(), Fault>,
) -> Result<(), Fault> {
    match done {
        Err(fault) if !fault.may_pass() => {
            tracing::error!(%tenant, about, "cannot be evaluated: {fault}");
            let note = format!("{about}\n{fault}");
            aggregate::quarantine(&context.ports, tenant, note.as_bytes(), "cannot_be_evaluated").await
        }
        done => done,
    }
}

/// A tenant's manifest has grown.
pub async fn changes(context: &Context, tenant: &TenantId) -> Result<(), Fault> {
    if let Some(head) = &context.head {
        // The change that woke us may not be in memory yet.
        head.settled().await;
    }
    let evaluated = bucket::all_groups(context, tenant, Look::Early).await;
    let sent = outbox::dispatch(context, tenant).await;
    evaluated.and(sent)
}

/// A timer is due: a group's bucket, changed rule files, or a notification.
pub async fn wake(context: &Context, wake: &Wake) -> Result<(), Fault> {
    if wake.what == documents::WAKE_RULES {
        return repair(context, &wake.tenant, Look::Chain).await;
    }
    let woken = match (wake.what.strip_prefix(WAKE_GROUPS), wake.what.strip_prefix(WAKE_GROUP)) {
        (Some(interval), _) => Some(bucket::groups_of(context, &wake.tenant, interval).await),
        (None, Some(group)) => Some(bucket::one_group(context, &wake.tenant, group).await),
        (None, None) => None,
    };
    if let Some(evaluated) = woken {
        let sent = outbox::dispatch(context, &wake.tenant).await;
        return evaluated.and(sent);
    }
    outbox::wake(context, wake).await
}

/// Takes up what a lost timer or a crash has left.
pub async fn tick(context: &Context) -> Result<(), Fault> {
    let mut outcome = Ok(());
    for tenant in documents::tenants(&context.ports).await? {
        outcome = outcome.and(repair(context, &tenant, Look::Tick).await);
    }
    outcome
}

/// Begins the chains of new groups, takes up lost ones, and ends the alerts of removed rules.
async fn repair(context: &Context, tenant: &TenantId, look: Look) -> Result<(), Fault> {
    let evaluated = bucket::all_groups(context, tenant, look).await;
    let resolved = removed::resolve(context, tenant).await;
    let sent = outbox::dispatch(context, tenant).await;
    evaluated.and(resolved).and(sent)
}

/// One rule of one tenant's group.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    tenant: &'a TenantId,
    group: &'a Group,
    rule: &'a Rule,
}

/// What a step came to.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Applied {
    /// The state is another one now.
    changed: bool,
    /// Somebody is to be told.
    owed: bool,
}

/// Newest samples, in time order, a bounded number a step: cut anywhere, they come to the same.
async fn apply_newest(
    context: &Context,
    place: Place<'_>,
    not_before: Timestamp,
    mut seen: Vec<Observation>,
) -> Result<Applied, Fault> {
    seen.sort_by_key(|observation| observation.at);
    let mut sum = Applied::default();
    let mut rest = seen.as_slice();
    // Read once, and again where it was written: most steps change nothing.
    let mut state = None;
    while !rest.is_empty() {
        let (part, later) = rest.split_at(cut(rest));
        let applied = apply_to(context, place, (Scope::Newest { not_before }, part), &mut state).await?;
        sum = Applied { changed: sum.changed || applied.changed, owed: sum.owed || applied.owed };
        rest = later;
    }
    Ok(sum)
}

/// Where to cut: at most [`NEWEST_PER_STEP_MAX`], and where it can be, between two instants.
fn cut(rest: &[Observation]) -> usize {
    if rest.len() <= NEWEST_PER_STEP_MAX {
        return rest.len();
    }
    let fits = |at: &usize| rest[*at - 1].at != rest[*at].at;
    (1..=NEWEST_PER_STEP_MAX).rev().find(fits).unwrap_or(NEWEST_PER_STEP_MAX)
}

/// Load → step → decide what is owed → save.
///
/// Who loses the race for the state loads and steps again; what the other one applied already is
/// then ignored by the state machine.
async fn apply(context: &Context, place: Place<'_>, scope: Scope, seen: &[Observation]) -> Result<Applied, Fault> {
    apply_to(context, place, (scope, seen), &mut None).await
}

/// The same, beginning with a state that was read a moment ago: writing it is conditional on that very version.
async fn apply_to(
    context: &Context,
    place: Place<'_>,
    (scope, seen): (Scope, &[Observation]),
    state: &mut Option<stored::Known<RuleState>>,
) -> Result<Applied, Fault> {
    let external = external(context);
    for _ in 0..STEP_ATTEMPTS_MAX {
        let known = match state.take() {
            Some(known) => known,
            None => stored::rule(&context.ports, place).await?,
        };
        let stepped = step(&known.value, &place.timing(), scope, seen);
        if !stored::is_worth_saving(&known.value, &stepped) {
            *state = Some(known);
            return Ok(Applied::default());
        }
        let told = |transition| alerts::notify::alert(place.rule, transition, &external);
        let owed: Vec<_> = stepped.transitions.iter().map(told).collect();
        if stored::save(&context.ports, place, &known, &stepped.state, &owed).await? {
            tell_pages(context, place.tenant).await;
            return Ok(Applied { changed: true, owed: !owed.is_empty() });
        }
    }
    Err(PortError::transient("table", format!("the state of rule {:?} is written by many", place.rule.name)).into())
}

impl Place<'_> {
    fn timing(&self) -> Timing {
        let alert = self.rule.alert().cloned().unwrap_or_default();
        Timing {
            name: RuleName {
                tenant: self.tenant.as_str().to_owned(),
                group: self.group.id(),
                rule: self.rule.id.clone(),
            },
            for_ms: alert.for_ms,
            keep_firing_for_ms: alert.keep_firing_for_ms,
            limit: self.group.limit,
        }
    }
}

pub(crate) fn external(context: &Context) -> External {
    let url = context.settings.external_url.trim_end_matches('/').to_owned();
    External { url, labels: std::collections::BTreeMap::new() }
}

/// Open pages are told of the new list. They are told again by themselves, so a failure here is
/// no failure of the evaluation.
async fn tell_pages(context: &Context, tenant: &TenantId) {
    let told = async {
        let alerts = show::alerts(context, tenant).await?;
        crate::live::post_to_pages(&context.ports, tenant, &wire::PageFrame::Alerts { alerts }).await
    };
    if let Err(fault) = told.await {
        tracing::warn!(%tenant, "open pages could not be told of changed alerts: {fault}");
    }
}

#[cfg(test)]
mod tests {
    use alerts::state::InstanceKey;
    use series::{Labels, SeriesId};

    use super::*;

    fn seen(times: impl IntoIterator<Item = i64>) -> Vec<Observation> {
        let one = |at| Observation {
            key: InstanceKey(SeriesId(1)),
            labels: Labels::empty(),
            at: Timestamp(at),
            active: true,
            value: 1.0,
            note: String::new(),
        };
        times.into_iter().map(one).collect()
    }

    #[test]
    fn a_step_at_the_limit_and_one_past_it() {
        let max = NEWEST_PER_STEP_MAX as i64;
        assert_eq!(cut(&seen(0..max)), NEWEST_PER_STEP_MAX);
        assert_eq!(cut(&seen(0..max + 1)), NEWEST_PER_STEP_MAX);
        // The last two are of one instant, and stay together.
        assert_eq!(cut(&seen((0..max).chain([max - 1]))), NEWEST_PER_STEP_MAX - 1);
        assert_eq!(cut(&seen(vec![5; NEWEST_PER_STEP_MAX + 1])), NEWEST_PER_STEP_MAX);
    }
}
