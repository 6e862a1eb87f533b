//! A day and more, compacted on the way: samples come from Parquet by ranges, and long queries on whole
//! buckets from rollups, with the very same results.

use pipeline::head::{self, Head};
use pipeline::keys::KeyKind;
use pipeline::promql::{Selection, Storage, parse_selector};
use pipeline::read::ROLLUP_SPAN_MS_MIN;
use pipeline::wire::SeriesColumn;
use pipeline::{HOUR_MS, Labels, Sample, TenantId, Timestamp, aggregate, ingest, read};
use series::Rollup;

use crate::bench::{Bench, batch};

const STEP_MS: i64 = 30_000;
const SERIES: usize = 5;

/// Samples of `hours` hours, aggregated and compacted as time goes on.
async fn lived(bench: &Bench, hours: i64) {
    let (connection, _outgoing) = bench.agent("web-1", "run").await;
    for hour in 0..hours {
        let start = bench.now().ms();
        let mut sent = batch("web-1", hour as u64 + 1, "none", &[]);
        sent.created_at = bench.now();
        let labels = |n: usize| {
            Labels::from_pairs([("__name__", "a"), ("n", n.to_string().as_str()), ("source", "web-1")]).unwrap()
        };
        let value = |n: usize, at: i64| match n {
            // A counter that falls now and then, a fraction, a constant.
            0 => ((at / STEP_MS) % 997) as f64,
            1 => (at as f64).sqrt(),
            _ => n as f64,
        };
        let column = |n: usize| SeriesColumn {
            labels: labels(n),
            samples: (0..HOUR_MS / STEP_MS)
                .map(|index| start + index * STEP_MS)
                .map(|at| Sample { at: Timestamp(at), value: value(n, at) })
                .collect(),
        };
        sent.series = (0..SERIES).map(column).collect();
        bench.clock.advance_ms(HOUR_MS);
        ingest::batch(&bench.context, &connection, &sent.to_payload(), None).await.unwrap();
        bench.aggregate().await;
        aggregate::compact(&bench.context).await.unwrap();
        head::refresh(&bench.context).await.unwrap();
    }
    bench.clock.advance_ms(HOUR_MS);
    for _ in 0..3 {
        aggregate::compact(&bench.context).await.unwrap();
    }
}

fn selection(text: &str, from: i64, to: i64) -> Selection {
    Selection { matchers: parse_selector(text).unwrap(), from: Timestamp(from), to: Timestamp(to), rollup: None }
}

#[tokio::test]
async fn long_ranges_are_read_by_ranges_and_from_rollups_with_the_same_result() {
    let mut bench = Bench::new(11);
    bench.caller(KeyKind::Agent, "agents").await;
    bench.context = bench.context.with_head(Head::default());
    let (start, hours, tenant) = (bench.now().ms(), 30, TenantId::default());
    lived(&bench, hours).await;
    let end = start + hours * HOUR_MS;

    // Samples: all of them, and a part of one series, both ends included.
    let count = async |text: &str, from: i64, to: i64| {
        let wanted = selection(text, from, to);
        let set = read::load(&bench.context, &tenant, std::slice::from_ref(&wanted)).await.unwrap();
        let found = set.select(&wanted.matchers, wanted.from, wanted.to).unwrap();
        found.iter().map(|series| series.samples.len()).sum::<usize>()
    };
    let an_hour = (HOUR_MS / STEP_MS) as usize;
    assert_eq!(count("a", start, end).await, SERIES * hours as usize * an_hour);
    assert_eq!(count("a{n=\"3\"}", start + 3 * HOUR_MS, start + 5 * HOUR_MS).await, 2 * an_hour + 1);
    assert_eq!(count("a{n=~\"[12]\",source!=\"x\"}", start, start + HOUR_MS - 1).await, 2 * an_hour);
    assert_eq!(count("a{n=\"7\"}", start, end).await, 0);
    let listed = read::labels(&bench.context, &tenant, &[selection("a", start, start + HOUR_MS)]).await.unwrap();
    assert_eq!(listed.len(), SERIES);

    // Rollups: the same bits as from samples.
    for width_ms in series::rollup_width::ALL {
        for text in ["a", "a{n=~\"[01]\"}"] {
            let (from, to) = (start + 2 * HOUR_MS + 1, start + 28 * HOUR_MS);
            let wanted = Selection { rollup: Some(width_ms), ..selection(text, from, to) };
            let samples = read::load(&bench.context, &tenant, std::slice::from_ref(&wanted)).await.unwrap();
            let exact: Vec<(Labels, Vec<Rollup>)> = samples
                .select(&wanted.matchers, wanted.from, wanted.to)
                .unwrap()
                .into_iter()
                .map(|series| (series.labels, series::rollups(&series.samples, width_ms)))
                .collect();
            let data = read::load_for(&bench.context, &tenant, std::slice::from_ref(&wanted)).await.unwrap();
            let rolled = data.rollups(&wanted.matchers, wanted.from, wanted.to, width_ms).unwrap();
            let rolled = rolled.expect("whole hours are there as rollups");
            let rolled: Vec<(Labels, Vec<Rollup>)> =
                rolled.into_iter().map(|series| (series.labels, series.rollups.to_vec())).collect();
            assert_eq!(rolled, exact, "{text} by {width_ms} ms");
            assert!(data.select(&[], wanted.from, wanted.to).unwrap().is_empty(), "no sample was kept for it");
            assert!(data.infos().is_empty());
        }
    }
    // A short time is read as samples.
    let from = start + 2 * HOUR_MS + 1;
    for (to, rolled) in [(from + ROLLUP_SPAN_MS_MIN, true), (from + ROLLUP_SPAN_MS_MIN - 1, false)] {
        let wanted = Selection { rollup: Some(HOUR_MS), ..selection("a", from, to) };
        let data = read::load_for(&bench.context, &tenant, std::slice::from_ref(&wanted)).await.unwrap();
        let found = data.rollups(&wanted.matchers, wanted.from, wanted.to, HOUR_MS).unwrap();
        assert_eq!(found.is_some(), rolled);
    }
}
