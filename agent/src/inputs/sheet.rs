//! Samples of one collection, all at one timestamp.
//!
//! The same series come again every interval, so their label sets are built once and found by
//! name and labels afterwards. Knows nothing of where the numbers come from or where they go.

use std::collections::HashMap;

use series::{Labels, LabelsBuilder, METRIC_NAME, Sample, Timestamp};
use wire::Rejection;

/// Samples that one collection may hold; more are refused under `too_many_samples`.
pub(super) const SAMPLES_PER_COLLECTION_MAX: usize = 20_000;

/// Label sets that are remembered although the last collection did not use them.
const UNUSED_SERIES_MAX: usize = 1_000;

/// Collects samples; kept from one collection to the next.
#[derive(Debug)]
pub struct Sheet {
    base: Labels,
    known: HashMap<Box<[u8]>, Known>,
    /// Bytes of the series that is looked up, kept to save an allocation a sample.
    key: Vec<u8>,
    round: u64,
    at: Timestamp,
    samples: Vec<(Labels, Sample)>,
    rejected: Vec<Rejection>,
}

#[derive(Debug)]
struct Known {
    labels: Labels,
    round: u64,
}

impl Sheet {
    /// A sheet whose samples carry `base` (instance, source, job and the configured labels)
    /// unless they say otherwise.
    #[must_use]
    pub fn new(base: Labels) -> Self {
        Self {
            base,
            known: HashMap::new(),
            key: Vec::new(),
            round: 0,
            at: Timestamp(0),
            samples: Vec::new(),
            rejected: Vec::new(),
        }
    }

    /// Starts the next collection.
    pub fn begin(&mut self, at: Timestamp) {
        if self.known.len() > self.samples.len() + UNUSED_SERIES_MAX {
            let round = self.round;
            self.known.retain(|_, known| known.round == round);
        }
        self.round += 1;
        self.at = at;
        self.samples.clear();
        self.rejected.clear();
    }

    /// Writes one sample down. A label set that breaks a limit is refused and counted.
    pub fn put(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        if self.samples.len() >= SAMPLES_PER_COLLECTION_MAX {
            return self.refuse("too_many_samples", || format!("{name}: over {SAMPLES_PER_COLLECTION_MAX} samples"));
        }
        self.key.clear();
        self.key.extend_from_slice(name.as_bytes());
        for (label, text) in labels {
            for part in [label, text] {
                // 0xff never stands in UTF-8, so no two label sets share a key.
                self.key.push(0xff);
                self.key.extend_from_slice(part.as_bytes());
            }
        }
        let sample = Sample { at: self.at, value };
        if let Some(known) = self.known.get_mut(self.key.as_slice()) {
            known.round = self.round;
            self.samples.push((known.labels.clone(), sample));
            return;
        }
        let mut builder: LabelsBuilder = self.base.to_builder();
        builder.set(METRIC_NAME, name);
        for (label, text) in labels {
            builder.set(*label, *text);
        }
        match builder.build() {
            Ok(labels) => {
                self.known
                    .insert(self.key.clone().into_boxed_slice(), Known { labels: labels.clone(), round: self.round });
                self.samples.push((labels, sample));
            }
            Err(error) => self.refuse(error.reason(), || format!("{name}: {error}")),
        }
    }

    /// Counts something that could not become a sample.
    pub fn refuse(&mut self, reason: &str, first: impl FnOnce() -> String) {
        match self.rejected.iter_mut().find(|rejection| rejection.reason == reason) {
            Some(rejection) => rejection.count += 1,
            None => self.rejected.push(Rejection { reason: reason.to_owned(), count: 1, first: first() }),
        }
    }

    /// The samples written since `begin`.
    #[must_use]
    pub fn samples(&self) -> &[(Labels, Sample)] {
        &self.samples
    }

    /// What was refused since `begin`.
    #[must_use]
    pub fn rejected(&self) -> &[Rejection] {
        &self.rejected
    }
}

/// Text of a sheet without its base labels, one `name{labels} value` a line, for tests.
#[cfg(test)]
pub(crate) fn shown(sheet: &Sheet) -> String {
    let base = sheet.base.clone();
    let mut text = String::new();
    for (labels, sample) in sheet.samples() {
        let own = labels.without(|name| base.get(name).is_some());
        text.push_str(&format!("{own} {}\n", sample.value));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        Sheet::new(Labels::from_pairs([("job", "node"), ("instance", "web-1")]).expect("valid"))
    }

    #[test]
    fn base_labels_are_added_and_a_samples_own_label_wins() {
        let mut sheet = sheet();
        sheet.begin(Timestamp(7));
        sheet.put("a", &[("cpu", "0")], 1.0);
        sheet.put("a", &[("job", "other")], 2.0);
        let labels: Vec<String> = sheet.samples().iter().map(|(labels, _)| labels.to_string()).collect();
        assert_eq!(labels, [r#"a{cpu="0", instance="web-1", job="node"}"#, r#"a{instance="web-1", job="other"}"#]);
    }

    #[test]
    fn label_sets_are_reused_and_forgotten_when_unused() {
        let mut sheet = sheet();
        sheet.begin(Timestamp(1));
        for number in 0..=UNUSED_SERIES_MAX {
            sheet.put("a", &[("n", &number.to_string())], 0.0);
        }
        sheet.begin(Timestamp(2));
        sheet.put("a", &[("n", "0")], 0.0);
        assert_eq!(sheet.known.len(), UNUSED_SERIES_MAX + 1);
        sheet.begin(Timestamp(3));
        sheet.put("b", &[], 0.0);
        sheet.begin(Timestamp(4));
        assert_eq!(sheet.known.len(), 1, "two unused collections later only the used series is known");
    }

    #[test]
    fn samples_at_the_limit_and_one_past_it() {
        let mut sheet = sheet();
        sheet.begin(Timestamp(1));
        for _ in 0..SAMPLES_PER_COLLECTION_MAX {
            sheet.put("a", &[], 0.0);
        }
        assert!(sheet.rejected().is_empty());
        sheet.put("a", &[], 0.0);
        assert_eq!(sheet.samples().len(), SAMPLES_PER_COLLECTION_MAX);
        assert_eq!((sheet.rejected()[0].reason.as_str(), sheet.rejected()[0].count), ("too_many_samples", 1));
    }

    #[test]
    fn a_label_over_its_limit_is_counted_and_its_neighbours_go_through() {
        let mut sheet = sheet();
        sheet.begin(Timestamp(1));
        sheet.put("a", &[("mountpoint", &"x".repeat(5_000))], 1.0);
        sheet.put("b", &[], 1.0);
        assert_eq!(shown(&sheet), "b 1\n");
        assert_eq!(sheet.rejected()[0].reason, "label_value_too_long");
    }
}
