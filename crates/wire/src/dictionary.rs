//! The label sets of batches that were read before.
//!
//! An agent sends the same series in the same order from flush to flush: its string table and its series' labels are
//! the very bytes of the last time. So they are found as a whole, by a hash and a compare, and neither read nor
//! validated again; what comes out are the same [`Labels`], one memory for all batches. A memory, not a state:
//! without it everything is read anew, and the outcome is the same.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use series::{AsItIs, Labels};

/// Bytes of what is remembered.
pub const DICTIONARY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes that an entry, and each of its label sets, take beside their texts.
const ENTRY_BYTES: usize = 128;
const SET_BYTES: usize = 32;

/// What is remembered of all sources. Only what is good as a whole is.
#[derive(Debug)]
pub struct Dictionaries {
    /// So that nobody outside can make two texts meet; where they do, the text decides.
    seed: u64,
    bytes_max: usize,
    kept: Mutex<Kept>,
}

/// Two generations: what is used goes to the young one, and when that has half of the room, the old one goes.
#[derive(Debug, Default)]
struct Kept {
    young: HashMap<u64, Entry, BuildHasherDefault<AsItIs>>,
    old: HashMap<u64, Entry, BuildHasherDefault<AsItIs>>,
    young_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    text: Box<[u8]>,
    labels: Arc<[Labels]>,
    bytes: usize,
}

impl Dictionaries {
    /// Remembers so many bytes; 0: nothing. `seed` is random.
    #[must_use]
    pub fn new(seed: u64, bytes_max: usize) -> Self {
        Self { seed, bytes_max, kept: Mutex::default() }
    }

    /// The label sets that this text stood for.
    pub(crate) fn find(&self, text: &[u8]) -> Option<Arc<[Labels]>> {
        let hash = xxhash_rust::xxh3::xxh3_64_with_seed(text, self.seed);
        let mut kept = self.kept();
        if let Some(entry) = kept.young.get(&hash).filter(|entry| *entry.text == *text) {
            return Some(Arc::clone(&entry.labels));
        }
        if kept.old.get(&hash).is_none_or(|entry| *entry.text != *text) {
            return None;
        }
        let entry = kept.old.remove(&hash)?;
        let labels = Arc::clone(&entry.labels);
        kept.keep(hash, entry, self.bytes_max);
        Some(labels)
    }

    /// Remembers what a text stands for.
    pub(crate) fn remember(&self, text: &[u8], labels: &Arc<[Labels]>) {
        let sets: usize = labels.iter().map(|labels| labels.canonical().len() + SET_BYTES).sum();
        let bytes = ENTRY_BYTES + text.len() + sets;
        if bytes > self.bytes_max / 2 {
            return;
        }
        let hash = xxhash_rust::xxh3::xxh3_64_with_seed(text, self.seed);
        let entry = Entry { text: text.into(), labels: Arc::clone(labels), bytes };
        self.kept().keep(hash, entry, self.bytes_max);
    }

    // A panic of somebody who held the lock leaves a dictionary more or less, which is read again.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, hash: u64, entry: Entry, bytes_max: usize) {
        if self.young_bytes + entry.bytes > bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += entry.bytes;
        if let Some(before) = self.young.insert(hash, entry) {
            self.young_bytes -= before.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(name: &str) -> Arc<[Labels]> {
        [Labels::from_pairs([("__name__", name)]).unwrap()].into()
    }

    /// What an entry of these tests takes.
    fn entry_bytes() -> usize {
        ENTRY_BYTES + SET_BYTES + 1 + sets("a")[0].canonical().len()
    }

    #[test]
    fn what_was_remembered_is_the_same_memory() {
        let dictionaries = Dictionaries::new(1, DICTIONARY_BYTES_MAX);
        let a = sets("a");
        dictionaries.remember(b"a", &a);
        assert!(dictionaries.find(b"a").is_some_and(|found| Arc::ptr_eq(&found, &a)));
        assert!(dictionaries.find(b"b").is_none());
    }

    #[test]
    fn bytes_at_the_limit_and_one_past_it() {
        let room = |bytes: usize| {
            let dictionaries = Dictionaries::new(1, bytes);
            dictionaries.remember(b"a", &sets("a"));
            dictionaries.find(b"a").is_some()
        };
        assert!(room(2 * entry_bytes()) && !room(2 * entry_bytes() - 1) && !room(0));
    }

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        // Two in a generation.
        let dictionaries = Dictionaries::new(1, 4 * entry_bytes());
        for name in ["a", "b", "c", "d", "e", "f"] {
            dictionaries.remember(name.as_bytes(), &sets(name));
            assert!(dictionaries.find(b"a").is_some(), "after {name}");
        }
        let kept = dictionaries.kept();
        assert!(kept.young.len() + kept.old.len() <= 4);
        drop(kept);
        assert!(dictionaries.find(b"b").is_none());
    }
}
