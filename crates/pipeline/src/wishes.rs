//! How soon agents should flush: what somebody watches each second, what a rule needs at the
//! rule's interval. A wish expires by itself, so one that is lost or forgotten costs nothing.

use std::collections::{BTreeMap, BTreeSet};

use ports::{Ports, TenantId};
use promql::{MatchOp, Matcher};
use series::SourceName;
use wire::ServerFrame;

use crate::connect::presences;
use crate::documents::{self, Kind};
use crate::error::Fault;
use crate::live::{self, Subscription};
use crate::{Context, read};

/// Agents flush at this pace by themselves; slower wishes are not sent.
pub const DEFAULT_FLUSH_MS: u64 = 10_000;
/// The pace for what a page watches.
pub const WATCHED_FLUSH_MS: u64 = 1_000;
/// A wish ends after this; pages renew theirs each 30 s, rules at each tick.
pub const WISH_LIFE_MS: i64 = 60_000;
/// How far back the series of a rule are looked for.
const RECENT_MS: i64 = 5 * 60_000;

/// Wishes for what a page watches.
pub(crate) async fn for_watcher(ports: &Ports, tenant: &TenantId, watched: &Subscription) -> Result<(), Fault> {
    let named: Option<BTreeSet<SourceName>> =
        watched.matchers()?.iter().map(|matchers| source_named_by(matchers)).collect();
    let wanted: BTreeMap<SourceName, u64> = match named {
        Some(sources) => sources.into_iter().map(|source| (source, WATCHED_FLUSH_MS)).collect(),
        None => presences(ports, tenant).await?.into_iter().map(|(source, _)| (source, WATCHED_FLUSH_MS)).collect(),
    };
    send(ports, tenant, &wanted).await
}

/// Wishes for rules whose interval is shorter than the agents' own pace.
pub async fn for_rules(context: &Context, tenant: &TenantId) -> Result<(), Fault> {
    let ports = &context.ports;
    let now = ports.clock.now();
    let mut wanted: BTreeMap<SourceName, u64> = BTreeMap::new();
    for document in documents::all(ports, tenant, Kind::Rules).await? {
        let file = documents::rules_of(&document.name, &document.text)?;
        for group in &file.groups {
            let interval_ms = u64::try_from(group.interval_ms).unwrap_or(u64::MAX);
            if interval_ms >= DEFAULT_FLUSH_MS {
                continue;
            }
            for rule in &group.rules {
                let options = promql::Options::default();
                let mut selections = promql::selections(&rule.expr, now, now, 0, &options);
                selections.iter_mut().for_each(|s| s.from = now.plus_ms(-RECENT_MS));
                for source in read::sources_of(context, tenant, &selections).await? {
                    let pace = wanted.entry(source).or_insert(interval_ms);
                    *pace = interval_ms.min(*pace);
                }
            }
        }
    }
    send(ports, tenant, &wanted).await
}

async fn send(ports: &Ports, tenant: &TenantId, wanted: &BTreeMap<SourceName, u64>) -> Result<(), Fault> {
    let expires_at_ms = ports.clock.now().plus_ms(WISH_LIFE_MS);
    for (source, presence) in presences(ports, tenant).await? {
        let Some(pace) = wanted.get(&source).filter(|_| presence.gone_at_ms.is_none()) else { continue };
        let wish = ServerFrame::Wish { flush_every_ms: *pace, expires_at_ms };
        // Gone or throttled: the agent keeps its own pace, which loses nothing.
        live::post(ports, &presence.connection, &wish).await?;
    }
    Ok(())
}

/// The one source that a selector can match, where it says so.
fn source_named_by(matchers: &[Matcher]) -> Option<SourceName> {
    let named = matchers.iter().find(|m| matches!(m.name(), "source" | "instance") && m.op() == MatchOp::Equal)?;
    SourceName::new(named.value()).ok()
}
