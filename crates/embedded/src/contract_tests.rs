//! The contract suite, on a real disk and on one in memory: the same code, judged twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ports::contract;
use ports::contract::push::PushHarness;
use ports::contract::stream::StreamHarness;
use ports::contract::timer::TimerHarness;
use ports::{Clock, ConnectionId, Delivered, Push, Stream, Timer, Timestamp, Topic, Wake};

use crate::{
    Consumer, CrashKind, Disk, Due, Embedded, EmbeddedOptions, ManualClock, MemoryTopic, Outgoing, RealDisk,
    SeededEntropy, ShardOptions, SimDisk,
};

const START: Timestamp = Timestamp(1_700_000_000_000);

/// Where the suite runs.
enum Place {
    Real(tempfile::TempDir),
    // Starting again is a power cut here.
    Memory(SimDisk),
}

/// An open adapter that can be ended and started.
struct Rig {
    place: Place,
    clock: Arc<ManualClock>,
    embedded: Option<Embedded>,
    consumers: BTreeMap<u32, Consumer>,
    connections: BTreeMap<ConnectionId, Outgoing>,
    due: Vec<Due>,
}

impl Rig {
    fn new(place: Place) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let (consumers, connections) = (BTreeMap::new(), BTreeMap::new());
        let mut rig = Self { place, clock, embedded: None, consumers, connections, due: Vec::new() };
        rig.open();
        rig
    }

    fn both() -> [Self; 2] {
        [Self::new(Place::Real(tempfile::tempdir().unwrap())), Self::new(Place::Memory(SimDisk::new(1)))]
    }

    fn open(&mut self) {
        let disk: Arc<dyn Disk> = match &self.place {
            Place::Real(dir) => Arc::new(RealDisk::new(dir.path()).unwrap()),
            Place::Memory(disk) => Arc::new(disk.clone()),
        };
        // Small files, so that the suite crosses their ends.
        let options = EmbeddedOptions {
            shard: ShardOptions { segment_bytes: 10_000, ..ShardOptions::default() },
            ..EmbeddedOptions::default()
        };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let topic: Arc<dyn Topic> = Arc::new(MemoryTopic::default());
        let entropy = Arc::new(SeededEntropy::new(1));
        self.embedded = Some(Embedded::on_disk(disk, &options, clock, entropy, topic).unwrap());
    }

    fn embedded(&self) -> &Embedded {
        self.embedded.as_ref().unwrap()
    }

    async fn start_again(&mut self) {
        self.consumers.clear();
        let embedded = self.embedded.take().unwrap();
        match &self.place {
            Place::Real(_) => embedded.close().await,
            Place::Memory(disk) => {
                disk.crash(CrashKind::DropAll);
                drop(embedded);
            }
        }
        self.open();
    }

    async fn consumer(&mut self, shard: u32) -> &mut Consumer {
        if !self.consumers.contains_key(&shard) {
            let consumer = self.embedded().shards().consumer("suite", shard as u16).await.unwrap();
            self.consumers.insert(shard, consumer);
        }
        self.consumers.get_mut(&shard).unwrap()
    }
}

#[async_trait]
impl StreamHarness for Rig {
    fn stream(&self) -> Arc<dyn Stream> {
        self.embedded().ports().stream
    }

    fn shards(&self) -> u32 {
        u32::from(self.embedded().shards().count())
    }

    async fn deliver(&mut self, shard: u32, max: usize) -> Vec<Delivered> {
        self.consumer(shard).await.next_batch(max, Duration::ZERO).await.unwrap()
    }

    async fn commit(&mut self, shard: u32, sequence: &str) {
        self.consumer(shard).await.commit(sequence).await.unwrap();
    }

    async fn reopen(&mut self) {
        self.start_again().await;
    }
}

#[async_trait]
impl PushHarness for Rig {
    fn push(&self) -> Arc<dyn Push> {
        self.embedded().ports().push
    }

    async fn connect(&mut self) -> ConnectionId {
        let id = ConnectionId(format!("c{}", self.connections.len()));
        let outgoing = self.embedded().connections().register(id.clone());
        self.connections.insert(id.clone(), outgoing);
        id
    }

    async fn receive(&mut self, connection: &ConnectionId) -> Option<String> {
        self.connections.get_mut(connection)?.next().await
    }

    async fn leave(&mut self, connection: &ConnectionId) {
        self.connections.remove(connection);
    }
}

#[async_trait]
impl TimerHarness for Rig {
    fn timer(&self) -> Arc<dyn Timer> {
        self.embedded().ports().timer
    }

    async fn due(&mut self, now: Timestamp) -> Vec<Wake> {
        self.due = self.embedded().timers().due(now).await.unwrap();
        self.due.iter().map(|due| due.wake.clone()).collect()
    }

    async fn handle(&mut self) {
        let handled = std::mem::take(&mut self.due);
        self.embedded().timers().done(handled).await.unwrap();
    }

    async fn reopen(&mut self) {
        self.start_again().await;
    }
}

#[tokio::test]
async fn the_table_keeps_its_contract() {
    for mut rig in Rig::both() {
        let table = rig.embedded().ports().table;
        contract::table::run(&*table, "t", START).await;
        let expected = contract::table::write_what_must_last(&*table, "last").await;
        drop(table);
        rig.start_again().await;
        contract::table::find_what_must_last(&*rig.embedded().ports().table, "last", &expected).await;
    }
}

#[tokio::test]
async fn the_stream_keeps_its_contract() {
    for mut rig in Rig::both() {
        contract::stream::run(&mut rig).await;
    }
}

#[tokio::test]
async fn blobs_keep_their_contract() {
    for mut rig in Rig::both() {
        let blobs = rig.embedded().ports().blobs;
        contract::blobs::run(&*blobs, "b").await;
        contract::blobs::write_what_must_last(&*blobs, "last").await;
        drop(blobs);
        rig.start_again().await;
        contract::blobs::find_what_must_last(&*rig.embedded().ports().blobs, "last").await;
    }
}

#[tokio::test]
async fn push_keeps_its_contract() {
    for mut rig in Rig::both() {
        contract::push::run(&mut rig).await;
    }
}

#[tokio::test]
async fn the_timer_keeps_its_contract() {
    for mut rig in Rig::both() {
        contract::timer::run(&mut rig, START).await;
    }
}
