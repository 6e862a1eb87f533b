//! A test notification: owed like any other, sent by whoever sends the others, and ended by itself.
//!
//! It goes through the outbox so that what it proves holds for the real ones: the same writes, the
//! same claim, the same function that publishes. Only the group's wait is left out.

use std::collections::BTreeMap;

use alerts::notify::Alert;
use alerts::routing::Channel;
use alerts::state::TransitionKind;
use ports::{Condition, Key, Partition, TenantId, Timestamp, Wake, Write, WrittenAll};
use serde_json::{Value, json};

use super::ways::{Way, Ways};
use super::{OWED_LIFE_MS, Owed, Test, WAKE_OUTBOX, bytes_of, destination, hash, receivers, ways};
use crate::Context;
use crate::error::Fault;

/// How long the test alert fires: long enough for a phone to ring, short enough that nobody has to
/// clean up.
pub const TEST_LASTS_MS: i64 = 5 * 60_000;

/// Owes a test notification to every way out, or to those of one receiver, and its end. The answer
/// names it; [`answers`] tells what became of it.
pub async fn send(context: &Context, tenant: &TenantId, receiver: Option<&str>) -> Result<Value, Fault> {
    let ports = &context.ports;
    let ways = ways(ports, tenant).await?;
    let now = ports.clock.now();
    let id = hash(&format!("test {now}"));
    let fires = test_alert(&id, now, None)?;
    if !taken(&ways, receiver, &fires)?.is_empty() {
        let ends_at = now.plus_ms(TEST_LASTS_MS);
        let ends = test_alert(&hash(&format!("test {now} ends")), now, Some(ends_at))?;
        let owed = |at: Timestamp, alert: Alert| {
            let key = Key::new(Partition::Outbox(tenant.clone()), alert.transition_id.clone());
            let test = Some(Test { receiver: receiver.map(str::to_owned), not_before: at });
            let value = bytes_of(&Owed { at, alerts: vec![alert], test })?.into();
            let expires_at = Some(at.plus_ms(OWED_LIFE_MS));
            Ok::<_, Fault>(Write::Put { key, value, expires_at, condition: Condition::Absent })
        };
        match ports.table.write_all(vec![owed(now, fires)?, owed(ends_at, ends)?]).await? {
            WrittenAll::Done => {}
            WrittenAll::ConditionFailed { .. } => {
                return Err(Fault::Conflict("somebody else sends a test just now: try again".to_owned()));
            }
        }
        for at in [now, ends_at] {
            ports.timer.wake(Wake { at, tenant: tenant.clone(), what: WAKE_OUTBOX.to_owned() }).await?;
        }
    }
    answers(context, tenant, &id, receiver).await
}

/// What became of a test notification on each of its ways, and who is subscribed to the topics. A
/// delivery is `pending` until it was tried, and has `reached` somebody when a webhook has taken it,
/// or a topic that somebody has confirmed a subscription to.
pub async fn answers(context: &Context, tenant: &TenantId, id: &str, receiver: Option<&str>) -> Result<Value, Fault> {
    let ports = &context.ports;
    let ways = ways(ports, tenant).await?;
    let alert = test_alert(id, ports.clock.now(), None)?;
    let (subscribers, subscribers_error) = receivers::subscribers(ports).await?;
    let mut deliveries = Vec::new();
    for Way { receiver, channel, .. } in taken(&ways, receiver, &alert)? {
        let known = receivers::known(ports, tenant, &receiver, &channel).await?;
        let pending = known.last_transition_id != id;
        let delivered = !pending && known.works();
        let heard = match &channel {
            Channel::Webhook { .. } => true,
            topic => receivers::is_heard(&subscribers, &destination(topic)),
        };
        deliveries.push(json!({
            "receiver": receiver,
            "to": receivers::shown(&channel),
            "pending": pending,
            "delivered": delivered,
            "reached": delivered && heard,
            "answer": if pending { "" } else { known.last_answer.as_str() },
        }));
    }
    Ok(json!({
        "id": id,
        "deliveries": deliveries,
        "subscribers": subscribers,
        "subscribers_error": subscribers_error,
    }))
}

/// The ways of the test alert. Nobody to tell is an error that says what to do.
fn taken(ways: &Ways, receiver: Option<&str>, alert: &Alert) -> Result<Vec<Way>, Fault> {
    match receiver {
        Some(name) if !ways.knows(name) => {
            let topics = if ways.has_topics { ", and no topic of that name" } else { "" };
            Err(Fault::NotFound(format!("there is no receiver {name:?} in the routing file{topics}")))
        }
        Some(name) => Ok(ways.to(name, &alert.labels)),
        None if !ways.has_topics && ways.routing.is_none() => {
            Err(Fault::Unprocessable("no routing file is stored: nobody would be told".to_owned()))
        }
        None => Ok(ways.of(&alert.labels)),
    }
}

fn test_alert(id: &str, starts_at: Timestamp, ends_at: Option<Timestamp>) -> Result<Alert, Fault> {
    let labels =
        series::Labels::from_pairs([("alertname", "DaywatchTest"), ("instance", "daywatch"), ("severity", "page")])
            .map_err(|e| Fault::Internal(e.to_string()))?;
    let summary = "This is a test: no alert fires. Whoever reads it would have been told of one.";
    Ok(Alert {
        transition_id: id.to_owned(),
        kind: if ends_at.is_some() { TransitionKind::Resolved } else { TransitionKind::Firing },
        labels,
        annotations: BTreeMap::from([("summary".to_owned(), summary.to_owned())]),
        active_at: starts_at,
        starts_at,
        ends_at,
        value: 1.0,
        bound: "> 0".to_owned(),
        note: String::new(),
        generator_url: String::new(),
    })
}
