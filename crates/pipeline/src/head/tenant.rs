//! One tenant's hot samples: series by number, found by identity and by label.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::{Mutex, PoisonError};

use promql::Selection;
use series::{AsItIs, Labels, Sample, SeriesId, TEN_MINUTES_MS, Timestamp, Window};
use wire::SeriesColumn;
use wire::columns::ColumnError;

use super::column::Column;
use super::index::Index;

/// About what a series costs beside its labels' bytes and its samples: the entry, the place in the
/// map and in the order, its label buffer's head.
const SERIES_BYTES: usize = 168;

#[derive(Debug)]
pub(super) struct TenantHead {
    /// Samples before this are not shown and not taken in.
    floor: Timestamp,
    /// Whether everything that is stored from the floor on is in memory.
    pub(super) complete: bool,
    /// Rises whenever something may have been missed.
    pub(super) doubts: u64,
    /// An identity is a hash already.
    numbers: HashMap<SeriesId, u32, BuildHasherDefault<AsItIs>>,
    series: Vec<Entry>,
    index: Index,
    empty: usize,
    pub(super) bytes: usize,
    /// Made by readers, as far as it has not been made.
    order: Mutex<Order>,
}

/// The series in the order of their labels, in which they are read: nothing has to be sorted afterwards.
#[derive(Debug, Default)]
struct Order {
    sorted: Vec<u32>,
    /// The place of each number in `sorted`.
    places: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    labels: Labels,
    column: Column,
}

impl Default for TenantHead {
    fn default() -> Self {
        Self {
            floor: Timestamp(i64::MIN),
            complete: false,
            doubts: 0,
            numbers: HashMap::default(),
            series: Vec::new(),
            index: Index::default(),
            empty: 0,
            bytes: 0,
            order: Mutex::default(),
        }
    }
}

impl Order {
    /// Takes in the series that are new.
    fn catch_up(&mut self, series: &[Entry]) {
        let labels = |number: &u32| series.get(*number as usize).map(|entry| &entry.labels);
        let mut new: Vec<u32> = (self.sorted.len()..series.len()).map(|number| number as u32).collect();
        if new.is_empty() {
            return;
        }
        new.sort_by(|a, b| labels(a).cmp(&labels(b)));
        let mut merged = Vec::with_capacity(series.len());
        let mut known = std::mem::take(&mut self.sorted).into_iter().peekable();
        for number in new {
            while let Some(before) = known.next_if(|known| labels(known) < labels(&number)) {
                merged.push(before);
            }
            merged.push(number);
        }
        merged.extend(known);
        self.places = vec![0; merged.len()];
        for (place, number) in merged.iter().enumerate() {
            if let Some(of) = self.places.get_mut(*number as usize) {
                *of = place as u32;
            }
        }
        self.sorted = merged;
    }
}

impl TenantHead {
    /// From when on it may be read.
    pub(super) fn complete_from(&self) -> Option<Timestamp> {
        self.complete.then_some(self.floor)
    }

    /// Joins columns; samples before the floor, which is `oldest` at least, are left out.
    pub(super) fn join(&mut self, columns: &[SeriesColumn], oldest: Timestamp) -> Result<(), ColumnError> {
        self.floor = self.floor.max(oldest);
        for column in columns {
            let samples = &column.samples[column.samples.partition_point(|sample| sample.at < self.floor)..];
            if samples.is_empty() {
                continue;
            }
            let number = self.number(&column.labels);
            let Some(entry) = self.series.get_mut(number as usize) else { continue };
            let before = entry.column.heap_bytes();
            let joined = entry.column.join(samples);
            self.bytes += entry.column.heap_bytes();
            self.bytes -= before;
            joined?;
        }
        Ok(())
    }

    fn number(&mut self, labels: &Labels) -> u32 {
        let id = labels.id();
        if let Some(number) = self.numbers.get(&id) {
            return *number;
        }
        let number = self.index.add(labels);
        self.numbers.insert(id, number);
        self.series.push(Entry { labels: labels.clone(), column: Column::default() });
        self.bytes += labels.canonical().len() + SERIES_BYTES;
        number
    }

    /// Raises the floor, and forgets the chunks below it.
    pub(super) fn forget_before(&mut self, oldest: Timestamp) {
        self.floor = self.floor.max(oldest);
        self.empty = 0;
        self.bytes = 0;
        for entry in &mut self.series {
            self.empty += usize::from(!entry.column.forget_before(self.floor));
            self.bytes += entry.column.heap_bytes() + entry.labels.canonical().len() + SERIES_BYTES;
        }
        // Series that have ended keep their numbers until they are many.
        if self.empty * 4 > self.series.len() {
            self.renumber();
        }
    }

    fn renumber(&mut self) {
        let series = std::mem::take(&mut self.series);
        self.order = Mutex::default();
        (self.numbers, self.index, self.bytes, self.empty) = (HashMap::default(), Index::default(), 0, 0);
        for entry in series.into_iter().filter(|entry| !entry.column.is_empty()) {
            let number = self.number(&entry.labels);
            self.bytes += entry.column.heap_bytes();
            if let Some(new) = self.series.get_mut(number as usize) {
                new.column = entry.column;
            }
        }
    }

    /// The selected series with their samples from the floor on, in the order of their labels: each once, from the
    /// first to the last that any selection asks for. `visit` may end it.
    pub(super) fn read<E: From<ColumnError>>(
        &self,
        selections: &[Selection],
        mut visit: impl FnMut(&Labels, Vec<Sample>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut spans = self.spans(selections);
        {
            let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
            order.catch_up(&self.series);
            spans.sort_unstable_by_key(|(number, _)| order.places.get(*number as usize).copied());
        }
        for (number, (from, to)) in spans {
            let Some(entry) = self.series.get(number as usize) else { continue };
            let mut samples = Vec::new();
            entry.column.read(from, to, &mut samples)?;
            if !samples.is_empty() {
                visit(&entry.labels, samples)?;
            }
        }
        Ok(())
    }

    /// The selected series that have samples from the floor on.
    pub(super) fn labels(&self, selections: &[Selection]) -> Result<Vec<Labels>, ColumnError> {
        let mut found = Vec::new();
        for (number, (from, to)) in self.spans(selections) {
            let Some(entry) = self.series.get(number as usize) else { continue };
            if entry.column.touches(from, to)? {
                found.push(entry.labels.clone());
            }
        }
        Ok(found)
    }

    fn spans(&self, selections: &[Selection]) -> Vec<(u32, (Timestamp, Timestamp))> {
        let mut spans: Vec<(u32, (Timestamp, Timestamp))> = Vec::new();
        for selection in selections.iter().filter(|selection| selection.to >= self.floor) {
            let span = (selection.from.max(self.floor), selection.to);
            spans.extend(self.index.select(&selection.matchers).into_iter().map(|number| (number, span)));
        }
        if selections.len() > 1 {
            spans.sort_unstable_by_key(|(number, _)| *number);
            spans.dedup_by(|(next, span), (kept, whole)| {
                let same = next == kept;
                if same {
                    *whole = (whole.0.min(span.0), whole.1.max(span.1));
                }
                same
            });
        }
        spans
    }

    /// Forgets ten minutes more; answers false where nothing is left to forget.
    pub(super) fn forget_some(&mut self) -> bool {
        let oldest = self.series.iter().filter_map(|entry| entry.column.first()).min();
        let Some(oldest) = oldest else { return false };
        self.forget_before(Window::around(oldest.max(self.floor), TEN_MINUTES_MS).end);
        true
    }

    pub(super) fn series(&self) -> usize {
        self.series.len() - self.empty
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes + self.index.heap_bytes()
    }
}
