//! Tests of `table.rs`, `changes.rs` and `timer.rs`: what the contract suite cannot see.

use std::time::Duration;

use ports::{Timer, Wake};
use redb::ReadableTableMetadata;

use super::*;
use crate::clock::ManualClock;
use crate::sim_disk::{DiskFaults, SimDisk};
use crate::store::EXPIRY;
use crate::timer::{Timers, WHAT_BYTES_MAX};

struct Rig {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    store: Store,
    table: Documents,
    changes: Changes,
}

fn rig() -> Rig {
    let (disk, clock) = (SimDisk::new(1), Arc::new(ManualClock::new(Timestamp(1_000))));
    let as_clock = || Arc::clone(&clock) as Arc<dyn Clock>;
    let store = Store::open(Arc::new(disk.clone()), "store.redb", as_clock()).unwrap();
    let changes = Changes::new(store.clone());
    Rig { table: Documents::new(store.clone(), as_clock(), changes.clone()), disk, clock, store, changes }
}

fn manifest(sort: &str) -> Key {
    Key::new(Partition::Manifest(TenantId::default()), sort)
}

fn put(key: Key, value: &str) -> Write {
    Write::put(key, value.to_owned(), Condition::Always)
}

fn ticket(n: u64, expires_ms: i64) -> Write {
    let expires_at = Some(Timestamp(expires_ms));
    let key = Key::new(Partition::Tickets, n.to_string());
    Write::Put { key, value: Bytes::from_static(b"t"), expires_at, condition: Condition::Always }
}

#[tokio::test]
async fn an_item_expires_at_its_time_and_is_removed_later() {
    let rig = rig();
    for n in 0..10 {
        rig.table.write(ticket(n, 2_000)).await.unwrap();
    }
    let key = Key::new(Partition::Tickets, "1");
    rig.clock.set(Timestamp(1_999));
    assert!(rig.table.get(&key).await.unwrap().is_some(), "until its time");
    rig.clock.set(Timestamp(2_000));
    assert_eq!(rig.table.get(&key).await, Ok(None), "from its time on");
    let counts = |store: Store| async move {
        let read = |transaction: &ReadTransaction| {
            Ok((transaction.open_table(ITEMS)?.len()?, transaction.open_table(EXPIRY)?.len()?))
        };
        store.read(read).await.unwrap()
    };
    assert_eq!(counts(rig.store.clone()).await, (10, 10), "a read removes nothing");
    rig.table.write(put(Key::new(Partition::Keys, "k"), "v")).await.unwrap();
    assert_eq!(counts(rig.store.clone()).await, (1, 0), "the next commit does");
}

#[tokio::test]
async fn one_commit_removes_only_so_many() {
    let rig = rig();
    for n in 0..=PURGED_PER_COMMIT as u64 {
        rig.table.write(ticket(n, 2_000)).await.unwrap();
    }
    rig.clock.set(Timestamp(3_000));
    for (write, left) in [(1, 2), (2, 2)] {
        let key = Key::new(Partition::Keys, write.to_string());
        rig.table.write(put(key, "v")).await.unwrap();
        let items = rig.store.read(|transaction| Ok(transaction.open_table(ITEMS)?.len()?)).await.unwrap();
        assert_eq!(items, left, "after write {write}: the key items, and one ticket after the first");
    }
}

#[tokio::test]
async fn many_writers_share_commits() {
    let rig = rig();
    let before = rig.disk.operations();
    let writes: Vec<_> = (0..200)
        .map(|n| {
            let table = rig.table.clone();
            tokio::spawn(async move { table.write(put(Key::new(Partition::Keys, n.to_string()), "v")).await })
        })
        .collect();
    for write in writes {
        assert!(matches!(write.await.unwrap(), Ok(Written::Done(_))));
    }
    let together = rig.disk.operations() - before;
    let before = rig.disk.operations();
    rig.table.write(put(Key::new(Partition::Keys, "alone"), "v")).await.unwrap();
    let alone = rig.disk.operations() - before;
    assert!(together < 50 * alone, "{together} disk operations for 200 writes, {alone} for one");
}

#[tokio::test]
async fn a_refused_write_costs_no_commit() {
    let rig = rig();
    let before = rig.disk.operations();
    let write = Write::put(manifest("a"), "x", Condition::Version(9));
    assert_eq!(rig.table.write(write).await, Ok(Written::ConditionFailed(None)));
    assert_eq!(rig.disk.operations(), before);
}

#[tokio::test]
async fn an_io_error_fails_the_write_and_not_the_next() {
    let rig = rig();
    rig.disk.set_faults(DiskFaults { fail_at: Some(rig.disk.operations() + 1), ..DiskFaults::default() });
    let failed = rig.table.write(put(manifest("a"), "x")).await.unwrap_err();
    assert!(failed.is_transient(), "{failed}");
    assert!(matches!(rig.table.write(put(manifest("a"), "y")).await, Ok(Written::Done(_))));
    assert_eq!(rig.table.get(&manifest("a")).await.unwrap().unwrap().value, "y");
}

#[tokio::test]
async fn only_the_manifest_has_changes_in_commit_order() {
    let rig = rig();
    let mut consumer = rig.changes.consumer("c").await.unwrap();
    rig.table.write(put(Key::new(Partition::Keys, "k"), "v")).await.unwrap();
    rig.table.write_all(vec![put(manifest("a"), "1"), put(manifest("b"), "1")]).await.unwrap();
    let refused = Write::put(manifest("a"), "2", Condition::Absent);
    rig.table.write(refused).await.unwrap();
    rig.table.write(Write::Delete { key: manifest("a"), condition: Condition::Always }).await.unwrap();
    rig.table.write(Write::Delete { key: manifest("never"), condition: Condition::Always }).await.unwrap();

    let batch = consumer.next_batch(10, Duration::ZERO).await.unwrap();
    let seen: Vec<(&str, Option<&[u8]>)> =
        batch.iter().map(|change| (change.sort.as_str(), change.new.as_deref())).collect();
    assert_eq!(seen, [("a", Some(&b"1"[..])), ("b", Some(b"1")), ("a", None)]);
    assert_eq!(consumer.next_batch(2, Duration::ZERO).await.unwrap(), batch[..2], "again until committed");
    assert_eq!(consumer.backlog().await, Ok(3));
    consumer.commit(batch[1].sequence).await.unwrap();
    assert_eq!(consumer.next_batch(10, Duration::ZERO).await.unwrap(), batch[2..]);
    let kept = rig.changes.next(0, 10).await.unwrap();
    assert_eq!(kept, batch[2..], "what every consumer has seen is removed");

    let again = rig.changes.consumer("c").await.unwrap();
    assert_eq!(again.next_batch(10, Duration::ZERO).await.unwrap(), batch[2..], "the checkpoint is kept");
}

#[tokio::test]
async fn a_slow_consumer_keeps_changes_for_itself() {
    let rig = rig();
    let (mut fast, slow) = (rig.changes.consumer("fast").await.unwrap(), rig.changes.consumer("slow").await.unwrap());
    rig.table.write(put(manifest("a"), "1")).await.unwrap();
    fast.commit(1).await.unwrap();
    assert_eq!(fast.next_batch(10, Duration::ZERO).await.unwrap(), []);
    assert_eq!(slow.next_batch(10, Duration::ZERO).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_waiting_consumer_is_woken_by_a_change() {
    let rig = rig();
    let consumer = rig.changes.consumer("c").await.unwrap();
    let waiting = tokio::spawn(async move { consumer.next_batch(10, Duration::from_secs(30)).await.unwrap().len() });
    tokio::task::yield_now().await;
    rig.table.write(put(manifest("a"), "1")).await.unwrap();
    assert_eq!(waiting.await.unwrap(), 1);
}

#[tokio::test]
async fn timers_tell_when_the_next_is_due() {
    let rig = rig();
    let timers = Timers::new(rig.store.clone());
    let wake = |at: i64, what: &str| Wake { at: Timestamp(at), tenant: TenantId::default(), what: what.to_owned() };
    assert_eq!(timers.next_due().await, Ok(None));
    let changed = timers.changed();
    timers.wake(wake(500, "later")).await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), changed).await.expect("asking is signalled");
    timers.wake(wake(-500, "sooner")).await.unwrap();
    assert_eq!(timers.next_due().await, Ok(Some(Timestamp(-500))));
    let what = |bytes| wake(0, &"w".repeat(bytes));
    assert_eq!(timers.wake(what(WHAT_BYTES_MAX)).await, Ok(()));
    assert!(timers.wake(what(WHAT_BYTES_MAX + 1)).await.is_err_and(|error| !error.is_transient()));

    let few = timers.with_limit(4);
    few.wake(wake(1, "at the limit")).await.unwrap();
    assert!(few.wake(wake(1, "one past it")).await.is_err_and(|error| error.is_transient()));
    few.wake(wake(1, "at the limit")).await.expect("what waits already may be asked for again");
}
