//! The agent: collects on a host, keeps what it collected on disk, and hands it over.
//!
//! Data goes one way: inputs and jobs → [`intake`] (memory, bounded) → [`flush`] → [`buffer`]
//! (disk) → [`link`] (websocket). Acks come back the same way and free the buffer. Nothing after
//! the intake knows what a host metric or a Nagios plugin is.

pub mod buffer;
pub mod config;
pub mod connect;
pub mod figures;
pub mod flush;
pub mod inputs;
pub mod intake;
pub mod link;
pub mod net;
pub mod once;
pub mod own;
pub mod run;
pub mod schedule;
pub mod status;
pub mod store;
pub mod surroundings;
