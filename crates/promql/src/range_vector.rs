//! Range vectors: for each series and step the samples in `(t − range, t]`, from a range selector
//! or from a subquery. Stale markers are left out. Samples are shared with the storage where none of them is a
//! marker, and windows slide over them.

use promql_parser::parser::{Expr as Tree, MatrixSelector, SubqueryExpr};
use series::{Labels, RollupSeries, Sample, is_stale};

use crate::error::EvalError;
use crate::eval::{Evaluator, mismatch};
use crate::extended;
use crate::grid::{Grid, Moved, millis, seconds};
use crate::parse::{Extension, extension, without_parens};
use crate::rolled;
use crate::row::without_name;
use crate::samples::Samples;
use crate::selection::{Use, selection, subquery_grid};
use crate::storage::Series;
use crate::value::Matrix;

/// The samples of one series in one window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    /// Ascending, never empty, without stale markers; of an extended window also those around it.
    pub(crate) samples: &'a [Sample],
    /// Where values fall: the places in `samples` of those that are less than the one before them.
    pub(crate) falls: Falls<'a>,
    /// The window is `(start_ms, end_ms]`.
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    /// The step's time, which `offset` and `@` do not move.
    pub(crate) at_ms: i64,
    /// The call's other arguments at this step, in order.
    pub(crate) args: [f64; 2],
}

impl Window<'_> {
    pub(crate) fn range_seconds(&self) -> f64 {
        seconds(self.end_ms.saturating_sub(self.start_ms))
    }
}

/// Places in a window, kept as places in its whole series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Falls<'a> {
    places: &'a [usize],
    first: usize,
}

impl<'a> Falls<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> + use<'a> {
        self.places.iter().map(move |place| place - self.first)
    }

    pub(crate) fn count(self) -> usize {
        self.places.len()
    }
}

/// One series of a range vector.
pub(crate) struct RangeSeries {
    pub(crate) labels: Labels,
    pub(crate) drop_name: bool,
    /// The storage's, stale markers among them, or computed ones.
    samples: Samples,
}

/// Looks at every sample once: the places of those that are less than the one before them, where they are
/// wanted. `None`: there is a stale marker among them.
fn falls(samples: &[Sample], wanted: bool) -> Option<Vec<usize>> {
    let mut falls = Vec::new();
    let mut before = f64::NAN;
    for (place, sample) in samples.iter().enumerate() {
        if is_stale(sample.value) {
            return None;
        }
        if wanted && sample.value < before {
            falls.push(place);
        }
        before = sample.value;
    }
    Some(falls)
}

/// All samples that the windows of all steps need.
pub(crate) struct RangeVector {
    pub(crate) series: Vec<RangeSeries>,
    pub(crate) extension: Option<Extension>,
    moved: Moved,
    range: i64,
    /// How far windows reach beyond both of their ends, in milliseconds.
    around: (i64, i64),
}

/// What a function reads of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Every sample.
    Samples,
    /// The ends, the number of samples, and the falls.
    EndsAndFalls,
    /// The ends and the number of samples.
    Ends,
}

/// Rollups, and how the windows over them are moved and how long they are.
pub(crate) type Rolled = (Vec<RollupSeries>, (Moved, i64));

/// The rollups that answer `function` of a range vector; `None` where samples must be read.
pub(crate) fn rollups(
    evaluator: &Evaluator,
    node: &Tree,
    function: &str,
    grid: Grid,
) -> Result<Option<Rolled>, EvalError> {
    let Tree::MatrixSelector(matrix) = without_parens(node) else { return Ok(None) };
    let range_ms = millis(&matrix.range);
    let use_of_it = Use::Window { range_ms, function: Some(function) };
    let Some(needed) = selection(&matrix.vs, use_of_it, grid, evaluator.whole, evaluator.options) else {
        return Ok(None);
    };
    let moved = Moved::new(matrix.vs.offset.as_ref(), matrix.vs.at.as_ref(), evaluator.whole);
    Ok(rolled::load(evaluator, &needed, moved)?.map(|(series, moved)| (series, (moved, range_ms))))
}

/// Reads or computes the samples of a range vector for `function`, which may not take every extension.
pub(crate) fn load(
    evaluator: &Evaluator,
    node: &Tree,
    function: Option<&str>,
    grid: Grid,
) -> Result<RangeVector, EvalError> {
    match without_parens(node) {
        Tree::MatrixSelector(matrix) => selected(evaluator, matrix, function, grid),
        Tree::Subquery(subquery) => computed(evaluator, subquery, grid),
        _ => Err(mismatch("range vector", "something else")),
    }
}

fn selected(
    evaluator: &Evaluator,
    matrix: &MatrixSelector,
    function: Option<&str>,
    grid: Grid,
) -> Result<RangeVector, EvalError> {
    let extension = extension(&matrix.vs);
    if let (Some(extension), Some(function)) = (extension, function) {
        extended::check(extension, function)?;
    }
    let range = millis(&matrix.range);
    let moved = Moved::new(matrix.vs.offset.as_ref(), matrix.vs.at.as_ref(), evaluator.whole);
    let lookback = evaluator.options.lookback_ms;
    let around = match extension {
        None => (0, 0),
        Some(Extension::Anchored) => (lookback, 0),
        Some(Extension::Smoothed) => (lookback, lookback),
    };
    let mut series = Vec::new();
    let use_of_it = Use::Window { range_ms: range, function };
    if let Some(needed) = selection(&matrix.vs, use_of_it, grid, evaluator.whole, evaluator.options) {
        let found = evaluator.select(&needed)?;
        series.reserve_exact(found.len());
        let ranged = |one: Series| RangeSeries { labels: one.labels, drop_name: false, samples: one.samples };
        series.extend(found.into_iter().map(ranged));
    }
    Ok(RangeVector { series, extension, moved, range, around })
}

fn computed(evaluator: &Evaluator, subquery: &SubqueryExpr, grid: Grid) -> Result<RangeVector, EvalError> {
    let inner = subquery_grid(subquery, grid, evaluator.whole, evaluator.options);
    evaluator.charge(1, inner.count)?;
    let rows = evaluator.rows(&subquery.expr, inner)?;
    let series = rows
        .into_iter()
        .map(|row| RangeSeries { samples: row.samples(inner).into(), labels: row.labels, drop_name: row.drop_name })
        .collect();
    let moved = Moved::new(subquery.offset.as_ref(), subquery.at.as_ref(), evaluator.whole);
    Ok(RangeVector { series, extension: None, moved, range: millis(&subquery.range), around: (0, 0) })
}

impl RangeVector {
    /// Calls `visit` with the step's number and window for every step whose window has samples.
    /// `args` are the call's other arguments, one value a step each.
    pub(crate) fn windows(
        &self,
        evaluator: &Evaluator,
        series: &RangeSeries,
        grid: Grid,
        reads: Reads,
        args: &[Vec<f64>],
        mut visit: impl FnMut(usize, Window),
    ) -> Result<(), EvalError> {
        // Series by series, so that its samples are still near when its windows are looked at.
        let wanted = reads == Reads::EndsAndFalls;
        let mut numbers: Vec<Sample> = Vec::new();
        let (samples, falls) = match falls(&series.samples, wanted) {
            Some(falls) => (&series.samples[..], falls),
            None => {
                numbers.extend(series.samples.iter().filter(|sample| !is_stale(sample.value)));
                (&numbers[..], falls(&numbers, wanted).unwrap_or_default())
            }
        };
        if reads != Reads::Samples {
            // Little at each step, so it is paid for at once.
            evaluator.visit(grid.count.saturating_add(falls.len()))?;
        }
        let window_at = |at_ms: i64| {
            let end_ms = self.moved.apply(at_ms);
            (end_ms.saturating_sub(self.range), end_ms)
        };
        let open_ms = |start_ms: i64| start_ms.saturating_sub(self.around.0);
        // The storage may give more than was asked for.
        let mut first = samples.partition_point(|sample| sample.at.ms() <= open_ms(window_at(grid.start).0));
        let (mut end, mut fall, mut fall_end) = (first, 0, 0);
        for (step, at_ms) in grid.times().enumerate() {
            let (start_ms, end_ms) = window_at(at_ms);
            let (open, close) = (open_ms(start_ms), end_ms.saturating_add(self.around.1));
            while samples.get(end).is_some_and(|sample| sample.at.ms() <= close) {
                end += 1;
            }
            while first < end && samples[first].at.ms() <= open {
                first += 1;
            }
            if first >= end {
                continue;
            }
            while falls.get(fall_end).is_some_and(|place| *place < end) {
                fall_end += 1;
            }
            while fall < fall_end && falls[fall] <= first {
                fall += 1;
            }
            let places = &falls[fall..fall_end];
            if reads == Reads::Samples {
                evaluator.visit(end - first)?;
            }
            let arg = |n: usize| args.get(n).and_then(|points| points.get(step)).copied().unwrap_or(f64::NAN);
            let args = [arg(0), arg(1)];
            let falls = Falls { places, first };
            visit(step, Window { samples: &samples[first..end], falls, start_ms, end_ms, at_ms, args });
        }
        Ok(())
    }

    /// The window at one instant as a result of its own.
    pub(crate) fn into_matrix(self, evaluator: &Evaluator, grid: Grid) -> Result<Matrix, EvalError> {
        let mut matrix: Matrix = Vec::new();
        for one in &self.series {
            let labels = if one.drop_name { without_name(&one.labels) } else { one.labels.clone() };
            if matrix.iter().any(|other| other.labels == labels) {
                return Err(EvalError::DuplicateLabelset { labels: labels.to_string() });
            }
            self.windows(evaluator, one, grid, Reads::Samples, &[], |_, window| {
                let samples = match self.extension {
                    None => window.samples.into(),
                    Some(extension) => extended::samples(&window, extension).into(),
                };
                matrix.push(Series { labels: labels.clone(), samples });
            })?;
        }
        matrix.retain(|one| !one.samples.is_empty());
        Ok(matrix)
    }
}
