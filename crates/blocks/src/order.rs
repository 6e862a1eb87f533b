//! The order of label sets, remembered.
//!
//! Most series of a join came in an earlier one, by the very same labels in memory: a reader that knows its series
//! gives the same ones again and again. Where each stands among the others is then known without comparing texts,
//! and a block's index is written by the numbers of their texts.
//! A memory, not a state: whatever it holds, [`Order::join`] answers what [`crate::join()`] answers, and
//! [`crate::pack_known`] what [`crate::pack()`] does.

mod texts;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use series::Labels;
use wire::{SeriesColumn, Written, WrittenColumn};

pub(crate) use self::texts::Texts;
use crate::join::{Block, grouped, joined_columns, shared};

/// Series of one order at most: 48 bytes each and 8 a label, and their labels stay in memory.
pub const ORDERED_SERIES_MAX: usize = 300_000;
/// An order learns where more than one of so many columns was not known: learning looks at all that it knows.
const LEARN_FROM_SHARE: usize = 16;
/// Or where so many series are known for each join that did not know all.
const SERIES_A_MISS: usize = 1_000;
/// Fewer columns than one of so many that are known are sorted by comparing.
const SPARSE_FROM: usize = 8;

/// Label sets in their order, and the place of each by where it stands in memory.
#[derive(Debug, Default)]
pub struct Order {
    sorted: Vec<Labels>,
    ranks: HashMap<usize, u32, BuildHasherDefault<Spread>>,
    texts: Texts,
    /// Joins since the last learning in which not all was known.
    misses: usize,
}

impl Order {
    /// As [`crate::join()`].
    #[must_use]
    pub fn join(&mut self, columns: Vec<SeriesColumn>) -> Block {
        if columns.is_sorted_by(|a, b| a.labels < b.labels) {
            return joined_columns(columns);
        }
        let (known, unknown) = self.split(columns);
        self.misses += usize::from(!unknown.is_empty());
        let learns = unknown.len() * LEARN_FROM_SHARE > known.len() + unknown.len()
            || self.misses * SERIES_A_MISS > self.sorted.len();
        let learns = learns && !unknown.is_empty();
        let mut unknown = grouped(shared(unknown));
        unknown.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        let columns = merged(known, unknown);
        if learns && columns.len() <= ORDERED_SERIES_MAX {
            self.learn(&columns);
        }
        joined_columns(columns)
    }

    /// The columns of several batches in the order of their labels, where all series are known and each came once: then they
    /// are a joined set as they are.
    #[must_use]
    pub fn arranged<'a>(&self, batches: &'a [Written]) -> Option<Vec<WrittenColumn<'a>>> {
        let columns: Vec<WrittenColumn<'a>> = batches.iter().flat_map(Written::columns).collect();
        let rank = |column: &WrittenColumn<'_>| self.ranks.get(&place(column.labels)).copied();
        let ranks: Vec<u32> = columns.iter().map(rank).collect::<Option<_>>()?;
        let sorted = sorted_by_rank(&ranks, self.sorted.len());
        if !sorted.is_sorted_by(|(a, _), (b, _)| a < b) {
            return None;
        }
        sorted.iter().map(|(_, index)| columns.get(*index as usize).copied()).collect()
    }

    /// How many label sets are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The place of these labels in the order, looked for at `guess` first; `None` where they stand elsewhere in memory.
    #[inline]
    pub(crate) fn rank(&self, labels: &Labels, guess: usize) -> Option<usize> {
        let place_of = place(labels);
        if self.sorted.get(guess).is_some_and(|known| place(known) == place_of) {
            return Some(guess);
        }
        self.ranks.get(&place_of).map(|rank| *rank as usize)
    }

    /// The texts of the labels, by rank.
    pub(crate) fn texts(&self) -> &Texts {
        &self.texts
    }

    /// The known ones in order, one a series; and the rest as they came.
    fn split(&self, columns: Vec<SeriesColumn>) -> (Vec<SeriesColumn>, Vec<SeriesColumn>) {
        let (mut unknown, mut kept) = (Vec::new(), Vec::with_capacity(columns.len()));
        let mut ranks: Vec<u32> = Vec::with_capacity(columns.len());
        for column in columns {
            match self.ranks.get(&place(&column.labels)) {
                Some(rank) => {
                    ranks.push(*rank);
                    kept.push(Some(column));
                }
                None => unknown.push(column),
            }
        }
        let mut known: Vec<SeriesColumn> = Vec::with_capacity(kept.len());
        let mut before = None;
        for (rank, index) in sorted_by_rank(&ranks, self.sorted.len()) {
            let Some(column) = kept.get_mut(index as usize).and_then(Option::take) else { continue };
            match known.last_mut().filter(|_| before == Some(rank)) {
                Some(last) => last.samples.extend(column.samples),
                None => known.push(column),
            }
            before = Some(rank);
        }
        (known, unknown)
    }

    /// Takes up the columns' labels, which are sorted; of equal ones, these.
    fn learn(&mut self, columns: &[SeriesColumn]) {
        let mut sorted: Vec<Labels> = columns.iter().map(|column| column.labels.clone()).collect();
        sorted.append(&mut self.sorted);
        // Two runs, which a stable sort merges; of equal labels the newer ones stand first.
        sorted.sort();
        sorted.dedup();
        if sorted.len() > ORDERED_SERIES_MAX {
            // What is gone for good goes from here too.
            sorted = columns.iter().map(|column| column.labels.clone()).collect();
        }
        self.ranks = sorted.iter().enumerate().map(|(rank, labels)| (place(labels), rank as u32)).collect();
        self.misses = 0;
        self.texts = Texts::read(&sorted);
        self.sorted = sorted;
    }
}

/// Ranks with their places in `ranks`, in order. Where there are many for the order's size, each is put at its rank
/// rather than compared with the others.
fn sorted_by_rank(ranks: &[u32], of: usize) -> Vec<(u32, u32)> {
    const NONE: u32 = u32::MAX;
    let mut sorted: Vec<(u32, u32)> = Vec::with_capacity(ranks.len());
    if ranks.len() < of / SPARSE_FROM {
        sorted.extend(ranks.iter().copied().zip(0..));
        sorted.sort_unstable();
        return sorted;
    }
    // The first of each rank, and after each the next of the same rank.
    let (mut firsts, mut others) = (vec![NONE; of], vec![NONE; ranks.len()]);
    for (index, rank) in ranks.iter().enumerate().rev() {
        if let (Some(first), Some(other)) = (firsts.get_mut(*rank as usize), others.get_mut(index)) {
            *other = std::mem::replace(first, index as u32);
        }
    }
    for (rank, first) in firsts.into_iter().enumerate() {
        let mut index = first;
        while let Some(other) = others.get(index as usize) {
            sorted.push((rank as u32, index));
            index = *other;
        }
    }
    sorted
}

/// Where labels stand in memory. Those of an order stay there, and no others can come to stand there.
fn place(labels: &Labels) -> usize {
    labels.canonical().as_ptr().addr()
}

/// Two sorted lists of different series each, as one; where both have a series, its samples together.
fn merged(known: Vec<SeriesColumn>, unknown: Vec<SeriesColumn>) -> Vec<SeriesColumn> {
    if unknown.is_empty() || known.is_empty() {
        return if known.is_empty() { unknown } else { known };
    }
    let mut all = Vec::with_capacity(known.len() + unknown.len());
    let mut rest = known.into_iter();
    for mut column in unknown {
        let before = rest.as_slice().partition_point(|known| known.labels < column.labels);
        all.extend(rest.by_ref().take(before));
        if rest.as_slice().first().is_some_and(|known| known.labels == column.labels) {
            column.samples.extend(rest.next().into_iter().flat_map(|known| known.samples));
        }
        all.push(column);
    }
    all.extend(rest);
    all
}

/// Places in memory as hashes.
#[derive(Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_usize(&mut self, place: usize) {
        let spread = (place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ (spread >> 32);
    }
}

#[cfg(test)]
mod tests;
