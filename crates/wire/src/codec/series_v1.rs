//! The series of a batch of version 1: read where they lie, their labels built in one pass, or known as a whole
//! from an earlier batch ([`Dictionaries`]).

use std::borrow::Cow;
use std::ops::Range;
use std::str::Utf8Error;
use std::sync::Arc;

use prost::Message;
use series::{Labels, Timestamp};

use super::parts::Parts;
use super::{Bad, DecodeError, protobuf_error};
use crate::columns::{ColumnError, Reader, decode_timestamps, put_varint, timestamp_count};
use crate::dictionary::Dictionaries;
use crate::limits::SAMPLES_PER_BATCH_MAX;
use crate::rejections::Rejections;
use crate::schema;

/// A timestamp column.
pub(super) struct Times {
    /// Which of the batch's.
    pub(super) index: u32,
    pub(super) at: Vec<Timestamp>,
    pub(super) sorted: bool,
    /// The earliest and the latest.
    pub(super) span: Option<(Timestamp, Timestamp)>,
}

/// What is known of all series of a batch.
pub(super) struct Read {
    /// Where all are good.
    pub(super) labels: Option<Arc<[Labels]>>,
    pub(super) times: Vec<Times>,
}

/// Hands over each good series: labels, times, value column. An error counts as the series' own.
pub(super) fn read_series(
    parts: &Parts<'_>,
    dictionaries: Option<&Dictionaries>,
    rejections: &mut Rejections,
    mut take: impl FnMut(&Labels, &Times, &[u8]) -> Result<(), ColumnError>,
) -> Result<Read, DecodeError> {
    let mut counts = Vec::with_capacity(parts.timestamps.len());
    for (index, bytes) in parts.timestamps.iter().enumerate() {
        counts.push(timestamp_count(bytes).map_err(|error| DecodeError::Timestamps { index, error })?);
    }
    let (series, labels) = labelled(parts, dictionaries)?;
    let samples_of = |series: &Series<'_>| counts.get(series.timestamps as usize).copied().unwrap_or(0);
    let samples = series.iter().map(samples_of).fold(0_usize, usize::saturating_add);
    let in_columns = counts.iter().copied().fold(0_usize, usize::saturating_add);
    let count = samples.max(in_columns);
    if count > SAMPLES_PER_BATCH_MAX {
        return Err(DecodeError::TooMany { what: "samples", count, max: SAMPLES_PER_BATCH_MAX });
    }
    let mut timestamps = Vec::with_capacity(parts.timestamps.len());
    for (index, bytes) in parts.timestamps.iter().enumerate() {
        let at = decode_timestamps(bytes).map_err(|error| DecodeError::Timestamps { index, error })?;
        let (sorted, span) = (at.is_sorted(), at.iter().min().zip(at.iter().max()));
        let span = span.map(|(first, last)| (*first, *last));
        timestamps.push(Times { index: index as u32, sorted, span, at });
    }
    for (index, one) in series.iter().enumerate() {
        let read = labels.of(index).and_then(|labels| {
            let times = timestamps.get(one.timestamps as usize);
            let missing = || ("series_timestamps", format!("there is no timestamp column {}", one.timestamps));
            let times = times.ok_or_else(missing)?;
            take(labels, times, &one.values).map_err(|error| ("series_values", format!("{labels}: {error}")))
        });
        if let Err((reason, what)) = read {
            let samples = samples_of(one).max(1) as u64;
            rejections.add(reason, samples, || format!("series {}: {what}", index + 1));
        }
    }
    let known = if let SeriesLabels::Known(labels) = labels { Some(labels) } else { None };
    Ok(Read { labels: known, times: timestamps })
}

/// A [`schema::Series`] where it lies, its labels apart.
struct Series<'a> {
    timestamps: u32,
    values: Cow<'a, [u8]>,
}

/// The labels of a batch's series.
enum SeriesLabels {
    /// All good, and the same memory in each batch.
    Known(Arc<[Labels]>),
    Read(Vec<Result<Labels, Bad>>),
}

impl SeriesLabels {
    fn of(&self, index: usize) -> Result<&Labels, Bad> {
        match self {
            Self::Known(labels) => labels.get(index).ok_or_else(|| ("series_labels", String::new())),
            Self::Read(labels) => match labels.get(index) {
                Some(Ok(labels)) => Ok(labels),
                Some(Err(bad)) => Err(bad.clone()),
                None => Err(("series_labels", String::new())),
            },
        }
    }
}

fn labelled<'a>(
    parts: &Parts<'a>,
    dictionaries: Option<&Dictionaries>,
) -> Result<(Vec<Series<'a>>, SeriesLabels), DecodeError> {
    let strings_bytes: usize = parts.strings.iter().map(|string| string.len() + 2).sum();
    let mut text = Vec::with_capacity(strings_bytes + parts.series.len() * 24);
    let mut series = Vec::with_capacity(parts.series.len());
    let whole = parts.series.iter().all(|bytes| {
        let written = Written::read(bytes);
        if let Some(Written { ids, timestamps, values }) = written {
            // The text of a dictionary: each series' labels, and then the strings that they name.
            put_bytes(&mut text, ids);
            series.push(Series { timestamps, values: Cow::Borrowed(values) });
        }
        written.is_some()
    });
    let dictionaries = dictionaries.filter(|_| whole && !series.is_empty());
    if let Some(dictionaries) = dictionaries {
        text.push(0);
        parts.strings.iter().for_each(|string| put_bytes(&mut text, string));
        if let Some(known) = dictionaries.find(&text)
            && known.len() == series.len()
        {
            return Ok((series, SeriesLabels::Known(known)));
        }
    }
    series.clear();
    let (mut label_ids, mut ranges) = (Vec::new(), Vec::with_capacity(parts.series.len()));
    for bytes in &parts.series {
        let (one, ids) = read_one(bytes, &mut label_ids)?;
        series.push(one);
        ranges.push(ids);
    }
    let strings: Vec<Result<&str, Utf8Error>> = parts.strings.iter().map(|bytes| std::str::from_utf8(bytes)).collect();
    let mut scratch = Vec::new();
    let read = |ids| read_labels(label_ids.get::<Range<usize>>(ids).unwrap_or_default(), &strings, &mut scratch);
    let labels: Vec<Result<Labels, Bad>> = ranges.into_iter().map(read).collect();
    if let Some(dictionaries) = dictionaries
        && let Ok(good) = labels.iter().map(Result::as_ref).collect::<Result<Vec<_>, _>>()
    {
        let good: Arc<[Labels]> = good.into_iter().cloned().collect();
        dictionaries.remember(&text, &good);
        return Ok((series, SeriesLabels::Known(good)));
    }
    Ok((series, SeriesLabels::Read(labels)))
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The form of a series that every encoder writes: packed labels, timestamps unless they are 0, values.
#[derive(Clone, Copy)]
struct Written<'a> {
    ids: &'a [u8],
    timestamps: u32,
    values: &'a [u8],
}

impl<'a> Written<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.byte() != Ok(0x0a) {
            return None;
        }
        let length = usize::try_from(reader.varint().ok()?).ok()?;
        let ids = reader.take(length).ok()?;
        let (mut tag, mut timestamps) = (reader.byte().ok()?, 0);
        if tag == 0x10 {
            timestamps = u32::try_from(reader.varint().ok()?).ok()?;
            tag = reader.byte().ok()?;
        }
        let length = usize::try_from(reader.varint().ok()?).ok()?;
        let values = reader.take(length).ok()?;
        (tag == 0x1a && reader.rest().is_empty()).then_some(Self { ids, timestamps, values })
    }

    fn read_ids(&self, label_ids: &mut Vec<u32>) -> Option<()> {
        let mut ids = Reader::new(self.ids);
        while !ids.rest().is_empty() {
            label_ids.push(u32::try_from(ids.varint().ok()?).ok()?);
        }
        Some(())
    }
}

/// A series, and where its labels stand among those of all.
fn read_one<'a>(bytes: &'a [u8], label_ids: &mut Vec<u32>) -> Result<(Series<'a>, Range<usize>), DecodeError> {
    let start = label_ids.len();
    if let Some(written) = Written::read(bytes)
        && written.read_ids(label_ids).is_some()
    {
        let one = Series { timestamps: written.timestamps, values: Cow::Borrowed(written.values) };
        return Ok((one, start..label_ids.len()));
    }
    label_ids.truncate(start);
    // Protobuf allows more than what encoders write.
    let message = schema::Series::decode(bytes).map_err(protobuf_error)?;
    label_ids.extend(message.labels);
    let one = Series { timestamps: message.timestamps, values: Cow::Owned(message.values.to_vec()) };
    Ok((one, start..label_ids.len()))
}

fn read_labels(ids: &[u32], strings: &[Result<&str, Utf8Error>], scratch: &mut Vec<u8>) -> Result<Labels, Bad> {
    let (pairs, odd) = ids.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(("series_labels", "a label name without a value".to_owned()));
    }
    let usual = |index: u32| strings.get(index as usize).and_then(|text| text.ok()).unwrap_or("");
    let usual = pairs.iter().map(|[name, value]| (usual(*name), usual(*value)));
    match Labels::from_canonical(usual, scratch) {
        Some(labels) => Ok(labels),
        None => unusual_labels(pairs, strings),
    }
}

/// Labels of which something is not as usual: in another order, or wrong.
fn unusual_labels(pairs: &[[u32; 2]], strings: &[Result<&str, Utf8Error>]) -> Result<Labels, Bad> {
    let text = |index: u32| -> Result<&str, Bad> {
        let text = strings.get(index as usize);
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
