//! Rollups: what the samples of one series in one bucket of time come to.
//!
//! A bucket of width `w` that ends at `e` is `(e − w, e]`, as PromQL's ranges are: a sample at
//! exactly `e` belongs to it, so that a query whose step, range and times are multiples of the width
//! is answered exactly. A rollup is a pure function of the joined samples of its bucket. Stale
//! markers are not counted; other NaNs are values, and are treated as Prometheus's
//! `sum_over_time`, `min_over_time` and `max_over_time` treat them.
//!
//! A block ends where its window ends, `[start, end)`, so the sample at the very end of a bucket may
//! stand in another block than the bucket's others. Each block is rolled up by itself, and a reader puts
//! such **parts** together with [`Rollup::followed_by`]: everything but `sum` and `increase` of
//! fractions then has the very bits of the whole, and these two those of another order of additions.

use std::sync::Arc;

use crate::labels::Labels;
use crate::sample::{Sample, Timestamp, is_stale};
use crate::window::bucket_end;

/// The widths in which rollups are kept, in milliseconds.
pub mod rollup_width {
    pub use crate::window::{FIVE_MINUTES_MS, HOUR_MS};

    /// All of them, the narrowest first; each is a multiple of the one before.
    pub const ALL: [i64; 2] = [FIVE_MINUTES_MS, HOUR_MS];
}

/// One bucket of one series. Where `count` is 0 the bucket holds nothing but stale markers: numbers are
/// 0 then, and `first_at` and `last_at` are the newest marker's time.
#[derive(Debug, Clone, Copy)]
pub struct Rollup {
    /// The bucket's last instant.
    pub end: Timestamp,
    /// Samples that are no stale markers.
    pub count: u64,
    /// Their sum (Kahan and Neumaier's, as Prometheus adds them).
    pub sum: f64,
    /// The least; NaN only where all are.
    pub min: f64,
    /// The greatest; NaN only where all are.
    pub max: f64,
    /// The earliest.
    pub first: f64,
    /// The latest.
    pub last: f64,
    /// How far a counter rose from `first` to `last`: `last − first`, and at each fall the value before
    /// it on top. Bit for bit `last − first` where it never fell.
    pub increase: f64,
    /// When `first` was.
    pub first_at: Timestamp,
    /// When `last` was; of a bucket with stale markers only, when the newest marker was.
    pub last_at: Timestamp,
    /// Whether the bucket's newest sample is a stale marker.
    pub stale_at_end: bool,
}

/// The rollups of one series, sorted by their ends, each end once.
#[derive(Debug, Clone, PartialEq)]
pub struct RollupSeries {
    /// Which series.
    pub labels: Labels,
    /// Its buckets; those without any sample are left out.
    pub rollups: Arc<[Rollup]>,
}

impl PartialEq for Rollup {
    /// Bit by bit, so that NaN equals itself.
    fn eq(&self, other: &Self) -> bool {
        let bits = |rollup: &Self| rollup.numbers().map(f64::to_bits);
        let rest = |rollup: &Self| (rollup.end, rollup.count, rollup.first_at, rollup.last_at, rollup.stale_at_end);
        bits(self) == bits(other) && rest(self) == rest(other)
    }
}

impl Rollup {
    /// Sum, min, max, first, last and increase.
    #[must_use]
    pub fn numbers(&self) -> [f64; 6] {
        [self.sum, self.min, self.max, self.first, self.last, self.increase]
    }

    /// How far a counter rose from this rollup's `last` to `later`'s `first`: the difference, or
    /// all of `first` after a fall.
    #[must_use]
    pub fn increase_to(&self, later: &Self) -> f64 {
        let before = if later.first < self.last { 0.0 } else { self.last };
        later.first - before
    }

    /// This part of a bucket and a later one of the same bucket as one; `None` where they are of two
    /// buckets or `later` does not begin after this one ends.
    #[must_use]
    pub fn followed_by(&self, later: &Self) -> Option<Self> {
        if self.end != later.end || later.first_at <= self.last_at {
            return None;
        }
        Some(match (self.count, later.count) {
            (0, _) => *later,
            (_, 0) => Self { stale_at_end: true, ..*self },
            _ => Self {
                count: self.count + later.count,
                sum: self.sum + later.sum,
                min: least(self.min, later.min),
                max: greatest(self.max, later.max),
                last: later.last,
                increase: self.chained_increase(later),
                last_at: later.last_at,
                stale_at_end: later.stale_at_end,
                ..*self
            },
        })
    }

    /// The increase from this rollup's `first` to `later`'s `last`. Bit for bit the whole's where
    /// the counter never falls.
    fn chained_increase(&self, later: &Self) -> f64 {
        let unbroken = |rollup: &Self| rollup.increase.to_bits() == (rollup.last - rollup.first).to_bits();
        if unbroken(self) && unbroken(later) && later.first >= self.last {
            later.last - self.first
        } else {
            self.increase + self.increase_to(later) + later.increase
        }
    }
}

/// The rollups of a series' samples, which are sorted by time, each time once.
#[must_use]
pub fn rollups(samples: &[Sample], width_ms: i64) -> Vec<Rollup> {
    let mut found = Vec::new();
    let mut rest = samples;
    while let Some(first) = rest.first() {
        let end = bucket_end(first.at, width_ms, 0);
        // At the very end of time a bucket may end before its samples: take one at least.
        let (bucket, left) = rest.split_at(rest.partition_point(|sample| sample.at <= end).max(1));
        found.extend(rollup(bucket, end));
        rest = left;
    }
    found
}

/// One bucket's rollup; `None` without samples.
fn rollup(bucket: &[Sample], end: Timestamp) -> Option<Rollup> {
    let newest = bucket.last()?;
    let stale_at_end = is_stale(newest.value);
    let mut samples = bucket.iter().filter(|sample| !is_stale(sample.value));
    let Some(first) = samples.next() else {
        return Some(Rollup {
            end,
            count: 0,
            sum: 0.0,
            min: 0.0,
            max: 0.0,
            first: 0.0,
            last: 0.0,
            increase: 0.0,
            first_at: newest.at,
            last_at: newest.at,
            stale_at_end,
        });
    };
    let mut sum = KahanSum::default();
    sum.add(first.value);
    let (mut count, mut min, mut max, mut last) = (1, first.value, first.value, first);
    // Added after the difference, in this order, as Prometheus's `increase` does.
    let mut before_falls = Vec::new();
    for sample in samples {
        count += 1;
        sum.add(sample.value);
        min = least(min, sample.value);
        max = greatest(max, sample.value);
        if sample.value < last.value {
            before_falls.push(last.value);
        }
        last = sample;
    }
    let increase = before_falls.iter().fold(last.value - first.value, |increase, before| increase + before);
    Some(Rollup {
        end,
        count,
        sum: sum.total(),
        min,
        max,
        first: first.value,
        last: last.value,
        increase,
        first_at: first.at,
        last_at: last.at,
        stale_at_end,
    })
}

/// The lesser; a NaN only where both are.
fn least(a: f64, b: f64) -> f64 {
    if b < a || a.is_nan() { b } else { a }
}

/// The greater; a NaN only where both are.
fn greatest(a: f64, b: f64) -> f64 {
    if b > a || a.is_nan() { b } else { a }
}

/// Kahan's sum with Neumaier's improvement, step for step as Prometheus's `kahanSumInc`.
#[derive(Default)]
struct KahanSum {
    sum: f64,
    lost: f64,
}

impl KahanSum {
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        if sum.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.lost += (self.sum - sum) + value;
        } else {
            self.lost += (value - sum) + self.sum;
        }
        self.sum = sum;
    }

    fn total(&self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }
}

#[cfg(test)]
mod tests;
