//! What people are owed: from the outbox into notification groups, and from there to receivers.
//!
//! ```text
//! evaluation   state + owed alerts              one conditional write
//! dispatch     owed alerts → groups             one conditional write, the outbox item goes with it
//! flush        claim → publish → mark           the claim and the mark are conditional writes
//! ```
//!
//! A crash anywhere before `publish` sends later; a crash between `publish` and `mark` sends once
//! more after the claim has ended ([`alerts::notify::CLAIM_MS`]): that is the one window in which a page may come
//! twice. What the claim was to tell counts as possibly told, so its end is told even if it came before
//! the claim ended. A receiver that takes a message and whose answer is lost on the way is the same window seen
//! from outside; a repeated message has the same `transition_id` and `AlarmName`, by which receivers
//! join. A failed attempt is tried again by timer, later each time, and its answer is kept; an error
//! that nobody knows is tried again like one that may pass. After an answer that says "never", the
//! group waits for its next change and shows the answer.
//!
//! Where there are topics (`ports.topic.has_topics()`), an alert goes to them by its severity, besides
//! the webhooks of the routing file; topics and webhooks are the same to everything here. While there
//! is no way out at all, what is owed waits for [`OWED_LIFE_MS`].

mod moving;
mod order;
mod receivers;
mod test_message;
mod ways;

use std::collections::BTreeMap;

use alerts::instance::External;
use alerts::message::render;
use alerts::notify::{self, Alert, Group, Reason, group_key, needs_notification};
use alerts::routing::Channel;
use futures_util::{StreamExt, stream};
use ports::{
    Condition, Delivery, Destination, Item, Key, Message, Partition, PortError, Ports, TenantId, Timestamp, Wake,
    Write, Written,
};
use serde::{Deserialize, Serialize};

pub use receivers::pager;
pub use test_message::{TEST_LASTS_MS, answers as test_answers, send as send_test};
pub use ways::{GROUP_WAIT_MS_WITHOUT_FILE, MAIL, PAGER, WAYS_MAX};
use ways::{Way, Ways};

use crate::Context;
use crate::connect::parse;
use crate::documents::{self, Kind};
use crate::error::Fault;
use crate::evaluate::external;

/// Alerts of one outbox item: with seven ways out each, one conditional write takes them all.
pub const OWED_ALERTS_MAX: usize = 14;
/// Bytes of one outbox item.
pub const OWED_BYTES_MAX: usize = 200_000;
/// How long what is owed waits for a receiver.
pub const OWED_LIFE_MS: i64 = 24 * 3_600_000;
/// A group that has nothing to tell is forgotten after this.
const GROUP_LIFE_MS: i64 = 24 * 3_600_000;
/// What was owed for longer than this is told together, not change by change.
const FRESH_MS: i64 = 5 * 60_000;
/// Notifications that are sent at the same time.
const FLUSHES_AT_ONCE_MAX: usize = 16;
/// How often a write is tried again when somebody else was faster.
const WRITE_ATTEMPTS_MAX: usize = 20;
/// How often the mark is tried while the table fails in a way that may pass.
const MARK_ATTEMPTS_MAX: usize = 10;
/// A wake-up for whatever is owed.
pub const WAKE_OUTBOX: &str = "outbox";
/// What a wake-up for a notification begins with; the group's place follows.
const WAKE_NOTIFY: &str = "notify:";

/// An item of the outbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Owed {
    at: Timestamp,
    alerts: Vec<Alert>,
    /// Of a test notification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    test: Option<Test>,
}

/// How a test notification differs: it need not go to everybody, and it ends at a known time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Test {
    /// Only this receiver.
    receiver: Option<String>,
    /// Not before this time.
    not_before: Timestamp,
}

impl Owed {
    /// Whether it is told change by change.
    fn is_fresh(&self, now: Timestamp) -> bool {
        self.at.plus_ms(FRESH_MS) > now
    }

    /// The ways out of one of its alerts.
    fn ways(&self, ways: &Ways, alert: &Alert) -> Vec<Way> {
        match self.test.as_ref().and_then(|test| test.receiver.as_ref()) {
            Some(receiver) => ways.to(receiver, &alert.labels),
            None => ways.of(&alert.labels),
        }
    }
}

/// The writes that owe these alerts. Of one alert's several changes each gets an item of its own,
/// so that they are told in their order.
pub(crate) fn owe(tenant: &TenantId, now: Timestamp, alerts: &[Alert]) -> Result<Vec<Write>, Fault> {
    let mut parts: Vec<Vec<Alert>> = Vec::new();
    let mut bytes = 0;
    for alert in alerts {
        let fits = parts.last().is_some_and(|part| {
            part.len() < OWED_ALERTS_MAX
                && bytes + alert.bytes() <= OWED_BYTES_MAX
                && !part.iter().any(|other| other.labels == alert.labels)
        });
        if !fits {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += alert.bytes();
        if let Some(part) = parts.last_mut() {
            part.push(alert.clone());
        }
    }
    let mut writes = Vec::with_capacity(parts.len());
    for (number, alerts) in parts.into_iter().enumerate() {
        let Some(first) = alerts.first() else { continue };
        // Items of one instant stay in order.
        let key = Key::new(Partition::Outbox(tenant.clone()), first.transition_id.clone());
        let at = now.plus_ms(i64::try_from(number).unwrap_or(0));
        let value = bytes_of(&Owed { at, alerts, test: None })?;
        let expires_at = Some(now.plus_ms(OWED_LIFE_MS));
        writes.push(Write::Put { key, value: value.into(), expires_at, condition: Condition::Absent });
    }
    Ok(writes)
}

/// Moves what is owed into its groups and sends what is due.
pub async fn dispatch(context: &Context, tenant: &TenantId) -> Result<(), Fault> {
    let ways = ways(&context.ports, tenant).await?;
    let now = context.ports.clock.now();
    for (item, owed) in all_owed(&context.ports, tenant).await? {
        let waits = owed.test.as_ref().is_some_and(|test| test.not_before > now);
        if waits || owed.alerts.iter().all(|alert| owed.ways(&ways, alert).is_empty()) {
            continue;
        }
        let fresh = owed.is_fresh(now);
        let due = moving::into_groups(context, tenant, &ways, item, owed).await?;
        // A change is told before the next one of the same alert covers it up.
        if fresh {
            flush_all(context, tenant, due).await?;
        }
    }
    let due = due_groups(&context.ports, tenant, now).await?;
    flush_all(context, tenant, due).await
}

/// A wake-up for a notification, or for what is owed.
pub(crate) async fn wake(context: &Context, wake: &Wake) -> Result<(), Fault> {
    if wake.what == WAKE_OUTBOX {
        return dispatch(context, &wake.tenant).await;
    }
    match wake.what.strip_prefix(WAKE_NOTIFY) {
        Some(sort) => flush(context, &wake.tenant, sort).await,
        // Asked for by a newer or older version of ourselves.
        None => Ok(()),
    }
}

/// Where a tenant's notifications can go.
async fn ways(ports: &Ports, tenant: &TenantId) -> Result<Ways, Fault> {
    let document = documents::get(ports, tenant, Kind::Alertmanager, "default").await?;
    let routing = document.map(|document| documents::routing_of(&document.name, &document.text)).transpose()?;
    Ok(Ways { has_topics: ports.topic.has_topics(), routing })
}

async fn all_owed(ports: &Ports, tenant: &TenantId) -> Result<Vec<(Item, Owed)>, Fault> {
    let mut found = Vec::new();
    for item in ports.table.query_all(&Partition::Outbox(tenant.clone()), "", "").await? {
        let owed = owed_of(&item)?;
        found.push((item, owed));
    }
    Ok(order::ordered(found))
}

fn owed_of(item: &Item) -> Result<Owed, Fault> {
    parse(&item.value, "outbox item")
}

async fn due_groups(ports: &Ports, tenant: &TenantId, now: Timestamp) -> Result<Vec<String>, Fault> {
    let mut due = Vec::new();
    for item in ports.table.query_all(&Partition::NotificationGroups(tenant.clone()), "", "").await? {
        let group: Group = parse(&item.value, "notification group")?;
        if group.due_at.is_some_and(|at| at <= now) {
            due.push(item.sort);
        }
    }
    Ok(due)
}

async fn flush_all(context: &Context, tenant: &TenantId, sorts: Vec<String>) -> Result<(), Fault> {
    let flushes = sorts.into_iter().map(|sort| async move { flush(context, tenant, &sort).await });
    // All of them to their end: whoever stopped at the first failure would leave others between
    // sending and marking, and they would be sent twice.
    let done: Vec<Result<(), Fault>> = stream::iter(flushes).buffer_unordered(FLUSHES_AT_ONCE_MAX).collect().await;
    done.into_iter().collect()
}

/// Load → decide → claim → send → mark, for one group.
async fn flush(context: &Context, tenant: &TenantId, sort: &str) -> Result<(), Fault> {
    let ports = &context.ports;
    let Some(claimed) = claim(ports, tenant, sort).await? else { return Ok(()) };
    let answer = publish(ports, &claimed, &external(context)).await;
    if let Err(error) = &answer {
        tracing::warn!(%tenant, sort, receiver = claimed.receiver, %error, "a notification was not taken");
    }
    // Nothing may come between sending and marking: what fails here is sent once more.
    let mut marked = mark(ports, tenant, sort, &claimed, &answer).await;
    for _ in 1..MARK_ATTEMPTS_MAX {
        if !matches!(marked, Err(Fault::Unavailable(_))) {
            break;
        }
        marked = mark(ports, tenant, sort, &claimed, &answer).await;
    }
    if let Some(at) = marked?.due_at {
        wake_at(context, tenant, sort, at).await?;
    }
    receivers::note(ports, tenant, &claimed, &answer).await
}

/// The group, claimed for us, where it is to be sent now. What needs no sending is settled here.
async fn claim(ports: &Ports, tenant: &TenantId, sort: &str) -> Result<Option<Group>, Fault> {
    for _ in 0..WRITE_ATTEMPTS_MAX {
        let Some((mut group, condition)) = read_group(ports, tenant, sort).await? else { return Ok(None) };
        let now = ports.clock.now();
        let reason = needs_notification(&group, now);
        tracing::debug!(%tenant, sort, ?reason, "a notification group is looked at");
        match reason {
            Reason::NotDueYet | Reason::Claimed | Reason::GaveUp => return Ok(None),
            Reason::NothingNew if group.due_at.is_none() => return Ok(None),
            Reason::NothingNew | Reason::ResolvedBeforeTold | Reason::ResolvedNotWanted => {
                let settled = group.clone();
                group.mark_told(&settled, now);
            }
            Reason::NewFiring | Reason::AllResolved | Reason::SomeResolved => {
                group.claim(now);
            }
        }
        let write = group_write(tenant, sort, &group, condition, now)?;
        if let Written::Done(_) = ports.table.write(write).await? {
            return Ok(reason.sends().then_some(group));
        }
    }
    Err(busy())
}

async fn publish(ports: &Ports, group: &Group, external: &External) -> Result<Delivery, PortError> {
    let rendered = render(group, external);
    let message = Message {
        destination: destination(&group.channel),
        subject: rendered.subject,
        attributes: rendered.attributes,
        default: rendered.default,
        email: rendered.email,
        sms: rendered.sms,
    };
    ports.topic.publish(&message).await
}

/// Notes what became of what was sent; what changed meanwhile stays to be told.
async fn mark(
    ports: &Ports,
    tenant: &TenantId,
    sort: &str,
    sent: &Group,
    answer: &Result<Delivery, PortError>,
) -> Result<Group, Fault> {
    for _ in 0..WRITE_ATTEMPTS_MAX {
        let Some((mut group, condition)) = read_group(ports, tenant, sort).await? else { return Ok(sent.clone()) };
        let now = ports.clock.now();
        match answer {
            Ok(delivery) if delivery.delivered => group.mark_told(sent, now),
            Ok(delivery) => group.mark_failed(now, &delivery.answer, false),
            Err(error) => group.mark_failed(now, &error.what, error.class == ports::ErrorClass::Permanent),
        }
        let write = group_write(tenant, sort, &group, condition, now)?;
        if let Written::Done(_) = ports.table.write(write).await? {
            return Ok(group);
        }
    }
    Err(busy())
}

async fn read_group(ports: &Ports, tenant: &TenantId, sort: &str) -> Result<Option<(Group, Condition)>, Fault> {
    let key = Key::new(Partition::NotificationGroups(tenant.clone()), sort);
    let Some(item) = ports.table.get(&key).await? else { return Ok(None) };
    Ok(Some((parse(&item.value, "notification group")?, Condition::Version(item.version))))
}

fn group_write(
    tenant: &TenantId,
    sort: &str,
    group: &Group,
    condition: Condition,
    now: Timestamp,
) -> Result<Write, Fault> {
    let expires_at = group.is_done().then(|| now.plus_ms(GROUP_LIFE_MS));
    let key = Key::new(Partition::NotificationGroups(tenant.clone()), sort);
    Ok(Write::Put { key, value: bytes_of(group)?.into(), expires_at, condition })
}

/// A group's place: short, because it travels in wake-ups.
fn place(receiver: &str, channel: &Channel, labels: &BTreeMap<String, String>) -> String {
    format!("{}/{}", receivers::place(receiver, channel), hash(&group_key(labels)))
}

fn hash(text: &str) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}

async fn wake_at(context: &Context, tenant: &TenantId, sort: &str, at: Timestamp) -> Result<(), Fault> {
    let wake = Wake { at, tenant: tenant.clone(), what: format!("{WAKE_NOTIFY}{sort}") };
    Ok(context.ports.timer.wake(wake).await?)
}

fn destination(channel: &Channel) -> Destination {
    match channel {
        Channel::Pager => Destination::Pager,
        Channel::Mail => Destination::Mail,
        Channel::Webhook { url, .. } => Destination::Webhook { url: url.clone() },
    }
}

fn bytes_of(value: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|e| Fault::Internal(e.to_string()))
}

fn busy() -> Fault {
    PortError::transient("table", "a notification group is written by many").into()
}

/// Everything that is still to be told, for whoever asks whether all is quiet.
pub async fn waiting(context: &Context, tenant: &TenantId) -> Result<Vec<notify::Group>, Fault> {
    let items = context.ports.table.query_all(&Partition::NotificationGroups(tenant.clone()), "", "").await?;
    let groups: Result<Vec<Group>, Fault> = items.iter().map(|item| parse(&item.value, "notification group")).collect();
    Ok(groups?.into_iter().filter(|group| group.due_at.is_some() || !group.attempts.is_empty()).collect())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod topic_tests;
