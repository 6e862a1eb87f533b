//! Other people's formats, turned into series and samples. One file a protocol.
//!
//! A parser here is total: no input panics, a bad part is reported with its reason, line and
//! column, and its neighbours are kept. Every part of the input ends in exactly one place, in the
//! samples or among the rejections, so that the ledger adds up.
//!
//! **A new source format is one file in this folder and one test.** It declares its module below,
//! turns bytes into [`Parsed`] and names its reasons itself; nothing in `series`, `wire`, storage
//! or queries has to learn of it. Keep it so.
//!
//! `formats` knows neither the batch nor the network nor storage, and never reads a clock: where a
//! protocol says "now", the time is an argument.

mod described;
mod lines;
mod parsed;

pub mod decompress;
pub mod dogstatsd;
pub mod graphite;
pub mod nagios;
pub mod openmetrics;
pub mod otlp;
pub mod pickle;
pub mod prometheus_text;
pub mod remote_write;
pub mod statsd;

pub use described::{DESCRIBED_METRICS_MAX, Description, Descriptions};
pub use lines::{LINE_BYTES_MAX, Line, LineSplitter};
pub use parsed::{Parsed, REJECT_TEXT_CHARS_MAX, REJECTS_SHOWN_MAX, Reject, Rejects};
