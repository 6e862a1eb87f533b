//! The bytes of a block. Same set, same bytes: nothing but the samples goes into them.
//!
//! ```text
//! block   "DWb1" | u32 bytes of the index (little endian) | index | page | page | …
//! index   zstd of:
//!           zz(min time) | zz(max time) | varint samples                            (0, 0, 0 if empty)
//!           varint strings | strings × (varint bytes | text)              in order of first mention
//!           varint pages   | pages × (varint bytes | varint bytes before zstd | varint series)
//!           series × (varint labels | labels × (varint name | varint value) | varint samples)
//! page    zstd of:
//!           varint times  | times × (varint bytes | timestamp column)               each column once
//!           series × (varint index of its times | varint bytes | value column)
//! ```
//! Varints, zz and columns are those of `wire::columns`. Series stand in the order of their labels,
//! and the index counts them through the pages, so that one series is read by decompressing the
//! index and one page. A page is closed once it has [`PAGE_BYTES`] before compression.
//!
//! A block's name is the first 128 bits of BLAKE3 over its bytes: a damaged block is told by its name.

use std::collections::HashMap;
use std::io::Read;

use bytes::Bytes;
use wire::columns::{ColumnError, put_varint};

use crate::column::Column;
use crate::index::encode_index;
use crate::join::Block;
use crate::order::Order;

/// First bytes of a block, the version in them.
pub(crate) const MAGIC: [u8; 4] = *b"DWb1";
/// Bytes at which a page is closed, before compression.
pub const PAGE_BYTES: usize = 32 * 1024;
/// zstd's level for pages and index: a young block is read a few times and compacted within the hour, and levels above gain
/// little on columns.
const ZSTD_LEVEL: i32 = 1;
/// Bytes of one page before compression. A window of 10 min has at most 600,000 times, so that no
/// column of one comes near; a page holds one column at least.
pub const PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of the index before compression.
pub const INDEX_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Why bytes are not a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    #[error("the bytes do not start as a block of version 1 does")]
    NotABlock,
    #[error("the block ends early: {what}")]
    Truncated { what: &'static str },
    #[error("{what} is not zstd, or has another size than the index says")]
    Zstd { what: &'static str },
    #[error("{what} would have {bytes} bytes, at most {max} are allowed")]
    TooLarge { what: &'static str, bytes: u64, max: usize },
    #[error("{what}: {error}")]
    Column { what: &'static str, error: ColumnError },
    #[error("series {index}: {what}")]
    Series { index: usize, what: String },
    #[error("the block has no series {index}")]
    NoSuchSeries { index: usize },
}

/// The name of a block: 32 hexadecimal digits, a function of its bytes.
#[must_use]
pub fn block_name(bytes: &[u8]) -> String {
    let hex = blake3::hash(bytes).to_hex();
    hex.as_str().chars().take(32).collect()
}

impl Block {
    /// The block's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode_columns(self.columns(), None)
    }
}

/// The bytes of the block that has these columns, found faster where an order knows the series.
pub(crate) fn encode_columns<C: Column>(columns: &[C], order: Option<&Order>) -> Bytes {
    let mut packer = Packer::new(ZSTD_LEVEL);
    let (pages, entries) = encode_pages(columns, &mut packer);
    let index = packer.pack(&encode_index(columns, &entries, order));
    let mut out = Vec::with_capacity(8 + index.len() + pages.len());
    out.extend_from_slice(&MAGIC);
    // An index is at most `INDEX_BYTES_MAX`, which is below 2^32.
    out.extend_from_slice(&(index.len() as u32).to_le_bytes());
    out.extend_from_slice(&index);
    out.extend_from_slice(&pages);
    out.into()
}

/// What the index says of one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageEntry {
    pub(crate) bytes: usize,
    pub(crate) plain_bytes: usize,
    pub(crate) series: usize,
}

fn encode_pages<C: Column>(columns: &[C], packer: &mut Packer) -> (Vec<u8>, Vec<PageEntry>) {
    let (mut out, mut entries) = (Vec::new(), Vec::new());
    let mut page = Page::new();
    for column in columns {
        page.push(column);
        if page.bytes() >= PAGE_BYTES {
            entries.push(page.close(&mut out, packer));
        }
    }
    if page.series > 0 {
        entries.push(page.close(&mut out, packer));
    }
    (out, entries)
}

/// A page while it grows.
struct Page<'a, C> {
    times: Vec<u8>,
    times_index: HashMap<Vec<u8>, u64>,
    series_bytes: Vec<u8>,
    series: usize,
    column: Vec<u8>,
    /// The column before, and its times' index: most have the very same times.
    last: Option<(&'a C, u64)>,
}

impl<'a, C: Column> Page<'a, C> {
    fn new() -> Self {
        Self {
            times: Vec::new(),
            times_index: HashMap::new(),
            series_bytes: Vec::with_capacity(PAGE_BYTES + PAGE_BYTES / 8),
            series: 0,
            column: Vec::new(),
            last: None,
        }
    }

    fn push(&mut self, column: &'a C) {
        let times = self.times_of(column);
        put_varint(&mut self.series_bytes, times);
        column.put_values(&mut self.series_bytes, &mut self.column);
        self.series += 1;
    }

    fn times_of(&mut self, column: &'a C) -> u64 {
        if let Some((last, index)) = self.last
            && last.has_times_of(column)
        {
            return index;
        }
        self.column.clear();
        column.put_times(&mut self.column);
        let next = self.times_index.len() as u64;
        let index = match self.times_index.get(&self.column) {
            Some(index) => *index,
            None => {
                put_bytes(&mut self.times, &self.column);
                self.times_index.insert(self.column.clone(), next);
                next
            }
        };
        self.last = Some((column, index));
        index
    }

    fn bytes(&self) -> usize {
        self.times.len() + self.series_bytes.len()
    }

    /// Writes the page to `out` and starts the next one.
    fn close(&mut self, out: &mut Vec<u8>, packer: &mut Packer) -> PageEntry {
        let page = std::mem::replace(self, Self::new());
        let mut plain = Vec::with_capacity(page.bytes() + 4);
        put_varint(&mut plain, page.times_index.len() as u64);
        plain.extend_from_slice(&page.times);
        plain.extend_from_slice(&page.series_bytes);
        let packed = packer.pack(&plain);
        out.extend_from_slice(&packed);
        PageEntry { bytes: packed.len(), plain_bytes: plain.len(), series: page.series }
    }
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A compressor that is used again and again.
pub(crate) struct Packer(Option<zstd::bulk::Compressor<'static>>);

impl Packer {
    pub(crate) fn new(level: i32) -> Self {
        Self(zstd::bulk::Compressor::new(level).ok())
    }

    pub(crate) fn pack(&mut self, plain: &[u8]) -> Vec<u8> {
        // The only error of compressing from memory into memory is running out of memory.
        self.0.as_mut().and_then(|packer| packer.compress(plain).ok()).unwrap_or_default()
    }
}

pub(crate) fn compress(bytes: &[u8]) -> Vec<u8> {
    // The only error of compressing from memory into memory is running out of memory.
    zstd::bulk::compress(bytes, 3).unwrap_or_default()
}

/// Decompresses to exactly `plain_bytes`, or to at most `max` where it is not known. Memory grows
/// with what really comes out.
pub(crate) fn decompress(
    bytes: &[u8],
    plain_bytes: Option<usize>,
    max: usize,
    what: &'static str,
) -> Result<Vec<u8>, BlockError> {
    let limit = plain_bytes.unwrap_or(max);
    if limit > max {
        return Err(BlockError::TooLarge { what, bytes: limit as u64, max });
    }
    let not_zstd = |_| BlockError::Zstd { what };
    let decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(not_zstd)?;
    let mut out = Vec::new();
    decoder.take(limit as u64 + 1).read_to_end(&mut out).map_err(not_zstd)?;
    if out.len() > max {
        return Err(BlockError::TooLarge { what, bytes: out.len() as u64, max });
    }
    if plain_bytes.is_some_and(|expected| expected != out.len()) {
        return Err(BlockError::Zstd { what });
    }
    Ok(out)
}
