//! OpenTelemetry metrics over HTTP: `ExportMetricsServiceRequest` as protobuf and as JSON.
//!
//! What becomes of a metric follows OpenTelemetry's rules for Prometheus
//! (<https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>) as Prometheus carries
//! them out: see `names.rs` for names, `convert.rs` for resources, scopes and points. Both encodings are walked,
//! never built as a tree of messages, and give the same points:
//!
//! | metric | series |
//! |---|---|
//! | gauge, sum that is not monotonic | `name_unit` |
//! | monotonic cumulative sum | `name_unit_total` |
//! | delta sum | `name_unit`, each sample the increase of its interval: `sum_over_time`, not `rate` |
//! | cumulative histogram | `name_unit_bucket{le}` (counts up to `le`), `_sum`, `_count` |
//! | summary | `name_unit{quantile}`, `_sum`, `_count` |
//! | resource | `target_info`, `job`, `instance` |
//!
//! Delta and exponential histograms are refused by name and counted. Exemplars are not kept. A point without
//! a recorded value is a stale marker.

pub mod answer;
mod convert;
mod json;
mod names;
mod proto;

use series::{Labels, Sample};

/// Bytes of a JSON request: as a tree it takes up to a hundred times as much.
pub const JSON_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Buckets of one histogram's point, and quantiles of one summary's.
pub const BUCKETS_MAX: usize = 1_000;
/// Attributes of a resource, a scope or a point; more would be above the limit of labels anyway.
pub const ATTRIBUTES_MAX: usize = 256;
/// Bytes of the label sets that one request may become: each bucket repeats its point's attributes.
pub const EXPANDED_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Arrays and maps within an attribute's value.
const DEPTH_MAX: usize = 16;

/// What takes a request's parts.
pub trait Sink {
    /// One sample.
    fn sample(&mut self, labels: &Labels, sample: Sample);
    /// What a metric is: its Prometheus name, type, help, unit.
    fn metadata(&mut self, name: &str, kind: &'static str, help: &str, unit: &str);
    /// Data points that are refused.
    fn refused(&mut self, reason: &'static str, count: u64, first: String);
}

/// Why a request cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OtlpError {
    #[error("the JSON has {bytes} bytes, at most {JSON_BYTES_MAX} are taken (otlp_json_bytes_max)")]
    TooLong { bytes: usize },
    #[error("not JSON: line {line}, column {column}: {what}")]
    Json { line: usize, column: usize, what: String },
    #[error("not an ExportMetricsServiceRequest: at byte {at}: {what}")]
    Protobuf { at: usize, what: String },
}

/// Reads a protobuf request. What stands before a place that cannot be read is handed over.
pub fn read_protobuf(body: &[u8], sink: &mut impl Sink) -> Result<(), OtlpError> {
    proto::read(body, sink)
}

/// Reads a JSON request, by OTLP's JSON mapping.
pub fn read_json(body: &[u8], sink: &mut impl Sink) -> Result<(), OtlpError> {
    json::read(body, sink)
}

#[cfg(test)]
mod tests;
