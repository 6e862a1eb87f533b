//! The file around the pages: column chunks, row groups, page index, footer.
//!
//! Source of every field number: `parquet.thrift` of apache/parquet-format.

use super::ParquetError;
use super::bits::{put_run, width};
use super::page::{ZSTD_LEVEL, encoding, header};
use super::thrift::{Element, Writer};
use crate::layout::Packer;

/// Rows of one object, so that all numbers of rows fit an `i32` in other readers too.
pub const ROWS_MAX: u64 = 2_000_000_000;

/// Refuses an object of more than [`ROWS_MAX`] rows.
pub(super) fn check_rows(rows: u64) -> Result<(), ParquetError> {
    if rows <= ROWS_MAX {
        return Ok(());
    }
    Err(ParquetError::TooLarge { what: "the object's rows", bytes: rows, max: ROWS_MAX })
}

pub(super) const MAGIC: &[u8; 4] = b"PAR1";
/// The field that Parquet's `BinaryProtocolExtensions.md` reserves.
const EXTENSION_FIELD: i16 = 32_767;
/// What our extension starts with.
pub(super) const EXTENSION_MAGIC: &[u8; 8] = b"DWindex1";
/// Magic, u64 offset of our index, u32 its bytes, u32 its bytes before zstd.
pub(super) const EXTENSION_BYTES: usize = 24;
const ZSTD: i32 = 6;

/// A column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Boolean,
    Int32,
    Int64,
    /// INT64, milliseconds since 1970, UTC.
    Time,
    Double,
    /// UTF-8.
    Text,
}

impl Type {
    fn physical(self) -> i32 {
        match self {
            Self::Boolean => 0,
            Self::Int32 => 1,
            Self::Int64 | Self::Time => 2,
            Self::Double => 5,
            Self::Text => 6,
        }
    }
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Type,
    /// Whether rows may be without a value.
    pub(super) optional: bool,
}

/// Where a page stands in the file.
#[derive(Debug, Clone, Copy)]
struct Page {
    offset: u64,
    bytes: usize,
    first_row: u64,
    /// Of columns with a column index.
    bounds: Option<(i64, i64)>,
}

/// What the footer says of a column chunk.
#[derive(Debug, Default)]
struct Chunk {
    start: u64,
    data_at: u64,
    dictionary: bool,
    plain_bytes: u64,
    packed_bytes: u64,
    encodings: Vec<i32>,
    nulls: u64,
    bounds: Option<(Vec<u8>, Vec<u8>)>,
    pages: Vec<Page>,
}

#[derive(Debug, Default)]
struct Group {
    rows: u64,
    chunks: Vec<Chunk>,
}

/// A file while it grows: row group by row group, in each column by column, in each page by page.
pub(super) struct FileWriter {
    columns: &'static [Column],
    pub(super) out: Vec<u8>,
    groups: Vec<Group>,
    packer: Packer,
}

impl FileWriter {
    pub(super) fn new(columns: &'static [Column]) -> Self {
        Self { columns, out: MAGIC.to_vec(), groups: Vec::new(), packer: Packer::new(ZSTD_LEVEL) }
    }

    /// Starts a row group.
    pub(super) fn group(&mut self, rows: u64) {
        self.groups.push(Group { rows, chunks: Vec::with_capacity(self.columns.len()) });
    }

    /// Starts the next column's chunk; its place in the file.
    pub(super) fn chunk(&mut self) -> u64 {
        let at = self.out.len() as u64;
        if let Some(group) = self.groups.last_mut() {
            group.chunks.push(Chunk { start: at, data_at: at, ..Chunk::default() });
        }
        at
    }

    fn append(&mut self, plain: &[u8], values: usize, encoding: i32, dictionary: bool) -> (u64, usize) {
        let at = self.out.len();
        let packed = self.packer.pack(plain);
        let header = header(plain.len(), packed.len(), values, encoding, dictionary);
        self.out.extend_from_slice(&header);
        self.out.extend_from_slice(&packed);
        let bytes = self.out.len() - at;
        if let Some(chunk) = self.groups.last_mut().and_then(|group| group.chunks.last_mut()) {
            chunk.plain_bytes += (header.len() + plain.len()) as u64;
            chunk.packed_bytes += bytes as u64;
            if !chunk.encodings.contains(&encoding) {
                chunk.encodings.push(encoding);
            }
        }
        (at as u64, bytes)
    }

    /// Appends a data page of `rows` rows, the group's from `first_row` on; its bytes in the file.
    pub(super) fn page(
        &mut self,
        plain: &[u8],
        rows: usize,
        first_row: u64,
        encoding: i32,
        bounds: Option<(i64, i64)>,
    ) -> usize {
        let (offset, bytes) = self.append(plain, rows, encoding, false);
        if let Some(chunk) = self.groups.last_mut().and_then(|group| group.chunks.last_mut()) {
            chunk.pages.push(Page { offset, bytes, first_row, bounds });
            if let Some((low, high)) = bounds {
                let held = chunk.pages.iter().filter_map(|page| page.bounds);
                let (low, high) = held.fold((low, high), |(a, b), (c, d)| (a.min(c), b.max(d)));
                chunk.bounds = Some((low.to_le_bytes().to_vec(), high.to_le_bytes().to_vec()));
            }
        }
        bytes
    }

    /// Rows without a value in the chunk.
    pub(super) fn nulls(&mut self, nulls: u64) {
        if let Some(chunk) = self.groups.last_mut().and_then(|group| group.chunks.last_mut()) {
            chunk.nulls += nulls;
        }
    }

    /// A whole chunk of runs: the values in order of first mention as PLAIN bytes, and which of them
    /// each run of rows has. `bounds`: least and greatest value, where they help to skip groups.
    pub(super) fn dictionary_chunk(
        &mut self,
        dictionary: &[u8],
        values: usize,
        runs: &[(u32, usize)],
        bounds: Option<(&[u8], &[u8])>,
    ) {
        self.chunk();
        self.append(dictionary, values, encoding::PLAIN, true);
        let width = width(values.saturating_sub(1) as u64).max(1);
        let mut plain = vec![width as u8];
        let mut rows = 0;
        for same in runs.chunk_by(|a, b| a.0 == b.0) {
            let count = same.iter().map(|run| run.1).sum();
            put_run(&mut plain, count, same[0].0, width);
            rows += count;
        }
        let data_at = self.out.len() as u64;
        self.page(&plain, rows, 0, encoding::RLE_DICTIONARY, None);
        if let Some(chunk) = self.groups.last_mut().and_then(|group| group.chunks.last_mut()) {
            chunk.dictionary = true;
            chunk.data_at = data_at;
            chunk.bounds = bounds.map(|(low, high)| (low.to_vec(), high.to_vec()));
        }
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.out.len() as u64
    }

    /// Writes page index, our index and footer.
    pub(super) fn finish(mut self, index: &[u8], notes: &[(&str, &str)], sorted_by: &[i32]) -> Vec<u8> {
        let mut places = vec![[(0, 0); 2]; self.groups.iter().map(|group| group.chunks.len()).sum()];
        let chunks = self.groups.iter().flat_map(|group| &group.chunks);
        for (kind, write) in [column_index as fn(&Chunk) -> Vec<u8>, offset_index].into_iter().enumerate() {
            for (chunk, place) in chunks.clone().zip(&mut places) {
                let index = write(chunk);
                place[kind] = (self.out.len() as u64, index.len());
                self.out.extend_from_slice(&index);
            }
        }
        let packed = self.packer.pack(index);
        let mut extension = Vec::with_capacity(EXTENSION_BYTES);
        extension.extend_from_slice(EXTENSION_MAGIC);
        extension.extend_from_slice(&(self.out.len() as u64).to_le_bytes());
        // Both are far below 4 GiB: an index has some ten bytes a series.
        extension.extend_from_slice(&(packed.len() as u32).to_le_bytes());
        extension.extend_from_slice(&(index.len() as u32).to_le_bytes());
        self.out.extend_from_slice(&packed);
        let footer = self.footer(&places, notes, sorted_by, &extension);
        self.out.extend_from_slice(&footer);
        self.out.extend_from_slice(&(footer.len() as u32).to_le_bytes());
        self.out.extend_from_slice(MAGIC);
        self.out
    }

    fn footer(
        &self,
        places: &[[(u64, usize); 2]],
        notes: &[(&str, &str)],
        sorted_by: &[i32],
        extension: &[u8],
    ) -> Vec<u8> {
        let mut footer = Writer::default();
        footer.i32(1, 2);
        footer.list(2, Element::Struct, self.columns.len() + 1);
        footer.element_struct(|root| {
            root.binary(4, b"daywatch");
            root.i32(5, self.columns.len() as i32);
        });
        for column in self.columns {
            footer.element_struct(|element| schema_element(element, column));
        }
        footer.i64(3, self.groups.iter().map(|group| group.rows as i64).sum());
        footer.list(4, Element::Struct, self.groups.len());
        for (group, places) in self.groups.iter().zip(places.chunks(self.columns.len().max(1))) {
            footer.element_struct(|writer| self.row_group(writer, group, places, sorted_by));
        }
        footer.list(5, Element::Struct, notes.len());
        for (key, value) in notes {
            footer.element_struct(|note| {
                note.binary(1, key.as_bytes());
                note.binary(2, value.as_bytes());
            });
        }
        footer.binary(6, b"daywatch version 1");
        footer.list(7, Element::Struct, self.columns.len());
        for _ in self.columns {
            // Every column is ordered as its type is.
            footer.element_struct(|order| order.structure(1, |_| {}));
        }
        footer.binary(EXTENSION_FIELD, extension);
        footer.stop();
        footer.out
    }

    fn row_group(&self, writer: &mut Writer, group: &Group, places: &[[(u64, usize); 2]], sorted_by: &[i32]) {
        writer.list(1, Element::Struct, group.chunks.len());
        for ((chunk, column), [column_index, offset_index]) in group.chunks.iter().zip(self.columns).zip(places) {
            writer.element_struct(|element| {
                element.i64(2, 0);
                element.structure(3, |meta| column_meta(meta, chunk, column, group.rows));
                element.i64(4, offset_index.0 as i64);
                element.i32(5, offset_index.1 as i32);
                if column_index.1 > 0 {
                    element.i64(6, column_index.0 as i64);
                    element.i32(7, column_index.1 as i32);
                }
            });
        }
        writer.i64(2, group.chunks.iter().map(|chunk| chunk.plain_bytes as i64).sum());
        writer.i64(3, group.rows as i64);
        writer.list(4, Element::Struct, sorted_by.len());
        for column in sorted_by {
            writer.element_struct(|sorting| {
                sorting.i32(1, *column);
                sorting.bool(2, false);
                sorting.bool(3, false);
            });
        }
        writer.i64(5, group.chunks.first().map_or(0, |chunk| chunk.start as i64));
        writer.i64(6, group.chunks.iter().map(|chunk| chunk.packed_bytes as i64).sum());
    }
}

fn schema_element(element: &mut Writer, column: &Column) {
    element.i32(1, column.kind.physical());
    element.i32(3, i32::from(column.optional));
    element.binary(4, column.name.as_bytes());
    match column.kind {
        Type::Text => {
            element.i32(6, 0);
            element.structure(10, |logical| logical.structure(1, |_| {}));
        }
        Type::Time => {
            element.i32(6, 9);
            element.structure(10, |logical| {
                logical.structure(8, |timestamp| {
                    timestamp.bool(1, true);
                    timestamp.structure(2, |unit| unit.structure(1, |_| {}));
                });
            });
        }
        Type::Boolean | Type::Int32 | Type::Int64 | Type::Double => {}
    }
}

fn column_meta(meta: &mut Writer, chunk: &Chunk, column: &Column, rows: u64) {
    meta.i32(1, column.kind.physical());
    meta.list(2, Element::I32, chunk.encodings.len() + 1);
    for encoding in chunk.encodings.iter().chain([&encoding::RLE]) {
        meta.element_number(i64::from(*encoding));
    }
    meta.list(3, Element::Binary, 1);
    meta.element_binary(column.name.as_bytes());
    meta.i32(4, ZSTD);
    meta.i64(5, rows as i64);
    meta.i64(6, chunk.plain_bytes as i64);
    meta.i64(7, chunk.packed_bytes as i64);
    meta.i64(9, chunk.data_at as i64);
    if chunk.dictionary {
        meta.i64(11, chunk.start as i64);
    }
    meta.structure(12, |statistics| {
        statistics.i64(3, chunk.nulls as i64);
        if let Some((low, high)) = &chunk.bounds {
            statistics.binary(5, high);
            statistics.binary(6, low);
        }
    });
}

/// The column index, for a column whose pages have bounds; else nothing.
fn column_index(chunk: &Chunk) -> Vec<u8> {
    let bounds: Vec<(i64, i64)> = chunk.pages.iter().filter_map(|page| page.bounds).collect();
    if bounds.is_empty() || bounds.len() != chunk.pages.len() {
        return Vec::new();
    }
    let mut index = Writer::default();
    index.list(1, Element::Bool, bounds.len());
    for _ in &bounds {
        index.element_bool(false);
    }
    for (field, pick) in [(2, (|b: &(i64, i64)| b.0) as fn(&(i64, i64)) -> i64), (3, |b| b.1)] {
        index.list(field, Element::Binary, bounds.len());
        for bound in &bounds {
            index.element_binary(&pick(bound).to_le_bytes());
        }
    }
    index.i32(4, 0);
    index.list(5, Element::I64, bounds.len());
    for _ in &bounds {
        index.element_number(0);
    }
    index.stop();
    index.out
}

fn offset_index(chunk: &Chunk) -> Vec<u8> {
    let mut index = Writer::default();
    index.list(1, Element::Struct, chunk.pages.len());
    for page in &chunk.pages {
        index.element_struct(|location| {
            location.i64(1, page.offset as i64);
            location.i32(2, page.bytes as i32);
            location.i64(3, page.first_row as i64);
        });
    }
    index.stop();
    index.out
}
