//! Time and randomness of this machine, and their stand-ins for tests.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ports::{Clock, Entropy, Timestamp};

use crate::random::SeededRandom;

/// Steps back of the system's clock that are hidden by standing still. A greater step is
/// believed, because standing still for hours would do more harm.
pub(crate) const HIDDEN_STEP_MS: i64 = 2_000;

/// The system's clock, which does not run backwards by small steps.
#[derive(Debug, Default)]
pub struct SystemClock {
    last_ms: AtomicI64,
}

impl SystemClock {
    fn guarded(&self, read_ms: i64) -> i64 {
        let last = self.last_ms.load(Ordering::Relaxed);
        if read_ms < last && last - read_ms <= HIDDEN_STEP_MS {
            return last;
        }
        self.last_ms.store(read_ms, Ordering::Relaxed);
        read_ms
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the adapter that reads the time")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let read_ms = since.map_or(0, |passed| i64::try_from(passed.as_millis()).unwrap_or(i64::MAX));
        Timestamp(self.guarded(read_ms))
    }
}

/// A clock that stands until it is told to move.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Standing at `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.ms()))
    }

    /// Moves to `now`.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.ms(), Ordering::SeqCst);
    }

    /// Moves on by `ms`.
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// The operating system's randomness.
#[derive(Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the adapter that reads randomness")]
    #[expect(clippy::expect_used, reason = "without randomness a key would be guessable; nothing may go on")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives randomness");
    }
}

/// Repeatable bytes, for tests only.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<SeededRandom>);

impl SeededEntropy {
    /// The bytes of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(SeededRandom::new(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&random.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_steps_back_are_hidden_and_great_ones_believed() {
        let clock = SystemClock::default();
        assert_eq!(clock.guarded(10_000), 10_000);
        assert_eq!(clock.guarded(10_000 - HIDDEN_STEP_MS), 10_000);
        assert_eq!(clock.guarded(10_000 - HIDDEN_STEP_MS - 1), 10_000 - HIDDEN_STEP_MS - 1);
    }

    #[test]
    fn a_manual_clock_stands_until_told() {
        let clock = ManualClock::new(Timestamp(5));
        clock.advance_ms(10);
        assert_eq!(clock.now(), Timestamp(15));
        clock.set(Timestamp(3));
        assert_eq!(clock.now(), Timestamp(3));
    }

    #[test]
    fn seeded_bytes_repeat_and_real_ones_do_not() {
        let take = |entropy: &dyn Entropy| {
            let mut bytes = [0; 13];
            entropy.fill(&mut bytes);
            bytes
        };
        assert_eq!(take(&SeededEntropy::new(1)), take(&SeededEntropy::new(1)));
        assert_ne!(take(&OsEntropy), take(&OsEntropy));
    }
}
