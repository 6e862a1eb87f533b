//! Intermediate results: series with one point a step. Dense, so that every operation is a loop
//! over steps; a missing point is the stale marker's bit pattern, which no computation makes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use series::{Labels, METRIC_NAME, STALE_NAN_BITS, Sample, Timestamp, is_stale};

use crate::error::EvalError;
use crate::grid::Grid;
use crate::storage::Series;

/// "No value at this step."
pub(crate) const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

/// One series over all steps of a grid.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// The metric name is to go once the whole result is known (delayed name removal).
    pub(crate) drop_name: bool,
    /// One value a step.
    pub(crate) points: Vec<f64>,
}

impl Row {
    pub(crate) fn new(labels: Labels, points: Vec<f64>) -> Self {
        Self { labels, drop_name: false, points }
    }

    /// The value at a step, where there is one.
    pub(crate) fn at(&self, step: usize) -> Option<f64> {
        self.points.get(step).copied().filter(|value| !is_stale(*value))
    }

    /// Whether there is a value at any step.
    pub(crate) fn is_present(&self) -> bool {
        self.points.iter().any(|value| !is_stale(*value))
    }

    /// Applies `change` to every value; `None` takes the point away.
    pub(crate) fn change(&mut self, mut change: impl FnMut(usize, f64) -> Option<f64>) {
        for (step, point) in self.points.iter_mut().enumerate() {
            if !is_stale(*point) {
                *point = change(step, *point).unwrap_or(ABSENT);
            }
        }
    }

    /// As samples at the grid's times.
    pub(crate) fn samples(&self, grid: Grid) -> Vec<Sample> {
        let timed = grid.times().zip(&self.points);
        timed.filter(|(_, v)| !is_stale(**v)).map(|(at, v)| Sample { at: Timestamp(at), value: *v }).collect()
    }

    pub(crate) fn into_series(self, grid: Grid) -> Series {
        let samples = if self.points.iter().any(|value| is_stale(*value)) {
            self.samples(grid).into()
        } else {
            // Of known length, so that it is written once into its place.
            (0..self.points.len().min(grid.count))
                .map(|step| Sample { at: Timestamp(grid.at(step)), value: self.points[step] })
                .collect()
        };
        Series { samples, labels: self.labels }
    }
}

/// A row of no values.
pub(crate) fn absent_points(grid: Grid) -> Vec<f64> {
    vec![ABSENT; grid.count]
}

/// Makes one row of those with equal labels (and equal fate of their name). Two values at one step are an error; empty rows go.
pub(crate) fn merge(rows: Vec<Row>) -> Result<Vec<Row>, EvalError> {
    let mut places: HashMap<(Labels, bool), usize> = HashMap::with_capacity(rows.len());
    let mut merged: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows.into_iter().filter(Row::is_present) {
        match places.entry((row.labels.clone(), row.drop_name)) {
            Entry::Vacant(free) => {
                free.insert(merged.len());
                merged.push(row);
            }
            Entry::Occupied(taken) => {
                let kept = &mut merged[*taken.get()];
                for (old, new) in kept.points.iter_mut().zip(row.points) {
                    match (is_stale(*old), is_stale(new)) {
                        (true, _) => *old = new,
                        (false, true) => {}
                        (false, false) => {
                            return Err(EvalError::DuplicateLabelset { labels: kept.labels.to_string() });
                        }
                    }
                }
            }
        }
    }
    Ok(merged)
}

/// Takes the metric names away that were kept so far.
pub(crate) fn settle_names(mut rows: Vec<Row>) -> Result<Vec<Row>, EvalError> {
    for row in rows.iter_mut().filter(|row| row.drop_name) {
        row.labels = without_name(&row.labels);
        row.drop_name = false;
    }
    merge(rows)
}

pub(crate) fn without_name(labels: &Labels) -> Labels {
    labels.without(is_metadata)
}

/// The labels that describe a metric: they go where its values become those of another quantity.
fn is_metadata(name: &str) -> bool {
    matches!(name, METRIC_NAME | "__type__" | "__unit__")
}
