//! Ports on AWS: Kinesis, DynamoDB, S3, SNS, SQS and API Gateway behind the traits of `ports`.
//!
//! [`connect`] builds every client once; a [`Config`] says where the ports lie. What may partly
//! fail is a value, keyed by the original index (`stream.rs`, `table/`); every error of the SDK
//! gets its class in one place (`errors.rs`); [`keys`] alone spells a key. It depends on `ports`
//! and knows nothing of what the pipeline stores.

pub mod keys;

#[cfg(feature = "sdk")]
mod blobs;
#[cfg(feature = "sdk")]
mod clock;
#[cfg(feature = "sdk")]
mod config;
#[cfg(feature = "sdk")]
mod connect;
#[cfg(feature = "sdk")]
mod errors;
#[cfg(feature = "sdk")]
mod http;
#[cfg(feature = "sdk")]
mod missing;
#[cfg(feature = "sdk")]
mod push;
#[cfg(feature = "sdk")]
pub mod stack;
#[cfg(feature = "sdk")]
mod stream;
#[cfg(feature = "sdk")]
mod table;
#[cfg(feature = "sdk")]
mod timer;
#[cfg(feature = "sdk")]
mod topic;

#[cfg(feature = "sdk")]
pub use clock::{OsEntropy, SystemClock};
#[cfg(feature = "sdk")]
pub use config::Config;
#[cfg(feature = "sdk")]
pub use connect::{Adapter, connect, connect_in};
#[cfg(feature = "sdk")]
pub use stack::Stack;
#[cfg(feature = "sdk")]
pub use timer::{Received, Timers};

#[cfg(test)]
#[cfg(feature = "sdk")]
mod contract_tests;
#[cfg(test)]
#[cfg(feature = "sdk")]
mod emulator;
#[cfg(test)]
#[cfg(feature = "sdk")]
mod stub;
