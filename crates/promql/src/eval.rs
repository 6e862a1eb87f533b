//! Evaluation: one walk over the tree, every node over all steps at once.

use std::cell::{Cell, RefCell};

use promql_parser::parser::Expr as Tree;
use series::{Labels, RollupSeries, Sample, Timestamp};

use crate::error::EvalError;
use crate::grid::Grid;
use crate::options::{ANNOTATIONS_MAX, Options};
use crate::parse::{Expr, QueryTimes, without_parens};
use crate::row::{Row, absent_points, merge, settle_names, without_name};
use crate::scan::{place_of, place_of_argument};
use crate::selection::{Selection, too_many_samples};
use crate::stop::LOOK_EVERY;
use crate::storage::{Series, Storage};
use crate::value::{Evaluated, Matrix, Value};
use crate::{aggregate, binary, functions, range_vector, selector};

/// Evaluates `expr` at one instant.
pub fn instant(
    expr: &Expr,
    at: Timestamp,
    storage: &dyn Storage,
    options: &Options,
) -> Result<Evaluated<Value>, EvalError> {
    let grid = Grid::instant(at.ms());
    let evaluator = Evaluator::new(expr, (at.ms(), at.ms()), 0, storage, options);
    let tree = expr.resolved(evaluator.times)?;
    let tree = without_parens(&tree);
    let value = if matches!(tree, Tree::MatrixSelector(_) | Tree::Subquery(_)) {
        Value::Matrix(range_vector::load(&evaluator, tree, None, grid)?.into_matrix(&evaluator, grid)?)
    } else {
        match evaluator.eval(tree, grid)? {
            Out::Text(text) => Value::String(text),
            Out::Scalar(points) => Value::Scalar(Sample { at, value: points.first().copied().unwrap_or(f64::NAN) }),
            Out::Rows(rows) => Value::Vector(
                settle_names(rows)?
                    .into_iter()
                    .filter_map(|row| row.at(0).map(|value| (row.labels, Sample { at, value })))
                    .collect(),
            ),
        }
    };
    Ok(evaluator.evaluated(value))
}

/// Evaluates `expr` at every step from `start` to `end`, both included. The series are sorted by
/// their labels; a scalar is one series without labels.
pub fn range(
    expr: &Expr,
    start: Timestamp,
    end: Timestamp,
    step_ms: i64,
    storage: &dyn Storage,
    options: &Options,
) -> Result<Evaluated<Matrix>, EvalError> {
    let grid = Grid::range(start.ms(), end.ms(), step_ms, &options.limits)?;
    let evaluator =
        Evaluator { sorted: false, ..Evaluator::new(expr, (start.ms(), end.ms()), step_ms, storage, options) };
    let tree = expr.resolved(evaluator.times)?;
    let tree = without_parens(&tree);
    if matches!(tree, Tree::MatrixSelector(_) | Tree::Subquery(_)) {
        return Err(EvalError::NotARange { found: "range vector" });
    }
    let rows = match evaluator.eval(tree, grid)? {
        Out::Text(_) => return Err(EvalError::NotARange { found: "string" }),
        Out::Scalar(points) => vec![Row::new(Labels::empty(), points)],
        Out::Rows(rows) => settle_names(rows)?,
    };
    let mut matrix: Matrix = rows.into_iter().map(|row| row.into_series(grid)).collect();
    matrix.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(evaluator.evaluated(matrix))
}

/// What a node gives over all steps.
pub(crate) enum Out {
    /// One number a step.
    Scalar(Vec<f64>),
    Text(String),
    Rows(Vec<Row>),
}

/// One evaluation: its data, its options, what it has used so far.
pub(crate) struct Evaluator<'a> {
    pub(crate) options: &'a Options,
    /// Start and end of the whole query, for `@ start()` and `@ end()`.
    pub(crate) whole: (i64, i64),
    /// Step and range of the whole query, for computed durations, `step()` and `range()`.
    pub(crate) times: QueryTimes,
    /// Whether an order of series is worth anything: only at one instant.
    pub(crate) sorted: bool,
    storage: &'a dyn Storage,
    text: &'a str,
    samples_used: Cell<u64>,
    samples_read: Cell<u64>,
    pub(crate) rollups_ms: Cell<i64>,
    pub(crate) near_ms: Cell<i64>,
    /// What has been used when it is next asked whether to stop.
    next_look: Cell<u64>,
    series_used: Cell<u64>,
    visits: Cell<u64>,
    annotations: RefCell<Vec<String>>,
}

impl<'a> Evaluator<'a> {
    fn new(expr: &'a Expr, whole: (i64, i64), step_ms: i64, storage: &'a dyn Storage, options: &'a Options) -> Self {
        Self {
            options,
            whole,
            times: QueryTimes::new(whole, step_ms),
            sorted: true,
            storage,
            text: expr.text(),
            samples_used: Cell::new(0),
            samples_read: Cell::new(0),
            rollups_ms: Cell::new(0),
            near_ms: Cell::new(0),
            next_look: Cell::new(0),
            series_used: Cell::new(0),
            visits: Cell::new(0),
            annotations: RefCell::new(Vec::new()),
        }
    }

    fn evaluated<T>(self, value: T) -> Evaluated<T> {
        Evaluated {
            value,
            annotations: self.annotations.into_inner(),
            samples_read: self.samples_read.get(),
            samples_used: self.samples_used.get(),
            rollups_ms: self.rollups_ms.get(),
            near_ms: self.near_ms.get(),
        }
    }

    /// Fails where whoever asked does not wait any longer.
    fn look(&self) -> Result<(), EvalError> {
        let used = self.samples_used.get().saturating_add(self.visits.get());
        if used < self.next_look.get() {
            return Ok(());
        }
        self.next_look.set(used.saturating_add(LOOK_EVERY));
        if self.options.stop.asked() { Err(EvalError::Stopped) } else { Ok(()) }
    }

    /// Any node but range vectors, which only calls and subqueries can take.
    pub(crate) fn eval(&self, node: &Tree, grid: Grid) -> Result<Out, EvalError> {
        match without_parens(node) {
            Tree::NumberLiteral(number) => self.constant(number.val, grid),
            Tree::StringLiteral(text) => Ok(Out::Text(text.val.clone())),
            Tree::VectorSelector(one) => selector::vector(self, one, grid).map(Out::Rows),
            Tree::Unary(unary) => self.negated(&unary.expr, grid),
            Tree::Binary(binary) => binary::eval(self, binary, grid),
            Tree::Aggregate(aggregate) => aggregate::eval(self, aggregate, grid).map(Out::Rows),
            Tree::Call(call) => functions::eval(self, call, grid),
            Tree::MatrixSelector(_) | Tree::Subquery(_) => Err(self.not_built("a range vector in this place", "[")),
            Tree::Paren(_) | Tree::Extension(_) => Err(self.not_built("an extension", "")),
        }
    }

    /// A node that must give an instant vector.
    pub(crate) fn rows(&self, node: &Tree, grid: Grid) -> Result<Vec<Row>, EvalError> {
        match self.eval(node, grid)? {
            Out::Rows(rows) => Ok(rows),
            Out::Scalar(_) => Err(mismatch("instant vector", "scalar")),
            Out::Text(_) => Err(mismatch("instant vector", "string")),
        }
    }

    /// A node that must give a number a step.
    pub(crate) fn scalar(&self, node: &Tree, grid: Grid) -> Result<Vec<f64>, EvalError> {
        match self.eval(node, grid)? {
            Out::Scalar(points) => Ok(points),
            Out::Rows(_) => Err(mismatch("scalar", "instant vector")),
            Out::Text(_) => Err(mismatch("scalar", "string")),
        }
    }

    /// A node that must be a text.
    pub(crate) fn string(&self, node: &Tree) -> Result<String, EvalError> {
        match without_parens(node) {
            Tree::StringLiteral(text) => Ok(text.val.clone()),
            _ => Err(mismatch("string", "something else")),
        }
    }

    fn constant(&self, value: f64, grid: Grid) -> Result<Out, EvalError> {
        self.charge(1, grid.count)?;
        Ok(Out::Scalar(vec![value; grid.count]))
    }

    fn negated(&self, node: &Tree, grid: Grid) -> Result<Out, EvalError> {
        match self.eval(node, grid)? {
            Out::Scalar(points) => Ok(Out::Scalar(points.into_iter().map(|value| -value).collect())),
            Out::Rows(mut rows) => {
                rows.iter_mut().for_each(|row| row.change(|_, value| Some(-value)));
                self.unnamed(rows).map(Out::Rows)
            }
            Out::Text(_) => Err(mismatch("scalar or instant vector", "string")),
        }
    }

    /// Takes the metric names away, now or (delayed) at the end.
    pub(crate) fn unnamed(&self, mut rows: Vec<Row>) -> Result<Vec<Row>, EvalError> {
        if self.options.delayed_name_removal {
            rows.iter_mut().for_each(|row| row.drop_name = true);
            return Ok(rows);
        }
        rows.iter_mut().for_each(|row| row.labels = without_name(&row.labels));
        merge(rows)
    }

    /// Reads the series of one selector.
    pub(crate) fn select(&self, selection: &Selection) -> Result<Vec<Series>, EvalError> {
        let (from, to) = (selection.from, selection.to);
        let found = self.storage.select(&selection.matchers, from, to)?;
        self.count_series(found.len())?;
        for one in &found {
            // The storage may give more than was asked for; that is not looked at.
            let first = one.samples.partition_point(|sample| sample.at < from);
            let end = one.samples.partition_point(|sample| sample.at <= to);
            self.count_read(end.saturating_sub(first))?;
        }
        Ok(found)
    }

    fn count_series(&self, more: usize) -> Result<(), EvalError> {
        let series = self.series_used.get().saturating_add(more as u64);
        self.series_used.set(series);
        let max = self.options.limits.series_max;
        let hint = " series read; more matchers select fewer";
        if series > max { Err(EvalError::Limit { limit: "series_max", max, hint }) } else { Ok(()) }
    }

    fn count_read(&self, samples: usize) -> Result<(), EvalError> {
        self.samples_read.set(self.samples_read.get().saturating_add(samples as u64));
        self.charge(1, samples)
    }

    /// Reads the rollups of one selector whose buckets end in a stretch, where there are any; a rollup counts as a
    /// sample.
    pub(crate) fn rollups(
        &self,
        selection: &Selection,
        (from, to): (Timestamp, Timestamp),
        width_ms: i64,
    ) -> Result<Option<Vec<RollupSeries>>, EvalError> {
        let Some(found) = self.storage.rollups(&selection.matchers, from, to, width_ms)? else { return Ok(None) };
        self.count_series(found.len())?;
        for one in &found {
            self.count_read(one.rollups.len())?;
        }
        Ok(Some(found))
    }

    /// Counts samples read or points about to be computed; called before they are allocated.
    pub(crate) fn charge(&self, rows: usize, points: usize) -> Result<(), EvalError> {
        let more = (rows as u64).saturating_mul(points as u64);
        let used = self.samples_used.get().saturating_add(more);
        self.samples_used.set(used);
        let max = self.options.limits.samples_max;
        if used > max { Err(too_many_samples(max)) } else { self.look() }
    }

    /// Counts the samples that a function of a range is about to look at.
    pub(crate) fn visit(&self, samples: usize) -> Result<(), EvalError> {
        let visits = self.visits.get().saturating_add(samples as u64);
        self.visits.set(visits);
        let max = self.options.limits.visits_max;
        let hint = " samples looked at in ranges; shorter ranges or longer steps need fewer";
        if visits > max { Err(EvalError::Limit { limit: "visits_max", max, hint }) } else { self.look() }
    }

    /// An empty row's points, paid for.
    pub(crate) fn blank(&self, grid: Grid) -> Result<Vec<f64>, EvalError> {
        self.charge(1, grid.count)?;
        Ok(absent_points(grid))
    }

    /// The answer for a part of the language that is not evaluated yet; `word` is its first word.
    pub(crate) fn not_built(&self, what: impl Into<String>, word: &str) -> EvalError {
        let (line, column) = place_of(self.text, word);
        EvalError::NotBuilt { what: what.into(), line, column }
    }

    /// Notes `message` once, while there is room, with the place of `word` as Prometheus writes it.
    pub(crate) fn annotate(&self, message: &str, word: &str) {
        self.annotate_at(message, place_of(self.text, word));
    }

    /// The same with the place of an argument, counted from 0, of `function`.
    pub(crate) fn annotate_argument(&self, message: &str, function: &str, index: usize) {
        self.annotate_at(message, place_of_argument(self.text, function, index));
    }

    fn annotate_at(&self, message: &str, (line, column): (usize, usize)) {
        let text = format!("PromQL {message} ({line}:{column})");
        let mut annotations = self.annotations.borrow_mut();
        if annotations.len() < ANNOTATIONS_MAX && !annotations.contains(&text) {
            annotations.push(text);
        }
    }
}

/// An argument has another type than the grammar promised.
pub(crate) fn mismatch(expected: &str, found: &str) -> EvalError {
    EvalError::Argument { what: format!("expected a {expected}, found a {found}") }
}

#[cfg(test)]
pub(crate) mod tests;
