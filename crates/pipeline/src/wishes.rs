//! How soon agents should flush: what somebody watches each second, what a rule needs in time for
//! the rule's bucket. A wish expires by itself, so one that is lost or forgotten costs little.
//!
//! A wish is for a source, not for some of its series: what a message costs is the message (32 KB
//! of text are one), and the slower series of a host that ride along fill none of it.
//!
//! Agents flush on the step (multiples of the pace since 1970, and a phase below a third of it), so
//! a bucket that ends on such a multiple has its samples in time: a group of 60 s needs no wish at
//! all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use alerts::rules::Group;
use ports::{Ports, TenantId, Timestamp};
use promql::{MatchOp, Matcher, Selection, all_match};
use serde::{Deserialize, Serialize};
use series::SourceName;
use wire::ServerFrame;

use crate::connect::{self, Presence, presences};
use crate::error::Fault;
use crate::live::{self, Subscription};
use crate::{Context, read};

/// Agents flush at this pace by themselves; slower wishes are not sent.
pub const DEFAULT_FLUSH_MS: u64 = 60_000;
/// The pace for what a page watches.
pub const WATCHED_FLUSH_MS: u64 = 1_000;
/// Sources that one subscription may watch at that pace. Of more nobody sees each second.
pub const WATCHED_SOURCES_MAX: usize = 100;
/// The pace where a subscription watches more than that.
pub const WATCHED_MANY_FLUSH_MS: u64 = 10_000;
/// A page's wish ends after this; pages renew theirs each 30 s.
pub const WISH_LIFE_MS: i64 = 60_000;
/// A rule's wish ends after this.
pub const RULE_WISH_LIFE_MS: i64 = 2 * 3_600_000;
/// It is renewed when less than this is left of it.
pub const RULE_WISH_RENEW_MS: i64 = 20 * 60_000;
/// Sources that one run tells; the next run, a minute later at the latest, goes on.
pub const RULE_WISHES_PER_RUN_MAX: usize = 2_000;
/// A pace that brings any bucket's samples well within `alerts::closing::GRACE_MS`, on its step or not.
pub const PROMPT_FLUSH_MS: u64 = 20_000;
/// How far back the series of a rule are looked for.
const RECENT_MS: i64 = 5 * 60_000;
/// For so long after a run that had nothing to tell, the next ones look only whether a source has come or a wish ends.
pub const SETTLED_MS: i64 = 5 * 60_000;
/// Tenants of which a warm process remembers such a run.
pub const SETTLED_TENANTS_MAX: usize = 1_000;
/// Wishes that are on their way at once.
const POSTS_AT_ONCE: usize = 32;

/// What a source was told because of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wished {
    /// The pace.
    pub flush_every_ms: u64,
    /// Until then.
    pub expires_at_ms: Timestamp,
}

impl Wished {
    pub(crate) fn frame(self) -> ServerFrame {
        ServerFrame::Wish { flush_every_ms: self.flush_every_ms, expires_at_ms: self.expires_at_ms }
    }
}

/// Wishes for what a page watches.
pub(crate) async fn for_watcher(ports: &Ports, tenant: &TenantId, watched: &Subscription) -> Result<(), Fault> {
    let named: Option<BTreeSet<SourceName>> =
        watched.matchers()?.iter().map(|matchers| source_named_by(matchers)).collect();
    let mut here = Vec::new();
    match named {
        Some(sources) if sources.len() <= WATCHED_SOURCES_MAX => {
            for source in sources {
                here.extend(connect::presence(ports, tenant, &source).await?);
            }
        }
        named => {
            let all = presences(ports, tenant).await?.into_iter();
            let watched = all.filter(|(source, _)| named.as_ref().is_none_or(|named| named.contains(source)));
            here.extend(watched.map(|(_, presence)| presence));
        }
    }
    here.retain(|presence| presence.gone_at_ms.is_none());
    let many = here.len() > WATCHED_SOURCES_MAX;
    let flush_every_ms = if many { WATCHED_MANY_FLUSH_MS } else { WATCHED_FLUSH_MS };
    let wished = Wished { flush_every_ms, expires_at_ms: ports.clock.now().plus_ms(WISH_LIFE_MS) };
    let frames = here.into_iter().map(|presence| (presence.connection, wished.frame())).collect();
    // Gone or throttled: the agent keeps its own pace, which loses nothing.
    live::post_all(ports, frames, POSTS_AT_ONCE).await
}

/// The last run that had nothing to tell, by tenant. Found out again where it is forgotten.
#[derive(Default)]
pub struct Settled(Mutex<HashMap<TenantId, Run>>);

struct Run {
    at: Timestamp,
    /// The very groups that a process keeps until they change.
    groups: Arc<[Group]>,
    /// Sources that need no wish.
    by_themselves: BTreeSet<SourceName>,
}

impl Settled {
    /// Whether everybody who is here was told in time, or was found to need no telling.
    fn is_settled(
        &self,
        tenant: &TenantId,
        groups: &Arc<[Group]>,
        leases: &[(SourceName, Presence)],
        now: Timestamp,
    ) -> bool {
        let runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.get(tenant).is_some_and(|run| {
            let is_told = |(source, lease): &(SourceName, Presence)| {
                let wish = lease.wish.filter(|wish| wish.expires_at_ms > now.plus_ms(RULE_WISH_RENEW_MS));
                lease.gone_at_ms.is_some() || wish.is_some() || run.by_themselves.contains(source)
            };
            Arc::ptr_eq(&run.groups, groups) && now < run.at.plus_ms(SETTLED_MS) && leases.iter().all(is_told)
        })
    }

    fn keep(&self, tenant: &TenantId, run: Run) {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() >= SETTLED_TENANTS_MAX && !runs.contains_key(tenant) {
            runs.clear();
        }
        runs.insert(tenant.clone(), run);
    }
}

/// Wishes for the sources of which rules need samples sooner than they come by themselves.
pub async fn for_rules(context: &Context, tenant: &TenantId) -> Result<(), Fault> {
    let ports = &context.ports;
    let now = ports.clock.now();
    let all_groups = context.rules.groups(ports, tenant).await?;
    let mut groups: Vec<(u64, Vec<Selection>)> = Vec::new();
    for group in all_groups.iter() {
        let interval_ms = u64::try_from(group.interval_ms).unwrap_or(u64::MAX).max(1);
        if interval_ms.is_multiple_of(DEFAULT_FLUSH_MS) {
            continue;
        }
        let mut selections = Vec::new();
        for rule in &group.rules {
            selections.extend(promql::selections(&rule.expr, now, now, 0, &promql::Options::default()));
        }
        selections.iter_mut().for_each(|selection| (selection.from, selection.to) = (now.plus_ms(-RECENT_MS), now));
        groups.push((interval_ms, selections));
    }
    if groups.is_empty() {
        return Ok(());
    }
    let leases = presences(ports, tenant).await?;
    if context.wished.is_settled(tenant, &all_groups, &leases, now) {
        return Ok(());
    }
    let all: Vec<Selection> = groups.iter().flat_map(|(_, selections)| selections.iter().cloned()).collect();
    let mut intervals: BTreeMap<SourceName, BTreeSet<u64>> = BTreeMap::new();
    for labels in read::labels(context, tenant, &all).await? {
        let Some(source) = labels.get("source").and_then(|source| SourceName::new(source).ok()) else { continue };
        let known = intervals.entry(source).or_default();
        let selects = |selections: &[Selection]| selections.iter().any(|s| all_match(&s.matchers, &labels));
        known.extend(groups.iter().filter(|(_, selections)| selects(selections)).map(|(interval, _)| *interval));
    }
    let mut told = 0;
    let mut frames = Vec::new();
    let mut by_themselves = BTreeSet::new();
    let mut due = 0;
    for (source, presence) in leases {
        let Some(pace) = intervals.get(&source).and_then(pace) else {
            // Of one that has come just now, nothing may be stored yet.
            if presence.connected_at_ms.plus_ms(SETTLED_MS) <= now {
                by_themselves.insert(source);
            }
            continue;
        };
        due += usize::from(is_due(&presence, pace, now));
        if !is_due(&presence, pace, now) || told >= RULE_WISHES_PER_RUN_MAX {
            continue;
        }
        told += 1;
        let wished = Wished { flush_every_ms: pace, expires_at_ms: now.plus_ms(RULE_WISH_LIFE_MS) };
        // Noted first: a wish that is lost comes with the next hello, and one that is not noted would
        // come each minute.
        let note = |lease: &mut Presence| lease.wish = Some(wished);
        if connect::change_lease(ports, tenant, &source, &presence.connection, note).await? {
            frames.push((presence.connection, wished.frame()));
        }
    }
    if due == 0 {
        context.wished.keep(tenant, Run { at: now, groups: all_groups, by_themselves });
    }
    live::post_all(ports, frames, POSTS_AT_ONCE).await
}

fn is_due(presence: &Presence, pace: u64, now: Timestamp) -> bool {
    let lasts = |wish: &Wished| wish.flush_every_ms == pace && wish.expires_at_ms > now.plus_ms(RULE_WISH_RENEW_MS);
    presence.gone_at_ms.is_none() && !presence.wish.as_ref().is_some_and(lasts)
}

/// The slowest flush with which the buckets of all these groups have their samples in time; `None`
/// where agents flush that often by themselves.
fn pace(intervals: &BTreeSet<u64>) -> Option<u64> {
    let shortest = intervals.first().copied()?.min(DEFAULT_FLUSH_MS);
    let all = || intervals.iter().copied().chain([DEFAULT_FLUSH_MS]);
    let on_the_step = if all().all(|interval| interval.is_multiple_of(shortest)) {
        shortest
    } else {
        all().fold(0, gcd).max(shortest.min(PROMPT_FLUSH_MS))
    };
    (on_the_step < DEFAULT_FLUSH_MS).then_some(on_the_step)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The one source that a selector can match, where it says so.
fn source_named_by(matchers: &[Matcher]) -> Option<SourceName> {
    let named = matchers.iter().find(|m| matches!(m.name(), "source" | "instance") && m.op() == MatchOp::Equal)?;
    SourceName::new(named.value()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(wish: Option<Wished>) -> Presence {
        Presence {
            connection: ports::ConnectionId("c".to_owned()),
            run_id: String::new(),
            epoch: series::Epoch(1),
            host: String::new(),
            agent_version: String::new(),
            connected_at_ms: Timestamp(1_000),
            gone_at_ms: None,
            expected_since_ms: None,
            conflict: None,
            wish,
        }
    }

    #[test]
    fn a_run_is_spared_only_where_nobody_can_have_to_be_told() {
        let name = |name: &str| SourceName::new(name).unwrap();
        let (settled, tenant, groups) = (Settled::default(), TenantId::default(), Arc::<[Group]>::from([]));
        let until = |ms: i64| Some(Wished { flush_every_ms: 30_000, expires_at_ms: Timestamp(ms) });
        let end = RULE_WISH_RENEW_MS + 9;
        let here = [(name("told"), lease(until(end))), (name("slow"), lease(None))];
        let is = |groups: &Arc<[Group]>, here: &[(SourceName, Presence)], now: i64| {
            settled.is_settled(&tenant, groups, here, Timestamp(now))
        };
        assert!(!is(&groups, &here, 5));
        let run = |at: i64| Run { at: Timestamp(at), groups: groups.clone(), by_themselves: [name("slow")].into() };
        settled.keep(&tenant, run(5));
        assert!(is(&groups, &here, 8) && !is(&groups, &here, 9), "a wish ends");
        let others = Arc::<[Group]>::from([]);
        assert!(!is(&others, &here, 8), "other rules");
        assert!(!is(&groups, &[(name("new"), lease(None))], 8));
        assert!(is(&groups, &[(name("new"), Presence { gone_at_ms: Some(Timestamp(7)), ..lease(None) })], 8));
        assert!(is(&groups, &here[1..], 4 + SETTLED_MS) && !is(&groups, &here[1..], 5 + SETTLED_MS));
    }

    #[test]
    fn tenants_that_are_remembered_at_the_limit_and_one_past_it() {
        let (settled, groups) = (Settled::default(), Arc::<[Group]>::from([]));
        let tenant = |n: usize| TenantId::new(&format!("t{n}")).unwrap();
        let keep = |n: usize| {
            settled.keep(&tenant(n), Run { at: Timestamp(1), groups: groups.clone(), by_themselves: BTreeSet::new() });
        };
        let is = |n: usize| settled.is_settled(&tenant(n), &groups, &[], Timestamp(2));
        (0..SETTLED_TENANTS_MAX).for_each(keep);
        assert!(is(0) && is(SETTLED_TENANTS_MAX - 1));
        keep(0);
        assert!(is(1), "it was known");
        keep(SETTLED_TENANTS_MAX);
        assert!(!is(0) && is(SETTLED_TENANTS_MAX));
    }

    #[test]
    fn the_pace_that_groups_need() {
        let check = |seconds: &[u64], expected: Option<u64>| {
            let intervals = seconds.iter().map(|s| s * 1_000).collect();
            assert_eq!(pace(&intervals), expected.map(|s| s * 1_000), "{seconds:?}");
        };
        check(&[], None);
        check(&[60], None);
        check(&[120, 300], None);
        check(&[30], Some(30));
        check(&[15, 60], Some(15));
        check(&[15, 30, 60, 300], Some(15));
        check(&[1, 30], Some(1));
        // Every other bucket ends between two minutes.
        check(&[90], Some(30));
        // Not on one step: soon enough for the grace, or as often as they have it in common.
        check(&[45], Some(20));
        check(&[25, 30], Some(20));
        check(&[7, 60], Some(7));
    }
}
