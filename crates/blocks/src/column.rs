//! A series' samples as a block is made of them: decoded, or still in the bytes in which an agent wrote them.

use series::{Labels, Timestamp};
use wire::columns::{encode_timestamps, encode_values};
use wire::{SeriesColumn, WrittenColumn};

use crate::layout::put_bytes;

/// Samples in the order of time, each time once. All answers are functions of the set of samples.
pub(crate) trait Column {
    fn labels(&self) -> &Labels;

    /// How many samples it has.
    fn samples(&self) -> usize;

    /// Times of the first and the last sample.
    fn span(&self) -> Option<(Timestamp, Timestamp)>;

    /// Whether both have samples at the very same times.
    fn has_times_of(&self, other: &Self) -> bool;

    /// Appends the timestamp column.
    fn put_times(&self, out: &mut Vec<u8>);

    /// Appends the value column behind its length.
    fn put_values(&self, out: &mut Vec<u8>, scratch: &mut Vec<u8>);
}

impl Column for SeriesColumn {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn samples(&self) -> usize {
        self.samples.len()
    }

    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.samples.first()?.at, self.samples.last()?.at))
    }

    fn has_times_of(&self, other: &Self) -> bool {
        self.samples.len() == other.samples.len() && self.samples.iter().zip(&other.samples).all(|(a, b)| a.at == b.at)
    }

    fn put_times(&self, out: &mut Vec<u8>) {
        encode_timestamps(out, self.samples.iter().map(|sample| sample.at));
    }

    fn put_values(&self, out: &mut Vec<u8>, scratch: &mut Vec<u8>) {
        scratch.clear();
        let values: Vec<f64> = self.samples.iter().map(|sample| sample.value).collect();
        encode_values(scratch, &values);
        put_bytes(out, scratch);
    }
}

impl Column for WrittenColumn<'_> {
    fn labels(&self) -> &Labels {
        self.labels
    }

    fn samples(&self) -> usize {
        self.times.len()
    }

    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        Some((*self.times.first()?, *self.times.last()?))
    }

    fn has_times_of(&self, other: &Self) -> bool {
        self.times == other.times
    }

    fn put_times(&self, out: &mut Vec<u8>) {
        encode_timestamps(out, self.times.iter().copied());
    }

    fn put_values(&self, out: &mut Vec<u8>, _: &mut Vec<u8>) {
        put_bytes(out, self.values);
    }
}

/// Times of the earliest and the latest of all samples.
pub(crate) fn span<C: Column>(columns: &[C]) -> Option<(Timestamp, Timestamp)> {
    let spans = columns.iter().filter_map(C::span);
    spans.reduce(|(min, max), (first, last)| (min.min(first), max.max(last)))
}

/// How many samples all have.
pub(crate) fn samples<C: Column>(columns: &[C]) -> u64 {
    columns.iter().map(|column| column.samples() as u64).sum()
}
