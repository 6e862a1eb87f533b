//! What the samples of a batch cost on their way into a block: decode, join, encode, and reading
//! one series back.
//!
//! `cargo run --release -p blocks --example aggregate`: 100 agents with 100 series each, six samples
//! a series. The best of several rounds, because the machine has other things to do.

use std::time::Instant;

use blocks::{Block, BlockReader, join};
use series::{Epoch, Labels, Sample, SourceName, Timestamp};
use wire::{Batch, Contents, SeriesColumn};

const AGENTS: usize = 100;
const SERIES: usize = 100;
const STEPS: i64 = 6;
const ROUNDS: usize = 15;

fn batch(agent: usize, noise: &mut u64) -> Result<Batch, Box<dyn std::error::Error>> {
    let source = format!("web-{agent}");
    let mut series = Vec::new();
    for number in 0..SERIES {
        let device = format!("dev{}", number % 20);
        let name = format!("node_metric_{}_total", number / 20);
        let labels = [("__name__", name.as_str()), ("device", &device), ("instance", &source), ("source", &source)];
        let mut samples = Vec::new();
        for step in 0..STEPS {
            *noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = (*noise >> 44) as f64 / if number % 2 == 0 { 1.0 } else { 100.0 };
            samples.push(Sample { at: Timestamp(1_700_000_000_000 + step * 10_000), value });
        }
        series.push(SeriesColumn { labels: Labels::from_pairs(labels)?, samples });
    }
    let contents = Contents { series, ..Contents::default() };
    Ok(contents.into_batch(SourceName::new(&source)?, Epoch(1), 1, Timestamp(1_700_000_060_000)))
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn best_of<T>(what: &str, samples: f64, mut work: impl FnMut() -> T) -> T {
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
    println!("{what:<22} {:>8.3} s a million samples", best / samples * 1e6);
    result
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut noise = 1;
    let batches = (0..AGENTS).map(|agent| batch(agent, &mut noise)).collect::<Result<Vec<_>, _>>()?;
    let samples: f64 = batches.iter().map(|batch| batch.samples() as f64).sum();

    let encoded = best_of("encode batches", samples, || batches.iter().map(Batch::encode).collect::<Vec<_>>());
    let decode = || encoded.iter().map(|bytes| Batch::decode(bytes)).collect::<Result<Vec<_>, _>>();
    let columns = best_of("decode batches", samples, decode)?;
    let columns: Vec<SeriesColumn> = columns.into_iter().flat_map(|decoded| decoded.batch.series).collect();
    let block = best_of("join", samples, || join(columns.iter().cloned()));
    let bytes = best_of("encode block", samples, || block.encode());
    let decoded = best_of("decode block", samples, || Block::decode(bytes.clone()))?;
    if decoded != block {
        return Err("the block that was read is not the one that was written".into());
    }
    let reader = best_of("open block", samples, || BlockReader::open(bytes.clone()))?;
    best_of("read one series", STEPS as f64, || reader.read(5_000, Timestamp(0), Timestamp(i64::MAX)))?;
    let sizes = encoded.iter().map(Vec::len).sum::<usize>() as f64 / samples;
    println!("batches {sizes:.2} B/sample, block {:.2} B/sample", bytes.len() as f64 / samples);
    Ok(())
}
