//! The agent's metrics about itself, `daywatch_agent_*` under `job="daywatch-agent"`.

use std::time::Duration;

use futures_util::future::BoxFuture;
use rustix::time::{ClockId, clock_gettime};
use series::{Labels, Sample, Timestamp};

use crate::figures::{Figure, Figures, Flag};
use crate::intake::Intake;
use crate::schedule::{Job, NextRun, Timing};

/// The label `job` of these metrics.
pub const JOB: &str = "daywatch-agent";

/// The job that collects them.
pub struct OwnMetrics {
    intake: Intake,
    interval: Duration,
}

impl OwnMetrics {
    /// Collects into `intake`.
    #[must_use]
    pub fn new(intake: Intake, interval: Duration) -> Self {
        Self { intake, interval }
    }

    fn collect(&self, at: Timestamp) -> Vec<(Labels, Sample)> {
        let mut samples = Vec::new();
        let mut add = |name: &str, label: (&str, &str), value: f64| {
            let name = format!("daywatch_agent_{name}");
            if let Ok(labels) = Labels::from_pairs([("__name__", name.as_str()), label]) {
                samples.push((labels, Sample { at, value }));
            }
        };
        for (name, value) in figures(self.intake.figures()) {
            add(name, ("", ""), value);
        }
        if let Some(seconds) = self.intake.figures().clock_offset.seconds() {
            add("clock_offset_seconds", ("", ""), seconds);
        }
        if let Some((rss_bytes, cpu_seconds)) = own_process() {
            add("resident_memory_bytes", ("", ""), rss_bytes);
            add("cpu_seconds_total", ("", ""), cpu_seconds);
        }
        add("build_info", ("version", env!("CARGO_PKG_VERSION")), 1.0);
        samples
    }
}

fn figures(figures: &Figures) -> Vec<(&'static str, f64)> {
    let number = |figure: &Figure| figure.get() as f64;
    let yes_no = |flag: &Flag| f64::from(u8::from(flag.get()));
    vec![
        ("buffer_bytes", number(&figures.buffer_bytes)),
        ("buffer_bytes_max", number(&figures.buffer_bytes_max)),
        ("buffer_batches", number(&figures.buffer_batches)),
        ("buffer_samples", number(&figures.buffer_samples)),
        ("buffer_memory_only", yes_no(&figures.memory_only)),
        ("queue_samples", number(&figures.queue_samples)),
        ("generated_total", number(&figures.generated_total)),
        ("evicted_total", number(&figures.evicted_total)),
        ("rejected_total", number(&figures.rejected_total)),
        ("reconnects_total", number(&figures.reconnects_total)),
        ("connected", yes_no(&figures.connected)),
        ("disk_errors_total", number(&figures.disk_errors_total)),
        ("job_overruns_total", number(&figures.job_overruns_total)),
    ]
}

/// Resident memory in bytes and CPU time in seconds.
fn own_process() -> Option<(f64, f64)> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Some((pages * rustix::param::page_size() as f64, used.tv_sec as f64 + used.tv_nsec as f64 / 1e9))
}

impl Job for OwnMetrics {
    fn name(&self) -> &str {
        "daywatch-agent"
    }

    fn timing(&self) -> Timing {
        Timing { interval: self.interval, spread: false }
    }

    fn run<'a>(&'a mut self, at: Timestamp) -> BoxFuture<'a, NextRun> {
        Box::pin(async move {
            self.intake.samples(JOB, self.collect(at));
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

    #[tokio::test]
    async fn everything_is_collected_under_its_job() {
        let intake = Intake::new(SourceName::new("web-1").unwrap(), &BTreeMap::new(), Arc::default());
        intake.figures().clock_offset.set_ms(-1_500);
        OwnMetrics::new(intake.clone(), Duration::from_secs(10)).run(Timestamp(1_000)).await;
        let taken = intake.take();
        assert!(taken.samples >= 16, "{}", taken.samples);
        assert!(taken.series.keys().all(|labels| labels.get("job") == Some(JOB)));
        let value = |name: &str| {
            let found = taken.series.iter().find(|(labels, _)| labels.metric_name() == Some(name));
            found.map(|(_, samples)| samples[0].value)
        };
        assert!(value("daywatch_agent_resident_memory_bytes").unwrap() > 1e6);
        assert!(value("daywatch_agent_cpu_seconds_total").unwrap() >= 0.0);
        assert_eq!(value("daywatch_agent_clock_offset_seconds"), Some(-1.5));
    }

    #[test]
    fn an_offset_is_told_once_it_is_known() {
        let intake = Intake::new(SourceName::new("web-1").unwrap(), &BTreeMap::new(), Arc::default());
        let collected = OwnMetrics::new(intake, Duration::from_secs(10)).collect(Timestamp(0));
        let named = |name: &str| collected.iter().any(|(labels, _)| labels.metric_name() == Some(name));
        assert!(!named("daywatch_agent_clock_offset_seconds"));
    }
}
