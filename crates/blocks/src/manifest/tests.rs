use std::collections::BTreeMap;

use series::{Epoch, SourceName, TEN_MINUTES_MS};
use wire::Counters;

use super::*;
use crate::sources::{BatchNote, RunNote};

fn source_note() -> SourceNote {
    let mut note = SourceNote::new(SourceName::new("web-1").unwrap(), Timestamp(1_700_000_031_000));
    note.run = Some(RunNote {
        seen_at: Timestamp(1_700_000_030_000),
        run_id: "r1".to_owned(),
        host: "web-1.example.org".to_owned(),
        agent_version: "0.1.0".to_owned(),
    });
    let mut refused = BatchNote::new(Epoch(1), 9, Timestamp(1_699_999_800_000), 3);
    refused.rejected = [("label_duplicate".to_owned(), 2)].into();
    note.notes =
        vec![BatchNote { to_seq: 8, ..BatchNote::new(Epoch(1), 7, Timestamp(1_699_999_800_000), 60) }, refused];
    note.counters = [(Epoch(u64::MAX), Counters { generated: 5, ..Counters::default() })].into();
    note.superseded = 4;
    note
}

fn item(name: Option<&str>, replaces: &[String]) -> ManifestItem {
    let window = Window::around(Timestamp(1_700_000_000_000), TEN_MINUTES_MS);
    let mut item = ManifestItem::notes_only(window, vec![source_note()], Timestamp(1_700_000_032_000));
    item.name = name.map(str::to_owned);
    item.replaces = replaces.to_vec();
    item
}

#[test]
fn an_item_is_what_it_was() {
    let item = item(Some("00ff"), &["a".to_owned()]);
    let bytes = item.encode().unwrap();
    assert_eq!(ManifestItem::decode(&bytes), Ok(item));
    let text = String::from_utf8(bytes).unwrap();
    for part in
        [r#""level":"fresh""#, r#""epoch":"0000000000000001","from_seq":7,"to_seq":8"#, r#""ffffffffffffffff":{"#]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn unknown_fields_are_skipped_and_garbage_is_refused() {
    let text = String::from_utf8(item(None, &[]).encode().unwrap()).unwrap();
    let newer = text.replacen('{', r#"{"teapots":[1],"#, 1);
    assert_eq!(ManifestItem::decode(newer.as_bytes()), Ok(item(None, &[])));
    assert!(matches!(ManifestItem::decode(b"{"), Err(ManifestError::Json { .. })));
}

#[test]
fn keys_sort_by_level_and_time() {
    let item = item(Some("00ff"), &[]);
    assert!(item.sort_key().starts_with("fresh/00000001699999800000/00ff-"), "{}", item.sort_key());
    assert_ne!(item.id(), self::item(Some("00ff"), &["a".to_owned()]).id());
    assert!(self::item(None, &[]).id().starts_with("notes-"));
}

#[test]
fn replaced_items_do_not_count_and_shared_blocks_stay() {
    let first = item(Some("one"), &[]);
    let other = item(Some("two"), &[]);
    // The same samples came again, by a batch that is not in the compacted block.
    let again = ManifestItem { sources: vec![], ..first.clone() };
    let compacted = item(Some("three"), &[first.id(), other.id()]);
    let items = [first, other, again.clone(), compacted.clone()];
    assert_eq!(live(&items), [&again, &compacted]);
    assert_eq!(orphans(&items), ["two"].into());
}

#[test]
fn an_item_overlaps_where_its_samples_are() {
    let item = ManifestItem { samples: 1, min_time: Timestamp(10), max_time: Timestamp(20), ..item(Some("00ff"), &[]) };
    for (from, to, expected) in [(0, 9, false), (0, 10, true), (20, 30, true), (21, 30, false), (12, 13, true)] {
        assert_eq!(item.overlaps(Timestamp(from), Timestamp(to)), expected, "{from} to {to}");
    }
    assert!(!ManifestItem { samples: 0, ..item }.overlaps(Timestamp(0), Timestamp(30)));
}

/// An item whose name makes its JSON `bytes` long.
fn of_bytes(bytes: usize, letter: impl FnMut(usize) -> char) -> ManifestItem {
    let empty = serde_json::to_vec(&item(Some(""), &[])).unwrap().len();
    let name: String = (0..bytes - empty).map(letter).collect();
    item(Some(&name), &[])
}

#[test]
fn a_long_item_is_compressed() {
    let plain = of_bytes(PLAIN_JSON_BYTES_MAX, |_| 'x').encode().unwrap();
    assert_eq!((plain.len(), plain[0]), (PLAIN_JSON_BYTES_MAX, b'{'));
    let item = of_bytes(PLAIN_JSON_BYTES_MAX + 1, |_| 'x');
    let packed = item.encode().unwrap();
    assert!(packed.len() < 2_000, "{}", packed.len());
    assert_eq!(ManifestItem::decode(&packed), Ok(item));
    assert!(matches!(ManifestItem::decode(b"(neither JSON nor zstd"), Err(ManifestError::Json { .. })));
}

#[test]
fn json_bytes_at_the_limit_and_one_past_it() {
    let plain = |item: &ManifestItem| {
        let (head, notes) = item.clone().apart();
        serde_json::to_vec(&head).unwrap().len() + notes.len()
    };
    let base = of_bytes(20_000, |_| 'x');
    let more = JSON_BYTES_MAX - plain(&base);
    let at = of_bytes(20_000 + more, |_| 'x');
    assert_eq!(plain(&at), JSON_BYTES_MAX);
    assert_eq!(ManifestItem::decode(&at.encode().unwrap()), Ok(at));
    let past = of_bytes(20_001 + more, |_| 'x');
    let (bytes, max) = (JSON_BYTES_MAX + 1, JSON_BYTES_MAX);
    assert_eq!(past.encode(), Err(ManifestError::TooLong { bytes, max }));
    let (head, notes) = past.apart();
    let head = serde_json::to_vec(&head).unwrap();
    let packed = compress(&[&(head.len() as u32).to_be_bytes()[..], &head, &notes].concat());
    assert!(matches!(ManifestItem::decode(&packed), Err(ManifestError::Json { .. })));
}

#[test]
fn an_item_of_any_length_is_read_back() {
    // One of 256 lengths once looked like the brace of an earlier version's JSON.
    for bytes in PLAIN_JSON_BYTES_MAX + 1..PLAIN_JSON_BYTES_MAX + 258 {
        let item = of_bytes(bytes, |_| 'x');
        assert_eq!(ManifestItem::decode(&item.encode().unwrap()), Ok(item), "{bytes}");
    }
}

#[test]
fn an_item_of_an_earlier_version_is_read() {
    let item = of_bytes(PLAIN_JSON_BYTES_MAX + 1, |_| 'x');
    let json = serde_json::to_vec(&item).unwrap();
    assert_eq!(ManifestItem::decode(&compress(&json)), Ok(item));
}

#[test]
fn bytes_at_the_limit_and_one_past_it() {
    // Letters without a pattern: six bits each, so that there is a length that packs to the limit.
    let mut state = 1_u64;
    let noise: Vec<char> = (0..450_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'0' + (state >> 58) as u8)
        })
        .map(|letter| if letter == '\\' { '~' } else { letter })
        .collect();
    let packed = |bytes: usize| of_bytes(bytes, |at| noise[at]).encode();
    let (mut fits, mut past) = (PLAIN_JSON_BYTES_MAX, noise.len());
    while past - fits > 1 {
        let middle = fits + (past - fits) / 2;
        if packed(middle).is_ok() { fits = middle } else { past = middle }
    }
    let bytes = packed(fits).unwrap();
    assert!(bytes.len() <= MANIFEST_BYTES_MAX && bytes.len() + 200 > MANIFEST_BYTES_MAX, "{}", bytes.len());
    assert!(ManifestItem::decode(&bytes).is_ok());
    assert!(matches!(packed(past), Err(ManifestError::TooLong { max: MANIFEST_BYTES_MAX, .. })));

    let padded = |bytes: usize| {
        let json = item(None, &[]).encode().unwrap();
        ManifestItem::decode(&[json.as_slice(), &vec![b' '; bytes - json.len()]].concat())
    };
    assert!(padded(MANIFEST_BYTES_MAX).is_ok());
    let (bytes, max) = (MANIFEST_BYTES_MAX + 1, MANIFEST_BYTES_MAX);
    assert_eq!(padded(bytes), Err(ManifestError::TooLong { bytes, max }));
}

/// A window of ten minutes with many sources, and one with a sender of many small batches.
#[test]
fn the_notes_of_a_thousand_sources_fit() {
    let window = Window::around(Timestamp(1_700_000_000_000), TEN_MINUTES_MS).start;
    let source = |n: u64, batches: u64| {
        let runs = (0..batches)
            .map(|seq| BatchNote::new(Epoch(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)), seq, window, 100 + seq * 7 % 13));
        let name = SourceName::new(&format!("web-{n}.example.org")).unwrap();
        SourceNote { source: name, notes: runs.collect(), ..source_note() }
    };
    let sources = (0..1_000).map(|n| source(n, 4)).chain([source(5_000, 6_000)]).collect();
    let item = ManifestItem { sources, ..item(None, &[]) };
    let bytes = item.encode().unwrap();
    assert!(bytes.len() < MANIFEST_BYTES_MAX / 2, "{}", bytes.len());
    assert_eq!(ManifestItem::decode(&bytes), Ok(item));
}

#[test]
fn batches_at_the_limit_and_one_past_it() {
    let of = |batches: u64| {
        let note = BatchNote { to_seq: batches, ..BatchNote::new(Epoch(1), 1, Timestamp(0), 1) };
        let source = SourceNote { notes: vec![note], counters: BTreeMap::new(), ..source_note() };
        let item = ManifestItem { sources: vec![source], ..item(None, &[]) };
        let decoded = ManifestItem::decode(&serde_json::to_vec(&item).unwrap());
        assert_eq!(decoded.is_ok(), item.encode().is_ok());
        decoded
    };
    assert!(of(BATCHES_PER_ITEM_MAX).is_ok());
    assert_eq!(of(BATCHES_PER_ITEM_MAX + 1), Err(ManifestError::TooManyBatches { batches: BATCHES_PER_ITEM_MAX + 1 }));
    assert!(of(u64::MAX).is_err());
}
