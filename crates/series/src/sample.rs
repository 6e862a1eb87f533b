//! Timestamps, values, and who wins when one identity carries two values.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The bit pattern that Prometheus uses for "this series has ended".
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The stale marker as a value.
#[must_use]
pub fn stale_marker() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether `value` is the stale marker. Other NaNs are ordinary values.
#[must_use]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// Milliseconds since 1970-01-01 UTC; negative before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The milliseconds.
    #[must_use]
    pub fn ms(self) -> i64 {
        self.0
    }

    /// From seconds, as PromQL's API writes times. Saturates; NaN is 0.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * 1_000.0).round() as i64)
    }

    /// As seconds.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1_000.0
    }

    /// This time moved by `ms`, saturating.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One value at one time.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// What; may be NaN, infinite or the stale marker.
    pub value: f64,
}

impl PartialEq for Sample {
    /// Bit by bit, so that NaN equals itself.
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at && self.value.to_bits() == other.value.to_bits()
    }
}

/// The value that stays when one identity (tenant, series, timestamp) is given twice: a number
/// beats a stale marker, else the greater by IEEE 754 total order. Associative, commutative and
/// idempotent, so the order of deliveries does not matter.
#[must_use]
pub fn winner(a: f64, b: f64) -> f64 {
    match (is_stale(a), is_stale(b)) {
        (true, false) => b,
        (false, true) => a,
        _ if a.total_cmp(&b) == Ordering::Less => b,
        _ => a,
    }
}

/// Makes samples of one series a set: ascending in time, and of those with the same timestamp [`winner`] stays.
pub fn join_samples(samples: &mut Vec<Sample>) {
    if samples.is_sorted_by(|a, b| a.at < b.at) {
        return;
    }
    samples.sort_by_key(|sample| sample.at);
    samples.dedup_by(|next, kept| {
        let same = next.at == kept.at;
        if same {
            kept.value = winner(kept.value, next.value);
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![any::<u64>().prop_map(f64::from_bits), Just(stale_marker()), Just(0.0), Just(-0.0)]
    }

    fn same(a: f64, b: f64) -> bool {
        a.to_bits() == b.to_bits()
    }

    proptest! {
        #[test]
        fn commutative(a in value(), b in value()) {
            prop_assert!(same(winner(a, b), winner(b, a)));
        }

        #[test]
        fn associative(a in value(), b in value(), c in value()) {
            prop_assert!(same(winner(winner(a, b), c), winner(a, winner(b, c))));
        }

        #[test]
        fn idempotent(a in value()) {
            prop_assert!(same(winner(a, a), a));
        }
    }

    #[test]
    fn a_number_beats_a_stale_marker() {
        assert!(same(winner(stale_marker(), f64::NEG_INFINITY), f64::NEG_INFINITY));
        assert!(same(winner(1.0, 2.0), 2.0));
        assert!(is_stale(winner(stale_marker(), stale_marker())));
    }

    #[test]
    fn seconds_round_to_milliseconds() {
        assert_eq!(Timestamp::from_seconds(1.0005), Timestamp(1_001));
        assert_eq!(Timestamp::from_seconds(-0.001), Timestamp(-1));
        assert_eq!(Timestamp::from_seconds(f64::NAN), Timestamp(0));
        assert_eq!(Timestamp(i64::MAX).plus_ms(1), Timestamp(i64::MAX));
    }
}
