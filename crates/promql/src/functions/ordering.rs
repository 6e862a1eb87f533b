//! The order of an instant vector. Over a range there is none: results are sorted by labels.

use std::cmp::Ordering;

use promql_parser::parser::Expr as Tree;

use crate::error::EvalError;
use crate::eval::Evaluator;
use crate::grid::Grid;
use crate::numbers::nan_last;
use crate::row::Row;

pub(super) fn sort(
    evaluator: &Evaluator,
    name: &str,
    arg: &Tree,
    rest: &[&Tree],
    grid: Grid,
) -> Result<Vec<Row>, EvalError> {
    if !evaluator.sorted {
        let message = "warning: sort is ineffective for range queries since results are always ordered by labels";
        evaluator.annotate(message, name);
    }
    let mut rows = evaluator.rows(arg, grid)?;
    if !evaluator.sorted || grid.count != 1 {
        return Ok(rows);
    }
    let value = |row: &Row| row.points[0];
    let labels: Vec<String> = rest.iter().map(|node| evaluator.string(node)).collect::<Result<_, _>>()?;
    match name {
        "sort" => rows.sort_by(|a, b| nan_last(&value(a), &value(b))),
        "sort_desc" => rows.sort_by(|a, b| match (value(a).is_nan(), value(b).is_nan()) {
            (false, false) => nan_last(&value(b), &value(a)),
            _ => nan_last(&value(a), &value(b)),
        }),
        "sort_by_label" => rows.sort_by(|a, b| by_labels(a, b, &labels)),
        _ => rows.sort_by(|a, b| by_labels(b, a, &labels)),
    }
    Ok(rows)
}

/// The first of the labels that differs decides, else the whole label sets.
fn by_labels(a: &Row, b: &Row, labels: &[String]) -> Ordering {
    let text = |row: &Row, name: &String| row.labels.get(name).unwrap_or("").to_owned();
    let named = labels.iter().map(|name| natural(&text(a, name), &text(b, name)));
    named.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| a.labels.cmp(&b.labels))
}

/// Runs of digits are compared as numbers: `cpu2` comes before `cpu10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (part_a, rest_a) = part(a);
        let (part_b, rest_b) = part(b);
        let order = match (digits(part_a), digits(part_b)) {
            (Some(x), Some(y)) => x.len().cmp(&y.len()).then_with(|| x.cmp(y)),
            _ => part_a.cmp(part_b),
        };
        if order.is_ne() || part_a.is_empty() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// The leading run of digits, or of anything else.
fn part(text: &str) -> (&str, &str) {
    let is_digit = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != is_digit).unwrap_or(text.len());
    text.split_at(end)
}

/// The digits without leading zeros.
fn digits(part: &str) -> Option<&str> {
    part.starts_with(|c: char| c.is_ascii_digit()).then(|| part.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_inside_of_texts_count_as_numbers() {
        let mut texts = ["cpu10", "cpu2", "cpu", "4.18", "4.2", "a10b1", "a9b3"];
        texts.sort_by(|a, b| natural(a, b));
        assert_eq!(texts, ["4.2", "4.18", "a9b3", "a10b1", "cpu", "cpu2", "cpu10"]);
    }
}
