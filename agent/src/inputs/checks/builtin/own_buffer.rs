//! `buffer`: how much of the agent's own buffer waits for the server, percent.

use formats::nagios::State;

use super::{Bounds, Finding, readable_bytes, rounded, word};
use crate::figures::Figures;

pub(super) fn buffer(figures: &Figures, bounds: Result<Bounds, String>) -> Result<Finding, String> {
    let bounds = bounds?;
    let (bytes, max) = (figures.buffer_bytes.get() as f64, figures.buffer_bytes_max.get() as f64);
    let used = if max > 0.0 { rounded(bytes / max * 100.0) } else { 0.0 };
    let mut state = bounds.state(used);
    let mut text = format!("{used}% used, {}", readable_bytes(bytes));
    if figures.memory_only.get() {
        state = state.max(State::Critical);
        text.push_str(", in memory only: the disk cannot be used");
    }
    let evicted = figures.evicted_total.get();
    if evicted > 0 {
        text.push_str(&format!(", {evicted} samples evicted so far"));
    }
    Ok(Finding {
        state,
        text: format!("BUFFER {} - {text}", word(state)),
        perfdata: format!(
            "{} bytes={bytes}B;;;0;{max} samples={};;;0; evicted={evicted}c",
            bounds.item("used", used, "%", "0;100"),
            figures.buffer_samples.get()
        ),
    })
}
