//! `histogram_quantile` over classic histograms: cumulative buckets with their upper bound in the
//! label `le`.

use std::collections::HashMap;

use promql_parser::parser::Expr as Tree;
use series::Labels;

use crate::aggregate::warn_of_quantiles;
use crate::error::EvalError;
use crate::eval::Evaluator;
use crate::grid::Grid;
use crate::row::{Row, merge};

/// The label of a bucket's upper bound.
const BOUND: &str = "le";
/// Counts that shrink by less than this part of the next one are rounding, not disorder.
const ROUNDING: f64 = 1e-12;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    bound: f64,
    count: f64,
}

/// The buckets of one histogram: bound and the series of its counts.
struct Histogram {
    labels: Labels,
    drop_name: bool,
    buckets: Vec<(f64, Row)>,
}

pub(super) fn quantile(evaluator: &Evaluator, q: &Tree, arg: &Tree, grid: Grid) -> Result<Vec<Row>, EvalError> {
    let quantiles = evaluator.scalar(q, grid)?;
    warn_of_quantiles(evaluator, &quantiles, "histogram_quantile");
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut histograms: Vec<Histogram> = Vec::new();
    for row in evaluator.rows(arg, grid)? {
        let Some(bound) = row.labels.get(BOUND).and_then(bound) else {
            let shown = row.labels.get(BOUND).unwrap_or("");
            let message = format!("warning: bucket label \"le\" is missing or has a malformed value of {shown:?}");
            evaluator.annotate(&message, "histogram_quantile");
            continue;
        };
        let labels = row.labels.without(|name| name == BOUND);
        let place = *places.entry(labels.clone()).or_insert(histograms.len());
        if place == histograms.len() {
            histograms.push(Histogram { labels, drop_name: row.drop_name, buckets: Vec::new() });
        }
        histograms[place].buckets.push((bound, row));
    }
    let mut rows = Vec::with_capacity(histograms.len());
    for mut histogram in histograms {
        histogram.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut points = evaluator.blank(grid)?;
        for (step, point) in points.iter_mut().enumerate() {
            let buckets: Vec<Bucket> = histogram
                .buckets
                .iter()
                .filter_map(|(bound, row)| row.at(step).map(|count| Bucket { bound: *bound, count }))
                .collect();
            if !buckets.is_empty() {
                *point = quantile_of(quantiles[step], buckets);
            }
        }
        rows.push(Row { labels: histogram.labels, drop_name: histogram.drop_name, points });
    }
    evaluator.unnamed(merge(rows)?)
}

/// `+Inf` and numbers as Go reads them; NaN is no bound.
fn bound(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|bound| !bound.is_nan())
}

/// The quantile, interpolated within its bucket. `sorted` ascends by bound.
fn quantile_of(q: f64, sorted: Vec<Bucket>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let buckets = ordered(sorted);
    let (Some(last), true) = (buckets.last(), buckets.len() >= 2) else { return f64::NAN };
    if last.bound != f64::INFINITY || last.count == 0.0 || last.count.is_nan() {
        return f64::NAN;
    }
    let rank = q * last.count;
    let below = &buckets[..buckets.len() - 1];
    let Some(index) = below.iter().position(|bucket| bucket.count >= rank) else {
        return below[below.len() - 1].bound;
    };
    let bucket = buckets[index];
    if index == 0 && bucket.bound <= 0.0 {
        return bucket.bound;
    }
    let lower = if index == 0 { Bucket { bound: 0.0, count: 0.0 } } else { buckets[index - 1] };
    lower.bound + (bucket.bound - lower.bound) * ((rank - lower.count) / (bucket.count - lower.count))
}

/// Buckets of one bound added up, and counts that never shrink: scrapes are not atomic.
fn ordered(sorted: Vec<Bucket>) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::with_capacity(sorted.len());
    for bucket in sorted {
        match buckets.last_mut() {
            Some(last) if last.bound == bucket.bound => last.count += bucket.count,
            _ => buckets.push(bucket),
        }
    }
    for index in 1..buckets.len() {
        let before = buckets[index - 1].count;
        let count = &mut buckets[index].count;
        if *count < before || (*count - before).abs() <= ROUNDING * count.abs() {
            *count = before;
        }
    }
    buckets
}
