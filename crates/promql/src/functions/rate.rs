//! How fast counters and gauges change. `rate`, `increase` and `delta` extrapolate to the ends of
//! the window, but never further than half the usual gap between samples where the series seems
//! to begin or end inside, and a counter never to below zero.

use series::{Labels, Sample};

use super::{Over, RangeFunction};
use crate::eval::Evaluator;
use crate::extended;
use crate::grid::seconds;
use crate::parse::Extension;
use crate::range_vector::{Reads, Window};

/// A sample nearer to the window's end than this many usual gaps counts as reaching it.
const REACHES_GAPS: f64 = 1.1;

pub(super) fn function(name: &str, extension: Option<Extension>) -> Option<Over> {
    let (reads, function): (Reads, RangeFunction) = match (name, extension) {
        ("rate", None) => (Reads::EndsAndFalls, |window| {
            let (change, factor) = extrapolated(window, true)?;
            Some(change * (factor / window.range_seconds()))
        }),
        ("increase", None) => {
            (Reads::EndsAndFalls, |window| extrapolated(window, true).map(|(change, factor)| change * factor))
        }
        ("delta", None) => (Reads::Ends, |window| extrapolated(window, false).map(|(change, factor)| change * factor)),
        ("rate", Some(Extension::Anchored)) => (Reads::Samples, |window| {
            Some(extended::change(window, Extension::Anchored, true)? / window.range_seconds())
        }),
        ("rate", Some(Extension::Smoothed)) => (Reads::Samples, |window| {
            Some(extended::change(window, Extension::Smoothed, true)? / window.range_seconds())
        }),
        ("increase", Some(Extension::Anchored)) => {
            (Reads::Samples, |window| extended::change(window, Extension::Anchored, true))
        }
        ("increase", Some(Extension::Smoothed)) => {
            (Reads::Samples, |window| extended::change(window, Extension::Smoothed, true))
        }
        ("delta", Some(Extension::Anchored)) => {
            (Reads::Samples, |window| extended::change(window, Extension::Anchored, false))
        }
        ("delta", Some(Extension::Smoothed)) => {
            (Reads::Samples, |window| extended::change(window, Extension::Smoothed, false))
        }
        ("irate", _) => (Reads::Ends, |window| {
            let (before, last, seconds) = last_two(window)?;
            let change = if last < before { last } else { last - before };
            Some(change / seconds)
        }),
        ("idelta", _) => (Reads::Ends, |window| last_two(window).map(|(before, last, _)| last - before)),
        ("changes", None) => (Reads::Samples, |window| Some(changes(window.samples))),
        ("changes", Some(_)) => (Reads::Samples, |window| extended::anchored(window).map(changes)),
        ("resets", None) => (Reads::EndsAndFalls, |window| Some(window.falls.count() as f64)),
        ("resets", Some(_)) => (Reads::Samples, |window| {
            let samples = extended::anchored(window)?;
            Some(pairs(samples).filter(|(a, b)| b < a).count() as f64)
        }),
        _ => return None,
    };
    Some(Over { reads, function })
}

fn changes(samples: &[Sample]) -> f64 {
    pairs(samples).filter(|(a, b)| a != b && !(a.is_nan() && b.is_nan())).count() as f64
}

/// Notes that a series is perhaps no counter, as Prometheus does, by the name's ending.
pub(super) fn doubt_counter(evaluator: &Evaluator, function: &str, labels: &Labels) {
    let Some(name) = labels.metric_name() else { return };
    let doubt = match labels.get("__type__") {
        Some("counter" | "histogram") => return,
        Some(other) => format!("__type__ label is not set to \"counter\" or \"histogram\", got {other:?}"),
        None if ["_total", "_sum", "_count", "_bucket"].iter().any(|ending| name.ends_with(ending)) => return,
        None => "name does not end in _total/_sum/_count/_bucket".to_owned(),
    };
    evaluator.annotate_argument(&format!("info: metric might not be a counter, {doubt}: {name:?}"), function, 0);
}

fn pairs(samples: &[Sample]) -> impl Iterator<Item = (f64, f64)> + '_ {
    samples.windows(2).map(|pair| (pair[0].value, pair[1].value))
}

/// Seconds from one time to another.
fn between(from: i64, to: i64) -> f64 {
    seconds(to.saturating_sub(from))
}

fn last_two(window: &Window) -> Option<(f64, f64, f64)> {
    let [.., before, last] = window.samples else { return None };
    let seconds = between(before.at.ms(), last.at.ms());
    (seconds > 0.0).then_some((before.value, last.value, seconds))
}

/// The change from the first sample to the last one, and by what it grows to the ends of the window.
fn extrapolated(window: &Window, counter: bool) -> Option<(f64, f64)> {
    let [first, .., last] = window.samples else { return None };
    let mut change = last.value - first.value;
    if counter {
        // After a reset a counter counts from zero.
        window.falls.iter().for_each(|place| change += window.samples[place - 1].value);
    }
    let ends = SampledEnds {
        first: first.value,
        first_at: first.at.ms(),
        last_at: last.at.ms(),
        count: window.samples.len() as u64,
    };
    Some((change, ends.factor(change, counter, (window.start_ms, window.end_ms))))
}

/// What extrapolation knows of the samples in a window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SampledEnds {
    pub(crate) first: f64,
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
    /// At least two.
    pub(crate) count: u64,
}

impl SampledEnds {
    /// By what `change` between the samples grows over the whole window.
    pub(crate) fn factor(&self, change: f64, counter: bool, window: (i64, i64)) -> f64 {
        let sampled = between(self.first_at, self.last_at);
        let usual_gap = sampled / (self.count - 1) as f64;
        let reach = |gap: f64| if gap >= usual_gap * REACHES_GAPS { usual_gap / 2.0 } else { gap };
        let mut before = reach(between(window.0, self.first_at));
        if counter && change > 0.0 && self.first >= 0.0 {
            let since_zero = sampled * (self.first / change);
            before = before.min(since_zero);
        }
        let after = reach(between(self.last_at, window.1));
        (sampled + before + after) / sampled
    }
}
