//! All arithmetic on windows and buckets of time. No other file divides a timestamp.
//!
//! Windows are half-open, `[start, end)`, and aligned to multiples of their width since 1970.
//! Buckets of a rule group are the other way round, `(end − interval, end]`: a sample at exactly
//! the bucket's end belongs to it, because the rule is evaluated at that instant.

use serde::{Deserialize, Serialize};

use crate::sample::Timestamp;

/// A minute in milliseconds.
pub const MINUTE_MS: i64 = 60_000;
/// The width of the narrower rollups' buckets.
pub const FIVE_MINUTES_MS: i64 = 5 * MINUTE_MS;
/// The width of a block's window while it is not compacted further.
pub const TEN_MINUTES_MS: i64 = 10 * MINUTE_MS;
/// An hour in milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// A day in milliseconds.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// A half-open stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// First instant inside.
    pub start: Timestamp,
    /// First instant outside.
    pub end: Timestamp,
}

impl Window {
    /// The window of `width_ms` that holds `at`. Widths below 1 ms count as 1 ms.
    #[must_use]
    pub fn around(at: Timestamp, width_ms: i64) -> Self {
        let width = width_ms.max(1);
        let start = at.0.div_euclid(width).saturating_mul(width);
        Self { start: Timestamp(start), end: Timestamp(start.saturating_add(width)) }
    }

    /// Whether `at` is inside.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// The window of the same width just before this one.
    #[must_use]
    pub fn previous(&self) -> Self {
        let width = self.end.0 - self.start.0;
        Self { start: self.start.plus_ms(-width), end: self.start }
    }

    /// Whether a closed stretch `[from, to]` touches this window.
    #[must_use]
    pub fn overlaps(&self, from: Timestamp, to: Timestamp) -> bool {
        from < self.end && to >= self.start
    }
}

/// The end of the bucket that holds `at`, for an interval and a group's offset into it.
#[must_use]
pub fn bucket_end(at: Timestamp, interval_ms: i64, offset_ms: i64) -> Timestamp {
    let interval = interval_ms.max(1);
    let shifted = at.0.saturating_sub(offset_ms);
    let before = shifted.saturating_sub(1).div_euclid(interval);
    Timestamp((before.saturating_add(1)).saturating_mul(interval).saturating_add(offset_ms))
}

/// The bucket's number, counted from 1970.
#[must_use]
pub fn bucket_index(end: Timestamp, interval_ms: i64, offset_ms: i64) -> i64 {
    end.0.saturating_sub(offset_ms).div_euclid(interval_ms.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_their_start_and_not_their_end() {
        for (at, start) in [(0, 0), (9, 0), (10, 10), (-1, -10), (-10, -10), (-11, -20)] {
            let window = Window::around(Timestamp(at), 10);
            assert_eq!(window.start, Timestamp(start), "at {at}");
            assert!(window.contains(Timestamp(at)));
            assert!(!window.contains(window.end));
            assert!(window.previous().contains(window.start.plus_ms(-1)));
        }
    }

    #[test]
    fn buckets_hold_their_end_and_not_their_start() {
        for (at, end) in [(0, 0), (1, 10), (10, 10), (11, 20), (-9, 0), (-10, -10)] {
            assert_eq!(bucket_end(Timestamp(at), 10, 0), Timestamp(end), "at {at}");
        }
        assert_eq!(bucket_end(Timestamp(13), 10, 3), Timestamp(13));
        assert_eq!(bucket_end(Timestamp(14), 10, 3), Timestamp(23));
        assert_eq!(bucket_index(Timestamp(23), 10, 3), 2);
    }

    #[test]
    fn overlap_includes_both_ends_of_a_closed_stretch() {
        let window = Window::around(Timestamp(10), 10);
        assert!(window.overlaps(Timestamp(0), Timestamp(10)));
        assert!(window.overlaps(Timestamp(19), Timestamp(30)));
        assert!(!window.overlaps(Timestamp(20), Timestamp(30)));
        assert!(!window.overlaps(Timestamp(0), Timestamp(9)));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let _ = Window::around(Timestamp(i64::MIN), TEN_MINUTES_MS);
        let _ = Window::around(Timestamp(i64::MAX), TEN_MINUTES_MS);
        let _ = bucket_end(Timestamp(i64::MAX), 1_000, 0);
        let _ = bucket_end(Timestamp(i64::MIN), 0, 0);
    }
}
