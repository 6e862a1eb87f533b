//! Function calls: which function takes what, and where it is computed. A function that is not
//! in one of the tables is [`EvalError::NotBuilt`]; to add one, add a line to its table.

use promql_parser::parser::{Call, Expr as Tree, value::ValueType};
use series::Labels;

use crate::error::EvalError;
use crate::eval::{Evaluator, Out};
use crate::grid::{Grid, seconds};
use crate::parse::Extension;
use crate::range_vector::{self, Reads, Window};
use crate::rolled;
use crate::row::{Row, merge};

mod absence;
mod dates;
mod histogram;
mod info;
mod labels;
mod math;
mod ordering;
mod over_time;
mod rate;
mod trend;

pub(crate) use rate::SampledEnds;

/// A function of the samples in a window.
pub(crate) type RangeFunction = fn(&Window) -> Option<f64>;

/// A function of windows, and what of them it reads.
pub(crate) struct Over {
    reads: Reads,
    function: RangeFunction,
}

/// The function of windows of this name.
fn over(name: &str, extension: Option<Extension>) -> Option<Over> {
    rate::function(name, extension).or_else(|| over_time::function(name)).or_else(|| trend::function(name))
}

/// A function of one value and the call's scalars; `None` takes the point away.
pub(crate) type PointFunction = fn(f64, &[f64]) -> Option<f64>;

pub(crate) fn eval(evaluator: &Evaluator, call: &Call, grid: Grid) -> Result<Out, EvalError> {
    match call.func.name {
        "time" | "start" | "end" | "step" | "range" | "pi" | "min_of" | "max_of" | "scalar" => {
            number(evaluator, call, grid).map(Out::Scalar)
        }
        _ => rows(evaluator, call, grid).map(Out::Rows),
    }
}

/// The calls that give one number a step.
fn number(evaluator: &Evaluator, call: &Call, grid: Grid) -> Result<Vec<f64>, EvalError> {
    let args: Vec<&Tree> = call.args.args.iter().map(AsRef::as_ref).collect();
    let same = |value: f64| scalars(evaluator, grid, std::iter::repeat_n(value, grid.count));
    match (call.func.name, args.as_slice()) {
        ("time", _) => scalars(evaluator, grid, grid.times().map(seconds)),
        ("start", _) => same(seconds(evaluator.whole.0)),
        ("end", _) => same(seconds(evaluator.whole.1)),
        ("step", _) => same(evaluator.times.step),
        ("range", _) => same(evaluator.times.range),
        ("pi", _) => same(std::f64::consts::PI),
        ("min_of", [a, b]) => both(evaluator, a, b, math::lower, grid),
        ("max_of", [a, b]) => both(evaluator, a, b, math::upper, grid),
        ("scalar", [arg]) => scalar(evaluator, arg, grid),
        (name, _) => Err(evaluator.not_built(format!("the function {name}()"), name)),
    }
}

/// The calls that give a vector. Evaluation recurses through here: an arm does nothing but call.
fn rows(evaluator: &Evaluator, call: &Call, grid: Grid) -> Result<Vec<Row>, EvalError> {
    let name = call.func.name;
    let args: Vec<&Tree> = call.args.args.iter().map(AsRef::as_ref).collect();
    if over(name, None).is_some() {
        return over_range(evaluator, call, grid);
    }
    if let Some(function) = math::function(name) {
        return each_point(evaluator, &args, function, grid);
    }
    if let Some(function) = dates::function(name) {
        return dates::eval(evaluator, args.first().copied(), function, grid);
    }
    match (name, args.as_slice()) {
        ("vector", [arg]) => vector(evaluator, arg, grid),
        ("timestamp", [arg]) => dates::timestamp(evaluator, arg, grid),
        ("absent", [arg]) => absence::absent(evaluator, arg, grid),
        ("absent_over_time", [arg]) => absence::absent_over_time(evaluator, arg, grid),
        ("label_replace", [arg, rest @ ..]) => labels::replace(evaluator, arg, rest, grid),
        ("label_join", [arg, rest @ ..]) => labels::join(evaluator, arg, rest, grid),
        ("histogram_quantile", [q, arg]) => histogram::quantile(evaluator, q, arg, grid),
        ("histogram_quantiles", [arg, label, q @ ..]) => histogram::quantiles(evaluator, arg, label, q, grid),
        ("histogram_fraction", [from, to, arg]) => histogram::fraction(evaluator, from, to, arg, grid),
        ("histogram_avg" | "histogram_count" | "histogram_sum", [arg]) => histogram::native(evaluator, arg, grid),
        ("histogram_stddev" | "histogram_stdvar", [arg]) => histogram::native(evaluator, arg, grid),
        ("info", [arg, labels @ ..]) => info::info(evaluator, call, arg, labels.first().copied(), grid),
        ("sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc", [arg, rest @ ..]) => {
            ordering::sort(evaluator, name, arg, rest, grid)
        }
        _ => Err(evaluator.not_built(format!("the function {name}()"), name)),
    }
}

fn vector(evaluator: &Evaluator, arg: &Tree, grid: Grid) -> Result<Vec<Row>, EvalError> {
    Ok(vec![Row::new(Labels::empty(), evaluator.scalar(arg, grid)?)])
}

fn scalars(evaluator: &Evaluator, grid: Grid, values: impl Iterator<Item = f64>) -> Result<Vec<f64>, EvalError> {
    evaluator.charge(1, grid.count)?;
    Ok(values.collect())
}

/// A number of two numbers.
fn both(evaluator: &Evaluator, a: &Tree, b: &Tree, of: fn(f64, f64) -> f64, grid: Grid) -> Result<Vec<f64>, EvalError> {
    let both = evaluator.scalar(a, grid)?.into_iter().zip(evaluator.scalar(b, grid)?);
    Ok(both.map(|(a, b)| of(a, b)).collect())
}

/// The value of the only series, NaN where there is none or several.
fn scalar(evaluator: &Evaluator, arg: &Tree, grid: Grid) -> Result<Vec<f64>, EvalError> {
    let rows = evaluator.rows(arg, grid)?;
    let value = |step: usize| {
        let mut present = rows.iter().filter_map(|row| row.at(step));
        match (present.next(), present.next()) {
            (Some(only), None) => only,
            _ => f64::NAN,
        }
    };
    scalars(evaluator, grid, (0..grid.count).map(value))
}

/// A function of one range vector; its other arguments are scalars.
fn over_range(evaluator: &Evaluator, call: &Call, grid: Grid) -> Result<Vec<Row>, EvalError> {
    let name = call.func.name;
    let (ranges, others): (Vec<&Tree>, Vec<&Tree>) =
        call.args.args.iter().map(AsRef::as_ref).partition(|arg: &&Tree| arg.value_type() == ValueType::Matrix);
    let [range] = ranges.as_slice() else {
        return Err(EvalError::Argument { what: format!("{name} needs one range vector") });
    };
    let scalars: Vec<Vec<f64>> =
        others.iter().map(|arg| evaluator.scalar(arg, grid)).collect::<Result<_, EvalError>>()?;
    if name == "quantile_over_time" {
        scalars.iter().for_each(|points| crate::aggregate::warn_of_quantiles(evaluator, points, name, 0));
    }
    if name == "double_exponential_smoothing"
        && let Some((place, factor)) = scalars.iter().enumerate().find_map(|(place, points)| {
            points.iter().find(|factor| **factor <= 0.0 || **factor >= 1.0).map(|factor| (place, factor))
        })
    {
        let (name, short) = if place == 0 { ("smoothing", "sf") } else { ("trend", "tf") };
        let what = format!("invalid {name} factor. Expected: 0 < {short} < 1, got: {factor:.6}");
        return Err(EvalError::Argument { what });
    }
    if rolled::knows(name)
        && let Some((series, windows)) = range_vector::rollups(evaluator, range, name, grid)?
    {
        let rows = rolled::over_windows(evaluator, name, &series, windows, grid)?;
        return named(evaluator, name, rows);
    }
    let vector = range_vector::load(evaluator, range, Some(name), grid)?;
    let Some(Over { reads, function }) = over(name, vector.extension) else {
        return Err(evaluator.not_built(format!("the function {name}()"), name));
    };
    let mut rows = Vec::with_capacity(vector.series.len());
    for series in &vector.series {
        let mut points = evaluator.blank(grid)?;
        vector.windows(evaluator, series, grid, reads, &scalars, |step, window| {
            if let Some(value) = function(&window) {
                points[step] = value;
            }
        })?;
        let row = Row { labels: series.labels.clone(), drop_name: series.drop_name, points };
        if !row.is_present() {
            continue;
        }
        rows.push(row);
    }
    named(evaluator, name, rows)
}

/// The rows of a function of windows, without the metric's name where it is another quantity.
fn named(evaluator: &Evaluator, name: &str, rows: Vec<Row>) -> Result<Vec<Row>, EvalError> {
    if matches!(name, "rate" | "increase") {
        rows.iter().for_each(|row| rate::doubt_counter(evaluator, name, &row.labels));
    }
    if over_time::keeps_name(name) { merge(rows) } else { evaluator.unnamed(rows) }
}

/// A function of each value by itself.
fn each_point(
    evaluator: &Evaluator,
    args: &[&Tree],
    function: PointFunction,
    grid: Grid,
) -> Result<Vec<Row>, EvalError> {
    let Some((first, others)) = args.split_first() else {
        return Err(EvalError::Argument { what: "an instant vector is missing".to_owned() });
    };
    let mut rows = evaluator.rows(first, grid)?;
    let scalars: Vec<Vec<f64>> =
        others.iter().map(|arg| evaluator.scalar(arg, grid)).collect::<Result<_, EvalError>>()?;
    let mut now = vec![0.0; scalars.len()];
    for row in &mut rows {
        row.change(|step, value| {
            now.iter_mut().zip(&scalars).for_each(|(slot, points)| *slot = points[step]);
            function(value, &now)
        });
    }
    rows.retain(Row::is_present);
    evaluator.unnamed(rows)
}
