use proptest::prelude::*;
use series::{Epoch, SourceName, Timestamp, Window};

use super::*;
use crate::compact::{PackNotes, pack, pack_known, pack_written};
use crate::join::join;
use crate::layout::encode_columns;
use crate::manifest::Level;
use crate::sources::{BatchNote, SourceNote};
use crate::testing::{any_columns, column};

#[test]
fn what_came_before_is_known_by_its_place() {
    let mut order = Order::default();
    let (a, b, c) = (column("a", &[(1, 1.0)]), column("b", &[(1, 2.0)]), column("c", &[(1, 3.0)]));
    let columns = vec![c.clone(), a.clone(), b.clone(), a.clone()];
    assert_eq!(order.join(columns.clone()), join(columns.clone()));
    assert_eq!(order.len(), 3);
    let (known, unknown) = order.split(columns);
    assert_eq!((known.len(), unknown.len()), (3, 0));
    // Equal labels that stand elsewhere are unknown, and the same series.
    let again = column("b", &[(1, 5.0), (2, 1.0)]);
    let columns = vec![c, b, again, a];
    let expected = join(columns.clone());
    assert_eq!(order.join(columns), expected);
    assert_eq!(order.len(), 3);
}

#[test]
fn series_at_the_limit_and_one_past_it() {
    let columns = |numbers: std::ops::Range<usize>| -> Vec<SeriesColumn> {
        numbers.rev().map(|number| column(&format!("{number:06}"), &[(1, 1.0)])).collect()
    };
    let mut order = Order::default();
    let _ = order.join(columns(0..ORDERED_SERIES_MAX));
    assert_eq!(order.len(), ORDERED_SERIES_MAX);
    // One more that is learnt: the older ones go.
    let _ = order.join(columns(ORDERED_SERIES_MAX..ORDERED_SERIES_MAX + 2));
    assert_eq!(order.len(), 2);
    let _ = order.join(columns(0..ORDERED_SERIES_MAX + 1));
    assert_eq!(order.len(), 2);
}

#[test]
fn an_index_is_the_same_by_numbers_and_by_texts() {
    let labels = |source: &str, metric: &str| {
        Labels::from_pairs([("__name__", metric), ("host", source), ("source", source)]).unwrap()
    };
    let column = |labels: &Labels| SeriesColumn { labels: labels.clone(), samples: column("x", &[(1, 1.0)]).samples };
    let known: Vec<Labels> =
        ["a", "b", "c"].iter().flat_map(|source| ["x", "y", "a"].map(|metric| labels(source, metric))).collect();
    let mut order = Order::default();
    let _ = order.join(known.iter().rev().map(column).collect());
    assert_eq!(order.len(), 9);
    let strangers = [labels("b", "x"), labels("d", "x"), labels("c", "b"), labels("y", "z")];
    let notes = || {
        let window = Window::of_block(Timestamp(1), series::TEN_MINUTES_MS);
        let sources = ["a", "b", "c", "d"].map(|source| {
            let note = BatchNote::new(Epoch(1), 1, window.start, 9);
            SourceNote { notes: vec![note], ..SourceNote::new(SourceName::new(source).unwrap(), Timestamp(1)) }
        });
        let (arrived_through, made_at) = (Timestamp(1), Timestamp(1));
        PackNotes {
            level: Level::Fresh,
            window,
            sources: sources.to_vec(),
            replaces: Vec::new(),
            arrived_through,
            made_at,
        }
    };
    // Every choice of some known ones in the same memory and some that are not known.
    for choice in 0_u32..1 << 13 {
        let chosen = known.iter().chain(&strangers).zip(0..).filter(|(_, bit)| choice >> bit & 1 == 1);
        let block = join(chosen.map(|(labels, _)| column(labels)));
        assert_eq!(pack_known(block.clone(), notes(), &order), pack(block, notes()), "{choice:b}");
    }
}

#[test]
fn many_and_few_ranks_are_sorted_alike() {
    let ranks = [7, 3, 7, 0, 3, 7];
    let expected = vec![(0, 3), (3, 1), (3, 4), (7, 0), (7, 2), (7, 5)];
    assert_eq!(sorted_by_rank(&ranks, 8), expected);
    assert_eq!(sorted_by_rank(&ranks, SPARSE_FROM * 8), expected);
    assert_eq!(sorted_by_rank(&[], 0), vec![]);
}

proptest! {
    #[test]
    fn whatever_it_remembers_it_joins_as_everybody_does(
        joins in proptest::collection::vec(any_columns(), 1..6),
        shared in any_columns(),
    ) {
        let mut order = Order::default();
        for columns in joins {
            // Some by labels in the same memory, again and again; some by labels of their own.
            let columns: Vec<SeriesColumn> = shared.iter().cloned().chain(columns).rev().collect();
            let block = order.join(columns.clone());
            prop_assert_eq!(&block, &join(columns));
            prop_assert_eq!(encode_columns(block.columns(), Some(&order)), block.encode());
            prop_assert!(order.sorted.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(order.ranks.len(), order.sorted.len());
        }
    }
}

#[test]
fn what_is_known_and_came_once_is_arranged() {
    let memory = wire::Dictionaries::new(1, wire::DICTIONARY_BYTES_MAX);
    let written = |agent: &str, names: &[&str]| {
        let series = names.iter().map(|name| crate::testing::column_of(name, agent, &[(1, 1.5), (2, 2.0)])).collect();
        let contents = wire::Contents { series, ..wire::Contents::default() };
        let bytes = contents.into_batch(SourceName::new(agent).unwrap(), Epoch(1), 1, Timestamp(1)).encode();
        wire::Batch::decode_written(&bytes, &mut |_| None, &memory).unwrap().1.unwrap()
    };
    let mut order = Order::default();
    let batches = || vec![written("a", &["z", "y"]), written("b", &["x", "z"])];
    assert!(order.arranged(&batches()).is_none(), "nothing is known");
    let _ = order.join(batches().iter().flat_map(Written::decode).collect());
    let batches = batches();
    let arranged = order.arranged(&batches).unwrap();
    assert_eq!(arranged.len(), 4);
    assert!(arranged.is_sorted_by(|a, b| a.labels < b.labels));
    assert!(order.arranged(&[written("a", &["z", "y"]), written("a", &["z", "y"])]).is_none(), "twice");
    assert!(order.arranged(&[written("a", &["z", "new"])]).is_none(), "one that is not known");
    assert_eq!(order.arranged(&[]).map(|all| all.len()), Some(0));
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-2_000..2_000_i32, 0..4_i32).prop_map(|(d, scale)| f64::from(d) / 10_f64.powi(scale)),
        1 => any::<u64>().prop_map(f64::from_bits),
    ]
}

/// An agent's series from flush to flush: of each value column as many values as times.
fn any_flush() -> impl Strategy<Value = (u8, Vec<(u8, Vec<f64>)>)> {
    (0..4_u8, proptest::collection::vec((0..6_u8, proptest::collection::vec(any_value(), 1..5)), 1..8))
}

proptest! {
    /// Whatever batches come, in whatever history: taken as written they are the block that they are when decoded and joined.
    #[test]
    fn as_written_or_joined_it_is_the_same_block(
        invocations in proptest::collection::vec(proptest::collection::vec(any_flush(), 1..5), 1..5),
    ) {
        let memory = wire::Dictionaries::new(1, wire::DICTIONARY_BYTES_MAX);
        let mut order = Order::default();
        for flushes in invocations.into_iter().cycle().take(8) {
            let (mut batches, mut columns) = (Vec::new(), Vec::new());
            for (agent, series) in flushes {
                let source = SourceName::new(&format!("a{agent}")).unwrap();
                let one = |(number, values): (u8, Vec<f64>)| {
                    let samples: Vec<(i64, f64)> = (1..).map(|at| at * 10).zip(values).collect();
                    crate::testing::column_of(&format!("m{number}"), source.as_str(), &samples)
                };
                let series = series.into_iter().map(one).collect();
                let contents = wire::Contents { series, ..wire::Contents::default() };
                let bytes = contents.into_batch(source, Epoch(1), 1, Timestamp(1)).encode();
                let (decoded, written) = wire::Batch::decode_written(&bytes, &mut |_| None, &memory).unwrap();
                prop_assert!(written.is_some() && decoded.batch.series.is_empty());
                columns.extend(written.iter().flat_map(Written::decode));
                batches.extend(written);
            }
            let notes = || PackNotes {
                level: Level::Fresh,
                window: Window::of_block(Timestamp(1), series::TEN_MINUTES_MS),
                sources: Vec::new(),
                replaces: Vec::new(),
                arrived_through: Timestamp(1),
                made_at: Timestamp(1),
            };
            let expected = pack(join(columns.clone()), notes());
            if let Some(arranged) = order.arranged(&batches) {
                let packed = pack_written(&arranged, notes(), &order);
                prop_assert_eq!((packed.item, packed.bytes), (expected.item.clone(), expected.bytes.clone()));
            }
            let block = order.join(columns);
            prop_assert_eq!(block.encode(), expected.bytes);
        }
    }
}
