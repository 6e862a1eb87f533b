//! Reading samples back from the bytes that were fetched.

use bytes::Bytes;
use series::{Sample, Timestamp};
use wire::SeriesColumn;
use wire::columns::power_of_ten;

use super::ParquetError;
use super::delta;
use super::file::ROWS_MAX;
use super::footer::{Fetched, Footer, Kind};
use super::index::{Entry, HAS_DECIMALS, HAS_DOUBLES, SCALE_MASK};
use super::page::{Unpacker, column_error, encoding, levels};
use crate::join::{Block, join};

/// A value's place in a fetched page has not been filled.
const MISSING: &str = "a row has no value, or two";

impl Footer {
    /// The samples of these series in the closed stretch `[from, to]`, from what [`Footer::ranges`] named;
    /// series without a sample there are left out, the others stand in the order asked for.
    pub fn samples(
        &self,
        series: &[usize],
        from: Timestamp,
        to: Timestamp,
        fetched: &Fetched,
    ) -> Result<Vec<SeriesColumn>, ParquetError> {
        if self.kind != Kind::Samples {
            return Err(ParquetError::OtherKind { wanted: "samples", found: "rollups" });
        }
        let mut unpacker = Unpacker::new();
        let mut columns = Vec::with_capacity(series.len());
        for number in series.iter().filter(|number| self.touches(**number, from, to)) {
            let entry = self.index.entries.get(*number).ok_or(ParquetError::NoSuchSeries { index: *number })?;
            let mut samples = read_samples(entry, fetched, &mut unpacker)?;
            samples.truncate(samples.partition_point(|sample| sample.at <= to));
            samples.drain(..samples.partition_point(|sample| sample.at < from));
            if !samples.is_empty() {
                columns.push(SeriesColumn { labels: self.index.labels(*number)?, samples });
            }
        }
        Ok(columns)
    }
}

impl Footer {
    /// All samples of each of these series, from what [`Footer::ranges`] named for them: a page holds a series
    /// whole, whatever stretch of it is asked for.
    pub fn columns(&self, series: &[usize], fetched: &Fetched) -> Result<Vec<Vec<Sample>>, ParquetError> {
        if self.kind != Kind::Samples {
            return Err(ParquetError::OtherKind { wanted: "samples", found: "rollups" });
        }
        let mut unpacker = Unpacker::new();
        let read = |number: &usize| {
            let entry = self.index.entries.get(*number).ok_or(ParquetError::NoSuchSeries { index: *number })?;
            read_samples(entry, fetched, &mut unpacker)
        };
        series.iter().map(read).collect()
    }
}

impl Block {
    /// Reads a whole object of samples.
    pub fn decode_parquet(object: Bytes) -> Result<Self, ParquetError> {
        let footer = Footer::of(&object)?;
        let all: Vec<usize> = (0..footer.len()).collect();
        let fetched = Fetched::whole(object);
        Ok(join(footer.samples(&all, Timestamp(i64::MIN), Timestamp(i64::MAX), &fetched)?))
    }
}

fn read_samples(entry: &Entry, fetched: &Fetched, unpacker: &mut Unpacker) -> Result<Vec<Sample>, ParquetError> {
    let rows = entry.rows as usize;
    let mut samples = read_timestamps(entry, fetched, unpacker)?;
    let power = power_of_ten(entry.flags & SCALE_MASK).unwrap_or(1.0);
    let mut filled = 0;
    if entry.flags & HAS_DECIMALS != 0 {
        let (header, plain) = unpacker.page(fetched.get(entry.pages[1])?, rows)?;
        expect_encoding(header.encoding, encoding::DELTA_BINARY_PACKED)?;
        let (mut present, packed) = places(plain, rows)?;
        let count = present.count;
        let mut at = 0;
        let result = if count == rows {
            delta::decode(packed, count, |number| {
                if let Some(sample) = samples.get_mut(at) {
                    sample.value = number as f64 / power;
                }
                at += 1;
            })
        } else {
            delta::decode(packed, count, |number| {
                if let Some(sample) = present.next().and_then(|at| samples.get_mut(at)) {
                    sample.value = number as f64 / power;
                }
            })
        };
        result.map_err(|error| column_error("a page of decimals", &error))?;
        filled += count;
        if entry.flags & HAS_DOUBLES != 0 {
            let (header, plain) = unpacker.page(fetched.get(entry.pages[2])?, rows)?;
            expect_encoding(header.encoding, encoding::PLAIN)?;
            let (others, packed) = places(plain, rows)?;
            filled += others.count;
            let decimal = present.rows();
            if decimal.iter().zip(others.rows()).any(|(a, b)| *a == b) {
                return Err(ParquetError::Invalid { what: "a series' values", why: MISSING });
            }
            fill_doubles(others, packed, &mut samples)?;
        }
    } else if entry.flags & HAS_DOUBLES != 0 {
        let (header, plain) = unpacker.page(fetched.get(entry.pages[2])?, rows)?;
        expect_encoding(header.encoding, encoding::PLAIN)?;
        let (present, packed) = places(plain, rows)?;
        filled += present.count;
        fill_doubles(present, packed, &mut samples)?;
    }
    if filled != rows {
        return Err(ParquetError::Invalid { what: "a series' values", why: MISSING });
    }
    Ok(samples)
}

/// The samples with their times, and no values yet.
fn read_timestamps(entry: &Entry, fetched: &Fetched, unpacker: &mut Unpacker) -> Result<Vec<Sample>, ParquetError> {
    let rows = entry.rows as usize;
    let (header, plain) = unpacker.page(fetched.get(entry.pages[0])?, rows)?;
    expect_encoding(header.encoding, encoding::DELTA_BINARY_PACKED)?;
    let max = delta::count_max(plain.len()).min(ROWS_MAX as usize);
    if rows > max {
        return Err(ParquetError::TooLarge { what: "a series", bytes: rows as u64, max: max as u64 });
    }
    let mut samples = Vec::with_capacity(rows);
    delta::decode(plain, rows, |at| samples.push(Sample { at: Timestamp(at), value: 0.0 }))
        .map_err(|error| column_error("a page of timestamps", &error))?;
    if !samples.is_sorted_by(|a, b| a.at < b.at) {
        return Err(ParquetError::Invalid { what: "a page of timestamps", why: "they do not rise" });
    }
    Ok(samples)
}

/// Which rows of a page have a value.
pub(super) struct Places {
    runs: Vec<(bool, usize)>,
    count: usize,
    run: usize,
    /// The next row, and how many rows of the run are before it.
    row: usize,
    inside: usize,
}

impl Places {
    /// How many.
    pub(super) fn present(&self) -> usize {
        self.count
    }

    fn rows(&self) -> Vec<bool> {
        self.runs.iter().flat_map(|(present, rows)| std::iter::repeat_n(*present, *rows)).collect()
    }
}

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let (present, rows) = *self.runs.get(self.run)?;
            if !present || self.inside == rows {
                self.row += rows - self.inside;
                (self.run, self.inside) = (self.run + 1, 0);
                continue;
            }
            (self.row, self.inside) = (self.row + 1, self.inside + 1);
            return Some(self.row - 1);
        }
    }
}

pub(super) fn places(plain: &[u8], rows: usize) -> Result<(Places, &[u8]), ParquetError> {
    let (mut runs, mut count) = (Vec::new(), 0);
    let packed = levels(plain, rows, |present, rows| {
        count += if present { rows } else { 0 };
        runs.push((present, rows));
    })?;
    Ok((Places { runs, count, run: 0, row: 0, inside: 0 }, packed))
}

fn fill_doubles(places: Places, packed: &[u8], samples: &mut [Sample]) -> Result<(), ParquetError> {
    let (doubles, rest) = packed.as_chunks::<8>();
    if doubles.len() != places.count || !rest.is_empty() {
        return Err(ParquetError::Invalid { what: "a page of doubles", why: "it holds another number of values" });
    }
    for (at, bits) in places.zip(doubles) {
        if let Some(sample) = samples.get_mut(at) {
            sample.value = f64::from_bits(u64::from_le_bytes(*bits));
        }
    }
    Ok(())
}

pub(super) fn expect_encoding(found: i64, wanted: i32) -> Result<(), ParquetError> {
    if found == i64::from(wanted) {
        return Ok(());
    }
    Err(ParquetError::Invalid { what: "a page", why: "it is not encoded as ours are" })
}
