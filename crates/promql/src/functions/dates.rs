//! Times: the time of a sample, and the parts of a date (UTC) of a number of seconds since 1970.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use promql_parser::parser::Expr as Tree;
use series::Labels;

use crate::error::EvalError;
use crate::eval::Evaluator;
use crate::grid::{Grid, seconds};
use crate::parse::without_parens;
use crate::row::Row;
use crate::selector;

/// A part of a date.
pub(super) type DatePart = fn(&Zoned) -> f64;

pub(super) fn function(name: &str) -> Option<DatePart> {
    Some(match name {
        "minute" => |date| f64::from(date.minute()),
        "hour" => |date| f64::from(date.hour()),
        "day_of_week" => |date| f64::from(date.weekday().to_sunday_zero_offset()),
        "day_of_month" => |date| f64::from(date.day()),
        "day_of_year" => |date| f64::from(date.day_of_year()),
        "days_in_month" => |date| f64::from(date.days_in_month()),
        "month" => |date| f64::from(date.month()),
        "year" => |date| f64::from(date.year()),
        _ => return None,
    })
}

/// The part of each value, or of the step's time where there is no argument.
pub(super) fn eval(
    evaluator: &Evaluator,
    arg: Option<&Tree>,
    part: DatePart,
    grid: Grid,
) -> Result<Vec<Row>, EvalError> {
    let mut rows = match arg {
        Some(arg) => evaluator.rows(arg, grid)?,
        None => {
            evaluator.charge(1, grid.count)?;
            vec![Row::new(Labels::empty(), grid.times().map(seconds).collect())]
        }
    };
    rows.iter_mut().for_each(|row| row.change(|_, value| Some(part_of(value, part))));
    evaluator.unnamed(rows)
}

/// NaN where the value is no time that a calendar knows.
fn part_of(seconds: f64, part: DatePart) -> f64 {
    if seconds.is_nan() {
        return f64::NAN;
    }
    Timestamp::from_second(seconds as i64).map_or(f64::NAN, |at| part(&at.to_zoned(TimeZone::UTC)))
}

/// The time of the sample behind a plain selector; for anything computed, the step's time.
pub(super) fn timestamp(evaluator: &Evaluator, arg: &Tree, grid: Grid) -> Result<Vec<Row>, EvalError> {
    if let Tree::VectorSelector(one) = without_parens(arg) {
        let rows = selector::times(evaluator, one, grid)?;
        return evaluator.unnamed(rows);
    }
    let mut rows = evaluator.rows(arg, grid)?;
    rows.iter_mut().for_each(|row| row.change(|step, _| Some(seconds(grid.at(step)))));
    evaluator.unnamed(rows)
}
