//! Tests of `stream.rs`, `shard.rs` and `consumer.rs`: what the contract suite cannot see.

use std::time::Duration;

use ports::{Lane, Timestamp};

use super::*;
use crate::clock::ManualClock;
use crate::disk::RealDisk;
use crate::sim_disk::{DiskFaults, SimDisk};

const NO_WAIT: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(30);

fn options(segment_bytes: u64) -> ShardOptions {
    ShardOptions { segment_bytes, ..ShardOptions::default() }
}

fn open(disk: &Arc<dyn Disk>, shards: u16, options: &ShardOptions) -> Shards {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(1_000)));
    let store = Store::open(Arc::clone(disk), "store.redb", Arc::clone(&clock)).unwrap();
    Shards::open(disk, "stream", shards, options, store, clock).unwrap()
}

fn memory() -> (SimDisk, Arc<dyn Disk>) {
    let disk = SimDisk::new(1);
    (disk.clone(), Arc::new(disk))
}

fn record(text: &str) -> StreamRecord {
    StreamRecord { lane: Lane::new(0).unwrap(), data: Bytes::from(text.to_owned()) }
}

async fn put(shards: &Shards, text: &str) -> Accepted {
    shards.put(vec![record(text)]).await.unwrap().remove(0)
}

async fn texts(consumer: &Consumer, max: usize) -> Vec<String> {
    let batch = consumer.next_batch(max, NO_WAIT).await.unwrap();
    batch.iter().map(|record| String::from_utf8_lossy(&record.data).into_owned()).collect()
}

fn log_files(disk: &Arc<dyn Disk>) -> Vec<String> {
    disk.list("stream/0").unwrap().into_iter().map(|entry| entry.name).collect()
}

#[tokio::test]
async fn puts_that_come_together_share_syncs() {
    let (sim, disk) = memory();
    let shards = open(&disk, 1, &options(1_000_000));
    let before = sim.operations();
    let puts: Vec<_> = (0..200)
        .map(|n| {
            let shards = shards.clone();
            tokio::spawn(async move { put(&shards, &n.to_string()).await })
        })
        .collect();
    for put in puts {
        assert_eq!(put.await.unwrap(), Ok(()));
    }
    let operations = sim.operations() - before;
    assert!(operations < 200, "{operations} disk operations for 200 puts: each would be two alone");
    let consumer = shards.consumer("c", 0).await.unwrap();
    assert_eq!(texts(&consumer, 1_000).await.len(), 200);
}

#[tokio::test]
async fn files_go_when_every_consumer_has_committed_them() {
    let (_, disk) = memory();
    let shards = open(&disk, 1, &options(100));
    let mut fast = shards.consumer("fast", 0).await.unwrap();
    let mut slow = shards.consumer("slow", 0).await.unwrap();
    let watcher = shards.watcher(0).unwrap();
    for n in 0..10 {
        put(&shards, &format!("{n} {}", "x".repeat(100))).await.unwrap();
    }
    assert_eq!(log_files(&disk).len(), 10);
    let all = fast.next_batch(100, NO_WAIT).await.unwrap();
    fast.commit(&all[9].sequence).await.unwrap();
    assert_eq!(log_files(&disk).len(), 10, "the slow one needs them");
    slow.commit(&all[4].sequence).await.unwrap();
    assert_eq!(log_files(&disk).len(), 5);
    assert_eq!(slow.backlog(), Ok(5));
    assert_eq!(texts(&slow, 1).await[0][..1], *"5");
    shards.forget("slow").await.unwrap();
    assert_eq!(log_files(&disk).len(), 1, "the newest stays, for its name holds the count");
    assert_eq!(texts(&watcher, 100).await.len(), 1, "a watcher keeps nothing");
    drop(shards);
    let again = open(&disk, 1, &options(100));
    put(&again, "next").await.unwrap();
    let consumer = again.consumer("fast", 0).await.unwrap();
    assert_eq!(texts(&consumer, 10).await, ["next"], "numbers go on where they were");
}

#[tokio::test]
async fn a_shard_that_nobody_reads_refuses_when_it_is_full() {
    let (_, disk) = memory();
    let shards = open(&disk, 1, &ShardOptions { segment_bytes: 100, shard_bytes_max: 1_000 });
    let mut consumer = shards.consumer("c", 0).await.unwrap();
    let mut accepted = 0;
    let refusal = loop {
        match put(&shards, &"x".repeat(100)).await {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(refusal.is_transient() && refusal.what.contains("full"), "{refusal}");
    assert_eq!(accepted, 8, "128 bytes a record");
    let all = consumer.next_batch(100, NO_WAIT).await.unwrap();
    consumer.commit(&all[7].sequence).await.unwrap();
    assert_eq!(put(&shards, "room again").await, Ok(()));
}

#[tokio::test]
async fn what_waits_for_the_disk_is_limited() {
    let (_, disk) = memory();
    let shards = open(&disk, 1, &options(1_000_000));
    shards.0.waiting_bytes.store(WAITING_BYTES_MAX - 3, Ordering::SeqCst);
    assert_eq!(put(&shards, "abc").await, Ok(()), "at the limit");
    let refused = put(&shards, "abcd").await.unwrap_err();
    assert!(refused.is_transient(), "one past it: {refused}");
    shards.0.waiting_bytes.store(0, Ordering::SeqCst);
    assert_eq!(put(&shards, "abcd").await, Ok(()));
    assert_eq!(shards.0.waiting_bytes.load(Ordering::SeqCst), 0, "what was written waits no more");
}

#[tokio::test]
async fn the_number_of_shards_stays_as_made() {
    let (_, disk) = memory();
    drop(open(&disk, 3, &options(100)));
    assert_eq!(open(&disk, 5, &options(100)).count(), 3);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(0)));
    let store = Store::open(Arc::clone(&disk), "store.redb", Arc::clone(&clock)).unwrap();
    for (count, good) in [(0, false), (1, true), (SHARDS_MAX, true), (SHARDS_MAX + 1, false)] {
        let opened = Shards::open(&disk, "s", count, &options(100), store.clone(), Arc::clone(&clock));
        assert_eq!(opened.is_ok(), good, "{count} shards");
    }
}

#[tokio::test]
async fn a_torn_tail_is_cut_off_and_damage_is_kept_aside() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(dir.path()).unwrap());
    let shards = open(&disk, 1, &options(1_000_000));
    for n in 0..5 {
        put(&shards, &format!("record {n}")).await.unwrap();
    }
    shards.close().await;
    assert!(put(&shards, "too late").await.is_err_and(|error| error.is_transient()));
    shards.0.store.close().await;
    drop(shards);

    let path = "stream/0/00000000000000000001.log";
    let whole = disk.read(path).unwrap();
    let file = disk.open(path).unwrap();
    let record_bytes = (whole.len() / 5) as u64;
    // The third record rots; the last one is cut short.
    file.write_at(2 * record_bytes + 20, b"rot").unwrap();
    file.set_len(whole.len() as u64 - 3).unwrap();

    let shards = open(&disk, 1, &options(1_000_000));
    assert_eq!(shards.damaged(), 1, "a torn tail is no damage, a rotten record is");
    let consumer = shards.consumer("c", 0).await.unwrap();
    assert_eq!(texts(&consumer, 10).await, ["record 0", "record 1", "record 3"]);
    put(&shards, "record 5").await.unwrap();
    assert_eq!(texts(&consumer, 10).await.last().unwrap(), "record 5");
    let aside = log_files(&disk).into_iter().find(|name| name.ends_with(".damaged")).unwrap();
    assert_eq!(disk.read(&format!("stream/0/{aside}")).unwrap().len() as u64, record_bytes);
}

#[tokio::test]
async fn after_a_failed_sync_nothing_refused_is_delivered() {
    let (sim, disk) = memory();
    let shards = open(&disk, 1, &options(1_000_000));
    put(&shards, "one").await.unwrap();
    sim.set_faults(DiskFaults { fail_at: Some(sim.operations() + 2), ..DiskFaults::default() });
    let refused = put(&shards, "two").await.unwrap_err();
    assert!(refused.is_transient(), "{refused}");
    put(&shards, "three").await.unwrap();
    let consumer = shards.consumer("c", 0).await.unwrap();
    assert_eq!(texts(&consumer, 10).await, ["one", "three"]);
    assert_eq!(log_files(&disk).len(), 2, "a new file is begun, because what the old one holds is unknown");
    drop(shards);
    let shards = open(&disk, 1, &options(1_000_000));
    let consumer = shards.consumer("c", 0).await.unwrap();
    assert_eq!(texts(&consumer, 10).await, ["one", "three"]);
}

#[tokio::test]
async fn a_waiting_consumer_is_woken_by_the_first_record() {
    let (_, disk) = memory();
    let shards = open(&disk, 1, &options(1_000_000));
    let consumer = shards.consumer("c", 0).await.unwrap();
    let waiting = tokio::spawn(async move { consumer.next_batch(10, LONG).await.unwrap().len() });
    tokio::task::yield_now().await;
    put(&shards, "wake up").await.unwrap();
    assert_eq!(waiting.await.unwrap(), 1);
}

#[tokio::test]
async fn gathering_ends_with_the_count_or_the_window() {
    let (_, disk) = memory();
    let shards = open(&disk, 1, &options(1_000_000));
    let consumer = shards.consumer("c", 0).await.unwrap();
    assert_eq!(consumer.gather(3, LONG, NO_WAIT).await.unwrap(), [], "nothing comes, so nothing is gathered");
    put(&shards, "1").await.unwrap();
    let window = Duration::from_millis(20);
    assert_eq!(consumer.gather(3, window, LONG).await.unwrap().len(), 1, "the window passes");
    let gathering = tokio::spawn(async move { consumer.gather(3, LONG, LONG).await.unwrap().len() });
    put(&shards, "2").await.unwrap();
    put(&shards, "3").await.unwrap();
    assert_eq!(gathering.await.unwrap(), 3, "the count is reached");
}

#[tokio::test]
async fn a_batch_ends_at_its_bytes() {
    let (_, disk) = memory();
    let shards = open(&disk, 1, &options(100_000_000));
    let consumer = shards.consumer("c", 0).await.unwrap();
    for _ in 0..10 {
        put(&shards, &"x".repeat(1_000_000)).await.unwrap();
    }
    let batch = consumer.next_batch(100, NO_WAIT).await.unwrap();
    assert_eq!(batch.len(), crate::BATCH_BYTES_MAX / 1_000_000);
}

#[tokio::test]
async fn only_what_exists_can_be_committed() {
    let (_, disk) = memory();
    let shards = open(&disk, 1, &options(1_000_000));
    let mut consumer = shards.consumer("c", 0).await.unwrap();
    put(&shards, "1").await.unwrap();
    assert!(consumer.commit("2").await.is_err(), "not given out yet");
    assert!(consumer.commit("first").await.is_err(), "no number");
    assert_eq!(consumer.lag_ms(Timestamp(5_000)).await, Ok(4_000));
    consumer.commit("00000000000000000001").await.unwrap();
    consumer.commit("00000000000000000001").await.unwrap();
    assert_eq!(consumer.lag_ms(Timestamp(5_000)).await, Ok(0));
    assert!(shards.consumer("c", 1).await.is_err(), "there is one shard");
}

#[tokio::test]
async fn a_log_that_somebody_removed_goes_on_after_its_checkpoints() {
    let (_, disk) = memory();
    let shards = open(&disk, 1, &options(1_000_000));
    let mut consumer = shards.consumer("c", 0).await.unwrap();
    for n in 0..5 {
        put(&shards, &n.to_string()).await.unwrap();
    }
    consumer.commit("00000000000000000005").await.unwrap();
    drop((consumer, shards));
    for name in log_files(&disk) {
        disk.remove(&format!("stream/0/{name}")).unwrap();
    }
    let shards = open(&disk, 1, &options(1_000_000));
    put(&shards, "new").await.unwrap();
    let consumer = shards.consumer("c", 0).await.unwrap();
    assert_eq!(texts(&consumer, 10).await, ["new"], "a new record must not hide behind an old checkpoint");
}

#[tokio::test]
async fn lanes_of_one_queue_go_through_one_shard() {
    let (_, disk) = memory();
    let shards = open(&disk, 3, &options(1_000_000));
    for number in [0, 1, 2, 3, 4, 4_095] {
        let lane = Lane::new(number).unwrap();
        let data = Bytes::from(number.to_string());
        shards.put(vec![StreamRecord { lane, data }]).await.unwrap().remove(0).unwrap();
        let consumer = shards.consumer("c", shards.queue(lane)).await.unwrap();
        assert!(texts(&consumer, 100).await.contains(&number.to_string()), "{number}");
    }
    assert_eq!([0, 1, 2, 3, 4, 4_095].map(|number| shards.queue(Lane::new(number).unwrap())), [0, 1, 2, 0, 1, 0]);
}
