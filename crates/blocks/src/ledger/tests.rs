use proptest::prelude::*;
use series::{TEN_MINUTES_MS, Window};
use wire::{SeriesColumn, part};

use super::*;
use crate::compact::{PackNotes, pack};
use crate::join::{Block, join};
use crate::manifest::Level;
use crate::sources::{BatchNote, join_sources};
use crate::testing::{any_columns, column, compact};

fn window() -> Window {
    Window::around(Timestamp(0), TEN_MINUTES_MS)
}

fn web() -> SourceName {
    SourceName::new("web-1").unwrap()
}

fn counters(generated: u64, evicted: u64, buffered: u64) -> Counters {
    Counters { generated, evicted, buffered, rejected: BTreeMap::new() }
}

/// One batch as `aggregate` gets it.
#[derive(Debug, Clone)]
struct Arrived {
    seq: u64,
    columns: Vec<SeriesColumn>,
    refused: u64,
    told: Counters,
}

fn samples(columns: &[SeriesColumn]) -> u64 {
    columns.iter().map(|column| column.samples.len() as u64).sum()
}

/// What one invocation makes of the batches that were delivered to it.
fn invocation(delivered: &[Arrived]) -> (ManifestItem, Block) {
    let mut note = SourceNote::new(web(), Timestamp(0));
    for batch in delivered {
        let mut batch_note = BatchNote::new(Epoch(7), batch.seq, window().start, samples(&batch.columns));
        if batch.refused > 0 {
            batch_note.rejected = [("label_duplicate".to_owned(), batch.refused)].into();
        }
        note.last_seen = note.last_seen.max(Timestamp(batch.seq as i64));
        note.notes.push(batch_note);
        let known = note.counters.remove(&Epoch(7)).unwrap_or_default();
        note.counters.insert(Epoch(7), join_counters(known, batch.told.clone()));
    }
    let columns = delivered.iter().flat_map(|batch| batch.columns.clone());
    let notes = PackNotes {
        level: Level::Fresh,
        window: window(),
        sources: vec![note],
        replaces: Vec::new(),
        arrived_through: Timestamp(0),
        made_at: Timestamp(0),
    };
    let packed = pack(join(columns), notes);
    (packed.item, packed.block)
}

fn ledger(items: &[&ManifestItem]) -> SourceLedger {
    Ledger::join(items.iter().copied()).sources.remove(&web()).unwrap()
}

#[test]
fn every_way_of_a_sample_is_counted() {
    let told = Counters { rejected: [("graphite_bad_value".to_owned(), 4)].into(), ..counters(20, 3, 7) };
    let columns = vec![column("m", &[(1, 1.0), (2, 2.0), (2, 3.0)])];
    let (item, _) = invocation(&[Arrived { seq: 1, columns, refused: 2, told }]);
    let ledger = ledger(&[&item]);
    assert_eq!((ledger.generated, ledger.stored, ledger.superseded), (20, 2, 1));
    assert_eq!((ledger.evicted, ledger.buffered, ledger.missing), (3, 7, 1));
    assert_eq!(ledger.rejected, [("graphite_bad_value".to_owned(), 4), ("label_duplicate".to_owned(), 2)].into());
    assert!(!ledger.is_conserved(), "one sample was acknowledged and is not here");
}

#[test]
fn a_batch_that_waits_for_its_ack_is_stored_and_not_buffered() {
    // The agent still holds all three samples; two of them arrived.
    let arrived =
        Arrived { seq: 1, columns: vec![column("m", &[(1, 1.0), (2, 2.0)])], refused: 0, told: counters(3, 0, 3) };
    let ledger = ledger(&[&invocation(&[arrived]).0]);
    assert_eq!((ledger.stored, ledger.buffered), (2, 1));
    assert!(ledger.is_conserved());
}

#[test]
fn a_batch_that_was_evicted_after_it_arrived_is_stored() {
    let arrived =
        Arrived { seq: 1, columns: vec![column("m", &[(1, 1.0), (2, 2.0)])], refused: 0, told: counters(3, 2, 1) };
    let ledger = ledger(&[&invocation(&[arrived]).0]);
    assert_eq!((ledger.generated, ledger.stored, ledger.evicted, ledger.buffered), (3, 2, 1, 0));
    assert!(ledger.is_conserved());
}

#[test]
fn epochs_add_up_and_heartbeats_count() {
    let mut beat = SourceNote::new(web(), Timestamp(9));
    beat.counters = [(Epoch(1), counters(5, 5, 0)), (Epoch(2), counters(4, 0, 4))].into();
    let item = ManifestItem::notes_only(window(), vec![beat], Timestamp(9));
    let ledger = ledger(&[&item]);
    assert_eq!((ledger.generated, ledger.evicted, ledger.buffered, ledger.stored), (9, 5, 4, 0));
    assert!(ledger.is_conserved() && ledger.is_agent);
    assert_eq!(ledger.last_seen, Timestamp(9));
}

#[test]
fn a_pushing_source_generated_what_arrived() {
    let mut note = SourceNote::new(web(), Timestamp(1));
    note.notes = vec![BatchNote::new(Epoch(3), 1, window().start, 8)];
    let ledger = ledger(&[&ManifestItem::notes_only(window(), vec![note], Timestamp(1))]);
    assert_eq!((ledger.generated, ledger.stored, ledger.is_agent), (8, 8, false));
    assert!(ledger.is_conserved());
}

#[test]
fn a_batch_of_two_windows_is_counted_in_both_once() {
    let note = |window: Window, samples: u64| {
        let mut note = SourceNote::new(web(), Timestamp(1));
        note.notes = vec![BatchNote::new(Epoch(3), 1, window.start, samples)];
        ManifestItem::notes_only(window, vec![note], Timestamp(1))
    };
    let (now, before) = (note(window(), 8), note(window().previous(), 2));
    assert_eq!(ledger(&[&now, &before, &now]).stored, 10);
}

/// Where one item tells of a window, its runs are counted without being taken apart.
#[test]
fn a_month_is_counted_by_its_runs() {
    let mut note = SourceNote::new(web(), Timestamp(1));
    for start in 0..4_320 {
        let window = Timestamp(start * TEN_MINUTES_MS);
        let first = start as u64 * 1_000_000;
        note.notes.push(BatchNote { to_seq: first + 999_999, ..BatchNote::new(Epoch(3), first, window, 10) });
    }
    let item = ManifestItem::notes_only(window(), vec![note], Timestamp(1));
    assert_eq!(ledger(&[&item]).stored, 4_320 * 10_000_000);
}

/// Runs that overlap within one item are taken apart.
#[test]
fn runs_that_overlap_are_counted_once() {
    let mut note = SourceNote::new(web(), Timestamp(1));
    let run = |from: u64, to: u64| BatchNote { to_seq: to, ..BatchNote::new(Epoch(3), from, window().start, 10) };
    note.notes = vec![run(5, 9), run(1, 6), run(7, 7), run(12, 11)];
    let item = ManifestItem::notes_only(window(), vec![note], Timestamp(1));
    assert_eq!(ledger(&[&item]).stored, 90);
}

#[test]
fn the_newer_ledger_of_an_epoch_wins() {
    let newer = |a: Counters, b: Counters| {
        assert_eq!(join_counters(a.clone(), b.clone()), b);
        assert_eq!(join_counters(b.clone(), a), b);
    };
    newer(counters(10, 0, 0), counters(11, 0, 1));
    newer(counters(10, 0, 9), counters(10, 1, 9));
    newer(counters(10, 0, 9), counters(10, 0, 3));
}

/// The wrong way, kept to show that the test below can tell: it adds up what each item says.
fn added_up(items: &[ManifestItem]) -> u64 {
    items.iter().flat_map(|item| &item.sources).map(SourceNote::received).sum()
}

#[test]
fn adding_up_counts_a_redelivery_twice_and_the_ledger_does_not() {
    let batch = |seq: u64| Arrived {
        seq,
        columns: vec![column("m", &[(seq as i64, 1.0)])],
        refused: 0,
        told: counters(seq, 0, 0),
    };
    let items = [invocation(&[batch(1), batch(2)]).0, invocation(&[batch(2), batch(3)]).0];
    assert_eq!(added_up(&items), 4);
    let ledger = ledger(&items.iter().collect::<Vec<_>>());
    assert_eq!((ledger.generated, ledger.stored), (3, 3));
    assert!(ledger.is_conserved());
}

/// One part of a batch that was cut, or all of it.
fn part_of(batch: &Arrived, number: u8) -> Arrived {
    let own = batch.columns.iter().enumerate().filter(|(place, _)| (place % 2 == 0) == (number == part::HOME));
    let columns = if number == part::WHOLE { batch.columns.clone() } else { own.map(|(_, one)| one.clone()).collect() };
    let told = if number > part::HOME { Counters::default() } else { batch.told.clone() };
    let refused = if number > part::HOME { 0 } else { batch.refused };
    Arrived { seq: part::numbered(batch.seq, number), columns, refused, told }
}

#[test]
fn a_part_that_is_lost_is_missing_and_one_that_comes_again_counts_once() {
    let columns = vec![column("a", &[(1, 1.0), (2, 2.0)]), column("b", &[(1, 1.0)])];
    let batch = Arrived { seq: 1, columns, refused: 2, told: counters(5, 0, 0) };
    let of = |number| invocation(&[part_of(&batch, number)]).0;
    let (home, spread, whole) = (of(part::HOME), of(part::FIRST_SPREAD), of(part::WHOLE));
    let counted = |items: &[&ManifestItem]| {
        let ledger = ledger(items);
        (ledger.generated, ledger.stored, ledger.rejected_count(), ledger.missing)
    };
    assert_eq!(counted(&[&home]), (5, 2, 2, 1));
    assert_eq!(counted(&[&home, &spread]), (5, 3, 2, 0));
    assert_eq!(counted(&[&home, &spread, &spread, &home]), (5, 3, 2, 0));
    // Sent again, and cut no more.
    for items in [vec![&whole, &spread], vec![&spread, &whole, &home], vec![&home, &whole]] {
        assert_eq!(counted(&items), (5, 3, 2, 0), "{items:?}");
    }
}

fn any_batches() -> impl Strategy<Value = Vec<Arrived>> {
    proptest::collection::vec((any_columns(), 0..3_u64), 1..8).prop_map(|batches| {
        let mut generated = 0;
        let mut numbered = Vec::new();
        for ((columns, refused), seq) in batches.into_iter().zip(1..) {
            let mine = samples(&columns) + refused;
            generated += mine;
            numbered.push(Arrived { seq, columns, refused, told: counters(generated, 0, mine) });
        }
        numbered
    })
}

proptest! {
    /// Any deliveries, each batch at least once, in any order and any grouping into invocations.
    #[test]
    fn redelivery_and_grouping_change_nothing(
        batches in any_batches(),
        again in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        turn in any::<prop::sample::Index>(),
        cut in proptest::collection::vec(0..3_u8, 8),
    ) {
        // Some are cut, and of some it is the second time that is cut, or that is not.
        let mut deliveries = Vec::new();
        for (batch, how) in batches.iter().zip(&cut) {
            let numbers: &[u8] = if *how == 0 { &[part::WHOLE] } else { &[part::FIRST_SPREAD, part::HOME] };
            deliveries.extend(numbers.iter().map(|number| part_of(batch, *number)));
        }
        for index in &again {
            let place = index.index(batches.len());
            let number = if cut[place] == 1 { part::HOME } else { part::WHOLE };
            deliveries.push(part_of(&batches[place], number));
        }
        let turn = turn.index(deliveries.len());
        deliveries.rotate_left(turn);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(deliveries.len())).collect();
        cuts.extend([0, deliveries.len()]);
        cuts.sort_unstable();
        let inputs: Vec<_> =
            cuts.windows(2).filter(|cut| cut[0] < cut[1]).map(|cut| invocation(&deliveries[cut[0]..cut[1]])).collect();

        let truth = join(batches.iter().flat_map(|batch| batch.columns.clone()));
        let received: u64 = batches.iter().map(|batch| samples(&batch.columns)).sum();
        let refused: u64 = batches.iter().map(|batch| batch.refused).sum();

        // Before compaction the sum is exact, and no more is called superseded than there is.
        let items: Vec<&ManifestItem> = inputs.iter().map(|(item, _)| item).collect();
        let before = ledger(&items);
        prop_assert_eq!((before.stored + before.superseded, before.rejected_count()), (received, refused));
        prop_assert!(before.stored >= truth.samples());
        prop_assert!(before.is_conserved());

        // After it every number is.
        let compacted = compact(inputs.clone()).unwrap();
        prop_assert_eq!(&compacted.block, &truth);
        let mut all = items.clone();
        all.push(&compacted.item);
        let after = ledger(&all);
        prop_assert_eq!((after.stored, after.superseded), (truth.samples(), received - truth.samples()));
        prop_assert!(after.is_conserved());
        prop_assert_eq!(&ledger(&[&compacted.item]), &after);

        // And stays, when a batch is delivered again afterwards.
        let late = invocation(&batches[..1]).0;
        all.push(&late);
        prop_assert_eq!(&ledger(&all), &after);
    }

    /// Joining notes is associative, commutative and idempotent.
    #[test]
    fn notes_join_as_sets(batches in any_batches(), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
        let notes = |batches: &[Arrived]| invocation(batches).0.sources;
        let (a, b) = (a.index(batches.len() + 1), b.index(batches.len() + 1));
        let (x, y, z) = (notes(&batches[..a]), notes(&batches[b..]), notes(&batches));
        let join = |x: &[SourceNote], y: &[SourceNote]| join_sources(x.iter().chain(y).cloned());
        prop_assert_eq!(join(&x, &y), join(&y, &x));
        prop_assert_eq!(join(&join(&x, &y), &z), join(&x, &join(&y, &z)));
        prop_assert_eq!(join(&z, &z), join_sources(z));
    }

    #[test]
    fn counters_join_by_a_total_order(numbers in proptest::array::uniform9(0..4_u64)) {
        let [a, b, c] = [0, 3, 6].map(|at| counters(numbers[at], numbers[at + 1], numbers[at + 2]));
        let join = |x: &Counters, y: &Counters| join_counters(x.clone(), y.clone());
        prop_assert_eq!(join(&a, &b), join(&b, &a));
        prop_assert_eq!(join(&join(&a, &b), &c), join(&a, &join(&b, &c)));
        prop_assert_eq!(join(&a, &a), a);
    }
}
