//! An agent that sends very much: its batches are cut over lanes, and nobody sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use embedded::Outgoing;
use futures_util::FutureExt as _;
use pipeline::acks::{self, Acks};
use pipeline::ingest::limits::Limits;
use pipeline::wire::{Batch, SeriesColumn, ServerFrame, StreamEnvelope, part};
use pipeline::{Delivered, Labels, Sample, TenantId, Timestamp, aggregate, ingest, progress, sources};
use ports::{Accepted, PortError, Stream, StreamRecord};

use crate::bench::{Bench, batch};

/// Series of each batch; above them a source is spread.
const SERIES: u32 = 40;

fn low(mut bench: Bench, split_series_min: usize) -> Bench {
    bench.context.limits = Limits { split_series_min, ..Limits::default() };
    bench
}

/// The `seq`th batch, one sample a series.
fn wide(seq: u64, at: i64) -> Batch {
    let column = |n: u32| SeriesColumn {
        labels: Labels::from_pairs([("__name__", "m"), ("n", &n.to_string()), ("source", "web-1")]).unwrap(),
        samples: vec![Sample { at: Timestamp(at), value: f64::from(n) }],
    };
    let mut wide = batch("web-1", seq, "m", &[(at, 0.0)]);
    wide.series = (0..SERIES).map(column).collect();
    wide.counters.generated = seq * u64::from(SERIES);
    wide
}

fn acked(outgoing: &mut Outgoing) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    while let Some(Some(text)) = outgoing.next().now_or_never() {
        if let ServerFrame::Ack { ranges, .. } = ServerFrame::from_json(&text).unwrap() {
            found.extend(ranges.iter().map(|range| (range.from, range.to)));
        }
    }
    found
}

fn part_number(record: &Delivered) -> Option<u8> {
    let envelope = StreamEnvelope::decode(record.data.clone()).unwrap();
    envelope.batch().map(|(_, number, _)| part::of(number))
}

/// generated, stored, superseded, missing
async fn counted(bench: &Bench) -> (u64, u64, u64, u64) {
    let sources = sources::all(&bench.context, &TenantId::default()).await.unwrap();
    let counters = &sources[0].counters;
    (counters.generated, counters.stored, counters.superseded, counters.missing)
}

#[tokio::test]
async fn a_source_is_spread_one_past_the_limit_and_each_part_counts_once() {
    for (min, spread) in [(SERIES as usize, false), (SERIES as usize - 1, true)] {
        let bench = low(Bench::new(1), min);
        let (connection, mut out) = bench.agent("web-1", "a").await;
        let now = bench.now().ms();
        let payload = wide(1, now).to_payload();
        ingest::batch(&bench.context, &connection, &payload, None).await.unwrap();
        assert_eq!(acked(&mut out), [(1, 1)], "one ack, of the batch");
        let records: Vec<Delivered> = bench.delivered().await.into_iter().flatten().collect();
        let parts: Vec<u8> = records.iter().filter_map(part_number).collect();
        assert_eq!(parts.len() > 2, spread, "{parts:?}");
        assert_eq!(parts.contains(&part::WHOLE), !spread);
        assert_eq!(parts.iter().filter(|part| **part == part::HOME).count(), usize::from(spread));
        // Each by itself, each twice, and then all of them together.
        for record in records.iter().rev().flat_map(|record| [record, record]) {
            aggregate::stream(&bench.context, std::slice::from_ref(record)).await.unwrap();
        }
        aggregate::stream(&bench.context, &records).await.unwrap();
        assert_eq!(counted(&bench).await, (40, 40, 0, 0));
        // The agent lost the ack, and the source is large no more, or is now.
        let bench = low(bench, SERIES as usize * if spread { 9 } else { 0 });
        ingest::batch(&bench.context, &connection, &payload, None).await.unwrap();
        bench.aggregate().await;
        assert_eq!(counted(&bench).await, (40, 40, 0, 0));
        assert_eq!(bench.number("count(m)").await, Some(40.0));
        bench.clock.set(Timestamp(now + 3 * 3_600_000));
        aggregate::compact(&bench.context).await.unwrap();
        assert_eq!(counted(&bench).await, (40, 40, 0, 0), "compacted");
    }
}

#[tokio::test]
async fn a_part_that_is_not_stored_is_missing_until_it_comes() {
    let bench = low(Bench::new(2), 1);
    let (connection, _out) = bench.agent("web-1", "a").await;
    ingest::batch(&bench.context, &connection, &wide(1, bench.now().ms()).to_payload(), None).await.unwrap();
    let records: Vec<Delivered> = bench.delivered().await.into_iter().flatten().collect();
    let place = records.iter().position(|record| part_number(record) > Some(part::HOME)).unwrap();
    let (late, others): (Vec<_>, Vec<_>) = records.into_iter().enumerate().partition(|(n, _)| *n == place);
    for (_, record) in others {
        aggregate::stream(&bench.context, &[record]).await.unwrap();
    }
    let (generated, stored, superseded, missing) = counted(&bench).await;
    assert!(missing > 0 && superseded == 0, "{missing} missing, {superseded} superseded");
    assert_eq!((generated, stored + missing), (40, 40));
    aggregate::stream(&bench.context, &[late[0].1.clone()]).await.unwrap();
    assert_eq!(counted(&bench).await, (40, 40, 0, 0));
}

/// Takes only every other record while it is told to.
struct Halved {
    inner: Arc<dyn Stream>,
    on: Arc<AtomicBool>,
}

#[async_trait]
impl Stream for Halved {
    async fn put(&self, records: Vec<StreamRecord>) -> Result<Vec<Accepted>, PortError> {
        if !self.on.load(Ordering::SeqCst) || records.len() < 2 {
            return self.inner.put(records).await;
        }
        let taken: Vec<StreamRecord> = records.iter().skip(1).step_by(2).cloned().collect();
        self.inner.put(taken).await?;
        let refused = || Err(PortError::transient("stream", "throughput exceeded"));
        Ok((0..records.len()).map(|n| if n % 2 == 0 { refused() } else { Ok(()) }).collect())
    }

    async fn put_on_every_shard(&self, data: Bytes) -> Result<std::collections::BTreeSet<String>, PortError> {
        self.inner.put_on_every_shard(data).await
    }
}

#[tokio::test]
async fn a_batch_of_which_the_stream_took_only_some_parts_is_not_acknowledged_in_either_way() {
    for acks in [Acks::AtOnce, Acks::WhenCompacted] {
        let on = Arc::new(AtomicBool::new(true));
        let switch = Arc::clone(&on);
        let mut bench = low(
            Bench::with_ports(3, |mut ports| {
                ports.stream = Arc::new(Halved { inner: ports.stream, on: switch });
                ports
            }),
            1,
        );
        bench.context.acks = acks;
        let (connection, mut out) = bench.agent("web-1", "a").await;
        let at = at_the_last_window(&bench);
        let mut batch = wide(1, at);
        ingest::batch(&bench.context, &connection, &batch.to_payload(), None).await.unwrap_err();
        bench.aggregate().await;
        assert!(bench.number("count(m)").await.is_some_and(|count| count < 40.0), "some are there, not all");
        bench.clock.set(Timestamp(at + CLOSED_MS));
        bench.pulse().await;
        aggregate::compact(&bench.context).await.unwrap();
        assert_eq!(acked(&mut out), [], "{acks:?}: some parts are owed, and all else is proven to be stored");
        // The agent sends it again, and asks.
        on.store(false, Ordering::SeqCst);
        batch.ack_now = true;
        ingest::batch(&bench.context, &connection, &batch.to_payload(), None).await.unwrap();
        assert_eq!(acked(&mut out), [(1, 1)]);
        bench.aggregate().await;
        assert_eq!(counted(&bench).await, (40, 40, 0, 0));
    }
}

/// Until a window is closed and settled, from within it.
const CLOSED_MS: i64 = 2 * 600_000 + 120_000;

/// Sets the clock to the last window of a half hour, with which acks are told.
fn at_the_last_window(bench: &Bench) -> i64 {
    let end = series::Window::around(bench.now(), 2 * acks::TOLD_EACH_MS).end.ms() + acks::TOLD_EACH_MS;
    bench.clock.set(Timestamp(end - 600_000));
    end - 600_000
}

#[tokio::test]
async fn a_batch_is_acknowledged_when_every_shard_has_proven_its_parts() {
    let mut bench = low(Bench::new(4), 1);
    bench.context.acks = Acks::WhenCompacted;
    let (connection, mut out) = bench.agent("web-1", "a").await;
    let at = at_the_last_window(&bench);
    ingest::batch(&bench.context, &connection, &wide(1, at).to_payload(), None).await.unwrap();
    bench.clock.set(Timestamp(at + CLOSED_MS));
    progress::pulse(&bench.context.ports).await.unwrap();
    let shards = bench.delivered().await;
    let is_home = |record: &Delivered| part_number(record) == Some(part::HOME);
    let has_parts = |shard: &[Delivered]| shard.iter().any(|record| part_number(record).is_some());
    let slow = shards.iter().position(|shard| has_parts(shard) && !shard.iter().any(is_home)).unwrap();
    for (_, shard) in shards.iter().enumerate().filter(|(place, _)| *place != slow) {
        aggregate::stream(&bench.context, shard).await.unwrap();
    }
    aggregate::compact(&bench.context).await.unwrap();
    assert_eq!(acked(&mut out), [], "one shard has proven nothing");
    aggregate::stream(&bench.context, &shards[slow]).await.unwrap();

    // The next half hour tells of the one before as well.
    let next = at + acks::TOLD_EACH_MS;
    bench.clock.set(Timestamp(next));
    ingest::batch(&bench.context, &connection, &wide(2, next).to_payload(), None).await.unwrap();
    bench.aggregate().await;
    bench.clock.set(Timestamp(next + CLOSED_MS));
    bench.pulse().await;
    aggregate::compact(&bench.context).await.unwrap();
    assert_eq!(acked(&mut out), [(1, 2)]);
    assert_eq!(counted(&bench).await, (80, 80, 0, 0));
}
