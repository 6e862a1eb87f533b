//! How an evaluation behaves, and its limits.

use crate::stop::Stop;

/// A sample answers an instant query for this long (Prometheus's default).
pub const LOOKBACK_MS: i64 = 5 * 60_000;
/// The resolution of a subquery that does not give one (Prometheus's evaluation interval).
pub const SUBQUERY_STEP_MS: i64 = 60_000;
/// Steps of one range query: the start, and as in Prometheus's API 11,000 steps after it.
pub const STEPS_MAX: u64 = 11_001;
/// Samples read plus points computed in one evaluation, of 8 to 16 bytes each: at most 320 MB.
pub const SAMPLES_MAX: u64 = 20_000_000;
/// Series that one evaluation may read.
pub const SERIES_MAX: u64 = 100_000;

/// Samples that functions of ranges look at: every window counts its own. About a few seconds.
pub const VISITS_MAX: u64 = 1_000_000_000;

/// Remarks that one result carries; more are left out, as in Prometheus's API.
pub const ANNOTATIONS_MAX: usize = 10;

/// Limits of one evaluation. What is passed first is named in the error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Samples read plus points computed.
    pub samples_max: u64,
    /// Series read.
    pub series_max: u64,
    /// Steps of a range query.
    pub steps_max: u64,
    /// Samples that functions of ranges look at.
    pub visits_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { samples_max: SAMPLES_MAX, series_max: SERIES_MAX, steps_max: STEPS_MAX, visits_max: VISITS_MAX }
    }
}

/// How an evaluation behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long a sample stands for its series, in milliseconds.
    pub lookback_ms: i64,
    /// The resolution of subqueries that do not give one, in milliseconds.
    pub subquery_step_ms: i64,
    /// Drop metric names only when the whole result is known, as Prometheus does behind its
    /// feature flag `promql-delayed-name-removal`. Off by default there and here.
    pub delayed_name_removal: bool,
    /// The limits.
    pub limits: Limits,
    /// Ends the evaluation early, with [`crate::EvalError::Stopped`].
    pub stop: Stop,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lookback_ms: LOOKBACK_MS,
            subquery_step_ms: SUBQUERY_STEP_MS,
            delayed_name_removal: false,
            limits: Limits::default(),
            stop: Stop::default(),
        }
    }
}
