//! `processes`: how many there are, beside how many numbers the kernel has for them.

use std::path::Path;

use formats::nagios::Range;

use super::{Bounds, Finding, process_count, word};

/// Where no bound is configured, WARNING above this share of the numbers that there are.
const WARN_SHARE: f64 = 0.8;
/// Likewise CRITICAL.
const CRIT_SHARE: f64 = 0.9;

pub(super) fn processes(
    root: &Path,
    read: impl Fn(&str) -> Result<String, String>,
    given: Result<Bounds, String>,
) -> Result<Finding, String> {
    let given = given?;
    let count = process_count(root)? as f64;
    // Threads take numbers as well: "0.00 0.01 0.05 2/345 6789".
    let threads =
        read("proc/loadavg").ok().and_then(|text| text.split_once('/')?.1.split(' ').next()?.parse::<f64>().ok());
    let number = |path: &str| read(path).ok().and_then(|text| text.trim().parse::<f64>().ok());
    let limits = ["proc/sys/kernel/pid_max", "proc/sys/kernel/threads-max"];
    let limit = limits.into_iter().filter_map(number).reduce(f64::min);
    let up_to = |share: f64| limit.map(|limit| Range { start: 0.0, end: (limit * share).floor(), alert_inside: false });
    let by_limit = Bounds { warn: up_to(WARN_SHARE), crit: up_to(CRIT_SHARE) };
    let state = given.state(count).max(by_limit.state(threads.unwrap_or(count)));
    let mut text = format!("PROCESSES {} - {count} processes", word(state));
    let mut perfdata = given.item("processes", count, "", "0;");
    if let Some(threads) = threads {
        text.push_str(&format!(", {threads} threads"));
        let max = limit.map(|limit| limit.to_string()).unwrap_or_default();
        perfdata.push_str(&format!(" {}", by_limit.item("threads", threads, "", &format!("0;{max}"))));
    }
    if let Some(limit) = limit {
        text.push_str(&format!(" of {limit} that the kernel has room for"));
    }
    Ok(Finding { state, text, perfdata })
}
