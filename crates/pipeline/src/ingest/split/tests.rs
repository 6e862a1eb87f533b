use series::{Epoch, Labels, Sample};

use super::*;

fn web() -> (TenantId, SourceName) {
    (TenantId::default(), SourceName::new("web-1").unwrap())
}

fn seen(seq: u64, created_s: i64, series: usize, samples: u64) -> Inspected {
    Inspected {
        source: web().1,
        epoch: Epoch(1),
        seq,
        ack_now: false,
        created_at: Timestamp(created_s * 1_000),
        series,
        samples,
        span: None,
        metadata: Vec::new(),
        rejected: Vec::new(),
    }
}

fn judged(batches: &[Inspected]) -> Vec<bool> {
    let (loads, (tenant, source)) = (Loads::default(), web());
    batches.iter().map(|batch| loads.is_above((&tenant, &source), batch, &Limits::default())).collect()
}

#[test]
fn series_of_a_flush_at_the_limit_and_one_past_it() {
    let min = crate::ingest::limits::SPLIT_SERIES_MIN;
    assert_eq!(judged(&[seen(1, 60, min, 0)]), [false]);
    assert_eq!(judged(&[seen(1, 60, min + 1, 0)]), [true]);
    // A flush is what was closed at one time; the next one's first batches are judged by the one before.
    let flush = |first: u64, at, all: usize| [seen(first, at, 3_000, 0), seen(first + 1, at, all - 3_000, 0)];
    assert_eq!(judged(&[flush(1, 60, min), flush(3, 120, min)].concat()), [false; 4]);
    let above = [flush(1, 60, min + 1), flush(3, 120, min + 1), flush(5, 180, 3_001), flush(7, 240, 3_001)].concat();
    assert_eq!(judged(&above), [false, true, true, true, true, true, false, false]);
    // What comes again is not added again.
    let again = seen(2, 60, min - 3_000, 0);
    assert_eq!(judged(&[seen(1, 60, 3_000, 0), again.clone(), again]), [false; 3]);
}

#[test]
fn samples_a_second_at_the_limit_and_one_past_it() {
    let min = crate::ingest::limits::SPLIT_SAMPLES_PER_SECOND_MIN;
    assert_eq!(judged(&[seen(1, 60, 1, 61 * min)]), [false], "for how long it gathered is not known");
    assert_eq!(judged(&[seen(1, 60, 1, 1), seen(2, 70, 1, 10 * min)]), [false, false]);
    assert_eq!(judged(&[seen(1, 60, 1, 1), seen(2, 70, 1, 10 * min + 1), seen(3, 80, 1, 1)]), [false, true, true]);
    // An older batch is judged by what is known.
    assert_eq!(judged(&[seen(5, 60, 1, 1), seen(6, 61, 1, min + 1), seen(2, 1, 1, 1)]), [false, true, true]);
}

#[test]
fn every_sample_is_in_one_part_and_what_belongs_to_checks_at_home() {
    let (tenant, source) = web();
    let column = |name: &str, n: usize| SeriesColumn {
        labels: Labels::from_pairs([("__name__", name), ("n", &n.to_string())]).unwrap(),
        samples: vec![Sample { at: Timestamp(1), value: 1.0 }],
    };
    let mut series: Vec<SeriesColumn> = (0..200).map(|n| column("m", n)).collect();
    series.push(column(CHECK_STATUS, 0));
    let batch = Contents { series: series.clone(), ..Contents::default() };
    let mut batch = batch.into_batch(source.clone(), Epoch(1), 9, Timestamp(5));
    batch.counters.generated = 201;
    let (spread, home) = cut(&tenant, batch);
    assert_eq!(spread.len(), usize::from(PUSH_SPREAD));
    let read = |part: &Part| Batch::decode(&part.body).unwrap().batch;
    let at_home = read(&home);
    assert_eq!((home.lane, part::of(home.number)), (Lane::of_source(&tenant, &source), part::HOME));
    assert_eq!((at_home.series, at_home.counters.generated), (vec![column(CHECK_STATUS, 0)], 201));
    let mut found = vec![column(CHECK_STATUS, 0)];
    for one in &spread {
        let batch = read(one);
        assert_eq!((batch.seq, part::seq(one.number), batch.created_at), (9, 9, Timestamp(5)));
        assert_eq!(batch.counters.generated, 0, "only one part tells of the agent's ledger");
        assert!(batch.series.iter().all(|own| {
            let place = Lane::part(own.labels.id());
            part::of(one.number) == part::FIRST_SPREAD + place
                && one.lane == Lane::of_source_part(&tenant, &source, place)
        }));
        found.extend(batch.series);
    }
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    assert_eq!(found, series);
}

#[test]
fn loads_are_remembered_up_to_the_limit() {
    let (loads, (tenant, _)) = (Loads::default(), web());
    let judge = |name: String, series| {
        let source = SourceName::new(&name).unwrap();
        loads.is_above((&tenant, &source), &seen(1, 60, series, 0), &Limits::default())
    };
    assert!(judge("large".to_owned(), usize::MAX));
    for n in 1..LOADS_MAX {
        judge(format!("small-{n}"), 1);
    }
    assert!(judge("large".to_owned(), 1), "at the limit");
    judge("one-more".to_owned(), 1);
    assert!(!judge("large".to_owned(), 1), "one past it");
}
