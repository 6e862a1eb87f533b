//! Evaluation.
use series::Timestamp;
use crate::{EvalError, Evaluated, Expr, Matrix, Options, Storage, Value};

/// Evaluates at one instant.
pub fn instant(expr: &Expr, at: Timestamp, storage: &dyn Storage, options: &Options) -> Result<Evaluated<Value>, EvalError> {
    let _ = (at, storage, options);
    Err(EvalError::NotBuilt { what: expr.text().to_owned(), line: 1, column: 1 })
}

/// Evaluates at every step from `start` to `end`.
pub fn range(expr: &Expr, start: Timestamp, end: Timestamp, step_ms: i64, storage: &dyn Storage, options: &Options) -> Result<Evaluated<Matrix>, EvalError> {
    let _ = (start, end, step_ms, storage, options);
    Err(EvalError::NotBuilt { what: expr.text().to_owned(), line: 1, column: 1 })
}
