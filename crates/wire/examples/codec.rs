//! How fast batches are written and read, and how many bytes a sample takes.
//!
//! `cargo run --release -p wire --example codec`: 500 series as a host sends them (half counters,
//! half gauges with two decimals) in batches of 1, 6 and 60 collections.

use std::time::Instant;

use series::{Epoch, Labels, Sample, SourceName, Timestamp};
use wire::{Batch, Contents, Counters, SeriesColumn};

const SERIES: usize = 500;
const ROUNDS: usize = 40;

fn batch(collections: i64) -> Result<Batch, Box<dyn std::error::Error>> {
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (noise >> 40) as f64
    };
    let mut series = Vec::new();
    for number in 0..SERIES {
        let device = format!("dev{}", number % 40);
        let name = format!("node_metric_{}_total", number / 40);
        let labels = [("__name__", name.as_str()), ("device", &device), ("instance", "web-1"), ("source", "web-1")];
        let mut value = (next() * 1_000.0).floor();
        let mut samples = Vec::new();
        for step in 0..collections {
            value = if number % 2 == 0 { value + (next() / 1e4).floor() } else { (next() / 1e3).floor() / 100.0 };
            samples.push(Sample { at: Timestamp(1_700_000_000_000 + step * 10_000), value });
        }
        series.push(SeriesColumn { labels: Labels::from_pairs(labels)?, samples });
    }
    let contents = Contents { series, ..Contents::default() };
    let batch = contents.into_batch(SourceName::new("web-1")?, Epoch(1), 1, Timestamp(1_700_000_060_000));
    Ok(Batch { counters: Counters { generated: 1, ..Counters::default() }, ..batch })
}

/// The best round, because the machine has other things to do.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn best_of<T>(mut work: impl FnMut() -> T) -> (T, f64) {
    let mut best = f64::INFINITY;
    let mut round = || {
        let start = Instant::now();
        let result = work();
        best = best.min(start.elapsed().as_secs_f64());
        result
    };
    let mut result = round();
    for _ in 1..ROUNDS {
        result = round();
    }
    (result, best)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("collections  samples  B/sample  encode M/s  decode M/s");
    for collections in [1, 6, 60] {
        let batch = batch(collections)?;
        let samples = batch.samples() as f64;
        let (bytes, encode) = best_of(|| batch.encode());
        let (decoded, decode) = best_of(|| Batch::decode(&bytes));
        if decoded?.batch != batch {
            return Err("the batch that was read is not the one that was written".into());
        }
        println!(
            "{collections:>11}  {samples:>7}  {:>8.2}  {:>10.2}  {:>10.2}",
            bytes.len() as f64 / samples,
            samples / encode / 1e6,
            samples / decode / 1e6,
        );
    }
    Ok(())
}
