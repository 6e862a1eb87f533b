//! No bytes panic: blocks and Parquet objects with random damage, decoded as far as they go.
//!
//! `FUZZ_RUNS=1000000 cargo test --release -p blocks --test fuzz`; 500 where it says nothing. The damage is drawn
//! from the run's number, which a failure shows: the same number does the same again.

use blocks::parquet::{Fetched, Footer, Parsed, encode_rollups, encode_samples};
use blocks::{Block, BlockReader, ManifestItem, join, rollup};
use bytes::Bytes;
use series::rollup_width::FIVE_MINUTES_MS;
use series::{SourceName, Timestamp, stale_marker};
use wire::imagined::Host;
use wire::reconnect::Jitter;

const RUNS: u64 = 500;
const ALL: (Timestamp, Timestamp) = (Timestamp(i64::MIN), Timestamp(i64::MAX));

fn objects() -> Result<Vec<Bytes>, Box<dyn std::error::Error>> {
    let times: Vec<Timestamp> = (1..=90).map(|step| Timestamp(1_700_006_400_000 + step * 10_000)).collect();
    let mut columns = Host::new(&SourceName::new("web-1")?, 25, 1).collections(&times);
    columns[3].samples[50].value = stale_marker();
    for (sample, number) in columns[4].samples.iter_mut().zip(1_u32..) {
        sample.value = f64::from(number).sqrt();
    }
    let block = join(columns);
    let rollups = encode_rollups(&rollup(&block, FIVE_MINUTES_MS), FIVE_MINUTES_MS)?;
    Ok(vec![encode_samples(&block)?, rollups, block.encode()])
}

/// Some bytes changed, and now and then an end cut off or a piece doubled.
fn damaged(object: &[u8], jitter: &mut Jitter) -> Vec<u8> {
    let mut bytes = object.to_vec();
    for _ in 0..=jitter.below(6) {
        let at = jitter.below(bytes.len() as u64 - 1) as usize;
        match jitter.below(9) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes.extend_from_within(at..),
            2 => bytes[at] = 0xff,
            3 => bytes[at] = 0,
            _ => bytes[at] ^= 1 << jitter.below(7),
        }
    }
    bytes
}

fn read(bytes: Vec<u8>) {
    let bytes = Bytes::from(bytes);
    let _ = Block::decode(bytes.clone());
    if let Ok(reader) = BlockReader::open(bytes.clone()) {
        let _ = reader.read(0, ALL.0, ALL.1);
    }
    let _ = ManifestItem::decode(&bytes);
    let tail = &bytes[bytes.len() / 2..];
    let _ = Footer::parse(tail, bytes.len() as u64);
    if let Ok(Parsed::Footer(footer)) = Footer::parse(&bytes, bytes.len() as u64) {
        let all: Vec<usize> = (0..footer.len()).collect();
        let _ = footer.ranges(&all, ALL.0, ALL.1);
        // Series by series, so that one that is damaged does not hide the others.
        let fetched = Fetched::whole(bytes);
        for series in all {
            let _ = footer.series(series);
            let _ = footer.samples(&[series], ALL.0, ALL.1, &fetched);
            let _ = footer.rollups(&[series], ALL.0, ALL.1, &fetched);
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long to go on is known to who runs it")]
fn damaged_objects_are_read_or_refused() {
    let runs = std::env::var("FUZZ_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(RUNS);
    let objects = objects().unwrap();
    for run in 0..runs {
        let mut jitter = Jitter::new(run);
        for object in &objects {
            let bytes = damaged(object, &mut jitter);
            if let Err(panic) = std::panic::catch_unwind(|| read(bytes)) {
                println!("run {run}");
                std::panic::resume_unwind(panic);
            }
        }
    }
}
