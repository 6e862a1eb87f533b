//! When a bucket of a rule group closes, and what may then be concluded from it.
//!
//! A bucket `(end − interval, end]` closes as soon as every series that the group's rules selected
//! in the bucket before has a sample newer than `end − its step` (the next one would lie behind the
//! end), or when the grace has passed. It is evaluated once, at that moment, with the evaluation's
//! time = its end; a later sample counts from the next bucket.
//!
//! Silence of the pipeline is not silence of the hosts: that somebody is *absent* is concluded
//! only where every series has reported, or where everything is proven to be stored that was
//! accepted until the grace ended. A proof that reaches only the bucket's end does not do: a sample
//! of the bucket that was accepted during the grace may still be on its way. Where the proof is not
//! there yet, the bucket waits for it beyond the grace, and closes in the end without such
//! conclusions.

use serde::{Deserialize, Serialize};
use series::{SeriesId, Timestamp};

use crate::state::stored;

/// How long after its end a bucket waits for series that have not reported, ms.
pub const GRACE_MS: i64 = 30_000;
/// How long after its end a bucket waits for a pipeline that is not current, ms. After that it
/// closes, and nothing is concluded from what is missing.
pub const STALL_MS: i64 = 150_000;
/// How often it is asked, after the grace, whether the proof has come, ms: nothing else wakes a group
/// whose series are all silent.
pub const PROOF_ASK_MS: i64 = 5_000;
/// Series that are remembered per group. With more, buckets close by the grace.
pub const SELECTED_SERIES_MAX: usize = 3_000;
/// Buckets that are caught up one by one after a standstill; earlier ones are skipped and counted.
pub const CATCH_UP_BUCKETS_MAX: i64 = 60;
/// A step above this is not believed: the series is a rare one.
const STEP_MS_MAX: i64 = 5 * 60_000;

/// A series that a group's rules selected, and how often it reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selected {
    /// Which series.
    #[serde(with = "stored::series_id")]
    pub series: SeriesId,
    /// Its newest sample.
    pub newest: Timestamp,
    /// The time between its two newest samples, ms.
    pub step_ms: i64,
}

impl Selected {
    /// From a series' samples in time order; `None` where there is none.
    #[must_use]
    pub fn from_samples(series: SeriesId, samples: &[series::Sample], interval_ms: i64) -> Option<Self> {
        let newest = samples.last()?.at;
        let before = samples.iter().rev().map(|sample| sample.at).find(|at| *at < newest);
        let step_ms = before.map_or(interval_ms, |before| newest.0.saturating_sub(before.0)).clamp(1, STEP_MS_MAX);
        Some(Self { series, newest, step_ms })
    }

    /// Whether no further sample of it is expected in the bucket.
    #[must_use]
    pub fn has_reported(&self, bucket_end: Timestamp) -> bool {
        self.newest > bucket_end.plus_ms(-self.step_ms)
    }
}

/// What is known about a bucket when it is asked whether it closes.
#[derive(Debug, Clone, Copy)]
pub struct Bucket<'a> {
    /// Its end.
    pub end: Timestamp,
    /// The server's clock.
    pub now: Timestamp,
    /// The instant through which everything that was accepted is stored.
    pub current_through: Timestamp,
    /// The series that were selected in the bucket before, with what is known of them now.
    pub selected: &'a [Selected],
    /// Whether alerts of the group are begun straight from the stream, ahead of what is stored: the
    /// series of one of them may be on its way.
    pub stream_is_ahead: bool,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Not yet; ask again then, or when the manifest changes.
    Open {
        /// When at the latest.
        ask_again_at: Timestamp,
    },
    /// Evaluate it now.
    Closed {
        /// Why it closed.
        by: ClosedBy,
        /// Whether what is not in the result is really not there.
        complete: bool,
    },
}

/// Why a bucket closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// Every series of the bucket before has reported.
    AllReported,
    /// There was no series in the bucket before, and the pipeline is current.
    PipelineCurrent,
    /// The grace has passed, and what was accepted within it is stored or was waited for in vain.
    GraceEnded,
}

/// Whether the bucket closes.
#[must_use]
pub fn closing(bucket: &Bucket<'_>) -> Closing {
    if bucket.now < bucket.end {
        return Closing::Open { ask_again_at: bucket.end };
    }
    if !bucket.selected.is_empty() && bucket.selected.iter().all(|series| series.has_reported(bucket.end)) {
        return Closing::Closed { by: ClosedBy::AllReported, complete: true };
    }
    // Nobody was there before, so nobody can be missing; who comes late counts from the next bucket.
    if bucket.selected.is_empty() && !bucket.stream_is_ahead && bucket.current_through >= bucket.end {
        return Closing::Closed { by: ClosedBy::PipelineCurrent, complete: true };
    }
    let grace_end = bucket.end.plus_ms(GRACE_MS);
    if bucket.now < grace_end {
        return Closing::Open { ask_again_at: grace_end };
    }
    let proven = bucket.current_through >= grace_end;
    let stall_end = bucket.end.plus_ms(STALL_MS);
    if !proven && bucket.now < stall_end {
        return Closing::Open { ask_again_at: bucket.now.plus_ms(PROOF_ASK_MS).min(stall_end) };
    }
    Closing::Closed { by: ClosedBy::GraceEnded, complete: proven }
}

/// The ends of the buckets that are due, oldest first, and how many were skipped. `last` is the
/// bucket evaluated last, `None` where there was none: then only the newest is due.
#[must_use]
pub fn due(last: Option<Timestamp>, now: Timestamp, interval_ms: i64, offset_ms: i64) -> (Vec<Timestamp>, u64) {
    let interval_ms = interval_ms.max(1);
    let open = series::bucket_end(now, interval_ms, offset_ms);
    let newest = if open == now { open } else { open.plus_ms(-interval_ms) };
    let Some(last) = last else { return (vec![newest], 0) };
    let first = series::bucket_end(last.plus_ms(1), interval_ms, offset_ms);
    if first > newest {
        return (Vec::new(), 0);
    }
    let index = |end| series::bucket_index(end, interval_ms, offset_ms);
    let count = index(newest).saturating_sub(index(first)).saturating_add(1);
    let skipped = (count - CATCH_UP_BUCKETS_MAX).max(0);
    let ends = (skipped..count).map(|n| first.plus_ms(n.saturating_mul(interval_ms))).collect();
    (ends, skipped.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use series::Sample;

    use super::*;

    const END: i64 = 60_000;

    /// Series as (newest, step) in seconds; now and current in seconds.
    fn check(series: &[(i64, i64)], now_s: i64, current_s: i64, expected: Closing) {
        check_ahead(true, series, now_s, current_s, expected);
        if !series.is_empty() {
            check_ahead(false, series, now_s, current_s, expected);
        }
    }

    fn check_ahead(stream_is_ahead: bool, series: &[(i64, i64)], now_s: i64, current_s: i64, expected: Closing) {
        let selected: Vec<Selected> = series
            .iter()
            .enumerate()
            .map(|(i, (newest, step))| Selected {
                series: SeriesId(i as u128),
                newest: Timestamp(newest * 1_000),
                step_ms: step * 1_000,
            })
            .collect();
        let bucket = Bucket {
            end: Timestamp(END),
            now: Timestamp(now_s * 1_000),
            current_through: Timestamp(current_s * 1_000),
            selected: &selected,
            stream_is_ahead,
        };
        assert_eq!(closing(&bucket), expected, "{series:?} at {now_s}, current through {current_s}");
    }

    fn open(at_s: i64) -> Closing {
        Closing::Open { ask_again_at: Timestamp(at_s * 1_000) }
    }

    fn closed(by: ClosedBy, complete: bool) -> Closing {
        Closing::Closed { by, complete }
    }

    #[test]
    fn when_a_bucket_closes() {
        use ClosedBy::{AllReported, GraceEnded, PipelineCurrent};
        // Not before its end, however early the series report.
        check(&[(59, 10)], 59, 70, open(60));
        // Everybody has a sample newer than 60 − 10 s.
        check(&[(51, 10), (55, 10)], 60, 0, closed(AllReported, true));
        // Exactly at the bound is not newer: another sample will come at the bucket's end.
        check(&[(50, 10)], 60, 60, open(90));
        // One is missing, and everything accepted within the grace is stored: absence is real.
        check(&[(55, 10), (30, 10)], 89, 89, open(90));
        check(&[(55, 10), (30, 10)], 90, 90, closed(GraceEnded, true));
        // The proof has come as far as the bucket's end, or nearly to the grace's: what was accepted
        // later may still be on its way.
        check(&[(55, 10), (30, 10)], 90, 60, open(95));
        check(&[(55, 10), (30, 10)], 93, 89, open(98));
        check(&[(55, 10), (30, 10)], 98, 90, closed(GraceEnded, true));
        // One is missing because the pipeline stands still: it is waited for, and in the end
        // nothing is concluded from it.
        check(&[(55, 10), (30, 10)], 90, 59, open(95));
        check(&[(55, 10), (30, 10)], 206, 89, open(210));
        check(&[(55, 10), (30, 10)], 209, 89, open(210));
        check(&[(55, 10), (30, 10)], 210, 89, closed(GraceEnded, false));
        check(&[(55, 10), (30, 10)], 210, 90, closed(GraceEnded, true));
        // Nobody was there before. What the stream has begun may be on its way; else nobody is missing.
        check(&[], 61, 60, open(90));
        check(&[], 90, 89, open(95));
        check(&[], 91, 90, closed(GraceEnded, true));
        check(&[], 210, 89, closed(GraceEnded, false));
        check_ahead(false, &[], 61, 60, closed(PipelineCurrent, true));
        check_ahead(false, &[], 61, 59, open(90));
        check_ahead(false, &[], 210, 59, closed(GraceEnded, false));
    }

    #[test]
    fn a_step_is_the_distance_of_the_two_newest_samples() {
        let step = |times: &[i64]| {
            let samples: Vec<Sample> = times.iter().map(|at| Sample { at: Timestamp(*at), value: 0.0 }).collect();
            Selected::from_samples(SeriesId(1), &samples, 60_000).map(|s| (s.newest.0, s.step_ms))
        };
        assert_eq!(step(&[]), None);
        assert_eq!(step(&[5]), Some((5, 60_000)));
        assert_eq!(step(&[5, 15, 45]), Some((45, 30)));
        assert_eq!(step(&[0, STEP_MS_MAX]), Some((STEP_MS_MAX, STEP_MS_MAX)));
        assert_eq!(step(&[0, STEP_MS_MAX + 1]), Some((STEP_MS_MAX + 1, STEP_MS_MAX)));
    }

    #[test]
    fn which_buckets_are_due() {
        let due = |last: Option<i64>, now: i64| {
            let (ends, skipped) = due(last.map(Timestamp), Timestamp(now), 10, 0);
            (ends.iter().map(|end| end.0).collect::<Vec<_>>(), skipped)
        };
        assert_eq!(due(None, 25), (vec![20], 0));
        assert_eq!(due(None, 30), (vec![30], 0));
        assert_eq!(due(Some(20), 25), (vec![], 0));
        assert_eq!(due(Some(20), 30), (vec![30], 0));
        assert_eq!(due(Some(20), 55), (vec![30, 40, 50], 0));
        // The group's interval has changed.
        assert_eq!(due(Some(23), 55), (vec![30, 40, 50], 0));
        let (ends, skipped) = due(Some(0), CATCH_UP_BUCKETS_MAX * 10);
        assert_eq!((ends.len() as i64, skipped), (CATCH_UP_BUCKETS_MAX, 0));
        let (ends, skipped) = due(Some(0), (CATCH_UP_BUCKETS_MAX + 1) * 10);
        assert_eq!((ends.len() as i64, skipped, ends[0]), (CATCH_UP_BUCKETS_MAX, 1, 20));
    }
}
