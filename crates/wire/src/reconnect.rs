//! When an agent comes again: full jitter, shared by the agent and by whatever stands in for many
//! of them. Pure: the seed is an argument.

/// First backoff, ms. Full jitter: the wait is random between 0 and the backoff.
pub const BACKOFF_MIN_MS: u64 = 1_000;
/// Greatest backoff, ms.
pub const BACKOFF_MAX_MS: u64 = 300_000;
/// Greatest backoff for a server on the same host, ms: asking it costs nobody anything.
pub const BACKOFF_LOCAL_MAX_MS: u64 = 5_000;
/// A connection that was up this long starts the backoff anew, ms.
pub const GOOD_AFTER_MS: u64 = 30_000;
/// A heartbeat follows after this much silence, ms. A little more than the slowest flush: whoever
/// flushes each 60 s never sends one, and two fit into the lease of 150 s.
pub const HEARTBEAT_AFTER_MS: u64 = 65_000;

/// The longest wait after this many failures in a row before the present one, ms.
#[must_use]
pub fn backoff_ms(failures: u32, local: bool) -> u64 {
    let most = if local { BACKOFF_LOCAL_MAX_MS } else { BACKOFF_MAX_MS };
    BACKOFF_MIN_MS.saturating_mul(1 << failures.min(20)).min(most)
}

/// Random enough to keep many agents apart (SplitMix64). Not for secrets.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// The same seed, the same numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 to `most`, both included; `most` is below `u64::MAX`.
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most.saturating_add(1).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_up_to_its_limit() {
        assert_eq!(
            [0, 1, 2, 8, 9, u32::MAX].map(|n| backoff_ms(n, false)),
            [1_000, 2_000, 4_000, 256_000, 300_000, 300_000]
        );
        assert_eq!([0, 2, 3, u32::MAX].map(|n| backoff_ms(n, true)), [1_000, 4_000, 5_000, 5_000]);
    }

    #[test]
    fn jitter_reaches_both_ends_and_never_beyond() {
        let mut jitter = Jitter::new(7);
        let drawn: std::collections::BTreeSet<u64> = (0..1_000).map(|_| jitter.below(9)).collect();
        assert_eq!(drawn, (0..=9).collect());
        assert_eq!(jitter.below(0), 0);
    }
}
