//! Limits on names and label sets. Each is tested at the limit and one past it in `labels.rs`.

/// Labels of one series, the metric name included.
pub const LABELS_PER_SERIES_MAX: usize = 64;
/// Bytes of a label's name.
pub const LABEL_NAME_BYTES_MAX: usize = 256;
/// Bytes of a label's value.
pub const LABEL_VALUE_BYTES_MAX: usize = 4_096;
/// Bytes of a metric name (the value of `__name__`).
pub const METRIC_NAME_BYTES_MAX: usize = 1_024;
/// Bytes of the canonical form of one label set.
pub const LABEL_SET_BYTES_MAX: usize = 16_384;
/// Bytes of a source's or a tenant's name.
pub const ID_BYTES_MAX: usize = 128;
