//! The intake: where inputs put what they collected, until the next flush takes it.
//!
//! It lives in memory and is bounded: a full intake refuses and counts (`queue_full`), it never
//! waits and never grows. It also knows the label rules, so that no input has to: `instance` and
//! `source` are the agent's name, `job` is the input's, the configured labels are added to
//! everything, and a label that the sender set itself stays.

mod told;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use formats::Descriptions;
use series::{LabelError, Labels, Sample, SourceName, Timestamp};
use tokio::sync::Notify;
use wire::{CheckResult, LogRecord, MetricMetadata};

use crate::figures::Figures;
use told::{TOLD_METRICS_MAX, Told};

/// Samples that may wait in memory; more are refused.
pub const PENDING_SAMPLES_MAX: usize = 40_000;
/// From this many samples on, a flush is asked for at once.
pub const FLUSH_AT_SAMPLES: usize = 4_000;
/// Check results that may wait in memory; more are refused.
pub const PENDING_CHECKS_MAX: usize = 2_000;
/// Bytes of log text that may wait in memory; more records are refused.
pub const PENDING_LOG_BYTES_MAX: usize = 1 << 20;
/// From this many bytes of log text on, a flush is asked for at once.
pub const FLUSH_AT_LOG_BYTES: usize = 128 << 10;
/// Reasons of rejection that are told apart; further ones are counted as `other`.
pub const REASONS_MAX: usize = 64;

/// The handle that every input has. Cloning shares the intake.
#[derive(Clone)]
pub struct Intake {
    shared: Arc<Shared>,
    /// Whether what comes in is of other hosts, which this handle does not give our `instance`.
    of_others: bool,
}

struct Shared {
    source: SourceName,
    /// `[labels]` of the configuration.
    labels: Vec<(String, String)>,
    figures: Arc<Figures>,
    pending: Mutex<Pending>,
    told: Mutex<Told>,
    /// Told when a flush shall not wait for its time.
    flush_wanted: Notify,
    /// Told when a flush has made room.
    taken: Notify,
}

/// What waits for the next flush.
#[derive(Default)]
pub struct Pending {
    /// Samples by series, in the order in which they came.
    pub series: HashMap<Labels, Vec<Sample>>,
    /// How many samples that is.
    pub samples: usize,
    /// Check results.
    pub checks: Vec<CheckResult>,
    /// Log records.
    pub logs: Vec<LogRecord>,
    /// Bytes of their texts.
    pub log_bytes: usize,
    /// What targets said of their metrics, as far as the server has to be told.
    pub metadata: Vec<MetricMetadata>,
    /// Samples and lines refused since the last flush, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// To be run when all this is safe in the buffer.
    pub when_safe: Vec<Box<dyn FnOnce() + Send>>,
}

impl Pending {
    /// Whether a flush would have nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples == 0
            && self.checks.is_empty()
            && self.logs.is_empty()
            && self.metadata.is_empty()
            && self.rejected.is_empty()
    }
}

impl Intake {
    /// An empty intake of the agent called `source`, which adds `labels` to everything.
    #[must_use]
    pub fn new(source: SourceName, labels: &BTreeMap<String, String>, figures: Arc<Figures>) -> Self {
        let labels = labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Self {
            of_others: false,
            shared: Arc::new(Shared {
                source,
                labels,
                figures,
                pending: Mutex::default(),
                told: Mutex::default(),
                flush_wanted: Notify::new(),
                taken: Notify::new(),
            }),
        }
    }

    /// A handle for what other hosts send through this agent: it carries no `instance` of ours.
    #[must_use]
    pub fn for_other_hosts(&self) -> Self {
        Self { of_others: true, ..self.clone() }
    }

    /// Takes samples of the input `job`. Samples whose labels break a limit, or for which there
    /// is no room, are counted as rejected; the others go in.
    pub fn samples(&self, job: &str, samples: impl IntoIterator<Item = (Labels, Sample)>) {
        let labeled: Vec<_> = samples.into_iter().map(|(labels, sample)| (self.label(job, &labels), sample)).collect();
        self.put(labeled);
    }

    fn put(&self, samples: impl IntoIterator<Item = (Result<Labels, LabelError>, Sample)>) {
        let mut pending = self.pending();
        for (labels, sample) in samples {
            match labels {
                Ok(_) if pending.samples >= PENDING_SAMPLES_MAX => {
                    self.count(&mut pending, "queue_full", 1, "the agent's queue in memory is full");
                }
                Ok(labels) => {
                    pending.series.entry(labels).or_default().push(sample);
                    pending.samples += 1;
                }
                Err(error) => self.count(&mut pending, error.reason(), 1, &error.to_string()),
            }
        }
        self.shared.figures.queue_samples.set(pending.samples as u64);
        if pending.samples >= FLUSH_AT_SAMPLES {
            self.shared.flush_wanted.notify_one();
        }
    }

    /// What every sample of `job` carries beside its own labels. Inputs that meet the same series
    /// again and again build their label sets from it once, and give them to [`Intake::labeled`].
    pub fn base(&self, job: &str) -> Result<Labels, LabelError> {
        Labels::from_pairs(self.pairs(job, &Labels::empty()))
    }

    /// Takes samples that carry the job's [`Intake::base`] already.
    pub fn labeled(&self, samples: impl IntoIterator<Item = (Labels, Sample)>) {
        self.put(samples.into_iter().map(|(labels, sample)| (Ok(labels), sample)));
    }

    /// Takes the result of a check; where it `changed` its state, everything is flushed at once.
    pub fn check(&self, result: CheckResult, changed: bool) {
        let mut pending = self.pending();
        if pending.checks.len() >= PENDING_CHECKS_MAX {
            self.count(&mut pending, "queue_full", 1, &format!("result of check {:?}", result.check));
        } else {
            pending.checks.push(result);
        }
        if changed {
            self.shared.flush_wanted.notify_one();
        }
    }

    /// Takes log records.
    pub fn logs(&self, records: impl IntoIterator<Item = LogRecord>) {
        let mut pending = self.pending();
        for record in records {
            let bytes = record.text.len() + record.file.len();
            if pending.log_bytes + bytes > PENDING_LOG_BYTES_MAX {
                self.count(&mut pending, "queue_full", 1, &format!("a log record of {}", record.file));
            } else {
                pending.log_bytes += bytes;
                pending.logs.push(record);
            }
        }
        if pending.log_bytes >= FLUSH_AT_LOG_BYTES {
            self.shared.flush_wanted.notify_one();
        }
    }

    /// Takes what a target or a plugin said of its metrics at `at`. What the server was told lately is
    /// not told again.
    pub fn described(&self, at: Timestamp, descriptions: &Descriptions) {
        let mut pending = self.pending();
        let mut told = self.shared.told.lock().unwrap_or_else(PoisonError::into_inner);
        let room = TOLD_METRICS_MAX.saturating_sub(pending.metadata.len());
        pending.metadata.extend(descriptions.iter().filter_map(|(metric, is)| told.news(at, metric, is)).take(room));
    }

    /// Counts what an input had to refuse. `first` is the first of them with its place, for the log.
    pub fn reject(&self, reason: &str, count: u64, first: &str) {
        if count > 0 {
            self.count(&mut self.pending(), reason, count, first);
        }
    }

    /// Runs `action` when everything that was given before is safe in the buffer, for instance
    /// to move a checkpoint on. It is dropped where that does not happen any more.
    pub fn when_safe(&self, action: impl FnOnce() + Send + 'static) {
        self.pending().when_safe.push(Box::new(action));
    }

    /// Waits while the intake is above half of its room: what a listener does before it reads
    /// on, so that a sender on TCP is slowed down rather than refused.
    pub async fn room(&self) {
        loop {
            let taken = self.shared.taken.notified();
            if self.pending().samples <= PENDING_SAMPLES_MAX / 2 {
                return;
            }
            self.shared.flush_wanted.notify_one();
            taken.await;
        }
    }

    /// The agent's name.
    #[must_use]
    pub fn source(&self) -> &SourceName {
        &self.shared.source
    }

    /// The agent's figures about itself.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.shared.figures
    }

    /// Takes everything out.
    #[must_use]
    pub fn take(&self) -> Pending {
        let taken = {
            let mut pending = self.pending();
            // The next flush will most likely hold as many series.
            let series = HashMap::with_capacity(pending.series.len());
            std::mem::replace(&mut *pending, Pending { series, ..Pending::default() })
        };
        self.shared.figures.queue_samples.set(0);
        self.shared.taken.notify_waiters();
        taken
    }

    /// Waits until somebody wants a flush at once.
    pub async fn flush_wanted(&self) {
        self.shared.flush_wanted.notified().await;
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        // Nothing panics while it holds the lock, and a list of samples has no half-done state.
        self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, pending: &mut Pending, reason: &str, count: u64, first: &str) {
        let known = pending.rejected.contains_key(reason);
        let reason = if known || pending.rejected.len() < REASONS_MAX { reason } else { "other" };
        if !known {
            tracing::warn!(reason, count, first, "refused; further ones of this flush are only counted");
        }
        *pending.rejected.entry(reason.to_owned()).or_default() += count;
    }

    fn label(&self, job: &str, own: &Labels) -> Result<Labels, LabelError> {
        Labels::from_pairs(self.pairs(job, own))?.require_metric_name()
    }

    fn pairs<'a>(&'a self, job: &'a str, own: &'a Labels) -> Vec<(&'a str, &'a str)> {
        let mut pairs: Vec<(&str, &str)> = own.iter().collect();
        let source = self.shared.source.as_str();
        let configured = self.shared.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let ours = [("instance", source), ("source", source), ("job", job)];
        for (name, value) in configured.chain(ours) {
            if self.of_others && name == "instance" {
                continue;
            }
            if !pairs.iter().any(|(present, _)| *present == name) {
                pairs.push((name, value));
            }
        }
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intake() -> Intake {
        let labels = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
        Intake::new(SourceName::new("web-1").unwrap(), &labels, Arc::default())
    }

    fn sample(value: f64) -> Sample {
        Sample { at: Timestamp(1_000), value }
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).unwrap()
    }

    fn check(own: &[(&str, &str)], expected: &str) {
        let intake = intake();
        intake.samples("node", [(labels(own), sample(1.0))]);
        let taken = intake.take();
        let shown: Vec<String> = taken.series.keys().map(ToString::to_string).collect();
        assert_eq!(shown, [expected]);
    }

    #[test]
    fn ours_are_added_and_the_senders_win() {
        check(&[("__name__", "up")], r#"up{env="prod", instance="web-1", job="node", source="web-1"}"#);
        check(
            &[("__name__", "up"), ("job", "db"), ("env", "test")],
            r#"up{env="test", instance="web-1", job="db", source="web-1"}"#,
        );
    }

    #[test]
    fn what_other_hosts_send_has_no_instance_of_ours() {
        let intake = intake();
        intake.for_other_hosts().samples("graphite", [(labels(&[("__name__", "up")]), sample(1.0))]);
        let taken = intake.take();
        let shown: Vec<String> = taken.series.keys().map(ToString::to_string).collect();
        assert_eq!(shown, [r#"up{env="prod", job="graphite", source="web-1"}"#]);
    }

    #[test]
    fn what_is_built_from_the_base_is_the_same_series() {
        let intake = intake();
        let mut own = intake.base("node").unwrap().to_builder();
        own.set("__name__", "up");
        intake.labeled([(own.build().unwrap(), sample(1.0))]);
        intake.samples("node", [(labels(&[("__name__", "up")]), sample(2.0))]);
        let taken = intake.take();
        assert_eq!((taken.series.len(), taken.samples), (1, 2));
    }

    #[test]
    fn a_sample_without_a_name_is_counted_and_its_neighbour_goes_through() {
        let intake = intake();
        intake.samples("node", [(labels(&[("a", "b")]), sample(1.0)), (labels(&[("__name__", "x")]), sample(2.0))]);
        let taken = intake.take();
        assert_eq!(taken.samples, 1);
        assert_eq!(taken.rejected["no_metric_name"], 1);
    }

    #[test]
    fn samples_at_the_limit_and_one_past_it() {
        let intake = intake();
        let x = labels(&[("__name__", "x")]);
        intake.samples("node", (0..PENDING_SAMPLES_MAX).map(|_| (x.clone(), sample(1.0))));
        assert!(intake.pending().rejected.is_empty());
        intake.samples("node", [(x, sample(1.0))]);
        let taken = intake.take();
        assert_eq!((taken.samples, taken.rejected["queue_full"]), (PENDING_SAMPLES_MAX, 1));
        assert!(intake.take().is_empty());
    }

    #[test]
    fn log_text_at_the_limit_and_one_past_it() {
        let intake = intake();
        let record = |bytes: usize| LogRecord {
            at: Timestamp(0),
            file: String::new(),
            level: String::new(),
            text: "x".repeat(bytes),
        };
        intake.logs([record(PENDING_LOG_BYTES_MAX), record(1)]);
        let taken = intake.take();
        assert_eq!((taken.logs.len(), taken.rejected["queue_full"]), (1, 1));
    }

    #[test]
    fn reasons_at_the_limit_and_one_past_it() {
        let intake = intake();
        for reason in 0..REASONS_MAX + 3 {
            intake.reject(&format!("r{reason}"), 1, "");
        }
        let taken = intake.take();
        assert_eq!((taken.rejected.len(), taken.rejected["other"]), (REASONS_MAX + 1, 3));
    }
}
