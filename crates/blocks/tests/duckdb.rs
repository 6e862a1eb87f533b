//! Another program reads our Parquet objects: DuckDB counts, adds and gives back every bit.
//!
//! Needs a Python with the package `duckdb`: `python3`, or the one that `DUCKDB_PYTHON` names.

use std::process::Command;

use blocks::parquet::{encode_rollups, encode_samples};
use blocks::{Block, join, rollup};
use series::rollup_width::FIVE_MINUTES_MS;
use series::{Sample, SourceName, Timestamp, stale_marker};
use wire::columns::DECIMAL_SCALE_MAX;
use wire::imagined::Host;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const STEPS: i64 = 400;
const STEP_MS: i64 = 10_000;
const START: i64 = 1_700_006_400_000;

/// Three hosts; one of them ends in stale markers, and one series has every kind of number.
fn block() -> Outcome<Block> {
    let times: Vec<Timestamp> = (1..=STEPS).map(|step| Timestamp(START + step * STEP_MS)).collect();
    let mut columns = Vec::new();
    for host in 0..3_u64 {
        let name = SourceName::new(&format!("web-{host}"))?;
        columns.extend(Host::new(&name, 100, host).collections(&times));
    }
    for column in columns.iter_mut().take(10) {
        if let Some(last) = column.samples.last_mut() {
            last.value = stale_marker();
        }
    }
    let odd = &mut columns[250].samples;
    for (sample, number) in odd.iter_mut().zip(1_u32..) {
        let digits = number % u32::from(DECIMAL_SCALE_MAX + 8);
        sample.value = (f64::from(number) / 3.0 * 10_f64.powi(digits as i32)).round() / 10_f64.powi(digits as i32);
    }
    odd[7].value = f64::NEG_INFINITY;
    odd[8].value = -0.0;
    Ok(join(columns))
}

/// Of (milliseconds, double) pairs, bit by bit, in any order: what the script computes.
fn checksum(rows: impl Iterator<Item = (Timestamp, f64)>) -> String {
    let one = |(at, value): (Timestamp, f64)| value.to_bits() ^ (at.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    rows.map(one).fold(0, u64::wrapping_add).to_string()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "which Python has duckdb is known to who runs the test")]
fn duckdb_reads_the_same_bits() -> Outcome<()> {
    let python = std::env::var("DUCKDB_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_duckdb = Command::new(&python).args(["-c", "import duckdb"]).output();
    if !has_duckdb.is_ok_and(|output| output.status.success()) {
        println!("skipped: {python} has no duckdb (pip install duckdb, or DUCKDB_PYTHON)");
        return Ok(());
    }
    let block = block()?;
    let rollups = rollup(&block, FIVE_MINUTES_MS);
    let folder = tempfile::tempdir()?;
    let (samples_at, rollups_at) = (folder.path().join("samples.parquet"), folder.path().join("rollups.parquet"));
    std::fs::write(&samples_at, encode_samples(&block)?)?;
    std::fs::write(&rollups_at, encode_rollups(&rollups, FIVE_MINUTES_MS)?)?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ask_duckdb.py");
    let output = Command::new(&python).arg(script).args([&samples_at, &rollups_at]).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout)?;

    let samples = || block.columns().iter().flat_map(|column| column.samples.iter().copied());
    let all = || rollups.iter().flat_map(|one| one.rollups.iter()).filter(|rollup| rollup.count > 0);
    let up = |column: &&wire::SeriesColumn| {
        column.labels.metric_name() == Some("node_network_up") && column.labels.get("instance") == Some("web-1")
    };
    let received =
        block.columns().iter().filter(|c| c.labels.metric_name() == Some("node_network_receive_bytes_total"));
    let received: i128 = received.flat_map(|c| &c.samples).filter(|s| !s.value.is_nan()).map(|s| s.value as i128).sum();
    let expected = serde_json::json!({
        "rows": block.samples(),
        "series": block.series(),
        "stale": samples().filter(|sample| sample.value.is_nan()).count(),
        "received": received.to_string(),
        "bits": checksum(samples().map(|Sample { at, value }| (at, value))),
        "up": block.columns().iter().filter(up).map(|column| column.samples.len()).sum::<usize>(),
        "rollups": rollups.iter().map(|one| one.rollups.len()).sum::<usize>(),
        "counted": all().map(|rollup| rollup.count).sum::<u64>(),
        "last_bits": checksum(all().map(|rollup| (rollup.end, rollup.last))),
        "increase_bits": checksum(all().map(|rollup| (rollup.end, rollup.increase))),
    });
    assert_eq!(found, expected);
    Ok(())
}
