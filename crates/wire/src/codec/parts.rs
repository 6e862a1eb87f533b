//! A batch's fields where they lie in its bytes.

use bytes::Bytes;
use prost::Message;

use super::{DecodeError, check_counts, protobuf_error};
use crate::columns::Reader;
use crate::limits::{
    CHECKS_PER_BATCH_MAX, LOGS_PER_BATCH_MAX, METADATA_PER_BATCH_MAX, SERIES_PER_BATCH_MAX, STRINGS_PER_BATCH_MAX,
};
use crate::schema;

/// [`schema::Batch`], borrowed.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) version: u32,
    pub(super) source: &'a str,
    pub(super) epoch: u64,
    pub(super) seq: u64,
    pub(super) created_at_ms: i64,
    pub(super) ack_now: bool,
    pub(super) strings: Vec<&'a [u8]>,
    pub(super) timestamps: Vec<&'a [u8]>,
    pub(super) series: Vec<&'a [u8]>,
    pub(super) checks: Vec<&'a [u8]>,
    pub(super) logs: Vec<&'a [u8]>,
    pub(super) counters: &'a [u8],
    pub(super) packed: &'a [u8],
    pub(super) metadata: Vec<&'a [u8]>,
}

/// A message that had to be read the long way.
#[derive(Default)]
pub(super) struct Kept(Option<schema::Batch>);

impl<'a> Parts<'a> {
    /// The fields of `bytes`; `kept` has to live as long as they are looked at.
    pub(super) fn read(bytes: &'a Bytes, kept: &'a mut Kept) -> Result<Self, DecodeError> {
        if let Some(parts) = Self::as_written(bytes) {
            return Ok(parts);
        }
        check_counts(bytes)?;
        let message = schema::Batch::decode(bytes.clone()).map_err(protobuf_error)?;
        Ok(Self::of(kept.0.insert(message)))
    }

    /// The form that every encoder of version 1 writes: fields in the order of their numbers, none of the single ones
    /// twice, nothing unknown, all within their limits. `None`: it may be good or bad, prost knows.
    fn as_written(bytes: &'a [u8]) -> Option<Self> {
        // As much as an agent of a hundred series needs.
        let (strings, series) = (Vec::with_capacity(256), Vec::with_capacity(128));
        let mut parts = Self { version: schema::VERSION, strings, series, ..Self::default() };
        let mut reader = Reader::new(bytes);
        if reader.byte() != Ok(0x08) || reader.byte() != Ok(schema::VERSION as u8) {
            return None;
        }
        let mut last = 0x08;
        while !reader.rest().is_empty() {
            let tag = reader.byte().ok()?;
            let several = (0x3a..=0x5a).contains(&tag) || tag == 0x72;
            if tag < last || (tag == last && !several) {
                return None;
            }
            last = tag;
            match tag {
                0x12 => parts.source = std::str::from_utf8(delimited(&mut reader)?).ok()?,
                0x19 => parts.epoch = u64::from_le_bytes(reader.take(8).ok()?.try_into().ok()?),
                0x20 => parts.seq = reader.varint().ok()?,
                0x28 => parts.created_at_ms = reader.zigzag().ok()?,
                0x30 => parts.ack_now = reader.varint().ok()? != 0,
                0x3a => push(&mut parts.strings, delimited(&mut reader)?, STRINGS_PER_BATCH_MAX)?,
                0x42 => push(&mut parts.timestamps, delimited(&mut reader)?, SERIES_PER_BATCH_MAX)?,
                0x4a => push(&mut parts.series, delimited(&mut reader)?, SERIES_PER_BATCH_MAX)?,
                0x52 => push(&mut parts.checks, delimited(&mut reader)?, CHECKS_PER_BATCH_MAX)?,
                0x5a => push(&mut parts.logs, delimited(&mut reader)?, LOGS_PER_BATCH_MAX)?,
                0x62 => parts.counters = delimited(&mut reader)?,
                0x72 => push(&mut parts.metadata, delimited(&mut reader)?, METADATA_PER_BATCH_MAX)?,
                _ => return None,
            }
        }
        Some(parts)
    }

    fn of(message: &'a schema::Batch) -> Self {
        fn slices(all: &[Bytes]) -> Vec<&[u8]> {
            all.iter().map(|bytes| &bytes[..]).collect()
        }
        Self {
            version: message.version,
            source: &message.source,
            epoch: message.epoch,
            seq: message.seq,
            created_at_ms: message.created_at_ms,
            ack_now: message.ack_now,
            strings: slices(&message.strings),
            timestamps: slices(&message.timestamps),
            series: slices(&message.series),
            checks: slices(&message.checks),
            logs: slices(&message.logs),
            counters: &message.counters,
            packed: &message.packed,
            metadata: slices(&message.metadata),
        }
    }
}

/// Bytes with their length before them.
#[inline]
fn delimited<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = reader.varint().ok()?;
    reader.take(usize::try_from(length).ok()?).ok()
}

#[inline]
fn push<'a>(all: &mut Vec<&'a [u8]>, one: &'a [u8], max: usize) -> Option<()> {
    (all.len() < max).then(|| all.push(one))
}
