//! Push, aggregate, read: each sample once, whatever the stream repeats.

use pipeline::keys::KeyKind;
use pipeline::wire::{Batch, MetricMetadata, ServerFrame};
use pipeline::{Request, TenantId, aggregate, ingest, sources};

use crate::bench::{Bench, batch, frame};

#[tokio::test]
async fn a_pushed_line_is_found_by_a_query_and_a_bad_one_by_the_ledger() {
    let bench = Bench::new(1);
    let caller = bench.caller(KeyKind::Agent, "router").await;
    let pushed = bench.graphite(&caller, "a.b;x=1 5\nthis is no line\nfoo 7\n").await;
    assert_eq!((pushed.accepted, pushed.rejected.len()), (2, 1));
    assert!(pushed.rejected[0].first.contains("line 2, column"), "{:?}", pushed.rejected);
    bench.aggregate().await;
    assert_eq!(bench.number(r#"{__name__="a.b",x="1"}"#).await, Some(5.0));
    assert_eq!(bench.number("foo").await, Some(7.0));
    let sources = sources::all(&bench.context, &TenantId::default()).await.unwrap();
    let router = sources.iter().find(|source| source.name == "router").unwrap();
    assert_eq!((router.counters.generated, router.counters.stored, router.counters.missing), (3, 2, 0));
    assert_eq!(router.counters.rejected.values().sum::<u64>(), 1);
    assert_eq!(router.kind, "push");
}

#[tokio::test]
async fn a_batch_is_acknowledged_and_counts_once_however_often_it_is_delivered() {
    let bench = Bench::new(2);
    let (connection, mut outgoing) = bench.agent("web-1", "run").await;
    assert!(matches!(frame(&mut outgoing).await, ServerFrame::Welcome { .. }));
    let now = bench.now().ms();
    for seq in 1..=3 {
        let samples = [(now - 2_000 + seq as i64 * 10, 1.0), (now - 1_000 + seq as i64 * 10, 2.0)];
        let payload = batch("web-1", seq, "m", &samples).to_payload();
        ingest::batch(&bench.context, &connection, &payload, None).await.unwrap();
        match frame(&mut outgoing).await {
            ServerFrame::Ack { ranges, rejected, .. } => {
                assert_eq!((ranges[0].from, ranges[0].to), (seq, seq));
                assert!(rejected.is_empty());
            }
            other => panic!("{other:?}"),
        }
    }
    // The agent lost an ack and sends the second batch again.
    let samples = [(now - 2_000 + 20, 1.0), (now - 1_000 + 20, 2.0)];
    let again = batch("web-1", 2, "m", &samples).to_payload();
    ingest::batch(&bench.context, &connection, &again, None).await.unwrap();
    // The stream delivers everything twice, the second time record by record.
    for shard in bench.delivered().await {
        aggregate::stream(&bench.context, &shard).await.unwrap();
        for record in shard {
            aggregate::stream(&bench.context, &[record]).await.unwrap();
        }
    }
    assert_eq!(bench.number("count_over_time(m[1m])").await, Some(6.0));
    let sources = sources::all(&bench.context, &TenantId::default()).await.unwrap();
    let counters = &sources[0].counters;
    assert_eq!((counters.generated, counters.stored, counters.superseded, counters.missing), (6, 6, 0, 0));
    assert!(sources[0].present);
}

#[tokio::test]
async fn samples_outside_of_the_kept_time_are_refused_by_name_and_their_neighbours_stored() {
    let bench = Bench::new(3);
    let (connection, mut outgoing) = bench.agent("web-1", "run").await;
    frame(&mut outgoing).await;
    let now = bench.now().ms();
    let oldest = now - bench.context.settings.raw_retention_ms;
    let newest = now + ingest::AHEAD_MS_MAX;
    let samples = [(oldest - 1, 1.0), (oldest, 2.0), (now, 3.0), (newest, 4.0), (newest + 1, 5.0)];
    ingest::batch(&bench.context, &connection, &batch("web-1", 1, "m", &samples).to_payload(), None).await.unwrap();
    let ServerFrame::Ack { rejected, .. } = frame(&mut outgoing).await else { panic!("no ack") };
    let reasons: Vec<(&str, u64)> = rejected.iter().map(|r| (r.reason.as_str(), r.count)).collect();
    assert_eq!(reasons, [("too_far_ahead", 1), ("too_old", 1)]);
    bench.aggregate().await;
    let sources = sources::all(&bench.context, &TenantId::default()).await.unwrap();
    let counters = &sources[0].counters;
    assert_eq!((counters.generated, counters.stored, counters.missing), (5, 3, 0));
    assert_eq!(counters.rejected.get("too_old"), Some(&1));
    assert_eq!(bench.number("m").await, Some(3.0));
}

#[tokio::test]
async fn a_backlog_that_is_hours_old_is_found_beside_fresh_samples() {
    let bench = Bench::new(4);
    let (connection, mut outgoing) = bench.agent("web-1", "run").await;
    frame(&mut outgoing).await;
    let now = bench.now().ms();
    let hour = 3_600_000;
    let payload = batch("web-1", 1, "m", &[(now - 5 * hour, 1.0), (now - 4 * hour, 2.0), (now, 3.0)]).to_payload();
    ingest::batch(&bench.context, &connection, &payload, None).await.unwrap();
    bench.aggregate().await;
    assert_eq!(bench.number("count_over_time(m[6h])").await, Some(3.0));
    assert_eq!(bench.number("m offset 4h").await, Some(2.0));
    let sources = sources::all(&bench.context, &TenantId::default()).await.unwrap();
    assert_eq!((sources[0].counters.stored, sources[0].counters.missing), (3, 0));
}

#[tokio::test]
async fn passive_checks_are_samples_and_a_bad_one_is_named() {
    let bench = Bench::new(5);
    let caller = bench.caller(KeyKind::Agent, "cron").await;
    let body = r#"[{"check":"backup","status":2,"text":"disk full","ttl":"25h"},{"check":"x","status":7}]"#;
    let request = pipeline::Request { body: body.into(), ..pipeline::Request::default() };
    let pushed = ingest::checks(&bench.context, &caller, &request).await.unwrap();
    assert_eq!(pushed.accepted, 1);
    assert!(pushed.rejected[0].first.starts_with("[1]: status"), "{:?}", pushed.rejected);
    bench.aggregate().await;
    assert_eq!(bench.number(r#"check_status{check="backup",source="cron"}"#).await, Some(2.0));
}

#[tokio::test]
async fn a_batch_that_cannot_be_read_is_kept_aside_and_acknowledged_so_that_it_does_not_come_for_ever() {
    let bench = Bench::new(6);
    let (connection, mut outgoing) = bench.agent("web-1", "run").await;
    frame(&mut outgoing).await;
    let name = Some((series::Epoch(1), 9));
    ingest::batch(&bench.context, &connection, "no base64!", name).await.unwrap();
    match frame(&mut outgoing).await {
        ServerFrame::Ack { ranges, rejected, .. } => {
            assert_eq!((ranges[0].from, ranges[0].to), (9, 9));
            assert_eq!(rejected[0].reason, "batch_not_base64");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(frame(&mut outgoing).await, ServerFrame::Error { .. }));
    bench.aggregate().await;
    let sources = sources::all(&bench.context, &TenantId::default()).await.unwrap();
    assert_eq!(sources[0].counters.rejected.get("batch_not_base64"), Some(&1));
    let aside = ports::Partition::Quarantine(TenantId::default());
    assert_eq!(bench.context.ports.table.query_all(&aside, "", "").await.unwrap().len(), 1);
}

#[tokio::test]
async fn passive_checks_with_the_longest_texts_are_stored_and_not_only_accepted() {
    let bench = Bench::new(4);
    let caller = bench.caller(KeyKind::Agent, "backup").await;
    let text = "a".repeat(4_000);
    let one = |n: usize| format!(r#"{{"check":"c{n}","status":1,"text":"{text}"}}"#);
    let body = format!("[{}]", (0..ingest::RESULTS_MAX).map(one).collect::<Vec<_>>().join(","));
    let request = Request { body: body.into(), ..Request::default() };
    let pushed = ingest::checks(&bench.context, &caller, &request).await.unwrap();
    assert_eq!((pushed.accepted, pushed.rejected.len()), (1_000, 0));
    bench.aggregate().await;
    assert_eq!(bench.number("count(check_status)").await, Some(1_000.0));

    let body = format!("[{}]", (0..=ingest::RESULTS_MAX).map(one).collect::<Vec<_>>().join(","));
    let request = Request { body: body.into(), ..Request::default() };
    assert_eq!(ingest::checks(&bench.context, &caller, &request).await.unwrap_err().status(), 400);
}

#[tokio::test]
async fn what_an_agent_says_of_its_metrics_is_kept_and_the_last_word_counts() {
    let bench = Bench::new(7);
    let (connection, _outgoing) = bench.agent("web-1", "a").await;
    let send = async |seq: u64, help: &str| {
        let described = MetricMetadata {
            metric: "shop_orders".to_owned(),
            kind: "counter".to_owned(),
            help: help.to_owned(),
            unit: String::new(),
        };
        let batch = Batch { metadata: vec![described], ..batch("web-1", seq, "shop_orders_total", &[(1, 1.0)]) };
        ingest::batch(&bench.context, &connection, &batch.to_payload(), None).await.unwrap();
    };
    send(1, "Orders.").await;
    send(2, "All orders.").await;
    send(2, "All orders.").await;
    let kept = ingest::metadata::all(&bench.context.ports, &TenantId::default()).await.unwrap();
    let shown: Vec<_> = kept.iter().map(|(metric, is)| (metric.as_str(), is.kind.as_str(), is.help.as_str())).collect();
    assert_eq!(shown, [("shop_orders", "counter", "All orders.")]);
}
