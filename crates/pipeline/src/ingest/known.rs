//! The series that a process has seen pushed: a known one costs a hash and a compare, and no look into
//! its labels.
//!
//! Kept by the text of the labels as the sender wrote them ([`series::protobuf`]). Senders write their series in
//! the same order again and again: after each comes the one that came after it the first time, which is looked
//! at before anything is hashed. It is a memory, not a state: without it everything is read anew. It also says
//! how many series are active, which is what the limits are held against.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ports::{Ports, TenantId, Timestamp};
use series::protobuf::{LabelTextError, labels, put_labels};
use series::{AsItIs, Labels, Lane, MINUTE_MS, bucket_index};
use wire::{Batch, DICTIONARY_BYTES_MAX, DecodeError, Decoded, Dictionaries, Inspected, Written};

use super::book::Book;
use super::limits::{ACTIVE_MINUTES, ACTIVE_SERIES, KNOWN_BYTES_MAX, Limits, NEW_SERIES};
use super::texts::{Place, Texts};

/// Bytes that an entry takes beside its texts.
const ENTRY_BYTES: usize = 160;
/// Bits of a column's number: more than a batch has columns.
const COLUMN_BITS: u32 = 20;
const _: () = assert!(wire::limits::SERIES_PER_BATCH_MAX < 1 << COLUMN_BITS);
/// Series that were not active any more are forgotten this often, in minutes, or when a limit is reached.
const SWEEP_EVERY_MINUTES: i64 = 10;

/// What a process remembers of all tenants.
pub struct KnownSeries {
    seed: u64,
    stamps: AtomicU64,
    tenants: RwLock<HashMap<TenantId, Arc<Tenant>>>,
    /// Of agents' batches.
    dictionaries: Dictionaries,
}

#[derive(Default)]
pub(super) struct Tenant(RwLock<Entries>);

/// A tenant's series: entries by number, and their numbers by hash. Where another one has its hash, the newer is found.
#[derive(Default)]
pub(super) struct Entries {
    by_hash: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
    list: Vec<Entry>,
    texts: Texts,
    book: Arc<Book>,
    bytes: usize,
    minute: i64,
    new_in_minute: usize,
    swept_in: i64,
}

/// One series.
pub(super) struct Entry {
    hash: u64,
    text: Place,
    /// The sender's text where it is plain, else the one that is.
    plain: Place,
    /// Which of a body's parts it belongs to.
    pub(super) part: u8,
    used_in: AtomicI64,
    /// In which batch it stands ([`COLUMN_BITS`] and up), and in which column of it (below).
    place: AtomicU64,
}

impl Entry {
    /// Its column in the batch of this stamp, or the one that `add` gives it there.
    #[inline]
    pub(super) fn column(&self, stamp: u64, minute: i64, add: impl FnOnce() -> u32) -> u32 {
        let place = self.place.load(Ordering::Relaxed);
        if place >> COLUMN_BITS == stamp {
            return (place & ((1 << COLUMN_BITS) - 1)) as u32;
        }
        let column = add();
        // Another body may write here at the same time: then one of them has the series twice, which is harmless.
        self.place.store(stamp << COLUMN_BITS | u64::from(column), Ordering::Relaxed);
        if self.used_in.load(Ordering::Relaxed) != minute {
            self.used_in.store(minute, Ordering::Relaxed);
        }
        column
    }
}

/// Why a series is not taken.
pub(super) enum Refusal {
    Bad(LabelTextError),
    Limit { name: &'static str, max: usize, labels: Labels },
}

impl Refusal {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Bad(error) => error.reason(),
            Self::Limit { name, .. } => name,
        }
    }

    pub(super) fn text(&self, series: &[u8]) -> String {
        match self {
            Self::Bad(error) => format!("{error} in {}", readable(series)),
            Self::Limit { name, max, labels } => format!("{labels}: {name} is {max}"),
        }
    }
}

/// The names and values that can be read, for a person.
fn readable(text: &[u8]) -> String {
    let printable = |c: char| if c.is_control() || c == char::REPLACEMENT_CHARACTER { ' ' } else { c };
    let shown: String = String::from_utf8_lossy(&text[..text.len().min(200)]).chars().map(printable).collect();
    format!("{:?}", shown.split_whitespace().collect::<Vec<_>>().join(" "))
}

impl KnownSeries {
    pub(crate) fn new(ports: &Ports) -> Self {
        let mut seed = [0; 8];
        ports.entropy.fill(&mut seed);
        let seed = u64::from_le_bytes(seed);
        let dictionaries = Dictionaries::new(seed, DICTIONARY_BYTES_MAX);
        Self { seed, stamps: AtomicU64::new(1), tenants: RwLock::default(), dictionaries }
    }

    /// A number that no other batch has; with 44 bits, for as long as a process lives. 0 is nobody's.
    pub(super) fn stamp(&self) -> u64 {
        self.stamps.fetch_add(1, Ordering::Relaxed)
    }

    /// So that nobody outside can make two texts meet; where they do, the text decides.
    #[inline]
    pub(super) fn hash(&self, text: &[u8]) -> u64 {
        xxhash_rust::xxh3::xxh3_64_with_seed(text, self.seed)
    }

    pub(super) fn of(&self, tenant: &TenantId) -> Arc<Tenant> {
        if let Some(known) = self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant) {
            return Arc::clone(known);
        }
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tenants.entry(tenant.clone()).or_default())
    }

    /// Reads a record's batch. Labels of series that this process took in are not read again, but shared.
    pub fn decode(&self, tenant: &TenantId, batch: &[u8]) -> Result<Decoded, DecodeError> {
        self.with_known(tenant, |known| Batch::decode_known(batch, known, Some(&self.dictionaries)))
    }

    /// As [`KnownSeries::decode`]; columns that a block can take as they are written stand apart.
    pub(crate) fn decode_written(
        &self,
        tenant: &TenantId,
        batch: &[u8],
    ) -> Result<(Decoded, Option<Written>), DecodeError> {
        self.with_known(tenant, |known| Batch::decode_written(batch, known, &self.dictionaries))
    }

    fn with_known<T>(&self, tenant: &TenantId, read: impl FnOnce(&mut dyn FnMut(&[u8]) -> Option<Labels>) -> T) -> T {
        let known = self.of(tenant);
        let entries = known.read();
        let labels = entries.book.labels();
        let mut guess = 0;
        let mut known = |text: &[u8]| {
            let number = entries.find(|| self.hash(text), text, guess)?;
            guess = number + 1;
            labels.get(number as usize).cloned()
        };
        read(&mut known)
    }

    /// Looks at an agent's batch without building its samples.
    pub(super) fn inspect(&self, batch: &[u8]) -> Result<Inspected, DecodeError> {
        Batch::inspect(batch, &self.dictionaries)
    }

    /// How many series of a tenant are remembered.
    #[must_use]
    pub fn count(&self, tenant: &TenantId) -> usize {
        self.of(tenant).read().by_hash.len()
    }
}

impl Tenant {
    // A panic of somebody who held the lock leaves at worst a series that is read again.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// The number of a known series; `guess` is looked at first.
    #[inline]
    pub(super) fn find(&self, hash: impl FnOnce() -> u64, text: &[u8], guess: u32) -> Option<u32> {
        let is_it =
            |number: u32| self.list.get(number as usize).is_some_and(|entry| self.texts.get(entry.text) == text);
        if is_it(guess) {
            return Some(guess);
        }
        self.by_hash.get(&hash()).copied().filter(|number| is_it(*number))
    }

    /// The series of a number that was found here.
    #[inline]
    pub(super) fn entry(&self, number: u32) -> Option<&Entry> {
        self.list.get(number as usize)
    }

    /// Its labels' plain text.
    pub(super) fn plain(&self, entry: &Entry) -> &[u8] {
        self.texts.get(entry.plain)
    }

    /// The labels of a number that was found here.
    pub(super) fn labels(&self, number: u32) -> Labels {
        self.book.labels().get(number as usize).cloned().unwrap_or_else(Labels::empty)
    }

    /// What these numbers stand in.
    pub(super) fn book(&self) -> &Arc<Book> {
        &self.book
    }

    /// A series that was not known, within the limits.
    pub(super) fn add(&mut self, hash: u64, text: &[u8], minute: i64, limits: &Limits) -> Result<u32, Refusal> {
        if let Some(number) = self.find(|| hash, text, u32::MAX) {
            return Ok(number);
        }
        let labels = labels(text).map_err(Refusal::Bad)?;
        self.make_room(&labels, minute, limits)?;
        let mut plain = Vec::with_capacity(text.len());
        put_labels(&mut plain, &labels);
        let plain = (plain != text).then_some(plain);
        let used_in = AtomicI64::new(minute);
        self.new_in_minute += 1;
        Ok(self.put(hash, (text, plain.as_deref()), labels, used_in))
    }

    fn put(&mut self, hash: u64, (text, plain): (&[u8], Option<&[u8]>), labels: Labels, used_in: AtomicI64) -> u32 {
        self.bytes += ENTRY_BYTES + text.len() + plain.map_or(0, <[u8]>::len) + labels.canonical().len();
        let text = self.texts.add(text);
        let plain = plain.map_or(text, |plain| self.texts.add(plain));
        let (part, place) = (Lane::part(labels.id()), AtomicU64::new(0));
        let number = self.book.add(labels);
        self.list.push(Entry { hash, text, plain, part, used_in, place });
        self.by_hash.insert(hash, number);
        number
    }

    fn make_room(&mut self, labels: &Labels, minute: i64, limits: &Limits) -> Result<(), Refusal> {
        if self.minute != minute {
            (self.minute, self.new_in_minute) = (minute, 0);
        }
        let full =
            |entries: &Self| entries.by_hash.len() >= limits.active_series_max || entries.bytes >= KNOWN_BYTES_MAX;
        if minute >= self.swept_in + SWEEP_EVERY_MINUTES || (full(self) && minute > self.swept_in) {
            self.swept_in = minute;
            self.sweep(minute);
        }
        let refuse = |name, max| Err(Refusal::Limit { name, max, labels: labels.clone() });
        if self.new_in_minute >= limits.new_series_per_minute_max {
            return refuse(NEW_SERIES, limits.new_series_per_minute_max);
        }
        if full(self) {
            return refuse(ACTIVE_SERIES, limits.active_series_max.min(self.by_hash.len()));
        }
        Ok(())
    }

    /// Forgets series that are not active any more, and begins a new book where there are some.
    fn sweep(&mut self, minute: i64) {
        let is_kept = |entries: &Self, number: usize, entry: &Entry| {
            minute - entry.used_in.load(Ordering::Relaxed) < ACTIVE_MINUTES
                && entries.by_hash.get(&entry.hash).is_some_and(|found| *found as usize == number)
        };
        if self.list.iter().enumerate().all(|(number, entry)| is_kept(self, number, entry)) {
            return;
        }
        let (minute_of, new_in_minute, swept_in) = (self.minute, self.new_in_minute, self.swept_in);
        let old = std::mem::take(self);
        (self.minute, self.new_in_minute, self.swept_in) = (minute_of, new_in_minute, swept_in);
        for (number, entry) in old.list.iter().enumerate().filter(|(number, entry)| is_kept(&old, *number, entry)) {
            let plain = (entry.plain != entry.text).then(|| old.texts.get(entry.plain));
            let used_in = AtomicI64::new(entry.used_in.load(Ordering::Relaxed));
            self.put(entry.hash, (old.texts.get(entry.text), plain), old.labels(number as u32), used_in);
        }
    }
}

/// The number of the minute that holds `at`.
pub(super) fn minute(at: Timestamp) -> i64 {
    bucket_index(at, MINUTE_MS, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        put_labels(&mut out, &Labels::from_pairs([("__name__", name)]).unwrap());
        out
    }

    fn add(entries: &mut Entries, name: &str, minute: i64, limits: &Limits) -> Result<(), &'static str> {
        let text = text(name);
        let hash = xxhash_rust::xxh3::xxh3_64(&text);
        entries.add(hash, &text, minute, limits).map(drop).map_err(|refusal| refusal.reason())
    }

    #[test]
    fn active_series_at_the_limit_and_one_past_it() {
        let (mut entries, limits) = (Entries::default(), Limits { active_series_max: 2, ..Limits::default() });
        assert_eq!([("a", 100), ("b", 130)].map(|(name, at)| add(&mut entries, name, at, &limits)), [Ok(()), Ok(())]);
        assert_eq!(add(&mut entries, "c", 130, &limits), Err(ACTIVE_SERIES));
        assert_eq!(add(&mut entries, "a", 130, &limits), Ok(()), "a known one is not new");
        assert_eq!(add(&mut entries, "c", 159, &limits), Err(ACTIVE_SERIES));
        assert_eq!(add(&mut entries, "c", 160, &limits), Ok(()), "after an hour without a sample one makes room");
        assert_eq!(entries.by_hash.len(), 2);
    }

    #[test]
    fn new_series_a_minute_at_the_limit_and_one_past_it() {
        let (mut entries, limits) = (Entries::default(), Limits { new_series_per_minute_max: 1, ..Limits::default() });
        assert_eq!(add(&mut entries, "a", 1, &limits), Ok(()));
        assert_eq!(add(&mut entries, "b", 1, &limits), Err(NEW_SERIES));
        assert_eq!(add(&mut entries, "b", 2, &limits), Ok(()));
    }

    #[test]
    fn two_texts_with_one_hash_never_pass_for_each_other() {
        let (mut entries, limits) = (Entries::default(), Limits::default());
        let (a, b) = (text("a"), text("b"));
        let find = |entries: &Entries, text: &[u8]| entries.find(|| 7, text, u32::MAX);
        assert_eq!(entries.add(7, &a, 0, &limits).ok(), Some(0));
        assert_eq!(find(&entries, &b), None);
        assert_eq!(entries.add(7, &b, 0, &limits).ok(), Some(1));
        assert_eq!((find(&entries, &a), find(&entries, &b)), (None, Some(1)));
        assert_eq!(entries.find(|| 8, &a, 0), Some(0), "a good guess needs no hash");
        assert_eq!(entries.find(|| 7, &b, 0), Some(1), "a bad one does no harm");
        let before = entries.bytes;
        entries.sweep(0);
        assert_eq!((find(&entries, &b), entries.list.len(), entries.bytes * 2), (Some(0), 1, before));
    }

    #[test]
    fn what_is_forgotten_is_forgotten_with_its_book() {
        let (mut entries, limits) = (Entries::default(), Limits::default());
        for (name, minute) in [("a", 100), ("b", 130), ("c", 131)] {
            add(&mut entries, name, minute, &limits).unwrap();
        }
        let book = Arc::clone(entries.book());
        let labels = [0, 1, 2].map(|number| entries.labels(number));
        entries.sweep(159);
        assert!(Arc::ptr_eq(entries.book(), &book), "all of them are active");
        entries.sweep(160);
        assert_eq!([0, 1].map(|number| entries.labels(number)), [labels[1].clone(), labels[2].clone()]);
        assert_eq!(entries.labels(2), Labels::empty());
        assert_eq!(*book.labels(), labels, "whoever holds the old book reads it to the end");
        add(&mut entries, "a", 160, &limits).unwrap();
        assert_eq!(entries.labels(2), labels[0]);
    }

    #[test]
    fn a_text_in_another_order_stands_for_its_plain_form() {
        let sorted = Labels::from_pairs([("__name__", "x"), ("b", "1")]).unwrap();
        let mut entries = Entries::default();
        let unsorted = b"\x0a\x06\x0a\x01b\x12\x011\x0a\x0d\x0a\x08__name__\x12\x01x";
        let number = entries.add(1, unsorted, 0, &Limits::default()).ok().unwrap();
        let entry = entries.entry(number).unwrap();
        let mut plain = Vec::new();
        put_labels(&mut plain, &sorted);
        assert_eq!((entries.plain(entry), entries.labels(number)), (plain.as_slice(), sorted));
    }
}
