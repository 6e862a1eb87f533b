//! A hasher for keys that are hashes already.

use std::hash::Hasher;

/// Takes a key as its hash: a `u64` as it is, of bytes the first eight, of several parts the last.
#[derive(Default)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
