//! The samples of one series in memory: encoded chunks, and a short open end.
//!
//! Samples nearly always come in order and are appended. One that comes late is joined into where
//! it belongs, by the same `winner` as everywhere; the result is the set's, whatever the order.

use series::{Sample, Timestamp, join_samples};
use wire::columns::ColumnError;

use super::chunk::{CHUNK_SAMPLES_MAX, Chunk};

/// Samples of a series that stand unencoded (16 bytes each).
const OPEN_SAMPLES_MAX: usize = 32;
/// How the open end grows: most series have few samples more than they need.
const OPEN_GROWS_BY: usize = 8;

/// One series' samples: chunks in time order, then the open end, no time twice.
#[derive(Debug, Default)]
pub(super) struct Column {
    chunks: Vec<Chunk>,
    open: Vec<Sample>,
}

impl Column {
    /// Joins samples, ascending in time, each time once.
    pub(super) fn join(&mut self, samples: &[Sample]) -> Result<(), ColumnError> {
        let in_order = samples.first().is_none_or(|first| self.last().is_none_or(|last| last < first.at));
        if in_order {
            return samples.iter().try_for_each(|sample| self.push(*sample));
        }
        let open_from = self.open.first().map(|sample| sample.at);
        let late = samples.partition_point(|sample| open_from.is_none_or(|from| sample.at < from));
        let (late, open) = samples.split_at(late);
        if !open.is_empty() {
            let before = std::mem::take(&mut self.open);
            joined(&before, open).into_iter().try_for_each(|sample| self.push(sample))?;
        }
        if late.is_empty() { Ok(()) } else { self.join_late(late) }
    }

    fn push(&mut self, sample: Sample) -> Result<(), ColumnError> {
        if self.open.len() >= OPEN_SAMPLES_MAX {
            self.seal()?;
        }
        if self.open.len() == self.open.capacity() {
            self.open.reserve_exact(OPEN_GROWS_BY);
        }
        self.open.push(sample);
        Ok(())
    }

    /// Encodes the open end.
    fn seal(&mut self) -> Result<(), ColumnError> {
        let mut samples = Vec::with_capacity(CHUNK_SAMPLES_MAX);
        if let Some(last) = self.chunks.last().filter(|chunk| chunk.len() + self.open.len() <= CHUNK_SAMPLES_MAX) {
            last.read(last.first, last.last, &mut samples)?;
            self.chunks.pop();
        }
        samples.extend_from_slice(&self.open);
        self.chunks.reserve_exact(1);
        self.chunks.extend(Chunk::new(&samples));
        self.open.clear();
        Ok(())
    }

    /// Samples that are older than the open end: the chunks from the first one that they touch are
    /// encoded again.
    fn join_late(&mut self, late: &[Sample]) -> Result<(), ColumnError> {
        let Some(first) = late.first() else { return Ok(()) };
        let from = self.chunks.partition_point(|chunk| chunk.last < first.at);
        // Small neighbours take part, so that late samples do not leave crumbs.
        let from = from.saturating_sub(usize::from(self.chunks.len() == from));
        let mut samples = Vec::new();
        for chunk in &self.chunks[from..] {
            chunk.read(chunk.first, chunk.last, &mut samples)?;
        }
        let all = joined(&samples, late);
        self.chunks.truncate(from);
        self.chunks.extend(all.chunks(CHUNK_SAMPLES_MAX).filter_map(Chunk::new));
        Ok(())
    }

    /// Forgets chunks that end before `oldest`, and answers whether something is left.
    pub(super) fn forget_before(&mut self, oldest: Timestamp) -> bool {
        let gone = self.chunks.partition_point(|chunk| chunk.last < oldest);
        if gone > 0 {
            self.chunks.drain(..gone);
            self.chunks.shrink_to_fit();
        }
        if self.open.last().is_some_and(|sample| sample.at < oldest) {
            self.open = Vec::new();
        }
        !self.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.open.is_empty()
    }

    /// Appends the samples of `[from, to]`.
    pub(super) fn read(&self, from: Timestamp, to: Timestamp, out: &mut Vec<Sample>) -> Result<(), ColumnError> {
        if from > to {
            return Ok(());
        }
        let first = self.chunks.partition_point(|chunk| chunk.last < from);
        let chunks = &self.chunks[first..];
        let chunks = &chunks[..chunks.partition_point(|chunk| chunk.first <= to)];
        let open = &self.open[self.open.partition_point(|sample| sample.at < from)..];
        let open = &open[..open.partition_point(|sample| sample.at <= to)];
        let inside: usize = chunks.iter().map(|chunk| chunk.len_between(from, to)).sum();
        out.reserve_exact(inside + open.len());
        for chunk in chunks {
            chunk.read(from, to, out)?;
        }
        out.extend_from_slice(open);
        Ok(())
    }

    /// Whether any sample lies in `[from, to]`.
    pub(super) fn touches(&self, from: Timestamp, to: Timestamp) -> Result<bool, ColumnError> {
        let inside = |at: Timestamp| from <= at && at <= to;
        if self.open.iter().any(|sample| inside(sample.at)) {
            return Ok(true);
        }
        let mut found = Vec::new();
        for chunk in self.chunks.iter().filter(|chunk| chunk.first <= to && chunk.last >= from) {
            if inside(chunk.first) || inside(chunk.last) {
                return Ok(true);
            }
            chunk.read(from, to, &mut found)?;
        }
        Ok(!found.is_empty())
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(Chunk::heap_bytes).sum();
        chunks + self.chunks.capacity() * size_of::<Chunk>() + self.open.capacity() * size_of::<Sample>()
    }

    pub(super) fn first(&self) -> Option<Timestamp> {
        self.chunks.first().map(|chunk| chunk.first).or_else(|| self.open.first().map(|sample| sample.at))
    }

    fn last(&self) -> Option<Timestamp> {
        self.open.last().map(|sample| sample.at).or_else(|| self.chunks.last().map(|chunk| chunk.last))
    }
}

/// Two ascending runs as one.
fn joined(a: &[Sample], b: &[Sample]) -> Vec<Sample> {
    let mut all = [a, b].concat();
    join_samples(&mut all);
    all
}

#[cfg(test)]
mod tests;
