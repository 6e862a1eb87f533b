//! Receivers: when did which one last take a notification, and a test message for each.

use std::collections::BTreeMap;

use alerts::notify::{Alert, Group, group_labels};
use alerts::routing::Channel;
use alerts::state::TransitionKind;
use ports::{Condition, Delivery, Key, Partition, PortError, Ports, TenantId, Timestamp, Write};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{bytes_of, hash, publish, routing, waiting};
use crate::Context;
use crate::connect::parse;
use crate::error::Fault;
use crate::evaluate::external;

/// Characters of a receiver's name that stand in its place.
const NAME_CHARS_MAX: usize = 60;

/// What is known of one way out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// The receiver's name.
    receiver: String,
    /// Where to, without secrets.
    to: String,
    /// When it last took something.
    last_ok_at_ms: Option<Timestamp>,
    /// Since when it takes nothing.
    failing_since_ms: Option<Timestamp>,
    /// Its last answer.
    last_answer: String,
    /// When that was.
    last_at_ms: Timestamp,
}

/// The receiver's part of places: readable, and different for each way out.
pub(super) fn place(receiver: &str, channel: &Channel) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let name: String = receiver.chars().take(NAME_CHARS_MAX).map(plain).collect();
    let way = match channel {
        Channel::Pager => "pager".to_owned(),
        Channel::Mail => "mail".to_owned(),
        Channel::Webhook { url, .. } => url.clone(),
    };
    format!("{name}-{}", &hash(&format!("{}:{receiver}{way}", receiver.len()))[..16])
}

/// Remembers an answer. The last one stays, whoever writes it.
pub(super) async fn note(
    ports: &Ports,
    tenant: &TenantId,
    receiver: &str,
    channel: &Channel,
    answer: &Result<Delivery, PortError>,
) -> Result<(), Fault> {
    let key = Key::new(Partition::Receivers(tenant.clone()), place(receiver, channel));
    let before: Known = match ports.table.get(&key).await? {
        Some(item) => parse(&item.value, "receiver")?,
        None => Known::default(),
    };
    let now = ports.clock.now();
    let delivered = matches!(answer, Ok(delivery) if delivery.delivered);
    let known = Known {
        receiver: receiver.to_owned(),
        to: shown(channel),
        last_ok_at_ms: if delivered { Some(now) } else { before.last_ok_at_ms },
        failing_since_ms: if delivered { None } else { before.failing_since_ms.or(Some(now)) },
        last_answer: answer.as_ref().map_or_else(|error| error.what.clone(), |delivery| delivery.answer.clone()),
        last_at_ms: now,
    };
    ports.table.write(Write::put(key, bytes_of(&known)?, Condition::Always)).await?;
    Ok(())
}

/// Who would be woken: `connected` once a way out that is configured has taken a notification, and
/// as long as its last answer was not a failure.
pub async fn pager(context: &Context, tenant: &TenantId) -> Result<Value, Fault> {
    let ports = &context.ports;
    let channels = routing(ports, tenant).await?.map(|routing| (routing.receiver.clone(), routing.channels()));
    let (receiver, channels) = channels.unwrap_or_default();
    let mut connected = false;
    let mut shown_receivers = Vec::new();
    for channel in &channels {
        let key = Key::new(Partition::Receivers(tenant.clone()), place(&receiver, channel));
        let known: Known = match ports.table.get(&key).await? {
            Some(item) => parse(&item.value, "receiver")?,
            None => Known { receiver: receiver.clone(), to: shown(channel), ..Known::default() },
        };
        connected |= known.last_ok_at_ms.is_some() && known.failing_since_ms.is_none();
        shown_receivers.push(json!({
            "name": known.receiver,
            "to": known.to,
            "delivered": known.last_ok_at_ms.is_some() && known.failing_since_ms.is_none(),
            "answer": known.last_answer,
            "at_ms": known.last_at_ms,
            "last_ok_at_ms": known.last_ok_at_ms,
            "failing_since_ms": known.failing_since_ms,
        }));
    }
    let waiting: Vec<Value> = waiting(context, tenant)
        .await?
        .iter()
        .map(|group| {
            json!({
                "receiver": group.receiver,
                "to": shown(&group.channel),
                "labels": group.labels,
                "due_at_ms": group.due_at,
                "attempts": group.attempts,
            })
        })
        .collect();
    Ok(json!({ "connected": connected, "receivers": shown_receivers, "waiting": waiting }))
}

/// Sends a test notification to every way out of the chosen receiver, or of the one named.
pub async fn send_test(context: &Context, tenant: &TenantId, receiver: Option<&str>) -> Result<Vec<Delivery>, Fault> {
    let ports = &context.ports;
    let Some(mut routing) = routing(ports, tenant).await? else {
        return Err(Fault::Unprocessable("no routing file is stored: nobody would be told".to_owned()));
    };
    if let Some(name) = receiver {
        name.clone_into(&mut routing.receiver);
    }
    if routing.chosen().is_none() {
        return Err(Fault::NotFound(format!("there is no receiver {:?}", routing.receiver)));
    }
    let now = ports.clock.now();
    let alert = test_alert(now)?;
    let mut deliveries = Vec::new();
    for channel in routing.channels() {
        let mut group = Group::new(&routing.receiver, channel, group_labels(&alert.labels));
        group.add(&alert, now, 0);
        let answer = publish(ports, &group, &external(context)).await;
        note(ports, tenant, &group.receiver, &group.channel, &answer).await?;
        deliveries.push(answer.unwrap_or_else(|error| Delivery {
            to: shown(&group.channel),
            delivered: false,
            answer: error.what,
        }));
    }
    Ok(deliveries)
}

fn test_alert(now: Timestamp) -> Result<Alert, Fault> {
    let labels =
        series::Labels::from_pairs([("alertname", "DaywatchTest"), ("instance", "daywatch"), ("severity", "page")])
            .map_err(|e| Fault::Internal(e.to_string()))?;
    let summary = "This is a test: no alert fires. Whoever reads it would have been told of one.";
    Ok(Alert {
        transition_id: hash(&format!("test {now}")),
        kind: TransitionKind::Firing,
        labels,
        annotations: BTreeMap::from([("summary".to_owned(), summary.to_owned())]),
        active_at: now,
        starts_at: now,
        ends_at: None,
        value: 1.0,
        bound: "> 0".to_owned(),
        note: String::new(),
        generator_url: String::new(),
    })
}

/// A way out fit for logs and pages: no user, no password, no query, no fragment.
fn shown(channel: &Channel) -> String {
    let url = match channel {
        Channel::Pager => return "pager".to_owned(),
        Channel::Mail => return "mail".to_owned(),
        Channel::Webhook { url, .. } => url,
    };
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let rest = &rest[..end];
    let host_end = rest.find('/').unwrap_or(rest.len());
    let host = rest[..host_end].rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{}", &rest[host_end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_holds_no_secret() {
        let shown = |url: &str| shown(&Channel::Webhook { url: url.to_owned(), send_resolved: true });
        assert_eq!(shown("https://u:p@h.example:8443/a/b?token=s#x"), "https://h.example:8443/a/b");
        assert_eq!(shown("http://h"), "http://h");
        assert_eq!(shown("http://h?x@y"), "http://h");
    }

    #[test]
    fn places_are_short_and_differ() {
        let web = |url: &str| Channel::Webhook { url: url.to_owned(), send_resolved: true };
        assert_ne!(place("a", &web("http://h/1")), place("a", &web("http://h/2")));
        assert_ne!(place("a", &Channel::Pager), place("a", &Channel::Mail));
        let long = place(&"ü/".repeat(500), &Channel::Pager);
        assert!(long.len() <= NAME_CHARS_MAX + 17 && !long.contains('/'), "{long}");
    }
}
