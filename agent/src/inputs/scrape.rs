//! `[[scrape]]`: targets that speak Prometheus's text format or OpenMetrics, as Prometheus scrapes
//! them (with `honor_labels: true`: what the target says of itself wins).
//!
//! After each scrape a series that is gone gets a stale marker, and after a failed one all of them
//! do; `up` and `scrape_*` tell how it went. One bad line is counted and costs itself alone, where
//! Prometheus would give up the scrape. A series with timestamps of its own gets no stale marker.

mod fetch;
mod known;

use std::time::Duration;

use formats::Rejects;
use futures_util::future::BoxFuture;
use hyper::Uri;
use series::{LabelError, Labels, METRIC_NAME, Sample, Timestamp};
use tokio::time::Instant;

use crate::config::{Config, Scrape};
use crate::intake::Intake;
use crate::net::Dialer;
use crate::schedule::{Job, NextRun, Timing};
use fetch::{Credentials, Target};
use known::Known;

/// Samples given to the intake at once; between two of these it may ask to wait.
const SAMPLES_AT_ONCE: usize = 1_000;

/// One target as a job of the schedule.
pub(super) struct ScrapeJob {
    name: String,
    interval: Duration,
    timeout: Duration,
    target: Target,
    sample_limit: usize,
    dialer: Dialer,
    known: Known,
    report: Report,
    intake: Intake,
    /// Whether the last scrape failed; told in the log once, not at every scrape.
    failed: bool,
}

/// The labels of what a scrape says about itself.
struct Report {
    up: Labels,
    duration: Labels,
    scraped: Labels,
    kept: Labels,
    added: Labels,
}

/// How a scrape went.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    up: bool,
    /// Samples that the target gave.
    scraped: usize,
    /// Series that the scrape before did not have.
    added: usize,
}

impl ScrapeJob {
    /// A scrape of the configuration, or why its labels cannot be.
    pub(super) fn new(scrape: &Scrape, config: &Config, intake: &Intake) -> Result<Self, String> {
        let uri = scrape.uri()?;
        let shown = |error: LabelError| error.to_string();
        let mut base = intake.base(&scrape.job).map_err(shown)?.to_builder();
        base.set("instance", instance(&uri));
        for (name, value) in &scrape.labels {
            base.set(name.get_ref(), value);
        }
        let base = base.build().map_err(shown)?;
        let named = |name: &str| base.to_builder().set(METRIC_NAME, name).build().map_err(shown);
        let report = Report {
            up: named("up")?,
            duration: named("scrape_duration_seconds")?,
            scraped: named("scrape_samples_scraped")?,
            kept: named("scrape_samples_post_metric_relabeling")?,
            added: named("scrape_series_added")?,
        };
        let credentials = match (&scrape.basic_auth, &scrape.bearer_token_file) {
            (Some(auth), _) => Credentials::Basic { name: auth.username.clone(), file: auth.password_file.clone() },
            (None, Some(file)) => Credentials::Bearer { file: file.get_ref().clone() },
            (None, None) => Credentials::None,
        };
        let timeout = scrape.timeout().duration();
        Ok(Self {
            name: format!("scrape {uri}"),
            interval: scrape.interval.duration(),
            timeout,
            target: Target { uri, credentials, timeout },
            sample_limit: scrape.sample_limit(),
            dialer: Dialer::direct(config.ca_file.clone()),
            known: Known::new(base),
            report,
            intake: intake.clone(),
            failed: false,
        })
    }

    async fn scrape(&mut self, at: Timestamp) {
        let started = Instant::now();
        let fetched = tokio::time::timeout(self.timeout, fetch::fetch(&mut self.dialer, &self.target)).await;
        let took = started.elapsed();
        let told = match fetched {
            Err(_) => Err(format!("no answer within {} s", self.timeout.as_secs_f64())),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(answer)) => self.known.read(&answer.body, answer.dialect, at, self.sample_limit),
        };
        let (samples, counts) = match told {
            Ok(read) => {
                self.refuse(&read.rejected);
                self.intake.described(at, &read.described);
                if std::mem::take(&mut self.failed) {
                    tracing::info!(url = %self.target.uri, "the scrape works again");
                }
                (read.samples, Counts { up: true, scraped: read.scraped, added: read.added })
            }
            Err(why) => {
                if !std::mem::replace(&mut self.failed, true) {
                    tracing::warn!(url = %self.target.uri, why, "the scrape failed; told again when it works");
                }
                (self.known.all_gone(at), Counts::default())
            }
        };
        self.give(at, took, samples, counts).await;
    }

    fn refuse(&self, rejected: &Rejects) {
        for (reason, count) in rejected.by_reason() {
            let first = rejected.iter().find(|reject| reject.reason == *reason);
            let first = first.map(|reject| format!("{}, {reject}", self.target.uri)).unwrap_or_default();
            self.intake.reject(reason, *count, &first);
        }
    }

    async fn give(&self, at: Timestamp, took: Duration, samples: Vec<(Labels, Sample)>, counts: Counts) {
        let number = |value: usize| value as f64;
        let Report { up, duration, scraped, kept, added } = &self.report;
        let report = [
            (up, f64::from(u8::from(counts.up))),
            (duration, took.as_secs_f64()),
            (scraped, number(counts.scraped)),
            (kept, number(counts.scraped)),
            (added, number(counts.added)),
        ];
        self.intake.labeled(report.map(|(labels, value)| (labels.clone(), Sample { at, value })));
        let mut samples = samples.into_iter().peekable();
        while samples.peek().is_some() {
            self.intake.room().await;
            self.intake.labeled(samples.by_ref().take(SAMPLES_AT_ONCE));
        }
    }
}

/// Host and port of the target, as Prometheus has it.
fn instance(uri: &Uri) -> String {
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    format!("{}:{port}", uri.host().unwrap_or_default())
}

impl Job for ScrapeJob {
    fn name(&self) -> &str {
        &self.name
    }

    fn timing(&self) -> Timing {
        Timing { interval: self.interval, spread: true }
    }

    fn run<'a>(&'a mut self, at: Timestamp) -> BoxFuture<'a, NextRun> {
        Box::pin(async move {
            self.scrape(at).await;
            NextRun::OnTheStep
        })
    }
}

#[cfg(test)]
mod tests;
