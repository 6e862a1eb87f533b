//! `load`: the load of the last five minutes per core.

use super::{Bounds, Finding, rounded, word};

pub(super) fn load(
    read: impl Fn(&str) -> Result<String, String>,
    bounds: Result<Bounds, String>,
) -> Result<Finding, String> {
    let bounds = bounds?;
    let text = read("proc/loadavg")?;
    let loads: Vec<f64> = text.split_ascii_whitespace().map_while(|word| word.parse().ok()).take(3).collect();
    let [one, five, fifteen] = loads[..] else {
        return Err("LOAD UNKNOWN - /proc/loadavg cannot be read".to_owned());
    };
    let stat = read("proc/stat")?;
    let is_core =
        |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let cores = stat.lines().filter(is_core).count().max(1);
    let per_core = rounded(five / cores as f64);
    let state = bounds.state(per_core);
    Ok(Finding {
        state,
        text: format!(
            "LOAD {} - {per_core} a core, load average {one}, {five}, {fifteen} on {cores} cores",
            word(state)
        ),
        perfdata: format!(
            "{} load1={one};;;0; load5={five};;;0; load15={fifteen};;;0;",
            bounds.item("load5_per_core", per_core, "", "0;")
        ),
    })
}
