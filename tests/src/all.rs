//! Everything that is tested from outside of a single crate, as one binary: it links once.
//!
//! A test that needs a program or a folder which is not there says `skipped: …` and why; nothing
//! is left out in silence. Ports are chosen by the system, and waiting is for a condition with a
//! deadline. Find your way:
//!
//! * `boundaries`: who may depend on whom, read from `cargo metadata`; no runtime, HTTP or AWS crate
//!   below `pipeline`. Forged edges show that it refuses.
//! * `house`: rules on files that a compiler does not know: length, names, no skipped test, no path
//!   of somebody's machine.

#![cfg(test)]

mod boundaries;
mod house;
