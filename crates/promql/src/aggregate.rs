//! Aggregation over series: groups by labels, one value a group and step. The aggregators that
//! keep series (`topk`, `bottomk`, `limitk`) or make labels (`count_values`) are in `ranked`.

use std::collections::HashMap;

use promql_parser::parser::{AggregateExpr, LabelModifier, token};
use series::{Labels, METRIC_NAME, is_stale};

use crate::error::EvalError;
use crate::eval::Evaluator;
use crate::format::format_value;
use crate::grid::Grid;
use crate::numbers::{self, Fold};
use crate::row::{Row, merge};

mod ranked;

/// The series of one group.
struct Group {
    labels: Labels,
    drop_name: bool,
    rows: Vec<Row>,
}

impl Group {
    /// The values that are there at one step.
    fn at(&self, step: usize) -> impl Iterator<Item = f64> + '_ {
        self.rows.iter().filter_map(move |row| row.at(step))
    }
}

pub(crate) fn eval(evaluator: &Evaluator, aggregate: &AggregateExpr, grid: Grid) -> Result<Vec<Row>, EvalError> {
    let name = aggregate.op.to_string();
    let rows = evaluator.rows(&aggregate.expr, grid)?;
    let groups = groups(rows, aggregate.modifier.as_ref());
    let parameter = || match &aggregate.param {
        Some(parameter) => evaluator.scalar(parameter, grid),
        None => Err(EvalError::Argument { what: format!("{name} needs a parameter") }),
    };
    match aggregate.op.id() {
        token::T_SUM => folded::<numbers::Sum>(evaluator, &groups, grid),
        token::T_AVG => folded::<numbers::Mean>(evaluator, &groups, grid),
        token::T_MIN => folded::<numbers::Least>(evaluator, &groups, grid),
        token::T_MAX => folded::<numbers::Greatest>(evaluator, &groups, grid),
        token::T_COUNT => folded::<numbers::Count>(evaluator, &groups, grid),
        token::T_GROUP => folded::<numbers::Presence>(evaluator, &groups, grid),
        token::T_STDVAR => folded::<numbers::Variance>(evaluator, &groups, grid),
        token::T_STDDEV => folded::<numbers::Deviation>(evaluator, &groups, grid),
        token::T_QUANTILE => {
            let quantiles = parameter()?;
            warn_of_quantiles(evaluator, &quantiles, &name, 0);
            step_by_step(evaluator, &groups, grid, |step, values| numbers::quantile(quantiles[step], values.to_vec()))
        }
        token::T_TOPK => ranked::select(evaluator, groups, &parameter()?, ranked::Which::Greatest, grid),
        token::T_BOTTOMK => ranked::select(evaluator, groups, &parameter()?, ranked::Which::Smallest, grid),
        token::T_LIMITK => ranked::select(evaluator, groups, &parameter()?, ranked::Which::First, grid),
        token::T_LIMIT_RATIO => ranked::share(evaluator, groups, &parameter()?, grid),
        token::T_COUNT_VALUES => {
            let label = aggregate.param.as_ref().map_or(Ok(String::new()), |param| evaluator.string(param))?;
            ranked::count_values(evaluator, &groups, &label, grid)
        }
        _ => Err(evaluator.not_built(format!("the aggregation {name}"), &name)),
    }
}

/// One value a group and step, where the group has any. Row by row, so that memory is read in its order; at each step
/// the series of a group come in the same order as if they were taken step by step.
fn folded<F: Fold>(evaluator: &Evaluator, groups: &[Group], grid: Grid) -> Result<Vec<Row>, EvalError> {
    let mut rows = Vec::with_capacity(groups.len());
    let mut folds: Vec<Option<F>> = Vec::new();
    for group in groups {
        let mut points = evaluator.blank(grid)?;
        folds.clear();
        folds.resize(grid.count, None);
        for row in &group.rows {
            for (fold, value) in folds.iter_mut().zip(&row.points).filter(|(_, value)| !is_stale(**value)) {
                fold.get_or_insert_default().add(*value);
            }
        }
        for (point, fold) in points.iter_mut().zip(&folds) {
            if let Some(fold) = fold {
                *point = fold.value();
            }
        }
        rows.push(Row { labels: group.labels.clone(), drop_name: group.drop_name, points });
    }
    merge(rows)
}

/// One value a group and step of all values at that step, where the group has any.
fn step_by_step(
    evaluator: &Evaluator,
    groups: &[Group],
    grid: Grid,
    fold: impl Fn(usize, &[f64]) -> f64,
) -> Result<Vec<Row>, EvalError> {
    let mut rows = Vec::with_capacity(groups.len());
    let mut values = Vec::new();
    for group in groups {
        let mut points = evaluator.blank(grid)?;
        for (step, point) in points.iter_mut().enumerate() {
            values.clear();
            values.extend(group.at(step));
            if !values.is_empty() {
                *point = fold(step, &values);
            }
        }
        rows.push(Row { labels: group.labels.clone(), drop_name: group.drop_name, points });
    }
    merge(rows)
}

/// Puts rows into groups, in the order in which the groups are first met.
fn groups(rows: Vec<Row>, modifier: Option<&LabelModifier>) -> Vec<Group> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for row in rows {
        let labels = match modifier {
            None => Labels::empty(),
            Some(LabelModifier::Include(by)) => row.labels.keep(|name| by.labels.iter().any(|one| one == name)),
            Some(LabelModifier::Exclude(without)) => {
                row.labels.without(|name| name == METRIC_NAME || without.labels.iter().any(|one| one == name))
            }
        };
        let place = *places.entry(labels.clone()).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Group { labels, drop_name: false, rows: Vec::new() });
        }
        groups[place].drop_name |= row.drop_name;
        groups[place].rows.push(row);
    }
    groups
}

/// Quantiles outside of [0, 1] give infinities, which is seldom meant. The quantile is the argument number
/// `index` of the function `word`.
pub(crate) fn warn_of_quantiles(evaluator: &Evaluator, quantiles: &[f64], word: &str, index: usize) {
    let least = quantiles.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = quantiles.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let any_nan = quantiles.iter().copied().find(|q| q.is_nan());
    for q in
        any_nan.into_iter().chain([least].into_iter().filter(|q| *q < 0.0)).chain((greatest > 1.0).then_some(greatest))
    {
        let q = format_value(q);
        evaluator.annotate_argument(
            &format!("warning: quantile value should be between 0 and 1, got {q}"),
            word,
            index,
        );
    }
}
