//! PromQL: an expression, a storage, a result.
//!
//! [`parse`] reads the text (the grammar is the `promql-parser` crate's), [`selections`] says
//! which samples are needed, and [`instant`] and [`range`] evaluate over a [`Storage`] with
//! Prometheus 3's semantics: ranges and lookback are open on the left, rates are extrapolated,
//! stale markers end a series.
//!
//! This crate never reads a clock, never waits, and does not know where samples are kept. A part
//! of the language that is not evaluated yet is [`EvalError::NotBuilt`] with its name and column.

mod aggregate;
mod binary;
mod direct;
mod error;
mod eval;
mod extended;
#[cfg(test)]
mod fixture;
mod format;
mod functions;
mod grid;
mod matcher;
mod matching;
mod numbers;
mod options;
mod parse;
mod range_vector;
mod rolled;
mod row;
mod samples;
mod scan;
mod selection;
mod selector;
mod stop;
mod storage;
mod value;

pub use direct::{Comparison, Direct, direct_threshold};
pub use error::EvalError;
pub use eval::{instant, range};
pub use format::format_value;
pub use matcher::{MatchOp, Matcher, all_match};
pub use options::{
    ANNOTATIONS_MAX, LOOKBACK_MS, Limits, Options, SAMPLES_MAX, SERIES_MAX, STEPS_MAX, SUBQUERY_STEP_MS, VISITS_MAX,
};
pub use parse::{EXPR_BYTES_MAX, EXPR_DEPTH_MAX, Expr, ParseError, parse, parse_selector};
pub use samples::Samples;
pub use selection::{Near, Selection, selections};
pub use stop::Stop;
pub use storage::{Series, SeriesSet, Storage, StorageError};
pub use value::{Evaluated, Matrix, Value};
