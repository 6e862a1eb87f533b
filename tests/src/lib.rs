//! What the tests of several processes stand on: the real programs as child processes, a client, a
//! browser's websocket, an agent's websocket, a receiver of webhooks. The measuring tools in
//! `examples/` stand on it too.
//!
//! Everything here panics where something is not as it must be: its callers are tests. It must not
//! know what a test is about, and but for `disk` it reaches a server by its doors alone.
#![expect(clippy::panic, clippy::unwrap_used, reason = "only tests and measuring tools use this")]

pub mod agent;
pub mod agent_socket;
pub mod anchors;
pub mod bill;
pub mod disk;
pub mod emulator;
pub mod gateway;
pub mod page;
pub mod place;
pub mod process;
pub mod programs;
pub mod prometheus;
pub mod receiver;
pub mod reconnects;
pub mod remote_write;
pub mod server;
pub mod simulator;
pub mod stack;
pub mod wait;

pub use agent::Agent;
pub use agent_socket::AgentSocket;
pub use emulator::{Emulator, Tools};
pub use page::Page;
pub use place::Place;
pub use process::Process;
pub use receiver::Receiver;
pub use server::Server;
pub use stack::Stack;
pub use wait::{PATIENCE, until, until_in};
