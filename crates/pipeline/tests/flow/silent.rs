//! Whose silence it is: the hosts', the pipeline's or the server's.

use pipeline::connect::PRESENCE_LEASE_MS;
use pipeline::{TenantId, aggregate, connect, presence, progress, sources};
use series::MINUTE_MS;

use crate::bench::Bench;

async fn up(bench: &Bench) -> Option<f64> {
    presence::note(&bench.context, &TenantId::default()).await.unwrap();
    bench.aggregate().await;
    bench.number(r#"up{instance="web-1"}"#).await
}

#[tokio::test]
async fn one_shard_that_stands_still_is_not_forgotten() {
    let bench = Bench::new(1);
    let ports = &bench.context.ports;
    assert_eq!(progress::current_through(ports).await.unwrap(), None);
    bench.pulse().await;
    let first = bench.now();
    assert_eq!(progress::current_through(ports).await.unwrap(), Some(first));
    let shards = bench.embedded.shards();
    assert!(shards.count() > 1);
    for minute in 1..=20 {
        bench.clock.advance_ms(MINUTE_MS);
        progress::pulse(ports).await.unwrap();
        for shard in 1..shards.count() {
            let consumer = shards.consumer("aggregate", shard).await.unwrap();
            let batch = consumer.next_batch(1_000, std::time::Duration::ZERO).await.unwrap();
            aggregate::stream(&bench.context, &batch).await.unwrap();
        }
        let through = progress::current_through(ports).await.unwrap();
        assert!(through.is_none_or(|through| through == first), "minute {minute}: {through:?}");
    }
    bench.pulse().await;
    assert_eq!(progress::current_through(ports).await.unwrap(), Some(bench.now()));
}

#[tokio::test]
async fn a_late_pipeline_makes_no_agent_absent() {
    let bench = Bench::new(2);
    let (_connection, _out) = bench.agent("web-1", "run-1").await;
    bench.pulse().await;
    // The agent's own signs of life, and the pulses, wait on the stream.
    bench.clock.advance_ms(PRESENCE_LEASE_MS + MINUTE_MS);
    let present = || async { sources::all(&bench.context, &TenantId::default()).await.unwrap()[0].present };
    assert!(present().await);
    assert_eq!(up(&bench).await, Some(1.0));
    // The pipeline is current again, and there was no sign of life.
    bench.pulse().await;
    bench.clock.advance_ms(1_000);
    assert!(!present().await);
    assert_eq!(up(&bench).await, Some(0.0));
}

#[tokio::test]
async fn agents_have_time_to_come_back_after_a_restart() {
    let bench = Bench::new(3);
    let ports = &bench.context.ports;
    let (connection, out) = bench.agent("web-1", "run-1").await;
    bench.pulse().await;
    drop(out);
    // Half an hour later the process is started again.
    bench.clock.advance_ms(30 * MINUTE_MS);
    connect::forget_all(ports).await.unwrap();
    assert!(connect::find(ports, &connection.id).await.unwrap().is_none());
    bench.pulse().await;
    assert_eq!(up(&bench).await, Some(1.0));
    let sources = sources::all(&bench.context, &TenantId::default()).await.unwrap();
    assert!(!sources[0].present, "it is not connected");
    bench.clock.advance_ms(PRESENCE_LEASE_MS);
    bench.pulse().await;
    assert_eq!(up(&bench).await, Some(0.0));
    // Its name is free for any agent all the while.
    assert!(bench.open("web-1", "run-2").await.0.is_some());
    let sources = sources::all(&bench.context, &TenantId::default()).await.unwrap();
    assert!(sources[0].present);
}
