//! What was really done, seen below all faults: which transitions are owed, which pages went out,
//! and whether each page's sender came to mark it.

use std::collections::BTreeMap;

use alerts::notify::{Alert, Group};
use ports::{Message, Partition, Timestamp, Write};
use serde::Deserialize;

/// A transition that was written into the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The alert's name.
    pub alert: String,
    /// Of whom.
    pub instance: String,
    /// Whether it began to fire, or ended.
    pub fires: bool,
    /// When.
    pub at: Timestamp,
    /// When it was written.
    pub owed_at: Timestamp,
}

/// A notification that a receiver has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The invocation that sent it.
    pub by: u64,
    /// The transition that it tells of.
    pub transition: String,
    /// Its subject.
    pub subject: String,
    /// That invocation has marked it as told.
    pub marked: bool,
    /// When it was sent.
    pub sent_at: Timestamp,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Truth {
    /// The time on the world's clock.
    pub now: Timestamp,
    /// By transition id.
    pub owed: BTreeMap<String, Transition>,
    /// In their order.
    pub pages: Vec<Page>,
    /// What could not be understood of what was written: a fault of the simulator.
    pub unread: Vec<String>,
}

#[derive(Deserialize)]
struct Owed {
    at: Timestamp,
    alerts: Vec<Alert>,
}

impl Truth {
    pub(super) fn written(&mut self, by: u64, write: &Write) {
        let Write::Put { key, value, .. } = write else { return };
        match key.partition {
            Partition::Outbox(_) => match serde_json::from_slice::<Owed>(value) {
                Ok(owed) => owed.alerts.iter().for_each(|alert| self.owes(alert, owed.at)),
                Err(error) => self.unread.push(format!("outbox: {error}")),
            },
            Partition::NotificationGroups(_) => match serde_json::from_slice::<Group>(value) {
                Ok(group) => self.grouped(by, &group),
                Err(error) => self.unread.push(format!("group: {error}")),
            },
            _ => {}
        }
    }

    fn owes(&mut self, alert: &Alert, owed_at: Timestamp) {
        let label = |name: &str| alert.labels.get(name).unwrap_or_default().to_owned();
        let transition = Transition {
            alert: label("alertname"),
            instance: label("instance"),
            fires: alert.fires(),
            at: alert.changed_at(),
            owed_at,
        };
        self.owed.insert(alert.transition_id.clone(), transition);
    }

    fn grouped(&mut self, by: u64, group: &Group) {
        let Some(told) = group.told.as_ref().filter(|_| group.claimed_until.is_none()) else { return };
        let is_told = |id: &str| told.firing.values().chain(told.resolved.values()).any(|of| of.transition_id == id);
        for page in self.pages.iter_mut().filter(|page| page.by == by && is_told(&page.transition)) {
            page.marked = true;
        }
    }

    pub(super) fn published(&mut self, by: u64, message: &Message) {
        let body: serde_json::Value = serde_json::from_str(&message.default).unwrap_or_default();
        let transition = body.get("transition_id").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        self.pages.push(Page { by, transition, subject: message.subject.clone(), marked: false, sent_at: self.now });
    }
}
