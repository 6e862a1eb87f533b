//! `absent` and `absent_over_time`: 1 where a selector finds nothing, with the labels that its
//! equality matchers tell.

use std::collections::BTreeMap;

use promql_parser::label::MatchOp;
use promql_parser::parser::{Expr as Tree, VectorSelector};
use series::{Labels, METRIC_NAME, is_stale};

use crate::error::EvalError;
use crate::eval::Evaluator;
use crate::grid::Grid;
use crate::parse::{is_matcher, without_parens};
use crate::range_vector::{self, Reads};
use crate::rolled;
use crate::row::Row;

pub(super) fn absent(evaluator: &Evaluator, arg: &Tree, grid: Grid) -> Result<Vec<Row>, EvalError> {
    let rows = evaluator.rows(arg, grid)?;
    let mut points = vec![false; grid.count];
    for row in &rows {
        points.iter_mut().enumerate().for_each(|(step, present)| *present |= row.at(step).is_some());
    }
    one_where_not(evaluator, arg, &points, grid)
}

pub(super) fn absent_over_time(evaluator: &Evaluator, arg: &Tree, grid: Grid) -> Result<Vec<Row>, EvalError> {
    let mut points = vec![false; grid.count];
    if let Some((series, windows)) = range_vector::rollups(evaluator, arg, "absent_over_time", grid)? {
        rolled::mark_present(&series, windows, grid, &mut points)?;
        return one_where_not(evaluator, arg, &points, grid);
    }
    let vector = range_vector::load(evaluator, arg, Some("absent_over_time"), grid)?;
    for series in &vector.series {
        vector.windows(evaluator, series, grid, Reads::Ends, &[], |step, _| points[step] = true)?;
    }
    one_where_not(evaluator, arg, &points, grid)
}

fn one_where_not(evaluator: &Evaluator, arg: &Tree, present: &[bool], grid: Grid) -> Result<Vec<Row>, EvalError> {
    let mut points = evaluator.blank(grid)?;
    points.iter_mut().zip(present).filter(|(_, present)| !**present).for_each(|(point, _)| *point = 1.0);
    let labels = match without_parens(arg) {
        Tree::VectorSelector(selector) => told(selector)?,
        Tree::MatrixSelector(matrix) => told(&matrix.vs)?,
        _ => Labels::empty(),
    };
    Ok(if points.iter().all(|point| is_stale(*point)) { vec![] } else { vec![Row::new(labels, points)] })
}

/// The labels that a series must have had. As Prometheus does, a label that is matched again
/// after its first `=` is left out.
fn told(selector: &VectorSelector) -> Result<Labels, EvalError> {
    let mut labels: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for matcher in
        selector.matchers.matchers.iter().filter(|matcher| matcher.name != METRIC_NAME && is_matcher(matcher))
    {
        let name = matcher.name.as_str();
        match labels.get_mut(name) {
            Some(seen) => *seen = None,
            None if matches!(matcher.op, MatchOp::Equal) => {
                labels.insert(name, Some(&matcher.value));
            }
            None => {}
        }
    }
    Ok(Labels::from_pairs(labels.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))))?)
}
