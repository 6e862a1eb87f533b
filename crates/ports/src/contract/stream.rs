//! The stream: answers by index, order within a lane, redelivery until committed, durability.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use series::Lane;

use super::{done, refused, some};
use crate::{Delivered, ErrorClass, RECORD_BYTES_MAX, RECORDS_PER_PUT_MAX, Stream, StreamRecord};

/// A stream with one consumer, which starts with the first record that the suite puts.
#[async_trait]
pub trait StreamHarness: Send {
    /// The port.
    fn stream(&self) -> Arc<dyn Stream>;
    /// How many shards there are.
    fn shards(&self) -> u32;
    /// Up to `max` records of a shard that are not committed, oldest first, however often they
    /// were given before. Empty where there are none.
    async fn deliver(&mut self, shard: u32, max: usize) -> Vec<Delivered>;
    /// Everything up to this record is done.
    async fn commit(&mut self, shard: u32, sequence: &str);
    /// Ends the process, as far as the adapter has one, and starts another.
    async fn reopen(&mut self);
}

/// All of it.
pub async fn run(harness: &mut dyn StreamHarness) {
    answers_go_by_index(harness).await;
    lanes_keep_their_order(harness).await;
    what_is_not_committed_comes_again(harness).await;
    accepted_is_durable(harness).await;
    every_shard_is_reached(harness).await;
    limits_hold(harness).await;
}

fn record(lane: u16, data: impl Into<Bytes>) -> StreamRecord {
    StreamRecord { lane: some(Lane::new(lane), "the lane"), data: data.into() }
}

async fn put_all(harness: &dyn StreamHarness, records: Vec<StreamRecord>) {
    let count = records.len();
    let answers = done(harness.stream().put(records).await, "a put");
    assert_eq!(answers.len(), count, "one answer a record");
    for (index, answer) in answers.into_iter().enumerate() {
        done(answer, &format!("record {index} of a put"));
    }
}

/// Delivers and commits everything, shard by shard.
async fn drain(harness: &mut dyn StreamHarness) -> Vec<Delivered> {
    let mut all = Vec::new();
    for shard in 0..harness.shards() {
        loop {
            let batch = harness.deliver(shard, 100).await;
            let Some(last) = batch.last() else { break };
            let sequence = last.sequence.clone();
            harness.commit(shard, &sequence).await;
            all.extend(batch);
        }
    }
    all
}

async fn answers_go_by_index(harness: &mut dyn StreamHarness) {
    let good = |n: u16| record(n, format!("good {n}"));
    let oversize = record(2, vec![0; RECORD_BYTES_MAX + 1]);
    let records = vec![good(0), good(1), oversize, good(3), good(4)];
    let answers = done(harness.stream().put(records).await, "a put with an oversize record");
    let classes: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().map(|error| error.class)).collect();
    assert_eq!(classes, [None, None, Some(ErrorClass::Permanent), None, None], "the oversize record is refused alone");
    let mut got: Vec<Bytes> = drain(harness).await.into_iter().map(|record| record.data).collect();
    got.sort();
    assert_eq!(got, ["good 0", "good 1", "good 3", "good 4"], "its neighbours go through");
}

async fn lanes_keep_their_order(harness: &mut dyn StreamHarness) {
    const LANES: u16 = 12;
    for round in 0..20 {
        let records = (0..3 * LANES).map(|n| record(n % LANES, format!("{} {:03} {n:03}", n % LANES, round)));
        put_all(harness, records.collect()).await;
    }
    let mut by_lane: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut sequences, mut shard_of) = (BTreeSet::new(), BTreeMap::new());
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    for record in drain(harness).await {
        let text = String::from_utf8_lossy(&record.data).into_owned();
        let lane = text.split(' ').next().unwrap_or_default().to_owned();
        let shard = shard_of.entry(lane.clone()).or_insert_with(|| record.shard.clone());
        assert_eq!(*shard, record.shard, "a lane stays on one shard");
        assert!(sequences.insert((record.shard.clone(), record.sequence.clone())), "a sequence number twice");
        let before = last.insert(record.shard.clone(), record.sequence.clone());
        assert!(before.is_none_or(|before| before < record.sequence), "sequence numbers rise as texts");
        by_lane.entry(lane).or_default().push(text);
    }
    assert_eq!(by_lane.len(), usize::from(LANES));
    for (lane, texts) in by_lane {
        assert_eq!(texts.len(), 60, "lane {lane}: every record once");
        assert!(texts.is_sorted(), "lane {lane} is out of order: {texts:?}");
    }
}

async fn what_is_not_committed_comes_again(harness: &mut dyn StreamHarness) {
    put_all(harness, (0..10).map(|n| record(5, n.to_string())).collect()).await;
    let mut found = None;
    for shard in 0..harness.shards() {
        let batch = harness.deliver(shard, 4).await;
        if !batch.is_empty() {
            found = Some((shard, batch));
        }
    }
    let (shard, first) = some(found, "a batch of the lane");
    let texts = |batch: &[Delivered]| {
        batch.iter().map(|record| String::from_utf8_lossy(&record.data).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&first), ["0", "1", "2", "3"], "a batch has at most what was asked for, oldest first");
    let again = harness.deliver(shard, 4).await;
    assert_eq!(again, first, "what is not committed comes again, under the same numbers");
    // The third failed, so the second is the checkpoint.
    harness.commit(shard, &first[1].sequence).await;
    assert_eq!(texts(&harness.deliver(shard, 100).await), ["2", "3", "4", "5", "6", "7", "8", "9"]);
    harness.reopen().await;
    let after = harness.deliver(shard, 3).await;
    assert_eq!(texts(&after), ["2", "3", "4"], "the checkpoint outlasts the process");
    drain(harness).await;
    assert!(harness.deliver(shard, 3).await.is_empty(), "what is committed does not come again");
}

async fn accepted_is_durable(harness: &mut dyn StreamHarness) {
    put_all(harness, (0..50).map(|n| record(n, format!("{n:03}"))).collect()).await;
    harness.reopen().await;
    put_all(harness, (50..100).map(|n| record(n, format!("{n:03}"))).collect()).await;
    let mut got: Vec<Bytes> = drain(harness).await.into_iter().map(|record| record.data).collect();
    got.sort();
    let expected: Vec<String> = (0..100).map(|n| format!("{n:03}")).collect();
    assert_eq!(got, expected, "records accepted before and after the process was ended");
}

async fn every_shard_is_reached(harness: &mut dyn StreamHarness) {
    let reached = done(harness.stream().put_on_every_shard(Bytes::from_static(b"pulse")).await, "a pulse");
    assert_eq!(reached.len(), harness.shards() as usize);
    let records = drain(harness).await;
    assert_eq!(records.len(), reached.len(), "one record on each shard");
    let shards: BTreeSet<String> = records.into_iter().map(|record| record.shard).collect();
    assert_eq!(shards, reached, "under the names that the put answered");
}

async fn limits_hold(harness: &mut dyn StreamHarness) {
    put_all(harness, vec![]).await;
    put_all(harness, (0..RECORDS_PER_PUT_MAX).map(|n| record(n as u16, "x")).collect()).await;
    assert_eq!(drain(harness).await.len(), RECORDS_PER_PUT_MAX, "as many records as allowed");
    let too_many = (0..=RECORDS_PER_PUT_MAX).map(|n| record(n as u16, "x")).collect();
    refused(harness.stream().put(too_many).await, "one record too many");
    put_all(harness, vec![record(1, vec![7; RECORD_BYTES_MAX]), record(1, Bytes::new())]).await;
    let sizes: Vec<usize> = drain(harness).await.iter().map(|record| record.data.len()).collect();
    assert_eq!(sizes, [RECORD_BYTES_MAX, 0], "a record at the limit, and an empty one");
    refused(harness.stream().put_on_every_shard(vec![0; RECORD_BYTES_MAX + 1].into()).await, "an oversize pulse");
    assert!(drain(harness).await.is_empty(), "nothing of what was refused is delivered");
}
