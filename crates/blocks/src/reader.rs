//! Reads a block: all of it, or one series without the others. Total: no bytes panic.

use bytes::Bytes;
use series::{Labels, Sample, Timestamp};
use wire::SeriesColumn;
use wire::columns::{ColumnError, Reader, decode_timestamps, decode_values};

use crate::join::{Block, join};
use crate::layout::{BlockError, INDEX_BYTES_MAX, MAGIC, PAGE_BYTES_MAX, PageEntry, decompress};

/// One series of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesEntry {
    /// Its labels.
    pub labels: Labels,
    /// How many samples it has in the block.
    pub samples: u64,
}

/// An open block: its index is decoded, its pages are not.
#[derive(Debug, Clone)]
pub struct BlockReader {
    bytes: Bytes,
    series: Vec<SeriesEntry>,
    pages: Vec<PageAt>,
    samples: u64,
    min_time: Timestamp,
    max_time: Timestamp,
}

/// Where a page stands, and which series are in it.
#[derive(Debug, Clone, Copy)]
struct PageAt {
    at: usize,
    first_series: usize,
    entry: PageEntry,
}

impl Block {
    /// Reads a whole block.
    pub fn decode(bytes: impl Into<Bytes>) -> Result<Self, BlockError> {
        let reader = BlockReader::open(bytes)?;
        Ok(join(reader.read_where(|_| true, Timestamp(i64::MIN), Timestamp(i64::MAX))?))
    }
}

impl BlockReader {
    /// Decodes the index.
    pub fn open(bytes: impl Into<Bytes>) -> Result<Self, BlockError> {
        let bytes: Bytes = bytes.into();
        let rest = bytes.strip_prefix(&MAGIC).ok_or(BlockError::NotABlock)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(BlockError::Truncated { what: "its head" })?;
        let index_bytes = u32::from_le_bytes(*length) as usize;
        let (index, pages) = rest.split_at_checked(index_bytes).ok_or(BlockError::Truncated { what: "the index" })?;
        let plain = decompress(index, None, INDEX_BYTES_MAX, "the index")?;
        let mut reader = Self::decode_index(&plain, bytes.len() - pages.len(), bytes.len())?;
        reader.bytes = bytes;
        Ok(reader)
    }

    fn decode_index(plain: &[u8], pages_at: usize, end: usize) -> Result<Self, BlockError> {
        let bad = |error| BlockError::Column { what: "the index", error };
        let mut index = Reader::new(plain);
        let min_time = Timestamp(index.zigzag().map_err(bad)?);
        let max_time = Timestamp(index.zigzag().map_err(bad)?);
        let samples = index.varint().map_err(bad)?;

        let mut strings: Vec<&str> = Vec::new();
        for _ in 0..count(&mut index).map_err(bad)? {
            let text = bytes(&mut index).map_err(bad)?;
            strings.push(std::str::from_utf8(text).map_err(|_| BlockError::Truncated { what: "a label's text" })?);
        }

        let (mut pages, mut at, mut first_series) = (Vec::new(), pages_at, 0_usize);
        for _ in 0..count(&mut index).map_err(bad)? {
            let [bytes, plain_bytes, series] = [(); 3].map(|()| index.varint());
            let number = |n: Result<u64, ColumnError>| n.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
            let entry = PageEntry {
                bytes: number(bytes).map_err(bad)?,
                plain_bytes: number(plain_bytes).map_err(bad)?,
                series: number(series).map_err(bad)?,
            };
            pages.push(PageAt { at, first_series, entry });
            at = at.saturating_add(entry.bytes);
            first_series = first_series.saturating_add(entry.series);
        }
        if at > end {
            return Err(BlockError::Truncated { what: "the pages" });
        }

        let mut series = Vec::new();
        for number in 0..first_series {
            series.push(series_entry(&mut index, &strings, number)?);
        }
        index.finish().map_err(bad)?;
        Ok(Self { bytes: Bytes::new(), series, pages, samples, min_time, max_time })
    }

    /// The series, sorted by labels.
    #[must_use]
    pub fn series(&self) -> &[SeriesEntry] {
        &self.series
    }

    /// How many samples the block holds.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Time of the earliest sample; `None` in an empty block.
    #[must_use]
    pub fn min_time(&self) -> Option<Timestamp> {
        (self.samples > 0).then_some(self.min_time)
    }

    /// Time of the latest sample; `None` in an empty block.
    #[must_use]
    pub fn max_time(&self) -> Option<Timestamp> {
        (self.samples > 0).then_some(self.max_time)
    }

    /// The index of one series.
    #[must_use]
    pub fn find(&self, labels: &Labels) -> Option<usize> {
        self.series.binary_search_by(|entry| entry.labels.cmp(labels)).ok()
    }

    /// The samples of one series in the closed stretch `[from, to]`: decompresses one page.
    pub fn read(&self, index: usize, from: Timestamp, to: Timestamp) -> Result<Vec<Sample>, BlockError> {
        let page = self.pages.partition_point(|page| page.first_series <= index);
        let page = page.checked_sub(1).and_then(|page| self.pages.get(page));
        let page = page.filter(|page| index - page.first_series < page.entry.series);
        let page = page.ok_or(BlockError::NoSuchSeries { index })?;
        let mut columns = self.read_page(page, |at| at == index, from, to)?;
        Ok(columns.pop().map(|column| column.samples).unwrap_or_default())
    }

    /// The series whose labels `wanted` accepts, with their samples in `[from, to]`; series without
    /// a sample there are left out. Pages without a wanted series are not decompressed.
    pub fn read_where(
        &self,
        wanted: impl Fn(&Labels) -> bool,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SeriesColumn>, BlockError> {
        let chosen: Vec<bool> = self.series.iter().map(|entry| wanted(&entry.labels)).collect();
        let mut columns = Vec::new();
        for page in &self.pages {
            let inside = page.first_series..page.first_series + page.entry.series;
            if chosen.get(inside).is_some_and(|chosen| chosen.contains(&true)) {
                columns.extend(self.read_page(page, |at| chosen.get(at) == Some(&true), from, to)?);
            }
        }
        columns.retain(|column| !column.samples.is_empty());
        Ok(columns)
    }

    fn read_page(
        &self,
        page: &PageAt,
        wanted: impl Fn(usize) -> bool,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SeriesColumn>, BlockError> {
        let bad = |error| BlockError::Column { what: "a page", error };
        let packed = self.bytes.get(page.at..page.at.saturating_add(page.entry.bytes));
        let packed = packed.ok_or(BlockError::Truncated { what: "a page" })?;
        let plain = decompress(packed, Some(page.entry.plain_bytes), PAGE_BYTES_MAX, "a page")?;
        let mut reader = Reader::new(&plain);
        let mut times: Vec<Times<'_>> = Vec::new();
        for _ in 0..count(&mut reader).map_err(bad)? {
            times.push(Times { bytes: bytes(&mut reader).map_err(bad)?, decoded: None });
        }
        let mut columns = Vec::new();
        for index in (page.first_series..).take(page.entry.series) {
            let times_index = reader.varint().map_err(bad)?;
            let values = bytes(&mut reader).map_err(bad)?;
            let Some(entry) = self.series.get(index).filter(|_| wanted(index)) else { continue };
            let times = usize::try_from(times_index).ok().and_then(|index| times.get_mut(index));
            let times = times.ok_or_else(|| BlockError::Series { index, what: "its times are missing".to_owned() })?;
            let times = times.decode().map_err(bad)?;
            let values = decode_values(values, times.len()).map_err(bad)?;
            let first = times.partition_point(|at| *at < from);
            let end = times.partition_point(|at| *at <= to).max(first);
            let samples = times[first..end].iter().zip(&values[first..end]);
            let samples = samples.map(|(at, value)| Sample { at: *at, value: *value }).collect();
            columns.push(SeriesColumn { labels: entry.labels.clone(), samples });
        }
        Ok(columns)
    }
}

/// A page's timestamp column, decoded when the first series asks for it.
struct Times<'a> {
    bytes: &'a [u8],
    decoded: Option<Vec<Timestamp>>,
}

impl Times<'_> {
    fn decode(&mut self) -> Result<&[Timestamp], ColumnError> {
        let decoded = match self.decoded.take() {
            Some(decoded) => decoded,
            None => decode_timestamps(self.bytes)?,
        };
        Ok(self.decoded.insert(decoded))
    }
}

fn series_entry(index: &mut Reader<'_>, strings: &[&str], number: usize) -> Result<SeriesEntry, BlockError> {
    let bad = |error| BlockError::Column { what: "the index", error };
    let bad_series = |what: String| BlockError::Series { index: number, what };
    let text = |index: &mut Reader<'_>| -> Result<&str, BlockError> {
        let string = usize::try_from(index.varint().map_err(bad)?).ok().and_then(|at| strings.get(at));
        string.copied().ok_or_else(|| bad_series("a label's text is missing".to_owned()))
    };
    let mut pairs = Vec::new();
    for _ in 0..count(index).map_err(bad)? {
        pairs.push((text(index)?, text(index)?));
        if pairs.len() > series::limits::LABELS_PER_SERIES_MAX {
            return Err(bad_series("it has too many labels".to_owned()));
        }
    }
    let labels = Labels::from_pairs(pairs).map_err(|error| bad_series(error.to_string()))?;
    let samples = index.varint().map_err(bad)?;
    Ok(SeriesEntry { labels, samples })
}

/// A number of things that follow, each at least a byte long.
fn count(reader: &mut Reader<'_>) -> Result<usize, ColumnError> {
    let count = reader.varint()?;
    let max = reader.rest().len();
    usize::try_from(count).ok().filter(|n| *n <= max).ok_or(ColumnError::Count { count, max })
}

/// Bytes with their length before them.
fn bytes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], ColumnError> {
    let length = reader.varint()?;
    reader.take(usize::try_from(length).map_err(|_| ColumnError::Truncated)?)
}

#[cfg(test)]
mod tests;
