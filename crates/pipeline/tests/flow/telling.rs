//! What an agent is told: acks once a window is compacted, and how soon rules need its samples.

use embedded::Outgoing;
use futures_util::FutureExt as _;
use pipeline::acks::{self, Acks};
use pipeline::documents::{self, Kind};
use pipeline::wire::{Batch, ServerFrame};
use pipeline::{Context, TenantId, aggregate, ingest, wishes};

use crate::bench::{Bench, batch, frame};

const TEN_MINUTES_MS: i64 = 600_000;

fn cumulative(mut bench: Bench) -> Bench {
    bench.context.acks = Acks::WhenCompacted;
    bench
}

/// Sets the clock to where the next hour, and with it a half hour, begins.
fn at_the_hour(bench: &Bench) -> i64 {
    let start = series::Window::around(bench.now(), 2 * acks::TOLD_EACH_MS).end;
    bench.clock.set(start);
    start.ms()
}

/// All that a connection was sent and has not read.
fn told(outgoing: &mut Outgoing) -> Vec<ServerFrame> {
    let mut frames = Vec::new();
    while let Some(Some(text)) = outgoing.next().now_or_never() {
        frames.push(ServerFrame::from_json(&text).unwrap());
    }
    frames
}

fn acked(frames: &[ServerFrame]) -> Vec<(u64, u64)> {
    let ranges = frames.iter().filter_map(|frame| match frame {
        ServerFrame::Ack { ranges, .. } => Some(ranges.iter().map(|range| (range.from, range.to))),
        _ => None,
    });
    ranges.flatten().collect()
}

async fn send(context: &Context, connection: &pipeline::connect::Connection, batch: &Batch) {
    ingest::batch(context, connection, &batch.to_payload(), None).await.unwrap();
}

#[tokio::test]
async fn batches_are_acknowledged_when_their_window_is_compacted_and_no_sooner() {
    let bench = cumulative(Bench::new(1));
    let (connection, mut out) = bench.agent("web-1", "a").await;
    let ServerFrame::Welcome { ack_delay_ms, .. } = frame(&mut out).await else { panic!("no welcome") };
    assert_eq!(ack_delay_ms, acks::ACK_DELAY_MS);
    let start = at_the_hour(&bench);
    // The last one reaches over the window's end.
    for (seq, at) in [(1, 10_000), (2, 20_000), (3, 590_000), (4, 599_000)] {
        let samples =
            if seq == 4 { vec![(start + at, 1.0), (start + at + 10_000, 1.0)] } else { vec![(start + at, 1.0)] };
        bench.clock.set(pipeline::Timestamp(start + at + 10_000));
        send(&bench.context, &connection, &batch("web-1", seq, "m", &samples)).await;
        bench.aggregate().await;
    }
    aggregate::compact(&bench.context).await.unwrap();
    assert_eq!(told(&mut out), [], "the window is open");
    bench.clock.set(pipeline::Timestamp(start + 2 * TEN_MINUTES_MS + 120_000));
    bench.pulse().await;
    aggregate::compact(&bench.context).await.unwrap();
    assert_eq!(told(&mut out), [], "once each half hour is enough");
    // What comes in the half hour's last window tells of all of it.
    let last = start + 3 * TEN_MINUTES_MS;
    bench.clock.set(pipeline::Timestamp(last));
    send(&bench.context, &connection, &batch("web-1", 5, "m", &[(last, 1.0)])).await;
    bench.aggregate().await;
    bench.clock.set(pipeline::Timestamp(last + TEN_MINUTES_MS + 120_000));
    bench.pulse().await;
    aggregate::compact(&bench.context).await.unwrap();
    assert_eq!(acked(&told(&mut out)), [(1, 5)]);
    // Once is enough, until the next half hour tells of it again.
    aggregate::compact(&bench.context).await.unwrap();
    assert_eq!(told(&mut out), []);
}

#[tokio::test]
async fn nothing_is_acknowledged_while_nothing_is_proven_and_the_next_half_hour_makes_up_for_it() {
    let bench = cumulative(Bench::new(3));
    let (connection, mut out) = bench.agent("web-1", "a").await;
    let start = at_the_hour(&bench);
    let half_hour = acks::TOLD_EACH_MS;
    bench.clock.set(pipeline::Timestamp(start + half_hour));
    send(&bench.context, &connection, &batch("web-1", 1, "m", &[(start + half_hour, 1.0)])).await;
    bench.aggregate().await;
    bench.clock.set(pipeline::Timestamp(start + half_hour + TEN_MINUTES_MS + 120_000));
    aggregate::compact(&bench.context).await.unwrap();
    assert_eq!(acked(&told(&mut out)), [], "no pulse, no proof");
    bench.clock.set(pipeline::Timestamp(start + 2 * half_hour));
    send(&bench.context, &connection, &batch("web-1", 2, "m", &[(start + 2 * half_hour, 1.0)])).await;
    bench.aggregate().await;
    bench.clock.set(pipeline::Timestamp(start + 2 * half_hour + TEN_MINUTES_MS + 120_000));
    bench.pulse().await;
    aggregate::compact(&bench.context).await.unwrap();
    assert_eq!(acked(&told(&mut out)), [(1, 2)], "the half hour before once more");
}

#[tokio::test]
async fn who_asks_is_answered_at_once() {
    let bench = cumulative(Bench::new(4));
    let (connection, mut out) = bench.agent("web-1", "a").await;
    let mut asking = batch("web-1", 1, "m", &[(bench.now().ms(), 1.0)]);
    asking.ack_now = true;
    send(&bench.context, &connection, &asking).await;
    assert_eq!(acked(&told(&mut out)), [(1, 1)]);
    // As is who has to hear what was refused: a sample of next week.
    let ahead = batch("web-1", 2, "m", &[(bench.now().ms() + 7 * pipeline::DAY_MS, 1.0)]);
    send(&bench.context, &connection, &ahead).await;
    assert_eq!(acked(&told(&mut out)), [(2, 2)]);
    // One that does not ask waits.
    send(&bench.context, &connection, &batch("web-1", 3, "m", &[(bench.now().ms(), 1.0)])).await;
    assert_eq!(told(&mut out), []);
}

#[tokio::test]
async fn a_rule_that_needs_samples_sooner_is_told_once_and_again_with_the_next_hello() {
    let bench = Bench::new(5);
    let tenant = TenantId::default();
    let (connection, mut out) = bench.agent("web-1", "a").await;
    let (other, mut other_out) = bench.agent("web-2", "a").await;
    let rules = "groups:\n- name: g\n  interval: 15s\n  rules: [{alert: A, expr: m > 5}]\n\
                 - name: slow\n  interval: 60s\n  rules: [{alert: B, expr: n > 5}]\n";
    documents::put_all(&bench.context.ports, &tenant, &[(Kind::Rules, "r".to_owned(), rules.to_owned())])
        .await
        .unwrap();
    send(&bench.context, &connection, &batch("web-1", 1, "m", &[(bench.now().ms(), 1.0)])).await;
    send(&bench.context, &other, &batch("web-2", 1, "n", &[(bench.now().ms(), 1.0)])).await;
    bench.aggregate().await;
    let _ = (told(&mut out), told(&mut other_out));
    let wished = |frames: &[ServerFrame]| {
        frames.iter().find_map(|frame| match frame {
            ServerFrame::Wish { flush_every_ms, expires_at_ms } => Some((*flush_every_ms, expires_at_ms.ms())),
            _ => None,
        })
    };
    wishes::for_rules(&bench.context, &tenant).await.unwrap();
    let until = bench.now().ms() + wishes::RULE_WISH_LIFE_MS;
    assert_eq!(wished(&told(&mut out)), Some((15_000, until)));
    assert_eq!(told(&mut other_out), [], "a group of a minute needs no wish");
    wishes::for_rules(&bench.context, &tenant).await.unwrap();
    assert_eq!(told(&mut out), [], "told once");
    bench.clock.advance_ms(1);
    let (_, mut again) = bench.agent("web-1", "a").await;
    assert_eq!(wished(&told(&mut again)), Some((15_000, until)));
}
