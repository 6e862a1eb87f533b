//! One shard: a log of segment files, written by one thread at a time, read by many.
//!
//! A file is named by the sequence number of its first record, `00000000000000000001.log`; its
//! framing is [`ports::segment`]'s and a payload is: sequence number (8 bytes, little endian), time
//! of arrival (8), data. A record is readable once it is synced. After a failed write or sync the
//! file is cut back and a new one is begun, because what an operating system kept of a failed sync
//! is unknown. On opening, a torn tail is cut off: it was never acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ports::segment::{self, HEADER_BYTES, Tail};
use ports::{Delivered, Timestamp};
use tokio::sync::Notify;

use crate::disk::{Disk, DiskFile};

/// Bytes before a record's data in its payload.
const PREFIX_BYTES: usize = 16;
const SUFFIX: &str = ".log";
/// Where damaged bytes are kept for a person to look at.
const DAMAGED_SUFFIX: &str = ".damaged";

/// Sizes of a shard's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardOptions {
    /// Bytes after which a new file is begun.
    pub segment_bytes: u64,
    /// Bytes of a shard's files at most; beyond, records are refused until consumers catch up.
    pub shard_bytes_max: u64,
}

impl Default for ShardOptions {
    fn default() -> Self {
        Self { segment_bytes: 8 * 1024 * 1024, shard_bytes_max: 1024 * 1024 * 1024 }
    }
}

/// A record on its way in.
pub(crate) struct NewRecord<'a> {
    pub(crate) arrived_at: Timestamp,
    pub(crate) data: &'a Bytes,
}

/// Where a record stands in its file.
#[derive(Debug, Clone, Copy)]
struct Place {
    sequence: u64,
    offset: u32,
    payload_bytes: u32,
}

impl Place {
    fn end(self) -> u64 {
        u64::from(self.offset) + HEADER_BYTES as u64 + u64::from(self.payload_bytes)
    }
}

#[derive(Debug)]
struct Segment {
    first: u64,
    path: String,
    file: Arc<dyn DiskFile>,
    bytes: u64,
    places: Vec<Place>,
}

#[derive(Debug)]
struct Log {
    // Oldest first; the last one is written.
    segments: VecDeque<Segment>,
    next_sequence: u64,
    checkpoints: BTreeMap<String, u64>,
    // The last write or sync failed, so the last file must not be appended to.
    suspect: bool,
}

/// The shard.
#[derive(Debug)]
pub(crate) struct Shard {
    disk: Arc<dyn Disk>,
    dir: String,
    number: u16,
    options: ShardOptions,
    // Held while writing, so that readers only wait for `log`, never for the disk.
    writing: Mutex<()>,
    log: Mutex<Log>,
    arrival: Notify,
    damaged: AtomicU64,
}

impl Shard {
    /// Opens what is there, cutting off a torn tail, or begins.
    pub(crate) fn open(disk: Arc<dyn Disk>, dir: &str, number: u16, options: ShardOptions) -> io::Result<Self> {
        disk.create_dir_all(dir)?;
        let log = Log { segments: VecDeque::new(), next_sequence: 1, checkpoints: BTreeMap::new(), suspect: false };
        let shard = Self {
            disk,
            dir: dir.to_owned(),
            number,
            options,
            writing: Mutex::new(()),
            log: Mutex::new(log),
            arrival: Notify::new(),
            damaged: AtomicU64::new(0),
        };
        let mut firsts: Vec<u64> = Vec::new();
        for entry in shard.disk.list(dir)? {
            firsts.extend(entry.name.strip_suffix(SUFFIX).and_then(|digits| digits.parse::<u64>().ok()));
        }
        for (index, first) in firsts.iter().enumerate() {
            let segment = shard.read_segment(*first, firsts.get(index + 1).copied())?;
            let mut log = shard.log();
            let last = segment.places.last().map(|place| place.sequence + 1);
            log.next_sequence = last.unwrap_or(*first).max(log.next_sequence).max(*first);
            log.segments.push_back(segment);
        }
        if firsts.is_empty() {
            shard.begin_segment()?;
        }
        Ok(shard)
    }

    fn path(&self, first: u64) -> String {
        format!("{}/{first:020}{SUFFIX}", self.dir)
    }

    fn read_segment(&self, first: u64, next_first: Option<u64>) -> io::Result<Segment> {
        let path = self.path(first);
        let content = self.disk.read(&path)?;
        let read = segment::read(&content);
        let mut places: Vec<Place> = Vec::with_capacity(read.records.len());
        for record in &read.records {
            let Some(prefix) = record.payload.first_chunk::<8>() else { continue };
            let sequence = u64::from_le_bytes(*prefix);
            // A file that was given up after a failed sync may hold refused records, whose numbers
            // its successor used again.
            let superseded = next_first.is_some_and(|next| sequence >= next);
            let rises = places.last().is_none_or(|last| last.sequence < sequence) && sequence >= first;
            if rises && !superseded {
                let (offset, payload_bytes) = (record.at as u32, record.payload.len() as u32);
                places.push(Place { sequence, offset, payload_bytes });
            }
        }
        for gap in &read.gaps {
            self.keep_damaged(&path, &content[gap.clone()], gap.start)?;
        }
        let file = self.disk.open(&path)?;
        let mut bytes = content.len() as u64;
        if let Tail::Torn { at } | Tail::Corrupt { at } = read.tail {
            if matches!(read.tail, Tail::Corrupt { .. }) {
                self.keep_damaged(&path, &content[at..], at)?;
            }
            tracing::info!(path, at, cut = content.len() - at, "the log's tail is cut off");
            bytes = at as u64;
            file.set_len(bytes)?;
            file.sync()?;
        }
        Ok(Segment { first, path, file, bytes, places })
    }

    /// Damage must be seen, and must not stop the records around it.
    fn keep_damaged(&self, path: &str, bytes: &[u8], at: usize) -> io::Result<()> {
        tracing::error!(path, at, bytes = bytes.len(), "the log is damaged here; the bytes are kept aside");
        self.damaged.fetch_add(1, Ordering::Relaxed);
        let aside = format!("{path}.{at}{DAMAGED_SUFFIX}");
        self.disk.write_atomic(&aside, &format!("{aside}.tmp"), bytes)
    }

    /// Stretches of damaged bytes found on opening.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_segment(&self) -> io::Result<()> {
        let first = self.log().next_sequence;
        let path = self.path(first);
        let file = self.disk.open(&path)?;
        // It may be left from an attempt that failed.
        file.set_len(0)?;
        file.sync()?;
        self.disk.sync_dir(&self.dir)?;
        let mut log = self.log();
        log.segments.retain(|segment| segment.first != first);
        log.segments.push_back(Segment { first, path, file, bytes: 0, places: Vec::new() });
        log.suspect = false;
        Ok(())
    }

    /// Appends and syncs: all or none. After an error none of them will be read in this life of
    /// the process.
    pub(crate) fn append(&self, records: &[NewRecord<'_>]) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (must_begin, shard_bytes) = {
            let log = self.log();
            let full = log.segments.back().is_none_or(|last| last.bytes >= self.options.segment_bytes);
            (full || log.suspect, log.segments.iter().map(|segment| segment.bytes).sum::<u64>())
        };
        if shard_bytes >= self.options.shard_bytes_max {
            return Err(io::Error::other(format!("shard {} is full: its consumers are behind", self.number)));
        }
        if must_begin {
            self.begin_segment()?;
        }
        let (file, start, first) = {
            let log = self.log();
            let last = log.segments.back().ok_or_else(|| io::Error::other("no segment"))?;
            (Arc::clone(&last.file), last.bytes, log.next_sequence)
        };
        let (buffer, places) = encode(records, first, start)?;
        if let Err(error) = file.write_at(start, &buffer).and_then(|()| file.sync()) {
            self.log().suspect = true;
            // If this fails as well, the numbers tell: see `read_segment`.
            let _ = file.set_len(start);
            return Err(error);
        }
        let mut log = self.log();
        log.next_sequence = first + records.len() as u64;
        if let Some(last) = log.segments.back_mut() {
            last.bytes = start + buffer.len() as u64;
            last.places.extend(places);
        }
        drop(log);
        self.arrival.notify_waiters();
        Ok(())
    }

    /// Records after `after`: at most `records_max`, and no more once `bytes_max` is reached.
    pub(crate) fn read(&self, after: u64, records_max: usize, bytes_max: usize) -> io::Result<Vec<Delivered>> {
        let mut runs: Vec<(Arc<dyn DiskFile>, Vec<Place>)> = Vec::new();
        let (mut records, mut bytes) = (0, 0);
        {
            let log = self.log();
            for segment in &log.segments {
                let from = segment.places.partition_point(|place| place.sequence <= after);
                let mut run = Vec::new();
                for place in &segment.places[from..] {
                    if records >= records_max || bytes >= bytes_max {
                        break;
                    }
                    records += 1;
                    bytes += place.payload_bytes as usize;
                    run.push(*place);
                }
                if !run.is_empty() {
                    runs.push((Arc::clone(&segment.file), run));
                }
            }
        }
        let mut found = Vec::with_capacity(records);
        for (file, run) in runs {
            self.read_run(&*file, &run, &mut found)?;
        }
        Ok(found)
    }

    fn read_run(&self, file: &dyn DiskFile, run: &[Place], found: &mut Vec<Delivered>) -> io::Result<()> {
        let (Some(start), Some(end)) = (run.first().map(|p| u64::from(p.offset)), run.last().map(|p| p.end())) else {
            return Ok(());
        };
        let mut content = vec![0; (end - start) as usize];
        file.read_at(start, &mut content)?;
        let content = Bytes::from(content);
        for place in run {
            let at = (u64::from(place.offset) - start) as usize + HEADER_BYTES;
            let payload = content.slice(at..at + place.payload_bytes as usize);
            let (Some(sequence), Some(arrived)) =
                (payload.first_chunk::<8>(), payload.get(8..).and_then(|rest| rest.first_chunk::<8>()))
            else {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            };
            if u64::from_le_bytes(*sequence) != place.sequence {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the log changed under its reader"));
            }
            found.push(Delivered {
                shard: self.name(),
                sequence: sequence_text(place.sequence),
                arrived_at: Timestamp(i64::from_le_bytes(*arrived)),
                data: payload.slice(PREFIX_BYTES..),
            });
        }
        Ok(())
    }

    /// As its records are delivered under.
    pub(crate) fn name(&self) -> String {
        self.number.to_string()
    }

    /// The number of the newest record, 0 where there has been none.
    pub(crate) fn newest(&self) -> u64 {
        self.log().next_sequence - 1
    }

    /// Signals each append.
    pub(crate) fn arrival(&self) -> &Notify {
        &self.arrival
    }

    /// How far a durable consumer has come.
    pub(crate) fn checkpoint(&self, consumer: &str) -> Option<u64> {
        self.log().checkpoints.get(consumer).copied()
    }

    pub(crate) fn set_checkpoint(&self, consumer: &str, sequence: u64) {
        let mut log = self.log();
        log.checkpoints.insert(consumer.to_owned(), sequence);
        // If somebody removed the log, new records must still come after what was committed.
        log.next_sequence = log.next_sequence.max(sequence + 1);
    }

    pub(crate) fn forget(&self, consumer: &str) {
        self.log().checkpoints.remove(consumer);
    }

    /// Whether [`Shard::remove_done`] would find something.
    pub(crate) fn has_done(&self) -> bool {
        let log = self.log();
        let (Some(done), Some(second)) = (log.checkpoints.values().min(), log.segments.get(1)) else { return false };
        second.first <= done + 1
    }

    /// Removes the files whose records every durable consumer has committed. While there is no
    /// durable consumer, nothing is removed. The newest file stays, because its name holds the
    /// count of records.
    pub(crate) fn remove_done(&self) -> io::Result<()> {
        let mut done = Vec::new();
        {
            let mut log = self.log();
            let Some(checkpoint) = log.checkpoints.values().min().copied() else { return Ok(()) };
            while log.segments.get(1).is_some_and(|second| second.first <= checkpoint + 1) {
                done.extend(log.segments.pop_front());
            }
        }
        for segment in &done {
            self.disk.remove(&segment.path)?;
        }
        // Not synced: a file that comes back after a crash is removed again.
        Ok(())
    }
}

/// Sequence numbers as text that sorts as the numbers do.
pub(crate) fn sequence_text(sequence: u64) -> String {
    format!("{sequence:020}")
}

fn encode(records: &[NewRecord<'_>], first: u64, start: u64) -> io::Result<(Vec<u8>, Vec<Place>)> {
    let mut buffer = Vec::new();
    let mut places = Vec::with_capacity(records.len());
    let mut payload = Vec::new();
    for (sequence, record) in (first..).zip(records) {
        payload.clear();
        payload.extend_from_slice(&sequence.to_le_bytes());
        payload.extend_from_slice(&record.arrived_at.ms().to_le_bytes());
        payload.extend_from_slice(record.data);
        let at = start + buffer.len() as u64;
        let offset = u32::try_from(at).map_err(io::Error::other)?;
        segment::encode_into(&mut buffer, at, &payload).map_err(io::Error::other)?;
        places.push(Place { sequence, offset, payload_bytes: payload.len() as u32 });
    }
    Ok((buffer, places))
}
