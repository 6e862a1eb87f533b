//! Power cuts and failing disks at every operation of a random workload, against a model.
//!
//! The model holds what may be true: after an acknowledged change one state, after a failed call
//! both the old and the new one, because a lost answer tells nothing. After each crash the store is
//! opened again, everything is read, and must be one of what may be true; then the work goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ports::{
    Clock, Condition, Key, Lane, Partition, Ports, StreamRecord, TenantId, Timestamp, Topic, Wake, Write, Written,
    WrittenAll,
};

use crate::{
    Consumer, CrashKind, DiskFaults, Embedded, EmbeddedOptions, ManualClock, MemoryTopic, SeededEntropy, SeededRandom,
    ShardOptions, SimDisk,
};

const START: Timestamp = Timestamp(1_700_000_000_000);
const FAR: Timestamp = Timestamp(i64::MAX);

/// What may be true of each thing.
#[derive(Debug)]
struct May<K, V>(BTreeMap<K, BTreeSet<V>>);

impl<K: Ord + Debug + Clone, V: Ord + Debug + Clone + Default> May<K, V> {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn of(&mut self, key: &K) -> &mut BTreeSet<V> {
        self.0.entry(key.clone()).or_insert_with(|| BTreeSet::from([V::default()]))
    }

    /// The answer to a change says what may be true now.
    fn changed<T, E>(&mut self, key: &K, new: V, answer: &Result<T, E>) {
        let may = self.of(key);
        if answer.is_ok() {
            may.clear();
        }
        may.insert(new);
    }

    /// Reading says what is true.
    fn is(&mut self, key: &K, found: V) {
        let may = self.of(key);
        assert!(may.contains(&found), "{key:?} is {found:?}, but may only be one of {may:?}");
        *may = BTreeSet::from([found]);
    }

    fn keys(&self) -> Vec<K> {
        self.0.keys().cloned().collect()
    }
}

struct Model {
    table: May<(String, String), Option<String>>,
    blobs: May<String, bool>,
    wakes: May<Wake, bool>,
    // Per lane, in the order of the puts: the text, and whether it was accepted.
    records: BTreeMap<u16, Vec<(String, bool)>>,
    committed: BTreeSet<String>,
    maybe_committed: BTreeSet<String>,
    next: u64,
}

impl Model {
    fn new() -> Self {
        let (records, committed, maybe_committed) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { table: May::new(), blobs: May::new(), wakes: May::new(), records, committed, maybe_committed, next: 0 }
    }
}

fn tenant() -> TenantId {
    TenantId::default()
}

fn partition(name: &str) -> Partition {
    if name == "manifest" { Partition::Manifest(tenant()) } else { Partition::Outbox(tenant()) }
}

struct Life {
    embedded: Embedded,
    ports: Ports,
    consumers: Vec<Consumer>,
}

impl Life {
    async fn begin(disk: &SimDisk) -> Result<Self, crate::OpenError> {
        let options =
            EmbeddedOptions { shards: 2, shard: ShardOptions { segment_bytes: 600, ..ShardOptions::default() } };
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(START));
        let topic: Arc<dyn Topic> = Arc::new(MemoryTopic::default());
        let entropy = Arc::new(SeededEntropy::new(1));
        let embedded = Embedded::on_disk(Arc::new(disk.clone()), &options, clock, entropy, topic)?;
        let mut consumers = Vec::new();
        for shard in 0..embedded.shards().count() {
            consumers.push(embedded.shards().consumer("model", shard).await?);
        }
        Ok(Self { ports: embedded.ports(), embedded, consumers })
    }

    /// One random step; errors are the model's business.
    async fn step(&mut self, model: &mut Model, random: &mut SeededRandom) {
        model.next += 1;
        match random.below(10) {
            0..=3 => self.put_records(model, random).await,
            4 => self.commit(model, random).await,
            5 => self.write_item(model, random).await,
            6 => self.write_pair(model, random).await,
            7 => self.change_blob(model, random).await,
            8 => self.wake(model, random).await,
            _ => self.handle_wakes(model).await,
        }
    }

    async fn put_records(&mut self, model: &mut Model, random: &mut SeededRandom) {
        let mut lanes = Vec::new();
        let mut records = Vec::new();
        for n in 0..=random.below(4) {
            let (lane, text) = (random.below(3) as u16, format!("{:06}-{n}", model.next));
            records.push(StreamRecord { lane: Lane::new(lane).unwrap(), data: Bytes::from(text.clone()) });
            lanes.push((lane, text));
        }
        let answers = self.ports.stream.put(records).await.unwrap();
        for ((lane, text), answer) in lanes.into_iter().zip(answers) {
            model.records.entry(lane).or_default().push((text, answer.is_ok()));
        }
    }

    async fn commit(&mut self, model: &mut Model, random: &mut SeededRandom) {
        let count = self.consumers.len() as u64;
        let consumer = &mut self.consumers[random.below(count) as usize];
        let Ok(batch) = consumer.next_batch(1 + random.below(5) as usize, Duration::ZERO).await else { return };
        let Some(last) = batch.last() else { return };
        let committed = consumer.commit(&last.sequence).await;
        let texts = batch.iter().map(|record| String::from_utf8_lossy(&record.data).into_owned());
        if committed.is_ok() { model.committed.extend(texts) } else { model.maybe_committed.extend(texts) }
    }

    async fn write_item(&mut self, model: &mut Model, random: &mut SeededRandom) {
        let name = if random.chance(500) { "manifest" } else { "outbox" };
        let sort = format!("{}", random.below(4));
        let key = Key::new(partition(name), sort.clone());
        let Ok(current) = self.ports.table.get(&key).await else { return };
        model.table.is(&(name.to_owned(), sort.clone()), current.as_ref().map(text_of));
        let condition = current.as_ref().map_or(Condition::Absent, |item| Condition::Version(item.version));
        let new = random.chance(700).then(|| format!("v{}", model.next));
        let write = match &new {
            Some(value) => Write::put(key, value.clone(), condition),
            None => Write::Delete { key, condition },
        };
        let answer = self.ports.table.write(write).await;
        assert!(!matches!(answer, Ok(Written::ConditionFailed(_))), "nobody else writes");
        model.table.changed(&(name.to_owned(), sort), new, &answer);
    }

    /// Two items of one value, in one write.
    async fn write_pair(&mut self, model: &mut Model, random: &mut SeededRandom) {
        let pair = format!("pair{}", random.below(2));
        let value = Some(format!("v{}", model.next));
        let put = |name: &str| {
            Write::put(Key::new(partition(name), pair.clone()), format!("v{}", model.next), Condition::Always)
        };
        let answer = self.ports.table.write_all(vec![put("manifest"), put("outbox")]).await;
        assert!(!matches!(answer, Ok(WrittenAll::ConditionFailed { .. })));
        for name in ["manifest", "outbox"] {
            model.table.changed(&(name.to_owned(), pair.clone()), value.clone(), &answer);
        }
    }

    async fn change_blob(&mut self, model: &mut Model, random: &mut SeededRandom) {
        let name = format!("{}/{}", random.below(2), random.below(2));
        let put = random.chance(700);
        let answer = if put {
            self.ports.blobs.put(&name, Bytes::from(format!("content of {name}"))).await
        } else {
            self.ports.blobs.delete(&name).await
        };
        model.blobs.changed(&name, put, &answer);
    }

    async fn wake(&mut self, model: &mut Model, random: &mut SeededRandom) {
        let at = Timestamp(random.below(3) as i64);
        let wake = Wake { at, tenant: tenant(), what: random.below(3).to_string() };
        let answer = self.ports.timer.wake(wake.clone()).await;
        model.wakes.changed(&wake, true, &answer);
    }

    async fn handle_wakes(&mut self, model: &mut Model) {
        let Ok(mut due) = self.embedded.timers().due(FAR).await else { return };
        due.truncate(2);
        let answer = self.embedded.timers().done(due.clone()).await;
        for due in due {
            model.wakes.changed(&due.wake, false, &answer);
        }
    }

    /// Reads everything and asks the model.
    async fn verify(&mut self, model: &mut Model, after_crash: bool) {
        self.verify_table(model).await;
        self.verify_stream(model).await;
        for name in model.blobs.keys() {
            let before = model.blobs.of(&name).clone();
            let found = self.ports.blobs.get(&name).await.unwrap();
            let whole = Bytes::from(format!("content of {name}"));
            assert!(found.as_ref().is_none_or(|found| *found == whole), "{name} is there in part: {found:?}");
            model.blobs.is(&name, found.is_some());
            if !after_crash {
                // A put or delete that failed may be seen, and undone by a crash.
                model.blobs.0.insert(name, before);
            }
        }
        let due: BTreeSet<Wake> =
            self.embedded.timers().due(FAR).await.unwrap().into_iter().map(|due| due.wake).collect();
        for wake in model.wakes.keys() {
            model.wakes.is(&wake, due.contains(&wake));
        }
    }

    async fn verify_table(&mut self, model: &mut Model) {
        let mut found = BTreeMap::new();
        for name in ["manifest", "outbox"] {
            for item in self.ports.table.query_all(&partition(name), "", "").await.unwrap() {
                found.insert((name.to_owned(), item.sort.clone()), text_of(&item));
            }
        }
        for pair in ["pair0", "pair1"] {
            let of = |name: &str| found.get(&(name.to_owned(), pair.to_owned()));
            assert_eq!(of("manifest"), of("outbox"), "{pair} was written all or nothing");
        }
        let mut replayed = BTreeMap::new();
        for change in self.embedded.changes().next(0, usize::MAX).await.unwrap() {
            let key = ("manifest".to_owned(), change.sort);
            match change.new {
                Some(value) => replayed.insert(key, String::from_utf8_lossy(&value).into_owned()),
                None => replayed.remove(&key),
            };
        }
        let manifest: BTreeMap<_, _> = found.clone().into_iter().filter(|((name, _), _)| name == "manifest").collect();
        assert_eq!(replayed, manifest, "the changes, replayed, give the manifest");
        for key in model.table.keys() {
            model.table.is(&key, found.remove(&key));
        }
        assert!(found.is_empty(), "never written: {found:?}");
    }

    async fn verify_stream(&mut self, model: &mut Model) {
        let mut waiting = Vec::new();
        for consumer in &self.consumers {
            let batch = consumer.next_batch(100_000, Duration::ZERO).await.unwrap();
            waiting.extend(batch.iter().map(|record| String::from_utf8_lossy(&record.data).into_owned()));
        }
        let set: BTreeSet<&String> = waiting.iter().collect();
        assert_eq!(set.len(), waiting.len(), "a record stands twice in the log");
        for text in &waiting {
            assert!(!model.committed.contains(text), "{text} was committed and comes again");
        }
        for records in model.records.values() {
            let order: BTreeMap<&String, usize> =
                records.iter().enumerate().map(|(at, (text, _))| (text, at)).collect();
            let places: Vec<usize> = waiting.iter().filter_map(|text| order.get(text).copied()).collect();
            assert!(places.is_sorted(), "a lane is out of order");
            for (text, accepted) in records {
                let known =
                    set.contains(text) || model.committed.contains(text) || model.maybe_committed.contains(text);
                assert!(!accepted || known, "{text} was acknowledged and is lost");
            }
        }
        // What may have been committed and does not come again, was. What does come again may only
        // do so because this consumer did not hear of its own commit: the next one starts later.
        let gone = |text: &String| !set.contains(text);
        model.committed.extend(model.maybe_committed.iter().filter(|text| gone(text)).cloned());
        model.maybe_committed.retain(|text| set.contains(text));
    }
}

fn text_of(item: &ports::Item) -> String {
    String::from_utf8_lossy(&item.value).into_owned()
}

/// Works until the disk halts or `steps` are done. Returns whether the store could be opened.
async fn live(disk: &SimDisk, model: &mut Model, random: &mut SeededRandom, steps: u32) -> bool {
    let Ok(mut life) = Life::begin(disk).await else { return false };
    for _ in 0..steps {
        life.step(model, random).await;
        if disk.is_halted() {
            break;
        }
    }
    true
}

async fn verify_after(disk: &SimDisk, model: &mut Model) {
    let mut life = Life::begin(disk).await.expect("the store opens after a crash");
    life.verify(model, true).await;
}

/// Operations of the workload below on a disk without faults.
async fn operations_of(seed: u64, steps: u32) -> u64 {
    let (disk, mut model) = (SimDisk::new(seed), Model::new());
    assert!(live(&disk, &mut model, &mut SeededRandom::new(seed), steps).await);
    disk.operations()
}

async fn crash_at_every_operation(seed: u64, kind: impl Fn(u64) -> CrashKind) {
    const STEPS: u32 = 40;
    let operations = operations_of(seed, STEPS).await;
    assert!(operations > 100, "the workload does something: {operations} operations");
    for at in 1..=operations {
        let (disk, mut model) = (SimDisk::new(seed), Model::new());
        disk.set_faults(DiskFaults { halt_at: Some(at), ..DiskFaults::default() });
        live(&disk, &mut model, &mut SeededRandom::new(seed), STEPS).await;
        disk.crash(kind(at));
        verify_after(&disk, &mut model).await;
    }
}

#[tokio::test]
async fn a_power_cut_at_any_operation_loses_nothing_acknowledged() {
    crash_at_every_operation(1, |_| CrashKind::DropAll).await;
}

#[tokio::test]
async fn nor_does_one_that_keeps_some_of_the_unsynced_writes() {
    crash_at_every_operation(2, CrashKind::KeepSome).await;
}

#[tokio::test]
async fn a_failing_operation_is_survived_by_the_same_process() {
    const STEPS: u32 = 40;
    let operations = operations_of(3, STEPS).await;
    for at in 1..=operations {
        let (disk, mut model) = (SimDisk::new(3), Model::new());
        disk.set_faults(DiskFaults { fail_at: Some(at), ..DiskFaults::default() });
        let mut random = SeededRandom::new(3);
        let Ok(mut life) = Life::begin(&disk).await else { continue };
        for _ in 0..STEPS {
            life.step(&mut model, &mut random).await;
        }
        life.verify(&mut model, false).await;
        drop(life);
        disk.crash(CrashKind::DropAll);
        verify_after(&disk, &mut model).await;
    }
}

#[tokio::test]
async fn many_lives_on_one_disk() {
    for seed in 0..20 {
        let (disk, mut model, mut random) = (SimDisk::new(seed), Model::new(), SeededRandom::new(seed));
        for life in 0..20 {
            let faults = match random.below(3) {
                0 => DiskFaults { fail_per_mille: 50, ..DiskFaults::default() },
                _ => DiskFaults { halt_at: Some(disk.operations() + 1 + random.below(150)), ..DiskFaults::default() },
            };
            disk.set_faults(faults);
            live(&disk, &mut model, &mut random, 60).await;
            let kind = if random.chance(500) { CrashKind::DropAll } else { CrashKind::KeepSome(seed * 100 + life) };
            disk.crash(kind);
            verify_after(&disk, &mut model).await;
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    let (disk, mut model, mut random) = (SimDisk::new(5), Model::new(), SeededRandom::new(5));
    let mut life = Life::begin(&disk).await.unwrap();
    for _ in 0..20 {
        life.step(&mut model, &mut random).await;
    }
    disk.set_faults(DiskFaults { bytes_max: Some(0), ..DiskFaults::default() });
    for _ in 0..60 {
        life.step(&mut model, &mut random).await;
    }
    let refused = model.records.values().flatten().filter(|(_, accepted)| !accepted).count();
    assert!(refused > 0, "a full disk takes no records");
    disk.set_faults(DiskFaults::default());
    life.verify(&mut model, false).await;
    let lane = Lane::new(1).unwrap();
    let answers = life.ports.stream.put(vec![StreamRecord { lane, data: Bytes::from_static(b"again") }]).await;
    assert_eq!(answers, Ok(vec![Ok(())]), "with room again, records are taken again");
}

/// The negative control: were syncs left out, these tests would see it.
#[tokio::test]
async fn a_disk_that_lies_about_syncs_is_noticed() {
    let (disk, mut model) = (SimDisk::new(6), Model::new());
    assert!(live(&disk, &mut model, &mut SeededRandom::new(6), 20).await);
    disk.set_faults(DiskFaults { ignore_syncs: true, ..DiskFaults::default() });
    live(&disk, &mut model, &mut SeededRandom::new(7), 40).await;
    disk.crash(CrashKind::DropAll);
    let noticed = tokio::spawn(async move { verify_after(&disk, &mut model).await });
    assert!(noticed.await.is_err_and(|error| error.is_panic()), "a loss must be noticed");
}
