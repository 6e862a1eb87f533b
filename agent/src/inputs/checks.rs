//! Checks: Nagios plugins, and built-in checks that speak as plugins do (`job="check"`).
//!
//! Whatever a check printed goes one way: text → `formats::nagios` → a check result and samples.
//! Nothing here knows when a check is due, and nothing in `schedule` knows what a check is.

mod builtin;
mod leftovers;
mod runner;

use std::time::Duration;

use formats::nagios::{self, Ended, State};
use futures_util::future::BoxFuture;
use series::Timestamp;
use tokio::time::Instant;
use wire::{CheckResult, CheckState, PerfItem};

use crate::config::Check;
use crate::intake::Intake;
use crate::schedule::{CheckStates, Job, NextRun, Observed, Timing, Verdict};
use builtin::BuiltinCheck;
use runner::Printed;

/// Bytes of text that a check result carries; the rest is cut and the result says so.
pub(super) const RESULT_TEXT_BYTES_MAX: usize = 8 * 1_024;
/// Items of performance data that a check result carries. All of them become samples.
pub(super) const RESULT_PERF_ITEMS_MAX: usize = 256;

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
        let name = self.check.name.get_ref();
        let ended_at = at.plus_ms(i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
        let verdict = self.states.step(Observed { state: wire_state(run.state), at: ended_at });
        for (reason, count) in run.output.rejected.by_reason() {
            let first = run.output.rejected.iter().find(|reject| reject.reason == *reason);
            let first = first.map(|reject| format!("check {name:?}, {reject}")).unwrap_or_default();
            self.intake.reject(reason, *count, &first);
        }
        self.samples(at, &run);
        let result = result(&self.check, ended_at, took, run, &verdict);
        self.intake.check(result, verdict.changed);
        verdict
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
            let run = nagios::parse_run(&printed.stdout, &printed.stderr, &printed.ended);
            let text = run.output.text.clone();
            let verdict = self.report(at, started.elapsed(), run);
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
