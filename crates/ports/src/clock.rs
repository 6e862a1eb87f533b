//! Time and randomness, which the inner crates never take by themselves.

use series::Timestamp;

/// The time of day.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01 UTC, now.
    fn now(&self) -> Timestamp;
}

/// Randomness fit for secrets.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}
