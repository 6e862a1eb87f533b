//! Aggregators that keep some of the series, and the one that counts equal values.

use std::cmp::Ordering;
use std::collections::HashMap;

use series::Labels;

use super::Group;
use crate::error::EvalError;
use crate::eval::Evaluator;
use crate::format::{format_plain, format_value};
use crate::grid::Grid;
use crate::numbers::nan_last;
use crate::row::{Row, merge};

/// Which series of a group stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Greatest,
    Smallest,
    First,
}

impl Which {
    fn compare(self, a: &f64, b: &f64) -> Ordering {
        match self {
            Self::Smallest => nan_last(a, b),
            Self::Greatest if a.is_nan() || b.is_nan() => nan_last(a, b),
            Self::Greatest => nan_last(b, a),
            Self::First => Ordering::Equal,
        }
    }
}

/// Keeps `counts[step]` series of each group. At one instant they come in the order of their
/// values.
pub(super) fn select(
    evaluator: &Evaluator,
    groups: Vec<Group>,
    counts: &[f64],
    which: Which,
    grid: Grid,
) -> Result<Vec<Row>, EvalError> {
    let wrong = |what: String| Err(EvalError::Argument { what });
    if counts.iter().any(|count| count.is_nan()) {
        return wrong("Parameter value is NaN".to_owned());
    }
    if let Some(bad) = counts.iter().find(|count| **count <= i64::MIN as f64) {
        return wrong(format!("Scalar value {} underflows int64", format_value(*bad)));
    }
    if let Some(bad) = counts.iter().find(|count| **count >= i64::MAX as f64) {
        return wrong(format!("Scalar value {} overflows int64", format_value(*bad)));
    }
    let mut kept = Vec::new();
    for mut group in groups {
        // Among equal values the labels decide, so that the answer hangs on the data alone.
        group.rows.sort_by(|a, b| a.labels.cmp(&b.labels));
        let mut stays = vec![false; group.rows.len()];
        for (step, count) in counts.iter().enumerate() {
            let mut present: Vec<(usize, f64)> =
                group.rows.iter().enumerate().filter_map(|(n, row)| row.at(step).map(|value| (n, value))).collect();
            present.sort_by(|a, b| which.compare(&a.1, &b.1));
            let count = (count.max(0.0) as usize).min(present.len());
            stays.fill(false);
            present[..count].iter().for_each(|(n, _)| stays[*n] = true);
            for (row, stays) in group.rows.iter_mut().zip(&stays) {
                if !stays {
                    row.points[step] = crate::row::ABSENT;
                }
            }
        }
        group.rows.retain(Row::is_present);
        if evaluator.sorted && grid.count == 1 {
            group.rows.sort_by(|a, b| which.compare(&a.points[0], &b.points[0]));
        }
        kept.append(&mut group.rows);
    }
    Ok(kept)
}

/// Keeps the series whose identity falls into the first `ratio` of all identities, or for a
/// negative ratio into the last: `r` and `r - 1` together keep each series once.
pub(super) fn share(
    evaluator: &Evaluator,
    groups: Vec<Group>,
    ratios: &[f64],
    grid: Grid,
) -> Result<Vec<Row>, EvalError> {
    if ratios.iter().any(|ratio| ratio.is_nan()) {
        return Err(EvalError::Argument { what: "Ratio value is NaN".to_owned() });
    }
    let greatest = ratios.iter().copied().fold(1.0, f64::max);
    let least = ratios.iter().copied().fold(-1.0, f64::min);
    for (ratio, nearest) in [(greatest, 1.0), (least, -1.0)].into_iter().filter(|(ratio, nearest)| ratio != nearest) {
        let (ratio, nearest) = (format_value(ratio), format_value(nearest));
        let message = format!("warning: ratio value should be between -1 and 1, got {ratio}, capping to {nearest}");
        evaluator.annotate_argument(&message, "limit_ratio", 0);
    }
    evaluator.charge(groups.len(), grid.count)?;
    let mut rows: Vec<Row> = groups.into_iter().flat_map(|group| group.rows).collect();
    for row in &mut rows {
        let place = (row.labels.id().0 >> 64) as f64 / (u64::MAX as f64 + 1.0);
        row.change(|step, value| {
            let ratio = ratios[step];
            let kept = if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio };
            kept.then_some(value)
        });
    }
    rows.retain(Row::is_present);
    Ok(rows)
}

/// How many series of a group have each value; the value becomes the label `label`, even where the
/// group has that label already.
pub(super) fn count_values(
    evaluator: &Evaluator,
    groups: &[Group],
    label: &str,
    grid: Grid,
) -> Result<Vec<Row>, EvalError> {
    if label.is_empty() {
        return Err(EvalError::Argument { what: "invalid label name \"\"".to_owned() });
    }
    let mut rows = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for group in groups {
        for step in 0..grid.count {
            for value in group.at(step) {
                let labels = group.labels.to_builder().set(label, format_plain(value)).build()?;
                let place = *places.entry(labels.clone()).or_insert(rows.len());
                if place == rows.len() {
                    rows.push(Row::new(labels, evaluator.blank(grid)?));
                }
                rows[place].points[step] = rows[place].at(step).unwrap_or(0.0) + 1.0;
            }
        }
    }
    merge(rows)
}
