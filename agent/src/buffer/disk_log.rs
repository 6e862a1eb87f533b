//! The log on disk. Everything that the disk can refuse comes back as an error and leaves the log
//! usable; only `Buffer` decides what to do about it.

use std::collections::VecDeque;
use std::io;

use series::{Epoch, Timestamp};
use wire::SeqRange;
use wire::segment;

use super::disk::Disk;
use super::entries::{Entries, Entry};
use super::record::{self, FORMAT, Header, RANGES_MAX};
use super::recovery::{Segment, name, recover};
use super::{BATCHES_MAX, Draft, Ledger, LogState, QUARANTINED_MAX, SEGMENT_BYTES_MAX, SEGMENTS_MIN, Settings};

/// The ending that is added to a file that is put aside.
const QUARANTINE: &str = ".quarantine";
/// Bytes kept free beside a batch, for a file's header and for acks.
const FILE_OVERHEAD_BYTES: u64 = 4_096;

/// The log of one folder.
pub struct DiskLog<D> {
    disk: D,
    settings: Settings,
    epoch: Epoch,
    ledger: Ledger,
    entries: Entries,
    /// Oldest first.
    segments: VecDeque<Segment>,
    /// Whether the newest segment may be appended to.
    appending: bool,
    next_number: u32,
    /// Batches below this seq are durable.
    synced_below: u64,
    /// Whether something was written since the last fsync.
    unsynced: bool,
}

/// What a look at a folder shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Where its log stands.
    pub state: LogState,
    /// Batches that were acknowledged, or evicted.
    pub finished: Vec<SeqRange>,
}

impl<D: Disk> DiskLog<D> {
    /// Reads the folder back, puts aside what cannot be read, and makes durable what can.
    pub(super) fn open(mut disk: D, settings: Settings, random: &mut dyn FnMut() -> u64) -> io::Result<Self> {
        let found = recover(&disk)?;
        for (name, why) in &found.bad {
            tracing::error!(file = name, why, "a file of the buffer is put aside");
            disk.rename(name, &format!("{name}{QUARANTINE}"))?;
        }
        for name in &found.unborn {
            disk.remove(name)?;
        }
        keep_quarantine_small(&mut disk)?;
        // What a crash of the process left in the page cache will be sent, so it must be durable.
        if let Some(last) = found.segments.last() {
            disk.sync(&name(last.number))?;
        }
        disk.sync_names()?;
        let synced_below = found.entries.next_seq();
        let mut log = Self {
            disk,
            settings,
            epoch: found.epoch.unwrap_or_else(|| Epoch(random())),
            ledger: found.ledger,
            entries: found.entries,
            segments: found.segments.into(),
            appending: false,
            next_number: found.next_number,
            synced_below,
            unsynced: false,
        };
        log.remove_done()?;
        Ok(log)
    }

    /// Where a folder's log stands, without changing it; `None` where there is none.
    pub fn look(disk: &D) -> io::Result<Option<Look>> {
        let found = recover(disk)?;
        Ok(found.epoch.map(|epoch| Look {
            state: state(epoch, &found.ledger, &found.entries, found.segments.iter()),
            finished: found.entries.gone(),
        }))
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn state(&self) -> LogState {
        let state = state(self.epoch, &self.ledger, &self.entries, self.segments.iter());
        LogState { sendable_below: self.synced_below, ..state }
    }

    pub(super) fn unacked_bytes(&self) -> u64 {
        self.entries.bytes()
    }

    pub(super) fn next_unacked(&self, seq: u64) -> Option<u64> {
        self.entries.next(seq).filter(|seq| *seq < self.synced_below)
    }

    /// Appends one batch. On an error nothing was taken, and the draft comes back.
    pub(super) fn put(&mut self, draft: Draft) -> Result<(), (io::Error, Box<Draft>)> {
        let seq = self.entries.next_seq();
        let samples = draft.contents.samples() as u64;
        let mut ledger = self.ledger.clone();
        ledger.put += samples;
        ledger.reject(draft.rejected.clone());
        let kept = draft.clone();
        let mut batch = draft.contents.into_batch(self.settings.source.clone(), self.epoch, seq, draft.created_at);
        batch.counters = ledger.counters(self.entries.samples() + samples);
        batch.ack_now = draft.ack_now;
        let bytes = batch.encode();
        let payload = record::batch(seq, ledger.put, samples as u32, draft.created_at, &bytes);
        let needed = (payload.len() + segment::HEADER_BYTES) as u64 + FILE_OVERHEAD_BYTES;
        let at = match self.make_room(needed).and_then(|()| self.append_durably(&payload)) {
            Ok(at) => at,
            Err(error) => return Err((error, Box::new(kept))),
        };
        // Making room may have evicted since `ledger` was cloned.
        self.ledger = Ledger { acked: self.ledger.acked, evicted: self.ledger.evicted, ..ledger };
        let segment = self.segments.back_mut().map_or(0, |segment| {
            segment.unacked += 1;
            segment.number
        });
        let start = at + (segment::HEADER_BYTES + record::BATCH_PREFIX_BYTES) as u64;
        let created_at = draft.created_at;
        let entry = Entry { segment, at: start as u32, bytes: bytes.len() as u32, samples: samples as u32, created_at };
        self.entries.push(seq, entry);
        if self.settings.sync_each {
            self.synced_below = seq + 1;
        }
        Ok(())
    }

    fn append_durably(&mut self, payload: &[u8]) -> io::Result<u64> {
        let before = self.newest();
        let at = self.append(payload)?;
        if self.settings.sync_each
            && let Err(error) = self.sync()
        {
            self.abandon(before);
            return Err(error);
        }
        Ok(at)
    }

    /// Appends a record, to a new segment where needed; answers where it stands.
    fn append(&mut self, payload: &[u8]) -> io::Result<u64> {
        let before = self.newest();
        let written = self.write(payload);
        if written.is_err() {
            self.abandon(before);
        }
        written
    }

    fn write(&mut self, payload: &[u8]) -> io::Result<u64> {
        let needed = (payload.len() + segment::HEADER_BYTES) as u64;
        let full = self.segments.back().is_none_or(|segment| segment.bytes + needed > self.segment_bytes_max());
        let fresh = !self.appending || full;
        let mut out = Vec::new();
        let mut moved = Vec::new();
        if fresh {
            // What the old one holds must be durable before anything that builds on it.
            self.sync_newest()?;
            moved = self.begin_segment(&mut out)?;
        }
        let Some(segment) = self.segments.back_mut() else {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        };
        let at = segment.bytes + out.len() as u64;
        encode(&mut out, at, payload)?;
        self.unsynced = true;
        self.disk.append(&name(segment.number), segment.bytes, &out)?;
        segment.bytes += out.len() as u64;
        if fresh {
            self.disk.sync_names()?;
        }
        self.take_over(&moved);
        Ok(at)
    }

    /// Lays out a new segment: its header, what is gone, and copies of the batches whose fsync had failed, under
    /// the same names. Answers where those will stand.
    fn begin_segment(&mut self, out: &mut Vec<u8>) -> io::Result<Vec<(u64, u32)>> {
        let copied: Vec<(u64, Entry)> =
            self.entries.iter().skip_while(|(seq, _)| *seq < self.synced_below).map(|(seq, e)| (seq, *e)).collect();
        let samples: u64 = copied.iter().map(|(_, entry)| u64::from(entry.samples)).sum();
        let mut put = self.ledger.put - samples;
        let header = Header {
            format: FORMAT,
            epoch: self.epoch,
            first_seq: self.synced_below,
            put,
            acked: self.ledger.acked,
            evicted: self.ledger.evicted,
            rejected: self.ledger.rejected.clone(),
        };
        encode(out, 0, &record::header(&header))?;
        // The acks once more: those in the file before may have been lost by a failed fsync.
        for ranges in self.entries.gone().chunks(RANGES_MAX) {
            let at = out.len() as u64;
            encode(out, at, &record::acks(self.ledger.acked, ranges))?;
        }
        let mut moved = Vec::with_capacity(copied.len());
        for (seq, entry) in copied {
            put += u64::from(entry.samples);
            let bytes = self.disk.read_at(&name(entry.segment), u64::from(entry.at), entry.bytes as usize)?;
            let at = out.len() as u64;
            encode(out, at, &record::batch(seq, put, entry.samples, entry.created_at, &bytes))?;
            moved.push((seq, out.len() as u32 - entry.bytes));
        }
        self.segments.push_back(Segment { number: self.next_number, bytes: 0, unacked: 0 });
        self.next_number += 1;
        self.appending = true;
        Ok(moved)
    }

    /// Copied batches stand in the newest segment from now on.
    fn take_over(&mut self, moved: &[(u64, u32)]) {
        let newest = self.segments.back().map_or(0, |segment| segment.number);
        for (seq, at) in moved {
            let Some(before) = self.entries.relocate(*seq, newest, *at) else { continue };
            self.forget(before);
            if let Some(segment) = self.segments.back_mut() {
                segment.unacked += 1;
            }
        }
    }

    /// The number and the length of the newest segment.
    fn newest(&self) -> Option<(u32, u64)> {
        self.segments.back().map(|segment| (segment.number, segment.bytes))
    }

    /// After a failed write: takes back what may have got to the disk, and never appends there
    /// again. Where even that fails, the next segment's `first_seq` says that it does not count.
    fn abandon(&mut self, before: Option<(u32, u64)>) {
        self.appending = false;
        let Some(segment) = self.segments.back_mut() else { return };
        match before {
            Some((number, bytes)) if number == segment.number => {
                segment.bytes = bytes;
                let _ = self.disk.truncate(&name(number), bytes);
            }
            _ => {
                let _ = self.disk.remove(&name(segment.number));
                self.segments.pop_back();
            }
        }
    }

    /// Makes everything durable. After a failed fsync the kernel may call the same pages clean, so
    /// it is not tried again on the same file: what is not durable is written to another one.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.sync_newest()?;
        if self.synced_below < self.entries.next_seq() {
            self.appending = false;
            self.append(&record::acks(self.ledger.acked, &[]))?;
            self.sync_newest()?;
        }
        Ok(())
    }

    fn sync_newest(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.unsynced)
            && let Some(segment) = self.segments.back()
        {
            if let Err(error) = self.disk.sync(&name(segment.number)) {
                self.appending = false;
                return Err(error);
            }
            self.synced_below = self.entries.next_seq();
        }
        Ok(())
    }

    /// Marks batches as acknowledged, writes that down, and removes files that are done.
    pub(super) fn ack(&mut self, ranges: &[SeqRange]) -> io::Result<()> {
        let mut known = Vec::new();
        for range in ranges {
            let clamped = self.entries.clamp(*range);
            let mut any = false;
            for seq in clamped.clone() {
                if let Some(entry) = self.entries.remove(seq) {
                    self.ledger.acked += u64::from(entry.samples);
                    self.forget(entry.segment);
                    any = true;
                }
            }
            if any {
                known.push(SeqRange { from: clamped.start, to: clamped.end - 1 });
            }
        }
        let mut outcome = Ok(());
        for ranges in known.chunks(RANGES_MAX) {
            // Not fsynced: an ack that is forgotten only means that a batch is sent again.
            outcome = outcome.and(self.append(&record::acks(self.ledger.acked, ranges)).map(drop));
        }
        self.entries.trim();
        let removed = self.remove_done();
        outcome.and(removed)
    }

    fn forget(&mut self, number: u32) {
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == number) {
            segment.unacked = segment.unacked.saturating_sub(1);
        }
    }

    /// Removes segments that hold nothing any more; the newest stays, it holds the ledger.
    fn remove_done(&mut self) -> io::Result<()> {
        let newest = self.segments.back().map(|segment| segment.number);
        let done: Vec<u32> = self
            .segments
            .iter()
            .filter(|segment| segment.unacked == 0 && Some(segment.number) != newest)
            .map(|segment| segment.number)
            .collect();
        if done.is_empty() {
            return Ok(());
        }
        // The acks, and the newest segment itself, must be durable before anything older goes.
        self.sync()?;
        for number in done {
            self.remove_file(number)?;
        }
        self.disk.sync_names()
    }

    fn remove_file(&mut self, number: u32) -> io::Result<()> {
        self.segments.retain(|segment| segment.number != number);
        match self.disk.remove(&name(number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn segment_bytes_max(&self) -> u64 {
        SEGMENT_BYTES_MAX.min(self.settings.bytes_max / SEGMENTS_MIN)
    }

    fn make_room(&mut self, needed: u64) -> io::Result<()> {
        while self.file_bytes() + needed > self.settings.bytes_max || self.entries.span() >= BATCHES_MAX {
            if self.segments.len() <= 1 {
                self.appending = false;
            }
            let Some(oldest) = self.segments.front().map(|segment| segment.number) else { break };
            self.sync()?;
            let evicted: Vec<u64> =
                self.entries.iter().filter(|(_, entry)| entry.segment == oldest).map(|(seq, _)| seq).collect();
            for seq in &evicted {
                let samples = self.entries.remove(*seq).map_or(0, |entry| u64::from(entry.samples));
                self.ledger.evicted += samples;
            }
            self.entries.trim();
            tracing::warn!(batches = evicted.len(), "the buffer is full; its oldest batches are evicted");
            self.remove_file(oldest)?;
            // The ledger may say "evicted" only when the file cannot come back.
            self.disk.sync_names()?;
        }
        Ok(())
    }

    fn file_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// A batch's bytes; `None` where it is gone.
    pub(super) fn read(&mut self, seq: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(entry) = self.entries.get(seq).copied() else { return Ok(None) };
        let read = self.disk.read_at(&name(entry.segment), u64::from(entry.at), entry.bytes as usize);
        if read.is_err() {
            self.entries.remove(seq);
            self.entries.trim();
            self.forget(entry.segment);
            self.ledger.evicted += u64::from(entry.samples);
        }
        read.map(Some)
    }
}

fn state<'a>(
    epoch: Epoch,
    ledger: &Ledger,
    entries: &Entries,
    segments: impl Iterator<Item = &'a Segment>,
) -> LogState {
    let oldest: Option<Timestamp> = entries.iter().next().map(|(_, entry)| entry.created_at);
    LogState {
        epoch,
        next_seq: entries.next_seq(),
        sendable_below: entries.next_seq(),
        ledger: ledger.clone(),
        buffered: entries.samples(),
        batches: entries.count(),
        bytes: segments.map(|segment| segment.bytes).sum(),
        oldest,
    }
}

fn encode(out: &mut Vec<u8>, at: u64, payload: &[u8]) -> io::Result<()> {
    segment::encode_into(out, at, payload).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

fn keep_quarantine_small(disk: &mut impl Disk) -> io::Result<()> {
    let mut aside: Vec<String> = disk.list()?.into_iter().filter(|name| name.ends_with(QUARANTINE)).collect();
    aside.sort_unstable();
    let excess = aside.len().saturating_sub(QUARANTINED_MAX);
    aside.iter().take(excess).try_for_each(|name| disk.remove(name))
}
