//! What can go wrong while an expression is evaluated. Every limit says which one it was.

use series::LabelError;

use crate::storage::StorageError;

/// Why an expression has no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EvalError {
    /// The text is PromQL, but this part of the language is not evaluated here yet.
    #[error("{what} is not built yet (line {line}, column {column})")]
    NotBuilt { what: String, line: usize, column: usize },
    /// A named limit of [`crate::Limits`] was passed.
    #[error("the query passes the limit {limit} = {max}{hint}")]
    Limit { limit: &'static str, max: u64, hint: &'static str },
    /// [`crate::Options::stop`] asked for it. The words are Prometheus's.
    #[error("query timed out in expression evaluation")]
    Stopped,
    #[error("the step must be at least one millisecond, not {step_ms}")]
    Step { step_ms: i64 },
    #[error("the end {end_ms} is before the start {start_ms}")]
    EndBeforeStart { start_ms: i64, end_ms: i64 },
    /// A range query of a range vector or a string.
    #[error("invalid expression type {found:?} for range query, must be Scalar or instant Vector")]
    NotARange { found: &'static str },
    #[error("vector cannot contain metrics with the same labelset ({labels} is there twice)")]
    DuplicateLabelset { labels: String },
    #[error(
        "found duplicate series for the match group {group} on the {side} hand-side of the operation: \
         [{first}, {second}];many-to-many matching not allowed: matching labels must be unique on one side"
    )]
    ManyToMany { group: String, side: &'static str, first: String, second: String },
    #[error("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right) ({group})")]
    ManyToOne { group: String },
    #[error("multiple matches for labels: grouping labels must ensure unique matches ({group})")]
    NotUnique { group: String },
    /// An argument has a value that the function refuses.
    #[error("{what}")]
    Argument { what: String },
    /// A result's labels pass the limits on label sets.
    #[error("the result has labels that are not allowed: {0}")]
    Labels(#[from] LabelError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}
