//! What the server was told of metrics, so that it is told what is new, and everything once a day: a server
//! may have begun anew. Bounded; knows no clock.

use std::collections::HashMap;

use formats::Description;
use series::Timestamp;
use wire::MetricMetadata;
use xxhash_rust::xxh3::xxh3_64;

/// Metrics whose description is told; what further ones are is not.
pub(super) const TOLD_METRICS_MAX: usize = 10_000;
/// After this time a description is told again.
const AGAIN_MS: i64 = 24 * 3_600_000;

/// By metric: a hash of its description, and when it was told.
#[derive(Default)]
pub(super) struct Told(HashMap<Box<str>, (u64, Timestamp)>);

impl Told {
    /// What the server has to be told of `metric`, if anything; from now on it counts as told.
    pub(super) fn news(&mut self, at: Timestamp, metric: &str, is: &Description) -> Option<MetricMetadata> {
        let Description { kind, help, unit } = is;
        let hash = xxh3_64(format!("{kind}\n{unit}\n{help}").as_bytes());
        let full = self.0.len() >= TOLD_METRICS_MAX;
        match self.0.get_mut(metric) {
            Some((known, when)) if *known == hash && at < when.plus_ms(AGAIN_MS) => return None,
            Some(entry) => *entry = (hash, at),
            None if full => return None,
            None => {
                self.0.insert(metric.into(), (hash, at));
            }
        }
        // As Prometheus has it where a target gives a help text alone.
        let kind = if kind.is_empty() { "unknown" } else { kind.as_str() };
        let (metric, kind) = (metric.to_owned(), kind.to_owned());
        Some(MetricMetadata { metric, kind, help: help.clone(), unit: unit.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(help: &str) -> Description {
        Description { kind: "gauge".to_owned(), help: help.to_owned(), unit: String::new() }
    }

    #[test]
    fn what_is_new_is_told_once_and_again_after_a_day() {
        let mut told = Told::default();
        let mut news = |at: i64, help: &str| told.news(Timestamp(at), "a", &gauge(help)).is_some();
        assert!(news(0, "x"));
        assert!(!news(AGAIN_MS - 1, "x"));
        assert!(news(AGAIN_MS, "x"), "a day later");
        assert!(news(AGAIN_MS + 1, "y"), "another help text");
        assert!(!news(AGAIN_MS + 2, "y"));
    }

    #[test]
    fn metrics_at_the_limit_and_one_past_it() {
        let mut told = Told::default();
        let mut news = |n: usize, help: &str| told.news(Timestamp(0), &format!("m{n}"), &gauge(help)).is_some();
        assert!((0..TOLD_METRICS_MAX).all(|n| news(n, "")));
        assert!(!news(TOLD_METRICS_MAX, ""));
        assert!(news(0, "new"), "a known one may change");
    }
}
