//! Function calls: which function takes what, and where it is computed. A function that is not
//! in one of the tables is [`EvalError::NotBuilt`]; to add one, add a line to its table.

use promql_parser::parser::{Call, Expr as Tree, value::ValueType};
use series::Labels;

use crate::error::EvalError;
use crate::eval::{Evaluator, Out};
use crate::grid::{Grid, seconds};
use crate::range_vector::{self, Window};
use crate::row::{Row, merge};

mod absence;
mod dates;
mod histogram;
mod labels;
mod math;
mod ordering;
mod over_time;
mod rate;
mod trend;

/// A function of the samples in a window.
pub(crate) type RangeFunction = fn(&Window) -> Option<f64>;

/// A function of one value and the call's scalars; `None` takes the point away.
pub(crate) type PointFunction = fn(f64, &[f64]) -> Option<f64>;

pub(crate) fn eval(evaluator: &Evaluator, call: &Call, grid: Grid) -> Result<Out, EvalError> {
    let name = call.func.name;
    let args: Vec<&Tree> = call.args.args.iter().map(AsRef::as_ref).collect();
    let range_function = rate::function(name).or_else(|| over_time::function(name)).or_else(|| trend::function(name));
    if let Some(function) = range_function {
        return over_range(evaluator, call, function, grid).map(Out::Rows);
    }
    if let Some(function) = math::function(name) {
        return each_point(evaluator, &args, function, grid).map(Out::Rows);
    }
    if let Some(function) = dates::function(name) {
        return dates::eval(evaluator, args.first().copied(), function, grid).map(Out::Rows);
    }
    match (name, args.as_slice()) {
        ("time", _) => scalars(evaluator, grid, grid.times().map(seconds)),
        ("start", _) => scalars(evaluator, grid, std::iter::repeat_n(seconds(evaluator.whole.0), grid.count)),
        ("end", _) => scalars(evaluator, grid, std::iter::repeat_n(seconds(evaluator.whole.1), grid.count)),
        ("min_of", [a, b]) => both(evaluator, a, b, math::lower, grid),
        ("max_of", [a, b]) => both(evaluator, a, b, math::upper, grid),
        ("pi", _) => scalars(evaluator, grid, std::iter::repeat_n(std::f64::consts::PI, grid.count)),
        ("scalar", [arg]) => scalar(evaluator, arg, grid),
        ("vector", [arg]) => Ok(Out::Rows(vec![Row::new(Labels::empty(), evaluator.scalar(arg, grid)?)])),
        ("timestamp", [arg]) => dates::timestamp(evaluator, arg, grid).map(Out::Rows),
        ("absent", [arg]) => absence::absent(evaluator, arg, grid).map(Out::Rows),
        ("absent_over_time", [arg]) => absence::absent_over_time(evaluator, arg, grid).map(Out::Rows),
        ("label_replace", [arg, rest @ ..]) => labels::replace(evaluator, arg, rest, grid).map(Out::Rows),
        ("label_join", [arg, rest @ ..]) => labels::join(evaluator, arg, rest, grid).map(Out::Rows),
        ("histogram_quantile", [q, arg]) => histogram::quantile(evaluator, q, arg, grid).map(Out::Rows),
        ("histogram_fraction", [from, to, arg]) => histogram::fraction(evaluator, from, to, arg, grid).map(Out::Rows),
        ("sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc", [arg, rest @ ..]) => {
            ordering::sort(evaluator, name, arg, rest, grid).map(Out::Rows)
        }
        _ => Err(evaluator.not_built(format!("the function {name}()"), name)),
    }
}

fn scalars(evaluator: &Evaluator, grid: Grid, values: impl Iterator<Item = f64>) -> Result<Out, EvalError> {
    evaluator.charge(1, grid.count)?;
    Ok(Out::Scalar(values.collect()))
}

/// A number of two numbers.
fn both(evaluator: &Evaluator, a: &Tree, b: &Tree, of: fn(f64, f64) -> f64, grid: Grid) -> Result<Out, EvalError> {
    let both = evaluator.scalar(a, grid)?.into_iter().zip(evaluator.scalar(b, grid)?);
    Ok(Out::Scalar(both.map(|(a, b)| of(a, b)).collect()))
}

/// The value of the only series, NaN where there is none or several.
fn scalar(evaluator: &Evaluator, arg: &Tree, grid: Grid) -> Result<Out, EvalError> {
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
fn over_range(evaluator: &Evaluator, call: &Call, function: RangeFunction, grid: Grid) -> Result<Vec<Row>, EvalError> {
    let name = call.func.name;
    let (ranges, others): (Vec<&Tree>, Vec<&Tree>) =
        call.args.args.iter().map(AsRef::as_ref).partition(|arg: &&Tree| arg.value_type() == ValueType::Matrix);
    let [range] = ranges.as_slice() else {
        return Err(EvalError::Argument { what: format!("{name} needs one range vector") });
    };
    let scalars: Vec<Vec<f64>> =
        others.iter().map(|arg| evaluator.scalar(arg, grid)).collect::<Result<_, EvalError>>()?;
    if name == "quantile_over_time" {
        scalars.iter().for_each(|points| crate::aggregate::warn_of_quantiles(evaluator, points, name));
    }
    if name == "double_exponential_smoothing"
        && let Some(factor) = scalars.iter().flatten().find(|factor| !(**factor > 0.0 && **factor < 1.0))
    {
        let what = format!("invalid smoothing or trend factor, expected 0 < factor < 1, got {factor}");
        return Err(EvalError::Argument { what });
    }
    let vector = range_vector::load(evaluator, range, grid)?;
    let mut rows = Vec::with_capacity(vector.series.len());
    for series in &vector.series {
        let mut points = evaluator.blank(grid)?;
        if matches!(name, "rate" | "increase") {
            rate::doubt_counter(evaluator, name, &series.labels);
        }
        vector.windows(evaluator, series, grid, &scalars, |step, window| {
            if let Some(value) = function(&window) {
                points[step] = value;
            }
        })?;
        rows.push(Row { labels: series.labels.clone(), drop_name: series.drop_name, points });
    }
    rows.retain(Row::is_present);
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
