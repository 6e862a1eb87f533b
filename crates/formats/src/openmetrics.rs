//! What OpenMetrics writes otherwise than Prometheus's text format: timestamps in seconds, and
//! exemplars after the sample. The rest is shared and stands in `prometheus_text.rs`.

use series::Timestamp;

/// The greatest timestamp, in seconds either side of 1970: what fits into milliseconds.
pub const TIMESTAMP_SECONDS_MAX: f64 = 9e15;

/// A timestamp in seconds, rounded to the millisecond.
pub(crate) fn timestamp(text: &str) -> Option<Timestamp> {
    let seconds: f64 = text.parse().ok()?;
    (seconds.abs() <= TIMESTAMP_SECONDS_MAX).then(|| Timestamp::from_seconds(seconds))
}

/// Whether an exemplar begins here: `# {trace_id="…"} 0.5 1700000000`.
pub(crate) fn is_exemplar(text: &str) -> bool {
    text.strip_prefix('#').is_some_and(|rest| rest.trim_start_matches(' ').starts_with('{'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_with_fractions() {
        assert_eq!(timestamp("1520879607.789"), Some(Timestamp(1_520_879_607_789)));
        assert_eq!(timestamp("-1"), Some(Timestamp(-1_000)));
        assert_eq!(timestamp("1.5e9"), Some(Timestamp(1_500_000_000_000)));
        for bad in ["NaN", "inf", "1e16", "x", ""] {
            assert_eq!(timestamp(bad), None, "{bad}");
        }
    }
}
