//! The series of a batch of version 1: read where they lie, their labels built in one pass.

use std::borrow::Cow;
use std::ops::Range;
use std::str::Utf8Error;

use bytes::Bytes;
use prost::Message;
use series::{Labels, Timestamp};

use super::{Bad, DecodeError, protobuf_error};
use crate::batch::SeriesColumn;
use crate::columns::{Reader, decode_samples, decode_timestamps, timestamp_count};
use crate::limits::SAMPLES_PER_BATCH_MAX;
use crate::rejections::Rejections;
use crate::schema;

pub(super) fn decode_series(
    message: &schema::Batch,
    rejections: &mut Rejections,
) -> Result<Vec<SeriesColumn>, DecodeError> {
    let mut counts = Vec::with_capacity(message.timestamps.len());
    for (index, bytes) in message.timestamps.iter().enumerate() {
        counts.push(timestamp_count(bytes).map_err(|error| DecodeError::Timestamps { index, error })?);
    }
    let mut label_ids = Vec::new();
    let mut series = Vec::with_capacity(message.series.len());
    for bytes in &message.series {
        series.push(SeriesParts::read(bytes, &mut label_ids)?);
    }
    let samples_of = |parts: &SeriesParts<'_>| counts.get(parts.timestamps as usize).copied().unwrap_or(0);
    let samples = series.iter().map(samples_of).fold(0_usize, usize::saturating_add);
    let in_columns = counts.iter().copied().fold(0_usize, usize::saturating_add);
    let count = samples.max(in_columns);
    if count > SAMPLES_PER_BATCH_MAX {
        return Err(DecodeError::TooMany { what: "samples", count, max: SAMPLES_PER_BATCH_MAX });
    }
    let mut timestamps = Vec::with_capacity(message.timestamps.len());
    for (index, bytes) in message.timestamps.iter().enumerate() {
        let times = decode_timestamps(bytes).map_err(|error| DecodeError::Timestamps { index, error })?;
        let sorted = times.is_sorted();
        timestamps.push((times, sorted));
    }
    let texts: Vec<Result<&str, Utf8Error>> = message.strings.iter().map(|bytes| std::str::from_utf8(bytes)).collect();
    let mut columns = Vec::with_capacity(series.len());
    let mut scratch = Vec::new();
    for (index, parts) in series.iter().enumerate() {
        let ids = label_ids.get(parts.labels.clone()).unwrap_or_default();
        match decode_column(parts, ids, &texts, &timestamps, &mut scratch) {
            Ok(column) => columns.push(column),
            Err((reason, what)) => {
                let samples = samples_of(parts).max(1) as u64;
                rejections.add(reason, samples, || format!("series {}: {what}", index + 1));
            }
        }
    }
    Ok(columns)
}

/// A [`schema::Series`] where it lies.
struct SeriesParts<'a> {
    /// Where its labels stand among those of all series.
    labels: Range<usize>,
    timestamps: u32,
    values: Cow<'a, [u8]>,
}

impl<'a> SeriesParts<'a> {
    fn read(bytes: &'a Bytes, label_ids: &mut Vec<u32>) -> Result<Self, DecodeError> {
        let start = label_ids.len();
        if let Some((timestamps, values)) = Self::read_as_written(bytes, label_ids) {
            return Ok(Self { labels: start..label_ids.len(), timestamps, values: Cow::Borrowed(values) });
        }
        label_ids.truncate(start);
        // Protobuf allows more than what encoders write.
        let message = schema::Series::decode(bytes.clone()).map_err(protobuf_error)?;
        label_ids.extend(message.labels);
        let labels = start..label_ids.len();
        Ok(Self { labels, timestamps: message.timestamps, values: Cow::Owned(message.values.to_vec()) })
    }

    /// The form that every encoder writes: packed labels, timestamps unless they are 0, values.
    fn read_as_written(bytes: &'a [u8], label_ids: &mut Vec<u32>) -> Option<(u32, &'a [u8])> {
        let mut reader = Reader::new(bytes);
        if reader.byte() != Ok(0x0a) {
            return None;
        }
        let length = usize::try_from(reader.varint().ok()?).ok()?;
        let mut ids = Reader::new(reader.take(length).ok()?);
        while !ids.rest().is_empty() {
            label_ids.push(u32::try_from(ids.varint().ok()?).ok()?);
        }
        let (mut tag, mut timestamps) = (reader.byte().ok()?, 0);
        if tag == 0x10 {
            timestamps = u32::try_from(reader.varint().ok()?).ok()?;
            tag = reader.byte().ok()?;
        }
        let length = usize::try_from(reader.varint().ok()?).ok()?;
        let values = reader.take(length).ok()?;
        (tag == 0x1a && reader.rest().is_empty()).then_some((timestamps, values))
    }
}

fn decode_column(
    series: &SeriesParts<'_>,
    label_ids: &[u32],
    texts: &[Result<&str, Utf8Error>],
    timestamps: &[(Vec<Timestamp>, bool)],
    scratch: &mut Vec<u8>,
) -> Result<SeriesColumn, Bad> {
    let (pairs, odd) = label_ids.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(("series_labels", "a label name without a value".to_owned()));
    }
    let usual = |index: u32| texts.get(index as usize).and_then(|text| text.ok()).unwrap_or("");
    let usual = pairs.iter().map(|[name, value]| (usual(*name), usual(*value)));
    let labels = match Labels::from_canonical(usual, scratch) {
        Some(labels) => labels,
        None => unusual_labels(pairs, texts)?,
    };
    let times = timestamps.get(series.timestamps as usize);
    let (times, sorted) =
        times.ok_or_else(|| ("series_timestamps", format!("there is no timestamp column {}", series.timestamps)))?;
    let samples = decode_samples(&series.values, times);
    let mut samples = samples.map_err(|error| ("series_values", format!("{labels}: {error}")))?;
    if !sorted {
        samples.sort_by_key(|sample| sample.at);
    }
    Ok(SeriesColumn { labels, samples })
}

/// Labels of which something is not as usual: in another order, or wrong.
fn unusual_labels(pairs: &[[u32; 2]], texts: &[Result<&str, Utf8Error>]) -> Result<Labels, Bad> {
    let text = |index: u32| -> Result<&str, Bad> {
        let text = texts.get(index as usize);
        let text = text.ok_or_else(|| ("series_labels", format!("there is no string {index}")))?;
        text.map_err(|error| ("label_not_utf8", format!("string {index}: {error}")))
    };
    let mut named = Vec::with_capacity(pairs.len().min(series::limits::LABELS_PER_SERIES_MAX));
    for [name, value] in pairs {
        named.push((text(*name)?, text(*value)?));
    }
    let labels = Labels::from_pairs(named).and_then(Labels::require_metric_name);
    labels.map_err(|error| (error.reason(), error.to_string()))
}
