//! `memory`: memory that no program could get any more, percent.

use super::{Bounds, Finding, field, readable_bytes, rounded, word};

pub(super) fn memory(
    read: impl Fn(&str) -> Result<String, String>,
    bounds: Result<Bounds, String>,
) -> Result<Finding, String> {
    let bounds = bounds?;
    let text = read("proc/meminfo")?;
    let bytes = |name: &str| field(&text, name).map(|kilobytes| kilobytes * 1024.0);
    let (Some(total), Some(available)) = (bytes("MemTotal:"), bytes("MemAvailable:")) else {
        return Err("MEMORY UNKNOWN - /proc/meminfo does not tell MemTotal and MemAvailable".to_owned());
    };
    if total <= 0.0 {
        return Err("MEMORY UNKNOWN - /proc/meminfo tells no memory".to_owned());
    }
    let used = rounded((1.0 - available / total) * 100.0);
    let state = bounds.state(used);
    let mut perfdata = format!("{} available={available}B;;;0;{total}", bounds.item("used", used, "%", "0;100"));
    let mut text = format!(
        "MEMORY {} - {used}% used, {} of {} available",
        word(state),
        readable_bytes(available),
        readable_bytes(total)
    );
    if let (Some(swap), Some(free)) = (bytes("SwapTotal:").filter(|swap| *swap > 0.0), bytes("SwapFree:")) {
        let used = rounded((1.0 - free / swap) * 100.0);
        perfdata.push_str(&format!(" swap_used={used}%;;;0;100"));
        text.push_str(&format!(", swap {used}% used"));
    }
    Ok(Finding { state, text, perfdata })
}
