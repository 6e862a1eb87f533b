//! From the outbox into groups: the alerts of an item go into the groups of every way out, and leave
//! the outbox, in one conditional write.
//!
//! What one write cannot take is moved in several: each takes some alerts into all of their groups
//! and leaves the others in the item. So whatever was owed gets out, however large its groups are.

use std::collections::BTreeMap;

use alerts::notify::{Alert, Group, group_labels};
use ports::{
    Condition, Item, Key, Partition, TenantId, Timestamp, WRITE_ALL_BYTES_MAX, WRITES_AT_ONCE_MAX, Write, WrittenAll,
};

use super::ways::{Way, Ways};
use super::{Owed, WRITE_ATTEMPTS_MAX, busy, bytes_of, group_write, owed_of, place, wake_at};
use crate::Context;
use crate::error::Fault;

/// What a group's item holds beside its alerts at most: labels, answers, what was told and what may
/// have been.
const GROUP_REST_BYTES: usize = 100_000;

/// A group that takes in alerts.
struct Filling {
    group: Group,
    condition: Condition,
    /// It has an earlier change of one of the alerts that is due and not told.
    covers: bool,
    /// What its item will have at most.
    bytes: usize,
}

/// Moves an item and answers the groups that are due now.
pub(super) async fn into_groups(
    context: &Context,
    tenant: &TenantId,
    ways: &Ways,
    item: Item,
    owed: Owed,
) -> Result<Vec<String>, Fault> {
    let table = &context.ports.table;
    let key = Key::new(Partition::Outbox(tenant.clone()), item.sort.clone());
    let (mut item, mut owed) = (item, owed);
    let mut due = Vec::new();
    let mut lost = 0;
    let mut asked_first = false;
    loop {
        let now = context.ports.clock.now();
        let (groups, taken) = fill(context, tenant, ways, &owed, now).await?;
        let covered: Vec<String> =
            groups.iter().filter(|(_, filling)| filling.covers).map(|(sort, _)| sort.clone()).collect();
        // Somebody else has moved the change before this one, and has not come to send it. The write
        // below asks for the groups as they were read, so this cannot be overtaken.
        if owed.is_fresh(now) && !covered.is_empty() && !asked_first {
            asked_first = true;
            super::flush_all(context, tenant, covered).await?;
            continue;
        }
        let rest = Owed { alerts: owed.alerts.split_off(taken), ..owed };
        let (key, condition) = (key.clone(), Condition::Version(item.version));
        let left = match rest.alerts.as_slice() {
            [] => Write::Delete { key, condition },
            _ => Write::Put { key, value: bytes_of(&rest)?.into(), expires_at: item.expires_at, condition },
        };
        let mut writes = vec![left];
        for (sort, filling) in &groups {
            writes.push(group_write(tenant, sort, &filling.group, filling.condition, now)?);
        }
        match table.write_all(writes).await? {
            WrittenAll::Done => {
                due.extend(after_moving(context, tenant, &groups, now).await?);
                if rest.alerts.is_empty() {
                    return Ok(due);
                }
            }
            // Somebody else has moved it.
            WrittenAll::ConditionFailed { index: 0, .. } => return Ok(due),
            WrittenAll::ConditionFailed { .. } => lost += 1,
        }
        if lost > WRITE_ATTEMPTS_MAX {
            return Err(busy());
        }
        let Some(again) = table.get(&Key::new(Partition::Outbox(tenant.clone()), item.sort.clone())).await? else {
            return Ok(due);
        };
        (owed, item) = (owed_of(&again)?, again);
    }
}

/// The groups with the first alerts taken in, and how many those are: as many as one write takes.
async fn fill(
    context: &Context,
    tenant: &TenantId,
    ways: &Ways,
    owed: &Owed,
    now: Timestamp,
) -> Result<(BTreeMap<String, Filling>, usize), Fault> {
    let mut groups: BTreeMap<String, Filling> = BTreeMap::new();
    // The item itself, with all that may stay in it.
    let mut bytes = owed.alerts.iter().map(Alert::bytes).sum::<usize>();
    for (taken, alert) in owed.alerts.iter().enumerate() {
        let labels = group_labels(&alert.labels);
        let ways: Vec<(String, Way)> =
            owed.ways(ways, alert).into_iter().map(|way| (place(&way.receiver, &way.channel, &labels), way)).collect();
        let mut new = BTreeMap::new();
        for (sort, way) in &ways {
            if !groups.contains_key(sort) && !new.contains_key(sort) {
                new.insert(sort.clone(), read(context, tenant, sort, way, &labels).await?);
            }
        }
        let more = new.values().map(|filling: &Filling| filling.bytes).sum::<usize>() + ways.len() * alert.bytes();
        let too_many = groups.len() + new.len() + 1 > WRITES_AT_ONCE_MAX || bytes + more > WRITE_ALL_BYTES_MAX;
        if too_many && taken > 0 {
            return Ok((groups, taken));
        }
        bytes += more;
        groups.extend(new);
        for (sort, way) in &ways {
            let Some(filling) = groups.get_mut(sort) else { continue };
            let wait_ms = if owed.test.is_some() { 0 } else { way.group_wait_ms };
            filling.covers |= filling.group.would_cover(alert, now);
            filling.group.add(alert, now, wait_ms);
            // A person waits for the answer of a test: it does not wait for the receiver's next turn.
            if owed.test.is_some() && filling.group.due_at.is_some() {
                filling.group.due_at = Some(now);
            }
        }
    }
    Ok((groups, owed.alerts.len()))
}

async fn read(
    context: &Context,
    tenant: &TenantId,
    sort: &str,
    way: &Way,
    labels: &BTreeMap<String, String>,
) -> Result<Filling, Fault> {
    let known = super::read_group(&context.ports, tenant, sort).await?;
    let new = || (Group::new(&way.receiver, way.channel.clone(), labels.clone()), Condition::Absent);
    let (group, condition) = known.unwrap_or_else(new);
    let bytes = group.alerts.values().map(Alert::bytes).sum::<usize>() + GROUP_REST_BYTES;
    Ok(Filling { group, condition, covers: false, bytes })
}

async fn after_moving(
    context: &Context,
    tenant: &TenantId,
    groups: &BTreeMap<String, Filling>,
    now: Timestamp,
) -> Result<Vec<String>, Fault> {
    let mut due = Vec::new();
    for (sort, filling) in groups {
        match filling.group.due_at {
            Some(at) if at <= now => due.push(sort.clone()),
            Some(at) => wake_at(context, tenant, sort, at).await?,
            None => {}
        }
    }
    Ok(due)
}
