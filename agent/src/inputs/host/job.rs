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
    /// What every sample carries; `None` where the configured labels are too many for any series,
    /// and the intake refuses each sample with that reason.
    base: Option<Labels>,
    interval: Duration,
    intake: Intake,
}

impl HostJob {
    pub(in crate::inputs) fn new(root: &Path, host: &Host, intake: &Intake) -> Self {
        Self {
            metrics: None,
            root: root.into(),
            base: intake.base(JOB).ok(),
            interval: host.interval.duration(),
            intake: intake.clone(),
        }
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
            let base = || self.base.clone().unwrap_or_else(Labels::empty);
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
                    let samples = sheet.samples().iter().cloned();
                    match self.base {
                        Some(_) => self.intake.labeled(samples),
                        None => self.intake.samples(JOB, samples),
                    }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use series::SourceName;

    use super::*;

    async fn collected(labels: BTreeMap<String, String>) -> crate::intake::Pending {
        let intake = Intake::new(SourceName::new("web-1").unwrap(), &labels, Arc::default());
        HostJob::new(Path::new("/"), &Host::default(), &intake).run(Timestamp(1_000)).await;
        intake.take()
    }

    #[tokio::test]
    async fn samples_carry_the_agents_labels() {
        let taken = collected(BTreeMap::from([("env".to_owned(), "prod".to_owned())])).await;
        assert!(taken.samples > 20 && taken.rejected.is_empty());
        for (name, expected) in [("job", "node"), ("instance", "web-1"), ("source", "web-1"), ("env", "prod")] {
            assert!(taken.series.keys().all(|labels| labels.get(name) == Some(expected)), "{name}");
        }
    }

    #[tokio::test]
    async fn labels_that_are_too_long_together_are_a_rejection_and_not_left_out() {
        let long = "x".repeat(series::limits::LABEL_VALUE_BYTES_MAX);
        let count = series::limits::LABEL_SET_BYTES_MAX / long.len() + 1;
        let taken = collected((0..count).map(|n| (format!("l{n}"), long.clone())).collect()).await;
        assert_eq!(taken.samples, 0);
        assert!(taken.rejected["label_set_too_long"] > 20, "{:?}", taken.rejected);
    }
}
