//! The framing of a segment log: the agent's disk buffer and the embedded stream write it. Bytes
//! in, bytes out; files and fsync are the caller's.
//!
//! ```text
//! record  "DWr1" | u32 length of payload | u32 crc | payload                 (little endian)
//! crc     CRC-32 (IEEE) over: u64 offset of the record in its file | the length's bytes | payload
//! ```
//!
//! The offset is in the checksum so that a record is only valid where it was written: neither a
//! payload that holds the bytes of a record nor a block that the disk put elsewhere is believed.
//!
//! Reading never fails. What is not a valid record is stepped over to the next valid one, and the
//! bytes between are reported as a gap. Where no valid record follows, reading ends: as torn where
//! the rest looks like a write that was cut short (the start of a header, a record longer than the
//! rest, or zeros that a file system left behind), else as corrupt. Either way the caller truncates
//! the file at that offset before it appends again, and counts what it lost: a torn record was
//! never fsynced; a corrupt one and a gap were damaged later.

use std::ops::Range;

/// Bytes of one record's payload.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
/// Bytes that a record adds to its payload.
pub const HEADER_BYTES: usize = 12;
/// False starts that reading looks into behind a bad record, in one file. Each costs a checksum.
pub const FALSE_STARTS_MAX: usize = 1_000;

/// A write that was cut short leaves whole sectors of zeros where the file had grown already.
const SECTOR_BYTES: usize = 512;
const MAGIC: [u8; 4] = *b"DWr1";

/// Why a record could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    #[error("the record has {bytes} bytes, at most {PAYLOAD_BYTES_MAX} are allowed")]
    TooLong { bytes: usize },
}

/// A record that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it starts.
    pub at: usize,
    /// Where the next one starts.
    pub end: usize,
    /// What was written.
    pub payload: &'a [u8],
}

/// How a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// With a whole record.
    Clean,
    /// With a write that was cut short.
    Torn {
        /// Where the last good record ended.
        at: usize,
    },
    /// With bytes that are no record.
    Corrupt {
        /// Where the last good record ended.
        at: usize,
    },
}

/// Everything that a log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log<'a> {
    /// The valid records in order.
    pub records: Vec<Record<'a>>,
    /// Damaged stretches between valid records.
    pub gaps: Vec<Range<usize>>,
    /// How it ends.
    pub tail: Tail,
}

/// Appends a record to `out`; `at` is the offset at which it will stand in its file.
pub fn encode_into(out: &mut Vec<u8>, at: u64, payload: &[u8]) -> Result<(), SegmentError> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(SegmentError::TooLong { bytes: payload.len() });
    }
    let length = (payload.len() as u32).to_le_bytes();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(at, length, payload).to_le_bytes());
    out.extend_from_slice(payload);
    Ok(())
}

/// Reads a whole file from its start.
#[must_use]
pub fn read(bytes: &[u8]) -> Log<'_> {
    let mut log = Log { records: Vec::new(), gaps: Vec::new(), tail: Tail::Clean };
    let (mut at, mut false_starts) = (0, 0);
    while at < bytes.len() {
        if let Some(record) = record_at(bytes, at) {
            at = record.end;
            log.records.push(record);
            continue;
        }
        match next_record(bytes, at + 1, &mut false_starts) {
            Some(record) => {
                log.gaps.push(at..record.at);
                at = record.at;
            }
            None => {
                log.tail = if is_torn(&bytes[at..]) { Tail::Torn { at } } else { Tail::Corrupt { at } };
                break;
            }
        }
    }
    log
}

fn record_at(bytes: &[u8], at: usize) -> Option<Record<'_>> {
    let (header, rest) = bytes.get(at..)?.split_first_chunk::<HEADER_BYTES>()?;
    let [m0, m1, m2, m3, l0, l1, l2, l3, c0, c1, c2, c3] = *header;
    let length = [l0, l1, l2, l3];
    let bytes = u32::from_le_bytes(length) as usize;
    if [m0, m1, m2, m3] != MAGIC || bytes > PAYLOAD_BYTES_MAX {
        return None;
    }
    let payload = rest.get(..bytes)?;
    let good = checksum(at as u64, length, payload) == u32::from_le_bytes([c0, c1, c2, c3]);
    good.then_some(Record { at, end: at + HEADER_BYTES + bytes, payload })
}

fn next_record<'a>(bytes: &'a [u8], from: usize, false_starts: &mut usize) -> Option<Record<'a>> {
    let rest = bytes.get(from..)?;
    let starts = rest.windows(MAGIC.len()).enumerate().filter(|(_, window)| *window == MAGIC);
    for (offset, _) in starts {
        if let Some(record) = record_at(bytes, from + offset) {
            return Some(record);
        }
        *false_starts += 1;
        if *false_starts > FALSE_STARTS_MAX {
            return None;
        }
    }
    None
}

/// Whether the rest of a file looks like a write that was cut short.
fn is_torn(rest: &[u8]) -> bool {
    let (magic, after) = rest.split_at(rest.len().min(MAGIC.len()));
    if !MAGIC.starts_with(magic) {
        return rest.iter().all(|byte| *byte == 0);
    }
    match after.split_first_chunk::<4>() {
        None => true,
        Some((length, after)) => {
            let bytes = u32::from_le_bytes(*length) as usize;
            let zeros = after.iter().rev().take_while(|byte| **byte == 0).count();
            let unwritten = zeros >= SECTOR_BYTES.min(after.len());
            bytes <= PAYLOAD_BYTES_MAX && (after.len() < 4 + bytes || unwritten)
        }
    }
}

fn checksum(at: u64, length: [u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&at.to_le_bytes());
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests;
