//! What is in a record of a segment. The layout is at the top of `buffer.rs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use series::{Epoch, Timestamp};
use wire::SeqRange;

/// The format's version that is written and read.
pub(super) const FORMAT: u32 = 1;
/// Bytes before a batch in its record.
pub(super) const BATCH_PREFIX_BYTES: usize = 1 + 8 + 8 + 4 + 8;
/// Ranges in one record of acks.
pub(super) const RANGES_MAX: usize = 1_024;

/// First in every file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: u32,
    pub(super) epoch: Epoch,
    /// The seq of the first batch that may stand in this file. A batch with this seq or a later
    /// one in an earlier file was never taken: its write had failed.
    pub(super) first_seq: u64,
    pub(super) put: u64,
    pub(super) acked: u64,
    pub(super) evicted: u64,
    #[serde(default)]
    pub(super) rejected: BTreeMap<String, u64>,
}

/// A record, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record<'a> {
    Header(Header),
    Batch {
        seq: u64,
        put: u64,
        samples: u32,
        created_at: Timestamp,
        bytes: &'a [u8],
    },
    Acks {
        acked: u64,
        ranges: Vec<SeqRange>,
    },
    /// Of a newer program: stepped over.
    Unknown,
}

/// Only the version: what every format to come has in common.
#[derive(Deserialize)]
pub(super) struct AnyHeader {
    pub(super) format: u32,
}

pub(super) fn header(header: &Header) -> Vec<u8> {
    let mut out = vec![b'H'];
    // Writing to memory, with text as keys: it cannot fail.
    out.extend(serde_json::to_vec(header).unwrap_or_default());
    out
}

pub(super) fn batch(seq: u64, put: u64, samples: u32, created_at: Timestamp, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(BATCH_PREFIX_BYTES + bytes.len());
    out.push(b'B');
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&put.to_le_bytes());
    out.extend_from_slice(&samples.to_le_bytes());
    out.extend_from_slice(&created_at.ms().to_le_bytes());
    out.extend_from_slice(bytes);
    out
}

pub(super) fn acks(acked: u64, ranges: &[SeqRange]) -> Vec<u8> {
    let mut out = vec![b'A'];
    out.extend_from_slice(&acked.to_le_bytes());
    out.extend_from_slice(&(ranges.len() as u32).to_le_bytes());
    for range in ranges {
        out.extend_from_slice(&range.from.to_le_bytes());
        out.extend_from_slice(&range.to.to_le_bytes());
    }
    out
}

pub(super) fn read(payload: &[u8]) -> Option<Record<'_>> {
    let (kind, mut rest) = payload.split_first()?;
    match kind {
        b'H' => serde_json::from_slice(rest).ok().map(Record::Header),
        b'B' => {
            let seq = number(&mut rest)?;
            let put = number(&mut rest)?;
            let (samples, after) = rest.split_first_chunk::<4>()?;
            rest = after;
            let created_at = Timestamp(number(&mut rest)? as i64);
            Some(Record::Batch { seq, put, samples: u32::from_le_bytes(*samples), created_at, bytes: rest })
        }
        b'A' => {
            let acked = number(&mut rest)?;
            let (count, after) = rest.split_first_chunk::<4>()?;
            rest = after;
            let count = (u32::from_le_bytes(*count) as usize).min(RANGES_MAX);
            let mut ranges = Vec::with_capacity(count);
            for _ in 0..count {
                ranges.push(SeqRange { from: number(&mut rest)?, to: number(&mut rest)? });
            }
            Some(Record::Acks { acked, ranges })
        }
        _ => Some(Record::Unknown),
    }
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (bytes, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let made = batch(7, 100, 3, Timestamp(-5), b"xyz");
        assert_eq!(made.len(), BATCH_PREFIX_BYTES + 3);
        let expected = Record::Batch { seq: 7, put: 100, samples: 3, created_at: Timestamp(-5), bytes: b"xyz" };
        assert_eq!(read(&made), Some(expected));
        let ranges = vec![SeqRange { from: 1, to: 4 }, SeqRange { from: 9, to: 9 }];
        assert_eq!(read(&acks(12, &ranges)), Some(Record::Acks { acked: 12, ranges }));
        let first = Header {
            format: FORMAT,
            epoch: Epoch(9),
            first_seq: 3,
            put: 10,
            acked: 4,
            evicted: 1,
            rejected: BTreeMap::from([("queue_full".to_owned(), 2)]),
        };
        assert_eq!(read(&header(&first)), Some(Record::Header(first)));
        assert_eq!(read(b"Znew"), Some(Record::Unknown));
    }

    proptest! {
        #[test]
        fn reading_is_total(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&payload);
        }
    }
}
