use proptest::prelude::*;
use series::{Epoch, HOUR_MS, TEN_MINUTES_MS};
use wire::SeriesColumn;

use super::*;
use crate::sources::BatchNote;
use crate::testing::{any_columns, column, column_of, compact, compact_to};

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
    let packed = compact(vec![one, two, three]).unwrap();
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
    assert_eq!(compact(Vec::new()), Err(CompactError::Nothing));
    let one = fresh("a", 1, &[column("m", &[(1, 1.0)])]);
    let mut other = fresh("a", 2, &[column("m", &[(2, 1.0)])]);
    other.0.window = window().previous();
    let id = other.0.id();
    assert_eq!(compact(vec![one.clone(), other]), Err(CompactError::OtherWindow { id }));
}

#[test]
fn nothing_but_notes_has_no_block() {
    let packed = compact(vec![fresh("a", 1, &[])]).unwrap();
    assert_eq!((packed.item.name, packed.bytes.len(), packed.item.sources.len()), (None, 0, 1));
}

/// Two senders without a source label: the sums are exact, the shares go to who has most open.
#[test]
fn shared_series_are_attributed_by_what_is_open() {
    let one = fresh("push-a", 1, &[column("m", &[(1, 1.0), (2, 1.0), (3, 1.0)])]);
    let two = fresh("push-b", 1, &[column("m", &[(3, 2.0)])]);
    let item = compact(vec![one, two]).unwrap().item;
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
        let once = compact(inputs.clone()).unwrap();
        let mut shuffled = inputs.clone();
        shuffled.extend(again.iter().map(|index| inputs[index.index(inputs.len())].clone()));
        let turn = order as usize % shuffled.len();
        shuffled.rotate_left(turn);
        let other = compact(shuffled).unwrap();
        prop_assert_eq!(&other, &once);
        let received: u64 = batches.iter().map(|columns| samples(columns)).sum();
        prop_assert_eq!(once.item.samples + once.item.sources[0].superseded, received);

        // Compacting in two steps ends in the same bytes.
        let (left, right) = inputs.split_at(turn.min(inputs.len()));
        let parts = [left, right].into_iter().filter(|part| !part.is_empty()).map(|part| compact(part.to_vec()).unwrap());
        let stepwise = compact(parts.map(|packed| (packed.item, packed.block)).collect()).unwrap();
        prop_assert_eq!(stepwise.bytes, once.bytes);
        prop_assert_eq!(stepwise.item.sources, once.item.sources);
    }
}

/// A late item of the day with samples in two hours: each hour takes its own, and says so.
#[test]
fn an_hour_takes_its_part_of_a_late_item_and_does_not_replace_it() {
    let day = Window::of_block(Timestamp(1), DAY_MS);
    let hours = [Window::of_block(Timestamp(1), HOUR_MS), Window::of_block(Timestamp(HOUR_MS + 1), HOUR_MS)];
    let times = [(1, 1.0), (HOUR_MS, 2.0), (HOUR_MS + 1, 3.0)];
    let mut note = SourceNote::new(name("a"), Timestamp(0));
    note.notes = times
        .map(|(at, _)| BatchNote::new(Epoch(1), 7, Window::of_block(Timestamp(at), TEN_MINUTES_MS).start, 1))
        .to_vec();
    let notes = PackNotes {
        level: Level::Late,
        window: day,
        sources: vec![note],
        replaces: Vec::new(),
        arrived_through: Timestamp(0),
        made_at: Timestamp(5),
    };
    let late = pack(join([column_of("m", "a", &times)]), notes);
    let late = (late.item, late.block);
    let fresh = fresh("a", 1, &[column_of("m", "a", &[(1, 0.0), (2, 2.0)])]);
    let (first, block, objects) =
        compact_to((Level::Hour, hours[0]), &[fresh.clone(), late.clone()], Timestamp(9)).unwrap();
    assert_eq!((block.samples(), first.samples, objects.len()), (3, 3, 3));
    assert_eq!((first.replaces.clone(), first.includes.clone()), (vec![fresh.0.id()], vec![late.0.id()]));
    assert_eq!((first.sources[0].received(), first.sources[0].superseded), (4, 1));
    assert_eq!(first.rollups.iter().map(|rollup| rollup.width_ms).collect::<Vec<_>>(), rollup_width::ALL);
    let (second, ..) = compact_to((Level::Hour, hours[1]), std::slice::from_ref(&late), Timestamp(9)).unwrap();
    assert_eq!((second.samples, second.sources[0].received(), second.replaces.len()), (1, 1, 0));
    // The day takes it whole.
    let inputs = [(first, block), late.clone()];
    let (whole, ..) = compact_to((Level::Day, day), &inputs, Timestamp(9)).unwrap();
    assert!(whole.replaces.contains(&late.0.id()) && whole.includes.is_empty());
    assert_eq!((whole.samples, whole.sources[0].received(), whole.sources[0].superseded), (4, 5, 1));
}

/// Notes of a thousand agents for a day, at the default flush and at one each second, and of as many as do not fit.
#[test]
fn the_notes_of_a_day_fit_or_are_split() {
    let day = Window::of_block(Timestamp(1_700_000_000_000), DAY_MS);
    let source = |n: u64, every_ms: i64, shift: i64| {
        let epoch = Epoch(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut note = SourceNote::new(name(&format!("web-{n}.example.org")), day.end);
        let mut seq = 1;
        let mut at = day.start.plus_ms(shift);
        while at < day.end {
            let window = Window::of_block(at.plus_ms(1), TEN_MINUTES_MS);
            let mut batches = 0;
            while at < window.end {
                batches += 1;
                at = at.plus_ms(every_ms);
            }
            // The last one reaches into the next window.
            let run = BatchNote { to_seq: seq + batches - 1, ..BatchNote::new(epoch, seq, window.start, 600) };
            let reaching = BatchNote::new(epoch, seq + batches, window.start, 100 + n % 3 * 100);
            note.notes.extend([run, reaching]);
            seq += batches;
        }
        note
    };
    let item = |agents: u64, every_ms: i64| {
        let sources = (0..agents).map(|n| source(n, every_ms, (n * 7_919 % 60_000) as i64)).collect();
        ManifestItem { level: Level::Day, ..ManifestItem::notes_only(day, sources, day.end) }
    };
    for (agents, every_ms) in [(1_000, 60_000), (1_000, 1_000)] {
        let item = item(agents, every_ms);
        let bytes = item.encode().unwrap();
        println!("{agents} agents, a batch every {every_ms} ms: {} bytes", bytes.len());
        assert_eq!(ManifestItem::decode(&bytes), Ok(item));
    }
    // Without any pattern they do not fit.
    let mut noisy = item(1_000, 60_000);
    let mut state = 1_u64;
    for note in noisy.sources.iter_mut().flat_map(|source| &mut source.notes) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        note.samples = state >> 40;
    }
    assert!(noisy.encode().is_err());
    let items = with_further_notes(noisy.clone()).unwrap();
    let (main, further) = items.split_last().unwrap();
    println!("noise: {} items", items.len());
    assert_eq!(main.notes_in.len(), further.len());
    assert!(further.iter().all(|item| main.notes_in.contains(&item.id()) && item.notes_in.is_empty()));
    let all = join_sources(items.iter().flat_map(|item| item.sources.clone()));
    assert_eq!(all, join_sources(noisy.sources.clone()));
    // The plan takes them for one.
    let ids: Vec<String> = items.iter().map(ManifestItem::id).collect();
    let known: Vec<Known<'_>> = ids.iter().zip(&items).map(|(id, item)| Known { id, item }).collect();
    assert_eq!(crate::plan::plan(&known, day.end.plus_ms(DAY_MS)), []);
}

#[test]
fn samples_of_a_part_at_the_limit_and_one_past_it() {
    let parts = |samples| {
        let mut item = ManifestItem::notes_only(window(), Vec::new(), Timestamp(0));
        item.samples = samples;
        Joiner::new((Level::Ten, window()), &[Known { id: "a", item: &item }], &BTreeSet::new(), Timestamp(0))
            .unwrap()
            .parts()
    };
    assert_eq!([0, 1, PART_SAMPLES_MAX, PART_SAMPLES_MAX + 1].map(parts), [1, 1, 1, 2]);
    assert_eq!([PART_SAMPLES_MAX * 3, PART_SAMPLES_MAX * PARTS_MAX, u64::MAX].map(parts), [4, PARTS_MAX, PARTS_MAX]);
}

/// In four parts: each series is in one, the objects of inputs are asked for where they may hold it, and the item
/// is of all of them.
#[test]
fn parts_are_disjoint_and_together_the_whole() {
    let columns: Vec<SeriesColumn> = (0..40).map(|n| column(&format!("m{n}"), &[(n + 1, 1.0)])).collect();
    let mut input = fresh("a", 1, &columns);
    input.0.samples = PART_SAMPLES_MAX * 3;
    let (item, block, objects) =
        compact_to((Level::Hour, Window::of_block(Timestamp(1), HOUR_MS)), &[input], Timestamp(0)).unwrap();
    assert_eq!((item.samples, item.series, block.samples()), (40, 40, 40));
    assert_eq!((item.parts.len(), objects.len(), item.objects().count()), (3, 12, 4));
    let known = Known { id: "hour", item: &item };
    let day = (Level::Day, Window::of_block(Timestamp(1), DAY_MS));
    let mut joiner = Joiner::new(day, &[known], &BTreeSet::new(), Timestamp(0)).unwrap();
    joiner.parts = 8;
    let mut places = Vec::new();
    for _ in 0..8 {
        places.push(joiner.places(&item));
        joiner.add(Vec::new()).unwrap();
    }
    assert_eq!(places, [0..1, 0..1, 1..2, 1..2, 2..3, 2..3, 3..4, 3..4]);
    let mut joiner = Joiner::new(day, &[known], &BTreeSet::new(), Timestamp(0)).unwrap();
    assert_eq!((joiner.parts(), joiner.places(&item)), (1, 0..4));
    joiner.parts = 2;
    assert_eq!(joiner.places(&item), 0..2);
}
