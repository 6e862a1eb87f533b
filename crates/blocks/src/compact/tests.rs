use proptest::prelude::*;
use series::{Epoch, TEN_MINUTES_MS};
use wire::SeriesColumn;

use super::*;
use crate::sources::BatchNote;
use crate::testing::{any_columns, column, column_of};

fn window() -> Window {
    Window::of_block(Timestamp(1), TEN_MINUTES_MS)
}

fn name(text: &str) -> SourceName {
    SourceName::new(text).unwrap()
}

fn samples(columns: &[SeriesColumn]) -> u64 {
    columns.iter().map(|column| column.samples.len() as u64).sum()
}

/// One batch of `source` as a fresh block of its own.
fn fresh(source: &str, seq: u64, columns: &[SeriesColumn]) -> (ManifestItem, Block) {
    let mut note = SourceNote::new(name(source), Timestamp(seq as i64));
    note.notes = vec![BatchNote::new(Epoch(1), seq, window().start, samples(columns))];
    let notes = PackNotes {
        level: Level::Fresh,
        window: window(),
        sources: vec![note],
        replaces: Vec::new(),
        arrived_through: Timestamp(seq as i64),
        made_at: Timestamp(0),
    };
    let packed = pack(join(columns.to_vec()), notes);
    (packed.item, packed.block)
}

#[test]
fn a_window_becomes_one_block_that_stands_for_its_inputs() {
    let one = fresh("a", 1, &[column_of("m", "a", &[(1, 1.0), (2, 2.0)])]);
    let two = fresh("b", 1, &[column_of("m", "b", &[(1, 5.0)])]);
    let three = fresh("a", 2, &[column_of("m", "a", &[(2, 3.0), (4, 4.0)])]);
    let mut ids = [&one, &two, &three].map(|(item, _)| item.id());
    ids.sort();
    let packed = compact(vec![one, two, three], Timestamp(0)).unwrap();
    let item = &packed.item;
    assert_eq!((item.level, item.samples, item.series, item.replaces.as_slice()), (Level::Ten, 4, 2, ids.as_slice()));
    assert_eq!((item.min_time, item.max_time, item.arrived_through), (Timestamp(1), Timestamp(4), Timestamp(2)));
    assert_eq!(item.name.as_deref(), Some(block_name(&packed.bytes).as_str()));
    assert_eq!(Block::decode(packed.bytes.clone()).unwrap(), packed.block);
    let superseded: Vec<_> = item.sources.iter().map(|note| (note.source.as_str(), note.superseded)).collect();
    assert_eq!(superseded, [("a", 1), ("b", 0)]);
    assert_eq!(item.sources[0].notes, [BatchNote { to_seq: 2, ..BatchNote::new(Epoch(1), 1, window().start, 2) }]);
}

#[test]
fn only_one_window_is_compacted_at_a_time() {
    assert_eq!(compact(Vec::new(), Timestamp(0)), Err(CompactError::Nothing));
    let one = fresh("a", 1, &[column("m", &[(1, 1.0)])]);
    let mut other = fresh("a", 2, &[column("m", &[(2, 1.0)])]);
    other.0.window = window().previous();
    let id = other.0.id();
    assert_eq!(compact(vec![one.clone(), other], Timestamp(0)), Err(CompactError::OtherWindow { id }));
    let mut late = fresh("a", 3, &[]);
    late.0.level = Level::Late;
    let id = late.0.id();
    assert_eq!(compact(vec![one, late], Timestamp(0)), Err(CompactError::Late { id }));
}

#[test]
fn nothing_but_notes_has_no_block() {
    let packed = compact(vec![fresh("a", 1, &[])], Timestamp(0)).unwrap();
    assert_eq!((packed.item.name, packed.bytes.len(), packed.item.sources.len()), (None, 0, 1));
}

/// Two senders without a source label: the sums are exact, the shares go to who has most open.
#[test]
fn shared_series_are_attributed_by_what_is_open() {
    let one = fresh("push-a", 1, &[column("m", &[(1, 1.0), (2, 1.0), (3, 1.0)])]);
    let two = fresh("push-b", 1, &[column("m", &[(3, 2.0)])]);
    let item = compact(vec![one, two], Timestamp(0)).unwrap().item;
    assert_eq!(item.samples, 3);
    let superseded: Vec<_> = item.sources.iter().map(|note| (note.source.as_str(), note.superseded)).collect();
    assert_eq!(superseded, [("push-a", 0), ("push-b", 1)]);
}

proptest! {
    #[test]
    fn the_same_set_has_the_same_bytes(
        batches in proptest::collection::vec(any_columns(), 1..5),
        again in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        order in any::<u64>(),
    ) {
        let inputs: Vec<_> = batches.iter().zip(1..).map(|(columns, seq)| fresh("a", seq, columns)).collect();
        let once = compact(inputs.clone(), Timestamp(0)).unwrap();
        let mut shuffled = inputs.clone();
        shuffled.extend(again.iter().map(|index| inputs[index.index(inputs.len())].clone()));
        let turn = order as usize % shuffled.len();
        shuffled.rotate_left(turn);
        let other = compact(shuffled, Timestamp(0)).unwrap();
        prop_assert_eq!(&other, &once);
        let received: u64 = batches.iter().map(|columns| samples(columns)).sum();
        prop_assert_eq!(once.item.samples + once.item.sources[0].superseded, received);

        // Compacting in two steps ends in the same bytes.
        let (left, right) = inputs.split_at(turn.min(inputs.len()));
        let parts = [left, right].into_iter().filter(|part| !part.is_empty()).map(|part| compact(part.to_vec(), Timestamp(0)).unwrap());
        let stepwise = compact(parts.map(|packed| (packed.item, packed.block)).collect(), Timestamp(0)).unwrap();
        prop_assert_eq!(stepwise.bytes, once.bytes);
        prop_assert_eq!(stepwise.item.sources, once.item.sources);
    }
}
