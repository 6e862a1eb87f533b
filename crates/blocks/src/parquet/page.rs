//! Pages: a header, then zstd of the levels and the numbers. Data pages of version 1, which every reader knows.

use wire::columns::ColumnError;

use super::ParquetError;
use super::bits::{put_run, walk_levels};
use super::thrift::{PageHeader, Writer, page_header};

/// zstd's level. Decision 012 has what others cost and save.
pub(super) const ZSTD_LEVEL: i32 = 3;
/// Bytes of a page before compression. A day of one series each 100 ms is 7 MB.
pub const PLAIN_PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Parquet's numbers for encodings.
pub(super) mod encoding {
    pub(in crate::parquet) const PLAIN: i32 = 0;
    pub(in crate::parquet) const RLE: i32 = 3;
    pub(in crate::parquet) const DELTA_BINARY_PACKED: i32 = 5;
    pub(in crate::parquet) const RLE_DICTIONARY: i32 = 8;
}

/// The header of a data page, or with `values` of a dictionary.
pub(super) fn header(
    plain_bytes: usize,
    packed_bytes: usize,
    values: usize,
    encoding: i32,
    dictionary: bool,
) -> Vec<u8> {
    let mut header = Writer::default();
    header.i32(1, if dictionary { 2 } else { 0 });
    header.i32(2, plain_bytes as i32);
    header.i32(3, packed_bytes as i32);
    header.structure(if dictionary { 7 } else { 5 }, |page| {
        page.i32(1, values as i32);
        page.i32(2, encoding);
        if !dictionary {
            page.i32(3, encoding::RLE);
            page.i32(4, encoding::RLE);
        }
    });
    header.stop();
    header.out
}

/// Appends which of the rows have a value, as runs with their length before them.
pub(super) fn put_levels(out: &mut Vec<u8>, present: impl IntoIterator<Item = bool>) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let (mut value, mut count) = (false, 0);
    for next in present {
        if next != value && count > 0 {
            put_run(out, count, u32::from(value), 1);
            count = 0;
        }
        value = next;
        count += 1;
    }
    if count > 0 {
        put_run(out, count, u32::from(value), 1);
    }
    let bytes = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&bytes.to_le_bytes());
}

/// Decompressors, used again and again, and where they write to.
pub(super) struct Unpacker {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    plain: Vec<u8>,
}

impl Unpacker {
    pub(super) fn new() -> Self {
        Self { zstd: zstd::bulk::Decompressor::new().ok(), plain: Vec::new() }
    }

    /// The page that fills `bytes`, decompressed, which must have `rows` rows.
    pub(super) fn page(&mut self, bytes: &[u8], rows: usize) -> Result<(PageHeader, &[u8]), ParquetError> {
        let (header, rest) = page_header(bytes)?;
        let packed = rest.get(..header.packed_bytes).ok_or(ParquetError::Truncated { what: "a page" })?;
        if header.values != rows {
            return Err(ParquetError::Invalid {
                what: "a page",
                why: "it has another number of rows than the index says",
            });
        }
        // The widest row: a level's run of its own, and eight bytes.
        let max = rows.saturating_mul(16).saturating_add(4_096).min(PLAIN_PAGE_BYTES_MAX);
        if header.plain_bytes > max {
            let (bytes, max) = (header.plain_bytes as u64, max as u64);
            return Err(ParquetError::TooLarge { what: "a page", bytes, max });
        }
        self.plain.resize(header.plain_bytes, 0);
        let zstd = self.zstd.as_mut().ok_or(ParquetError::Zstd { what: "a page" })?;
        let plain = zstd.decompress_to_buffer(packed, self.plain.as_mut_slice());
        if plain.ok() != Some(header.plain_bytes) {
            return Err(ParquetError::Zstd { what: "a page" });
        }
        Ok((header, &self.plain))
    }
}

/// Splits off a page's levels: `visit(has a value, how many rows)`, and answers the bytes after them.
pub(super) fn levels(plain: &[u8], rows: usize, visit: impl FnMut(bool, usize)) -> Result<&[u8], ParquetError> {
    let truncated = ParquetError::Truncated { what: "a page's levels" };
    let (length, rest) = plain.split_first_chunk::<4>().ok_or(truncated.clone())?;
    let (levels, values) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(truncated)?;
    walk_levels(levels, rows, visit).map_err(|error| column_error("a page's levels", &error))?;
    Ok(values)
}

/// A column's error without its numbers.
pub(super) fn column_error(what: &'static str, error: &ColumnError) -> ParquetError {
    match error {
        ColumnError::Truncated => ParquetError::Truncated { what },
        ColumnError::VarintTooLong => ParquetError::Invalid { what, why: "a number has more than 64 bits" },
        ColumnError::LeftOver { .. } => ParquetError::Invalid { what, why: "something is left over" },
        ColumnError::Count { .. } => ParquetError::Invalid { what, why: "it holds another number of values" },
        _ => ParquetError::Invalid { what, why: "its numbers are not packed as ours are" },
    }
}
