//! Results of an evaluation.

use series::{Labels, Sample};

use crate::storage::Series;

/// Series with samples, ascending in time.
pub type Matrix = Vec<Series>;

/// What an instant query gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// One number at the evaluation's time.
    Scalar(Sample),
    /// A text.
    String(String),
    /// One sample a series. The order counts after `sort`, `topk` and their like.
    Vector(Vec<(Labels, Sample)>),
    /// Several samples a series.
    Matrix(Matrix),
}

impl Value {
    /// Prometheus's name of the kind: `scalar`, `string`, `vector` or `matrix`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Scalar(_) => "scalar",
            Self::String(_) => "string",
            Self::Vector(_) => "vector",
            Self::Matrix(_) => "matrix",
        }
    }
}

/// A result with what is worth knowing about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated<T> {
    /// The result.
    pub value: T,
    /// Remarks, each beginning with `PromQL warning: ` or `PromQL info: ` as in Prometheus.
    pub annotations: Vec<String>,
    /// Samples that its selectors have read.
    pub samples_read: u64,
    /// Width of the widest rollups that stood in for samples, exactly; 0: samples alone were read.
    pub rollups_ms: i64,
    /// Width of the widest rollups from which steps were answered as of the last whole bucket before them; 0: none were.
    pub near_ms: i64,
    /// Samples read and points computed: what the limit `samples_max` counts.
    pub samples_used: u64,
}
