//! Time and randomness of the machine that this runs on.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ports::{Clock, Entropy, Timestamp};

/// Steps back of the system's clock that are hidden by standing still. A greater step is
/// believed, because standing still for hours would do more harm.
const HIDDEN_STEP_MS: i64 = 2_000;

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

/// 64 random bits.
pub(crate) fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    OsEntropy.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// A number below `bound` (which is small against 2^64); 0 where `bound` is 0.
pub(crate) fn random_below(bound: u64) -> u64 {
    if bound == 0 { 0 } else { random_u64() % bound }
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
    fn randomness_does_not_repeat() {
        assert_ne!(random_u64(), random_u64());
        assert_eq!(random_below(0), 0);
        assert!((0..100).all(|_| random_below(3) < 3));
    }
}
