//! All arithmetic on windows and buckets of time. No other file divides a timestamp.
//!
//! Windows are half-open, `[start, end)`, and aligned to multiples of their width since 1970.
//! Buckets of a rule group and of a rollup are the other way round, `(end − interval, end]`: a sample at
//! exactly the bucket's end belongs to it, because the rule is evaluated at that instant. **Windows of
//! blocks** are left-open as well ([`Window::of_block`], [`Window::holds`]), so that no bucket is ever cut
//! by the edge between two blocks.

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

    /// The window `(start, end]` of `width_ms` of the block that holds a sample at `at`.
    #[must_use]
    pub fn of_block(at: Timestamp, width_ms: i64) -> Self {
        let width = width_ms.max(1);
        let end = bucket_end(at, width, 0);
        Self { start: end.plus_ms(-width), end }
    }

    /// Whether a block of this window holds a sample at `at`: `(start, end]`.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.start < at && at <= self.end
    }

    /// The block's window of `width_ms` of which this one is a part.
    #[must_use]
    pub fn widened(&self, width_ms: i64) -> Self {
        Self::of_block(self.end, width_ms)
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

/// How many of the instants `first`, `first + every_ms`, … lie at or before `at`.
#[must_use]
pub fn instants_through(first: Timestamp, every_ms: i64, at: Timestamp) -> u64 {
    let passed = at.0.saturating_sub(first.0);
    if passed < 0 { 0 } else { (passed / every_ms.max(1)).unsigned_abs().saturating_add(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_counted_with_both_ends() {
        for (at, expected) in [(-1, 0), (4, 0), (5, 1), (14, 1), (15, 2), (26, 3)] {
            assert_eq!(instants_through(Timestamp(5), 10, Timestamp(at)), expected, "at {at}");
        }
        assert_eq!(instants_through(Timestamp(i64::MIN), 0, Timestamp(i64::MAX)), 1 << 63);
    }

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
    fn blocks_hold_their_windows_end_and_not_its_start() {
        for (at, start) in [(0, -10), (1, 0), (9, 0), (10, 0), (11, 10), (-1, -10), (-10, -20)] {
            let window = Window::of_block(Timestamp(at), 10);
            assert_eq!((window.start, window.end), (Timestamp(start), Timestamp(start + 10)), "at {at}");
            assert!(window.holds(Timestamp(at)) && !window.holds(window.start) && window.holds(window.end));
            assert_eq!(window.widened(10), window);
            assert!(window.widened(50).holds(Timestamp(at)));
        }
        assert_eq!(Window::of_block(Timestamp(50), 10).widened(50).end, Timestamp(50));
        assert_eq!(Window::of_block(Timestamp(51), 10).widened(50).end, Timestamp(100));
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
        let _ = Window::of_block(Timestamp(i64::MIN), TEN_MINUTES_MS).widened(DAY_MS);
        let _ = Window::of_block(Timestamp(i64::MAX), TEN_MINUTES_MS).widened(DAY_MS);
        let _ = bucket_end(Timestamp(i64::MAX), 1_000, 0);
        let _ = bucket_end(Timestamp(i64::MIN), 0, 0);
    }
}
