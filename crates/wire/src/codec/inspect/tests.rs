use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::compression::compress;
use crate::dictionary::DICTIONARY_BYTES_MAX;
use crate::testing::{any_batch, full_batch};

fn dictionaries() -> Dictionaries {
    Dictionaries::new(7, DICTIONARY_BYTES_MAX)
}

/// Bytes of a batch are looked at and read, twice each, with and without a memory: all say the same.
#[track_caller]
fn check(bytes: &[u8], memory: &Dictionaries) {
    let expected = Batch::decode(bytes);
    for _ in 0..2 {
        assert_eq!(Batch::inspect(bytes, memory), expected.clone().map(Inspected::from));
        assert_eq!(Batch::decode_known(bytes, &mut |_| None, Some(memory)), expected);
    }
    assert_eq!(Batch::inspect(bytes, &Dictionaries::new(7, 0)), expected.map(Inspected::from));
}

#[test]
fn a_batch_of_everything() {
    let memory = dictionaries();
    check(&full_batch().encode(), &memory);
    check(include_bytes!("../../../fixtures/batch_v1.bin.zst"), &memory);
    let span = Batch::inspect(&full_batch().encode(), &memory).unwrap().span;
    assert_eq!(span, Some((Timestamp(-5), Timestamp(1_700_000_020_000))));
    let empty = Batch { series: Vec::new(), ..full_batch() };
    assert_eq!(Batch::inspect(&empty.encode(), &memory).unwrap().span, None);
}

#[test]
fn fields_in_another_order_are_read_the_long_way() {
    let plain = full_batch().encode_protobuf();
    // `ack_now` again at the end, which wins; and the version alone at the front.
    let changed = [&plain[..], &[0x30, 0x00]].concat();
    let memory = dictionaries();
    check(&compress(&changed), &memory);
    assert!(!Batch::inspect(&compress(&changed), &memory).unwrap().ack_now);
    check(&compress(&[0x08, 0x01]), &memory);
}

#[test]
fn the_same_series_share_their_labels_and_others_do_not() {
    let memory = dictionaries();
    let read = |batch: &Batch| Batch::decode_known(&batch.encode(), &mut |_| None, Some(&memory)).unwrap().batch;
    let (first, later) = (full_batch(), Batch { seq: 43, ack_now: false, ..full_batch() });
    let places = |batch: &Batch| -> Vec<usize> {
        batch.series.iter().map(|column| column.labels.canonical().as_ptr().addr()).collect()
    };
    assert_eq!(places(&read(&first)), places(&read(&later)));
    let mut other = full_batch();
    other.series.truncate(2);
    assert_ne!(places(&read(&first))[..2], places(&read(&other)));
}

proptest! {
    #[test]
    fn looking_says_what_reading_says(batches in proptest::collection::vec(any_batch(), 1..4)) {
        let memory = dictionaries();
        for batch in &batches {
            check(&batch.encode(), &memory);
        }
    }

    #[test]
    fn and_so_of_what_was_changed_on_its_way(
        batch in any_batch(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let memory = dictionaries();
        let mut bytes = batch.encode_protobuf();
        check(&compress(&bytes), &memory);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            check(&compress(&bytes), &memory);
        }
        let _ = Batch::decode_protobuf(Bytes::from(bytes));
    }
}
