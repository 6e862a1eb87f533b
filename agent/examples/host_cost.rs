//! Prints what a collection of host metrics costs until it waits in the intake: CPU seconds per
//! 1,000 samples. With `text`, prints one collection instead, to be compared with node_exporter's.
//!
//! `cargo run --release -p daywatch-agent --example host_cost [rounds | text]`

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use daywatch_agent::inputs::HostMetrics;
use daywatch_agent::intake::Intake;
use series::{SourceName, Timestamp};

/// CPU time of this process in clock ticks, 100 a second.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    after_name.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

fn main() -> Result<(), series::IdError> {
    let argument = std::env::args().nth(1).unwrap_or_default();
    let mut host = HostMetrics::new(Path::new("/"), series::Labels::empty());
    if argument == "text" {
        for (labels, sample) in host.collect(Timestamp(0)).samples() {
            println!("{labels} {}", sample.value);
        }
        return Ok(());
    }
    let rounds: i64 = argument.parse().unwrap_or(2_000);
    let intake = Intake::new(SourceName::new("host-cost")?, &BTreeMap::new(), Arc::default());
    for (what, kept) in [("collected", false), ("collected and put into the intake", true)] {
        let before = cpu_ticks();
        let mut samples = 0;
        for round in 0..rounds {
            let sheet = host.collect(Timestamp(round * 10_000));
            samples += sheet.samples().len();
            if kept {
                intake.samples("node", sheet.samples().iter().cloned());
                drop(intake.take());
            }
        }
        let seconds = (cpu_ticks() - before) as f64 / 100.0;
        let each = samples as f64 / rounds as f64;
        println!(
            "{what}: {each:.0} samples in {:.0} us, {:.5} CPU s per 1,000 samples",
            seconds * 1e6 / rounds as f64,
            seconds / (samples as f64 / 1_000.0)
        );
    }
    Ok(())
}
