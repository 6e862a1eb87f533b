//! Series by number, and batches that name their series by it: what `ingest` has read once, no later stage of
//! the same process looks up, compares or sorts again.
//!
//! A number says the same for as long as its book lives: entries are added and never changed; what is forgotten
//! is forgotten with the whole book ([`super::known`] begins the next one), while batches under way keep theirs.
//! It is a memory, not a state: each batch is on the stream as well, and whoever has no book reads it there.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use alerts::rules::Group;
use ports::Timestamp;
use series::{Labels, Sample};
use wire::SeriesColumn;

/// Series without a place in the order wait for the next one until they are this part of those that have one:
/// then all places are counted anew.
const LATER_PART: usize = 8;

/// The series of a tenant by number, from 0.
#[derive(Default)]
pub(crate) struct Book {
    labels: RwLock<Vec<Labels>>,
    order: Mutex<Arc<Order>>,
    judged: Mutex<Judged>,
}

/// Places of the first so many numbers in the order of their labels.
#[derive(Default)]
struct Order {
    /// By number. Numbers with the same labels (two texts can say the same) have the same place.
    places: Vec<u32>,
    /// The first number of each place.
    numbers: Vec<u32>,
}

/// Which series a tenant's direct rules look at: for these rules, and the numbers that were asked for.
#[derive(Default)]
struct Judged {
    groups: Option<Arc<[Group]>>,
    verdicts: Vec<Option<bool>>,
}

/// A batch whose series have numbers.
pub(crate) struct Numbered {
    pub(crate) book: Arc<Book>,
    /// When it was made.
    pub(crate) created_at: Timestamp,
    /// Numbers of its columns.
    pub(crate) numbers: Vec<u32>,
    /// Columns and samples, as [`wire::Packer`] orders them: by column, and by time within it.
    pub(crate) samples: Vec<(u32, Sample)>,
}

impl Book {
    /// Gives labels the next number.
    pub(super) fn add(&self, labels: Labels) -> u32 {
        let mut all = self.labels.write().unwrap_or_else(PoisonError::into_inner);
        all.push(labels);
        (all.len() - 1) as u32
    }

    // Vectors of whole entries: a panic leaves none in between.
    pub(super) fn labels(&self) -> RwLockReadGuard<'_, Vec<Labels>> {
        self.labels.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn judged(&self) -> MutexGuard<'_, Judged> {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An order of nearly all series that there are.
    fn order(&self) -> Arc<Order> {
        let mut kept = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let labels = self.labels();
        let known = kept.places.len();
        if labels.len() - known > known / LATER_PART {
            *kept = Arc::new(kept.with_all(&labels));
        }
        Arc::clone(&kept)
    }
}

impl Order {
    /// The order of all of them, the new ones sorted into those that were known.
    fn with_all(&self, labels: &[Labels]) -> Self {
        let of = |number: u32| labels.get(number as usize);
        let mut new: Vec<u32> = (self.places.len() as u32..labels.len() as u32).collect();
        new.sort_unstable_by(|a, b| of(*a).cmp(&of(*b)));
        let mut order = Self { places: self.places.clone(), numbers: Vec::with_capacity(labels.len()) };
        order.places.resize(labels.len(), 0);
        let (mut old, mut new) = (self.numbers.iter().copied().peekable(), new.into_iter().peekable());
        // By old place: the new one.
        let mut moved = Vec::with_capacity(self.numbers.len());
        loop {
            let next = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(a), Some(b)) => of(*a).cmp(&of(*b)),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
            };
            let place = order.numbers.len() as u32;
            // Equal labels are one place, that of the number that was there first.
            if next.is_le()
                && let Some(number) = old.next()
            {
                moved.push(place);
                order.numbers.push(number);
            }
            if next.is_ge()
                && let Some(number) = new.next()
            {
                let same_as_before = next.is_gt() && order.numbers.last().is_some_and(|last| of(*last) == of(number));
                if next.is_gt() && !same_as_before {
                    order.numbers.push(number);
                }
                let place = if same_as_before { place - 1 } else { place };
                if let Some(own) = order.places.get_mut(number as usize) {
                    *own = place;
                }
            }
        }
        for place in order.places.iter_mut().take(self.places.len()) {
            *place = moved.get(*place as usize).copied().unwrap_or(*place);
        }
        order
    }
}

impl Numbered {
    /// Number and samples of each series.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u32, &[(u32, Sample)])> {
        let runs = self.samples.chunk_by(|a, b| a.0 == b.0);
        runs.filter_map(|run| Some((*self.numbers.get(run.first()?.0 as usize)?, run)))
    }

    /// Bytes that it takes.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + self.numbers.capacity() * size_of::<u32>()
            + self.samples.capacity() * size_of::<(u32, Sample)>()
    }

    /// Its series, as whoever decodes its bytes gets them.
    pub(crate) fn columns(&self) -> Vec<SeriesColumn> {
        let labels = self.book.labels();
        self.runs().filter_map(|(number, run)| column(&labels, number, run)).collect()
    }

    /// The series that a direct rule of these groups may look at; `matches` is asked once for each series and
    /// set of rules.
    pub(crate) fn judged(&self, groups: &Arc<[Group]>, matches: impl Fn(&Labels) -> bool) -> Vec<SeriesColumn> {
        let (labels, mut judged) = (self.book.labels(), self.book.judged());
        if !judged.groups.as_ref().is_some_and(|known| Arc::ptr_eq(known, groups)) {
            *judged = Judged { groups: Some(Arc::clone(groups)), verdicts: Vec::new() };
        }
        judged.verdicts.resize(labels.len(), None);
        let mut found = Vec::new();
        for (number, run) in self.runs() {
            let Some(verdict) = judged.verdicts.get_mut(number as usize) else { continue };
            if *verdict.get_or_insert_with(|| labels.get(number as usize).is_some_and(&matches)) {
                found.extend(column(&labels, number, run));
            }
        }
        found
    }
}

fn column(labels: &[Labels], number: u32, run: &[(u32, Sample)]) -> Option<SeriesColumn> {
    let labels = labels.get(number as usize)?.clone();
    Some(SeriesColumn { labels, samples: run.iter().map(|(_, sample)| *sample).collect() })
}

/// All series of the batches, sorted by labels, each once; samples stand in the order of the batches. Nothing is
/// compared for a series that has a place in its book's order.
pub(crate) fn columns(batches: &[Arc<Numbered>]) -> Vec<SeriesColumn> {
    let mut rest: Vec<&Numbered> = batches.iter().map(Arc::as_ref).collect();
    let mut all = Vec::new();
    while let Some(first) = rest.first() {
        let book = &first.book;
        let (own, others): (Vec<_>, Vec<_>) = rest.iter().partition(|batch| Arc::ptr_eq(&batch.book, book));
        all = merged(all, of_book(book, &own));
        rest = others;
    }
    all
}

/// No column yet.
const NONE: u32 = u32::MAX;

fn of_book(book: &Book, batches: &[&Numbered]) -> Vec<SeriesColumn> {
    let order = book.order();
    let runs = || batches.iter().flat_map(|batch| batch.runs());
    // How many samples each place gets, and then its column.
    let mut slots = vec![0_u32; order.numbers.len()];
    let mut later: Vec<(u32, &[(u32, Sample)])> = Vec::new();
    for (number, run) in runs() {
        match order.places.get(number as usize).and_then(|place| slots.get_mut(*place as usize)) {
            Some(count) => *count += run.len() as u32,
            None => later.push((number, run)),
        }
    }
    let labels = book.labels();
    let mut columns = Vec::with_capacity(slots.iter().filter(|count| **count > 0).count());
    for (slot, number) in slots.iter_mut().zip(&order.numbers) {
        let count = std::mem::replace(slot, NONE);
        if count > 0
            && let Some(labels) = labels.get(*number as usize)
        {
            *slot = columns.len() as u32;
            columns.push(SeriesColumn { labels: labels.clone(), samples: Vec::with_capacity(count as usize) });
        }
    }
    for (number, run) in runs() {
        let slot = order.places.get(number as usize).and_then(|place| slots.get(*place as usize));
        if let Some(column) = slot.and_then(|slot| columns.get_mut(*slot as usize)) {
            column.samples.extend(run.iter().map(|(_, sample)| *sample));
        }
    }
    if later.is_empty() {
        return columns;
    }
    later.sort_by_key(|(number, _)| *number);
    let mut new: Vec<SeriesColumn> = Vec::new();
    for of_one in later.chunk_by(|a, b| a.0 == b.0) {
        let samples: Vec<(u32, Sample)> = of_one.iter().flat_map(|(_, run)| *run).copied().collect();
        new.extend(of_one.first().and_then(|(number, _)| column(&labels, *number, &samples)));
    }
    drop(labels);
    new.sort_by(|a, b| a.labels.cmp(&b.labels));
    new.dedup_by(|next, kept| {
        let same = next.labels == kept.labels;
        if same {
            kept.samples.append(&mut next.samples);
        }
        same
    });
    merged(columns, new)
}

/// Two sorted lists, of each series once, as one.
pub(crate) fn merged(a: Vec<SeriesColumn>, b: Vec<SeriesColumn>) -> Vec<SeriesColumn> {
    if a.is_empty() || b.is_empty() {
        return if a.is_empty() { b } else { a };
    }
    let mut all = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    while let (Some(first), Some(second)) = (a.peek(), b.peek()) {
        match first.labels.cmp(&second.labels) {
            Ordering::Less => all.extend(a.next()),
            Ordering::Greater => all.extend(b.next()),
            Ordering::Equal => all.extend(a.next().zip(b.next()).map(|(mut one, other)| {
                one.samples.extend(other.samples);
                one
            })),
        }
    }
    all.extend(a);
    all.extend(b);
    all
}

#[cfg(test)]
mod tests;
