use proptest::prelude::*;

use super::*;
use crate::testing::{full_batch, source};

fn record(kind: StreamKind) -> StreamEnvelope {
    StreamEnvelope {
        tenant: TenantId::new("team-a").unwrap(),
        source: source(),
        received_at: Timestamp(1_700_000_032_000),
        kind,
        rejected: vec![Rejection { reason: "graphite_bad_value".to_owned(), count: 2, first: "line 3".to_owned() }],
        connection: Some("Zx1=".to_owned()),
    }
}

fn batch_kind() -> StreamKind {
    let batch = full_batch();
    StreamKind::Batch { epoch: batch.epoch, seq: batch.seq, batch: batch.encode().into() }
}

#[test]
fn every_kind_round_trips() {
    let heartbeat = StreamKind::Heartbeat { epoch: Epoch(7), counters: full_batch().counters };
    let pushed = StreamKind::Pushed { epoch: Epoch(8), seq: 1, batch: Bytes::from_static(b"opaque") };
    for kind in [batch_kind(), pushed, heartbeat, StreamKind::Pulse { at: Timestamp(9) }] {
        let record = record(kind);
        assert_eq!(StreamEnvelope::decode(record.encode()).unwrap(), record);
    }
    let pulse = StreamEnvelope::pulse(Timestamp(5), source());
    assert_eq!(StreamEnvelope::decode(pulse.encode()).unwrap(), pulse);
}

#[test]
fn the_batch_inside_comes_out_as_it_went_in() {
    let record = StreamEnvelope::decode(record(batch_kind()).encode()).unwrap();
    let (epoch, seq, bytes) = record.batch().unwrap();
    let batch = crate::Batch::decode(bytes).unwrap().batch;
    assert_eq!((epoch, seq), (batch.epoch, batch.seq));
    assert_eq!(batch, full_batch());
}

#[test]
fn version_1_never_changes() {
    let record = record(StreamKind::Pushed { epoch: Epoch(8), seq: 1, batch: Bytes::from_static(b"opaque") });
    assert_eq!(record.encode(), include_bytes!("../../fixtures/envelope_v1.bin").as_slice());
}

#[test]
fn bad_records_are_refused_by_name() {
    let changed = |change: fn(&mut schema::Envelope)| {
        let mut message = schema::Envelope::decode(record(batch_kind()).encode()).unwrap();
        change(&mut message);
        StreamEnvelope::decode(message.encode_to_vec().into()).unwrap_err().reason()
    };
    assert_eq!(changed(|message| message.version = 2), "record_version");
    assert_eq!(changed(|message| message.kind = 0), "record_kind");
    assert_eq!(changed(|message| message.kind = 5), "record_kind");
    assert_eq!(changed(|message| message.tenant = "a/b".to_owned()), "record_name");
    assert_eq!(changed(|message| message.source.clear()), "record_name");
    assert_eq!(StreamEnvelope::decode(Bytes::from_static(&[0xff])).unwrap_err().reason(), "record_not_protobuf");
}

#[test]
fn limits_at_the_limit_and_one_past_it() {
    let with = |change: &dyn Fn(&mut schema::Envelope)| {
        let mut message = schema::Envelope::decode(record(batch_kind()).encode()).unwrap();
        change(&mut message);
        StreamEnvelope::decode(message.encode_to_vec().into()).map_err(|error| error.reason())
    };
    let batch = |n: usize| with(&|message| message.batch = vec![0; n].into());
    assert!(batch(BATCH_BYTES_MAX).is_ok());
    assert_eq!(batch(BATCH_BYTES_MAX + 1), Err("record_too_long"));
    let connection = |n: usize| with(&|message| message.connection = Some("c".repeat(n)));
    assert!(connection(CONNECTION_BYTES_MAX).is_ok());
    assert_eq!(connection(CONNECTION_BYTES_MAX + 1), Err("record_too_long"));
    let rejections = |n: usize| with(&|message| message.rejected = vec![schema::Rejection::default(); n]);
    assert!(rejections(REJECTIONS_MAX).is_ok());
    assert_eq!(rejections(REJECTIONS_MAX + 1), Err("record_too_many_rejections"));
    let whole = |n: usize| StreamEnvelope::decode(vec![0xff; n].into()).map_err(|error| error.reason());
    assert_eq!(whole(ENVELOPE_BYTES_MAX), Err("record_not_protobuf"));
    assert_eq!(whole(ENVELOPE_BYTES_MAX + 1), Err("record_too_long"));
    // The largest batch and names leave the record below its own limit.
    const { assert!(BATCH_BYTES_MAX + 20_000 < ENVELOPE_BYTES_MAX) };
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = StreamEnvelope::decode(bytes.into());
    }

    #[test]
    fn no_mutated_record_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = record(batch_kind()).encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = StreamEnvelope::decode(bytes.into());
    }
}
