//! Windows and newest values answered from rollups, where [`crate::Selection::rollup`] says that whole buckets make
//! up every window. The answers are those of the samples, bit for bit, but for two: sums are added in
//! another order, and so are increases of counters with resets. Of a counter that has been NaN an increase is NaN.
//! Where [`crate::Selection::near`] says so, and the storage has chosen to, each step is answered in the same way as of
//! the end of the last whole bucket before it.

use series::{Rollup, RollupSeries};

use crate::error::EvalError;
use crate::eval::Evaluator;
use crate::functions::SampledEnds;
use crate::grid::{Grid, Moved, seconds};
use crate::numbers::{self, Sum};
use crate::row::Row;
use crate::selection::Selection;

/// Whether a function of a window can be answered from its buckets.
pub(crate) fn knows(function: &str) -> bool {
    folding(function).is_some() || function == "absent_over_time"
}

/// Buckets with samples in them, ascending, never none, and the window.
struct Buckets<'a> {
    buckets: &'a [&'a Rollup],
    window: (i64, i64),
}

type Folding = fn(&Buckets) -> Option<f64>;

fn folding(function: &str) -> Option<Folding> {
    Some(match function {
        "sum_over_time" => |buckets| Some(buckets.sum()),
        "avg_over_time" => |buckets| Some(buckets.sum() / buckets.count() as f64),
        "count_over_time" => |buckets| Some(buckets.count() as f64),
        "min_over_time" => |buckets| buckets.buckets.iter().map(|one| one.min).reduce(numbers::smaller),
        "max_over_time" => |buckets| buckets.buckets.iter().map(|one| one.max).reduce(numbers::greater),
        "first_over_time" => |buckets| buckets.buckets.first().map(|one| one.first),
        "last_over_time" => |buckets| buckets.buckets.last().map(|one| one.last),
        "present_over_time" => |_| Some(1.0),
        "delta" => |buckets| buckets.extrapolated(false),
        "increase" => |buckets| buckets.extrapolated(true),
        "rate" => |buckets| {
            let seconds = seconds(buckets.window.1.saturating_sub(buckets.window.0));
            let (change, factor) = buckets.change_and_factor(true)?;
            Some(change * (factor / seconds))
        },
        _ => return None,
    })
}

impl Buckets<'_> {
    fn sum(&self) -> f64 {
        let mut sum = Sum::default();
        self.buckets.iter().for_each(|one| sum.add(one.sum));
        sum.value()
    }

    fn count(&self) -> u64 {
        self.buckets.iter().map(|one| one.count).sum()
    }

    fn extrapolated(&self, counter: bool) -> Option<f64> {
        self.change_and_factor(counter).map(|(change, factor)| change * factor)
    }

    /// As from samples: the change between the first and the last, and by what it grows to the window's ends.
    fn change_and_factor(&self, counter: bool) -> Option<(f64, f64)> {
        let (first, last, count) = (self.buckets.first()?, self.buckets.last()?, self.count());
        if count < 2 {
            return None;
        }
        let mut change = last.last - first.first;
        if counter {
            let mut before = None;
            for one in self.buckets {
                // What was lost in resets: between buckets, then inside.
                if let Some(before) = before.filter(|before| one.first < *before) {
                    change += before;
                }
                let straight = one.last - one.first;
                if one.increase.to_bits() != straight.to_bits() {
                    change += one.increase - straight;
                }
                before = Some(one.last);
            }
        }
        let ends = SampledEnds { first: first.first, first_at: first.first_at.ms(), last_at: last.last_at.ms(), count };
        Some((change, ends.factor(change, counter, self.window)))
    }
}

/// The rollups of a selection, where it allows them and the storage has them, and how what is looked at is moved:
/// near ones answer as of the last bucket's end.
pub(crate) fn load(
    evaluator: &Evaluator,
    selection: &Selection,
    moved: Moved,
) -> Result<Option<(Vec<RollupSeries>, Moved)>, EvalError> {
    if let Some(width_ms) = selection.rollup
        && let Some(series) = evaluator.rollups(selection, (selection.from, selection.to), width_ms)?
    {
        evaluator.rollups_ms.set(evaluator.rollups_ms.get().max(width_ms));
        return Ok(Some((series, moved)));
    }
    let Some(near) = selection.near else { return Ok(None) };
    let Some(series) = evaluator.rollups(selection, (near.from, near.to), near.width_ms)? else { return Ok(None) };
    evaluator.near_ms.set(evaluator.near_ms.get().max(near.width_ms));
    Ok(Some((series, moved.to_buckets(near.width_ms))))
}

/// A function of windows, one row a series.
pub(crate) fn over_windows(
    evaluator: &Evaluator,
    function: &str,
    series: &[RollupSeries],
    (moved, range_ms): (Moved, i64),
    grid: Grid,
) -> Result<Vec<Row>, EvalError> {
    let Some(folding) = folding(function) else {
        return Err(evaluator.not_built(format!("the function {function}() of rollups"), function));
    };
    let mut rows = Vec::with_capacity(series.len());
    for one in series {
        let mut points = evaluator.blank(grid)?;
        let filled: Vec<&Rollup> = one.rollups.iter().filter(|rollup| rollup.count > 0).collect();
        windows(&filled, moved, range_ms, grid, |step, buckets, window| {
            evaluator.visit(buckets.len())?;
            if let Some(value) = folding(&Buckets { buckets, window }) {
                points[step] = value;
            }
            Ok(())
        })?;
        rows.push(Row::new(one.labels.clone(), points));
    }
    rows.retain(Row::is_present);
    Ok(rows)
}

/// Marks the steps at whose windows there are samples.
pub(crate) fn mark_present(
    series: &[RollupSeries],
    (moved, range_ms): (Moved, i64),
    grid: Grid,
    present: &mut [bool],
) -> Result<(), EvalError> {
    for one in series {
        let filled: Vec<&Rollup> = one.rollups.iter().filter(|rollup| rollup.count > 0).collect();
        windows(&filled, moved, range_ms, grid, |step, _, _| {
            present[step] = true;
            Ok(())
        })?;
    }
    Ok(())
}

/// Of each series the newest sample within the lookback, unless a stale marker is newer.
pub(crate) fn newest(
    evaluator: &Evaluator,
    series: &[RollupSeries],
    moved: Moved,
    grid: Grid,
    pick: fn(&Rollup) -> f64,
) -> Result<Vec<Row>, EvalError> {
    let mut rows = Vec::with_capacity(series.len());
    for one in series {
        let mut points = evaluator.blank(grid)?;
        let all: Vec<&Rollup> = one.rollups.iter().collect();
        windows(&all, moved, evaluator.options.lookback_ms, grid, |step, buckets, (start_ms, _)| {
            // A bucket may be wider than the lookback: its last sample then may be too old.
            let newest = buckets.last().filter(|newest| !newest.stale_at_end && newest.last_at.ms() > start_ms);
            if let Some(newest) = newest {
                points[step] = pick(newest);
            }
            Ok(())
        })?;
        rows.push(Row::new(one.labels.clone(), points));
    }
    rows.retain(Row::is_present);
    Ok(rows)
}

/// Calls `visit` with the step, its buckets and its window, for every step that has buckets.
fn windows(
    rollups: &[&Rollup],
    moved: Moved,
    range_ms: i64,
    grid: Grid,
    mut visit: impl FnMut(usize, &[&Rollup], (i64, i64)) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    let (mut first, mut end) = (0, 0);
    for (step, at_ms) in grid.times().enumerate() {
        let end_ms = moved.apply(at_ms);
        let start_ms = end_ms.saturating_sub(range_ms);
        while rollups.get(end).is_some_and(|rollup| rollup.end.ms() <= end_ms) {
            end += 1;
        }
        while first < end && rollups[first].end.ms() <= start_ms {
            first += 1;
        }
        if first < end {
            visit(step, &rollups[first..end], (start_ms, end_ms))?;
        }
    }
    Ok(())
}
