//! A power cut that drops what was not synced, at any moment, and a store of blocks that fails:
//! everything acknowledged is there afterwards, once. In one process, on a disk in memory.
//!
//! `DAYWATCH_SOAK=1000` asks for that many cuts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use embedded::{
    CrashKind, DiskFaults, Embedded, EmbeddedOptions, Faults, Faulty, ManualClock, Memory, MemoryTopic, SeededEntropy,
    SeededRandom, SimDisk,
};
use pipeline::http::Request;
use pipeline::keys::{self, Caller, KeyKind};
use pipeline::{Context, DAY_MS, Fault, Settings, TenantId, aggregate, ingest, promql, query, sources};
use ports::Ports;
use tests::wait::rounds;

/// Cuts where no soak is asked for.
const CUTS: u64 = 60;
/// Pushes of one life, if the disk lives that long.
const PUSHES: i64 = 12;
/// Series of one push.
const SERIES: usize = 3;
/// Lives of one disk.
const LIVES: u64 = 3;
/// Operations on the disk that one life does at most before it is cut.
const OPERATIONS: u64 = 260;

/// One life of a Daywatch.
struct Life {
    context: Context,
    embedded: Embedded,
    clock: Arc<ManualClock>,
    caller: Caller,
}

/// Value by time and series: what was acknowledged, and what was only sent.
#[derive(Default)]
struct Sent {
    acknowledged: BTreeMap<(i64, usize), i64>,
    unanswered: BTreeMap<(i64, usize), i64>,
}

fn context(ports: Ports) -> Context {
    let settings = Settings {
        raw_retention_ms: 30 * DAY_MS,
        external_url: "http://daywatch.invalid".to_owned(),
        websocket_url: "ws://daywatch.invalid/ws".to_owned(),
    };
    Context::new(ports, settings)
}

impl Life {
    async fn first(seed: u64) -> (Self, SimDisk) {
        let Memory { embedded, clock, disk, .. } = Embedded::memory(seed).unwrap();
        let context = context(embedded.ports());
        let text = keys::create(&context.ports, TenantId::default(), KeyKind::Agent, "sender").await.unwrap();
        let caller = keys::authenticate_text(&context.ports, &text).await.unwrap();
        (Self { context, embedded, clock, caller }, disk)
    }

    /// The next one on the same disk.
    fn after(self, disk: &SimDisk, seed: u64) -> Self {
        let Self { clock, caller, .. } = self;
        let (entropy, topic) = (Arc::new(SeededEntropy::new(seed)), Arc::new(MemoryTopic::default()));
        let options = EmbeddedOptions::default();
        let disk = Arc::new(disk.clone());
        let embedded = Embedded::on_disk(disk, &options, Arc::clone(&clock) as _, entropy, topic).unwrap();
        Self { context: context(embedded.ports()), embedded, clock, caller }
    }

    /// Pushes and aggregates until the disk is dead.
    async fn works(&self, sent: &mut Sent, random: &mut SeededRandom) {
        for _ in 0..PUSHES {
            self.clock.advance_ms(1_000);
            let at = self.context.ports.clock.now().ms();
            let (mut lines, mut samples) = (String::new(), BTreeMap::new());
            for series in 0..SERIES {
                let value = i64::try_from(random.below(1_000_000)).unwrap();
                writeln!(lines, "cut;n={series} {value} {at}").unwrap();
                samples.insert((at, series), value);
            }
            let request = Request { body: lines.into(), ..Request::default() };
            match ingest::graphite(&self.context, &self.caller, &request).await {
                Ok(pushed) => {
                    assert_eq!((pushed.accepted, pushed.rejected.len()), (SERIES as u64, 0));
                    sent.acknowledged.append(&mut samples);
                }
                Err(_) => sent.unanswered.append(&mut samples),
            }
            if random.chance(400) {
                // What fails now is done in the next life.
                let _ = self.aggregate().await;
            }
        }
    }

    async fn aggregate(&self) -> Result<(), Fault> {
        let shards = self.embedded.shards();
        for shard in 0..shards.count() {
            let mut consumer = shards.consumer("aggregate", shard).await?;
            loop {
                let batch = consumer.next_batch(10_000, Duration::ZERO).await?;
                let Some(last) = batch.last() else { break };
                aggregate::stream(&self.context, &batch).await?;
                consumer.commit(&last.sequence).await?;
            }
        }
        Ok(())
    }

    /// Everything that can be read, by time and series.
    async fn read(&self) -> BTreeMap<(i64, usize), i64> {
        let now = self.context.ports.clock.now();
        let tenant = TenantId::default();
        let found = query::instant(&self.context, &tenant, "cut[6h]", now, &promql::Options::default()).await.unwrap();
        let promql::Value::Matrix(matrix) = found.value else { panic!("no matrix") };
        let mut read = BTreeMap::new();
        for series in matrix {
            let number: usize = series.labels.get("n").unwrap().parse().unwrap();
            for sample in series.samples.iter() {
                #[expect(clippy::cast_possible_truncation, reason = "the values are small whole numbers")]
                let before = read.insert((sample.at.ms(), number), sample.value as i64);
                assert!(before.is_none(), "{}@{} is there twice", series.labels, sample.at);
            }
        }
        read
    }

    async fn check(&self, seed: u64, sent: &Sent) {
        self.aggregate().await.unwrap();
        let read = self.read().await;
        for (key, value) in &sent.acknowledged {
            assert_eq!(read.get(key), Some(value), "seed {seed}: {key:?} was acknowledged");
        }
        for (key, value) in &read {
            let known = sent.acknowledged.get(key).or_else(|| sent.unanswered.get(key));
            assert_eq!(known, Some(value), "seed {seed}: {key:?} was never sent");
        }
        let all = sources::all(&self.context, &TenantId::default()).await.unwrap();
        // Unknown where the very first push was cut.
        let counters = all.iter().find(|source| source.name == "sender").map(|source| source.counters.clone());
        let counters = counters.unwrap_or_default();
        let stored = usize::try_from(counters.stored).unwrap();
        assert_eq!((stored, counters.superseded, counters.missing), (read.len(), 0, 0), "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_power_cuts_that_drop_unsynced_writes() {
    let (mut acknowledged, mut unanswered) = (0, 0);
    for seed in 0..rounds(CUTS) {
        let mut random = SeededRandom::new(seed);
        let (mut life, disk) = Life::first(seed).await;
        let mut sent = Sent::default();
        for number in 0..LIVES {
            let halt_at = disk.operations() + 1 + random.below(OPERATIONS);
            disk.set_faults(DiskFaults { halt_at: Some(halt_at), ..DiskFaults::default() });
            life.works(&mut sent, &mut random).await;
            let kind = if random.chance(500) { CrashKind::DropAll } else { CrashKind::KeepSome(seed) };
            disk.crash(kind);
            // Randomness of its own: it names what is pushed.
            life = life.after(&disk, (seed + 1) * 1_000 + number);
            life.check(seed, &sent).await;
        }
        acknowledged += sent.acknowledged.len();
        unanswered += sent.unanswered.len();
    }
    println!("{acknowledged} samples were acknowledged, {unanswered} got no answer");
    // A test whose disk is never cut, or always at once, shows nothing.
    assert!(acknowledged > 0 && unanswered > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_lies_about_syncs_is_noticed() {
    let (life, disk) = Life::first(1).await;
    let mut sent = Sent::default();
    disk.set_faults(DiskFaults { ignore_syncs: true, ..DiskFaults::default() });
    life.works(&mut sent, &mut SeededRandom::new(1)).await;
    disk.crash(CrashKind::DropAll);
    let life = life.after(&disk, 2);
    life.aggregate().await.unwrap();
    assert!(life.read().await.len() < sent.acknowledged.len(), "nothing was lost, so the other test shows nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_while_the_store_of_blocks_fails_for_a_quarter_of_an_hour() {
    let (mut life, _disk) = Life::first(3).await;
    let faults = Faults::none();
    let mut ports = life.embedded.ports();
    ports.blobs = Arc::new(Faulty::new(ports.blobs, Arc::clone(&faults)));
    life.context = context(ports);
    let mut sent = Sent::default();
    let mut random = SeededRandom::new(3);
    faults.set_down(true);
    for _ in 0..15 * 60 / PUSHES {
        life.works(&mut sent, &mut random).await;
        assert!(life.aggregate().await.is_err(), "the store answers");
    }
    assert_eq!((sent.acknowledged.len(), sent.unanswered.len()), (15 * 60 * SERIES, 0));
    faults.set_down(false);
    life.check(3, &sent).await;
}
