//! Soft and hard states of one check, as in Nagios: a state other than OK is hard after
//! `attempts` runs in a row that are not OK, or at once where the check was hard and not OK
//! before; OK is hard at once. Pure: knows no clock and starts nothing.

use std::time::Duration;

use series::Timestamp;
use wire::CheckState;

use super::NextRun;

/// What one run of the check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// Its state.
    pub state: CheckState,
    /// When the run ended.
    pub at: Timestamp,
}

/// What follows from a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The state observed.
    pub state: CheckState,
    /// Whether it is hard.
    pub hard: bool,
    /// Since when the check has this state.
    pub state_since: Timestamp,
    /// Whether the state, or its being hard, is not what the run before said: flush at once.
    pub changed: bool,
    /// When to run next.
    pub next: NextRun,
}

/// The state of one check from run to run.
#[derive(Debug, Clone)]
pub struct CheckStates {
    attempts: u32,
    retry_interval: Duration,
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    state: CheckState,
    since: Timestamp,
    hard: bool,
    /// Whether the last hard state was another than OK.
    hard_problem: bool,
    /// Runs in a row that were not OK.
    failures: u32,
}

impl CheckStates {
    /// A check that has not run yet. `attempts` below 1 counts as 1.
    #[must_use]
    pub fn new(attempts: u32, retry_interval: Duration) -> Self {
        Self { attempts: attempts.max(1), retry_interval, last: None }
    }

    /// Takes the result of one run.
    pub fn step(&mut self, observed: Observed) -> Verdict {
        let Observed { state, at } = observed;
        let before = self.last;
        let failures = match (state, before) {
            (CheckState::Ok, _) => 0,
            (_, Some(last)) => last.failures.saturating_add(1),
            (_, None) => 1,
        };
        let was_problem = before.is_some_and(|last| last.hard_problem);
        let hard = state == CheckState::Ok || was_problem || failures >= self.attempts;
        let hard_problem = if hard { state != CheckState::Ok } else { was_problem };
        let since = match before {
            Some(last) if last.state == state => last.since,
            _ => at,
        };
        let changed = before.is_none_or(|last| last.state != state || last.hard != hard);
        self.last = Some(Last { state, since, hard, hard_problem, failures });
        let next = if hard { NextRun::OnTheStep } else { NextRun::After(self.retry_interval) };
        Verdict { state, hard, state_since: since, changed, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of a check, one letter each (O W C U); expected are the state in capitals where it is
    /// hard, `!` where it changed, and the run since which it holds.
    fn check(attempts: u32, runs: &str, expected: &str) {
        let mut states = CheckStates::new(attempts, Duration::from_secs(1));
        let shown: Vec<String> = runs
            .chars()
            .zip(0..)
            .map(|(letter, run)| {
                let state = match letter {
                    'O' => CheckState::Ok,
                    'W' => CheckState::Warning,
                    'C' => CheckState::Critical,
                    _ => CheckState::Unknown,
                };
                let verdict = states.step(Observed { state, at: Timestamp(run) });
                assert_eq!(verdict.next == NextRun::OnTheStep, verdict.hard);
                let shown = if verdict.hard { letter } else { letter.to_ascii_lowercase() };
                format!("{shown}{}{}", verdict.state_since, if verdict.changed { "!" } else { "" })
            })
            .collect();
        assert_eq!(shown.join(" "), expected, "{runs} with {attempts} attempts");
    }

    #[test]
    fn one_attempt_is_hard_at_once() {
        check(1, "OOCCO", "O0! O0 C2! C2 O4!");
        check(0, "C", "C0!");
    }

    #[test]
    fn three_attempts_are_soft_twice() {
        check(3, "OCCCC", "O0! c1! c1 C1! C1");
    }

    #[test]
    fn recovery_while_soft_starts_again() {
        check(3, "OCCOCC", "O0! c1! c1 O3! c4! c4");
    }

    #[test]
    fn another_problem_counts_on() {
        check(3, "OWCU", "O0! w1! c2! U3!");
    }

    #[test]
    fn from_one_hard_problem_to_another_is_hard_at_once() {
        check(2, "WWCWO", "w0! W0! C2! W3! O4!");
    }
}
