//! `time`: whether this host's clock agrees with the server's, and whether a time service keeps it.
//!
//! The kernel's own offset needs adjtimex, which has no safe interface in Rust; what a time
//! service leaves in `/run` and what the server said at its welcome are taken instead.

use std::path::Path;

use formats::nagios::State;

use super::{Bounds, Finding, word};
use crate::figures::Figures;
use crate::inputs::host::kernel::clock_synchronized;

pub(super) fn clock(root: &Path, figures: &Figures, bounds: Result<Bounds, String>) -> Result<Finding, String> {
    let bounds = bounds?;
    let (service_state, service, synchronized) = match clock_synchronized(root) {
        Some(true) => (State::Ok, "a time service keeps the clock", "1"),
        Some(false) => (State::Warning, "the time service has not yet set the clock", "0"),
        // Containers and many virtual machines get the time from their host.
        None => (State::Ok, "no time service is seen on this host", "U"),
    };
    let (state, compared, mut perfdata) = match figures.clock_offset.seconds() {
        None => (service_state, "not compared: no server was reached yet".to_owned(), String::new()),
        Some(offset) => {
            let state = service_state.max(bounds.state(offset));
            (state, compared(offset), bounds.item("offset", offset, "s", "") + " ")
        }
    };
    perfdata.push_str(&format!("synchronized={synchronized};;;0;1"));
    Ok(Finding { state, text: format!("TIME {} - {compared}; {service}", word(state)), perfdata })
}

/// `offset` is the server's clock minus ours.
fn compared(offset: f64) -> String {
    let side = if offset > 0.0 { "behind" } else { "ahead of" };
    format!("this host's clock was {} s {side} the server's when the agent last connected", offset.abs())
}
