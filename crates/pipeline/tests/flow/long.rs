//! A day and more, compacted on the way: samples come from Parquet by ranges, and long queries on whole
//! buckets from rollups, with the very same results.

use pipeline::head::{self, Head};
use pipeline::keys::KeyKind;
use pipeline::promql::{self, Selection, Stop, Storage, parse_selector};
use pipeline::read::{NEAR_SPAN_MS_MIN, ROLLUP_SPAN_MS_MIN};
use pipeline::wire::SeriesColumn;
use pipeline::{DAY_MS, HOUR_MS, Labels, Sample, TenantId, Timestamp, aggregate, ingest, query, read};
use series::rollup_width::FIVE_MINUTES_MS;
use series::{Rollup, Window};

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
    Selection {
        matchers: parse_selector(text).unwrap(),
        from: Timestamp(from),
        to: Timestamp(to),
        rollup: None,
        near: None,
    }
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
            let data =
                read::load_for(&bench.context, &tenant, std::slice::from_ref(&wanted), &Stop::default()).await.unwrap();
            let rolled = data.rollups(&wanted.matchers, wanted.from, wanted.to, width_ms).unwrap();
            let rolled = rolled.expect("whole hours are there as rollups");
            let rolled: Vec<(Labels, Vec<Rollup>)> =
                rolled.into_iter().map(|series| (series.labels, series.rollups.to_vec())).collect();
            assert_eq!(rolled, exact, "{text} by {width_ms} ms");
            assert!(data.select(&[], wanted.from, wanted.to).unwrap().is_empty(), "no sample was kept for it");
            assert!(data.infos().is_empty());
        }
    }
    // One limit of time for all of it: also where only memory is read.
    for (from, to) in [(start, end), (end - HOUR_MS / 2, end)] {
        let late = Stop::when(|| true);
        let refused = read::load_for(&bench.context, &tenant, &[selection("a", from, to)], &late).await.unwrap_err();
        assert_eq!((refused.status(), refused.error_type()), (503, "timeout"), "{refused}");
    }
    // A short time is read as samples.
    let from = start + 2 * HOUR_MS + 1;
    for (to, rolled) in [(from + ROLLUP_SPAN_MS_MIN, true), (from + ROLLUP_SPAN_MS_MIN - 1, false)] {
        let wanted = Selection { rollup: Some(HOUR_MS), ..selection("a", from, to) };
        let data =
            read::load_for(&bench.context, &tenant, std::slice::from_ref(&wanted), &Stop::default()).await.unwrap();
        let found = data.rollups(&wanted.matchers, wanted.from, wanted.to, HOUR_MS).unwrap();
        assert_eq!(found.is_some(), rolled);
    }
}

async fn query_by_the_hour(bench: &Bench, text: &str, from: i64, to: i64) -> promql::Evaluated<promql::Matrix> {
    let span = (Timestamp(from), Timestamp(to), HOUR_MS);
    let options = promql::Options::default();
    query::range(&bench.context, &TenantId::default(), text, span, &options).await.unwrap()
}

/// What a range query answers by an hour, and the width of the rollups that it was answered from.
async fn asked(bench: &Bench, text: &str, from: i64, to: i64) -> (promql::Matrix, i64, Vec<String>) {
    let found = query_by_the_hour(bench, text, from, to).await;
    (found.value, found.rollups_ms, found.annotations)
}

#[tokio::test]
async fn an_aligned_query_is_answered_from_rollups_and_an_unaligned_one_from_samples() {
    let mut bench = Bench::new(12);
    bench.caller(KeyKind::Agent, "agents").await;
    bench.context = bench.context.with_head(Head::default());
    let (start, hours) = (bench.now(), 30);
    lived(&bench, hours).await;
    let from = Window::of_block(start, HOUR_MS).end.ms() + 2 * HOUR_MS;
    let to = from + 25 * HOUR_MS;
    for (text, width_ms) in [
        ("increase(a[1h])", HOUR_MS),
        ("max_over_time(a{n=~\"[012]\"}[2h])", HOUR_MS),
        ("count_over_time(a[1h] offset 5m)", FIVE_MINUTES_MS),
        ("sum(a)", FIVE_MINUTES_MS),
        ("quantile_over_time(1, a[1h])", 0),
    ] {
        let (matrix, rollups_ms, annotations) = asked(&bench, text, from, to).await;
        assert_eq!((rollups_ms, told(&annotations)), (width_ms, false), "{text}: {annotations:?}");
        assert!(!matrix.is_empty() && matrix.iter().all(|series| series.samples.len() == 26), "{text}: {matrix:?}");
    }
    // The same, a second later: every window is cut.
    let (matrix, rollups_ms, _) = asked(&bench, "increase(a[1h])", from + 1_000, to + 1_000).await;
    assert_eq!((rollups_ms, matrix.len()), (0, SERIES));
    // A long time, a second later: each step is answered as of the bucket's end before it, and it is known.
    for (more_ms, near_ms) in [(0, 0), (NEAR_SPAN_MS_MIN, HOUR_MS)] {
        for text in ["increase(a[1h])", "sum(a)", "max_over_time(a[2h])"] {
            let late = query_by_the_hour(&bench, text, from - more_ms + 1_000, to + 1_000).await;
            assert_eq!((late.rollups_ms, late.near_ms), (0, near_ms), "{text}");
            if near_ms == 0 {
                continue;
            }
            let (aligned, _, _) = asked(&bench, text, from, to).await;
            let after = |one: &promql::Series| -> Vec<(i64, f64)> {
                let shown = one.samples.iter().filter(|sample| sample.at.ms() > from);
                shown.map(|sample| (sample.at.ms() - 1_000, sample.value)).collect()
            };
            let before = |one: &promql::Series| -> Vec<(i64, f64)> {
                one.samples.iter().map(|sample| (sample.at.ms(), sample.value)).collect()
            };
            let (late, aligned): (Vec<_>, Vec<_>) =
                (late.value.iter().map(after).collect(), aligned.iter().map(before).collect());
            assert_eq!(late, aligned, "{text}");
        }
    }
}

/// Whether it is said that no samples are left.
fn told(annotations: &[String]) -> bool {
    annotations.iter().any(|text| text.contains("samples of this time are kept no longer"))
}

#[tokio::test]
async fn where_only_rollups_are_left_their_last_values_are_read_and_it_is_said() {
    let mut bench = Bench::new(13);
    bench.caller(KeyKind::Agent, "agents").await;
    bench.context = bench.context.with_head(Head::default());
    let start = bench.now();
    lived(&bench, 30).await;
    let from = Window::of_block(start, HOUR_MS).end.ms() + 2 * HOUR_MS;
    let to = from + 8 * HOUR_MS;
    // These three never change.
    let plain = "sum(a{n=~\"[234]\"} + 0)";
    let before_plain = asked(&bench, plain, from + 1_000, to).await;
    let of_samples = "sum(quantile_over_time(1, a{n=~\"[234]\"}[1h]))";
    let before = asked(&bench, of_samples, from + 1_000, to).await;
    let counted = asked(&bench, "count_over_time(a{n=\"1\"}[1h])", from, to).await;
    assert_eq!((before.1, told(&before.2)), (0, false));

    bench.clock.advance_ms(40 * DAY_MS);
    for _ in 0..3 {
        aggregate::compact(&bench.context).await.unwrap();
        bench.clock.advance_ms(HOUR_MS);
    }
    head::refresh(&bench.context).await.unwrap();
    // What only samples tell: there are none, so the last values stand for them.
    let after = asked(&bench, of_samples, from + 1_000, to).await;
    assert_eq!((after.1, told(&after.2)), (0, true), "{:?}", after.2);
    assert_eq!(after.0, before.0);
    // What rollups tell, a second after the edges of their buckets: as of those edges.
    let near = query_by_the_hour(&bench, plain, from + 1_000, to).await;
    assert_eq!((near.rollups_ms, near.near_ms, told(&near.annotations)), (0, HOUR_MS, false), "{:?}", near.annotations);
    assert_eq!(near.value, before_plain.0);
    // Aligned: exact as before, and nothing has to be said.
    let exact = asked(&bench, "count_over_time(a{n=\"1\"}[1h])", from, to).await;
    assert_eq!((exact.1, told(&exact.2), &exact.0), (HOUR_MS, false, &counted.0));
}
