//! `anchored` and `smoothed`: windows with a value at each of their ends. `anchored` takes the newest sample at
//! or before an end, as long as it is within the lookback; `smoothed` draws a line between the samples on
//! both sides of it. So `increase` over neighbouring windows adds up, without extrapolation.

use series::{Sample, Timestamp};

use crate::error::EvalError;
use crate::parse::Extension;
use crate::range_vector::Window;

/// The functions that know what to do with samples outside of their window.
const ANCHORED: [&str; 5] = ["changes", "delta", "increase", "rate", "resets"];
const SMOOTHED: [&str; 3] = ["delta", "increase", "rate"];

/// Fails where a function cannot take an extended window.
pub(crate) fn check(extension: Extension, function: &str) -> Result<(), EvalError> {
    let takes: &[&str] = match extension {
        Extension::Anchored => &ANCHORED,
        Extension::Smoothed => &SMOOTHED,
    };
    if takes.contains(&function) {
        return Ok(());
    }
    let (name, takes) = (extension.name(), takes.join(", "));
    Err(EvalError::Argument { what: format!("{name} modifier can only be used with: {takes} - not with {function}") })
}

/// The samples of a window and the values at its ends.
struct Ends<'a> {
    left: f64,
    right: f64,
    /// Those strictly inside.
    between: &'a [Sample],
}

fn ends<'a>(window: &Window<'a>, extension: Extension, counter: bool) -> Option<Ends<'a>> {
    let samples = window.samples;
    let (start, end) = (window.start_ms, window.end_ms);
    let smoothed = extension == Extension::Smoothed;
    let newest = samples.len().checked_sub(1)?;
    let mut first = samples[..newest].partition_point(|sample| sample.at.ms() <= start).saturating_sub(1);
    let mut last = if smoothed { samples[..newest].partition_point(|sample| sample.at.ms() < end) } else { newest };
    if samples[last].at.ms() <= start {
        return None;
    }
    let left = match samples.get(first + 1) {
        Some(after) if smoothed && samples[first].at.ms() < start => {
            let before = samples[first].value;
            // A counter that was reset in between came from zero.
            let before = if counter && after.value < before { 0.0 } else { before };
            on_line((samples[first].at, before), (after.at, after.value), start)
        }
        _ => samples[first].value,
    };
    let right = match last.checked_sub(1).map(|before| &samples[before]) {
        Some(before) if smoothed && samples[last].at.ms() > end => {
            let after = samples[last].value;
            let after = if counter && after < before.value { after + before.value } else { after };
            on_line((before.at, before.value), (samples[last].at, after), end)
        }
        _ => samples[last].value,
    };
    if samples[first].at.ms() <= start {
        first += 1;
    }
    if samples[last].at.ms() < end {
        last += 1;
    }
    Some(Ends { left, right, between: samples.get(first..last).unwrap_or(&[]) })
}

/// The value at `at` of the line through two points.
fn on_line(from: (Timestamp, f64), to: (Timestamp, f64), at: i64) -> f64 {
    let (passed, whole) = (at.saturating_sub(from.0.ms()), to.0.ms().saturating_sub(from.0.ms()));
    from.1 + (to.1 - from.1) * passed as f64 / whole as f64
}

/// How far the value went from one end of the window to the other; a counter's resets are made good.
pub(crate) fn change(window: &Window, extension: Extension, counter: bool) -> Option<f64> {
    let Ends { left, right, between } = ends(window, extension, counter)?;
    let mut change = right - left;
    if counter {
        let mut before = left;
        let mut made_good = 0.0;
        for value in between.iter().map(|sample| sample.value).chain([right]) {
            if value < before {
                made_good += before;
            }
            before = value;
        }
        change += made_good;
    }
    Some(change)
}

/// The samples from the newest one at or before the start of the window on.
pub(crate) fn anchored<'a>(window: &Window<'a>) -> Option<&'a [Sample]> {
    let newest = window.samples.len().checked_sub(1)?;
    if window.samples[newest].at.ms() <= window.start_ms {
        return None;
    }
    let inside = window.samples[..newest].partition_point(|sample| sample.at.ms() <= window.start_ms);
    Some(&window.samples[inside.saturating_sub(1)..])
}

/// The window as a result of its own: a sample at each end, and those between.
pub(crate) fn samples(window: &Window, extension: Extension) -> Vec<Sample> {
    let Some(Ends { left, right, between }) = ends(window, extension, false) else { return Vec::new() };
    let end = |at, value| Sample { at: Timestamp(at), value };
    let mut samples = vec![end(window.start_ms, left)];
    samples.extend_from_slice(between);
    samples.push(end(window.end_ms, right));
    samples
}

/// The value at `at` of a series: that of a sample at this very time, else of the line between the samples
/// on both sides, else of the newest before. `samples` are those within the lookback on both sides.
pub(crate) fn value_at(samples: &[Sample], at: i64) -> Option<f64> {
    let after = samples.partition_point(|sample| sample.at.ms() < at);
    match (after.checked_sub(1).map(|before| samples[before]), samples.get(after)) {
        (_, Some(sample)) if sample.at.ms() == at => Some(sample.value),
        (Some(before), Some(sample)) => Some(on_line((before.at, before.value), (sample.at, sample.value), at)),
        (Some(before), None) => Some(before.value),
        (None, _) => None,
    }
}
