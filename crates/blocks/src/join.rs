//! The set join, on which everything that is stored rests.
//!
//! # Notation
//! A sample is `s@t=v`: series `s` at millisecond `t` has value `v`. Its identity is `s@t`. A block
//! is a finite map from identities to values. `A ⊔ B` has the identities of both; where both have
//! one, it keeps `winner(a, b)` (a number beats a stale marker, else the greater by IEEE total order).
//!
//! # A trace
//! ```text
//! A            = { x@10=1  x@20=2          }
//! B            = {         x@20=5  y@10=7  }
//! A ⊔ B        = { x@10=1  x@20=5  y@10=7  }      one sample superseded
//! (A ⊔ B) ⊔ B  = { x@10=1  x@20=5  y@10=7  }      B delivered again: nothing changes
//! ```
//!
//! # Laws
//! * associative: `(A ⊔ B) ⊔ C = A ⊔ (B ⊔ C)`: deliveries may be grouped into any invocations.
//! * commutative: `A ⊔ B = B ⊔ A`: they may come in any order.
//! * idempotent: `A ⊔ A = A`: they may come any number of times.
//!
//! They hold because `winner` is the greater of two in a total order. What is *not* a function of
//! the set is how many samples lost ([`Joined::superseded`]): it counts what came in. Whoever wants
//! to add such counts up gives each batch to the join once (see `sources.rs`).

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use series::{AsItIs, Labels, Timestamp, Window, join_samples};
use wire::SeriesColumn;

use crate::order::Spread;

/// A set of identified samples: columns sorted by labels, each label set once, none empty; within
/// a column samples sorted by time, each time once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    columns: Vec<SeriesColumn>,
}

/// A join that also says how many samples lost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Joined {
    /// The set.
    pub block: Block,
    /// Samples that came in, less those of the set.
    pub superseded: u64,
}

/// Joins columns in any order: the same series may come any number of times, samples in any order.
/// A block's columns ([`Block::into_columns`]) are columns like any others.
#[must_use]
pub fn join(columns: impl IntoIterator<Item = SeriesColumn>) -> Block {
    join_counted(columns).block
}

/// As [`join`], of columns that are sorted by labels already, each label set once: nothing is compared for it.
#[must_use]
pub fn join_sorted(columns: Vec<SeriesColumn>) -> Block {
    debug_assert!(columns.is_sorted_by(|a, b| a.labels < b.labels), "sorted, and each once");
    joined_columns(columns)
}

/// As [`join`], with the number of samples that lost.
#[must_use]
pub fn join_counted(columns: impl IntoIterator<Item = SeriesColumn>) -> Joined {
    let mut columns: Vec<SeriesColumn> = columns.into_iter().collect();
    let came_in: u64 = columns.iter().map(|column| column.samples.len() as u64).sum();
    if !columns.is_sorted_by(|a, b| a.labels < b.labels) {
        columns = grouped(shared(columns));
        columns.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
    }
    let block = joined_columns(columns);
    Joined { superseded: came_in - block.samples(), block }
}

/// Of columns sorted by labels, each label set once.
pub(crate) fn joined_columns(mut columns: Vec<SeriesColumn>) -> Block {
    for column in &mut columns {
        join_samples(&mut column.samples);
    }
    columns.retain(|column| !column.samples.is_empty());
    Block { columns }
}

/// One column for labels that are the very same bytes in memory, which is known without a look at them: a
/// reader that knows its series gives the same labels again and again.
pub(crate) fn shared(columns: Vec<SeriesColumn>) -> Vec<SeriesColumn> {
    let mut places: HashMap<usize, usize, BuildHasherDefault<Spread>> =
        HashMap::with_capacity_and_hasher(columns.len(), BuildHasherDefault::default());
    let mut shared: Vec<SeriesColumn> = Vec::new();
    for column in columns {
        // The first column of each stays, and its labels with it: no other labels can come to stand there.
        match places.entry(column.labels.canonical().as_ptr().addr()) {
            Entry::Occupied(place) => shared[*place.get()].samples.extend(column.samples),
            Entry::Vacant(place) => {
                place.insert(shared.len());
                shared.push(column);
            }
        }
    }
    shared
}

/// One column a series. By hash, because most columns are of series that came already, and label
/// sets that begin alike are slow to compare.
pub(crate) fn grouped(columns: Vec<SeriesColumn>) -> Vec<SeriesColumn> {
    let mut places: HashMap<Hashed, usize, BuildHasherDefault<AsItIs>> =
        HashMap::with_capacity_and_hasher(columns.len(), BuildHasherDefault::default());
    let mut grouped: Vec<SeriesColumn> = Vec::new();
    for column in columns {
        match places.entry(Hashed { hash: column.labels.id().0 as u64, labels: column.labels.clone() }) {
            Entry::Occupied(place) => grouped[*place.get()].samples.extend(column.samples),
            Entry::Vacant(place) => {
                place.insert(grouped.len());
                grouped.push(column);
            }
        }
    }
    grouped
}

/// Labels with a hash of all of them; where two have the same one, the labels decide.
#[derive(PartialEq, Eq)]
struct Hashed {
    hash: u64,
    labels: Labels,
}

impl Hash for Hashed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Block {
    /// The columns, sorted by labels.
    #[must_use]
    pub fn columns(&self) -> &[SeriesColumn] {
        &self.columns
    }

    /// The columns, sorted by labels.
    #[must_use]
    pub fn into_columns(self) -> Vec<SeriesColumn> {
        self.columns
    }

    /// Joins two sets.
    #[must_use]
    pub fn joined_with(self, other: Self) -> Self {
        join(self.columns.into_iter().chain(other.columns))
    }

    /// The column of one series.
    #[must_use]
    pub fn column(&self, labels: &Labels) -> Option<&SeriesColumn> {
        let index = self.columns.binary_search_by(|column| column.labels.cmp(labels)).ok()?;
        self.columns.get(index)
    }

    /// How many samples it holds.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.columns.iter().map(|column| column.samples.len() as u64).sum()
    }

    /// How many series it holds.
    #[must_use]
    pub fn series(&self) -> u64 {
        self.columns.len() as u64
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Times of the earliest and the latest sample.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let ends = |column: &SeriesColumn| Some((column.samples.first()?.at, column.samples.last()?.at));
        self.columns.iter().filter_map(ends).reduce(|(min, max), (first, last)| (min.min(first), max.max(last)))
    }

    /// Time of the earliest sample.
    #[must_use]
    pub fn min_time(&self) -> Option<Timestamp> {
        self.span().map(|(min, _)| min)
    }

    /// Time of the latest sample.
    #[must_use]
    pub fn max_time(&self) -> Option<Timestamp> {
        self.span().map(|(_, max)| max)
    }
}

/// Cuts columns into blocks' windows of `width_ms`, `(start, end]`. Columns keep their order within a window, and samples
/// theirs within a column; nothing is joined.
#[must_use]
pub fn split_by_window(
    columns: impl IntoIterator<Item = SeriesColumn>,
    width_ms: i64,
) -> BTreeMap<Window, Vec<SeriesColumn>> {
    let mut windows: BTreeMap<Window, Vec<SeriesColumn>> = BTreeMap::new();
    for SeriesColumn { labels, samples } in columns {
        let mut rest = samples.as_slice();
        while let Some(first) = rest.first() {
            let window = Window::of_block(first.at, width_ms);
            let inside = rest.iter().take_while(|sample| window.holds(sample.at)).count();
            // At the very end of time a window does not hold its own start: take one at least.
            let (taken, left) = rest.split_at(inside.max(1));
            windows.entry(window).or_default().push(SeriesColumn { labels: labels.clone(), samples: taken.to_vec() });
            rest = left;
        }
    }
    windows
}

/// Cuts a block into places: `place` answers where a sample goes, and the last time up to which the series'
/// next samples go there too.
#[must_use]
pub fn split_by<P: Ord + Copy>(block: Block, place: impl Fn(Timestamp) -> (P, Timestamp)) -> BTreeMap<P, Block> {
    // Mostly all of it goes to one place.
    if let Some((min, max)) = block.span()
        && let (to, until) = place(min)
        && max <= until
    {
        return BTreeMap::from([(to, block)]);
    }
    let places = columns_by(block.columns, place);
    // Of each place the columns keep their order, each series stands there once, and what is cut has a sample.
    places.into_iter().map(|(place, columns)| (place, Block { columns })).collect()
}

fn columns_by<P: Ord + Copy>(
    columns: Vec<SeriesColumn>,
    place: impl Fn(Timestamp) -> (P, Timestamp),
) -> BTreeMap<P, Vec<SeriesColumn>> {
    let mut places: BTreeMap<P, Vec<SeriesColumn>> = BTreeMap::new();
    // Neighbours nearly always go to the same place: they are looked up once.
    let mut run: Option<(P, Vec<SeriesColumn>)> = None;
    let mut put = |to: P, column: SeriesColumn, whole: bool| {
        if run.as_ref().is_none_or(|(place, _)| *place != to) {
            let columns = places.remove(&to).unwrap_or_default();
            if let Some((place, columns)) = run.replace((to, columns)) {
                places.insert(place, columns);
            }
        }
        let Some((_, columns)) = &mut run else { return };
        match columns.last_mut() {
            // The next stretch of a series that stands there already.
            Some(last) if !whole && last.labels == column.labels => last.samples.extend(column.samples),
            _ => columns.push(column),
        }
    };
    for SeriesColumn { labels, samples } in columns {
        let mut rest = samples.as_slice();
        while let Some(first) = rest.first() {
            let (to, until) = place(first.at);
            let inside = rest.partition_point(|sample| sample.at <= until).max(1);
            if inside == samples.len() {
                put(to, SeriesColumn { labels, samples }, true);
                break;
            }
            let (taken, left) = rest.split_at(inside);
            put(to, SeriesColumn { labels: labels.clone(), samples: taken.to_vec() }, false);
            rest = left;
        }
    }
    places.extend(run);
    places
}

#[cfg(test)]
mod tests;
