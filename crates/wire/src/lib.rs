//! What travels: batches of an agent, frames of the websocket, records of the stream.
//!
//! `docs/protocol.md` describes it for people who write another agent. Version 1's bytes are
//! committed as fixtures and never change; a change is version 2, an addition is a new protobuf
//! field. Nothing here reads a socket, a file or a clock.

mod batch;
mod chunk;
mod codec;
pub mod columns;
mod compression;
mod dictionary;
mod frames;
pub mod imagined;
mod json;
pub mod limits;
mod packed;
pub mod part;
pub mod reconnect;
mod record;
mod rejections;
mod schema;
pub mod segment;
#[cfg(test)]
mod testing;

pub use batch::{Batch, CheckResult, CheckState, LogRecord, MetricMetadata, PerfItem, Rejection, SeriesColumn};
pub use chunk::{Chunked, Contents, HEADER_PAYLOAD_BYTES, chunk};
pub use codec::{DecodeError, Decoded, Inspected, Written, WrittenColumn, payload_bytes};
pub use dictionary::{DICTIONARY_BYTES_MAX, Dictionaries};
pub use frames::{
    AgentFrame, BrowserFrame, Counters, FROM_AGENT_PROTOCOL, PageFrame, SeqRange, ServerFrame, WatchedAlert,
    WatchedCheck, WatchedSeries,
};
pub use json::FrameError;
pub use limits::{FRAME_BYTES_MAX, PAYLOAD_BYTES_MAX};
pub use packed::Packer;
pub use record::{CONNECTION_BYTES_MAX, ENVELOPE_BYTES_MAX, EnvelopeError, StreamEnvelope, StreamKind};
pub use rejections::Rejections;
