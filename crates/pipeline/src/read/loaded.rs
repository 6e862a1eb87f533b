//! What a query has loaded so far: of each series the runs of samples that blocks and the head gave, which
//! become one at the end, in one copy where they are several and in none where there is one.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use promql::{Samples, Series, SeriesSet};
use series::{Labels, Sample, SeriesId, Timestamp};

use super::budget::Budget;
use crate::error::Fault;

/// Samples of one series, ascending in time, each time once: a stretch of what may be kept elsewhere too.
#[derive(Debug, Clone)]
pub(super) struct Run {
    samples: Samples,
    stretch: Range<usize>,
}

impl Run {
    /// A stretch of samples.
    pub(super) fn part(samples: Samples, stretch: Range<usize>) -> Self {
        Self { samples, stretch }
    }

    pub(super) fn as_slice(&self) -> &[Sample] {
        self.samples.get(self.stretch.clone()).unwrap_or(&[])
    }

    /// The part of it in `[from, to]`; `None` where there is none.
    pub(super) fn within(&self, from: Timestamp, to: Timestamp) -> Option<Self> {
        let run = self.as_slice();
        let first = run.partition_point(|sample| sample.at < from);
        let end = run.partition_point(|sample| sample.at <= to);
        let start = self.stretch.start;
        (first < end).then(|| Self { samples: self.samples.clone(), stretch: start + first..start + end })
    }
}

impl From<Vec<Sample>> for Run {
    fn from(samples: Vec<Sample>) -> Self {
        Self { stretch: 0..samples.len(), samples: samples.into() }
    }
}

/// What a query has so far.
pub(super) struct Loaded<'a> {
    /// Most have one run, so the others stand apart from it.
    series: Vec<(Labels, Run, Vec<Run>)>,
    /// Where a series stands; made when one may come a second time.
    places: Option<HashMap<SeriesId, usize>>,
    pub(super) budget: Budget<'a>,
    /// Widths of rollups that were read because nothing else is kept.
    pub(super) only_rollups: BTreeSet<i64>,
}

impl<'a> Loaded<'a> {
    pub(super) fn begin(budget: Budget<'a>) -> Self {
        Self { series: Vec::new(), places: None, budget, only_rollups: BTreeSet::new() }
    }

    /// A series that has not come before.
    pub(super) fn add_first(&mut self, labels: &Labels, run: impl Into<Run>) -> Result<(), Fault> {
        let run = run.into();
        self.budget.samples(run.stretch.len())?;
        self.budget.series()?;
        self.series.push((labels.clone(), run, Vec::new()));
        Ok(())
    }

    /// Samples of any series.
    pub(super) fn add(&mut self, labels: &Labels, run: impl Into<Run>) -> Result<(), Fault> {
        let known = self.series.iter().enumerate();
        let places = self.places.get_or_insert_with(|| known.map(|(at, (labels, ..))| (labels.id(), at)).collect());
        let run = run.into();
        match places.entry(labels.id()) {
            std::collections::hash_map::Entry::Occupied(place) => {
                self.budget.samples(run.stretch.len())?;
                if let Some((_, _, more)) = self.series.get_mut(*place.get()) {
                    more.push(run);
                }
                Ok(())
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(self.series.len());
                self.add_first(labels, run)
            }
        }
    }

    /// One series a label set, so that the storage joins once and not a block at a time.
    pub(super) fn into_set(self) -> SeriesSet {
        let joined = |(labels, first, more)| Series { labels, samples: joined(first, more) };
        SeriesSet::from_joined(self.series.into_iter().map(joined).collect())
    }
}

fn joined(first: Run, mut runs: Vec<Run>) -> Samples {
    if runs.is_empty() && first.stretch == (0..first.samples.len()) {
        return first.samples;
    }
    runs.push(first);
    // Runs of different windows then follow each other, and nothing has to be sorted.
    runs.sort_by_key(|run| run.as_slice().first().map(|sample| sample.at));
    let mut all = Vec::with_capacity(runs.iter().map(|run| run.stretch.len()).sum());
    runs.iter().for_each(|run| all.extend_from_slice(run.as_slice()));
    Samples::joined(all)
}

#[cfg(test)]
mod tests {
    use promql::{Stop, Storage};

    use super::*;

    fn labels(name: &str) -> Labels {
        Labels::from_pairs([("__name__", name)]).unwrap()
    }

    fn samples(times: &[i64]) -> Vec<Sample> {
        times.iter().map(|at| Sample { at: Timestamp(*at), value: *at as f64 }).collect()
    }

    #[test]
    fn runs_of_any_order_become_one_and_a_single_one_is_not_copied() {
        let stop = Stop::default();
        let mut loaded = Loaded::begin(Budget::begin(&stop));
        let kept: Samples = samples(&[1, 2, 3]).into();
        loaded.add_first(&labels("one"), Run::part(kept.clone(), 0..3)).unwrap();
        loaded.add_first(&labels("two"), samples(&[7, 8])).unwrap();
        loaded.add(&labels("two"), Run::part(kept.clone(), 1..3)).unwrap();
        loaded.add(&labels("two"), samples(&[3, 7])).unwrap();
        loaded.add(&labels("a"), samples(&[5])).unwrap();
        let all = loaded.into_set().select(&[], Timestamp(0), Timestamp(9)).unwrap();
        let shown: Vec<(&str, Vec<i64>)> = all
            .iter()
            .map(|one| (one.labels.metric_name().unwrap(), one.samples.iter().map(|sample| sample.at.ms()).collect()))
            .collect();
        assert_eq!(shown, [("a", vec![5]), ("one", vec![1, 2, 3]), ("two", vec![2, 3, 7, 8])]);
        assert!(all[1].samples.shares(&kept));
    }
}
