//! Checks: Nagios plugins, and built-in checks that speak as plugins do (`job="check"`).
//!
//! Whatever a check printed goes one way: text → `formats::nagios` → a check result and samples.
//! Under `format = "prometheus"` what it printed are samples, its exit code is its state as always,
//! and its text is the first line of its standard error.
//! Nothing here knows when a check is due, and nothing in `schedule` knows what a check is.

mod builtin;
mod leftovers;
mod runner;

use std::time::Duration;

use formats::nagios::{self, Ended, State};
use formats::prometheus_text::{self, Dialect};
use formats::{Parsed, Rejects};
use futures_util::future::BoxFuture;
use series::Timestamp;
use tokio::time::Instant;
use wire::{CheckResult, CheckState, PerfItem};

use crate::config::{Check, CheckFormat};
use crate::intake::Intake;
use crate::schedule::{CheckStates, Job, NextRun, Observed, Timing, Verdict};
use builtin::BuiltinCheck;
use runner::Printed;

/// Bytes of text that a check result carries; the rest is cut and the result says so.
pub(super) const RESULT_TEXT_BYTES_MAX: usize = 8 * 1_024;
/// Items of performance data that a check result carries. All of them become samples.
pub(super) const RESULT_PERF_ITEMS_MAX: usize = 256;

/// Samples given to the intake at once; between two of these it may ask to wait.
const SAMPLES_AT_ONCE: usize = 1_000;

/// Ends plugins that an agent which was killed has left behind, on a thread of its own.
pub(super) fn end_leftovers() {
    let look = || {
        let count = leftovers::end_leftovers();
        if count > 0 {
            tracing::warn!(count, "plugins that a killed agent had left behind were ended");
        }
    };
    if let Err(error) = std::thread::Builder::new().name("leftovers".to_owned()).stack_size(128 * 1024).spawn(look) {
        tracing::warn!(%error, "no look for plugins of a killed agent");
    }
}

/// One check as a job of the schedule.
pub(super) struct CheckJob {
    check: Check,
    builtin: Option<BuiltinCheck>,
    states: CheckStates,
    intake: Intake,
}

impl CheckJob {
    pub(super) fn new(check: &Check, intake: &Intake) -> Self {
        Self {
            states: CheckStates::new(check.attempts, check.retry_interval.duration()),
            builtin: check.builtin.map(|kind| BuiltinCheck::new(kind, check)),
            check: check.clone(),
            intake: intake.clone(),
        }
    }

    async fn printed(&mut self) -> Printed {
        match &mut self.builtin {
            Some(builtin) => builtin.run(self.intake.figures(), self.check.timeout.duration()).await,
            None => runner::run(&self.check.command, &self.check.env, self.check.timeout.duration()).await,
        }
    }

    fn report(&mut self, at: Timestamp, took: Duration, run: nagios::Run) -> Verdict {
        let ended_at = at.plus_ms(i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
        let verdict = self.states.step(Observed { state: wire_state(run.state), at: ended_at });
        self.refuse(&run.output.rejected);
        self.samples(at, &run);
        let result = result(&self.check, ended_at, took, run, &verdict);
        self.intake.check(result, verdict.changed);
        verdict
    }

    fn refuse(&self, rejected: &Rejects) {
        let name = self.check.name.get_ref();
        for (reason, count) in rejected.by_reason() {
            let first = rejected.iter().find(|reject| reject.reason == *reason);
            let first = first.map(|reject| format!("check {name:?}, {reject}")).unwrap_or_default();
            self.intake.reject(reason, *count, &first);
        }
    }

    /// Reads metrics that a plugin printed. What it said beside them is on its standard error.
    async fn metrics(&self, at: Timestamp, printed: &Printed) -> nagios::Run {
        let name = self.check.name.get_ref();
        let Parsed { samples, rejected, described, .. } =
            prometheus_text::parse_body(&printed.stdout, Dialect::Text, at);
        self.refuse(&rejected);
        self.intake.described(at, &described);
        let count = samples.len();
        let mut samples = samples.into_iter().peekable();
        while samples.peek().is_some() {
            self.intake.room().await;
            for (own, sample) in samples.by_ref().take(SAMPLES_AT_ONCE) {
                match own.to_builder().set_default("check", name).build() {
                    Ok(labels) => self.intake.samples("check", [(labels, sample)]),
                    Err(error) => self.intake.reject(error.reason(), 1, &format!("check {name:?}: {error}")),
                }
            }
        }
        let told = match rejected.count() {
            0 if count == 0 => String::new(),
            0 => format!("{count} samples"),
            bad => format!("{count} samples, {bad} lines refused"),
        };
        // A pipe on the standard error would begin performance data.
        let said = String::from_utf8_lossy(&printed.stderr).replace('|', " ");
        let text = if said.trim().is_empty() { told } else { said };
        nagios::parse_run(text.trim().as_bytes(), b"", &printed.ended)
    }

    /// Item by item, so that a label that breaks a limit costs its own item alone.
    fn samples(&self, at: Timestamp, run: &nagios::Run) {
        let name = self.check.name.get_ref();
        let items = run.output.perf.iter().map(std::slice::from_ref);
        for (index, items) in std::iter::once(&[][..]).chain(items).enumerate() {
            match nagios::samples(name, run.state, items, at) {
                // Each call tells the status first; it is wanted once.
                Ok(samples) => self.intake.samples("check", samples.into_iter().skip(usize::from(index > 0))),
                Err(error) => self.intake.reject(error.reason(), 1, &format!("check {name:?}: {error}")),
            }
        }
    }
}

impl Job for CheckJob {
    fn name(&self) -> &str {
        self.check.name.get_ref()
    }

    fn timing(&self) -> Timing {
        Timing { interval: self.check.interval.duration(), spread: true }
    }

    fn run<'a>(&'a mut self, at: Timestamp) -> BoxFuture<'a, NextRun> {
        Box::pin(async move {
            let started = Instant::now();
            let printed = self.printed().await;
            let took = started.elapsed();
            let run = match self.check.format {
                CheckFormat::Nagios => nagios::parse_run(&printed.stdout, &printed.stderr, &printed.ended),
                CheckFormat::Prometheus => self.metrics(at, &printed).await,
            };
            let text = run.output.text.clone();
            let verdict = self.report(at, took, run);
            // Once, not at every run: what the check says is seen on the page.
            if verdict.changed && matches!(printed.ended, Ended::TimedOut { .. } | Ended::NotStarted { .. }) {
                tracing::warn!(check = self.name(), text, "the check could not be finished");
            }
            verdict.next
        })
    }
}

/// What is wrong with a configured check.
pub(super) fn faults(check: &Check) -> Vec<String> {
    let faults = match check.builtin {
        Some(kind) => BuiltinCheck::new(kind, check).faults(),
        None if check.warn.is_some() || check.crit.is_some() || check.path.is_some() => {
            vec!["`warn`, `crit` and `path` are for built-in checks; give them to the plugin in `command`".to_owned()]
        }
        None => Vec::new(),
    };
    faults.into_iter().map(|fault| format!("[[check]] {:?}: {fault}", check.name.get_ref())).collect()
}

fn wire_state(state: State) -> CheckState {
    match state {
        State::Ok => CheckState::Ok,
        State::Warning => CheckState::Warning,
        State::Critical => CheckState::Critical,
        State::Unknown => CheckState::Unknown,
    }
}

fn result(check: &Check, at: Timestamp, took: Duration, run: nagios::Run, verdict: &Verdict) -> CheckResult {
    let mut text = run.output.text;
    if !run.output.long_text.is_empty() {
        text.push('\n');
        text.push_str(&run.output.long_text);
    }
    let cut = text.len() > RESULT_TEXT_BYTES_MAX;
    if cut {
        text.truncate(text.floor_char_boundary(RESULT_TEXT_BYTES_MAX));
    }
    let threshold = |threshold: Option<nagios::Threshold>| threshold.map(|it| it.text).unwrap_or_default();
    let items = run.output.perf.into_iter().take(RESULT_PERF_ITEMS_MAX);
    CheckResult {
        check: check.name.get_ref().clone(),
        at,
        state: verdict.state,
        hard: verdict.hard,
        state_since: verdict.state_since,
        text,
        perfdata: items
            .map(|item| PerfItem {
                label: item.label,
                value: item.value,
                unit: item.unit,
                warn: threshold(item.warn),
                crit: threshold(item.crit),
                min: item.min,
                max: item.max,
            })
            .collect(),
        exit_code: run.exit_code,
        duration_ms: took.as_millis() as u64,
        interval_ms: check.interval.ms(),
        truncated: run.output.truncated || cut,
    }
}

#[cfg(test)]
mod tests;
