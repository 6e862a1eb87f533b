//! `label_replace` and `label_join`: labels made of other labels.

use promql_parser::parser::Expr as Tree;
use regex::Regex;
use series::{Labels, METRIC_NAME};

use crate::error::EvalError;
use crate::eval::Evaluator;
use crate::grid::Grid;
use crate::row::{Row, merge};

/// Sets `target` to `replacement` with the groups of `pattern` filled in, where the whole value
/// of `source` matches it. An empty result takes the label away.
pub(super) fn replace(evaluator: &Evaluator, arg: &Tree, rest: &[&Tree], grid: Grid) -> Result<Vec<Row>, EvalError> {
    let [target, replacement, source, pattern] = texts(evaluator, rest)?
        .try_into()
        .map_err(|_| EvalError::Argument { what: "label_replace needs four texts".to_owned() })?;
    let regex = Regex::new(&format!("^(?s:{pattern})$")).map_err(|_| EvalError::Argument {
        what: format!("invalid regular expression in label_replace(): {pattern}"),
    })?;
    check_name(&target, "label_replace")?;
    relabel(evaluator, arg, &target, grid, |labels| {
        let found = regex.captures(labels.get(&source).unwrap_or(""))?;
        let mut value = String::new();
        found.expand(&replacement, &mut value);
        Some(value)
    })
}

/// Sets `target` to the values of the other labels with `separator` in between.
pub(super) fn join(evaluator: &Evaluator, arg: &Tree, rest: &[&Tree], grid: Grid) -> Result<Vec<Row>, EvalError> {
    let texts = texts(evaluator, rest)?;
    let [target, separator, sources @ ..] = texts.as_slice() else {
        return Err(EvalError::Argument { what: "label_join needs a label and a separator".to_owned() });
    };
    if let Some(empty) = sources.iter().find(|source| source.is_empty()) {
        return Err(EvalError::Argument { what: format!("invalid source label name in label_join(): {empty}") });
    }
    check_name(target, "label_join")?;
    relabel(evaluator, arg, target, grid, |labels| {
        let values: Vec<&str> = sources.iter().map(|source| labels.get(source).unwrap_or("")).collect();
        Some(values.join(separator))
    })
}

fn texts(evaluator: &Evaluator, nodes: &[&Tree]) -> Result<Vec<String>, EvalError> {
    nodes.iter().map(|node| evaluator.string(node)).collect()
}

fn check_name(name: &str, function: &str) -> Result<(), EvalError> {
    let what = || format!("invalid destination label name in {function}(): {name}");
    if name.is_empty() { Err(EvalError::Argument { what: what() }) } else { Ok(()) }
}

fn relabel(
    evaluator: &Evaluator,
    arg: &Tree,
    target: &str,
    grid: Grid,
    value: impl Fn(&Labels) -> Option<String>,
) -> Result<Vec<Row>, EvalError> {
    let mut rows = evaluator.rows(arg, grid)?;
    for row in &mut rows {
        if let Some(value) = value(&row.labels) {
            row.labels = row.labels.to_builder().set(target, value).build()?;
            // A name that was set on purpose stays.
            row.drop_name &= target != METRIC_NAME;
        }
    }
    merge(rows)
}
