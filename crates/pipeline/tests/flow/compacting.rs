//! Windows that close, and what is deleted when.

use pipeline::keys::KeyKind;
use pipeline::{TenantId, aggregate, sources};
use ports::Partition;
use series::TEN_MINUTES_MS;

use crate::bench::Bench;

async fn items(bench: &Bench) -> usize {
    let partition = Partition::Manifest(TenantId::default());
    bench.context.ports.table.query_all(&partition, "", "").await.unwrap().len()
}

async fn blobs(bench: &Bench) -> usize {
    bench.context.ports.blobs.list("").await.unwrap().len()
}

#[tokio::test]
async fn a_closed_window_becomes_one_block_with_the_same_samples_and_ledger() {
    let bench = Bench::new(1);
    let caller = bench.caller(KeyKind::Agent, "router").await;
    // Windows do not hold their own start.
    bench.clock.advance_ms(1);
    let started = bench.now();
    for value in 0..20 {
        bench.graphite(&caller, &format!("m {value}\n")).await;
        bench.aggregate().await;
        bench.clock.advance_ms(1_000);
    }
    let read = "sum_over_time(m[30m])";
    let before = (bench.number(read).await, bench.number("count_over_time(m[30m])").await);
    assert_eq!(before, (Some(190.0), Some(20.0)));
    assert_eq!(blobs(&bench).await, 20);

    // Open windows are left alone.
    aggregate::compact(&bench.context).await.unwrap();
    assert_eq!(blobs(&bench).await, 20);

    bench.clock.set(started.plus_ms(2 * TEN_MINUTES_MS + aggregate::SETTLE_MS));
    aggregate::compact(&bench.context).await.unwrap();
    assert_eq!(blobs(&bench).await, 21);
    assert_eq!((bench.number(read).await, bench.number("count_over_time(m[30m])").await), before);
    let after_flip = items(&bench).await;
    aggregate::compact(&bench.context).await.unwrap();
    assert_eq!(items(&bench).await, after_flip, "the same set is not written twice");

    // Inputs go an hour after the flip, not before; what is read stays the same.
    let flipped = bench.now();
    bench.clock.set(flipped.plus_ms(aggregate::KEEP_REPLACED_MS - 1));
    aggregate::compact(&bench.context).await.unwrap();
    // The hour has closed: its block and two of rollups.
    assert_eq!(blobs(&bench).await, 21 + 3);
    bench.clock.set(flipped.plus_ms(aggregate::KEEP_REPLACED_MS));
    aggregate::compact(&bench.context).await.unwrap();
    assert_eq!(blobs(&bench).await, 1 + 3);
    bench.clock.set(flipped.plus_ms(2 * aggregate::KEEP_REPLACED_MS));
    aggregate::compact(&bench.context).await.unwrap();
    assert_eq!(blobs(&bench).await, 3);
    assert_eq!(bench.number("count_over_time(m[4h])").await, Some(20.0));
    let ledger = sources::all(&bench.context, &TenantId::default()).await.unwrap();
    assert_eq!((ledger[0].counters.stored, ledger[0].counters.generated), (20, 20));
}

#[tokio::test]
async fn what_comes_again_after_an_outage_is_not_swept_with_its_window() {
    let bench = Bench::new(2);
    let caller = bench.caller(KeyKind::Agent, "router").await;
    let started = bench.now();
    bench.graphite(&caller, "m 1\n").await;
    let records = bench.delivered().await;
    // The process ends between storing and committing, and starts again half an hour later.
    for at in [0, 3 * TEN_MINUTES_MS] {
        bench.clock.set(started.plus_ms(at));
        for shard in &records {
            aggregate::stream(&bench.context, shard).await.unwrap();
        }
    }
    aggregate::compact(&bench.context).await.unwrap();
    bench.clock.set(started.plus_ms(4 * TEN_MINUTES_MS + 2 * aggregate::KEEP_REPLACED_MS));
    aggregate::compact(&bench.context).await.unwrap();
    assert_eq!(bench.number("count_over_time(m[3h])").await, Some(1.0));
    let ledger = sources::all(&bench.context, &TenantId::default()).await.unwrap();
    assert_eq!((ledger[0].counters.stored, ledger[0].counters.generated), (1, 1));
}
