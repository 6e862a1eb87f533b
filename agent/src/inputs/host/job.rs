//! Host metrics as a job of the schedule.

use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use series::{Labels, Timestamp};

use super::HostMetrics;
use crate::config::Host;
use crate::intake::Intake;
use crate::schedule::{Job, NextRun, Timing};

/// The label `job` of these metrics.
const JOB: &str = "node";

/// Collects the host's metrics on the step.
pub(in crate::inputs) struct HostJob {
    /// Away while a collection runs on its thread.
    metrics: Option<HostMetrics>,
    root: Box<Path>,
    interval: Duration,
    intake: Intake,
}

impl HostJob {
    pub(in crate::inputs) fn new(root: &Path, host: &Host, intake: &Intake) -> Self {
        Self { metrics: None, root: root.into(), interval: host.interval.duration(), intake: intake.clone() }
    }
}

impl Job for HostJob {
    fn name(&self) -> &str {
        "host"
    }

    fn timing(&self) -> Timing {
        Timing { interval: self.interval, spread: false }
    }

    fn run<'a>(&'a mut self, at: Timestamp) -> BoxFuture<'a, NextRun> {
        Box::pin(async move {
            let base = || self.intake.base(JOB).unwrap_or_else(|_| Labels::empty());
            let mut metrics = self.metrics.take().unwrap_or_else(|| HostMetrics::new(&self.root, base()));
            let collected = tokio::task::spawn_blocking(move || {
                metrics.collect(at);
                metrics
            });
            match collected.await {
                Ok(mut metrics) => {
                    for note in metrics.take_notes() {
                        tracing::info!(note, "host metrics");
                    }
                    let sheet = metrics.sheet();
                    self.intake.labeled(sheet.samples().iter().cloned());
                    for rejection in sheet.rejected() {
                        self.intake.reject(&rejection.reason, rejection.count, &rejection.first);
                    }
                    self.metrics = Some(metrics);
                }
                Err(error) => tracing::error!(%error, "a collection of host metrics broke off"),
            }
            NextRun::OnTheStep
        })
    }
}
