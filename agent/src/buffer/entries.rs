//! Which batches there are and where they stand: 24 bytes a batch, by seq. Pure.

use std::collections::VecDeque;

use series::Timestamp;
use wire::SeqRange;

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The number of its segment.
    pub(super) segment: u32,
    /// Where its bytes start in the file.
    pub(super) at: u32,
    /// How many there are; 0 where the batch is gone: acknowledged, evicted or lost.
    pub(super) bytes: u32,
    /// Its samples.
    pub(super) samples: u32,
    /// When it was made.
    pub(super) created_at: Timestamp,
}

const GONE: Entry = Entry { segment: 0, at: 0, bytes: 0, samples: 0, created_at: Timestamp(0) };

/// Batches from the oldest one that is kept to the newest.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// The seq of the first entry; `base + len` is the next seq.
    base: u64,
    list: VecDeque<Entry>,
    /// Samples of those that are not gone.
    samples: u64,
    /// How many are not gone.
    count: u64,
    /// Their bytes.
    bytes: u64,
}

impl Entries {
    pub(super) fn starting_at(seq: u64) -> Self {
        Self { base: seq, ..Self::default() }
    }

    pub(super) fn next_seq(&self) -> u64 {
        self.base + self.list.len() as u64
    }

    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// From the oldest one that is kept to the newest.
    pub(super) fn span(&self) -> usize {
        self.list.len()
    }

    /// Adds the batch `seq`; what lies between it and the one before is gone. One that is there
    /// already stays.
    pub(super) fn push(&mut self, seq: u64, entry: Entry) {
        if seq < self.next_seq() {
            return;
        }
        self.skip_to(seq);
        self.samples += u64::from(entry.samples);
        self.bytes += u64::from(entry.bytes);
        self.count += 1;
        self.list.push_back(entry);
    }

    /// Leaves out the numbers below `seq`.
    pub(super) fn skip_to(&mut self, seq: u64) {
        let missing = seq.saturating_sub(self.next_seq());
        if self.list.is_empty() || missing > super::BATCHES_MAX as u64 {
            self.clear(seq);
        } else {
            self.list.extend(std::iter::repeat_n(GONE, missing as usize));
        }
    }

    fn clear(&mut self, base: u64) {
        *self = Self::starting_at(base);
    }

    /// Forgets all from `seq` on.
    pub(super) fn cut(&mut self, seq: u64) {
        while self.next_seq() > seq.max(self.base) {
            self.remove(self.next_seq() - 1);
            self.list.pop_back();
        }
    }

    pub(super) fn get(&self, seq: u64) -> Option<&Entry> {
        let index = usize::try_from(seq.checked_sub(self.base)?).ok()?;
        self.list.get(index).filter(|entry| entry.bytes > 0)
    }

    /// A batch stands somewhere else now; answers the segment where it stood.
    pub(super) fn relocate(&mut self, seq: u64, segment: u32, at: u32) -> Option<u32> {
        let index = usize::try_from(seq.checked_sub(self.base)?).ok()?;
        let entry = self.list.get_mut(index).filter(|entry| entry.bytes > 0)?;
        entry.at = at;
        Some(std::mem::replace(&mut entry.segment, segment))
    }

    /// Takes one batch out.
    pub(super) fn remove(&mut self, seq: u64) -> Option<Entry> {
        let entry = *self.get(seq)?;
        let index = usize::try_from(seq - self.base).ok()?;
        *self.list.get_mut(index)? = GONE;
        self.samples -= u64::from(entry.samples);
        self.bytes -= u64::from(entry.bytes);
        self.count -= 1;
        Some(entry)
    }

    /// Drops what is gone at the old end.
    pub(super) fn trim(&mut self) {
        while self.list.front().is_some_and(|entry| entry.bytes == 0) {
            self.list.pop_front();
            self.base += 1;
        }
    }

    /// The first batch from `seq` on that is not gone.
    pub(super) fn next(&self, seq: u64) -> Option<u64> {
        let from = seq.max(self.base);
        let index = usize::try_from(from - self.base).ok()?;
        let found = self.list.range(index.min(self.list.len())..).position(|entry| entry.bytes > 0)?;
        Some(from + found as u64)
    }

    /// The part of a range that can concern a batch here.
    pub(super) fn clamp(&self, range: SeqRange) -> std::ops::Range<u64> {
        range.from.max(self.base)..range.to.saturating_add(1).min(self.next_seq())
    }

    /// Everything that is gone, as ranges.
    pub(super) fn gone(&self) -> Vec<SeqRange> {
        let mut ranges = Vec::new();
        let mut from = 1;
        for (seq, _) in self.iter() {
            if from < seq {
                ranges.push(SeqRange { from, to: seq - 1 });
            }
            from = seq + 1;
        }
        if from < self.next_seq() {
            ranges.push(SeqRange { from, to: self.next_seq() - 1 });
        }
        ranges
    }

    /// All that is not gone.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Entry)> {
        (self.base..).zip(&self.list).filter(|(_, entry)| entry.bytes > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(samples: u32) -> Entry {
        Entry { segment: 1, at: 0, bytes: 10, samples, created_at: Timestamp(0) }
    }

    #[test]
    fn batches_come_and_go() {
        let mut entries = Entries::starting_at(5);
        for seq in 5..9 {
            entries.push(seq, entry(2));
        }
        entries.push(6, entry(100));
        assert_eq!((entries.next_seq(), entries.samples(), entries.count(), entries.bytes()), (9, 8, 4, 40));
        assert_eq!(entries.remove(6).map(|e| e.samples), Some(2));
        assert_eq!(entries.remove(6), None);
        assert_eq!((entries.next(0), entries.next(6), entries.next(9)), (Some(5), Some(7), None));
        entries.remove(5);
        entries.trim();
        assert_eq!(entries.iter().next().map(|(seq, e)| (seq, e.bytes)), Some((7, 10)));
        assert_eq!(entries.gone(), [SeqRange { from: 1, to: 6 }]);
        assert_eq!(entries.clamp(SeqRange { from: 0, to: u64::MAX }), 7..9);
        entries.cut(8);
        assert_eq!((entries.next_seq(), entries.samples()), (8, 2));
        entries.push(20, entry(1));
        assert_eq!((entries.next(8), entries.span()), (Some(20), 14));
    }

    #[test]
    fn a_great_gap_takes_no_memory() {
        let mut entries = Entries::starting_at(1);
        entries.push(1, entry(1));
        entries.push(u64::MAX / 2, entry(1));
        assert_eq!(entries.span(), 1);
    }
}
