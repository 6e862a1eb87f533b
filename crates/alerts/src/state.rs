//! The state machine of one rule's alerts: inactive → pending → firing → resolved.
//!
//! [`step`] is a pure function of a state and observations. Observations come from two sides:
//! *newest* ones, straight from the stream, for single instances at their sample's instant; and
//! *complete* ones, from storage, for a whole closed bucket at the bucket's end. Each instance
//! remembers the instant that it was *evaluated through*, and that makes both sides safe to mix:
//!
//! ```text
//! stream   12:00:03  CRITICAL   pending/firing, through 12:00:03   → one page
//! stream   12:00:03  again      at or before through               → nothing
//! storage  12:00:00  bucket     arrives 15 min late, before through → nothing
//! storage  12:01:00  bucket     still CRITICAL, through 12:01:00   → nothing new
//! stream   12:01:33  OK         resolved                           → one resolve
//! ```
//!
//! Laws, each with a property test of its name in `state/tests.rs`:
//!
//! * **ignored**: an observation at or before what its instance was evaluated through changes nothing;
//! * **idempotent**: the same call again gives the same state and no transition;
//! * **unordered**: the order and repetition of observations within one call do not matter;
//! * **cut anywhere**: an instance's observations in time order, cut into calls anywhere, with any
//!   part delivered again, mixed with other instances in any way, give the same transitions;
//! * **alternating**: an instance's transitions are firing, resolved, firing, …, later each time,
//!   and no id comes twice, whatever is delivered in whatever order.
//!
//! What it does not promise: an instance's observations delivered *out of their order in separate
//! calls* are evaluated as they come, older ones ignored. The stream keeps the order of one source.
//!
//! It reads no clock and no storage; `for` and `keep_firing_for` are compared with the
//! observations' own times.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use series::{Labels, SeriesId, Timestamp};

pub(crate) mod stored;
#[cfg(test)]
mod tests;

/// Active instances (pending or firing) of one rule.
pub const INSTANCES_MAX: usize = 1_000;
/// Bytes of labels and notes of one rule's instances: the state is one item of the table.
pub const STATE_BYTES_MAX: usize = 200_000;
/// How long an alert that ended is remembered, ms. Samples that are older than that are not taken
/// from the stream ([`Scope::Newest`]), so that none of them can raise it again.
pub const REMEMBERED_MS: i64 = promql::LOOKBACK_MS;
/// Bytes of a note: what a check printed.
pub const NOTE_BYTES_MAX: usize = 256;

/// Names an instance within its rule: the identity of the found series' labels without the
/// metric name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceKey(pub SeriesId);

impl From<InstanceKey> for String {
    fn from(key: InstanceKey) -> String {
        key.0.to_string()
    }
}

impl TryFrom<String> for InstanceKey {
    type Error = std::num::ParseIntError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        u128::from_str_radix(&text, 16).map(|id| Self(SeriesId(id)))
    }
}

/// Which rule of whom: goes into the transitions' ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleName {
    /// The tenant.
    pub tenant: String,
    /// [`crate::rules::Group::id`].
    pub group: String,
    /// [`crate::rules::Rule::id`].
    pub rule: String,
}

/// What of a rule matters to its states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Which rule.
    pub name: RuleName,
    /// How long it must hold before it fires, ms.
    pub for_ms: i64,
    /// How long it goes on firing afterwards, ms.
    pub keep_firing_for_ms: i64,
    /// The group's own limit on active instances; 0 is none.
    pub limit: usize,
}

/// Where an instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The expression does not hold. Kept for [`REMEMBERED_MS`].
    Inactive,
    /// It holds, but not for long enough.
    Pending,
    /// It fires.
    Firing,
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// The alert's labels, `alertname` among them.
    #[serde(with = "stored::labels")]
    pub labels: Labels,
    /// Where it stands.
    pub phase: Phase,
    /// Since when the expression holds (or held last).
    pub active_at: Timestamp,
    /// When it last began to fire.
    #[serde(default)]
    pub fired_at: Timestamp,
    /// Since when the expression does not hold although the alert goes on firing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_since: Option<Timestamp>,
    /// The value when it last held.
    #[serde(with = "stored::value")]
    pub value: f64,
    /// The instant up to which it was evaluated.
    pub through: Timestamp,
    /// What a check printed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A rule's alerts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RuleState {
    /// The end of the last bucket that was evaluated completely.
    pub through: Timestamp,
    /// All that are pending or firing, and those that were within [`REMEMBERED_MS`].
    pub instances: BTreeMap<InstanceKey, Instance>,
    /// Instances that found no room in the last evaluation that had any.
    #[serde(default)]
    pub refused: u64,
}

/// What was seen of one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Which instance.
    pub key: InstanceKey,
    /// The alert's labels.
    pub labels: Labels,
    /// When.
    pub at: Timestamp,
    /// Whether the expression holds.
    pub active: bool,
    /// The value found.
    pub value: f64,
    /// What a check printed.
    pub note: String,
}

/// What the observations of one call are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Single instances at their own instants; nothing is said of the others. Observations
    /// before `not_before` are too old to say anything about now.
    Newest {
        /// The oldest instant that still counts.
        not_before: Timestamp,
    },
    /// All instances that are active at the end of a closed bucket: the others are not.
    Complete {
        /// The bucket's end.
        bucket_end: Timestamp,
    },
    /// Instances that are active at the end of a bucket whose data may be incomplete: nothing is
    /// said of the others.
    Partial {
        /// The bucket's end.
        bucket_end: Timestamp,
    },
}

/// What is to be told to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransitionKind {
    /// It fires.
    Firing,
    /// It fires no more.
    Resolved,
}

/// An alert that began or ceased to fire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Deterministic: the same transition has the same id wherever it is computed.
    pub id: String,
    /// Which way.
    pub kind: TransitionKind,
    /// The alert's labels.
    #[serde(with = "stored::labels")]
    pub labels: Labels,
    /// Since when the expression holds or held.
    pub active_at: Timestamp,
    /// When it began to fire.
    pub fired_at: Timestamp,
    /// When this happened.
    pub at: Timestamp,
    /// The value when the expression last held.
    #[serde(with = "stored::value")]
    pub value: f64,
    /// What a check printed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// The outcome of [`step`].
#[derive(Debug, Clone, PartialEq)]
pub struct Stepped {
    /// The new state.
    pub state: RuleState,
    /// What happened, in time order.
    pub transitions: Vec<Transition>,
}

/// Applies observations to a state.
#[must_use]
pub fn step(state: &RuleState, timing: &Timing, scope: Scope, observations: &[Observation]) -> Stepped {
    let mut run = Run { timing, state: state.clone(), transitions: Vec::new(), refused: 0 };
    // Buckets come one after the other; an earlier one has nothing more to say.
    let repeated = match scope {
        Scope::Newest { .. } => false,
        Scope::Complete { bucket_end } | Scope::Partial { bucket_end } => {
            bucket_end <= state.through && state.through != Timestamp::default()
        }
    };
    let counts = |observation: &&Observation| match scope {
        Scope::Newest { not_before } => observation.at >= not_before,
        Scope::Complete { bucket_end } | Scope::Partial { bucket_end } => observation.at <= bucket_end,
    };
    let mut ordered: Vec<&Observation> = observations.iter().filter(|_| !repeated).filter(counts).collect();
    // At one instant an active observation counts before an inactive one, so the order in which
    // they were delivered does not.
    ordered.sort_by(|a, b| {
        (a.at, a.key, !a.active)
            .cmp(&(b.at, b.key, !b.active))
            .then(b.value.total_cmp(&a.value))
            .then(a.note.cmp(&b.note))
    });
    for observation in ordered {
        run.observe(observation);
    }
    if let (Scope::Complete { bucket_end }, false) = (scope, repeated) {
        run.complete(bucket_end);
    }
    if run.refused > 0 || matches!(scope, Scope::Complete { .. }) {
        run.state.refused = run.refused;
    }
    Stepped { state: run.state, transitions: run.transitions }
}

struct Run<'a> {
    timing: &'a Timing,
    state: RuleState,
    transitions: Vec<Transition>,
    refused: u64,
}

impl Run<'_> {
    fn observe(&mut self, seen: &Observation) {
        if self.state.instances.get(&seen.key).is_some_and(|known| seen.at <= known.through) {
            return;
        }
        if !self.state.instances.contains_key(&seen.key) {
            if !seen.active {
                return;
            }
            if !self.make_room(seen) {
                self.refused += 1;
                return;
            }
        }
        let instance = self.state.instances.entry(seen.key).or_insert_with(|| Instance {
            labels: seen.labels.clone(),
            phase: Phase::Inactive,
            active_at: seen.at,
            fired_at: Timestamp::default(),
            kept_since: None,
            value: seen.value,
            through: seen.at,
            note: String::new(),
        });
        let transition = instance.observe(seen, self.timing);
        self.transitions.extend(transition);
    }

    /// A closed bucket says of everybody who is active and not in it that it is so no more.
    fn complete(&mut self, bucket_end: Timestamp) {
        for (key, instance) in &mut self.state.instances {
            if instance.phase != Phase::Inactive && instance.through < bucket_end {
                let gone = Observation {
                    key: *key,
                    labels: instance.labels.clone(),
                    at: bucket_end,
                    active: false,
                    value: instance.value,
                    note: String::new(),
                };
                self.transitions.extend(instance.observe(&gone, self.timing));
            }
        }
        self.state.through = bucket_end;
        let forgotten = bucket_end.plus_ms(-REMEMBERED_MS);
        self.state.instances.retain(|_, known| known.phase != Phase::Inactive || known.through >= forgotten);
    }

    /// Whether one more instance fits; the longest inactive ones make room for it.
    fn make_room(&mut self, seen: &Observation) -> bool {
        let mut max = INSTANCES_MAX;
        if self.timing.limit > 0 {
            max = max.min(self.timing.limit);
        }
        loop {
            let active = self.state.instances.values().filter(|known| known.phase != Phase::Inactive).count();
            let bytes: usize = self.state.instances.values().map(Instance::bytes).sum();
            if active >= max {
                return false;
            }
            let all = self.state.instances.len();
            if all < INSTANCES_MAX && bytes + seen.labels.canonical().len() + NOTE_BYTES_MAX <= STATE_BYTES_MAX {
                return true;
            }
            let inactive = self.state.instances.iter().filter(|(_, known)| known.phase == Phase::Inactive);
            let Some(oldest) = inactive.min_by_key(|(key, known)| (known.through, **key)).map(|(key, _)| *key) else {
                return false;
            };
            self.state.instances.remove(&oldest);
        }
    }
}

impl Instance {
    fn bytes(&self) -> usize {
        self.labels.canonical().len() + self.note.len()
    }

    fn observe(&mut self, seen: &Observation, timing: &Timing) -> Option<Transition> {
        let at = seen.at;
        self.through = at;
        if seen.active {
            self.value = seen.value;
            self.kept_since = None;
            if !seen.note.is_empty() {
                self.note.clone_from(&seen.note);
                crate::template::cut_to(&mut self.note, NOTE_BYTES_MAX);
            }
        }
        match (self.phase, seen.active) {
            (Phase::Inactive, false) | (Phase::Firing, true) => None,
            (Phase::Inactive, true) => {
                self.active_at = at;
                self.labels = seen.labels.clone();
                self.phase = Phase::Pending;
                self.fire_if_due(at, timing)
            }
            (Phase::Pending, true) => self.fire_if_due(at, timing),
            (Phase::Pending, false) => {
                self.phase = Phase::Inactive;
                None
            }
            (Phase::Firing, false) => {
                let since = *self.kept_since.get_or_insert(at);
                if timing.keep_firing_for_ms > 0 && at.0.saturating_sub(since.0) < timing.keep_firing_for_ms {
                    return None;
                }
                self.phase = Phase::Inactive;
                self.kept_since = None;
                if !seen.note.is_empty() {
                    self.note.clone_from(&seen.note);
                    crate::template::cut_to(&mut self.note, NOTE_BYTES_MAX);
                }
                Some(self.transition(TransitionKind::Resolved, at, timing))
            }
        }
    }

    fn fire_if_due(&mut self, at: Timestamp, timing: &Timing) -> Option<Transition> {
        if at.0.saturating_sub(self.active_at.0) < timing.for_ms {
            return None;
        }
        self.phase = Phase::Firing;
        self.fired_at = at;
        Some(self.transition(TransitionKind::Firing, at, timing))
    }

    fn transition(&self, kind: TransitionKind, at: Timestamp, timing: &Timing) -> Transition {
        Transition {
            id: transition_id(&timing.name, &self.labels, kind, self.active_at),
            kind,
            labels: self.labels.clone(),
            active_at: self.active_at,
            fired_at: self.fired_at,
            at,
            value: self.value,
            note: self.note.clone(),
        }
    }
}

/// 32 hexadecimal digits: XXH3-128 of everything that makes a transition what it is.
#[must_use]
pub fn transition_id(name: &RuleName, labels: &Labels, kind: TransitionKind, active_at: Timestamp) -> String {
    let kind: &[u8] = match kind {
        TransitionKind::Firing => b"firing",
        TransitionKind::Resolved => b"resolved",
    };
    let parts: [&[u8]; 6] = [
        name.tenant.as_bytes(),
        name.group.as_bytes(),
        name.rule.as_bytes(),
        labels.canonical(),
        kind,
        &active_at.0.to_le_bytes(),
    ];
    let mut bytes = Vec::with_capacity(256);
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes))
}
