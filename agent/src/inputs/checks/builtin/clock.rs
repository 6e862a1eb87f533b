//! `time`: whether a time service keeps the clock.
//!
//! The kernel's own offset needs adjtimex, which has no safe interface in Rust; what a time
//! service leaves in `/run` is taken instead.

use std::path::Path;

use formats::nagios::State;

use super::{Bounds, Finding, word};
use crate::inputs::host::kernel::clock_synchronized;

pub(super) fn clock(root: &Path, bounds: Result<Bounds, String>) -> Result<Finding, String> {
    bounds?;
    let (state, told, synchronized) = match clock_synchronized(root) {
        Some(true) => (State::Ok, "a time service keeps the clock", "1"),
        Some(false) => (State::Warning, "the time service has not yet set the clock", "0"),
        // Containers and many virtual machines get the time from their host.
        None => (State::Ok, "no time service is seen on this host", "U"),
    };
    Ok(Finding {
        state,
        text: format!("TIME {} - {told}", word(state)),
        perfdata: format!("synchronized={synchronized};;;0;1"),
    })
}
