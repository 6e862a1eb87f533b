use proptest::prelude::*;

use super::*;
use crate::compression::decompressed_bytes_max;
use crate::limits::SAMPLES_PER_BATCH_MAX;
use crate::limits::{DECOMPRESSED_BYTES_FREE, DECOMPRESSED_BYTES_MAX};
use crate::testing::{any_batch, check_result, column, full_batch, log_record, metadata, source};

fn empty_batch() -> Batch {
    Batch { series: Vec::new(), checks: Vec::new(), logs: Vec::new(), metadata: Vec::new(), ..full_batch() }
}

fn message() -> schema::Batch {
    schema::Batch::decode(full_batch().encode_protobuf().as_slice()).unwrap()
}

fn decode_message(message: &schema::Batch) -> Result<Decoded, DecodeError> {
    Batch::decode_protobuf(message.encode_to_vec().into())
}

/// What is left out of a batch whose message was changed, as `reason count`.
#[track_caller]
fn check_rejected(change: impl FnOnce(&mut schema::Batch), expected: &[(&str, u64)]) -> Decoded {
    let mut changed = message();
    change(&mut changed);
    let decoded = decode_message(&changed).unwrap();
    let found: Vec<(&str, u64)> = decoded.rejected.iter().map(|r| (r.reason.as_str(), r.count)).collect();
    assert_eq!(found, expected, "{:?}", decoded.rejected);
    decoded
}

#[track_caller]
fn check_error(result: Result<Decoded, DecodeError>, reason: &str) {
    match result {
        Ok(_) => panic!("it was decoded; {reason} was expected"),
        Err(error) => assert_eq!(error.reason(), reason, "{error}"),
    }
}

/// The protobuf is pinned byte by byte. zstd's bytes may differ from release to release, so the
/// packed fixtures only have to be read.
fn change_series(batch: &mut schema::Batch, at: usize, change: impl FnOnce(&mut schema::Series)) {
    let mut series = schema::Series::decode(batch.series[at].clone()).unwrap();
    change(&mut series);
    batch.series[at] = series.encode_to_vec().into();
}

#[test]
fn version_1_never_changes() {
    let batch = full_batch();
    let plain = include_bytes!("../../fixtures/batch_v1.bin");
    assert_eq!(batch.encode_protobuf(), plain, "the bytes of version 1 changed: make it version 2");
    let expected = Decoded { batch, rejected: Vec::new() };
    assert_eq!(Batch::decode_protobuf(Bytes::from_static(plain)).unwrap(), expected);
    let packed = include_bytes!("../../fixtures/batch_v1.bin.zst");
    assert_eq!(Batch::decode(packed).unwrap(), expected);
    let payload = include_str!("../../fixtures/batch_v1.payload.txt");
    assert_eq!(Batch::from_payload(payload.trim_end()).unwrap(), expected);
    assert!(expected.batch.ack_now && !expected.batch.logs.is_empty());
}

#[test]
fn fields_of_later_versions_are_skipped() {
    let mut bytes = full_batch().encode_protobuf();
    let known = bytes.len();
    prost::encoding::string::encode(900, &"news".to_owned(), &mut bytes);
    prost::encoding::uint64::encode(901, &7, &mut bytes);
    assert!(bytes.len() > known);
    assert_eq!(Batch::decode_protobuf(bytes.into()).unwrap().batch, full_batch());
}

#[test]
fn times_that_series_share_are_written_once() {
    let message = message();
    assert_eq!(message.timestamps.len(), 3);
    let times = |at: usize| schema::Series::decode(message.series[at].clone()).unwrap().timestamps;
    assert_eq!(times(0), times(2));
}

#[test]
fn a_bad_series_is_left_out_alone() {
    let decoded =
        check_rejected(|batch| batch.strings[1] = Bytes::from_static(b"a\0b"), &[("label_control_character", 3)]);
    assert_eq!(decoded.batch.series.len(), 4);
    check_rejected(|batch| batch.strings[1] = Bytes::from_static(&[0xff]), &[("label_not_utf8", 3)]);
    check_rejected(|batch| batch.strings[1] = vec![b'x'; 1_025].into(), &[("label_value_too_long", 3)]);
    check_rejected(|batch| change_series(batch, 0, |series| series.labels[1] = 900), &[("series_labels", 3)]);
    check_rejected(|batch| change_series(batch, 0, |series| series.labels.truncate(3)), &[("series_labels", 3)]);
    check_rejected(|batch| change_series(batch, 0, |series| series.labels.clear()), &[("no_metric_name", 3)]);
    check_rejected(|batch| change_series(batch, 0, |series| series.timestamps = 900), &[("series_timestamps", 1)]);
    check_rejected(
        |batch| change_series(batch, 1, |series| series.values = Bytes::from_static(&[7, 0, 0, 0])),
        &[("series_values", 3)],
    );
    check_rejected(|batch| change_series(batch, 1, |series| series.values = Bytes::new()), &[("series_values", 3)]);
}

#[test]
fn a_bad_check_or_log_or_counter_is_left_out_alone() {
    let check = |change: fn(&mut schema::Check), reason: &str| {
        let decoded = check_rejected(
            |batch| {
                let mut message = check_message(&check_result("b", ""));
                change(&mut message);
                batch.checks.insert(0, message.encode_to_vec().into());
            },
            &[(reason, 1)],
        );
        assert_eq!((decoded.batch.checks.len(), decoded.batch.series.len()), (1, 5));
    };
    check(|check| check.state = 4, "check_state");
    check(|check| check.check.clear(), "check_name_empty");
    check_rejected(|batch| batch.checks[0] = Bytes::from_static(&[0x0a, 9]), &[("check_not_protobuf", 1)]);
    check_rejected(|batch| batch.logs[0] = Bytes::from_static(&[0x22, 1, 0xff]), &[("log_not_protobuf", 1)]);
    let decoded = check_rejected(|batch| batch.counters = Bytes::from_static(&[0x08]), &[("counters_not_protobuf", 1)]);
    assert_eq!(decoded.batch.counters, Counters::default());
}

#[test]
fn samples_out_of_order_are_put_in_order() {
    let batch = Batch { series: vec![column("m", &[(20, 2.0), (10, 1.0), (20, 3.0)])], ..empty_batch() };
    let sorted = vec![column("m", &[(10, 1.0), (20, 2.0), (20, 3.0)])];
    assert_eq!(Batch::decode(&batch.encode()).unwrap().batch.series, sorted);
}

#[test]
fn what_is_no_batch_is_refused_by_name() {
    check_error(Batch::from_payload("@@@"), "batch_not_base64");
    check_error(Batch::decode(b""), "batch_not_zstd");
    check_error(Batch::decode(b"not zstd at all"), "batch_not_zstd");
    check_error(Batch::decode(&compress(&[0xff; 20])), "batch_not_protobuf");
    check_error(Batch::decode(&compress(b"")), "batch_version");
    check_error(decode_message(&schema::Batch { version: 3, ..message() }), "batch_version");
    check_error(decode_message(&schema::Batch { source: String::new(), ..message() }), "batch_source");
    let timestamps = vec![Bytes::from_static(&[2, 0])];
    check_error(decode_message(&schema::Batch { timestamps, ..message() }), "batch_timestamps");
}

#[test]
fn a_payload_at_the_limit_and_one_past_it() {
    let at = "A".repeat(PAYLOAD_BYTES_MAX);
    assert!(payload_bytes(&at).is_ok());
    check_error(Batch::from_payload(&format!("{at}A")), "batch_too_large");
}

#[test]
fn encoded_bytes_at_the_limit_and_one_past_it() {
    check_error(Batch::decode(&vec![0; BATCH_BYTES_MAX]), "batch_not_zstd");
    check_error(Batch::decode(&vec![0; BATCH_BYTES_MAX + 1]), "batch_too_large");
}

#[test]
fn decompressed_bytes_at_the_limit_and_one_past_it() {
    // A field that nobody knows, of zeros: free bytes for a short batch.
    let padded = |bytes: usize| {
        let mut plain = empty_batch().encode_protobuf();
        let padding = bytes - plain.len() - 5; // two bytes of key, three of length
        prost::encoding::encode_key(900, prost::encoding::WireType::LengthDelimited, &mut plain);
        prost::encoding::encode_varint(padding as u64, &mut plain);
        plain.resize(bytes, 0);
        plain
    };
    for undeclared in [false, true] {
        let pack =
            |plain: Vec<u8>| if undeclared { zstd::encode_all(&plain[..], 3).unwrap() } else { compress(&plain) };
        // The limit depends on the compressed length, which grows a little with the padding.
        let mut max = DECOMPRESSED_BYTES_FREE;
        let at = loop {
            let packed = pack(padded(max));
            let allowed = decompressed_bytes_max(packed.len());
            if allowed == max {
                break packed;
            }
            max = allowed;
        };
        assert!(max < DECOMPRESSED_BYTES_MAX && Batch::decode(&at).is_ok());
        let past = pack(padded(max + 1));
        assert_eq!(past.len(), at.len());
        check_error(Batch::decode(&past), "batch_too_large");
    }
    // With enough compressed bytes the absolute limit holds.
    assert_eq!(decompressed_bytes_max(BATCH_BYTES_MAX), DECOMPRESSED_BYTES_MAX);
    check_error(Batch::decode(&compress(&vec![0; 1 << 30][..])), "batch_too_large");
}

#[test]
fn parts_at_the_limit_and_one_past_it() {
    let series = |n: usize| decode_message(&schema::Batch { series: vec![Bytes::new(); n], ..message() });
    assert!(series(SERIES_PER_BATCH_MAX).is_ok());
    check_error(series(SERIES_PER_BATCH_MAX + 1), "batch_too_many");
    let strings = |n: usize| decode_message(&schema::Batch { strings: vec![Bytes::new(); n], ..message() });
    assert!(strings(STRINGS_PER_BATCH_MAX).is_ok());
    check_error(strings(STRINGS_PER_BATCH_MAX + 1), "batch_too_many");
    let columns =
        |n: usize| decode_message(&schema::Batch { timestamps: vec![Bytes::from_static(&[0]); n], ..message() });
    assert!(columns(SERIES_PER_BATCH_MAX).is_ok());
    check_error(columns(SERIES_PER_BATCH_MAX + 1), "batch_too_many");
    let checks = |n: usize| decode_message(&schema::Batch { checks: vec![Bytes::new(); n], ..message() });
    assert!(checks(CHECKS_PER_BATCH_MAX).is_ok());
    check_error(checks(CHECKS_PER_BATCH_MAX + 1), "batch_too_many");
    let logs = |n: usize| decode_message(&schema::Batch { logs: vec![Bytes::new(); n], ..message() });
    assert!(logs(LOGS_PER_BATCH_MAX).is_ok());
    check_error(logs(LOGS_PER_BATCH_MAX + 1), "batch_too_many");
    let metadata = |n: usize| decode_message(&schema::Batch { metadata: vec![Bytes::new(); n], ..message() });
    assert!(metadata(METADATA_PER_BATCH_MAX).is_ok());
    check_error(metadata(METADATA_PER_BATCH_MAX + 1), "batch_too_many");
}

#[test]
fn samples_at_the_limit_and_one_past_it() {
    let times = |n: usize| -> Vec<(i64, f64)> { (0..n as i64).map(|at| (at, 0.0)).collect() };
    let half = times(SAMPLES_PER_BATCH_MAX / 2);
    let batch = |more: usize| {
        let series = vec![column("a", &half), column("b", &half), column("c", &times(more))];
        Batch::decode(&Batch { series, ..empty_batch() }.encode())
    };
    assert_eq!(batch(0).unwrap().batch.samples(), SAMPLES_PER_BATCH_MAX as u64);
    check_error(batch(1), "batch_too_many");
}

#[test]
fn texts_at_the_limit_and_one_past_it() {
    let check = |change: &dyn Fn(&mut CheckResult)| {
        let mut check = check_result("c", "");
        change(&mut check);
        let decoded = Batch::decode(&Batch { checks: vec![check], ..empty_batch() }.encode()).unwrap();
        decoded.rejected.first().map(|rejection| rejection.reason.clone()).unwrap_or_default()
    };
    let text = |n: usize| check(&|check| check.text = "x".repeat(n));
    assert_eq!([text(CHECK_TEXT_BYTES_MAX), text(CHECK_TEXT_BYTES_MAX + 1)], ["", "check_text_too_long"]);
    let name = |n: usize| check(&|check| check.check = "x".repeat(n));
    assert_eq!([name(CHECK_NAME_BYTES_MAX), name(CHECK_NAME_BYTES_MAX + 1)], ["", "check_name_too_long"]);
    let items = |n: usize| check(&|check| check.perfdata = vec![check.perfdata[0].clone(); n]);
    assert_eq!([items(PERF_ITEMS_MAX), items(PERF_ITEMS_MAX + 1)], ["", "too_many_perf_items"]);
    let label = |n: usize| check(&|check| check.perfdata[0].label = "x".repeat(n));
    assert_eq!([label(PERF_TEXT_BYTES_MAX), label(PERF_TEXT_BYTES_MAX + 1)], ["", "perf_text_too_long"]);

    let log = |file: usize, text: usize| {
        let log = LogRecord { file: "f".repeat(file), ..log_record(&"x".repeat(text)) };
        let decoded = Batch::decode(&Batch { logs: vec![log], ..empty_batch() }.encode()).unwrap();
        decoded.rejected.first().map(|rejection| rejection.reason.clone()).unwrap_or_default()
    };
    assert_eq!(log(LOG_NAME_BYTES_MAX, LOG_TEXT_BYTES_MAX), "");
    assert_eq!(log(LOG_NAME_BYTES_MAX + 1, 1), "log_name_too_long");
    assert_eq!(log(1, LOG_TEXT_BYTES_MAX + 1), "log_text_too_long");

    let described = |name: usize, help: usize| {
        let metadata = vec![metadata(&"m".repeat(name), &"x".repeat(help)), metadata("good", "")];
        let decoded = Batch::decode(&Batch { metadata, ..empty_batch() }.encode()).unwrap();
        assert_eq!(decoded.batch.metadata.last().map(|good| good.metric.as_str()), Some("good"));
        decoded.rejected.first().map(|rejection| rejection.reason.clone()).unwrap_or_default()
    };
    assert_eq!(described(METADATA_NAME_BYTES_MAX, METADATA_HELP_BYTES_MAX), "");
    assert_eq!(described(METADATA_NAME_BYTES_MAX + 1, 1), "metadata_too_long");
    assert_eq!(described(1, METADATA_HELP_BYTES_MAX + 1), "metadata_too_long");

    let counters = |reasons: usize, bytes: usize| {
        let rejected = (0..reasons).map(|n| (format!("{n:0bytes$}"), 1)).collect();
        let counters = Counters { rejected, ..Counters::default() };
        Batch::decode(&Batch { counters, ..empty_batch() }.encode()).unwrap().rejected.len()
    };
    assert_eq!(counters(REASONS_MAX, REASON_BYTES_MAX), 0);
    assert_eq!(counters(REASONS_MAX + 1, REASON_BYTES_MAX), 1);
    assert_eq!(counters(REASONS_MAX, REASON_BYTES_MAX + 1), 1);
}

proptest! {
    #[test]
    fn batches_round_trip(batch in any_batch()) {
        let decoded = Batch::from_payload(&batch.to_payload()).unwrap();
        prop_assert_eq!(&decoded.batch, &batch);
        prop_assert!(decoded.rejected.is_empty());
        prop_assert_eq!(decoded.batch.encode(), batch.encode());
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Batch::decode(&bytes);
        let _ = Batch::decode_protobuf(bytes.into());
    }

    #[test]
    fn no_mutated_batch_panics(batch in any_batch(), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = batch.encode_protobuf();
        for (at, byte) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if let Ok(decoded) = Batch::decode_protobuf(bytes.into()) {
            // Whatever came out is a batch that can be sent on.
            let again = Batch::decode(&decoded.batch.encode()).unwrap();
            prop_assert_eq!(again.batch.samples(), decoded.batch.samples());
        }
        let mut packed = batch.encode();
        for (at, byte) in &changes {
            let at = at.index(packed.len());
            packed[at] = *byte;
        }
        let _ = Batch::decode(&packed);
    }

    #[test]
    fn no_cut_batch_panics(batch in any_batch(), at in any::<prop::sample::Index>()) {
        let bytes = batch.encode();
        let _ = Batch::decode(&bytes[..at.index(bytes.len())]);
    }
}

#[test]
fn a_source_name_is_checked() {
    assert_eq!(Batch::decode(&empty_batch().encode()).unwrap().batch.source, source());
}
