//! Where samples come from. Evaluation is synchronous and knows nothing of files, tables or
//! networks: whoever calls it loads what [`crate::selections`] lists and hands it over.

use std::collections::BTreeMap;
use std::sync::Arc;

use series::{Labels, RollupSeries, Sample, Timestamp, winner};

use crate::matcher::{Matcher, all_match};

/// One series with its samples: ascending in time, no timestamp twice. Stale markers may be
/// among stored samples, never among results.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name and labels.
    pub labels: Labels,
    /// Ascending, unique timestamps.
    pub samples: Arc<[Sample]>,
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
    /// match; asked only for what [`crate::Selection::rollup`] allowed. `None`: there are none to be had for
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
#[derive(Debug, Clone, Default)]
pub struct SeriesSet(BTreeMap<Labels, Arc<[Sample]>>);

impl SeriesSet {
    /// Joins `series`: those of one label set become one, sorted, and of samples with the same
    /// timestamp [`series::winner`] stays. The order of the input does not matter.
    pub fn new(series: impl IntoIterator<Item = Series>) -> Self {
        let mut set = BTreeMap::new();
        for one in series {
            match set.entry(one.labels) {
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(joined(one.samples));
                }
                std::collections::btree_map::Entry::Occupied(mut taken) => {
                    let both: Vec<Sample> = taken.get().iter().chain(one.samples.iter()).copied().collect();
                    taken.insert(joined(both.into()));
                }
            }
        }
        Self(set)
    }

    /// How many series there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn joined(samples: Arc<[Sample]>) -> Arc<[Sample]> {
    if samples.windows(2).all(|pair| pair[0].at < pair[1].at) {
        return samples;
    }
    let mut sorted = samples.to_vec();
    sorted.sort_by_key(|sample| sample.at);
    sorted.dedup_by(|later, kept| {
        let same = later.at == kept.at;
        if same {
            kept.value = winner(kept.value, later.value);
        }
        same
    });
    sorted.into()
}

impl Storage for SeriesSet {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Result<Vec<Series>, StorageError> {
        let mut found = Vec::new();
        for (labels, samples) in self.0.iter().filter(|(labels, _)| all_match(matchers, labels)) {
            let first = samples.partition_point(|sample| sample.at < from);
            let end = samples.partition_point(|sample| sample.at <= to);
            if first >= end {
                continue;
            }
            let samples = if first == 0 && end == samples.len() { samples.clone() } else { samples[first..end].into() };
            found.push(Series { labels: labels.clone(), samples });
        }
        Ok(found)
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
    fn both_ends_of_a_selection_are_included() {
        let set = SeriesSet::new([series("a", &[(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)])]);
        let found = set.select(&[], Timestamp(2), Timestamp(3)).unwrap();
        assert_eq!(found, [series("a", &[(2, 2.0), (3, 3.0)])]);
        assert!(set.select(&[], Timestamp(5), Timestamp(9)).unwrap().is_empty());
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
