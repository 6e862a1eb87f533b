//! Reads a folder of segments back. Changes nothing on the disk, so that `status` can look at the
//! buffer of a running agent; what should be put aside is only named.

use std::io;

use series::Epoch;
use wire::segment::{self, Tail};

use super::disk::Disk;
use super::entries::{Entries, Entry};
use super::record::{self, AnyHeader, FORMAT, Header, Record};
use super::{Ledger, SEGMENT_BYTES_MAX};

/// The ending of a segment's name.
const ENDING: &str = ".seg";
/// The least bytes that a batch takes on disk: how many may hide in a damaged end.
const BATCH_BYTES_MIN: u64 = (segment::HEADER_BYTES + record::BATCH_PREFIX_BYTES) as u64;

/// One file of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) bytes: u64,
    /// Batches in it that are not gone.
    pub(super) unacked: u32,
}

/// What a folder held.
#[derive(Debug)]
pub(super) struct Recovered {
    /// `None` where there was no usable file: a new life begins.
    pub(super) epoch: Option<Epoch>,
    pub(super) ledger: Ledger,
    pub(super) entries: Entries,
    pub(super) segments: Vec<Segment>,
    /// Above every number in the folder, whatever the state of the file.
    pub(super) next_number: u32,
    /// Files to be put aside, with the reason.
    pub(super) bad: Vec<(String, String)>,
    /// Files that never came to life: a crash while they were made.
    pub(super) unborn: Vec<String>,
}

pub(super) fn name(number: u32) -> String {
    format!("{number:08}{ENDING}")
}

fn number(name: &str) -> Option<u32> {
    name.strip_suffix(ENDING).filter(|digits| digits.len() >= 8)?.parse().ok()
}

/// Reads all segments.
pub(super) fn recover(disk: &impl Disk) -> io::Result<Recovered> {
    let mut numbers: Vec<u32> = disk.list()?.iter().filter_map(|name| number(name)).collect();
    numbers.sort_unstable();
    let mut found = Recovered {
        epoch: None,
        ledger: Ledger::default(),
        entries: Entries::starting_at(1),
        segments: Vec::new(),
        next_number: numbers.last().map_or(1, |last| last + 1),
        bad: Vec::new(),
        unborn: Vec::new(),
    };
    let mut damaged_end = 0;
    for number in numbers {
        let bytes = match disk.read(&name(number)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                found.bad.push((name(number), error.to_string()));
                continue;
            }
        };
        damaged_end = found.take(number, &bytes);
    }
    // Batches behind the damage may have been sent; their numbers must not be used again.
    if damaged_end > 0 {
        let skipped = (damaged_end / BATCH_BYTES_MIN + 1).min(SEGMENT_BYTES_MAX / BATCH_BYTES_MIN);
        found.entries.skip_to(found.entries.next_seq() + skipped);
    }
    found.finish();
    Ok(found)
}

impl Recovered {
    /// Takes in one file; answers how many bytes at its end are damaged.
    fn take(&mut self, number: u32, bytes: &[u8]) -> u64 {
        let log = segment::read(bytes);
        let Some(first) = log.records.first() else {
            match log.tail {
                Tail::Corrupt { .. } => self.bad.push((name(number), "no record can be read".to_owned())),
                Tail::Clean | Tail::Torn { .. } => self.unborn.push(name(number)),
            }
            return 0;
        };
        let header = match read_header(first.payload) {
            Ok(header) if self.epoch.is_none_or(|epoch| epoch == header.epoch) => header,
            Ok(header) => {
                self.bad.push((name(number), format!("is of another life of the buffer, {}", header.epoch)));
                return 0;
            }
            Err(why) => {
                self.bad.push((name(number), why));
                return 0;
            }
        };
        self.begin(&header);
        let mut last = None;
        for read in &log.records {
            match record::read(read.payload) {
                Some(Record::Batch { seq, put, samples, created_at, bytes }) => {
                    let start = read.end - bytes.len();
                    let entry =
                        Entry { segment: number, at: start as u32, bytes: bytes.len() as u32, samples, created_at };
                    self.entries.push(seq, entry);
                    self.ledger.put = put;
                    last = Some(bytes);
                }
                Some(Record::Acks { acked, ranges }) => {
                    self.ledger.acked = acked;
                    for range in ranges {
                        for seq in self.entries.clamp(range) {
                            self.entries.remove(seq);
                        }
                    }
                }
                Some(Record::Header(_) | Record::Unknown) | None => {}
            }
        }
        // The last batch's own counters know what was refused until then.
        if let Some(decoded) = last.and_then(|bytes| wire::Batch::decode(bytes).ok()) {
            self.ledger.rejected = decoded.batch.counters.rejected;
            self.ledger.evicted = decoded.batch.counters.evicted;
        }
        self.segments.push(Segment { number, bytes: bytes.len() as u64, unacked: 0 });
        match log.tail {
            Tail::Corrupt { at } => (bytes.len() - at) as u64,
            Tail::Clean | Tail::Torn { .. } => 0,
        }
    }

    fn begin(&mut self, header: &Header) {
        self.epoch = Some(header.epoch);
        self.entries.cut(header.first_seq);
        self.entries.skip_to(header.first_seq);
        // Taken as they are: what a cut batch said before does not count.
        self.ledger =
            Ledger { put: header.put, acked: header.acked, evicted: header.evicted, rejected: header.rejected.clone() };
    }

    fn finish(&mut self) {
        self.entries.trim();
        for (_, entry) in self.entries.iter() {
            if let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == entry.segment) {
                segment.unacked += 1;
            }
        }
        let ledger = &mut self.ledger;
        let gone = ledger.put.saturating_sub(ledger.acked + self.entries.samples());
        ledger.evicted = ledger.evicted.max(gone);
    }
}

fn read_header(payload: &[u8]) -> Result<Header, String> {
    if payload.first() != Some(&b'H') {
        return Err("the file does not begin with a header".to_owned());
    }
    let any: AnyHeader =
        serde_json::from_slice(&payload[1..]).map_err(|error| format!("the header cannot be read: {error}"))?;
    if any.format != FORMAT {
        return Err(format!("the file has format {}, this program knows format {FORMAT}", any.format));
    }
    match record::read(payload) {
        Some(Record::Header(header)) => Ok(header),
        _ => Err("the header cannot be read".to_owned()),
    }
}
