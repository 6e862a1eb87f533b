//! Which bytes a block of a level has: joined columns while it is young, Parquet from an hour up. The one
//! place that chooses.

use bytes::Bytes;
use series::{Labels, Timestamp};
use wire::SeriesColumn;

use crate::join::{Block, join};
use crate::layout::{BlockError, MAGIC};
use crate::manifest::Level;
use crate::parquet::{Fetched, Footer, ParquetError, encode_samples};
use crate::reader::BlockReader;

/// Why a block's bytes could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Of a young block.
    #[error(transparent)]
    Columns(#[from] BlockError),
    /// Of an older one.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
}

/// A block's bytes.
pub fn encode(level: Level, block: &Block) -> Result<Bytes, ParquetError> {
    match level {
        Level::Fresh | Level::Ten | Level::Late | Level::Ledger => Ok(block.encode()),
        Level::Hour | Level::Day => encode_samples(block),
    }
}

/// Reads a block of any level, told by its first bytes.
pub fn decode(bytes: impl Into<Bytes>) -> Result<Block, DecodeError> {
    decode_where(bytes, |_| true).map(join)
}

/// The columns of a block of any level that `wanted` accepts.
pub fn decode_where(
    bytes: impl Into<Bytes>,
    wanted: impl Fn(&Labels) -> bool,
) -> Result<Vec<SeriesColumn>, DecodeError> {
    let bytes = bytes.into();
    let (from, to) = (Timestamp(i64::MIN), Timestamp(i64::MAX));
    if bytes.starts_with(&MAGIC) {
        return Ok(BlockReader::open(bytes)?.read_where(wanted, from, to)?);
    }
    let footer = Footer::of(&bytes)?;
    let mut chosen = Vec::new();
    for number in 0..footer.len() {
        if wanted(&footer.series(number)?.labels) {
            chosen.push(number);
        }
    }
    Ok(footer.samples(&chosen, from, to, &Fetched::whole(bytes))?)
}
