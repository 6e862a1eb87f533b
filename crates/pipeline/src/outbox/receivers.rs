//! Receivers: when did which one last take a notification, and who is subscribed to the topics.

use alerts::notify::Group;
use alerts::routing::Channel;
use ports::{
    Condition, Delivery, Destination, Key, Partition, PortError, Ports, Subscriber, TenantId, Timestamp, Write,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{bytes_of, hash, waiting, ways};
use crate::Context;
use crate::connect::parse;
use crate::error::Fault;

/// Characters of a receiver's name that stand in its place.
const NAME_CHARS_MAX: usize = 60;

/// What is known of one way out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// The receiver's name.
    pub(super) receiver: String,
    /// Where to, without secrets.
    pub(super) to: String,
    /// When it last took something.
    last_ok_at_ms: Option<Timestamp>,
    /// Since when it takes nothing.
    failing_since_ms: Option<Timestamp>,
    /// Its last answer.
    pub(super) last_answer: String,
    /// When that was.
    last_at_ms: Timestamp,
    /// The notification that it answered.
    #[serde(default)]
    pub(super) last_transition_id: String,
}

impl Known {
    /// Whether its last answer was that it took a notification.
    pub(super) fn works(&self) -> bool {
        self.last_ok_at_ms.is_some() && self.failing_since_ms.is_none()
    }
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

/// Remembers what became of `sent`. The last answer stays, whoever writes it.
pub(super) async fn note(
    ports: &Ports,
    tenant: &TenantId,
    sent: &Group,
    answer: &Result<Delivery, PortError>,
) -> Result<(), Fault> {
    let before = known(ports, tenant, &sent.receiver, &sent.channel).await?;
    let now = ports.clock.now();
    let delivered = matches!(answer, Ok(delivery) if delivery.delivered);
    let known = Known {
        last_ok_at_ms: if delivered { Some(now) } else { before.last_ok_at_ms },
        failing_since_ms: if delivered { None } else { before.failing_since_ms.or(Some(now)) },
        last_answer: answer.as_ref().map_or_else(|error| error.what.clone(), |delivery| delivery.answer.clone()),
        last_at_ms: now,
        last_transition_id: sent.next_transition_id(),
        ..before
    };
    let key = Key::new(Partition::Receivers(tenant.clone()), place(&sent.receiver, &sent.channel));
    ports.table.write(Write::put(key, bytes_of(&known)?, Condition::Always)).await?;
    Ok(())
}

/// What is known of a way out.
pub(super) async fn known(ports: &Ports, tenant: &TenantId, receiver: &str, channel: &Channel) -> Result<Known, Fault> {
    let key = Key::new(Partition::Receivers(tenant.clone()), place(receiver, channel));
    match ports.table.get(&key).await? {
        Some(item) => parse(&item.value, "receiver"),
        None => Ok(Known { receiver: receiver.to_owned(), to: shown(channel), ..Known::default() }),
    }
}

/// Everybody who is subscribed to the topics, and where that is not to be learned the reason.
pub(super) async fn subscribers(ports: &Ports) -> Result<(Vec<Subscriber>, Option<String>), Fault> {
    match ports.topic.subscribers().await {
        Ok(subscribers) => Ok((subscribers, None)),
        Err(error) if error.class == ports::ErrorClass::Permanent => Ok((Vec::new(), Some(error.what))),
        // Whoever asks tries again, and shows what was known last.
        Err(error) => Err(error.into()),
    }
}

/// Whether somebody who is subscribed to this topic gets what is published.
pub(super) fn is_heard(subscribers: &[Subscriber], topic: &Destination) -> bool {
    subscribers.iter().any(|subscriber| subscriber.destination == *topic && subscriber.confirmed)
}

/// Who would be woken. With topics, `connected` once somebody has confirmed a subscription to the
/// pager's; without, once a webhook that is configured has taken a notification. Either only as long
/// as the last answer was not a failure.
pub async fn pager(context: &Context, tenant: &TenantId) -> Result<Value, Fault> {
    let ports = &context.ports;
    let ways = ways(ports, tenant).await?;
    let (subscribers, subscribers_error) = subscribers(ports).await?;
    let mut connected = false;
    let mut receivers = Vec::new();
    for way in ways.all() {
        let known = known(ports, tenant, &way.receiver, &way.channel).await?;
        connected |= match way.channel {
            Channel::Pager => is_heard(&subscribers, &Destination::Pager) && known.failing_since_ms.is_none(),
            Channel::Webhook { .. } => !ways.has_topics && known.works(),
            Channel::Mail => false,
        };
        receivers.push(json!({
            "name": known.receiver,
            "to": known.to,
            "delivered": known.works(),
            "answer": known.last_answer,
            "at_ms": known.last_at_ms,
            "last_ok_at_ms": known.last_ok_at_ms,
            "failing_since_ms": known.failing_since_ms,
        }));
    }
    let waiting: Vec<Value> = waiting(context, tenant).await?.iter().map(waiting_json).collect();
    Ok(json!({
        "connected": connected,
        "topics": ways.has_topics,
        "receivers": receivers,
        "waiting": waiting,
        "subscribers": subscribers,
        "subscribers_error": subscribers_error,
    }))
}

fn waiting_json(group: &Group) -> Value {
    json!({
        "receiver": group.receiver,
        "to": shown(&group.channel),
        "labels": group.labels,
        "due_at_ms": group.due_at,
        "attempts": group.attempts,
        "gave_up": group.due_at.is_none(),
    })
}

/// A way out fit for logs and pages: no user, no password, no query, no fragment.
pub(super) fn shown(channel: &Channel) -> String {
    let url = match channel {
        Channel::Pager => return "the pager topic".to_owned(),
        Channel::Mail => return "the mail topic".to_owned(),
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
