//! The simulated stream is judged as every adapter is, as far as it is one.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use embedded::ManualClock;
use ports::{Lane, RECORD_BYTES_MAX, RECORDS_PER_PUT_MAX, Stream, StreamRecord, Timestamp};
use tests::simulator::shards::Shards;

fn stream(shards: u64) -> Shards {
    Shards::new(shards, Arc::new(ManualClock::new(Timestamp(1))))
}

fn record(lane: u16, bytes: usize) -> StreamRecord {
    StreamRecord { lane: Lane::new(lane).unwrap(), data: Bytes::from(vec![1; bytes]) }
}

#[tokio::test]
async fn limits_of_a_put() {
    let stream = stream(1);
    assert!(stream.put(vec![record(1, 1); RECORDS_PER_PUT_MAX]).await.unwrap().iter().all(Result::is_ok));
    assert!(stream.put(vec![record(1, 1); RECORDS_PER_PUT_MAX + 1]).await.is_err());
    let answers = stream.put(vec![record(1, RECORD_BYTES_MAX), record(1, RECORD_BYTES_MAX + 1)]).await.unwrap();
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn every_lane_has_one_open_shard_whatever_is_split_and_merged() {
    let stream = stream(3);
    assert!(stream.split(1));
    let open = stream.open();
    assert!(stream.merge(open[2], open[3]));
    assert!(!stream.split(1), "a closed shard");
    let before: usize = stream.with(|shards| shards.iter().map(|shard| shard.records.len()).sum());
    for lane in (0..4_096).step_by(64) {
        stream.put(vec![record(lane, 1)]).await.unwrap();
    }
    let after: usize = stream.with(|shards| shards.iter().map(|shard| shard.records.len()).sum());
    assert_eq!(after - before, 64);
    let reached = stream.put_on_every_shard(Bytes::from_static(b"pulse")).await.unwrap();
    let names: BTreeSet<String> =
        stream.all().into_iter().filter(|shard| !shard.closed).map(|shard| shard.name).collect();
    assert_eq!(reached, names);
    stream.with(|shards| {
        assert!(shards.iter().all(|shard| shard.records.iter().map(|record| record.sequence).is_sorted()));
        assert!(shards.iter().filter(|shard| shard.closed).all(|shard| shard.records.is_empty()));
    });
}
