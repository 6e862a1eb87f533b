//! The items that evaluation keeps: a state for each rule, and for each group how far it has come.

use std::collections::BTreeMap;

use alerts::closing::{ClosedBy, Selected};
use alerts::notify::Alert;
use alerts::rules::Group;
use alerts::state::{RuleState, Stepped};
use ports::{Condition, Key, Partition, PortError, Ports, TenantId, Timestamp, Write, Written, WrittenAll};
use serde::{Deserialize, Serialize};

use super::Place;
use super::selected::{self, Kept};
use crate::Context;
use crate::connect::parse;
use crate::error::Fault;
use crate::outbox;

/// What stands for a rule's id in the key of a group's series.
const SET: &str = "~series";
/// How often a group and its series are read again where both were written between the two reads.
const READ_ATTEMPTS_MAX: usize = 5;
/// Bytes of an error's text that are kept.
const ERROR_BYTES_MAX: usize = 500;

/// A stored value, and what must hold for its next write.
pub(super) struct Known<T> {
    pub(super) value: T,
    pub(super) condition: Condition,
}

/// How far a group has come: the closing watermark that a backtest replays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct GroupItem {
    /// The end of the last bucket that was evaluated.
    pub(super) last: Option<Timestamp>,
    /// When that was.
    pub(super) evaluated_at: Timestamp,
    /// Why that bucket closed.
    pub(super) closed_by: Option<ClosedBy>,
    /// The series that its rules selected in it; kept as `kept` says.
    #[serde(skip)]
    pub(super) selected: Vec<Selected>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept: Option<Kept>,
    /// Buckets that were never evaluated, because too many were due at once.
    #[serde(default)]
    pub(super) skipped: u64,
    /// What went wrong in it, by rule.
    #[serde(default)]
    pub(super) errors: BTreeMap<String, String>,
}

impl GroupItem {
    /// The bucket that ended last is evaluated, and this is what counts in the next one.
    pub(super) fn closed(
        &mut self,
        end: Timestamp,
        evaluated_at: Timestamp,
        closed_by: ClosedBy,
        selected: Vec<Selected>,
    ) {
        self.last = Some(end);
        self.evaluated_at = evaluated_at;
        self.closed_by = Some(closed_by);
        self.selected = selected;
        self.errors.clear();
    }

    pub(super) fn fail(&mut self, rule: &str, error: &impl ToString) {
        let mut text = error.to_string();
        let mut end = text.len().min(ERROR_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        self.errors.insert(rule.to_owned(), text);
    }
}

/// A rule's state; a new one where there is none.
pub(super) async fn rule(ports: &Ports, place: Place<'_>) -> Result<Known<RuleState>, Fault> {
    read(ports, &rule_key(place)).await
}

/// Writes a state together with what it owes, all or nothing. False: somebody else was faster.
pub(super) async fn save(
    ports: &Ports,
    place: Place<'_>,
    known: &Known<RuleState>,
    state: &RuleState,
    owed: &[Alert],
) -> Result<bool, Fault> {
    let value = bytes(state)?;
    let mut writes = vec![Write::put(rule_key(place), value, known.condition)];
    writes.extend(outbox::owe(place.tenant, ports.clock.now(), owed)?);
    Ok(ports.table.write_all(writes).await? == WrittenAll::Done)
}

/// Whether a step changed anything that the next one needs. A complete evaluation of a rule
/// without alerts only moves `through`, and is not worth a write.
pub(super) fn is_worth_saving(before: &RuleState, stepped: &Stepped) -> bool {
    let after = &stepped.state;
    !stepped.transitions.is_empty() || before.instances != after.instances || before.refused != after.refused
}

/// How far a group has come. Which series it selected is read only where this process has not seen the set.
pub(super) async fn group(context: &Context, tenant: &TenantId, group: &Group) -> Result<Known<GroupItem>, Fault> {
    let ports = &context.ports;
    for _ in 0..READ_ATTEMPTS_MAX {
        let mut known: Known<GroupItem> = read(ports, &group_key(tenant, group)).await?;
        let Some(kept) = &known.value.kept else { return Ok(known) };
        let set = match context.rules.set(&kept.set) {
            Some(set) => Some(set),
            None => ports.table.get(&set_key(tenant, group)).await?.map(|item| item.value),
        };
        // Another set: somebody has evaluated the next bucket between the two reads.
        if let Some(set) = set.filter(|set| selected::hash(set) == kept.set) {
            known.value.selected = selected::selected(kept, &set)?;
            context.rules.remember_set(&kept.set, set);
            return Ok(known);
        }
    }
    let what = format!("the series that group {:?} has selected are not those that its item names", group.id());
    Err(PortError::transient("table", what).into())
}

/// False: somebody else has evaluated the bucket meanwhile.
pub(super) async fn save_group(
    context: &Context,
    tenant: &TenantId,
    group: &Group,
    known: &mut Known<GroupItem>,
) -> Result<bool, Fault> {
    let table = &context.ports.table;
    let kept = selected::keep(&mut known.value.selected)?;
    let name = |kept: &Option<Kept>| kept.as_ref().map(|kept| kept.set.clone());
    let is_new = name(&kept).filter(|set| Some(set) != name(&known.value.kept).as_ref());
    known.value.kept = kept;
    let key = group_key(tenant, group);
    let value = bytes(&known.value)?;
    let write = Write::put(key.clone(), value.clone(), known.condition);
    let Some(set_name) = is_new else {
        return Ok(match table.write(write).await? {
            Written::Done(version) => {
                known.condition = Condition::Version(version);
                true
            }
            Written::ConditionFailed(_) => false,
        });
    };
    let set = selected::set(&known.value.selected);
    let beside = Write::put(set_key(tenant, group), set.clone(), Condition::Always);
    if table.write_all(vec![write, beside]).await? != WrittenAll::Done {
        return Ok(false);
    }
    context.rules.remember_set(&set_name, set.into());
    // Writes at once do not tell their versions; where it is not ours any more, somebody has gone on.
    let Some(item) = table.get(&key).await?.filter(|item| item.value == value) else { return Ok(false) };
    known.condition = Condition::Version(item.version);
    Ok(true)
}

/// All states and group items of a tenant, by place.
pub(super) async fn all(ports: &Ports, tenant: &TenantId) -> Result<BTreeMap<String, ports::Item>, Fault> {
    let items = ports.table.query_all(&Partition::RuleState(tenant.clone()), "", "").await?;
    Ok(items.into_iter().map(|item| (item.sort.clone(), item)).collect())
}

pub(super) fn rule_sort(group: &Group, rule: &str) -> String {
    format!("{}/{rule}", group.id())
}

pub(super) fn group_sort(group: &Group) -> String {
    format!("{}/", group.id())
}

/// Of the series that the group has selected. No rule's id ends like that.
pub(super) fn set_sort(group: &Group) -> String {
    format!("{}/{SET}", group.id())
}

/// Whether it is a state of a rule, not one of a group.
pub(super) fn is_rule(sort: &str) -> bool {
    sort.split_once('/').is_some_and(|(_, rule)| !rule.is_empty() && rule != SET)
}

fn set_key(tenant: &TenantId, group: &Group) -> Key {
    Key::new(Partition::RuleState(tenant.clone()), set_sort(group))
}

fn rule_key(place: Place<'_>) -> Key {
    Key::new(Partition::RuleState(place.tenant.clone()), rule_sort(place.group, &place.rule.id))
}

fn group_key(tenant: &TenantId, group: &Group) -> Key {
    Key::new(Partition::RuleState(tenant.clone()), group_sort(group))
}

async fn read<T: Default + serde::de::DeserializeOwned>(ports: &Ports, key: &Key) -> Result<Known<T>, Fault> {
    Ok(match ports.table.get(key).await? {
        None => Known { value: T::default(), condition: Condition::Absent },
        Some(item) => {
            Known { value: parse(&item.value, "state of alerts")?, condition: Condition::Version(item.version) }
        }
    })
}

fn bytes(value: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|e| Fault::Internal(e.to_string()))
}

#[cfg(test)]
mod tests {
    use embedded::{Embedded, Memory};
    use series::SeriesId;

    use super::*;
    use crate::Settings;

    const RULES: &str = "groups: [{name: g, rules: [{alert: A, expr: m > 5}]}]";

    fn context(memory: &Memory) -> Context {
        let settings = Settings { raw_retention_ms: 0, external_url: String::new(), websocket_url: String::new() };
        Context::new(memory.embedded.ports(), settings)
    }

    fn group_of_rules() -> Group {
        alerts::rules::parse("f", RULES).unwrap().groups.remove(0)
    }

    fn some(ids: &[u128]) -> Vec<Selected> {
        let one = |id: &u128| Selected { series: SeriesId(*id), newest: Timestamp(i64::MIN), step_ms: 10_000 };
        ids.iter().map(one).collect()
    }

    #[tokio::test]
    async fn another_process_finds_what_a_group_has_selected() {
        let memory = Embedded::memory(1).unwrap();
        let (first, second) = (context(&memory), context(&memory));
        let (tenant, rules) = (TenantId::default(), group_of_rules());
        let mut known = group(&first, &tenant, &rules).await.unwrap();
        assert_eq!(known.value, GroupItem::default());
        let mut end = 0;
        for ids in [&[1, 2][..], &[1, 2], &[1, 2, 3], &[], &[1, 2]] {
            end += 60_000;
            known.value.closed(Timestamp(end), Timestamp(end + 1), ClosedBy::AllReported, some(ids));
            assert!(save_group(&first, &tenant, &rules, &mut known).await.unwrap());
            for other in [&first, &second, &context(&memory)] {
                let read = group(other, &tenant, &rules).await.unwrap();
                assert_eq!(read.value, known.value);
                assert_eq!(read.condition, known.condition);
            }
        }
    }

    #[tokio::test]
    async fn of_two_that_evaluate_a_bucket_one_has_it() {
        let memory = Embedded::memory(1).unwrap();
        let (first, second) = (context(&memory), context(&memory));
        let (tenant, rules) = (TenantId::default(), group_of_rules());
        for ids in [&[1][..], &[1], &[1, 2], &[]] {
            let mut one = group(&first, &tenant, &rules).await.unwrap();
            let mut other = group(&second, &tenant, &rules).await.unwrap();
            one.value.closed(Timestamp(1), Timestamp(2), ClosedBy::AllReported, some(ids));
            other.value.closed(Timestamp(1), Timestamp(3), ClosedBy::AllReported, some(&[7, 8]));
            assert!(save_group(&first, &tenant, &rules, &mut one).await.unwrap());
            assert!(!save_group(&second, &tenant, &rules, &mut other).await.unwrap());
            assert_eq!(group(&second, &tenant, &rules).await.unwrap().value, one.value);
        }
    }

    #[tokio::test]
    async fn a_set_that_is_not_the_one_named_is_no_set() {
        let memory = Embedded::memory(1).unwrap();
        let first = context(&memory);
        let (tenant, rules) = (TenantId::default(), group_of_rules());
        let mut known = group(&first, &tenant, &rules).await.unwrap();
        known.value.closed(Timestamp(1), Timestamp(2), ClosedBy::AllReported, some(&[1]));
        assert!(save_group(&first, &tenant, &rules, &mut known).await.unwrap());
        let other = selected::set(&some(&[2]));
        first.ports.table.write(Write::put(set_key(&tenant, &rules), other, Condition::Always)).await.unwrap();
        assert!(group(&first, &tenant, &rules).await.is_ok(), "it remembers");
        let fault = group(&context(&memory), &tenant, &rules).await.err().unwrap();
        assert!(fault.may_pass(), "{fault}");
    }
}
