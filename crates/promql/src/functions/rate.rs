//! How fast counters and gauges change. `rate`, `increase` and `delta` extrapolate to the ends of
//! the window, but never further than half the usual gap between samples where the series seems
//! to begin or end inside, and a counter never to below zero.

use series::{Labels, Sample};

use super::RangeFunction;
use crate::eval::Evaluator;
use crate::grid::seconds;
use crate::range_vector::Window;

/// A sample nearer to the window's end than this many usual gaps counts as reaching it.
const REACHES_GAPS: f64 = 1.1;

pub(super) fn function(name: &str) -> Option<RangeFunction> {
    Some(match name {
        "rate" => |window| Some(extrapolated(window, true)? / window.range_seconds()),
        "increase" => |window| extrapolated(window, true),
        "delta" => |window| extrapolated(window, false),
        "irate" => |window| {
            let (before, last, seconds) = last_two(window)?;
            let change = if last < before { last } else { last - before };
            Some(change / seconds)
        },
        "idelta" => |window| last_two(window).map(|(before, last, _)| last - before),
        "changes" => {
            |window| Some(pairs(window.samples).filter(|(a, b)| a != b && !(a.is_nan() && b.is_nan())).count() as f64)
        }
        "resets" => |window| Some(pairs(window.samples).filter(|(a, b)| b < a).count() as f64),
        _ => return None,
    })
}

/// Notes that a series is perhaps no counter, as Prometheus does, by the name's ending.
pub(super) fn doubt_counter(evaluator: &Evaluator, function: &str, labels: &Labels) {
    let Some(name) = labels.metric_name() else { return };
    if !["_total", "_sum", "_count", "_bucket"].iter().any(|ending| name.ends_with(ending)) {
        let message = "info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket";
        evaluator.annotate_argument(&format!("{message}: {name:?}"), function);
    }
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

/// The change over the whole window.
fn extrapolated(window: &Window, counter: bool) -> Option<f64> {
    let [first, .., last] = window.samples else { return None };
    let mut change = last.value - first.value;
    if counter {
        // After a reset a counter counts from zero.
        change += pairs(window.samples).filter(|(a, b)| b < a).map(|(a, _)| a).sum::<f64>();
    }
    let sampled = between(first.at.ms(), last.at.ms());
    let usual_gap = sampled / (window.samples.len() - 1) as f64;
    let reach = |gap: f64| if gap >= usual_gap * REACHES_GAPS { usual_gap / 2.0 } else { gap };
    let mut before = reach(between(window.start_ms, first.at.ms()));
    if counter && change > 0.0 && first.value >= 0.0 {
        let since_zero = sampled * (first.value / change);
        before = before.min(since_zero);
    }
    let after = reach(between(last.at.ms(), window.end_ms));
    Some(change * ((sampled + before + after) / sampled))
}
