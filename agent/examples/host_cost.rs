//! Prints what a collection of host metrics costs: CPU seconds per 1,000 samples.
//!
//! `cargo run --release -p daywatch-agent --example host_cost [rounds]`

use std::path::Path;

use daywatch_agent::inputs::HostMetrics;
use series::Timestamp;

/// CPU time of this process in clock ticks, 100 a second.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    after_name.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

fn main() {
    let rounds: i64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(2_000);
    let mut host = HostMetrics::new(Path::new("/"));
    host.collect(Timestamp(0));
    let before = cpu_ticks();
    let samples: usize = (0..rounds).map(|round| host.collect(Timestamp(round * 10_000)).samples().len()).sum();
    let seconds = (cpu_ticks() - before) as f64 / 100.0;
    println!("{} samples a collection", samples / rounds.max(1) as usize);
    println!("{:.0} us a collection", seconds * 1e6 / rounds as f64);
    println!("{:.5} CPU s per 1,000 samples", seconds / (samples as f64 / 1_000.0));
}
