//! What travels: batches of an agent, frames of the websocket, records of the stream.
//!
//! `docs/protocol.md` describes it for people who write another agent. Version 1's bytes are
//! committed as fixtures and never change; a change is version 2, an addition is a new protobuf
//! field. Nothing here reads a socket, a file or a clock.

mod batch;
mod frames;

pub use batch::{Batch, CheckResult, CheckState, LogRecord, PerfItem, Rejection, SeriesColumn};
pub use frames::{
    AgentFrame, BrowserFrame, Counters, FROM_AGENT_PROTOCOL, PageFrame, SeqRange, ServerFrame, WatchedAlert,
    WatchedCheck, WatchedSeries,
};
