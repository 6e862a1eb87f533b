//! Range vectors: for each series and step the samples in `(t − range, t]`, from a range selector
//! or from a subquery. Stale markers are left out.

use promql_parser::parser::{Expr as Tree, MatrixSelector, SubqueryExpr};
use series::{Labels, Sample, is_stale};

use crate::error::EvalError;
use crate::eval::{Evaluator, mismatch};
use crate::grid::{Grid, Moved, millis, seconds};
use crate::parse::without_parens;
use crate::row::without_name;
use crate::selection::{selection, subquery_grid};
use crate::storage::Series;
use crate::value::Matrix;

/// The samples of one series in one window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    /// Ascending, never empty, without stale markers.
    pub(crate) samples: &'a [Sample],
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

/// One series of a range vector.
pub(crate) struct RangeSeries {
    pub(crate) labels: Labels,
    pub(crate) drop_name: bool,
    samples: Vec<Sample>,
}

/// All samples that the windows of all steps need.
pub(crate) struct RangeVector {
    pub(crate) series: Vec<RangeSeries>,
    moved: Moved,
    range: i64,
}

/// Reads or computes the samples of a range vector.
pub(crate) fn load(evaluator: &Evaluator, node: &Tree, grid: Grid) -> Result<RangeVector, EvalError> {
    match without_parens(node) {
        Tree::MatrixSelector(matrix) => selected(evaluator, matrix, grid),
        Tree::Subquery(subquery) => computed(evaluator, subquery, grid),
        _ => Err(mismatch("range vector", "something else")),
    }
}

fn selected(evaluator: &Evaluator, matrix: &MatrixSelector, grid: Grid) -> Result<RangeVector, EvalError> {
    if !matrix.vs.matchers.or_matchers.is_empty() {
        return Err(evaluator.not_built("`or` between matchers", "or"));
    }
    let range = millis(&matrix.range);
    let moved = Moved::new(matrix.vs.offset.as_ref(), matrix.vs.at.as_ref(), evaluator.whole);
    let mut series = Vec::new();
    if let Some(needed) = selection(&matrix.vs, grid, range, evaluator.whole) {
        for one in evaluator.select(&needed)? {
            let samples = one.samples.iter().filter(|sample| !is_stale(sample.value)).copied().collect();
            series.push(RangeSeries { labels: one.labels, drop_name: false, samples });
        }
    }
    Ok(RangeVector { series, moved, range })
}

fn computed(evaluator: &Evaluator, subquery: &SubqueryExpr, grid: Grid) -> Result<RangeVector, EvalError> {
    let inner = subquery_grid(subquery, grid, evaluator.whole, evaluator.options);
    evaluator.charge(1, inner.count)?;
    let rows = evaluator.rows(&subquery.expr, inner)?;
    let series = rows
        .into_iter()
        .map(|row| RangeSeries { samples: row.samples(inner), labels: row.labels, drop_name: row.drop_name })
        .collect();
    let moved = Moved::new(subquery.offset.as_ref(), subquery.at.as_ref(), evaluator.whole);
    Ok(RangeVector { series, moved, range: millis(&subquery.range) })
}

impl RangeVector {
    /// Calls `visit` with the step's number and window for every step whose window has samples.
    /// `args` are the call's other arguments, one value a step each.
    pub(crate) fn windows(
        &self,
        evaluator: &Evaluator,
        series: &RangeSeries,
        grid: Grid,
        args: &[Vec<f64>],
        mut visit: impl FnMut(usize, Window),
    ) -> Result<(), EvalError> {
        let samples = &series.samples;
        let (mut first, mut end) = (0, 0);
        for (step, at_ms) in grid.times().enumerate() {
            let end_ms = self.moved.apply(at_ms);
            let start_ms = end_ms.saturating_sub(self.range);
            while samples.get(end).is_some_and(|sample| sample.at.ms() <= end_ms) {
                end += 1;
            }
            while first < end && samples[first].at.ms() <= start_ms {
                first += 1;
            }
            if first < end {
                evaluator.visit(end - first)?;
                let arg = |n: usize| args.get(n).and_then(|points| points.get(step)).copied().unwrap_or(f64::NAN);
                let args = [arg(0), arg(1)];
                visit(step, Window { samples: &samples[first..end], start_ms, end_ms, at_ms, args });
            }
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
            self.windows(evaluator, one, grid, &[], |_, window| {
                matrix.push(Series { labels: labels.clone(), samples: window.samples.into() });
            })?;
        }
        Ok(matrix)
    }
}
