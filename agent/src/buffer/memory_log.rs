//! Batches in memory, for the time in which the disk cannot be used. Lost with the process; a new
//! epoch each time.

use std::collections::VecDeque;

use series::{Epoch, SourceName, Timestamp};
use wire::SeqRange;

use super::entries::{Entries, Entry};
use super::{Draft, Ledger, LogState, MEMORY_BYTES_MAX};

pub(super) struct MemoryLog {
    epoch: Epoch,
    ledger: Ledger,
    entries: Entries,
    /// Bytes of the batches from `first` on.
    texts: VecDeque<Vec<u8>>,
    first: u64,
}

impl MemoryLog {
    pub(super) fn new(epoch: Epoch) -> Self {
        let entries = Entries::starting_at(1);
        Self { epoch, ledger: Ledger::default(), entries, texts: VecDeque::new(), first: 1 }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn put(&mut self, source: &SourceName, draft: Draft) {
        let seq = self.entries.next_seq();
        let samples = draft.contents.samples() as u64;
        self.ledger.put += samples;
        self.ledger.reject(draft.rejected);
        let mut batch = draft.contents.into_batch(source.clone(), self.epoch, seq, draft.created_at);
        batch.counters = self.ledger.counters(self.entries.samples() + samples);
        batch.ack_now = true;
        let bytes = batch.encode();
        let entry = Entry {
            segment: 0,
            at: 0,
            bytes: bytes.len() as u32,
            samples: samples as u32,
            created_at: draft.created_at,
        };
        self.entries.push(seq, entry);
        self.texts.push_back(bytes);
        while self.entries.bytes() > MEMORY_BYTES_MAX as u64 {
            let Some(oldest) = self.entries.next(0) else { break };
            let evicted = self.entries.remove(oldest).map_or(0, |entry| u64::from(entry.samples));
            self.ledger.evicted += evicted;
            self.trim();
        }
    }

    pub(super) fn ack(&mut self, ranges: &[SeqRange]) {
        for range in ranges {
            for seq in self.entries.clamp(*range) {
                if let Some(entry) = self.entries.remove(seq) {
                    self.ledger.acked += u64::from(entry.samples);
                    if let Some(bytes) = self.texts.get_mut((seq - self.first) as usize) {
                        *bytes = Vec::new();
                    }
                }
            }
        }
        self.trim();
    }

    fn trim(&mut self) {
        self.entries.trim();
        let keep_from = self.entries.next(0).unwrap_or(self.entries.next_seq());
        while self.first < keep_from {
            self.texts.pop_front();
            self.first += 1;
        }
    }

    pub(super) fn next_unacked(&self, seq: u64) -> Option<u64> {
        self.entries.next(seq)
    }

    pub(super) fn read(&self, seq: u64) -> Option<Vec<u8>> {
        self.entries.get(seq)?;
        self.texts.get(usize::try_from(seq.checked_sub(self.first)?).ok()?).cloned()
    }

    pub(super) fn state(&self) -> LogState {
        let oldest: Option<Timestamp> = self.entries.iter().next().map(|(_, entry)| entry.created_at);
        LogState {
            epoch: self.epoch,
            next_seq: self.entries.next_seq(),
            sendable_below: self.entries.next_seq(),
            ledger: self.ledger.clone(),
            buffered: self.entries.samples(),
            batches: self.entries.count(),
            bytes: self.entries.bytes(),
            oldest,
        }
    }
}
