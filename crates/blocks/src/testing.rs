//! Columns for tests.

use proptest::prelude::*;
use series::{Labels, Sample, Timestamp, stale_marker};
use wire::SeriesColumn;

/// A series named `name` that the agent `source` sent.
pub(crate) fn column_of(name: &str, source: &str, samples: &[(i64, f64)]) -> SeriesColumn {
    let labels = Labels::from_pairs([("__name__", name), ("source", source)]).unwrap();
    let samples = samples.iter().map(|(at, value)| Sample { at: Timestamp(*at), value: *value }).collect();
    SeriesColumn { labels, samples }
}

/// A series without a source label.
pub(crate) fn column(name: &str, samples: &[(i64, f64)]) -> SeriesColumn {
    column_of(name, "", samples)
}

/// Few series, times and values, so that identities meet; unsorted and with repetitions.
pub(crate) fn any_columns() -> impl Strategy<Value = Vec<SeriesColumn>> {
    let value = prop_oneof![
        4 => (0..3_u8).prop_map(f64::from),
        1 => Just(-0.0),
        1 => Just(stale_marker()),
        1 => Just(f64::NAN),
        1 => any::<u64>().prop_map(f64::from_bits),
    ];
    let samples = proptest::collection::vec((0..8_i64, value), 0..8);
    let series = (0..4_u8, samples).prop_map(|(n, samples)| column(&format!("s{n}"), &samples));
    proptest::collection::vec(series, 0..6)
}
