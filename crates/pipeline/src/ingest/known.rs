//! The series that a process has seen pushed: a known one costs a hash and a compare, and no look into
//! its labels.
//!
//! Kept by the text of the labels as the sender wrote them ([`series::protobuf`]). It is a memory, not a
//! state: without it everything is read anew. It also says how many series are active, which is what
//! the limits are held against.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ports::{Ports, TenantId, Timestamp};
use series::protobuf::{LabelTextError, labels, put_labels};
use series::{Labels, Lane, MINUTE_MS, bucket_index};
use wire::{Batch, DICTIONARY_BYTES_MAX, DecodeError, Decoded, Dictionaries, Inspected};

use super::limits::{ACTIVE_MINUTES, ACTIVE_SERIES, KNOWN_BYTES_MAX, Limits, NEW_SERIES};

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

/// A tenant's series.
#[derive(Default)]
pub(super) struct Entries {
    by_hash: HashMap<u64, Entry, BuildHasherDefault<AsItIs>>,
    bytes: usize,
    minute: i64,
    new_in_minute: usize,
    swept_in: i64,
}

/// One series.
pub(super) struct Entry {
    text: Box<[u8]>,
    /// Where the sender's text is not plain: the one that is.
    plain: Option<Box<[u8]>>,
    labels: Labels,
    /// Which of a body's parts it belongs to.
    pub(super) part: u8,
    used_in: AtomicI64,
    /// In which batch it stands ([`COLUMN_BITS`] and up), and in which column of it (below).
    place: AtomicU64,
}

impl Entry {
    fn new(text: &[u8], labels: Labels) -> Self {
        let mut plain = Vec::with_capacity(text.len());
        put_labels(&mut plain, &labels);
        Self {
            plain: (plain != text).then(|| plain.into()),
            text: text.into(),
            part: Lane::part(labels.id()),
            labels,
            used_in: AtomicI64::new(0),
            place: AtomicU64::new(0),
        }
    }

    pub(super) fn plain(&self) -> &[u8] {
        self.plain.as_ref().unwrap_or(&self.text)
    }

    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Its column in the batch of this stamp, or the one that `add` gives it there.
    #[inline]
    pub(super) fn column(&self, stamp: u64, minute: i64, add: impl FnOnce(&[u8]) -> u32) -> u32 {
        let place = self.place.load(Ordering::Relaxed);
        if place >> COLUMN_BITS == stamp {
            return (place & ((1 << COLUMN_BITS) - 1)) as u32;
        }
        let column = add(self.plain());
        // Another body may write here at the same time: then one of them has the series twice, which is harmless.
        self.place.store(stamp << COLUMN_BITS | u64::from(column), Ordering::Relaxed);
        if self.used_in.load(Ordering::Relaxed) != minute {
            self.used_in.store(minute, Ordering::Relaxed);
        }
        column
    }

    fn bytes(&self) -> usize {
        let plain = self.plain.as_ref().map_or(0, |plain| plain.len());
        ENTRY_BYTES + self.text.len() + plain + self.labels.canonical().len()
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
        let known = self.of(tenant);
        let entries = known.read();
        let mut known = |text: &[u8]| entries.get(self.hash(text), text).map(|entry| entry.labels.clone());
        Batch::decode_known(batch, &mut known, Some(&self.dictionaries))
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
    #[inline]
    pub(super) fn get(&self, hash: u64, text: &[u8]) -> Option<&Entry> {
        self.by_hash.get(&hash).filter(|entry| *entry.text == *text)
    }

    /// A series that was not known, within the limits. Where another one has its hash, it takes its place.
    pub(super) fn add(&mut self, hash: u64, text: &[u8], minute: i64, limits: &Limits) -> Result<&Entry, Refusal> {
        if self.get(hash, text).is_none() {
            let entry = Entry::new(text, labels(text).map_err(Refusal::Bad)?);
            self.make_room(entry.labels(), minute, limits)?;
            self.bytes += entry.bytes();
            self.new_in_minute += 1;
            entry.used_in.store(minute, Ordering::Relaxed);
            if let Some(other) = self.by_hash.insert(hash, entry) {
                self.bytes -= other.bytes();
            }
        }
        // It was found or has just been put there.
        self.by_hash.get(&hash).ok_or(Refusal::Bad(LabelTextError::NotUtf8(String::new())))
    }

    fn make_room(&mut self, labels: &Labels, minute: i64, limits: &Limits) -> Result<(), Refusal> {
        if self.minute != minute {
            (self.minute, self.new_in_minute) = (minute, 0);
        }
        let full =
            |entries: &Self| entries.by_hash.len() >= limits.active_series_max || entries.bytes >= KNOWN_BYTES_MAX;
        if minute >= self.swept_in + SWEEP_EVERY_MINUTES || (full(self) && minute > self.swept_in) {
            self.swept_in = minute;
            self.by_hash.retain(|_, entry| minute - entry.used_in.load(Ordering::Relaxed) < ACTIVE_MINUTES);
            self.bytes = self.by_hash.values().map(Entry::bytes).sum();
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
}

/// The number of the minute that holds `at`.
pub(super) fn minute(at: Timestamp) -> i64 {
    bucket_index(at, MINUTE_MS, 0)
}

/// The keys are hashes already.
#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
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
        assert!(entries.add(7, &a, 0, &limits).is_ok_and(|entry| *entry.plain() == *a));
        assert!(entries.get(7, &b).is_none());
        assert!(entries.add(7, &b, 0, &limits).is_ok_and(|entry| *entry.plain() == *b));
        assert!(entries.get(7, &a).is_none());
        assert_eq!(entries.bytes, entries.by_hash.values().map(Entry::bytes).sum::<usize>());
    }

    #[test]
    fn a_text_in_another_order_stands_for_its_plain_form() {
        let sorted = Labels::from_pairs([("__name__", "x"), ("b", "1")]).unwrap();
        let mut entries = Entries::default();
        let unsorted = b"\x0a\x06\x0a\x01b\x12\x011\x0a\x0d\x0a\x08__name__\x12\x01x";
        let entry = entries.add(1, unsorted, 0, &Limits::default()).ok().unwrap();
        let mut plain = Vec::new();
        put_labels(&mut plain, &sorted);
        assert_eq!((entry.plain(), entry.labels()), (plain.as_slice(), &sorted));
    }
}
