//! Newest samples and check states, straight from the stream.
//!
//! Only rules that are one threshold on one selector are looked at, so nothing is read but their
//! own states. A record that cannot be read is `aggregate`'s to quarantine. A rule is evaluated at
//! every sample's own instant, which is at least as often as its group's interval says.

use std::collections::BTreeMap;
use std::sync::Arc;

use alerts::instance::{External, newest};
use alerts::rules::{Group, Rule};
use alerts::state::Observation;
use ports::{Delivered, TenantId, Timestamp};
use series::{Labels, METRIC_NAME, SourceName};
use wire::{CheckResult, CheckState, Decoded, SeriesColumn, StreamEnvelope};

use super::{Place, apply_newest, bucket, external, set_aside};
use crate::error::Fault;
use crate::{Context, checks, outbox};

/// The metric of check states; what the check printed is told with the alert.
const CHECK_STATUS: &str = "check_status";

/// What one invocation has seen of a tenant.
#[derive(Default)]
struct Seen {
    /// The rules by which series were judged: the same judge them to the end.
    groups: Option<Arc<[Group]>>,
    batches: Vec<(SourceName, Series)>,
    checks: BTreeMap<SourceName, Vec<CheckResult>>,
}

/// A batch's series.
enum Series {
    /// All of them.
    Read(Arc<Decoded>),
    /// Those that a direct rule looks at.
    Judged(Vec<SeriesColumn>),
}

impl Series {
    fn columns(&self) -> &[SeriesColumn] {
        match self {
            Self::Read(decoded) => &decoded.batch.series,
            Self::Judged(columns) => columns,
        }
    }
}

pub(super) async fn take(context: &Context, records: &[Delivered]) -> Result<(), Fault> {
    let mut outcome = Ok(());
    for (tenant, seen) in read(context, records).await {
        let judged = tenant_seen(context, &tenant, &seen).await;
        outcome = outcome.and(set_aside(context, &tenant, "rules", judged).await);
        // After the alerts: what the page shows must not hold up what wakes people.
        for (source, results) in &seen.checks {
            let noted = checks::note(&context.ports, &tenant, source, results).await;
            outcome = outcome.and(set_aside(context, &tenant, source.as_str(), noted).await);
        }
    }
    outcome
}

/// One rule that fails does not stop the others, nor what is owed from being sent. Each failure is
/// judged by itself, so that one that cannot pass does not hide one that may.
async fn tenant_seen(context: &Context, tenant: &TenantId, seen: &Seen) -> Result<(), Fault> {
    let now = context.ports.clock.now();
    // What is older than the lookback says nothing about now: a backlog pages nobody.
    let not_before = now.plus_ms(-promql::LOOKBACK_MS);
    let groups = match &seen.groups {
        Some(groups) => Arc::clone(groups),
        None => context.rules.groups(&context.ports, tenant).await?,
    };
    let external = external(context);
    let mut outcome = Ok(());
    let mut owed = false;
    for (group, rule) in direct_rules(&groups) {
        let observations = observe(rule, seen, &external);
        if observations.is_empty() {
            continue;
        }
        match apply_newest(context, Place { tenant, group, rule }, not_before, observations).await {
            Err(fault) => outcome = outcome.and(set_aside(context, tenant, &rule.id, Err(fault)).await),
            Ok(applied) => {
                owed |= applied.owed;
                if applied.changed {
                    let woken = bucket::wake_next(context, tenant, group, now).await;
                    outcome = outcome.and(set_aside(context, tenant, &rule.id, woken).await);
                }
            }
        }
    }
    if owed {
        let sent = outbox::dispatch(context, tenant).await;
        outcome = outcome.and(set_aside(context, tenant, "outbox", sent).await);
    }
    outcome
}

async fn read(context: &Context, records: &[Delivered]) -> BTreeMap<TenantId, Seen> {
    let mut tenants: BTreeMap<TenantId, Seen> = BTreeMap::new();
    for record in records {
        let Ok(envelope) = StreamEnvelope::decode(record.data.clone()) else { continue };
        let Some((epoch, seq, bytes)) = envelope.batch() else { continue };
        let series = match context.decoded.handed((epoch, seq), bytes) {
            Some(numbered) => {
                let seen = tenants.entry(envelope.tenant.clone()).or_default();
                if seen.groups.is_none() {
                    // Where they cannot be read now, whoever judges tries again, and looks at every series.
                    seen.groups = context.rules.groups(&context.ports, &envelope.tenant).await.ok();
                }
                match &seen.groups {
                    Some(groups) => numbered.judged(groups, |labels| is_looked_at(groups, labels)),
                    None => numbered.columns(),
                }
            }
            None => {
                let decoded = context.decoded.read(&context.series, record, &envelope.tenant, bytes);
                let Ok(decoded) = decoded else { continue };
                let seen = tenants.entry(envelope.tenant).or_default();
                if !decoded.batch.checks.is_empty() {
                    let checks = seen.checks.entry(envelope.source.clone()).or_default();
                    checks.extend(decoded.batch.checks.iter().cloned());
                }
                seen.batches.push((envelope.source, Series::Read(decoded)));
                continue;
            }
        };
        let seen = tenants.entry(envelope.tenant).or_default();
        if !series.is_empty() {
            seen.batches.push((envelope.source, Series::Judged(series)));
        }
    }
    tenants
}

/// Whether any direct rule looks at these labels.
fn is_looked_at(groups: &[Group], labels: &Labels) -> bool {
    let mut direct = direct_rules(groups).filter_map(|(_, rule)| rule.direct.as_ref());
    direct.any(|direct| promql::all_match(&direct.matchers, labels))
}

fn direct_rules(groups: &[Group]) -> impl Iterator<Item = (&Group, &Rule)> {
    let rules = groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule)));
    rules.filter(|(_, rule)| rule.direct.is_some() && rule.alert().is_some())
}

fn observe(rule: &Rule, seen: &Seen, external: &External) -> Vec<Observation> {
    let mut found = Vec::new();
    let Some(direct) = &rule.direct else { return found };
    let columns = seen.batches.iter().flat_map(|(source, series)| {
        let columns = series.columns().iter();
        columns.map(move |column| (source, &column.labels, &column.samples))
    });
    for (source, labels, samples) in columns.filter(|(_, labels, _)| promql::all_match(&direct.matchers, labels)) {
        let is_status = labels.get(METRIC_NAME) == Some(CHECK_STATUS);
        for sample in samples {
            let result = if is_status { seen.check(source, labels, sample.at) } else { None };
            match newest(rule, labels, *sample, external) {
                None => break,
                // Labels past their limits: the evaluation over storage shows the error.
                Some(Err(_)) => break,
                // A check that is to be tried again before it counts says nothing yet.
                Some(Ok(_)) if result.is_some_and(|result| !result.hard && result.state != CheckState::Ok) => {}
                Some(Ok(mut observation)) => {
                    if let Some(result) = result {
                        observation.note = result.text.lines().next().unwrap_or_default().to_owned();
                    }
                    found.push(observation);
                }
            }
        }
    }
    found
}

impl Seen {
    /// The run that a status sample is of, among those of the same source (others have checks of
    /// that name too): the sample has the run's start, the result its end.
    fn check(&self, source: &SourceName, labels: &Labels, at: Timestamp) -> Option<&CheckResult> {
        let name = labels.get("check")?;
        let runs = self.checks.get(source)?.iter().filter(|result| result.check == name && result.at >= at);
        runs.min_by_key(|result| result.at)
    }
}
