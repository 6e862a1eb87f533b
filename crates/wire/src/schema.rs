//! The protobuf messages of version 1. Field numbers never change and are never used again; an
//! addition takes a new number, and a reader skips numbers that it does not know.
//!
//! Series, checks, logs, strings and counters are read as bytes first (the same bytes on the wire as
//! nested messages or text), so that a bad one spoils only itself, and none is given memory before
//! its number was held against its limit.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::encoding::{DecodeContext, decode_key, skip_field};

/// `VERSION` of a batch.
pub(crate) const VERSION: u32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Batch {
    #[prost(uint32, tag = "1")]
    pub(crate) version: u32,
    #[prost(string, tag = "2")]
    pub(crate) source: String,
    #[prost(fixed64, tag = "3")]
    pub(crate) epoch: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) seq: u64,
    #[prost(sint64, tag = "5")]
    pub(crate) created_at_ms: i64,
    #[prost(bool, tag = "6")]
    pub(crate) ack_now: bool,
    /// Label names and values, each once.
    #[prost(bytes = "bytes", repeated, tag = "7")]
    pub(crate) strings: Vec<Bytes>,
    /// Timestamp columns, each once.
    #[prost(bytes = "bytes", repeated, tag = "8")]
    pub(crate) timestamps: Vec<Bytes>,
    /// [`Series`].
    #[prost(bytes = "bytes", repeated, tag = "9")]
    pub(crate) series: Vec<Bytes>,
    /// [`Check`]s.
    #[prost(bytes = "bytes", repeated, tag = "10")]
    pub(crate) checks: Vec<Bytes>,
    /// [`Log`]s.
    #[prost(bytes = "bytes", repeated, tag = "11")]
    pub(crate) logs: Vec<Bytes>,
    /// [`Counters`].
    #[prost(bytes = "bytes", tag = "12")]
    pub(crate) counters: Bytes,
    /// Version 2, in the place of `strings`, `timestamps` and `series`: see `packed.rs`.
    #[prost(bytes = "bytes", tag = "13")]
    pub(crate) packed: Bytes,
    /// [`Metadata`].
    #[prost(bytes = "bytes", repeated, tag = "14")]
    pub(crate) metadata: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Series {
    /// Name, value, name, value …: indexes into the string table.
    #[prost(uint32, repeated, tag = "1")]
    pub(crate) labels: Vec<u32>,
    /// Index into the timestamp columns.
    #[prost(uint32, tag = "2")]
    pub(crate) timestamps: u32,
    /// A value column.
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) values: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Check {
    #[prost(string, tag = "1")]
    pub(crate) check: String,
    #[prost(sint64, tag = "2")]
    pub(crate) at_ms: i64,
    #[prost(uint32, tag = "3")]
    pub(crate) state: u32,
    #[prost(bool, tag = "4")]
    pub(crate) hard: bool,
    #[prost(sint64, tag = "5")]
    pub(crate) state_since_ms: i64,
    #[prost(string, tag = "6")]
    pub(crate) text: String,
    #[prost(message, repeated, tag = "7")]
    pub(crate) perfdata: Vec<Perf>,
    #[prost(sint32, optional, tag = "8")]
    pub(crate) exit_code: Option<i32>,
    #[prost(uint64, tag = "9")]
    pub(crate) duration_ms: u64,
    #[prost(uint64, tag = "10")]
    pub(crate) interval_ms: u64,
    #[prost(bool, tag = "11")]
    pub(crate) truncated: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Perf {
    #[prost(string, tag = "1")]
    pub(crate) label: String,
    #[prost(double, optional, tag = "2")]
    pub(crate) value: Option<f64>,
    #[prost(string, tag = "3")]
    pub(crate) unit: String,
    #[prost(string, tag = "4")]
    pub(crate) warn: String,
    #[prost(string, tag = "5")]
    pub(crate) crit: String,
    #[prost(double, optional, tag = "6")]
    pub(crate) min: Option<f64>,
    #[prost(double, optional, tag = "7")]
    pub(crate) max: Option<f64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Log {
    #[prost(sint64, tag = "1")]
    pub(crate) at_ms: i64,
    #[prost(string, tag = "2")]
    pub(crate) file: String,
    #[prost(string, tag = "3")]
    pub(crate) level: String,
    #[prost(string, tag = "4")]
    pub(crate) text: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Metadata {
    #[prost(string, tag = "1")]
    pub(crate) metric: String,
    #[prost(string, tag = "2")]
    pub(crate) kind: String,
    #[prost(string, tag = "3")]
    pub(crate) help: String,
    #[prost(string, tag = "4")]
    pub(crate) unit: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Counters {
    #[prost(uint64, tag = "1")]
    pub(crate) generated: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) evicted: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) buffered: u64,
    #[prost(btree_map = "string, uint64", tag = "4")]
    pub(crate) rejected: BTreeMap<String, u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Rejection {
    #[prost(string, tag = "1")]
    pub(crate) reason: String,
    #[prost(uint64, tag = "2")]
    pub(crate) count: u64,
    #[prost(string, tag = "3")]
    pub(crate) first: String,
}

/// What `ingest` puts on the stream.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Envelope {
    #[prost(uint32, tag = "1")]
    pub(crate) version: u32,
    #[prost(string, tag = "2")]
    pub(crate) tenant: String,
    #[prost(string, tag = "3")]
    pub(crate) source: String,
    #[prost(sint64, tag = "4")]
    pub(crate) received_at_ms: i64,
    /// 1 batch, 2 pushed, 3 heartbeat, 4 pulse.
    #[prost(uint32, tag = "5")]
    pub(crate) kind: u32,
    #[prost(fixed64, tag = "6")]
    pub(crate) epoch: u64,
    #[prost(uint64, tag = "7")]
    pub(crate) seq: u64,
    #[prost(bytes = "bytes", tag = "8")]
    pub(crate) batch: Bytes,
    #[prost(message, repeated, tag = "9")]
    pub(crate) rejected: Vec<Rejection>,
    /// [`Counters`].
    #[prost(bytes = "bytes", tag = "10")]
    pub(crate) counters: Bytes,
    #[prost(string, optional, tag = "11")]
    pub(crate) connection: Option<String>,
    /// When a pulse was made.
    #[prost(sint64, tag = "12")]
    pub(crate) pulse_at_ms: i64,
}

/// How often each field number below `N` occurs at the top of a message, before anything is
/// allocated for it. A number at or above `N` is not counted.
pub(crate) fn count_fields<const N: usize>(mut message: &[u8]) -> Result<[usize; N], prost::DecodeError> {
    let mut counts = [0; N];
    while !message.is_empty() {
        let (number, wire_type) = decode_key(&mut message)?;
        if let Some(count) = counts.get_mut(number as usize) {
            *count += 1;
        }
        skip_field(wire_type, number, &mut message, DecodeContext::default())?;
    }
    Ok(counts)
}
