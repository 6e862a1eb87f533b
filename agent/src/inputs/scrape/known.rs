//! The series of one target, known by the text in which it writes them: their labels are built
//! once, and what a scrape does not bring again is gone. Knows no network.

use std::collections::HashMap;

use formats::prometheus_text::{Dialect, Entry, Exposition, Reading};
use formats::{Descriptions, Rejects};
use series::{Labels, Sample, Timestamp, stale_marker};

/// The series of the last scrape.
pub(super) struct Known {
    base: Labels,
    series: HashMap<Box<str>, Series>,
    round: u64,
}

struct Series {
    labels: Labels,
    /// The first scrape that brought it.
    since: u64,
    /// The last scrape that brought it.
    round: u64,
    /// Whether its time is ours, so that it can be said to be gone.
    ours: bool,
}

/// What a scrape brought.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Samples, and stale markers of what is gone.
    pub(super) samples: Vec<(Labels, Sample)>,
    /// Lines that were refused.
    pub(super) rejected: Rejects,
    /// What the target says of its metrics.
    pub(super) described: Descriptions,
    /// How many samples the target gave.
    pub(super) scraped: usize,
    /// Series that the scrape before did not have.
    pub(super) added: usize,
}

impl Known {
    /// No series yet; all of them will carry `base` unless they say otherwise.
    pub(super) fn new(base: Labels) -> Self {
        Self { base, series: HashMap::new(), round: 0 }
    }

    /// Reads a body that was scraped at `at`. Fails as a whole where it has too many samples, or
    /// where nothing in it can be read.
    pub(super) fn read(&mut self, body: &[u8], dialect: Dialect, at: Timestamp, max: usize) -> Result<Read, String> {
        self.round += 1;
        let mut read = Read { samples: Vec::with_capacity(self.series.len()), ..Read::default() };
        for entry in Exposition::new(body, dialect) {
            match entry {
                Entry::Sample(reading) => {
                    read.scraped += 1;
                    if read.scraped > max {
                        // None of what it brought is kept, so none of it can be gone.
                        let round = self.round;
                        self.series.retain(|_, series| series.since != round);
                        return Err(format!("more than {max} samples, the scrape's `sample_limit`"));
                    }
                    self.take(&reading, at, &mut read);
                }
                Entry::Bad(reject) => read.rejected.push(reject),
                entry => read.described.take(&entry),
            }
        }
        if let (0, Some(first)) = (read.samples.len(), read.rejected.iter().find(|bad| bad.reason != "eof_missing")) {
            return Err(format!("the answer is no list of metrics: {first}"));
        }
        let round = self.round;
        self.gone(at, &mut read.samples, |series| series.round == round);
        Ok(read)
    }

    fn take(&mut self, reading: &Reading<'_>, at: Timestamp, read: &mut Read) {
        let sample = Sample { at: reading.at.unwrap_or(at), value: reading.value };
        if let Some(series) = self.series.get_mut(reading.series) {
            series.round = self.round;
            series.ours = reading.at.is_none();
            read.samples.push((series.labels.clone(), sample));
            return;
        }
        let labels = reading.labels().and_then(|own| self.joined(&own, reading));
        match labels {
            Ok(labels) => {
                let series =
                    Series { labels: labels.clone(), since: self.round, round: self.round, ours: reading.at.is_none() };
                self.series.insert(reading.series.into(), series);
                read.added += 1;
                read.samples.push((labels, sample));
            }
            Err(reject) => read.rejected.push(reject),
        }
    }

    /// The target's own labels over ours.
    fn joined(&self, own: &Labels, reading: &Reading<'_>) -> Result<Labels, formats::Reject> {
        let ours = self.base.iter().filter(|(name, _)| own.get(name).is_none());
        let pairs: Vec<(&str, &str)> = own.iter().chain(ours).collect();
        Labels::from_pairs(pairs).map_err(|error| reading.refused(error.reason()))
    }

    /// Stale markers for all series: the scrape failed.
    pub(super) fn all_gone(&mut self, at: Timestamp) -> Vec<(Labels, Sample)> {
        let mut markers = Vec::new();
        self.gone(at, &mut markers, |_| false);
        markers
    }

    /// Forgets what does not stay and marks its end. A series that is there under another spelling
    /// is not harmed: at one time a number wins over a stale marker.
    fn gone(&mut self, at: Timestamp, markers: &mut Vec<(Labels, Sample)>, stays: impl Fn(&Series) -> bool) {
        self.series.retain(|_, series| {
            let stays = stays(series);
            if !stays && series.ours {
                markers.push((series.labels.clone(), Sample { at, value: stale_marker() }));
            }
            stays
        });
    }
}
