use series::{Epoch, Labels, SourceName, Timestamp};
use wire::Contents;

use super::*;

fn record(sequence: u32) -> Delivered {
    let (shard, sequence) = ("0".to_owned(), format!("{sequence:020}"));
    Delivered { shard, sequence, arrived_at: Timestamp(0), data: bytes::Bytes::new() }
}

fn batch(value: f64) -> Vec<u8> {
    let labels = Labels::from_pairs([("__name__", "x")]).unwrap();
    let series = vec![SeriesColumn { labels, samples: vec![Sample { at: Timestamp(1), value }] }];
    let contents = Contents { series, ..Contents::default() };
    contents.into_batch(SourceName::new("a").unwrap(), Epoch(1), 1, Timestamp(1)).encode()
}

#[test]
fn a_record_is_read_once_and_gone_when_it_was_taken() {
    let memory = embedded::Embedded::memory(1).unwrap();
    let (series, tenant) = (KnownSeries::new(&memory.embedded.ports()), TenantId::default());
    let one = heap_bytes(&series.decode(&tenant, &batch(1.0)).unwrap());
    let shared = DecodedBatches::with_bytes_max(2 * one);
    let read = |sequence| shared.read(&series, &record(sequence), &tenant, &batch(f64::from(sequence))).unwrap();
    let size = || {
        let kept = shared.kept();
        (kept.batches.len(), kept.bytes)
    };
    assert!(Arc::ptr_eq(&read(1), &read(1)));
    assert_eq!(shared.kept().bytes, one);
    read(2);
    read(3);
    assert_eq!(size(), (2, 2 * one), "at the limit, and one past it");
    // Neither what was kept nor what was not is another record's.
    for sequence in [1, 3] {
        let taken = shared.take(&series, &record(sequence), &tenant, &batch(f64::from(sequence))).unwrap();
        assert_eq!(taken.batch.series[0].samples[0].value, f64::from(sequence));
    }
    assert_eq!(size(), (0, 0), "the second, before the third, is past");
    read(3);
    assert_eq!(shared.kept().bytes, 0, "who comes after the taker leaves nothing");
    assert!(shared.take(&series, &record(3), &tenant, b"no batch").is_err());
}

#[test]
fn where_nothing_is_to_be_kept_nothing_is() {
    let memory = embedded::Embedded::memory(1).unwrap();
    let (series, tenant) = (KnownSeries::new(&memory.embedded.ports()), TenantId::default());
    let shared = DecodedBatches::default();
    shared.read(&series, &record(1), &tenant, &batch(1.0)).unwrap();
    assert!(shared.take(&series, &record(1), &tenant, b"no batch").is_err());
    assert_eq!(shared.kept().bytes, 0);
}

fn numbered() -> Numbered {
    let samples = vec![(0, Sample { at: Timestamp(1), value: 1.0 })];
    Numbered { book: Arc::default(), created_at: Timestamp(1), numbers: vec![0], samples }
}

#[test]
fn what_is_handed_over_is_for_two_readers_of_the_very_same_bytes() {
    let one = numbered().heap_bytes();
    let shared = DecodedBatches::with_bytes_max(2 * one);
    let size = || {
        let kept = shared.kept();
        (kept.handed.len(), kept.bytes)
    };
    let name = |seq| (Epoch(7), seq);
    let mut hand = shared.hand();
    for (seq, bytes) in [(1, b"one"), (2, b"two"), (3, b"tre")] {
        hand.over(name(seq), bytes, numbered());
    }
    hand.taken();
    assert_eq!(size(), (2, 2 * one), "at the limit, and one past it");
    assert!(shared.handed(name(3), b"tre").is_none(), "is read from the stream");
    assert!(shared.handed(name(1), b"two").is_none() && shared.handed((Epoch(8), 1), b"one").is_none());
    assert!(shared.shown(name(1), b"one").is_some(), "a look takes nothing");
    assert!(shared.handed(name(1), b"one").is_some());
    assert_eq!(size().0, 2);
    assert!(shared.handed(name(1), b"one").is_some());
    assert_eq!(size(), (1, one), "after its second reader it is forgotten");
    assert!(shared.handed(name(1), b"one").is_none(), "who comes again reads the stream");
}

#[test]
fn what_did_not_reach_the_stream_is_forgotten() {
    let shared = DecodedBatches::with_bytes_max(1 << 20);
    let mut hand = shared.hand();
    hand.over((Epoch(7), 1), b"one", numbered());
    drop(hand);
    assert!(shared.shown((Epoch(7), 1), b"one").is_none());
    assert_eq!(shared.kept().bytes, 0);
    let nothing = DecodedBatches::default();
    let mut hand = nothing.hand();
    hand.over((Epoch(7), 1), b"one", numbered());
    hand.taken();
    assert!(nothing.shown((Epoch(7), 1), b"one").is_none());
}
