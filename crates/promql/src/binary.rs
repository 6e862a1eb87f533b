//! Operators between two expressions: the arithmetic, and which operand is a scalar.

use promql_parser::parser::{BinaryExpr, token};

use crate::direct::Comparison;
use crate::error::EvalError;
use crate::eval::{Evaluator, Out, mismatch};
use crate::grid::Grid;
use crate::matching;
use crate::row::Row;

/// An operator that works on two numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operator {
    Arithmetic(fn(f64, f64) -> f64),
    Comparison(Comparison),
}

impl Operator {
    fn new(id: token::TokenId) -> Option<Self> {
        Some(Self::Arithmetic(match id {
            token::T_ADD => |a, b| a + b,
            token::T_SUB => |a, b| a - b,
            token::T_MUL => |a, b| a * b,
            token::T_DIV => |a, b| a / b,
            token::T_MOD => |a, b| a % b,
            token::T_POW => f64::powf,
            token::T_ATAN2 => f64::atan2,
            _ => return Comparison::from_token(id).map(Self::Comparison),
        }))
    }

    /// The result of `a OP b`: a comparison keeps `a` where it holds, or with `bool` gives 1 or 0.
    pub(crate) fn apply(self, a: f64, b: f64, return_bool: bool) -> Option<f64> {
        match self {
            Self::Arithmetic(compute) => Some(compute(a, b)),
            Self::Comparison(comparison) if return_bool => Some(f64::from(u8::from(comparison.holds(a, b)))),
            Self::Comparison(comparison) => comparison.holds(a, b).then_some(a),
        }
    }

    /// Whether the result is another quantity than the left operand, so that its name goes.
    pub(crate) fn drops_name(self, return_bool: bool) -> bool {
        return_bool || matches!(self, Self::Arithmetic(_))
    }
}

pub(crate) fn eval(evaluator: &Evaluator, binary: &BinaryExpr, grid: Grid) -> Result<Out, EvalError> {
    let lhs = evaluator.eval(&binary.lhs, grid)?;
    let rhs = evaluator.eval(&binary.rhs, grid)?;
    combine(evaluator, binary, lhs, rhs, grid)
}

fn combine(evaluator: &Evaluator, binary: &BinaryExpr, lhs: Out, rhs: Out, grid: Grid) -> Result<Out, EvalError> {
    if binary.op.is_set_operator() {
        let (Out::Rows(lhs), Out::Rows(rhs)) = (lhs, rhs) else {
            return Err(mismatch("instant vector", "scalar"));
        };
        return matching::set_operation(binary, lhs, rhs, grid).map(Out::Rows);
    }
    let return_bool = binary.return_bool();
    let Some(operator) = Operator::new(binary.op.id()) else {
        let name = binary.op.to_string();
        return Err(evaluator.not_built(format!("the operator {name}"), &name));
    };
    match (lhs, rhs) {
        (Out::Scalar(a), Out::Scalar(b)) => {
            let both = a.into_iter().zip(b);
            Ok(Out::Scalar(both.map(|(a, b)| operator.apply(a, b, true).unwrap_or(f64::NAN)).collect()))
        }
        (Out::Rows(mut rows), Out::Scalar(scalar)) => {
            let value = |step: usize, value| operator.apply(value, scalar[step], return_bool);
            rows.iter_mut().for_each(|row| row.change(value));
            named(evaluator, rows, operator.drops_name(return_bool))
        }
        (Out::Scalar(scalar), Out::Rows(mut rows)) => {
            // A filter keeps the vector's value, on whichever side it stands.
            let filters = matches!(operator, Operator::Comparison(_)) && !return_bool;
            let value = |step: usize, value| {
                let result = operator.apply(scalar[step], value, return_bool);
                if filters { result.map(|_| value) } else { result }
            };
            rows.iter_mut().for_each(|row| row.change(value));
            named(evaluator, rows, operator.drops_name(return_bool))
        }
        (Out::Rows(lhs), Out::Rows(rhs)) => {
            let rows = matching::pair(evaluator, binary, operator, lhs, rhs, grid)?;
            Ok(Out::Rows(rows))
        }
        (Out::Text(_), _) | (_, Out::Text(_)) => Err(mismatch("scalar or instant vector", "string")),
    }
}

fn named(evaluator: &Evaluator, mut rows: Vec<Row>, drop: bool) -> Result<Out, EvalError> {
    rows.retain(Row::is_present);
    if drop { evaluator.unnamed(rows).map(Out::Rows) } else { Ok(Out::Rows(rows)) }
}
