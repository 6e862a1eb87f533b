use proptest::prelude::*;

use super::*;
use crate::limits::{PAYLOAD_BYTES_MAX, REASON_BYTES_MAX, REASONS_MAX};
use crate::testing::{check_result, column, log_record, metadata, source};

/// Text that does not compress.
fn noise(bytes: usize, seed: u64) -> String {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + ((state >> 33) % 90) as u8)
    };
    (0..bytes).map(|_| next()).collect()
}

fn noisy_column(name: &str, samples: usize) -> SeriesColumn {
    let values = (0..samples as i64).map(|n| (n * 977, (n as f64 + 0.1).sqrt())).collect::<Vec<_>>();
    column(name, &values)
}

/// Each part, with the largest header, as the reader sees it.
fn check_parts(chunked: &Chunked) {
    let rejected = (0..REASONS_MAX).map(|n| (noise(REASON_BYTES_MAX, n as u64), u64::MAX)).collect();
    let counters = Counters { generated: u64::MAX, evicted: u64::MAX, buffered: u64::MAX, rejected };
    for part in &chunked.parts {
        assert!(!part.is_empty());
        let batch = part.clone().into_batch(source(), Epoch(u64::MAX), u64::MAX, Timestamp(i64::MAX));
        let batch = Batch { counters: counters.clone(), ack_now: true, ..batch };
        let payload = batch.to_payload();
        assert!(payload.len() <= PAYLOAD_BYTES_MAX, "{}", payload.len());
        let decoded = Batch::from_payload(&payload).unwrap();
        assert_eq!((decoded.batch, decoded.rejected), (batch, vec![]));
    }
}

#[test]
fn what_fits_stays_in_one_piece() {
    let contents = Contents {
        series: vec![column("a", &[(1, 1.0)]), column("b", &[(1, 2.0)])],
        checks: vec![check_result("disk", "OK")],
        logs: vec![log_record("x")],
        metadata: vec![metadata("a", "help")],
    };
    let chunked = chunk(contents.clone(), &source(), PAYLOAD_BYTES_MAX);
    assert_eq!(chunked, Chunked { parts: vec![contents], ..Chunked::default() });
    assert_eq!(chunk(Contents::default(), &source(), PAYLOAD_BYTES_MAX), Chunked::default());
}

#[test]
fn much_data_becomes_several_parts_and_none_is_lost() {
    let contents = Contents {
        series: (0..300).map(|n| noisy_column(&format!("m{n}"), 60)).collect(),
        checks: (0..20).map(|n| check_result(&format!("c{n}"), &noise(3_000, n))).collect(),
        logs: (0..50).map(|n| log_record(&noise(2_000, n))).collect(),
        metadata: (0..3_000).map(|n| metadata(&format!("m{n}"), &noise(100, n))).collect(),
    };
    let chunked = chunk(contents.clone(), &source(), PAYLOAD_BYTES_MAX);
    check_parts(&chunked);
    assert!((5..40).contains(&chunked.parts.len()), "{}", chunked.parts.len());
    assert_eq!((chunked.texts_cut, chunked.rejected.len()), (0, 0));
    let parts = chunked.parts;
    assert_eq!(parts.iter().map(Contents::samples).sum::<usize>(), contents.samples());
    assert_eq!(
        parts.iter().flat_map(|part| &part.checks).collect::<Vec<_>>(),
        contents.checks.iter().collect::<Vec<_>>()
    );
    assert_eq!(parts.iter().flat_map(|part| &part.logs).collect::<Vec<_>>(), contents.logs.iter().collect::<Vec<_>>());
    assert_eq!(
        parts.iter().flat_map(|part| &part.metadata).collect::<Vec<_>>(),
        contents.metadata.iter().collect::<Vec<_>>()
    );
}

#[test]
fn one_long_series_is_cut_in_time() {
    let series = noisy_column("m", 20_000);
    let chunked = chunk(Contents { series: vec![series.clone()], ..Contents::default() }, &source(), PAYLOAD_BYTES_MAX);
    check_parts(&chunked);
    let samples: Vec<_> = chunked.parts.iter().flat_map(|part| &part.series[0].samples).copied().collect();
    assert_eq!(samples, series.samples);
}

#[test]
fn a_long_text_is_cut_and_says_so() {
    let check = check_result("c", &noise(100_000, 1));
    let log = log_record(&noise(100_000, 2));
    let contents = Contents { series: Vec::new(), checks: vec![check], logs: vec![log], metadata: Vec::new() };
    let chunked = chunk(contents, &source(), PAYLOAD_BYTES_MAX);
    check_parts(&chunked);
    assert!(chunked.texts_cut >= 2);
    assert_eq!(chunked.rejected, vec![]);
    let checks: Vec<_> = chunked.parts.iter().flat_map(|part| &part.checks).collect();
    assert!(checks[0].truncated && checks[0].text.len() >= 4_096);
    let logs: Vec<_> = chunked.parts.iter().flat_map(|part| &part.logs).collect();
    assert!(logs[0].text.ends_with(" more bytes]") && logs[0].text.len() >= 4_096, "{}", logs[0].text.len());
}

#[test]
fn limits_of_texts_hold_at_the_limit_and_one_past_it() {
    let cut = |contents: Contents| chunk(contents, &source(), PAYLOAD_BYTES_MAX).texts_cut;
    let check = |text: usize, items: usize, label: usize| {
        let mut check = check_result("c", &"x".repeat(text));
        let mut item = check.perfdata[0].clone();
        item.label = "l".repeat(label);
        check.perfdata = vec![item; items];
        cut(Contents { checks: vec![check], ..Contents::default() })
    };
    assert_eq!(check(CHECK_TEXT_BYTES_MAX, PERF_ITEMS_MAX, PERF_TEXT_BYTES_MAX), 0);
    assert_eq!(check(CHECK_TEXT_BYTES_MAX + 1, 1, 1), 1);
    assert_eq!(check(1, PERF_ITEMS_MAX + 1, 1), 1);
    assert_eq!(check(1, 1, PERF_TEXT_BYTES_MAX + 1), 1);
    let log = |text: usize| cut(Contents { logs: vec![log_record(&"x".repeat(text))], ..Contents::default() });
    assert_eq!([log(LOG_TEXT_BYTES_MAX), log(LOG_TEXT_BYTES_MAX + 1)], [0, 1]);
    let described = |name: usize, help: usize| {
        let metadata = vec![metadata(&"m".repeat(name), &"x".repeat(help))];
        let chunked = chunk(Contents { metadata, ..Contents::default() }, &source(), PAYLOAD_BYTES_MAX);
        chunked.parts.first().map(|part| part.metadata[0].help.len())
    };
    assert_eq!(described(METADATA_NAME_BYTES_MAX, METADATA_HELP_BYTES_MAX), Some(METADATA_HELP_BYTES_MAX));
    assert_eq!(described(1, METADATA_HELP_BYTES_MAX + 1), Some(METADATA_HELP_BYTES_MAX), "a help text is cut");
    assert_eq!(described(METADATA_NAME_BYTES_MAX + 1, 1), None, "a name is not");
}

#[test]
fn what_cannot_fit_comes_back_as_a_rejection() {
    let contents = Contents {
        series: vec![column("m", &[(1, 1.0)])],
        checks: vec![check_result("c", "text")],
        logs: vec![log_record("x")],
        metadata: vec![metadata("a", "help")],
    };
    let chunked = chunk(contents, &source(), HEADER_PAYLOAD_BYTES);
    assert_eq!(chunked.parts, vec![]);
    assert_eq!(chunked.rejected.len(), 1);
    let rejection = &chunked.rejected[0];
    assert_eq!((rejection.reason.as_str(), rejection.count), ("too_large_for_a_batch", 4));
    assert_eq!(rejection.first, r#"m{instance="web-1"}"#);
}

#[test]
fn the_largest_label_set_fits_a_frame() {
    let pairs: Vec<(String, String)> = (0..4).map(|n| (format!("l{n}"), noise(4_060, n))).collect();
    let name = ("__name__".to_owned(), "m".to_owned());
    let labels = series::Labels::from_pairs(pairs.into_iter().chain([name])).unwrap();
    assert!(labels.canonical().len() > 16_200);
    let samples = vec![series::Sample { at: Timestamp(1), value: 0.1 }];
    let contents = Contents { series: vec![SeriesColumn { labels, samples }], ..Contents::default() };
    let chunked = chunk(contents, &source(), PAYLOAD_BYTES_MAX);
    check_parts(&chunked);
    assert_eq!((chunked.parts.len(), chunked.rejected.len()), (1, 0));
}

#[test]
fn a_constant_compresses_without_end_and_still_is_readable() {
    let samples: Vec<(i64, f64)> = (0..300_000).map(|n| (n, 0.0)).collect();
    let chunked =
        chunk(Contents { series: vec![column("m", &samples)], ..Contents::default() }, &source(), PAYLOAD_BYTES_MAX);
    check_parts(&chunked);
    assert_eq!(chunked.parts.iter().map(Contents::samples).sum::<usize>(), 300_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_sample_is_lost(columns in proptest::collection::vec(0..400_usize, 0..30), max in 2_100..8_000_usize) {
        let series: Vec<SeriesColumn> = columns.iter().enumerate().map(|(n, len)| noisy_column(&format!("m{n}"), *len)).collect();
        let mut expected = Vec::new();
        for column in &series {
            expected.extend(column.samples.iter().map(|sample| (column.labels.clone(), sample.at)));
        }
        let chunked = chunk(Contents { series, ..Contents::default() }, &source(), max);
        let lost: u64 = chunked.rejected.iter().map(|rejection| rejection.count).sum();
        let mut found = Vec::new();
        for part in &chunked.parts {
            for column in &part.series {
                found.extend(column.samples.iter().map(|sample| (column.labels.clone(), sample.at)));
            }
            let batch = part.clone().into_batch(source(), Epoch(1), 1, Timestamp(0));
            prop_assert!(batch.to_payload().len() <= max);
        }
        prop_assert_eq!(found.len() + lost as usize, expected.len());
        if lost == 0 {
            prop_assert_eq!(found, expected);
        }
    }
}
