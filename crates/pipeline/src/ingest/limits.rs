//! Limits of what a tenant may push, and the answers that name them.
//!
//! What is above a limit is refused and counted; the rest of the body is stored. Limits of one label set
//! (labels, lengths) are [`series::limits`]; of a body, [`crate::http::BODY_BYTES_MAX`] and
//! [`formats::decompress`]. These here are held by each process for what it sees itself: in `serve` that is
//! everything, on AWS it is an instance's share (decision 014).

/// How long a series counts as active after its last sample came in, in minutes.
pub const ACTIVE_MINUTES: i64 = 60;
/// Bytes of all label sets that a process remembers of a tenant.
pub const KNOWN_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// A source is spread over lanes above so many series in one flush.
pub const SPLIT_SERIES_MIN: usize = 5_000;
/// A source is spread over lanes above so many samples a second.
pub const SPLIT_SAMPLES_PER_SECOND_MIN: u64 = 20_000;

/// The reason of samples of series above [`Limits::active_series_max`].
pub const ACTIVE_SERIES: &str = "active_series_max";
/// The reason of samples of series above [`Limits::new_series_per_minute_max`].
pub const NEW_SERIES: &str = "new_series_per_minute_max";
/// The reason of samples above [`Limits::samples_per_body_max`].
pub const SAMPLES: &str = "samples_per_body_max";

/// What the operator allows a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Pushed series with a sample within the last [`ACTIVE_MINUTES`].
    pub active_series_max: usize,
    /// Series seen for the first time, within a minute.
    pub new_series_per_minute_max: usize,
    /// Samples of one body.
    pub samples_per_body_max: usize,
    /// A flush of an agent with more series than this is spread over lanes.
    pub split_series_min: usize,
    /// As are those of one that makes more samples a second than this.
    pub split_samples_per_second_min: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            active_series_max: 1_000_000,
            new_series_per_minute_max: 500_000,
            samples_per_body_max: 1_000_000,
            split_series_min: SPLIT_SERIES_MIN,
            split_samples_per_second_min: SPLIT_SAMPLES_PER_SECOND_MIN,
        }
    }
}

/// The status that answers a body of which something was refused: 429 where the same may be taken later,
/// 422 where a limit stands against it, 400 where it is bad.
pub fn status<'a>(reasons: impl IntoIterator<Item = &'a str>) -> u16 {
    let status = |reason| match reason {
        NEW_SERIES => 429,
        ACTIVE_SERIES | SAMPLES => 422,
        _ => 400,
    };
    reasons.into_iter().map(status).max().unwrap_or(400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_whether_it_may_be_sent_again() {
        assert_eq!(status(["too_old", ACTIVE_SERIES, NEW_SERIES]), 429);
        assert_eq!(status(["too_old", SAMPLES]), 422);
        assert_eq!(status(["too_old"]), 400);
    }
}
