//! Our index of a Parquet object: which series it holds, what they are called, where their pages are.
//!
//! ```text
//! u8 kind (0 samples, 1 rollups) | varint width ms | varint object's rows
//! varint strings | lengths | text                                  in order of first mention
//! varint columns with pages | varint groups | groups × (varint series | columns × (varint start, less the end before | varint bytes))
//! varint series, then one stream after another, each a varint a series:
//!   labels | names, all | values, all | rows | zz(min time − that of the series before) | max − min time | flags
//!   samples only: bytes of the timestamps' page
//!   decimals, then doubles, of the series that have a page there: bytes between it and the page before | its bytes
//! ```
//! `flags`: digits after the point, 16 if some value is decimal, 32 if some is a double. Like numbers stand next to
//! like ones, so that zstd finds them.

use std::collections::HashMap;

use series::{Labels, Timestamp};
use wire::columns::{ColumnError, Reader, put_varint, put_zigzag};

use super::ParquetError;

pub(super) const SAMPLES: u8 = 0;
pub(super) const ROLLUPS: u8 = 1;
pub(super) const SCALE_MASK: u8 = 0x0f;
pub(super) const HAS_DECIMALS: u8 = 0x10;
pub(super) const HAS_DOUBLES: u8 = 0x20;

/// A stretch of the object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: u64,
    pub(super) bytes: u64,
}

impl Place {
    pub(super) fn end(self) -> u64 {
        self.start.saturating_add(self.bytes)
    }
}

/// One series.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Entry {
    pub(super) rows: u32,
    pub(super) min_time: Timestamp,
    pub(super) max_time: Timestamp,
    pub(super) flags: u8,
    /// Timestamps, decimals, doubles. Without bytes where there is no page; empty for rollups.
    pub(super) pages: [Place; 3],
}

/// A row group.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct GroupEntry {
    pub(super) first_series: usize,
    pub(super) series: usize,
    /// The chunks of samples' three columns; the pages of all of a rollup's.
    pub(super) chunks: Vec<Place>,
}

/// All of it. Label texts are kept once each, series point at them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Index {
    pub(super) kind: u8,
    pub(super) width_ms: i64,
    pub(super) rows: u64,
    pub(super) groups: Vec<GroupEntry>,
    pub(super) entries: Vec<Entry>,
    text: String,
    text_ends: Vec<u32>,
    pairs: Vec<(u32, u32)>,
    pair_ends: Vec<u32>,
}

impl Index {
    pub(super) fn string(&self, id: u32) -> Option<&str> {
        let id = id as usize;
        let start = if id == 0 { 0 } else { *self.text_ends.get(id - 1)? };
        self.text.get(start as usize..*self.text_ends.get(id)? as usize)
    }

    /// How many different texts there are.
    pub(super) fn strings(&self) -> u32 {
        self.text_ends.len() as u32
    }

    /// The labels of a series as numbers of texts.
    pub(super) fn pairs(&self, series: usize) -> Option<&[(u32, u32)]> {
        let start = if series == 0 { 0 } else { *self.pair_ends.get(series - 1)? };
        self.pairs.get(start as usize..*self.pair_ends.get(series)? as usize)
    }

    /// The labels of a series.
    pub(super) fn labels(&self, series: usize) -> Result<Labels, ParquetError> {
        let pairs = self.pairs(series).ok_or(ParquetError::NoSuchSeries { index: series })?;
        let pairs =
            pairs.iter().map(|(name, value)| (self.string(*name).unwrap_or(""), self.string(*value).unwrap_or("")));
        Labels::from_pairs(pairs)
            .map_err(|_| ParquetError::Invalid { what: "a series' label set", why: "no series may have it" })
    }

    /// The group that holds a series.
    pub(super) fn group_of(&self, series: usize) -> Option<&GroupEntry> {
        let after = self.groups.partition_point(|group| group.first_series <= series);
        self.groups.get(after.checked_sub(1)?).filter(|group| series - group.first_series < group.series)
    }

    /// Bytes that it takes in memory, about.
    pub(super) fn memory_bytes(&self) -> usize {
        self.text.len()
            + self.text_ends.len() * 4
            + self.pairs.len() * 8
            + self.pair_ends.len() * 4
            + self.entries.len() * size_of::<Entry>()
            + self
                .groups
                .iter()
                .map(|group| size_of::<GroupEntry>() + group.chunks.len() * size_of::<Place>())
                .sum::<usize>()
    }
}

/// Gathers series in the order of the file.
#[derive(Debug, Default)]
pub(super) struct IndexBuilder {
    index: Index,
    known: HashMap<String, u32>,
}

impl IndexBuilder {
    pub(super) fn new(kind: u8, width_ms: i64) -> Self {
        Self { index: Index { kind, width_ms, ..Index::default() }, known: HashMap::new() }
    }

    pub(super) fn series(&mut self, labels: &Labels, entry: Entry) {
        for (name, value) in labels {
            let pair = (self.text(name), self.text(value));
            self.index.pairs.push(pair);
        }
        self.index.pair_ends.push(self.index.pairs.len() as u32);
        self.index.rows += u64::from(entry.rows);
        self.index.entries.push(entry);
    }

    pub(super) fn rows(&self) -> u64 {
        self.index.rows
    }

    pub(super) fn group(&mut self, chunks: Vec<Place>) {
        let first_series = self.index.groups.last().map_or(0, |group| group.first_series + group.series);
        let series = self.index.entries.len() - first_series;
        self.index.groups.push(GroupEntry { first_series, series, chunks });
    }

    fn text(&mut self, text: &str) -> u32 {
        if let Some(id) = self.known.get(text) {
            return *id;
        }
        let id = self.known.len() as u32;
        self.known.insert(text.to_owned(), id);
        self.index.text.push_str(text);
        self.index.text_ends.push(self.index.text.len() as u32);
        id
    }

    /// The index's bytes before compression.
    pub(super) fn finish(self) -> Vec<u8> {
        self.index.encode()
    }
}

impl Index {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.kind];
        put_varint(&mut out, self.width_ms.unsigned_abs());
        put_varint(&mut out, self.rows);
        put_varint(&mut out, self.text_ends.len() as u64);
        let mut start = 0;
        for end in &self.text_ends {
            put_varint(&mut out, u64::from(end - start));
            start = *end;
        }
        out.extend_from_slice(self.text.as_bytes());
        put_varint(&mut out, self.groups.first().map_or(0, |group| group.chunks.len()) as u64);
        put_varint(&mut out, self.groups.len() as u64);
        let mut end = 0;
        for group in &self.groups {
            put_varint(&mut out, group.series as u64);
            for chunk in &group.chunks {
                put_varint(&mut out, chunk.start - end);
                put_varint(&mut out, chunk.bytes);
                end = chunk.end();
            }
        }
        put_varint(&mut out, self.entries.len() as u64);
        let mut start = 0;
        for end in &self.pair_ends {
            put_varint(&mut out, u64::from(end - start));
            start = *end;
        }
        self.pairs.iter().for_each(|(name, _)| put_varint(&mut out, u64::from(*name)));
        self.pairs.iter().for_each(|(_, value)| put_varint(&mut out, u64::from(*value)));
        self.entries.iter().for_each(|entry| put_varint(&mut out, u64::from(entry.rows)));
        let mut before = 0_i64;
        for entry in &self.entries {
            put_zigzag(&mut out, entry.min_time.0.wrapping_sub(before));
            before = entry.min_time.0;
        }
        self.entries.iter().for_each(|e| put_varint(&mut out, e.max_time.0.wrapping_sub(e.min_time.0) as u64));
        self.entries.iter().for_each(|entry| put_varint(&mut out, u64::from(entry.flags)));
        if self.kind == SAMPLES {
            self.entries.iter().for_each(|entry| put_varint(&mut out, entry.pages[0].bytes));
            for column in [1, 2] {
                self.encode_pages(&mut out, column);
            }
        }
        out
    }

    fn encode_pages(&self, out: &mut Vec<u8>, column: usize) {
        let (mut gaps, mut sizes) = (Vec::new(), Vec::new());
        for group in &self.groups {
            let mut end = group.chunks.get(column).map_or(0, |chunk| chunk.start);
            for entry in &self.entries[group.first_series..group.first_series + group.series] {
                let page = entry.pages[column];
                if page.bytes > 0 {
                    put_varint(&mut gaps, page.start - end);
                    put_varint(&mut sizes, page.bytes);
                    end = page.end();
                }
            }
        }
        out.extend_from_slice(&gaps);
        out.extend_from_slice(&sizes);
    }

    /// Reads what [`IndexBuilder::finish`] wrote. Every place lies within `object_bytes`.
    pub(super) fn decode(bytes: &[u8], object_bytes: u64) -> Result<Self, ParquetError> {
        let mut reader = Reader::new(bytes);
        let mut index = Self { kind: reader.byte().map_err(bad)?, ..Self::default() };
        index.width_ms = reader.varint().map_err(bad)? as i64;
        index.rows = reader.varint().map_err(bad)?;
        index.decode_text(&mut reader)?;
        index.decode_groups(&mut reader, object_bytes)?;
        index.decode_series(&mut reader)?;
        if index.kind == SAMPLES {
            index.decode_pages(&mut reader, object_bytes)?;
        }
        reader.finish().map_err(bad)?;
        Ok(index)
    }

    fn decode_text(&mut self, reader: &mut Reader<'_>) -> Result<(), ParquetError> {
        let strings = count(reader)?;
        self.text_ends.reserve(strings);
        let mut end = 0_u64;
        for _ in 0..strings {
            end = end.saturating_add(reader.varint().map_err(bad)?);
            self.text_ends.push(u32::try_from(end).map_err(|_| invalid("its texts are too long"))?);
        }
        let text = reader.take(usize::try_from(end).unwrap_or(usize::MAX)).map_err(bad)?;
        self.text = std::str::from_utf8(text).map_err(|_| invalid("a text is not UTF-8"))?.to_owned();
        if self.text_ends.iter().any(|end| !self.text.is_char_boundary(*end as usize)) {
            return Err(invalid("a text is not UTF-8"));
        }
        Ok(())
    }

    fn decode_groups(&mut self, reader: &mut Reader<'_>, object_bytes: u64) -> Result<(), ParquetError> {
        let columns = count(reader)?;
        let (mut end, mut first_series) = (0_u64, 0_usize);
        for _ in 0..count(reader)? {
            let series = usize::try_from(reader.varint().map_err(bad)?).unwrap_or(usize::MAX);
            let mut chunks = Vec::new();
            for _ in 0..columns {
                let start = end.saturating_add(reader.varint().map_err(bad)?);
                let place = Place { start, bytes: reader.varint().map_err(bad)? };
                end = inside(place, object_bytes)?;
                chunks.push(place);
            }
            self.groups.push(GroupEntry { first_series, series, chunks });
            first_series = first_series.saturating_add(series);
        }
        Ok(())
    }

    fn decode_series(&mut self, reader: &mut Reader<'_>) -> Result<(), ParquetError> {
        let series = count(reader)?;
        if self.groups.last().map_or(0, |group| group.first_series.saturating_add(group.series)) != series {
            return Err(invalid("its groups hold another number of series"));
        }
        let mut pairs = 0_u64;
        for _ in 0..series {
            pairs = pairs.saturating_add(reader.varint().map_err(bad)?);
            self.pair_ends.push(u32::try_from(pairs).map_err(|_| invalid("it has too many labels"))?);
        }
        if pairs > reader.rest().len() as u64 {
            return Err(ParquetError::Truncated { what: "the index" });
        }
        let strings = self.text_ends.len() as u64;
        let text = |reader: &mut Reader<'_>| -> Result<u32, ParquetError> {
            let id = reader.varint().map_err(bad)?;
            if id < strings { Ok(id as u32) } else { Err(invalid("a label's text is missing")) }
        };
        for _ in 0..pairs {
            self.pairs.push((text(reader)?, 0));
        }
        for pair in &mut self.pairs {
            pair.1 = text(reader)?;
        }
        for _ in 0..series {
            let rows =
                u32::try_from(reader.varint().map_err(bad)?).map_err(|_| invalid("a series has too many rows"))?;
            self.entries.push(Entry { rows, ..Entry::default() });
        }
        let mut before = 0_i64;
        for entry in &mut self.entries {
            before = before.wrapping_add(reader.zigzag().map_err(bad)?);
            entry.min_time = Timestamp(before);
        }
        for entry in &mut self.entries {
            entry.max_time = Timestamp(entry.min_time.0.wrapping_add(reader.varint().map_err(bad)? as i64));
        }
        for entry in &mut self.entries {
            entry.flags = u8::try_from(reader.varint().map_err(bad)?).map_err(|_| invalid("a series' flags"))?;
        }
        Ok(())
    }

    fn decode_pages(&mut self, reader: &mut Reader<'_>, object_bytes: u64) -> Result<(), ParquetError> {
        if self.groups.iter().any(|group| group.chunks.len() != 3) {
            return Err(invalid("a group has other columns than samples have"));
        }
        for group in &self.groups {
            let mut end = group.chunks[0].start;
            for entry in &mut self.entries[group.first_series..group.first_series + group.series] {
                let place = Place { start: end, bytes: reader.varint().map_err(bad)? };
                end = inside(place, object_bytes)?;
                entry.pages[0] = place;
            }
        }
        for (column, flag) in [(1, HAS_DECIMALS), (2, HAS_DOUBLES)] {
            let present: Vec<usize> =
                (0..self.entries.len()).filter(|at| self.entries[*at].flags & flag != 0).collect();
            let mut gaps = Vec::with_capacity(present.len());
            for _ in &present {
                gaps.push(reader.varint().map_err(bad)?);
            }
            let (mut end, mut group) = (0_u64, usize::MAX);
            for (at, gap) in present.into_iter().zip(gaps) {
                let of = self.groups.partition_point(|group| group.first_series <= at) - 1;
                if of != group {
                    (end, group) = (self.groups[of].chunks[column].start, of);
                }
                let place = Place { start: end.saturating_add(gap), bytes: reader.varint().map_err(bad)? };
                end = inside(place, object_bytes)?;
                self.entries[at].pages[column] = place;
            }
        }
        Ok(())
    }
}

fn inside(place: Place, object_bytes: u64) -> Result<u64, ParquetError> {
    let end = place.end();
    if end <= object_bytes { Ok(end) } else { Err(invalid("a page lies outside of the object")) }
}

/// A number of things that follow, each at least a byte long.
fn count(reader: &mut Reader<'_>) -> Result<usize, ParquetError> {
    let count = usize::try_from(reader.varint().map_err(bad)?).unwrap_or(usize::MAX);
    if count <= reader.rest().len() { Ok(count) } else { Err(ParquetError::Truncated { what: "the index" }) }
}

fn bad(error: ColumnError) -> ParquetError {
    super::page::column_error("the index", &error)
}

fn invalid(why: &'static str) -> ParquetError {
    ParquetError::Invalid { what: "the index", why }
}
