//! The footer of a Parquet object: found from the object's last bytes, kept by the reader, asked for series
//! and for the ranges of bytes that hold their samples.

use bytes::Bytes;
use series::{Labels, Timestamp};

use super::ParquetError;
use super::file::{EXTENSION_BYTES, EXTENSION_MAGIC, MAGIC};
use super::index::{Index, Place, ROLLUPS, SAMPLES};
use crate::layout::{BlockError, INDEX_BYTES_MAX, decompress};

/// Bytes at an object's end that say where its index starts.
pub const TAIL_BYTES_MIN: usize = EXTENSION_BYTES + 1 + 8;
/// Ranges with at most so many bytes between them are fetched as one: S3 sends 128 KiB in about the time
/// in which it begins to answer.
pub const RANGE_GAP_MAX: u64 = 128 * 1024;

/// What [`Footer::parse`] found.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed {
    /// The footer.
    Footer(Footer),
    /// It needs this many of the object's last bytes.
    NeedMore(u64),
}

/// What an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Samples.
    Samples,
    /// Rollups of this width.
    Rollups {
        /// The buckets' width.
        width_ms: i64,
    },
}

/// A condition on one label. A series without the label is tested with the empty text.
#[derive(Clone, Copy)]
pub struct LabelTest<'a> {
    /// The label.
    pub name: &'a str,
    /// Whether its value will do. Asked once for each different text.
    pub accepts: &'a dyn Fn(&str) -> bool,
}

/// One series of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesSummary {
    /// Its labels.
    pub labels: Labels,
    /// Its samples or rollups.
    pub rows: u64,
    /// Time of the first; of a rollup, its bucket's end.
    pub min_time: Timestamp,
    /// Time of the last.
    pub max_time: Timestamp,
}

/// A stretch of an object's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteRange {
    /// The first byte.
    pub offset: u64,
    /// How many.
    pub length: u64,
}

/// Stretches of one object that were fetched.
#[derive(Debug, Clone, Default)]
pub struct Fetched(Vec<(u64, Bytes)>);

/// The footer of one object. Immutable as the object is: keep it under the object's name.
#[derive(Debug, Clone, PartialEq)]
pub struct Footer {
    pub(super) index: Index,
    pub(super) kind: Kind,
}

impl Fetched {
    /// The whole object.
    #[must_use]
    pub fn whole(object: Bytes) -> Self {
        Self(vec![(0, object)])
    }

    /// Adds the bytes that start at `offset`.
    pub fn push(&mut self, offset: u64, bytes: Bytes) {
        let at = self.0.partition_point(|(start, _)| *start <= offset);
        self.0.insert(at, (offset, bytes));
    }

    pub(super) fn get(&self, place: Place) -> Result<&[u8], ParquetError> {
        let not_fetched = ParquetError::NotFetched { offset: place.start, end: place.end() };
        let after = self.0.partition_point(|(start, _)| *start <= place.start);
        let length = usize::try_from(place.bytes).unwrap_or(usize::MAX);
        // Mostly the last one that starts before it; stretches may lie over one another.
        let mut before = self.0[..after].iter().rev();
        let found = before.find_map(|(start, bytes)| {
            let from = usize::try_from(place.start - start).ok()?;
            bytes.get(from..from.saturating_add(length))
        });
        found.ok_or(not_fetched)
    }
}

impl Footer {
    /// Reads the footer of an object of `object_bytes` bytes from its last ones. Start with what is likely
    /// to do (64 KiB hold the footer of some thousand series); [`TAIL_BYTES_MIN`] is enough to learn how
    /// many it takes.
    pub fn parse(tail: &[u8], object_bytes: u64) -> Result<Parsed, ParquetError> {
        if (tail.len() as u64) > object_bytes || object_bytes < TAIL_BYTES_MIN as u64 {
            return Err(ParquetError::NotOurs);
        }
        let Some(end) = tail.last_chunk::<TAIL_BYTES_MIN>() else {
            return Ok(Parsed::NeedMore(TAIL_BYTES_MIN as u64));
        };
        let (extension, rest) = end.split_at(EXTENSION_BYTES);
        if !rest.ends_with(MAGIC) || !extension.starts_with(EXTENSION_MAGIC) {
            return Err(ParquetError::NotOurs);
        }
        let number = |at: usize, bytes: usize| {
            extension[at..at + bytes].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let (offset, packed, plain) = (number(8, 8), number(16, 4), number(20, 4));
        let needed = object_bytes.checked_sub(offset).filter(|needed| *needed >= packed);
        let needed = needed.ok_or(ParquetError::Truncated { what: "the index" })?;
        let Some(start) = usize::try_from(needed).ok().and_then(|needed| tail.len().checked_sub(needed)) else {
            return Ok(Parsed::NeedMore(needed));
        };
        let packed = tail.get(start..start + packed as usize).ok_or(ParquetError::Truncated { what: "the index" })?;
        let plain =
            decompress(packed, Some(plain as usize), INDEX_BYTES_MAX, "the index").map_err(|error| match error {
                BlockError::TooLarge { what, bytes, max } => ParquetError::TooLarge { what, bytes, max: max as u64 },
                _ => ParquetError::Zstd { what: "the index" },
            })?;
        let index = Index::decode(&plain, object_bytes)?;
        let kind = match index.kind {
            SAMPLES => Kind::Samples,
            ROLLUPS => Kind::Rollups { width_ms: index.width_ms },
            _ => return Err(ParquetError::Invalid { what: "the index", why: "what the object holds is not known" }),
        };
        Ok(Parsed::Footer(Self { index, kind }))
    }

    /// The footer of an object that is at hand as a whole.
    pub fn of(object: &[u8]) -> Result<Self, ParquetError> {
        match Self::parse(object, object.len() as u64)? {
            Parsed::Footer(footer) => Ok(footer),
            Parsed::NeedMore(_) => Err(ParquetError::Truncated { what: "the object" }),
        }
    }

    /// What the object holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How many series it holds. They are numbered from 0, sorted by metric, then labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.entries.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.entries.is_empty()
    }

    /// How many samples or rollups it holds.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.index.rows
    }

    /// Bytes that the footer takes in memory, about: some 150 a series.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.index.memory_bytes()
    }

    /// One series.
    pub fn series(&self, number: usize) -> Result<SeriesSummary, ParquetError> {
        let entry = self.index.entries.get(number).ok_or(ParquetError::NoSuchSeries { index: number })?;
        Ok(SeriesSummary {
            labels: self.index.labels(number)?,
            rows: u64::from(entry.rows),
            min_time: entry.min_time,
            max_time: entry.max_time,
        })
    }

    /// The labels of one series.
    pub fn labels(&self, number: usize) -> Result<Labels, ParquetError> {
        self.index.labels(number)
    }

    /// The number of the series with these labels.
    #[must_use]
    pub fn position(&self, labels: &Labels) -> Option<usize> {
        let wanted = (labels.metric_name().unwrap_or(""), labels);
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            let found = self.index.labels(middle).ok()?;
            match (found.metric_name().unwrap_or(""), &found).cmp(&wanted) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    /// The numbers of the series that pass every test, ascending.
    #[must_use]
    pub fn find(&self, tests: &[LabelTest<'_>]) -> Vec<usize> {
        let mut found: Vec<usize> = (0..self.len()).collect();
        for test in tests {
            let name = (0..self.index.strings()).find(|id| self.index.string(*id) == Some(test.name));
            let without = (test.accepts)("");
            let mut verdicts: Vec<Option<bool>> = vec![None; self.index.strings() as usize];
            found.retain(|series| {
                let pairs = self.index.pairs(*series).unwrap_or(&[]);
                let value = name.and_then(|name| pairs.iter().find(|pair| pair.0 == name));
                let Some((_, value)) = value else { return without };
                let verdict = verdicts.get_mut(*value as usize);
                verdict.is_some_and(|verdict| {
                    *verdict.get_or_insert_with(|| (test.accepts)(self.index.string(*value).unwrap_or("")))
                })
            });
        }
        found
    }

    /// What to fetch for these series' rows in the closed stretch `[from, to]`: sorted, ranges with at most
    /// [`RANGE_GAP_MAX`] between them made one.
    #[must_use]
    pub fn ranges(&self, series: &[usize], from: Timestamp, to: Timestamp) -> Vec<ByteRange> {
        let mut places: Vec<Place> = Vec::new();
        for number in series.iter().filter(|number| self.touches(**number, from, to)) {
            if self.kind == Kind::Samples {
                places.extend(self.index.entries.get(*number).iter().flat_map(|entry| entry.pages));
            } else {
                places.extend(self.index.group_of(*number).iter().flat_map(|group| &group.chunks));
            }
        }
        merged(places)
    }

    /// Whether a series may have rows in the closed stretch.
    #[must_use]
    pub fn touches(&self, number: usize, from: Timestamp, to: Timestamp) -> bool {
        self.index.entries.get(number).is_some_and(|entry| entry.min_time <= to && entry.max_time >= from)
    }
}

/// The places as ranges, those with at most [`RANGE_GAP_MAX`] between them as one.
pub(super) fn merged(mut places: Vec<Place>) -> Vec<ByteRange> {
    places.retain(|place| place.bytes > 0);
    places.sort_unstable_by_key(|place| (place.start, place.bytes));
    let mut ranges: Vec<ByteRange> = Vec::new();
    for place in places {
        match ranges.last_mut() {
            Some(last) if place.start <= (last.offset + last.length).saturating_add(RANGE_GAP_MAX) => {
                last.length = last.length.max(place.end() - last.offset);
            }
            _ => ranges.push(ByteRange { offset: place.start, length: place.bytes }),
        }
    }
    ranges
}
