//! States whose rule is not there any more: what fired is told to have ended, then it is forgotten.

use std::collections::BTreeSet;

use alerts::state::{RuleName, RuleState, Scope, Timing, step};
use ports::{Condition, Key, Partition, TenantId, Write, WrittenAll};

use super::{stored, tell_pages};
use crate::connect::parse;
use crate::error::Fault;
use crate::{Context, outbox};

/// Ends the alerts of rules that were removed or renamed.
pub(super) async fn resolve(context: &Context, tenant: &TenantId) -> Result<(), Fault> {
    let ports = &context.ports;
    let mut known = BTreeSet::new();
    for group in context.rules.groups(ports, tenant).await?.iter() {
        known.extend([stored::group_sort(group), stored::set_sort(group)]);
        known.extend(group.rules.iter().map(|rule| stored::rule_sort(group, &rule.id)));
    }
    let now = ports.clock.now();
    let mut changed = false;
    for (sort, item) in stored::all(ports, tenant).await? {
        if known.contains(&sort) {
            continue;
        }
        let key = Key::new(Partition::RuleState(tenant.clone()), sort.clone());
        let mut writes = vec![Write::Delete { key, condition: Condition::Version(item.version) }];
        if let Some((group, rule)) = sort.split_once('/').filter(|_| stored::is_rule(&sort)) {
            let state: RuleState = parse(&item.value, "state of alerts")?;
            let name = RuleName { tenant: tenant.as_str().to_owned(), group: group.to_owned(), rule: rule.to_owned() };
            let timing = Timing { name, for_ms: 0, keep_firing_for_ms: 0, limit: 0 };
            let ended = step(&state, &timing, Scope::Complete { bucket_end: now }, &[]).transitions;
            let told: Vec<_> = ended.iter().map(alerts::notify::alert_of_removed_rule).collect();
            writes.extend(outbox::owe(tenant, now, &told)?);
        }
        // Where the condition fails, an evaluation runs right now; the next tick looks again.
        changed |= ports.table.write_all(writes).await? == WrittenAll::Done;
    }
    if changed {
        tell_pages(context, tenant).await;
    }
    Ok(())
}
