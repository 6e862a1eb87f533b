//! Columns for tests.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;
use series::{Labels, Sample, Timestamp, Window, stale_marker};
use wire::SeriesColumn;

use crate::compact::{CompactError, Joiner, Object, Packed};
use crate::join::{Block, join};
use crate::manifest::{Level, ManifestItem};
use crate::plan::Known;

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

/// Joins items with their blocks, as a job of this level and window does.
pub(crate) fn compact_to(
    (level, window): (Level, Window),
    inputs: &[(ManifestItem, Block)],
    made_at: Timestamp,
) -> Result<(ManifestItem, Block, Vec<Object>), CompactError> {
    let ids: Vec<String> = inputs.iter().map(|(item, _)| item.id()).collect();
    let known: Vec<Known<'_>> = ids.iter().zip(inputs).map(|(id, (item, _))| Known { id, item }).collect();
    let replaced = inputs.iter().flat_map(|(item, _)| item.replaces.iter().chain(&item.includes));
    let present: BTreeSet<&str> = ids.iter().chain(replaced).map(String::as_str).collect();
    let mut joiner = Joiner::new((level, window), &known, &present, made_at)?;
    let (mut columns, mut objects) = (Vec::new(), Vec::new());
    for _ in 0..joiner.parts() {
        let all = inputs.iter().flat_map(|(item, block)| joiner.own(item, block.columns().to_vec()));
        let mine: Vec<SeriesColumn> = all.filter(|column| joiner.wants(&column.labels)).collect();
        columns.extend(mine.iter().cloned());
        objects.extend(joiner.add(mine)?);
    }
    let item = joiner.finish()?.pop().ok_or(CompactError::Nothing)?;
    Ok((item, join(columns), objects))
}

/// The same of one 10 min window.
pub(crate) fn compact(inputs: Vec<(ManifestItem, Block)>) -> Result<Packed, CompactError> {
    let window = inputs.first().ok_or(CompactError::Nothing)?.0.window;
    let (item, block, objects) = compact_to((Level::Ten, window), &inputs, Timestamp(0))?;
    let bytes = objects.into_iter().next().map_or_else(Bytes::new, |object| match object {
        Object::Samples { bytes, .. } | Object::Rollups { bytes, .. } => bytes,
    });
    Ok(Packed { item, block, bytes })
}
