//! From transitions to notifications: grouping, and the decision whether a group is to be sent.
//!
//! A group holds the alerts of one name and one source for one way out. Changes are collected for
//! `group_wait`, then sent together; what was sent is remembered, so that nothing is sent twice and
//! nothing is left out. [`needs_notification`] has one early return for each case that a user can
//! see. Everything here is a pure function; who carries it out is the pipeline.
//!
//! `group_by` is not supported yet, so that the group is fixed: alert name and source. One page
//! then is about one thing, and its resolve is about the same thing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use series::{Labels, Timestamp};

use crate::instance::{ALERT_NAME, External, annotations};
use crate::message::{bound, generator_url, quoted_bytes};
use crate::routing::Channel;
use crate::rules::Rule;
use crate::state::{Transition, TransitionKind, stored};
use crate::template::cut_to;

/// Alerts of one group; the ones beyond are counted, not kept.
pub const ALERTS_PER_GROUP_MAX: usize = 500;
/// Bytes of labels and texts of one group's alerts: a group is one item of the table.
pub const GROUP_BYTES_MAX: usize = 200_000;
/// Bytes of one alert's annotations.
pub const ANNOTATIONS_BYTES_MAX: usize = 8_000;
/// Bytes of an answer that are kept.
pub const ANSWER_BYTES_MAX: usize = 500;
/// What an alert takes in JSON beside its texts: its fingerprint, names of fields, times.
const ALERT_FIXED_BYTES: usize = 260;
/// How long whoever sends a notification has it for itself, ms. Whoever crashes between sending
/// and marking leaves a group that is sent once more after this: the one window in which a page
/// may come twice.
pub const CLAIM_MS: i64 = 60_000;
/// Answers of a receiver that are kept.
pub const ATTEMPTS_KEPT_MAX: usize = 10;
/// The first wait after a failed attempt, ms; it doubles each time.
pub const BACKOFF_MS_MIN: i64 = 1_000;
/// The longest wait, ms.
pub const BACKOFF_MS_MAX: i64 = 5 * 60_000;

/// A transition on its way to people, with everything that is said about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The newest transition's id.
    pub transition_id: String,
    /// Whether it fires.
    pub kind: TransitionKind,
    /// Its labels.
    #[serde(with = "stored::labels")]
    pub labels: Labels,
    /// Its texts.
    pub annotations: BTreeMap<String, String>,
    /// Since when its expression holds.
    pub active_at: Timestamp,
    /// When it began to fire.
    pub starts_at: Timestamp,
    /// When it ceased to fire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// The value when its expression last held.
    #[serde(with = "stored::value")]
    pub value: f64,
    /// What the value is compared with, `> 90`; the expression where it is not one comparison.
    pub bound: String,
    /// What a check printed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The expression on the page.
    pub generator_url: String,
}

impl Alert {
    /// 16 hexadecimal digits, the same that Alertmanager computes.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.labels)
    }

    /// The instant of the transition.
    #[must_use]
    pub fn changed_at(&self) -> Timestamp {
        self.ends_at.unwrap_or(self.starts_at)
    }

    /// Whether it fires.
    #[must_use]
    pub fn fires(&self) -> bool {
        self.kind == TransitionKind::Firing
    }

    /// What it takes in a group, at most.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let labels = self.labels.iter().map(|(name, value)| quoted_bytes(name) + quoted_bytes(value) + 2);
        let texts = self.annotations.iter().map(|(name, text)| quoted_bytes(name) + quoted_bytes(text) + 2);
        let rest = [&self.transition_id, &self.bound, &self.note, &self.generator_url];
        let rest: usize = rest.into_iter().map(|text| quoted_bytes(text)).sum();
        labels.sum::<usize>() + texts.sum::<usize>() + rest + self.value.to_string().len() + ALERT_FIXED_BYTES
    }

    /// Of two transitions of one alert, the greater is the newer.
    #[must_use]
    pub fn rank(&self) -> (Timestamp, bool) {
        (self.changed_at(), !self.fires())
    }
}

/// What is told of a rule's transition.
#[must_use]
pub fn alert(rule: &Rule, transition: &Transition, external: &External) -> Alert {
    let mut annotations = annotations(rule, &transition.labels, transition.value, external);
    let mut room = ANNOTATIONS_BYTES_MAX;
    for text in annotations.values_mut() {
        cut_to(text, room);
        room -= text.len();
    }
    Alert {
        annotations,
        bound: bound(rule),
        generator_url: generator_url(external, rule.expr.text()),
        ..plain(transition)
    }
}

/// What is told of the end of an alert whose rule is not there any more.
#[must_use]
pub fn alert_of_removed_rule(transition: &Transition) -> Alert {
    let summary = "The rule of this alert was removed".to_owned();
    Alert {
        annotations: BTreeMap::from([("summary".to_owned(), summary)]),
        bound: "(the rule was removed)".to_owned(),
        ..plain(transition)
    }
}

fn plain(transition: &Transition) -> Alert {
    let ends_at = (transition.kind == TransitionKind::Resolved).then_some(transition.at);
    Alert {
        transition_id: transition.id.clone(),
        kind: transition.kind,
        labels: transition.labels.clone(),
        annotations: BTreeMap::new(),
        active_at: transition.active_at,
        starts_at: transition.fired_at,
        ends_at,
        value: transition.value,
        bound: String::new(),
        note: transition.note.clone(),
        generator_url: String::new(),
    }
}

/// FNV-1a over sorted names and values, each followed by 0xff, as Prometheus's model does it.
#[must_use]
pub fn fingerprint(labels: &Labels) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for (name, value) in labels {
        for text in [name, value] {
            text.bytes().for_each(&mut add);
            add(0xff);
        }
    }
    format!("{hash:016x}")
}

/// The source that an alert is about: its `instance`, else its `source`.
#[must_use]
pub fn source(labels: &Labels) -> Option<&str> {
    labels.get("instance").or_else(|| labels.get("source"))
}

/// The labels that an alert is grouped by.
#[must_use]
pub fn group_labels(labels: &Labels) -> BTreeMap<String, String> {
    let mut by: BTreeMap<String, String> = BTreeMap::new();
    by.extend(labels.get(ALERT_NAME).map(|name| (ALERT_NAME.to_owned(), name.to_owned())));
    let name = if labels.get("instance").is_some() { "instance" } else { "source" };
    by.extend(labels.get(name).map(|value| (name.to_owned(), value.to_owned())));
    by
}

/// The group's key, as Alertmanager writes it.
#[must_use]
pub fn group_key(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{}}:{{{}}}", pairs.join(", "))
}

/// What one way out has been told, and what it still has to be told, about one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The receiver's name.
    pub receiver: String,
    /// The way out.
    pub channel: Channel,
    /// The labels that all of its alerts share.
    pub labels: BTreeMap<String, String>,
    /// Its alerts by fingerprint: those that fire, and those that ended since they were told.
    pub alerts: BTreeMap<String, Alert>,
    /// Alerts that found no room.
    #[serde(default)]
    pub dropped: u64,
    /// What was told last; `None` before the first time.
    pub told: Option<Told>,
    /// When it is to be looked at next; `None` while there is nothing to tell.
    pub due_at: Option<Timestamp>,
    /// The failed attempts since the last success, newest last.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    /// How many attempts failed in a row.
    #[serde(default)]
    pub failures: u32,
    /// Until when somebody is sending it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_until: Option<Timestamp>,
    /// What the notification that is being sent says to be firing, by fingerprint.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub in_flight: BTreeSet<String>,
    /// What earlier ones said whose sender never came back: the receiver may know of it or not.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub maybe_told: BTreeSet<String>,
}

/// What a receiver was told last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// What it was told to be firing, by fingerprint.
    pub firing: BTreeMap<String, ToldOf>,
    /// What it was told to have ended, by fingerprint.
    pub resolved: BTreeMap<String, ToldOf>,
}

/// Which transition of an alert a receiver knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldOf {
    /// Its id.
    pub transition_id: String,
    /// When it happened.
    pub at: Timestamp,
}

/// One attempt and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// What the receiver said, for a person.
    pub answer: String,
    /// Whether trying again cannot help.
    pub permanent: bool,
}

/// Why a notification is sent or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Somebody else is sending it just now.
    Claimed,
    /// Further changes are still being collected, or the receiver is given time to recover.
    NotDueYet,
    /// The receiver will never take it as it is: the group waits for its next change.
    GaveUp,
    /// Everything ended before anybody was told.
    ResolvedBeforeTold,
    /// Something fires that the receiver was not told of.
    NewFiring,
    /// The last alert of the group ended.
    AllResolved,
    /// Some ended, others still fire.
    SomeResolved,
    /// Something ended, but the receiver does not want to know.
    ResolvedNotWanted,
    /// The receiver knows it all.
    NothingNew,
}

impl Reason {
    /// Whether it is a reason to send.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::NewFiring | Self::AllResolved | Self::SomeResolved)
    }
}

/// Whether the group is to be sent now, and why.
#[must_use]
pub fn needs_notification(group: &Group, now: Timestamp) -> Reason {
    if group.claimed_until.is_some_and(|until| now < until) {
        return Reason::Claimed;
    }
    match group.due_at {
        Some(due) if now < due => return Reason::NotDueYet,
        None if group.attempts.last().is_some_and(|last| last.permanent) => return Reason::GaveUp,
        _ => {}
    }
    let firing = group.transitions(true);
    let resolved = group.transitions(false);
    let told = group.told.clone().unwrap_or_default();
    if firing.iter().any(|(fingerprint, id)| told.firing.get(fingerprint) != Some(id)) {
        return Reason::NewFiring;
    }
    let known = group.known_firing();
    if firing.is_empty() && known.is_empty() {
        return if resolved.is_empty() { Reason::NothingNew } else { Reason::ResolvedBeforeTold };
    }
    let wants_resolved = !matches!(group.channel, Channel::Webhook { send_resolved: false, .. });
    if known.iter().all(|fingerprint| firing.contains_key(*fingerprint)) {
        return Reason::NothingNew;
    }
    if !wants_resolved {
        return Reason::ResolvedNotWanted;
    }
    if firing.is_empty() {
        return Reason::AllResolved;
    }
    Reason::SomeResolved
}

impl Group {
    /// A group that nobody was told of.
    #[must_use]
    pub fn new(receiver: &str, channel: Channel, labels: BTreeMap<String, String>) -> Self {
        Self {
            receiver: receiver.to_owned(),
            channel,
            labels,
            alerts: BTreeMap::new(),
            dropped: 0,
            told: None,
            due_at: None,
            attempts: Vec::new(),
            failures: 0,
            claimed_until: None,
            in_flight: BTreeSet::new(),
            maybe_told: BTreeSet::new(),
        }
    }

    /// Takes a transition in. An older one than is known of the same alert changes nothing, so
    /// transitions may come in any order and more than once.
    pub fn add(&mut self, alert: &Alert, now: Timestamp, group_wait_ms: i64) {
        let fingerprint = alert.fingerprint();
        let told = self.told.as_ref();
        let told_of = |by: fn(&Told) -> &BTreeMap<String, ToldOf>| told.and_then(|told| by(told).get(&fingerprint));
        let fired_before = told_of(|told| &told.firing).is_some_and(|of| (of.at, false) >= alert.rank());
        let ended_before = told_of(|told| &told.resolved).is_some_and(|of| (of.at, true) >= alert.rank());
        if fired_before || ended_before {
            return;
        }
        match self.alerts.get(&fingerprint) {
            Some(known) if known.rank() >= alert.rank() => return,
            None if self.alerts.len() >= ALERTS_PER_GROUP_MAX || self.bytes() + alert.bytes() > GROUP_BYTES_MAX => {
                self.dropped += 1;
                return;
            }
            _ => {}
        }
        self.alerts.insert(fingerprint, alert.clone());
        let wait = now.plus_ms(group_wait_ms);
        // While a receiver is down, its backoff decides.
        self.due_at = Some(self.due_at.map_or(wait, |due| if self.failures > 0 { due } else { due.min(wait) }));
    }

    fn bytes(&self) -> usize {
        self.alerts.values().map(Alert::bytes).sum()
    }

    /// Fingerprint → transition of the alerts that fire, or that do not.
    fn transitions(&self, fires: bool) -> BTreeMap<String, ToldOf> {
        let alerts = self.alerts.iter().filter(|(_, alert)| alert.fires() == fires);
        alerts
            .map(|(fingerprint, alert)| {
                let of = ToldOf { transition_id: alert.transition_id.clone(), at: alert.changed_at() };
                (fingerprint.clone(), of)
            })
            .collect()
    }

    /// What the receiver holds to be firing, or may hold: a sender that crashed may have told it.
    fn known_firing(&self) -> BTreeSet<&String> {
        let told = self.told.iter().flat_map(|told| told.firing.keys());
        told.chain(&self.in_flight).chain(&self.maybe_told).collect()
    }

    /// Somebody sends it now, and has it for itself until the claim ends. Whoever held a claim that
    /// has ended never said what became of it.
    pub fn claim(&mut self, now: Timestamp) {
        self.maybe_told.append(&mut self.in_flight);
        self.in_flight = self.transitions(true).into_keys().collect();
        self.claimed_until = Some(now.plus_ms(CLAIM_MS));
    }

    /// Whether this change would cover an earlier one of the same alert that is to be told now.
    #[must_use]
    pub fn would_cover(&self, alert: &Alert, now: Timestamp) -> bool {
        let due = self.failures == 0 && self.due_at.is_some_and(|due| due <= now);
        let claimed = self.claimed_until.is_some_and(|until| now < until);
        let fingerprint = alert.fingerprint();
        let told = self.told.as_ref().and_then(|told| told.firing.get(&fingerprint));
        let is_untold = |known: &Alert| {
            let is_news = told.is_none_or(|of| of.transition_id != known.transition_id);
            is_news && known.rank() < alert.rank()
        };
        due && !claimed && self.alerts.get(&fingerprint).is_some_and(is_untold)
    }

    /// The alerts of the next notification: first those that fire, then those that ended and that
    /// the receiver knows of, each by fingerprint.
    #[must_use]
    pub fn next_alerts(&self) -> Vec<&Alert> {
        let firing = self.alerts.values().filter(|alert| alert.fires());
        let known = self.known_firing();
        let wants_resolved = !matches!(self.channel, Channel::Webhook { send_resolved: false, .. });
        let told_and_ended =
            |(fingerprint, alert): &(&String, &Alert)| !alert.fires() && wants_resolved && known.contains(fingerprint);
        let ended = self.alerts.iter().filter(told_and_ended);
        firing.chain(ended.map(|(_, alert)| alert)).collect()
    }

    /// The id of the next notification: the transition's own where one thing changed, else made of
    /// all of them. A second attempt has the same id.
    #[must_use]
    pub fn next_transition_id(&self) -> String {
        let told = self.told.clone().unwrap_or_default();
        let known =
            |id: &String| told.firing.values().chain(told.resolved.values()).any(|known| known.transition_id == *id);
        let ids: BTreeSet<&String> = self.next_alerts().iter().map(|alert| &alert.transition_id).collect();
        let new: Vec<&String> = ids.into_iter().filter(|id| !known(id)).collect();
        match new.as_slice() {
            [one] => (*one).clone(),
            several => {
                let mut bytes = Vec::new();
                several.iter().for_each(|id| bytes.extend_from_slice(id.as_bytes()));
                format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes))
            }
        }
    }

    /// The receiver has taken `sent`, or there was nothing in it to tell. What has changed since
    /// then stays to be told.
    pub fn mark_told(&mut self, sent: &Self, now: Timestamp) {
        let told = Told { at: now, firing: sent.transitions(true), resolved: sent.transitions(false) };
        self.alerts.retain(|fingerprint, alert| {
            alert.fires() || told.resolved.get(fingerprint).is_none_or(|of| of.transition_id != alert.transition_id)
        });
        let known = |(fingerprint, alert): (&String, &Alert)| {
            alert.fires() && told.firing.get(fingerprint).is_some_and(|of| of.transition_id == alert.transition_id)
        };
        if self.alerts.iter().all(known) {
            self.due_at = None;
        }
        self.told = Some(told);
        self.failures = 0;
        self.attempts.clear();
        self.dropped = 0;
        self.claimed_until = None;
        self.in_flight.clear();
        self.maybe_told.clear();
    }

    /// The receiver has not taken it. A transient failure is tried again after a backoff; after a
    /// permanent one the group waits for its next change, and shows the answer until then.
    pub fn mark_failed(&mut self, now: Timestamp, answer: &str, permanent: bool) {
        self.failures = self.failures.saturating_add(1);
        self.claimed_until = None;
        self.in_flight.clear();
        let mut answer = answer.to_owned();
        cut_to(&mut answer, ANSWER_BYTES_MAX);
        self.attempts.push(Attempt { at: now, answer, permanent });
        if self.attempts.len() > ATTEMPTS_KEPT_MAX {
            self.attempts.remove(0);
        }
        self.due_at = if permanent { None } else { Some(now.plus_ms(backoff_ms(self.failures))) };
        if permanent {
            self.failures = 0;
        }
    }

    /// Whether nothing of it need be remembered.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.alerts.is_empty() && self.due_at.is_none() && self.attempts.is_empty()
    }
}

/// The wait after the n-th failure in a row.
#[must_use]
pub fn backoff_ms(failures: u32) -> i64 {
    let doubled = BACKOFF_MS_MIN.checked_shl(failures.saturating_sub(1).min(40)).unwrap_or(BACKOFF_MS_MAX);
    doubled.clamp(BACKOFF_MS_MIN, BACKOFF_MS_MAX)
}

#[cfg(test)]
mod tests;
