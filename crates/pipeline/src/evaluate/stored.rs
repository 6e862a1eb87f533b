//! The items that evaluation keeps: a state for each rule, and for each group how far it has come.

use std::collections::BTreeMap;

use alerts::closing::{ClosedBy, Selected};
use alerts::notify::Alert;
use alerts::rules::Group;
use alerts::state::{RuleState, Stepped};
use ports::{Condition, Key, Partition, Ports, TenantId, Timestamp, Write, Written, WrittenAll};
use serde::{Deserialize, Serialize};

use super::Place;
use crate::connect::parse;
use crate::error::Fault;
use crate::outbox;

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
    /// The series that its rules selected in it.
    #[serde(default)]
    pub(super) selected: Vec<Selected>,
    /// Buckets that were never evaluated, because too many were due at once.
    #[serde(default)]
    pub(super) skipped: u64,
    /// What went wrong in it, by rule.
    #[serde(default)]
    pub(super) errors: BTreeMap<String, String>,
}

impl GroupItem {
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

pub(super) async fn group(ports: &Ports, tenant: &TenantId, group: &Group) -> Result<Known<GroupItem>, Fault> {
    read(ports, &group_key(tenant, group)).await
}

/// False: somebody else has evaluated the bucket meanwhile.
pub(super) async fn save_group(
    ports: &Ports,
    tenant: &TenantId,
    group: &Group,
    known: &mut Known<GroupItem>,
) -> Result<bool, Fault> {
    let write = Write::put(group_key(tenant, group), bytes(&known.value)?, known.condition);
    match ports.table.write(write).await? {
        Written::Done(version) => {
            known.condition = Condition::Version(version);
            Ok(true)
        }
        Written::ConditionFailed(_) => Ok(false),
    }
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
