//! What a day of hosts takes at rest, and what it costs to get it there and back.
//!
//! `cargo run --release -p blocks --example at_rest [HOSTS] [FOLDER]`: hosts of 100 series each (`wire::imagined`) at a
//! 10 s step, with times on the step and with 0 to 4 ms of jitter, as objects of an hour and of a day. Everything in
//! the file is counted. Rates are of CPU time. With a FOLDER, a day's objects are left in it.

use std::hint::black_box;
use std::path::PathBuf;

use blocks::parquet::{Fetched, Footer, encode_rollups, encode_samples};
use blocks::{Block, join, rollup};
use bytes::Bytes;
use series::{SourceName, Timestamp, rollup_width};
use wire::SeriesColumn;
use wire::columns::{encode_timestamps, encode_values};
use wire::imagined::Host;
use wire::reconnect::Jitter;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const SERIES: u32 = 100;
const STEP_MS: i64 = 10_000;
/// 2023-11-15 00:00 UTC.
const DAY: i64 = 1_700_006_400_000;
const STEPS_A_DAY: i64 = 8_640;

fn day(hosts: u32, jitter_ms: u64) -> Outcome<Vec<SeriesColumn>> {
    let mut columns = Vec::new();
    for host in 0..hosts {
        let mut jitter = Jitter::new(u64::from(host));
        let times: Vec<Timestamp> =
            (1..=STEPS_A_DAY).map(|step| Timestamp(DAY + step * STEP_MS + jitter.below(jitter_ms) as i64)).collect();
        columns.extend(
            Host::new(&SourceName::new(&format!("web-{host:04}"))?, SERIES, u64::from(host)).collections(&times),
        );
    }
    Ok(columns)
}

/// CPU time of this thread, which others on the machine disturb least; 0 where Linux does not tell it.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.unwrap_or_default() / 1e9
}

/// Rounds until so much CPU time has gone: the kernel counts in steps of some milliseconds.
const ENOUGH_SECONDS: f64 = 0.3;

fn timed<T>(mut work: impl FnMut() -> Outcome<T>) -> Outcome<(T, f64)> {
    let (start, mut rounds) = (cpu_seconds(), 1.0);
    let mut result = work()?;
    while start > 0.0 && cpu_seconds() - start < ENOUGH_SECONDS {
        result = work()?;
        rounds += 1.0;
    }
    Ok((result, (cpu_seconds() - start) / rounds))
}

/// What the same columns take in other forms, a series by itself: what kind of data this is.
fn kinds(columns: &[SeriesColumn]) -> Outcome<()> {
    let (mut raw, mut columns_bytes, mut packed) = (0, 0, 0);
    let samples: usize = columns.iter().map(|column| column.samples.len()).sum();
    for column in columns {
        let values: Vec<f64> = column.samples.iter().map(|sample| sample.value).collect();
        let mut bytes = Vec::new();
        encode_timestamps(&mut bytes, column.samples.iter().map(|sample| sample.at));
        let times = zstd::bulk::compress(&bytes, 3)?.len();
        encode_values(&mut bytes, &values);
        columns_bytes += bytes.len();
        packed += zstd::bulk::compress(&bytes, 3)?.len();
        let bits: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        raw += times + zstd::bulk::compress(&bits, 3)?.len();
    }
    let each = |bytes: usize| bytes as f64 / samples as f64;
    println!(
        "the same in other forms, B/sample: columns {:.2}, columns + zstd-3 {:.2}, raw f64 + zstd-3 {:.2}",
        each(columns_bytes),
        each(packed),
        each(raw)
    );
    Ok(())
}

fn measure(what: &str, block: &Block) -> Outcome<Bytes> {
    let samples = block.samples() as f64;
    let (object, encode) = timed(|| Ok(encode_samples(block)?))?;
    let (back, decode) = timed(|| Ok(Block::decode_parquet(object.clone())?))?;
    if &back != block {
        return Err("the block that was read is not the one that was written".into());
    }
    println!(
        "{what:<12} {:>10} samples {:>6.3} B/sample   encode {:>6.1} M/s   decode {:>6.1} M/s",
        block.samples(),
        object.len() as f64 / samples,
        samples / encode / 1e6,
        samples / decode / 1e6,
    );
    Ok(object)
}

fn reading(object: &Bytes) -> Outcome<()> {
    let (footer, open) = timed(|| Ok(Footer::of(object)?))?;
    let fetched = Fetched::whole(object.clone());
    let all = (Timestamp(i64::MIN), Timestamp(i64::MAX));
    let one = [footer.len() / 2];
    let (_, one_ms) = timed(|| Ok(black_box(footer.samples(&one, all.0, all.1, &fetched)?)))?;
    let fifty: Vec<usize> = (0..footer.len()).step_by((footer.len() / 50).max(1)).take(50).collect();
    let (columns, fifty_ms) = timed(|| Ok(footer.samples(&fifty, all.0, all.1, &fetched)?))?;
    let samples: usize = columns.iter().map(|column| column.samples.len()).sum();
    println!(
        "footer of {} series: {:.2} ms to open, {} KiB in memory; a series' day {:.3} ms, {} series' {:.2} ms ({:.0} M samples/s)",
        footer.len(),
        open * 1e3,
        footer.memory_bytes() / 1024,
        one_ms * 1e3,
        fifty.len(),
        fifty_ms * 1e3,
        samples as f64 / fifty_ms / 1e6,
    );
    Ok(())
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let hosts: u32 = arguments.next().map_or(Ok(20), |text| text.parse())?;
    let folder = arguments.next().map(PathBuf::from);
    for jitter_ms in [0, 4] {
        println!("# {hosts} hosts x {SERIES} series, times with 0 to {jitter_ms} ms of jitter");
        let columns = day(hosts, jitter_ms)?;
        kinds(&columns)?;
        let hour: Vec<SeriesColumn> = columns
            .iter()
            .map(|column| SeriesColumn { labels: column.labels.clone(), samples: column.samples[..360].to_vec() })
            .collect();
        measure("hour", &join(hour))?;
        let block = join(columns);
        let object = measure("day", &block)?;
        reading(&object)?;
        if let Some(folder) = &folder {
            std::fs::write(folder.join(format!("day-{jitter_ms}ms.parquet")), &object)?;
        }
        for width_ms in rollup_width::ALL {
            let (rollups, make) = timed(|| Ok(rollup(&block, width_ms)))?;
            let (object, encode) = timed(|| Ok(encode_rollups(&rollups, width_ms)?))?;
            let rows: usize = rollups.iter().map(|one| one.rollups.len()).sum();
            println!(
                "rollups of {:>2} min {:>6.2} B each, {:.3} B a sample; computed at {:.0} M samples/s, encoded at {:.1} M rollups/s",
                width_ms / 60_000,
                object.len() as f64 / rows as f64,
                object.len() as f64 / block.samples() as f64,
                block.samples() as f64 / make / 1e6,
                rows as f64 / encode / 1e6,
            );
            if let Some(folder) = &folder {
                std::fs::write(
                    folder.join(format!("rollups-{}min-{jitter_ms}ms.parquet", width_ms / 60_000)),
                    &object,
                )?;
            }
        }
    }
    Ok(())
}
