//! Batches for tests.

use proptest::prelude::*;
use series::{Epoch, Labels, Sample, SourceName, Timestamp};

use crate::{Batch, CheckResult, CheckState, Counters, LogRecord, MetricMetadata, PerfItem, SeriesColumn};

pub(crate) fn source() -> SourceName {
    SourceName::new("web-1").unwrap()
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

pub(crate) fn column(name: &str, samples: &[(i64, f64)]) -> SeriesColumn {
    let samples = samples.iter().map(|(at, value)| Sample { at: Timestamp(*at), value: *value }).collect();
    SeriesColumn { labels: labels(&[("__name__", name), ("instance", "web-1")]), samples }
}

pub(crate) fn check_result(name: &str, text: &str) -> CheckResult {
    CheckResult {
        check: name.to_owned(),
        at: Timestamp(1_700_000_030_000),
        state: CheckState::Critical,
        hard: true,
        state_since: Timestamp(1_700_000_000_000),
        text: text.to_owned(),
        perfdata: vec![
            PerfItem {
                label: "/".to_owned(),
                value: Some(2_643.0),
                unit: "MB".to_owned(),
                warn: "5948".to_owned(),
                crit: "@10:20".to_owned(),
                min: Some(0.0),
                max: Some(5_968.5),
            },
            PerfItem {
                label: "unknown".to_owned(),
                value: None,
                unit: String::new(),
                warn: String::new(),
                crit: String::new(),
                min: None,
                max: None,
            },
        ],
        exit_code: Some(2),
        duration_ms: 12,
        interval_ms: 30_000,
        truncated: false,
    }
}

pub(crate) fn log_record(text: &str) -> LogRecord {
    LogRecord {
        at: Timestamp(1_700_000_001_234),
        file: "/var/log/app.log".to_owned(),
        level: "error".to_owned(),
        text: text.to_owned(),
    }
}

pub(crate) fn metadata(metric: &str, help: &str) -> MetricMetadata {
    MetricMetadata { metric: metric.to_owned(), kind: "gauge".to_owned(), help: help.to_owned(), unit: String::new() }
}

/// A batch with something of everything that version 1 began with. The fixture of version 1 is made of it: never change it.
pub(crate) fn full_batch() -> Batch {
    let stale = f64::from_bits(series::STALE_NAN_BITS);
    Batch {
        source: source(),
        epoch: Epoch(0xfedc_ba98_7654_3210),
        seq: 42,
        created_at: Timestamp(1_700_000_031_000),
        ack_now: true,
        series: vec![
            column("node_load1", &[(1_700_000_000_000, 0.25), (1_700_000_010_000, 0.5), (1_700_000_020_000, 1.75)]),
            column("node_forks_total", &[(1_700_000_000_000, 7e9), (1_700_000_010_000, 7e9), (1_700_000_020_000, 7e9)]),
            column("third", &[(1_700_000_000_000, 1.0 / 3.0), (1_700_000_010_000, stale), (1_700_000_020_000, -0.0)]),
            column("late", &[(-5, f64::INFINITY)]),
            SeriesColumn {
                labels: labels(&[("__name__", "load.load.shortterm"), ("größe", "naïve ☂")]),
                samples: vec![Sample { at: Timestamp(1_700_000_005_000), value: 1e-300 }],
            },
        ],
        checks: vec![check_result("disk", "DISK CRITICAL - free space: / 2643 MB\nlong text\nof two lines")],
        logs: vec![log_record("java.lang.IllegalStateException: gone\n\tat a.B.c(B.java:7)")],
        metadata: Vec::new(),
        counters: Counters {
            generated: 1_000,
            evicted: 3,
            buffered: 17,
            rejected: [("graphite_bad_value".to_owned(), 2)].into(),
        },
    }
}

/// Any batch that the reader accepts.
pub(crate) fn any_batch() -> impl Strategy<Value = Batch> {
    let times = proptest::collection::btree_set(1_700_000_000_000_i64..1_700_000_600_000, 1..12);
    let value = prop_oneof![any::<u64>().prop_map(f64::from_bits), (0..1_000_i64).prop_map(|n| n as f64 / 4.0)];
    let samples = (times, proptest::collection::vec(value, 12)).prop_map(|(times, values)| {
        times.into_iter().zip(values).map(|(at, value)| Sample { at: Timestamp(at), value }).collect::<Vec<_>>()
    });
    let pairs = proptest::collection::btree_map("[a-z]{1,4}", "\\PC{1,8}", 0..4);
    let series = (pairs, samples).prop_map(|(pairs, samples)| {
        let name = [("__name__".to_owned(), "m".to_owned())];
        SeriesColumn { labels: Labels::from_pairs(pairs.into_iter().chain(name)).unwrap(), samples }
    });
    let series = proptest::collection::vec(series, 0..6);
    let checks = proptest::collection::vec("\\PC{0,40}".prop_map(|text| check_result("c", &text)), 0..3);
    let logs = proptest::collection::vec("\\PC{0,40}".prop_map(|text| log_record(&text)), 0..3);
    let metadata = proptest::collection::vec("\\PC{0,40}".prop_map(|text| metadata("m", &text)), 0..3);
    let items = (series, checks, logs, metadata);
    (items, any::<[u64; 5]>(), any::<bool>()).prop_map(|((series, checks, logs, metadata), numbers, ack_now)| {
        let [epoch, seq, generated, evicted, buffered] = numbers;
        let counters = Counters { generated, evicted, buffered, rejected: [("r".to_owned(), seq)].into() };
        let (epoch, created_at) = (Epoch(epoch), Timestamp(evicted as i64));
        Batch { source: source(), epoch, seq, created_at, ack_now, series, checks, logs, metadata, counters }
    })
}
