use proptest::prelude::*;
use series::SourceName;

use super::*;

fn any_notes() -> impl Strategy<Value = Vec<BatchNote>> {
    let one = (0..2_u64, 0..3_i64, 0..20_u64, 0..6_u64, 0..3_u64, 0..3_u64);
    let note = one.prop_map(|(epoch, window, from, length, samples, refused)| BatchNote {
        to_seq: from + length,
        rejected: (refused > 0).then(|| (format!("r{refused}"), refused)).into_iter().collect(),
        ..BatchNote::new(Epoch(epoch), from, Timestamp(window * 600_000), samples)
    });
    proptest::collection::vec(note, 0..12)
}

type Fact = (u64, BTreeMap<String, u64>);

/// Batch by batch, as one would write it down.
fn one_by_one(notes: &[BatchNote]) -> BTreeMap<(Epoch, Timestamp, u64), Fact> {
    let mut set: BTreeMap<_, Fact> = BTreeMap::new();
    for note in notes {
        for seq in note.from_seq..=note.to_seq {
            let fact = set.entry((note.epoch, note.window, seq)).or_default();
            fact.0 = fact.0.max(note.samples);
            for (reason, count) in &note.rejected {
                let known = fact.1.entry(reason.clone()).or_default();
                *known = (*known).max(*count);
            }
        }
    }
    set
}

/// Some of them of parts.
fn any_parts() -> impl Strategy<Value = Vec<BatchNote>> {
    (any_notes(), proptest::collection::vec(0..3_u8, 12)).prop_map(|(notes, parts)| {
        let named = |(note, number): (BatchNote, u8)| BatchNote {
            from_seq: part::numbered(note.from_seq, number),
            to_seq: part::numbered(note.to_seq, number),
            ..note
        };
        notes.into_iter().zip(parts).map(named).collect()
    })
}

/// Batch by batch and part by part, without the parts of what is known whole.
fn without_known_one_by_one(notes: &[BatchNote]) -> BTreeMap<(Epoch, Timestamp, u64), Fact> {
    let all = one_by_one(notes);
    let is_known = |key: &(Epoch, Timestamp, u64)| all.contains_key(&(key.0, key.1, part::seq(key.2)));
    all.iter()
        .filter(|(key, _)| part::of(key.2) == part::WHOLE || !is_known(key))
        .map(|(k, f)| (*k, f.clone()))
        .collect()
}

proptest! {
    #[test]
    fn parts_of_what_is_known_whole_say_nothing_more(a in any_parts(), b in any_parts(), c in any_parts()) {
        let of = |parts: &[&Vec<BatchNote>]| union(parts.iter().flat_map(|part| part.iter().cloned()).collect());
        prop_assert_eq!(one_by_one(&of(&[&a])), without_known_one_by_one(&a));
        prop_assert_eq!(of(&[&a, &b]), of(&[&b, &a]));
        prop_assert_eq!(of(&[&of(&[&a, &b]), &c]), of(&[&a, &of(&[&b, &c])]));
        prop_assert_eq!(of(&[&a, &a]), of(&[&a]));
        // As is whether two of them tell of one batch: of a part both, or one of a part and one of the whole.
        let (left, right) = (of(&[&a]), of(&[&b]));
        let (one, two) = (one_by_one(&left), one_by_one(&right));
        let meets = |x: &BTreeMap<(Epoch, Timestamp, u64), Fact>, y: &BTreeMap<(Epoch, Timestamp, u64), Fact>, both| {
            let whole = |key: &(Epoch, Timestamp, u64)| (key.0, key.1, part::seq(key.2));
            x.iter().any(|(key, fact)| {
                part::of(key.2) != part::WHOLE && fact.0 > 0 && y.get(&whole(key)).is_some_and(|known| known.0 > 0 || both)
            })
        };
        let same = one.iter().any(|(key, fact)| fact.0 > 0 && two.contains_key(key));
        prop_assert_eq!(share_samples(&left, &right), same || meets(&one, &two, true) || meets(&two, &one, false));
    }

    #[test]
    fn a_union_of_runs_is_the_union_of_their_batches(notes in any_notes()) {
        let joined = union(notes.clone());
        prop_assert_eq!(one_by_one(&joined), one_by_one(&notes));
        let batches: u64 = joined.iter().map(BatchNote::batches).sum();
        prop_assert_eq!(batches as usize, one_by_one(&notes).len());
        let total: u64 = one_by_one(&notes).values().map(|fact| fact.0).sum();
        prop_assert_eq!(samples(&joined), total);
        prop_assert!(joined.windows(2).all(|pair| !continues(&pair[0], &pair[1])));
    }

    #[test]
    fn a_union_is_commutative_associative_and_idempotent(a in any_notes(), b in any_notes(), c in any_notes()) {
        let of = |parts: &[&Vec<BatchNote>]| union(parts.iter().flat_map(|part| part.iter().cloned()).collect());
        prop_assert_eq!(of(&[&a, &b]), of(&[&b, &a]));
        prop_assert_eq!(of(&[&of(&[&a, &b]), &c]), of(&[&a, &of(&[&b, &c])]));
        prop_assert_eq!(of(&[&a, &a]), of(&[&a]));
    }

    #[test]
    fn shared_batches_are_found(a in any_notes(), b in any_notes()) {
        let (left, right) = (one_by_one(&a), one_by_one(&b));
        let expected = left.iter().any(|(key, fact)| fact.0 > 0 && right.contains_key(key));
        prop_assert_eq!(share_samples(&union(a), &union(b)), expected);
    }

    #[test]
    fn notes_are_what_they_were(all in proptest::collection::vec(any_notes(), 0..4)) {
        let of = |notes: &Vec<BatchNote>| SourceNote {
            notes: notes.clone(),
            ..SourceNote::new(SourceName::new("a").unwrap(), Timestamp(0))
        };
        let sources: Vec<SourceNote> = all.iter().map(of).collect();
        let mut read: Vec<SourceNote> = sources.iter().map(|_| of(&Vec::new())).collect();
        decode(&encode(&sources), &mut read).unwrap();
        prop_assert_eq!(read, sources);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = decode(&bytes, &mut [SourceNote::new(SourceName::new("a").unwrap(), Timestamp(0))]);
    }
}

#[test]
fn the_ends_of_the_numbers() {
    let note = |from_seq, to_seq, samples| BatchNote {
        from_seq,
        to_seq,
        ..BatchNote::new(Epoch(u64::MAX), 0, Timestamp(i64::MIN), samples)
    };
    let joined = union(vec![note(0, u64::MAX, 1), note(5, u64::MAX, 2), note(9, 3, 7)]);
    assert_eq!(joined, [note(0, 4, 1), note(5, u64::MAX, 2)]);
    let source = SourceNote { notes: joined, ..SourceNote::new(SourceName::new("a").unwrap(), Timestamp(0)) };
    let mut read = [SourceNote { notes: Vec::new(), ..source.clone() }];
    decode(&encode(std::slice::from_ref(&source)), &mut read).unwrap();
    assert_eq!(read[0], source);
}
