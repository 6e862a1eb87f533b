//! Straight lines through a window's samples, and smoothing.

use series::{Sample, Timestamp};

use super::{Over, RangeFunction};
use crate::grid::seconds;
use crate::numbers::Sum;
use crate::range_vector::{Reads, Window};

pub(super) fn function(name: &str) -> Option<Over> {
    let function: RangeFunction = match name {
        "deriv" => |window| {
            let first = window.samples.first()?.at;
            line(window.samples, first).map(|(slope, _)| slope)
        },
        "predict_linear" => |window| {
            let (slope, now) = line(window.samples, Timestamp(window.at_ms))?;
            Some(slope * window.args[0] + now)
        },
        "double_exponential_smoothing" => smoothed,
        _ => return None,
    };
    Some(Over { reads: Reads::Samples, function })
}

/// Slope a second and value at `origin` of the least-squares line; needs two samples.
fn line(samples: &[Sample], origin: Timestamp) -> Option<(f64, f64)> {
    if samples.len() < 2 {
        return None;
    }
    let level = samples[0].value;
    if samples.iter().all(|sample| sample.value == level) {
        return Some(if level.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, level) });
    }
    let (mut x, mut y, mut xy, mut xx) = (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    for sample in samples {
        let seconds = seconds(sample.at.ms().saturating_sub(origin.ms()));
        x.add(seconds);
        y.add(sample.value);
        xy.add(seconds * sample.value);
        xx.add(seconds * seconds);
    }
    let count = samples.len() as f64;
    let (x, y) = (x.value(), y.value());
    let slope = (xy.value() - x * y / count) / (xx.value() - x * x / count);
    Some((slope, y / count - slope * x / count))
}

/// Holt's double exponential smoothing: level and trend, each with its factor.
fn smoothed(window: &Window) -> Option<f64> {
    let [smoothing, trending] = window.args;
    let [first, second, ..] = window.samples else { return None };
    let mut trend = second.value - first.value;
    let mut level = first.value;
    for sample in &window.samples[1..] {
        let before = level;
        level = smoothing * sample.value + (1.0 - smoothing) * (before + trend);
        trend = trending * (level - before) + (1.0 - trending) * trend;
    }
    Some(level)
}
