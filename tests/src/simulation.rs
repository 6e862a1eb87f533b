//! The simulator: its rules one by one against traces written by hand, and its schedules.
//!
//! `make soak`, or `cargo run -p tests --example simulate`, runs many more of these.

mod mapping;
mod schedules;
mod stream;
