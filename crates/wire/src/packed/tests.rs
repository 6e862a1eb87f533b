use proptest::prelude::*;
use series::protobuf::put_labels;

use super::*;
use crate::{Batch, DecodeError};

fn text(labels: &Labels) -> Vec<u8> {
    let mut out = Vec::new();
    put_labels(&mut out, labels);
    out
}

fn encode(columns: &[SeriesColumn]) -> Bytes {
    let texts: Vec<Vec<u8>> = columns.iter().map(|column| text(&column.labels)).collect();
    let mut packer = Packer::default();
    for (column, text) in columns.iter().zip(&texts) {
        let place = packer.series(text);
        for sample in &column.samples {
            packer.sample(place, *sample);
        }
    }
    packer.encode(&SourceName::new("key").unwrap(), Epoch(7), 9, Timestamp(11)).0
}

fn columns(series: usize, samples: i64) -> Vec<SeriesColumn> {
    let column = |n: usize| {
        let (name, host) = (format!("metric_{}", n % 100), format!("host-{}", n / 100));
        let labels = Labels::from_pairs([("__name__", name.as_str()), ("instance", &host), ("job", "node")]).unwrap();
        let samples = (0..samples).map(|at| Sample { at: Timestamp(at * 10_000), value: (n as f64) / 3.0 + at as f64 });
        SeriesColumn { labels, samples: samples.collect() }
    };
    (0..series).map(column).collect()
}

#[test]
fn what_is_packed_comes_out_again() {
    for (series, samples) in [(0, 0), (1, 1), (3, 2), (1_000, 1), (300, 7)] {
        let columns = columns(series, samples);
        let bytes = encode(&columns);
        let decoded = Batch::decode(&bytes).unwrap();
        assert_eq!(decoded.rejected, []);
        assert_eq!(decoded.batch.series, columns);
        assert_eq!((decoded.batch.source.as_str(), decoded.batch.epoch, decoded.batch.seq), ("key", Epoch(7), 9));
        assert_eq!((decoded.batch.created_at, decoded.batch.ack_now), (Timestamp(11), false));
    }
    let packed = encode(&columns(1_000, 1)).len();
    assert!(packed < 1_000 * 16, "{packed} bytes");
}

#[test]
fn samples_may_come_in_any_order_and_labels_may_be_known() {
    let of = columns(2, 2);
    let texts = [text(&of[0].labels), text(&of[1].labels)];
    let mut packer = Packer::default();
    let places = [packer.series(&texts[0]), packer.series(&texts[1])];
    for (column, at) in [(1, 1), (0, 1), (1, 0), (0, 0)] {
        packer.sample(places[column], of[column].samples[at]);
    }
    let (bytes, _) = packer.encode(&SourceName::new("key").unwrap(), Epoch(1), 1, Timestamp(0));
    let mut asked = 0;
    let known = &mut |asked_for: &[u8]| {
        asked += 1;
        (asked_for == texts[0]).then(|| of[0].labels.clone())
    };
    assert_eq!(Batch::decode_known(&bytes, known, None).unwrap().batch.series, of);
    assert_eq!(asked, 2);
}

#[test]
fn a_bad_label_set_costs_its_samples_alone() {
    let of = columns(2, 3);
    let texts = [text(&of[0].labels), b"\x0a\x01?".to_vec()];
    let mut packer = Packer::default();
    for (text, column) in texts.iter().zip(&of) {
        let place = packer.series(text);
        column.samples.iter().for_each(|sample| packer.sample(place, *sample));
    }
    let decoded = Batch::decode(&packer.encode(&SourceName::new("k").unwrap(), Epoch(1), 1, Timestamp(0)).0).unwrap();
    assert_eq!(decoded.batch.series, of[..1]);
    assert_eq!((decoded.rejected[0].reason.as_str(), decoded.rejected[0].count), ("not_protobuf", 3));
}

#[test]
fn shared_ends_are_counted_once() {
    let (a, b) = (b"0123456789abcdefghij".as_slice(), b"0123456789abcdefghij".as_slice());
    assert_eq!((shared(a, b), shared_end(a, b)), (20, 20));
    for at in 0..a.len() {
        let mut other = b.to_vec();
        other[at] = b'_';
        assert_eq!((shared(a, &other), shared_end(a, &other)), (at, a.len() - at - 1));
    }
    assert_eq!((shared(b"", b"x"), shared_end(b"xx", b"x")), (0, 1));
}

fn batch_of(packed: Vec<u8>) -> Result<crate::Decoded, DecodeError> {
    let message =
        schema::Batch { version: VERSION, source: "k".to_owned(), packed: packed.into(), ..Default::default() };
    Batch::decode_protobuf(message.encode_to_vec().into())
}

#[test]
fn numbers_at_their_limits_and_one_past_them() {
    let many = |n: usize| {
        let mut packed = Vec::new();
        put_varint(&mut packed, n as u64);
        packed.extend(std::iter::repeat_n([0_u8, 0, 0], n).flatten());
        packed.extend_from_slice(&[1, 1, 0]);
        packed.extend(std::iter::repeat_n(0_u8, n));
        batch_of(packed)
    };
    assert!(many(SERIES_PER_BATCH_MAX).is_ok());
    assert!(matches!(many(SERIES_PER_BATCH_MAX + 1), Err(DecodeError::TooMany { what: "series", .. })));
    // A text that grows by sharing: 16 bytes become as many as the limit.
    let grown = |sets: usize| {
        let mut packed = Vec::new();
        put_varint(&mut packed, sets as u64);
        packed.extend_from_slice(&[0, 0]);
        put_varint(&mut packed, TEXT_BYTES_MAX as u64);
        packed.extend(std::iter::repeat_n(0_u8, TEXT_BYTES_MAX));
        for _ in 1..sets {
            put_varint(&mut packed, TEXT_BYTES_MAX as u64);
            packed.extend_from_slice(&[0, 0]);
        }
        packed.extend_from_slice(&[1, 1, 0]);
        packed.extend(std::iter::repeat_n(0_u8, sets));
        batch_of(packed)
    };
    let sets = PACKED_LABEL_BYTES_MAX / TEXT_BYTES_MAX;
    assert!(grown(sets).is_ok());
    assert!(matches!(grown(sets + 1), Err(DecodeError::TooMany { what: "bytes of labels", .. })));
    assert!(batch_of(vec![1, 1, 0, 0]).is_err(), "more is shared than there is");
    assert!(batch_of(vec![1, 0, 0, 0, 0, 0]).is_err(), "no such column of times");
    assert!(batch_of(vec![]).is_err());
}

#[test]
fn a_packer_says_when_it_is_full() {
    let label = text(&columns(1, 0)[0].labels);
    let mut packer = Packer::default();
    let mut series = 0;
    while packer.has_room(1, label.len()) {
        let place = packer.series(&label);
        packer.sample(place, Sample { at: Timestamp(0), value: 0.1 });
        series += 1;
    }
    assert!((SERIES_PER_BATCH_MAX * 9 / 10..=SERIES_PER_BATCH_MAX).contains(&series), "{series}");
    let (bytes, _) = packer.encode(&SourceName::new("k").unwrap(), Epoch(1), 1, Timestamp(0));
    assert_eq!(Batch::decode(&bytes).unwrap().batch.series.len(), series);
    let mut one = Packer::default();
    let place = one.series(&label);
    let mut samples = 0;
    while one.has_room(1, 0) {
        one.sample(place, Sample { at: Timestamp(samples), value: 0.1 + samples as f64 });
        samples += 1;
    }
    let (bytes, _) = one.encode(&SourceName::new("k").unwrap(), Epoch(1), 1, Timestamp(0));
    assert!(bytes.len() <= crate::limits::BATCH_BYTES_MAX, "{}", bytes.len());
    assert_eq!(Batch::decode(&bytes).unwrap().batch.samples(), samples as u64);
}

proptest! {
    #[test]
    fn no_bytes_panic(packed in proptest::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..80)) {
        let _ = batch_of(packed);
    }
}
