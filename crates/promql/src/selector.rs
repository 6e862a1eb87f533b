//! Instant vector selectors: the newest sample of each series within the lookback, which is open
//! on the left; a stale marker ends a series at once.

use promql_parser::parser::VectorSelector;
use series::{Rollup, Sample, is_stale};

use crate::error::EvalError;
use crate::eval::Evaluator;
use crate::extended;
use crate::grid::{Grid, Moved};
use crate::parse::{Extension, extension};
use crate::rolled;
use crate::row::Row;
use crate::selection::{Selection, Use, selection};

/// The value of each series at each step.
pub(crate) fn vector(evaluator: &Evaluator, selector: &VectorSelector, grid: Grid) -> Result<Vec<Row>, EvalError> {
    newest(evaluator, selector, grid, |sample| sample.value, |rollup| rollup.last)
}

/// The time in seconds of the sample that stands for each series at each step.
pub(crate) fn times(evaluator: &Evaluator, selector: &VectorSelector, grid: Grid) -> Result<Vec<Row>, EvalError> {
    newest(evaluator, selector, grid, |sample| sample.at.seconds(), |rollup| rollup.last_at.seconds())
}

fn newest(
    evaluator: &Evaluator,
    selector: &VectorSelector,
    grid: Grid,
    pick: fn(&Sample) -> f64,
    pick_rolled: fn(&Rollup) -> f64,
) -> Result<Vec<Row>, EvalError> {
    let lookback = evaluator.options.lookback_ms;
    let Some(needed) = selection(selector, Use::Newest, grid, evaluator.whole, evaluator.options) else {
        return Ok(Vec::new());
    };
    let moved = Moved::new(selector.offset.as_ref(), selector.at.as_ref(), evaluator.whole);
    let mut rows = Vec::new();
    if extension(selector) == Some(Extension::Smoothed) {
        return smoothed(evaluator, &needed, moved, grid);
    }
    if let Some((series, moved)) = rolled::load(evaluator, &needed, moved)? {
        return rolled::newest(evaluator, &series, moved, grid, pick_rolled);
    }
    for series in evaluator.select(&needed)? {
        let mut points = evaluator.blank(grid)?;
        // The storage may give more than was asked for.
        let mut passed = series.samples.partition_point(|sample| sample.at < needed.from);
        for (time, point) in grid.times().zip(&mut points) {
            let at = moved.apply(time);
            while series.samples.get(passed).is_some_and(|sample| sample.at.ms() <= at) {
                passed += 1;
            }
            let newest = passed.checked_sub(1).and_then(|index| series.samples.get(index));
            if let Some(sample) = newest
                && sample.at.ms() > at.saturating_sub(lookback)
                && !is_stale(sample.value)
            {
                *point = pick(sample);
            }
        }
        let row = Row::new(series.labels, points);
        if row.is_present() {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// The value between the samples on both sides of each step.
fn smoothed(evaluator: &Evaluator, needed: &Selection, moved: Moved, grid: Grid) -> Result<Vec<Row>, EvalError> {
    let lookback = evaluator.options.lookback_ms;
    let mut rows = Vec::new();
    for series in evaluator.select(needed)? {
        let samples: Vec<Sample> = series.samples.iter().filter(|sample| !is_stale(sample.value)).copied().collect();
        let mut points = evaluator.blank(grid)?;
        for (time, point) in grid.times().zip(&mut points) {
            let at = moved.apply(time);
            let first = samples.partition_point(|sample| sample.at.ms() <= at.saturating_sub(lookback));
            let end = samples.partition_point(|sample| sample.at.ms() <= at.saturating_add(lookback));
            if let Some(value) = samples.get(first..end).and_then(|near| extended::value_at(near, at)) {
                *point = value;
            }
        }
        rows.push(Row::new(series.labels, points));
    }
    rows.retain(Row::is_present);
    Ok(rows)
}
