//! Version 2 of a batch: what `ingest` makes of pushed data, for the stream alone. Agents write version 1.
//!
//! A pushed body has many series and a sample or two of each, so what counts is the label sets. They are
//! written as they came (their text, see [`series::protobuf`]), less what each shares with the one before it
//! at both ends, and so without a look into them. The protobuf is version 1's with `version` 2 and, in the place of
//! strings, timestamps and series, one field:
//!
//! ```text
//! packed      varint n | n × set | varint m | m × (varint length | timestamp column) | n × varint column | values
//! set         varint bytes shared at the front | varint bytes shared at the end | varint length | bytes between
//! values      of each series in order, each value in the form of `columns`' xor, from 0 at a series' start
//! ```
//!
//! Where it gains, the whole is zstd's as in version 1; the reader sees which by the first bytes.

use std::cell::RefCell;
use std::collections::HashMap;

use bytes::Bytes;
use prost::Message;
use series::limits::LABEL_SET_BYTES_MAX;
use series::{Epoch, Labels, Sample, SourceName, Timestamp};

use crate::batch::SeriesColumn;
use crate::codec::DecodeError;
use crate::columns::{
    ColumnError, Reader, decode_timestamps, encode_timestamps, put_varint, put_xor, timestamp_count, xor,
};
use crate::limits::{PACKED_LABEL_BYTES_MAX, SAMPLES_PER_BATCH_MAX, SERIES_PER_BATCH_MAX};
use crate::rejections::Rejections;
use crate::schema;

/// `VERSION` of a packed batch.
pub(crate) const VERSION: u32 = 2;
/// Bytes from which on compressing is worth its time.
const COMPRESS_FROM_BYTES: usize = 512;
/// Below zstd's default: a record is read within seconds, by three readers, and then thrown away.
const LEVEL: i32 = 1;
/// Bytes of a text of labels; protobuf's tags and lengths come on top of the canonical form.
const TEXT_BYTES_MAX: usize = 2 * LABEL_SET_BYTES_MAX;
/// A batch is closed before it is larger than this, so that it fits into a record however badly it compresses.
const PLAIN_BYTES_MAX: usize = 750_000;

/// Gathers a packed batch.
#[derive(Debug, Default)]
pub struct Packer {
    sets: Vec<u8>,
    series: u32,
    /// The text before.
    last: Vec<u8>,
    label_bytes: usize,
    samples: Vec<(u32, Sample)>,
}

impl Packer {
    /// Adds a series by the plain text of its labels; answers its column.
    pub fn series(&mut self, text: &[u8]) -> u32 {
        let front = shared(&self.last, text);
        let (last, rest) = (&self.last[front..], &text[front..]);
        let end = shared_end(last, rest);
        for number in [front, end, rest.len() - end] {
            put_varint(&mut self.sets, number as u64);
        }
        self.sets.extend_from_slice(&rest[..rest.len() - end]);
        self.last.clear();
        self.last.extend_from_slice(text);
        self.label_bytes += text.len();
        self.series += 1;
        self.series - 1
    }

    /// Adds a sample to a column.
    #[inline]
    pub fn sample(&mut self, column: u32, sample: Sample) {
        self.samples.push((column, sample));
    }

    /// Whether a series with `samples` samples and `text_bytes` of labels still goes in.
    #[must_use]
    pub fn has_room(&self, samples: usize, text_bytes: usize) -> bool {
        // A sample has at most ten bytes of time and nine of value; a set's three numbers and a column's, thirteen.
        let bytes =
            self.sets.len() + text_bytes + 19 * (self.samples.len() + samples) + 13 * (self.series as usize + 1);
        bytes <= PLAIN_BYTES_MAX
            && (self.series as usize) < SERIES_PER_BATCH_MAX
            && self.samples.len() + samples <= SAMPLES_PER_BATCH_MAX
            && self.label_bytes + text_bytes <= PACKED_LABEL_BYTES_MAX
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series == 0
    }

    /// The batch's bytes, and its samples as whoever reads these gets them: by column, and by time within it.
    #[must_use]
    pub fn encode(
        mut self,
        source: &SourceName,
        epoch: Epoch,
        seq: u64,
        created_at: Timestamp,
    ) -> (Bytes, Vec<(u32, Sample)>) {
        let message = schema::Batch {
            version: VERSION,
            source: source.as_str().to_owned(),
            epoch: epoch.0,
            seq,
            created_at_ms: created_at.0,
            packed: self.packed().into(),
            ..schema::Batch::default()
        };
        let plain = message.encode_to_vec();
        let packed = if plain.len() < COMPRESS_FROM_BYTES { Vec::new() } else { compress(&plain) };
        let gains = !packed.is_empty() && packed.len() < plain.len();
        (if gains { packed.into() } else { plain.into() }, self.samples)
    }

    fn packed(&mut self) -> Vec<u8> {
        // By series, and by time within it. What a sender sends is mostly in this order already.
        let in_order = |a: &(u32, Sample), b: &(u32, Sample)| (a.0, a.1.at) <= (b.0, b.1.at);
        if !self.samples.is_sorted_by(in_order) {
            self.samples.sort_by_key(|(column, sample)| (*column, sample.at));
        }
        let mut out = Vec::with_capacity(self.sets.len() + self.samples.len() * 12 + 64);
        put_varint(&mut out, u64::from(self.series));
        out.append(&mut self.sets);
        let mut times = Times::default();
        let mut rest = self.samples.as_slice();
        let mut indexes = Vec::with_capacity(self.series as usize * 2);
        for column in 0..self.series {
            let length = rest.iter().take_while(|(of, _)| *of == column).count();
            let (own, after) = rest.split_at(length);
            put_varint(&mut indexes, u64::from(times.index(own)));
            rest = after;
        }
        put_varint(&mut out, times.columns.len() as u64);
        for column in &times.columns {
            put_varint(&mut out, column.len() as u64);
            out.extend_from_slice(column);
        }
        out.extend_from_slice(&indexes);
        let (mut of, mut last) = (u32::MAX, 0);
        for (column, sample) in &self.samples {
            if *column != of {
                (of, last) = (*column, 0);
            }
            put_xor(&mut out, &mut last, sample.value);
        }
        out
    }
}

/// Timestamp columns, each once.
#[derive(Default)]
struct Times<'a> {
    columns: Vec<Vec<u8>>,
    places: HashMap<Vec<u8>, u32>,
    /// The column before: most series have the very same times.
    last: Option<(&'a [(u32, Sample)], u32)>,
}

impl<'a> Times<'a> {
    fn index(&mut self, samples: &'a [(u32, Sample)]) -> u32 {
        if let Some((last, index)) = self.last
            && last.len() == samples.len()
            && last.iter().zip(samples).all(|(a, b)| a.1.at == b.1.at)
        {
            return index;
        }
        let mut bytes = Vec::with_capacity(samples.len() + 10);
        encode_timestamps(&mut bytes, samples.iter().map(|(_, sample)| sample.at));
        let index = match self.places.get(&bytes) {
            Some(index) => *index,
            None => {
                let index = self.columns.len() as u32;
                self.columns.push(bytes.clone());
                self.places.insert(bytes, index);
                index
            }
        };
        self.last = Some((samples, index));
        index
    }
}

thread_local! {
    // Its tables take longer to make than a record to compress.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

/// Empty where it cannot be done: the plain bytes say the same.
fn compress(plain: &[u8]) -> Vec<u8> {
    COMPRESSOR.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = zstd::bulk::Compressor::new(LEVEL).ok();
        }
        kept.as_mut().and_then(|compressor| compressor.compress(plain).ok()).unwrap_or_default()
    })
}

/// Bytes that two slices share at the front.
fn shared(a: &[u8], b: &[u8]) -> usize {
    let (eights_a, eights_b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let same = eights_a.iter().zip(eights_b).take_while(|(a, b)| a == b).count() * 8;
    same + a[same..].iter().zip(&b[same..]).take_while(|(a, b)| a == b).count()
}

/// Bytes that two slices share at the end.
fn shared_end(a: &[u8], b: &[u8]) -> usize {
    let (eights_a, eights_b) = (a.as_rchunks::<8>().1, b.as_rchunks::<8>().1);
    let same = eights_a.iter().rev().zip(eights_b.iter().rev()).take_while(|(a, b)| a == b).count() * 8;
    let (a, b) = (&a[..a.len() - same], &b[..b.len() - same]);
    same + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// Reads the columns. `known` answers the labels of a text that was read before.
pub(crate) fn decode(
    bytes: &[u8],
    known: &mut dyn FnMut(&[u8]) -> Option<Labels>,
    rejections: &mut Rejections,
) -> Result<Vec<SeriesColumn>, DecodeError> {
    let packed = |error: ColumnError| DecodeError::Packed { what: error.to_string() };
    let mut reader = Reader::new(bytes);
    let series = count(&mut reader, "series", SERIES_PER_BATCH_MAX)?;
    let mut labels = Vec::with_capacity(series);
    let (mut text, mut next, mut label_bytes) = (Vec::new(), Vec::new(), 0_usize);
    for _ in 0..series {
        let mut number = || reader.varint().map(|n| usize::try_from(n).unwrap_or(usize::MAX)).map_err(packed);
        let (front, end, length) = (number()?, number()?, number()?);
        let between = reader.take(length).map_err(packed)?;
        let last: &[u8] = &text;
        let (Some(before), Some(after)) =
            (last.get(..front), last.len().checked_sub(end).and_then(|at| last.get(at..)))
        else {
            return Err(DecodeError::Packed { what: "a label set shares more than there is".to_owned() });
        };
        label_bytes = label_bytes.saturating_add(front + end + length);
        if front + end + length > TEXT_BYTES_MAX || label_bytes > PACKED_LABEL_BYTES_MAX {
            return Err(DecodeError::TooMany {
                what: "bytes of labels",
                count: label_bytes,
                max: PACKED_LABEL_BYTES_MAX,
            });
        }
        next.clear();
        next.extend_from_slice(before);
        next.extend_from_slice(between);
        next.extend_from_slice(after);
        std::mem::swap(&mut text, &mut next);
        labels.push(known(&text).map_or_else(|| series::protobuf::labels(&text), Ok));
    }
    let times = times(&mut reader)?;
    let mut columns = Vec::with_capacity(series);
    let (mut of_series, mut samples) = (Vec::with_capacity(series), 0_usize);
    for _ in 0..series {
        let index = reader.varint().map_err(packed)?;
        let column = usize::try_from(index).ok().and_then(|index| times.get(index));
        let column =
            column.ok_or_else(|| DecodeError::Packed { what: format!("there is no timestamp column {index}") })?;
        samples = samples.saturating_add(column.len());
        of_series.push(column);
    }
    if samples > SAMPLES_PER_BATCH_MAX {
        return Err(DecodeError::TooMany { what: "samples", count: samples, max: SAMPLES_PER_BATCH_MAX });
    }
    for (labels, times) in labels.into_iter().zip(of_series) {
        let (mut samples, mut last) = (Vec::with_capacity(times.len()), 0);
        for at in times {
            let value = xor(&mut reader, &mut last).map_err(packed)?;
            samples.push(Sample { at: *at, value });
        }
        match labels {
            Ok(labels) => columns.push(SeriesColumn { labels, samples }),
            Err(error) => rejections.add(error.reason(), samples.len() as u64, || error.to_string()),
        }
    }
    reader.finish().map_err(packed)?;
    Ok(columns)
}

/// A number of things that each take a byte at least.
fn count(reader: &mut Reader<'_>, what: &'static str, max: usize) -> Result<usize, DecodeError> {
    let count = reader.varint().map_err(|error| DecodeError::Packed { what: error.to_string() })?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let max = max.min(reader.rest().len());
    if count > max { Err(DecodeError::TooMany { what, count, max }) } else { Ok(count) }
}

fn times(reader: &mut Reader<'_>) -> Result<Vec<Vec<Timestamp>>, DecodeError> {
    let number = count(reader, "timestamp columns", SERIES_PER_BATCH_MAX)?;
    let (mut columns, mut samples) = (Vec::with_capacity(number), 0_usize);
    for index in 0..number {
        let column = reader.varint().and_then(|length| reader.take(usize::try_from(length).unwrap_or(usize::MAX)));
        let column = column.and_then(|bytes| Ok((timestamp_count(bytes)?, bytes)));
        let (count, bytes) = column.map_err(|error| DecodeError::Timestamps { index, error })?;
        samples = samples.saturating_add(count);
        if samples > SAMPLES_PER_BATCH_MAX {
            return Err(DecodeError::TooMany { what: "timestamps", count: samples, max: SAMPLES_PER_BATCH_MAX });
        }
        columns.push(decode_timestamps(bytes).map_err(|error| DecodeError::Timestamps { index, error })?);
    }
    Ok(columns)
}

#[cfg(test)]
mod tests;
