//! Where samples come from. Evaluation is synchronous and knows nothing of files, tables or
//! networks: whoever calls it loads what [`crate::selections`] lists and hands it over.

use series::{Labels, RollupSeries, Sample, Timestamp};

use crate::matcher::{Matcher, all_match};
use crate::samples::Samples;

/// One series with its samples: ascending in time, no timestamp twice. Stale markers may be
/// among stored samples, never among results.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name and labels.
    pub labels: Labels,
    /// Ascending, unique timestamps.
    pub samples: Samples,
}

/// Why samples could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read samples: {message}")]
pub struct StorageError {
    /// What the storage says.
    pub message: String,
}

/// Read access to samples for one evaluation.
pub trait Storage {
    /// The series that all `matchers` match, with their samples in `[from, to]` (both included).
    /// More samples than asked for are tolerated; a label set must not come twice.
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Result<Vec<Series>, StorageError>;

    /// The rollups of `width_ms` whose buckets end in `[from, to]`, of every series that all `matchers`
    /// match; asked only for what [`crate::Selection::rollup`] allows, and then for what [`crate::Selection::near`] does:
    /// whether a near answer will do is the storage's to say. `None`: there are none to be had for
    /// the whole of that time, so that samples are read instead.
    fn rollups(
        &self,
        _matchers: &[Matcher],
        _from: Timestamp,
        _to: Timestamp,
        _width_ms: i64,
    ) -> Result<Option<Vec<RollupSeries>>, StorageError> {
        Ok(None)
    }
}

/// A storage that holds loaded series in memory, joined by identity.
///
/// What it hands out shares its samples: a selection copies none, and gives all samples of a series that has any in
/// the time that is asked for.
#[derive(Debug, Clone, Default)]
pub struct SeriesSet {
    /// Ascending by labels, each label set once.
    series: Vec<Series>,
}

impl SeriesSet {
    /// Joins `series`: those of one label set become one, sorted, and of samples with the same
    /// timestamp [`series::winner`] stays. The order of the input does not matter.
    pub fn new(series: impl IntoIterator<Item = Series>) -> Self {
        let mut all: Vec<Series> = series.into_iter().collect();
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        let mut set: Vec<Series> = Vec::with_capacity(all.len());
        for one in all {
            match set.last_mut().filter(|last| last.labels == one.labels) {
                Some(last) => {
                    let both: Vec<Sample> = last.samples.iter().chain(one.samples.iter()).copied().collect();
                    last.samples = Samples::joined(both);
                }
                None => set.push(Series { samples: one.samples.into_joined(), labels: one.labels }),
            }
        }
        Self { series: set }
    }

    /// Takes over series that are joined already: each label set once, samples ascending in time, each time once.
    /// Costs a comparison a series, and a sort where the label sets do not ascend.
    #[must_use]
    pub fn from_joined(mut series: Vec<Series>) -> Self {
        if !series.is_sorted_by(|a, b| a.labels < b.labels) {
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
            if series.windows(2).any(|pair| pair[0].labels == pair[1].labels) {
                return Self::new(series);
            }
        }
        Self { series }
    }

    /// How many series there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

impl Storage for SeriesSet {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Result<Vec<Series>, StorageError> {
        let is_asked_for = |one: &&Series| {
            let first = one.samples.partition_point(|sample| sample.at < from);
            one.samples.get(first).is_some_and(|sample| sample.at <= to) && all_match(matchers, &one.labels)
        };
        Ok(self.series.iter().filter(is_asked_for).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series(name: &str, samples: &[(i64, f64)]) -> Series {
        Series {
            labels: Labels::from_pairs([("__name__", name)]).unwrap(),
            samples: samples.iter().map(|&(at, value)| Sample { at: Timestamp(at), value }).collect(),
        }
    }

    #[test]
    fn series_without_samples_between_both_ends_are_left_out() {
        let one = series("a", &[(1, 1.0), (2, 2.0), (5, 3.0)]);
        let set = SeriesSet::new([one.clone()]);
        for (from, to, expected) in
            [(2, 3, true), (0, 1, true), (5, 9, true), (3, 4, false), (6, 9, false), (4, 3, false)]
        {
            let found = set.select(&[], Timestamp(from), Timestamp(to)).unwrap();
            assert_eq!(!found.is_empty(), expected, "{from} to {to}");
            assert!(found.iter().all(|found| found.samples.shares(&one.samples)));
        }
    }

    #[test]
    fn joined_series_are_taken_over_in_any_order() {
        let (a, b) = (series("a", &[(1, 1.0)]), series("b", &[(1, 2.0)]));
        let all = |set: SeriesSet| set.select(&[], Timestamp(i64::MIN), Timestamp(i64::MAX)).unwrap();
        let expected = [a.clone(), b.clone()];
        assert_eq!(all(SeriesSet::from_joined(vec![a.clone(), b.clone()])), expected);
        assert_eq!(all(SeriesSet::from_joined(vec![b.clone(), a.clone()])), expected);
        assert_eq!(all(SeriesSet::from_joined(vec![a.clone(), b, a])), expected);
    }

    proptest! {
        #[test]
        fn the_order_and_the_number_of_deliveries_do_not_matter(
            samples in proptest::collection::vec((0_i64..8, -2.0_f64..2.0), 0..20),
            cut in 0_usize..20,
        ) {
            let whole = SeriesSet::new([series("a", &samples)]);
            let mut reversed = samples.clone();
            reversed.reverse();
            let cut = cut.min(samples.len());
            let parts = SeriesSet::new([
                series("a", &reversed), series("a", &samples[cut..]), series("a", &samples[..cut]),
            ]);
            let all = |set: &SeriesSet| set.select(&[], Timestamp(i64::MIN), Timestamp(i64::MAX)).unwrap();
            prop_assert_eq!(all(&whole), all(&parts));
        }
    }
}
