//! What the six Lambda functions share.
//!
//! Without features: AWS's events as the pipeline's types and back, which is all that a simulator
//! or a test needs. With `runtime`: the environment, the logs, the metrics and the loop that a
//! `main.rs` stands on. Only `runtime` names the adapter for AWS; nothing here decides a use case.
//!
//! An [`Event`] is told by its own shape, because one function has several sources. A function's
//! `event.rs` takes it apart, calls the function's `lib.rs`, and answers as the source wants it:
//! a batch in part ([`partial`]), a request with a response ([`http`]), a websocket with a status
//! ([`websocket`]).

pub mod connections;
pub mod deadline;
pub mod environment;
mod event;
pub mod failed;
mod failure;
pub mod http;
pub mod meter;
pub mod pace;
pub mod partial;
#[cfg(feature = "runtime")]
pub mod runtime;
pub mod wakes;
pub mod websocket;

pub use deadline::Deadline;
pub use event::{Change, Event, Message};
pub use failure::{BadEvent, Failure};
