//! What a series is, and what a sample is.
//!
//! A series is a metric name plus labels; its identity is a 128-bit hash of the canonical,
//! length-prefixed text of its sorted labels. A sample is a value at a millisecond. This crate
//! knows nothing of protocols, storage, clocks or networks: everything in it is a function of
//! its arguments, so every other crate may rely on it.

mod as_it_is;
mod ids;
mod labels;
mod lane;
pub mod limits;
pub mod protobuf;
mod rollup;
mod sample;
mod window;

pub use as_it_is::AsItIs;
pub use ids::{Epoch, IdError, SeriesId, SourceName, TenantId};
pub use labels::{LabelError, Labels, LabelsBuilder, METRIC_NAME};
pub use lane::{LANES, Lane, PUSH_SPREAD};
pub use rollup::{Rollup, RollupSeries, rollup_width, rollups};
pub use sample::{STALE_NAN_BITS, Sample, Timestamp, is_stale, join_samples, stale_marker, winner};
pub use window::{
    DAY_MS, FIVE_MINUTES_MS, HOUR_MS, MINUTE_MS, TEN_MINUTES_MS, Window, bucket_end, bucket_index, instants_through,
};
