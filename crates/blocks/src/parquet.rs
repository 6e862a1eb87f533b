//! Blocks of an hour and of a day, and rollups: Apache Parquet files, which Athena, DuckDB and pandas
//! read without us. `docs/blocks.md` shows the columns and how to ask them.
//!
//! ```text
//! "PAR1"
//! row group | row group | …       a group: 100 series; a chunk a column; timestamps and values a page a series
//! page index                      column index of `timestamp`, offset index of every column
//! our index                       zstd; see `index.rs`: every series, its labels, its pages
//! footer                          thrift, as the format wants it; its last field says where our index is
//! u32 bytes of the footer | "PAR1"
//! ```
//! The footer's last field is the one that Parquet reserves for extensions (32767, binary), which others
//! skip. So the last [`TAIL_BYTES_MIN`] bytes of an object tell where our index starts, and one more
//! read gets it. With that [`Footer`] at hand (it may be kept for ever: objects are named by
//! content) a series is found by its labels without a label column being read, and its samples by two
//! or three ranges of bytes.
//!
//! ```text
//! Footer::parse(tail, object's bytes)  → NeedMore(n) or a footer
//! footer.find(label tests)             → numbers of series
//! footer.ranges(series, from, to)      → ranges to fetch, near ones as one
//! footer.samples(series, from, to, what was fetched) → columns
//! ```
//! Everything here is a pure function of bytes. Same set, same bytes. No bytes panic, and nothing is
//! allocated that was not held against a limit.

mod bits;
mod decimal;
mod delta;
mod file;
mod footer;
mod index;
mod page;
mod read;
mod rollups;
mod samples;
mod thrift;

pub use file::ROWS_MAX;
pub use footer::{ByteRange, Fetched, Footer, Kind, LabelTest, Parsed, RANGE_GAP_MAX, SeriesSummary, TAIL_BYTES_MIN};
pub use page::PLAIN_PAGE_BYTES_MAX;
pub use rollups::{ROLLUP_GROUP_ROWS, encode_rollups};
pub use samples::{SERIES_PER_GROUP, SamplesWriter, encode_samples};

/// Why bytes are not a Parquet file of ours, or could not be read as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParquetError {
    #[error("the bytes do not end as a Parquet file of Daywatch does")]
    NotOurs,
    #[error("{what} ends early")]
    Truncated { what: &'static str },
    #[error("{what} is not zstd, or has another size than it says")]
    Zstd { what: &'static str },
    #[error("{what} would have {bytes}, at most {max} are allowed")]
    TooLarge { what: &'static str, bytes: u64, max: u64 },
    #[error("{what} is not valid: {why}")]
    Invalid { what: &'static str, why: &'static str },
    #[error("bytes {offset} to {end} were not fetched")]
    NotFetched { offset: u64, end: u64 },
    #[error("there is no series {index} in this object")]
    NoSuchSeries { index: usize },
    #[error("the object holds {found}, not {wanted}")]
    OtherKind { wanted: &'static str, found: &'static str },
}

#[cfg(test)]
mod tests;
