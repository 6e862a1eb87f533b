//! Jobs and when they run.
//!
//! A job runs on its step: at multiples of its interval since 1970, plus a phase that spreads
//! jobs over the interval. Waiting is done on the monotonic clock, so a jump of the wall clock
//! never holds a job up. A job never overlaps itself, and a slow job never delays another.

mod check_state;
mod runner;
mod steps;

use std::time::Duration;

use futures_util::future::BoxFuture;
use series::Timestamp;

pub use check_state::{CheckStates, Observed, Verdict};
pub use runner::start;
pub use steps::{FIRST_RUN_SPREAD_MS, Steps};

/// Something that runs again and again.
pub trait Job: Send {
    /// Its name in logs.
    fn name(&self) -> &str;

    /// How often it runs.
    fn timing(&self) -> Timing;

    /// One run. `at` is the one timestamp of everything this run collects. Work that blocks (a
    /// slow `statvfs`) belongs into `tokio::task::spawn_blocking`: the runtime has one thread.
    fn run<'a>(&'a mut self, at: Timestamp) -> BoxFuture<'a, NextRun>;
}

/// How often a job runs, and whether its runs are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From one run to the next.
    pub interval: Duration,
    /// Whether it gets a random phase (checks), or runs on the step exactly (host metrics).
    pub spread: bool,
}

/// When a job wants to run next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextRun {
    /// On its step.
    OnTheStep,
    /// Sooner than that: a check that is not yet sure of its new state.
    After(Duration),
}
