//! `histogram_quantile` over classic histograms: cumulative buckets with their upper bound in the
//! label `le`.

use std::collections::HashMap;

use promql_parser::parser::Expr as Tree;
use series::Labels;

use crate::aggregate::warn_of_quantiles;
use crate::error::EvalError;
use crate::eval::Evaluator;
use crate::format::format_value;
use crate::grid::Grid;
use crate::row::{Row, merge};

/// The label of a bucket's upper bound.
const BOUND: &str = "le";
/// Counts that shrink by less than this part of the next one are rounding, not disorder.
const ROUNDING: f64 = 1e-12;

/// What is said of buckets that had to be put right.
const FIXED: &str = "info: input to histogram_quantile needed to be fixed for monotonicity \
    (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";

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

/// `histogram_quantile(q, buckets)`.
pub(super) fn quantile(evaluator: &Evaluator, q: &Tree, arg: &Tree, grid: Grid) -> Result<Vec<Row>, EvalError> {
    let name = "histogram_quantile";
    let quantiles = evaluator.scalar(q, grid)?;
    warn_of_quantiles(evaluator, &quantiles, name, 0);
    each_histogram(evaluator, (name, 1), arg, grid, |step, buckets| quantile_of(quantiles[step], buckets))
}

/// `histogram_fraction(from, to, buckets)`: the share of observations between two bounds.
pub(super) fn fraction(
    evaluator: &Evaluator,
    from: &Tree,
    to: &Tree,
    arg: &Tree,
    grid: Grid,
) -> Result<Vec<Row>, EvalError> {
    let (from, to) = (evaluator.scalar(from, grid)?, evaluator.scalar(to, grid)?);
    each_histogram(evaluator, ("histogram_fraction", 2), arg, grid, |step, buckets| {
        (fraction_of(from[step], to[step], &buckets), false)
    })
}

/// The functions that read native histograms and pass over everything else. There are none here.
pub(super) fn native(evaluator: &Evaluator, arg: &Tree, grid: Grid) -> Result<Vec<Row>, EvalError> {
    evaluator.rows(arg, grid).map(|_| Vec::new())
}

/// `histogram_quantiles(buckets, label, q, …)`: one series a histogram and quantile, which becomes the label.
pub(super) fn quantiles(
    evaluator: &Evaluator,
    arg: &Tree,
    label: &Tree,
    quantiles: &[&Tree],
    grid: Grid,
) -> Result<Vec<Row>, EvalError> {
    let name = "histogram_quantiles";
    let label = evaluator.string(label)?;
    let mut rows = Vec::new();
    for (place, q) in quantiles.iter().enumerate() {
        let quantiles = evaluator.scalar(q, grid)?;
        warn_of_quantiles(evaluator, &quantiles, name, place + 2);
        let found =
            each_histogram(evaluator, (name, 0), arg, grid, |step, buckets| quantile_of(quantiles[step], buckets))?;
        for row in found {
            split_by_quantile(evaluator, row, &label, &quantiles, grid, &mut rows)?;
        }
    }
    merge(rows)
}

/// A quantile may be another one at each step, so each of its values is a series.
fn split_by_quantile(
    evaluator: &Evaluator,
    row: Row,
    label: &str,
    quantiles: &[f64],
    grid: Grid,
    rows: &mut Vec<Row>,
) -> Result<(), EvalError> {
    let mut distinct: Vec<u64> = quantiles.iter().map(|q| q.to_bits()).collect();
    distinct.sort_unstable();
    distinct.dedup();
    for bits in distinct {
        let labels = row.labels.to_builder().set(label, open_metrics(f64::from_bits(bits))).build()?;
        let mut points = evaluator.blank(grid)?;
        for (step, point) in points.iter_mut().enumerate().filter(|(step, _)| quantiles[*step].to_bits() == bits) {
            *point = row.points[step];
        }
        rows.push(Row { labels, drop_name: row.drop_name, points });
    }
    Ok(())
}

/// A number as OpenMetrics writes it: with a point or an exponent.
fn open_metrics(value: f64) -> String {
    let text = format_value(value);
    if value.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}

/// Collects the buckets of each histogram and asks `answer` at each step; it also tells whether
/// the counts had to be put right. `call` is the function's name and the number of its argument.
fn each_histogram(
    evaluator: &Evaluator,
    call: (&str, usize),
    arg: &Tree,
    grid: Grid,
    answer: impl Fn(usize, Vec<Bucket>) -> (f64, bool),
) -> Result<Vec<Row>, EvalError> {
    let mut rows = Vec::new();
    for histogram in histograms(evaluator, call, arg, grid)? {
        let mut points = evaluator.blank(grid)?;
        for (step, point) in points.iter_mut().enumerate() {
            let present = histogram.buckets.iter().filter_map(|(bound, row)| row.at(step).map(|count| (*bound, count)));
            let buckets = added_up(present);
            if buckets.is_empty() {
                continue;
            }
            let (value, forced) = answer(step, buckets);
            *point = value;
            if forced {
                let metric = histogram.labels.metric_name().filter(|_| evaluator.options.delayed_name_removal);
                evaluator.annotate_argument(&format!("{FIXED}{}", of_metric(metric)), call.0, call.1);
            }
        }
        rows.push(Row { labels: histogram.labels, drop_name: histogram.drop_name, points });
    }
    evaluator.unnamed(merge(rows)?)
}

/// The histograms of a vector, their buckets ascending by bound.
fn histograms(evaluator: &Evaluator, call: (&str, usize), arg: &Tree, grid: Grid) -> Result<Vec<Histogram>, EvalError> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut histograms: Vec<Histogram> = Vec::new();
    for row in evaluator.rows(arg, grid)? {
        let Some(bound) = row.labels.get(BOUND).and_then(bound) else {
            let shown = row.labels.get(BOUND).unwrap_or("");
            let message = "warning: bucket label \"le\" is missing or has a malformed value of";
            let metric = of_metric(row.labels.metric_name());
            evaluator.annotate_argument(&format!("{message} {shown:?}{metric}"), call.0, call.1);
            continue;
        };
        let labels = row.labels.without(|name| name == BOUND);
        let place = *places.entry(labels.clone()).or_insert(histograms.len());
        if place == histograms.len() {
            histograms.push(Histogram { labels, drop_name: row.drop_name, buckets: Vec::new() });
        }
        histograms[place].buckets.push((bound, row));
    }
    histograms.iter_mut().for_each(|histogram| histogram.buckets.sort_by(|a, b| a.0.total_cmp(&b.0)));
    Ok(histograms)
}

fn of_metric(name: Option<&str>) -> String {
    name.map_or(String::new(), |name| format!(" for metric name {name:?}"))
}

/// `+Inf` and numbers as Go reads them; NaN is no bound.
fn bound(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|bound| !bound.is_nan())
}

/// The quantile, interpolated within its bucket, and whether counts shrank. `buckets` ascend.
fn quantile_of(q: f64, mut buckets: Vec<Bucket>) -> (f64, bool) {
    if !(0.0..=1.0).contains(&q) {
        let beyond = if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
        return (if q.is_nan() { f64::NAN } else { beyond }, false);
    }
    let Some(last) = buckets.last().filter(|last| last.bound == f64::INFINITY) else { return (f64::NAN, false) };
    if last.count.is_nan() {
        return (f64::NAN, false);
    }
    let forced = never_shrinking(&mut buckets);
    if buckets.len() < 2 || buckets[buckets.len() - 1].count == 0.0 {
        return (f64::NAN, false);
    }
    let rank = q * buckets[buckets.len() - 1].count;
    let below = &buckets[..buckets.len() - 1];
    let Some(index) = below.iter().position(|bucket| bucket.count >= rank) else {
        return (below[below.len() - 1].bound, forced);
    };
    let bucket = buckets[index];
    if index == 0 && bucket.bound <= 0.0 {
        return (bucket.bound, forced);
    }
    let lower = if index == 0 { Bucket { bound: 0.0, count: 0.0 } } else { buckets[index - 1] };
    let part = (rank - lower.count) / (bucket.count - lower.count);
    (lower.bound + (bucket.bound - lower.bound) * part, forced)
}

/// The share of observations in `(from, to]`, interpolated. `buckets` ascend.
fn fraction_of(from: f64, to: f64, buckets: &[Bucket]) -> f64 {
    let Some(total) = total(buckets).filter(|_| !from.is_nan() && !to.is_nan()) else { return f64::NAN };
    if from >= to { 0.0 } else { (rank_of(to, buckets) - rank_of(from, buckets)) / total }
}

/// How many observations are at most `value`.
fn rank_of(value: f64, buckets: &[Bucket]) -> f64 {
    let mut lower = Bucket { bound: f64::NEG_INFINITY, count: 0.0 };
    for (index, bucket) in buckets.iter().enumerate() {
        if index == 0 && bucket.bound > 0.0 {
            lower.bound = 0.0;
        }
        if value <= lower.bound {
            return lower.count;
        }
        if value < bucket.bound {
            if lower.bound.is_infinite() {
                return bucket.count;
            }
            return lower.count + (bucket.count - lower.count) * (value - lower.bound) / (bucket.bound - lower.bound);
        }
        lower = *bucket;
    }
    lower.count
}

/// All observations; none without a bucket for `+Inf`.
fn total(buckets: &[Bucket]) -> Option<f64> {
    buckets.last().filter(|last| last.bound == f64::INFINITY && last.count != 0.0).map(|last| last.count)
}

/// Buckets of one bound are added up (`le="1"` and `le="1.0"` are the same).
fn added_up(sorted: impl Iterator<Item = (f64, f64)>) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::new();
    for (bound, count) in sorted {
        match buckets.last_mut() {
            Some(last) if last.bound == bound => last.count += count,
            _ => buckets.push(Bucket { bound, count }),
        }
    }
    buckets
}

/// Lifts counts that shrink, because scrapes are not atomic; tells whether it was more than
/// rounding.
fn never_shrinking(buckets: &mut [Bucket]) -> bool {
    let mut forced = false;
    for index in 1..buckets.len() {
        let before = buckets[index - 1].count;
        let count = &mut buckets[index].count;
        let rounding = (*count - before).abs() <= ROUNDING * count.abs().min(before.abs());
        if *count < before || rounding {
            forced |= !rounding;
            *count = before;
        }
    }
    forced
}
