//! Compaction that is cut off at any port call, before it or after it: the next run completes what was
//! begun, and nobody reads less or more meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use pipeline::keys::{Caller, KeyKind};
use pipeline::{Context, DAY_MS, HOUR_MS, Ports, Settings, TenantId, aggregate, sources};
use ports::{Blobs, GotMany, Item, Key, Page, Partition, PortError, Table, Write, Written, WrittenAll};
use series::TEN_MINUTES_MS;

use crate::bench::Bench;

/// Lets so many calls through, and no more: the process has ended.
#[derive(Debug)]
struct Life {
    calls: AtomicU64,
    ends_at: u64,
    after: bool,
}

impl Life {
    fn before(&self) -> Result<bool, PortError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if call > self.ends_at || (call == self.ends_at && !self.after) {
            return Err(PortError::transient("life", "the process has ended"));
        }
        Ok(call == self.ends_at)
    }

    async fn call<T>(&self, work: impl Future<Output = Result<T, PortError>>) -> Result<T, PortError> {
        let last = self.before()?;
        let done = work.await?;
        if last { Err(PortError::transient("life", "the process has ended, its call was done")) } else { Ok(done) }
    }
}

struct Mortal<P: ?Sized>(Arc<P>, Arc<Life>);

#[async_trait]
impl Blobs for Mortal<dyn Blobs> {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), PortError> {
        self.1.call(self.0.put(name, bytes)).await
    }
    async fn get(&self, name: &str) -> Result<Option<Bytes>, PortError> {
        self.1.call(self.0.get(name)).await
    }
    async fn delete(&self, name: &str) -> Result<(), PortError> {
        self.1.call(self.0.delete(name)).await
    }
    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError> {
        self.1.call(self.0.list(prefix)).await
    }
}

#[async_trait]
impl Table for Mortal<dyn Table> {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        self.1.call(self.0.get(key)).await
    }
    async fn get_many(&self, keys: &[Key]) -> Result<GotMany, PortError> {
        self.1.call(self.0.get_many(keys)).await
    }
    async fn query(&self, partition: &Partition, from: &str, to: &str, after: Option<&str>) -> Result<Page, PortError> {
        self.1.call(self.0.query(partition, from, to, after)).await
    }
    async fn write(&self, write: Write) -> Result<Written, PortError> {
        self.1.call(self.0.write(write)).await
    }
    async fn write_all(&self, writes: Vec<Write>) -> Result<WrittenAll, PortError> {
        self.1.call(self.0.write_all(writes)).await
    }
    async fn write_many(&self, writes: Vec<Write>) -> Result<Vec<Write>, PortError> {
        self.1.call(self.0.write_many(writes)).await
    }
}

/// A world with a compaction that ends at one of its calls.
struct Story {
    bench: Bench,
    caller: Caller,
    life: Arc<Life>,
    pushed: u64,
}

impl Story {
    async fn new(ends_at: u64, after: bool) -> Self {
        let bench = Bench::new(7);
        bench.clock.advance_ms(1);
        let caller = bench.caller(KeyKind::Agent, "router").await;
        Self { bench, caller, life: Arc::new(Life { calls: AtomicU64::new(0), ends_at, after }), pushed: 0 }
    }

    async fn push(&mut self, ages_ms: &[i64]) {
        let now = self.bench.now();
        let line = |age_ms: &i64| format!("m {} {}\n", age_ms.rem_euclid(97), now.plus_ms(-age_ms).ms());
        let lines: String = ages_ms.iter().map(line).collect();
        self.bench.graphite(&self.caller, &lines).await;
        self.bench.aggregate().await;
        self.pushed += ages_ms.len() as u64;
    }

    /// A run of the mortal process, and then what people read.
    async fn compact(&self) {
        let ports = self.bench.context.ports.clone();
        let ports = Ports {
            table: Arc::new(Mortal(Arc::clone(&ports.table), Arc::clone(&self.life))),
            blobs: Arc::new(Mortal(Arc::clone(&ports.blobs), Arc::clone(&self.life))),
            ..ports
        };
        let context = Context::new(ports, self.settings());
        let ended = self.life.calls.load(Ordering::SeqCst) > self.life.ends_at;
        if ended {
            // The next process.
            aggregate::compact(&Context::new(self.bench.context.ports.clone(), self.settings())).await.unwrap();
        } else {
            let _ = aggregate::compact(&context).await;
        }
        self.read().await;
    }

    fn settings(&self) -> Settings {
        self.bench.context.settings.clone()
    }

    /// Runs that find nothing to do any more: late enough for all sweeps, objects without an item among them.
    async fn settle(&self) {
        for wait_ms in [2 * HOUR_MS, 2 * HOUR_MS, DAY_MS, 2 * HOUR_MS, DAY_MS + 1, DAY_MS] {
            self.bench.clock.advance_ms(wait_ms);
            self.compact().await;
        }
    }

    async fn read(&self) {
        let found = self.bench.number("count_over_time(m[12d])").await;
        assert_eq!(found, Some(self.pushed as f64), "{:?}", self.life);
        let ledger = sources::all(&self.bench.context, &TenantId::default()).await.unwrap();
        let counters = &ledger[0].counters;
        assert_eq!(
            (counters.generated, counters.stored + counters.superseded, counters.missing),
            (self.pushed, self.pushed, 0),
            "{:?}",
            self.life
        );
    }

    /// What lies there in the end: the objects by their content, and the items by level.
    async fn end(&self) -> (BTreeSet<String>, Vec<String>) {
        let ports = &self.bench.context.ports;
        let names = ports.blobs.list("").await.unwrap();
        let content = |name: &String| name.split_once('-').map_or(name.as_str(), |(content, _)| content).to_owned();
        let items = ports.table.query_all(&Partition::Manifest(TenantId::default()), "", "").await.unwrap();
        let place = |item: &Item| item.sort.rsplit_once('/').map(|(place, _)| place.to_owned()).unwrap_or_default();
        (names.iter().map(content).collect(), items.iter().map(place).collect())
    }
}

/// Ten minutes, hours, a day, late data before and after each of them, sweeps.
async fn story(ends_at: u64, after: bool) -> Story {
    let mut story = Story::new(ends_at, after).await;
    for _ in 0..3 {
        story.push(&[0, 60_000]).await;
        story.bench.clock.advance_ms(TEN_MINUTES_MS + 1_000);
        story.push(&[7_000]).await;
    }
    story.bench.clock.advance_ms(TEN_MINUTES_MS);
    story.compact().await;
    story.bench.clock.advance_ms(HOUR_MS);
    story.compact().await;
    // Late, of two hours, before and after an hour was joined.
    story.push(&[HOUR_MS + 25 * 60_000, 30 * 60_000, 0]).await;
    story.bench.clock.advance_ms(HOUR_MS + TEN_MINUTES_MS);
    story.compact().await;
    story.bench.clock.advance_ms(HOUR_MS + TEN_MINUTES_MS);
    story.compact().await;
    story.bench.clock.advance_ms(DAY_MS);
    story.push(&[0]).await;
    story.compact().await;
    // Late for a day that is joined.
    story.push(&[DAY_MS, DAY_MS + HOUR_MS]).await;
    for _ in 0..4 {
        story.bench.clock.advance_ms(2 * HOUR_MS);
        story.compact().await;
    }
    story
}

#[tokio::test]
async fn a_compaction_that_is_cut_off_at_any_call_is_completed_by_the_next_one() {
    let whole = story(u64::MAX - 1, false).await;
    let calls = whole.life.calls.load(Ordering::SeqCst);
    whole.settle().await;
    let expected = whole.end().await;
    let levels: BTreeSet<&str> = expected.1.iter().filter_map(|place| place.split('/').next()).collect();
    println!("{calls} calls; in the end {expected:?}");
    assert!(levels.contains("day") && !levels.contains("late"), "{levels:?}");
    for after in [false, true] {
        for ends_at in 0..calls {
            let cut = story(ends_at, after).await;
            cut.settle().await;
            assert_eq!(cut.end().await, expected, "{:?}", cut.life);
        }
    }
}

/// Two at the same time, call by call: the one writes what the other one writes, or the next one joins both.
#[tokio::test]
async fn two_compactions_at_the_same_time_are_harmless() {
    let mut story = Story::new(u64::MAX - 1, false).await;
    for round in 0..6 {
        story.push(&[0, 60_000, (round % 3) * HOUR_MS]).await;
        story.bench.clock.advance_ms(HOUR_MS / 2);
        let one = Context::new(story.bench.context.ports.clone(), story.settings());
        let two = Context::new(story.bench.context.ports.clone(), story.settings());
        let (one, two) = tokio::join!(aggregate::compact(&one), aggregate::compact(&two));
        one.and(two).unwrap();
        let seen = story.bench.number("count_over_time(m[12d])").await.unwrap();
        let ledger = sources::all(&story.bench.context, &TenantId::default()).await.unwrap();
        let counters = &ledger[0].counters;
        assert_eq!((counters.generated, counters.missing), (story.pushed, 0));
        assert!(seen as u64 <= story.pushed);
    }
    for _ in 0..20 {
        story.bench.clock.advance_ms(2 * HOUR_MS);
        aggregate::compact(&story.bench.context).await.unwrap();
    }
    let seen = story.bench.number("count_over_time(m[12d])").await.unwrap();
    let ledger = sources::all(&story.bench.context, &TenantId::default()).await.unwrap();
    assert_eq!((ledger[0].counters.stored, ledger[0].counters.generated), (seen as u64, story.pushed));
    let (_, items) = story.end().await;
    assert!(items.iter().all(|place| place.starts_with("day/")), "{items:?}");
}
