//! DogStatsD's service checks and events: check results and log records of the agent.

use std::collections::HashMap;
use std::time::Duration;

use formats::dogstatsd::{Event, ServiceCheck};
use formats::nagios::State;
use series::{METRIC_NAME, Sample, Timestamp};
use wire::{CheckResult, CheckState, LogRecord};

use crate::intake::Intake;
use crate::schedule::{CheckStates, Observed};

/// Service checks whose states are known at the same time.
pub(super) const SERVICE_CHECKS_MAX: usize = 1_000;
/// Bytes of a service check's name with its tags.
pub(super) const NAME_BYTES_MAX: usize = 256;
/// Bytes of a message or an event that are kept.
pub(super) const TEXT_BYTES_MAX: usize = 8 << 10;
/// Where an event's record says it comes from.
const EVENTS: &str = "statsd-events";

/// The states of the service checks.
#[derive(Default)]
pub(super) struct Dog {
    states: HashMap<String, CheckStates>,
}

impl Dog {
    /// Takes a service check: a check result under its name (and tags, for each of them is a check
    /// of its own) and `check_status` with its tags as labels.
    pub(super) fn service_check(
        &mut self,
        check: &ServiceCheck<'_>,
        now: Timestamp,
        intake: &Intake,
    ) -> Result<(), &'static str> {
        let own = formats::statsd::labels("check_status", check.tags).map_err(|error| error.reason())?;
        let mut labels = own.to_builder();
        labels.set_default("host", check.host).set("check", check.name);
        let labels = labels.build().map_err(|error| error.reason())?;
        let mut name = check.name.to_owned();
        for (key, value) in labels.iter().filter(|(key, _)| !matches!(*key, METRIC_NAME | "check")) {
            name.push_str(&format!(";{key}={value}"));
        }
        if name.len() > NAME_BYTES_MAX {
            return Err("check_name_too_long");
        }
        if !self.states.contains_key(&name) && self.states.len() >= SERVICE_CHECKS_MAX {
            return Err("too_many_checks");
        }
        let at = check.at.unwrap_or(now);
        let state = match check.state {
            State::Ok => CheckState::Ok,
            State::Warning => CheckState::Warning,
            State::Critical => CheckState::Critical,
            State::Unknown => CheckState::Unknown,
        };
        let states = self.states.entry(name.clone()).or_insert_with(|| CheckStates::new(1, Duration::from_secs(1)));
        let verdict = states.step(Observed { state, at });
        intake.samples("check", [(labels, Sample { at, value: f64::from(check.state.number()) })]);
        let (text, truncated) = cut(&check.message);
        let result = CheckResult {
            check: name,
            at,
            state,
            hard: verdict.hard,
            state_since: verdict.state_since,
            text,
            perfdata: Vec::new(),
            exit_code: None,
            duration_ms: 0,
            // Nothing says how often it comes.
            interval_ms: 0,
            truncated,
        };
        intake.check(result, verdict.changed);
        Ok(())
    }
}

/// Keeps an event as a log record.
pub(super) fn event(event: &Event<'_>, now: Timestamp, intake: &Intake) -> Result<(), &'static str> {
    let mut text = event.title.to_string();
    for (prefix, part) in [("\n", event.text.as_ref()), ("\n#", event.tags), ("\nhost ", event.host)] {
        if !part.is_empty() {
            text.push_str(prefix);
            text.push_str(part);
        }
    }
    let level = match event.alert {
        "error" => "error",
        "warning" => "warn",
        _ => "info",
    };
    let (text, _) = cut(&text);
    intake.logs([LogRecord { at: event.at.unwrap_or(now), file: EVENTS.to_owned(), level: level.to_owned(), text }]);
    Ok(())
}

fn cut(text: &str) -> (String, bool) {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    (text[..end].to_owned(), end < text.len())
}
