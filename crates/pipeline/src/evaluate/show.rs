//! Rules and alerts as Prometheus's API shows them.

use std::collections::BTreeMap;

use alerts::instance::annotations;
use alerts::message::rfc3339;
use alerts::rules::Rule;
use alerts::state::{Phase, RuleState};
use ports::{Item, TenantId};
use serde_json::{Value, json};
use wire::WatchedAlert;

use super::external;
use super::stored::{self, GroupItem};
use crate::Context;
use crate::connect::parse;
use crate::error::Fault;

/// `data` of `/api/v1/rules`.
pub async fn rules(context: &Context, tenant: &TenantId) -> Result<Value, Fault> {
    let stored = stored::all(&context.ports, tenant).await?;
    let mut groups = Vec::new();
    for group in context.rules.groups(&context.ports, tenant).await?.iter() {
        let item: GroupItem = read(&stored, &stored::group_sort(group))?;
        let mut rules = Vec::with_capacity(group.rules.len());
        for rule in &group.rules {
            let state: RuleState = read(&stored, &stored::rule_sort(group, &rule.id))?;
            rules.push(shown_rule(context, rule, &state, &item));
        }
        groups.push(json!({
            "name": group.name,
            "file": group.file,
            "interval": seconds(group.interval_ms),
            "limit": group.limit,
            "rules": rules,
            "evaluationTime": 0,
            "lastEvaluation": rfc3339(item.evaluated_at),
            "skippedBuckets": item.skipped,
        }));
    }
    Ok(json!({ "groups": groups }))
}

/// All pending and firing alerts, the firing ones first.
pub async fn alerts(context: &Context, tenant: &TenantId) -> Result<Vec<WatchedAlert>, Fault> {
    let stored = stored::all(&context.ports, tenant).await?;
    let mut found = Vec::new();
    for group in context.rules.groups(&context.ports, tenant).await?.iter() {
        for rule in &group.rules {
            let state: RuleState = read(&stored, &stored::rule_sort(group, &rule.id))?;
            found.extend(shown_alerts(context, rule, &state));
        }
    }
    found.sort_by(|a, b| (&a.state, &a.active_at, &a.labels).cmp(&(&b.state, &b.active_at, &b.labels)));
    Ok(found)
}

fn read<T: Default + serde::de::DeserializeOwned>(stored: &BTreeMap<String, Item>, sort: &str) -> Result<T, Fault> {
    stored.get(sort).map_or_else(|| Ok(T::default()), |item| parse(&item.value, "state of alerts"))
}

fn shown_rule(context: &Context, rule: &Rule, state: &RuleState, group: &GroupItem) -> Value {
    let error = group.errors.get(&rule.id).cloned().unwrap_or_default();
    let refused = if state.refused > 0 { format!("{} alerts found no room", state.refused) } else { String::new() };
    let error = if error.is_empty() { refused } else { error };
    let health = match (error.is_empty(), group.closed_by.is_some() || !state.instances.is_empty()) {
        (false, _) => "err",
        (true, true) => "ok",
        (true, false) => "unknown",
    };
    let labels: BTreeMap<&str, &str> = rule.labels.iter().map(|(n, t)| (n.as_str(), t.source())).collect();
    let mut shown = json!({
        "name": rule.name,
        "query": rule.expr.text(),
        "labels": labels,
        "health": health,
        "evaluationTime": 0,
        "lastEvaluation": rfc3339(group.evaluated_at),
        "type": if rule.alert().is_some() { "alerting" } else { "recording" },
    });
    if !error.is_empty() {
        shown["lastError"] = json!(error);
    }
    if let Some(alert) = rule.alert() {
        let texts: BTreeMap<&str, &str> = alert.annotations.iter().map(|(n, t)| (n.as_str(), t.source())).collect();
        let alerts = shown_alerts(context, rule, state);
        let phase = ["firing", "pending"].into_iter().find(|phase| alerts.iter().any(|a| a.state == *phase));
        shown["state"] = json!(phase.unwrap_or("inactive"));
        shown["duration"] = json!(seconds(alert.for_ms));
        shown["keepFiringFor"] = json!(seconds(alert.keep_firing_for_ms));
        shown["annotations"] = json!(texts);
        shown["alerts"] = json!(alerts);
    }
    shown
}

fn shown_alerts(context: &Context, rule: &Rule, state: &RuleState) -> Vec<WatchedAlert> {
    let external = external(context);
    let active = state.instances.values().filter(|known| known.phase != Phase::Inactive);
    active
        .map(|known| WatchedAlert {
            labels: known.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            annotations: annotations(rule, &known.labels, known.value, &external),
            state: if known.phase == Phase::Firing { "firing" } else { "pending" }.to_owned(),
            active_at: rfc3339(known.active_at),
            value: promql::format_value(known.value),
        })
        .collect()
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}
