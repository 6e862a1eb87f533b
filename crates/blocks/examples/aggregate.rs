//! What the samples of a batch cost on their way into a block: decode, join, encode, and reading
//! one series back.
//!
//! `cargo run --profile up -p blocks --example aggregate`: 100 agents with 100 series each, six samples
//! a series; "new" is without the memory of earlier batches. CPU seconds, because the machine has other things to do.

use blocks::{Block, BlockReader, Order, join};
use series::{Epoch, Labels, Sample, SourceName, Timestamp};
use wire::{Batch, Contents, DICTIONARY_BYTES_MAX, Dictionaries, SeriesColumn};

const AGENTS: usize = 100;
const SERIES: usize = 100;
const STEPS: i64 = 6;

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

/// CPU time of this thread, which others on the machine disturb least; 0 where Linux does not tell it.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.unwrap_or_default() / 1e9
}

/// Rounds until so much CPU time has gone: the kernel counts in steps of some milliseconds.
const ENOUGH_SECONDS: f64 = 0.3;

fn measured<T>(what: &str, samples: f64, mut work: impl FnMut() -> T) -> T {
    let (start, mut rounds) = (cpu_seconds(), 1.0);
    let mut result = work();
    while start > 0.0 && cpu_seconds() - start < ENOUGH_SECONDS {
        result = work();
        rounds += 1.0;
    }
    println!("{what:<22} {:>8.3} CPU s a million samples", (cpu_seconds() - start) / rounds / samples * 1e6);
    result
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut noise = 1;
    let batches = (0..AGENTS).map(|agent| batch(agent, &mut noise)).collect::<Result<Vec<_>, _>>()?;
    let samples: f64 = batches.iter().map(|batch| batch.samples() as f64).sum();

    let encoded = measured("encode batches", samples, || batches.iter().map(Batch::encode).collect::<Vec<_>>());
    let decode = || encoded.iter().map(|bytes| Batch::decode(bytes)).collect::<Result<Vec<_>, _>>();
    measured("decode batches, new", samples, decode)?;
    let known = Dictionaries::new(1, DICTIONARY_BYTES_MAX);
    let inspect = || encoded.iter().map(|bytes| Batch::inspect(bytes, &known)).collect::<Result<Vec<_>, _>>();
    measured("look at batches", samples, inspect)?;
    let decode_one = |bytes: &Vec<u8>| Batch::decode_known(bytes, &mut |_| None, Some(&known));
    let decode = || encoded.iter().map(decode_one).collect::<Result<Vec<_>, _>>();
    let columns = measured("decode batches", samples, decode)?;
    let columns: Vec<SeriesColumn> = columns.into_iter().flat_map(|decoded| decoded.batch.series).collect();
    measured("join, new", samples, || join(columns.iter().cloned()));
    let mut order = Order::default();
    let block = measured("join", samples, || order.join(columns.to_vec()));
    measured("copy what is joined", samples, || columns.to_vec());
    let bytes = measured("encode block", samples, || block.encode());
    let decoded = measured("decode block", samples, || Block::decode(bytes.clone()))?;
    if decoded != block {
        return Err("the block that was read is not the one that was written".into());
    }
    let reader = measured("open block", samples, || BlockReader::open(bytes.clone()))?;
    measured("read one series", STEPS as f64, || reader.read(5_000, Timestamp(0), Timestamp(i64::MAX)))?;
    let sizes = encoded.iter().map(Vec::len).sum::<usize>() as f64 / samples;
    println!("batches {sizes:.2} B/sample, block {:.2} B/sample", bytes.len() as f64 / samples);
    Ok(())
}
