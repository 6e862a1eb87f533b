use proptest::prelude::*;

use super::*;

fn log_of(payloads: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for payload in payloads {
        let at = out.len() as u64;
        encode_into(&mut out, at, payload).unwrap();
    }
    out
}

fn payloads<'a>(log: &Log<'a>) -> Vec<&'a [u8]> {
    log.records.iter().map(|record| record.payload).collect()
}

const THREE: [&[u8]; 3] = [b"first", b"", b"the third one"];

/// The offset at which each record of [`THREE`] ends.
fn ends() -> Vec<usize> {
    read(&log_of(&THREE)).records.iter().map(|record| record.end).collect()
}

#[test]
fn what_was_written_is_read() {
    let bytes = log_of(&THREE);
    let log = read(&bytes);
    assert_eq!(payloads(&log), THREE);
    assert_eq!((log.tail, log.gaps.len()), (Tail::Clean, 0));
    assert_eq!(log.records.last().map(|record| record.end), Some(bytes.len()));
    assert_eq!(read(&[]), Log { records: vec![], gaps: vec![], tail: Tail::Clean });
}

/// The fixture keeps the layout from changing under the buffers of agents that are updated.
#[test]
fn the_layout_never_changes() {
    assert_eq!(log_of(&THREE), include_bytes!("../../fixtures/segment_v1.bin"));
}

#[test]
fn every_truncation_is_a_torn_tail_after_whole_records() {
    let bytes = log_of(&THREE);
    for length in 0..bytes.len() {
        let log = read(&bytes[..length]);
        let whole = ends().iter().filter(|end| **end <= length).count();
        assert_eq!(payloads(&log), THREE[..whole], "cut at {length}");
        let at = if whole == 0 { 0 } else { ends()[whole - 1] };
        assert_eq!(log.tail, if at == length { Tail::Clean } else { Tail::Torn { at } }, "cut at {length}");
    }
}

#[test]
fn every_flipped_bit_loses_its_own_record_and_no_other() {
    let bytes = log_of(&THREE);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let log = read(&flipped);
        let hit = ends().iter().filter(|end| **end <= bit / 8).count();
        let expected: Vec<&[u8]> = (0..3).filter(|n| *n != hit).map(|n| THREE[n]).collect();
        assert_eq!(payloads(&log), expected, "bit {bit}");
        assert_eq!(log.gaps.len(), usize::from(hit < 2), "bit {bit}");
        assert_eq!(log.tail == Tail::Clean, hit < 2, "bit {bit}");
    }
}

#[test]
fn zeros_behind_the_end_are_a_torn_write() {
    let mut bytes = log_of(&THREE);
    let at = bytes.len();
    bytes.resize(at + 4_096, 0);
    assert_eq!(read(&bytes).tail, Tail::Torn { at });
    // The header reached the disk, most of the payload did not.
    let mut bytes = log_of(&[b"first", &[7; 2_000]]);
    let at = ends()[0];
    bytes[at + HEADER_BYTES + 100..].fill(0);
    assert_eq!(read(&bytes).tail, Tail::Torn { at });
}

#[test]
fn garbage_behind_the_end_is_corrupt() {
    let mut bytes = log_of(&THREE);
    let at = bytes.len();
    bytes.extend_from_slice(b"garbage");
    assert_eq!(read(&bytes).tail, Tail::Corrupt { at });
    let mut bytes = log_of(&THREE);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert_eq!(read(&bytes).tail, Tail::Corrupt { at: ends()[1] });
}

#[test]
fn a_record_inside_a_payload_is_not_believed() {
    let inner = log_of(&[b"forged"]);
    let mut bytes = log_of(&[&inner, b"last"]);
    bytes[HEADER_BYTES - 1] ^= 1;
    assert_eq!(payloads(&read(&bytes)), [b"last"]);
}

#[test]
fn a_payload_at_the_limit_and_one_past_it() {
    let mut out = Vec::new();
    assert!(encode_into(&mut out, 0, &vec![1; PAYLOAD_BYTES_MAX]).is_ok());
    assert_eq!(read(&out).records.len(), 1);
    let too_long = encode_into(&mut out, 0, &vec![1; PAYLOAD_BYTES_MAX + 1]);
    assert_eq!(too_long, Err(SegmentError::TooLong { bytes: PAYLOAD_BYTES_MAX + 1 }));
    // A length above the limit is not followed.
    let mut bytes = log_of(&THREE);
    bytes[4..8].copy_from_slice(&(PAYLOAD_BYTES_MAX as u32 + 1).to_le_bytes());
    assert_eq!(payloads(&read(&bytes)), THREE[1..]);
}

#[test]
fn false_starts_at_the_limit_and_one_past_it() {
    let with = |false_starts: usize| {
        let mut bytes = MAGIC.repeat(false_starts + 1);
        let at = bytes.len() as u64;
        encode_into(&mut bytes, at, b"good").unwrap();
        read(&bytes).records.len()
    };
    assert_eq!(with(FALSE_STARTS_MAX), 1);
    assert_eq!(with(FALSE_STARTS_MAX + 1), 0);
}

proptest! {
    #[test]
    fn damage_never_makes_a_record(
        written in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..6),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let written: Vec<&[u8]> = written.iter().map(Vec::as_slice).collect();
        let mut bytes = log_of(&written);
        let good = read(&bytes).records.iter().map(|record| (record.at, record.payload.to_vec())).collect::<Vec<_>>();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        for record in read(&bytes).records {
            prop_assert!(good.contains(&(record.at, record.payload.to_vec())));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
    }
}
