//! Measures the embedded ports on a folder: `cargo run --release -p embedded --example measure -- DIR`.
//! The figures of docs/decisions are from here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use embedded::{Embedded, EmbeddedOptions};
use ports::{Condition, Key, Lane, Partition, Ports, StreamRecord, TenantId, Write, Written};

const PERIOD: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir: PathBuf = std::env::args().nth(1).ok_or("which folder?")?.into();
    sync_time(&dir)?;
    for (writers, records, bytes) in [(1, 1, 2_000), (4, 1, 2_000), (64, 1, 2_000), (64, 16, 2_000), (4, 1, 100_000)] {
        let ports = fresh(&dir)?.ports();
        measure_stream(&ports, writers, records, bytes).await;
    }
    for writers in [1, 4, 64, 256] {
        let ports = fresh(&dir)?.ports();
        measure_table(&ports, writers).await;
    }
    let ports = fresh(&dir)?.ports();
    measure_blobs(&ports, 100_000).await;
    measure_restart(&dir).await?;
    measure_repair(&dir).await
}

fn fresh(dir: &Path) -> Result<Embedded, Box<dyn std::error::Error>> {
    let dir = dir.join("measure");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(Embedded::open(&dir, &EmbeddedOptions::default())?)
}

#[expect(clippy::disallowed_methods, reason = "this program measures time")]
fn now() -> Instant {
    Instant::now()
}

/// What one append and fdatasync costs, without any of our code.
fn sync_time(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    let path = dir.join("measure.sync");
    let file = std::fs::File::create(&path)?;
    let started = now();
    for n in 0..1_000 {
        file.write_all_at(&[7; 2_000], n * 2_000)?;
        file.sync_data()?;
    }
    println!("append 2 KB and fdatasync: {:.0} us", started.elapsed().as_micros() as f64 / 1_000.0);
    std::fs::remove_file(path)
}

/// Runs `work` in `writers` tasks for the period; returns times of all calls, sorted, in µs.
async fn run<F, R>(writers: usize, work: F) -> Vec<u64>
where
    F: Fn(u64) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send,
{
    let (work, next) = (Arc::new(work), Arc::new(AtomicU64::new(0)));
    let started = now();
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let (work, next) = (Arc::clone(&work), Arc::clone(&next));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while started.elapsed() < PERIOD {
                    let call = now();
                    work(next.fetch_add(1, Ordering::Relaxed)).await;
                    times.push(call.elapsed().as_micros() as u64);
                }
                times
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap_or_default());
    }
    all.sort_unstable();
    all
}

fn show(what: &str, times: &[u64], each: usize) {
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let calls = times.len() as f64 / PERIOD.as_secs_f64();
    println!("{what}: {calls:.0} calls/s, {:.0}/s, p50 {} us, p99 {} us", calls * each as f64, at(0.5), at(0.99));
}

async fn measure_stream(ports: &Ports, writers: usize, records: usize, bytes: usize) {
    let stream = Arc::clone(&ports.stream);
    let data = Bytes::from(vec![7; bytes]);
    let times = run(writers, move |n| {
        let (stream, data) = (Arc::clone(&stream), data.clone());
        async move {
            let record = |k: usize| StreamRecord {
                lane: Lane::new(((n as usize * records + k) % 4_096) as u16).unwrap_or_else(|| unreachable!()),
                data: data.clone(),
            };
            let answers = stream.put((0..records).map(record).collect()).await;
            assert!(answers.is_ok_and(|answers| answers.iter().all(Result::is_ok)));
        }
    });
    show(&format!("stream, {writers} writers, {records} x {bytes} B a put"), &times.await, records);
}

async fn measure_table(ports: &Ports, writers: usize) {
    let table = Arc::clone(&ports.table);
    let times = run(writers, move |n| {
        let table = Arc::clone(&table);
        async move {
            let key = Key::new(Partition::Config(TenantId::default()), format!("{n:09}"));
            let written = table.write(Write::put(key, vec![7; 500], Condition::Absent)).await;
            assert!(matches!(written, Ok(Written::Done(_))));
        }
    });
    show(&format!("table, {writers} writers, conditional put of 500 B"), &times.await, 1);
    let table = Arc::clone(&ports.table);
    let times = run(writers, move |n| {
        let table = Arc::clone(&table);
        async move {
            let key = Key::new(Partition::Config(TenantId::default()), format!("{:09}", n % 1_000));
            assert!(table.get(&key).await.is_ok_and(|item| item.is_some()));
        }
    });
    show(&format!("table, {writers} readers, get"), &times.await, 1);
}

async fn measure_blobs(ports: &Ports, bytes: usize) {
    let blobs = Arc::clone(&ports.blobs);
    let data = Bytes::from(vec![7; bytes]);
    let times = run(2, move |n| {
        let (blobs, data) = (Arc::clone(&blobs), data.clone());
        async move { assert!(blobs.put(&format!("default/10m/{}/{n}", n % 100), data).await.is_ok()) }
    });
    show(&format!("blobs, 2 writers, put of {bytes} B"), &times.await, 1);
}

/// How long a start takes with a backlog that nobody has read.
async fn measure_restart(dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let embedded = fresh(dir)?;
    let data = Bytes::from(vec![7; 2_000]);
    for n in 0..200_u16 {
        let lane = |k: u16| Lane::new((n * 16 + k) % 4_096).unwrap_or_else(|| unreachable!());
        let records = (0..500).map(|k| StreamRecord { lane: lane(k), data: data.clone() }).collect();
        assert!(embedded.ports().stream.put(records).await.is_ok());
    }
    embedded.close().await;
    let started = now();
    let embedded = Embedded::open(&dir.join("measure"), &EmbeddedOptions::default())?;
    println!("open with a backlog of 100,000 records, 200 MB: {} ms", started.elapsed().as_millis());
    let started = now();
    let mut found = 0;
    for shard in 0..embedded.shards().count() {
        let mut consumer = embedded.shards().consumer("measure", shard).await?;
        loop {
            let batch = consumer.next_batch(500, Duration::ZERO).await?;
            let Some(last) = batch.last() else { break };
            consumer.commit(&last.sequence).await?;
            found += batch.len();
        }
    }
    println!("read and commit {found} records by 500: {} ms", started.elapsed().as_millis());
    embedded.close().await;
    std::fs::remove_dir_all(dir.join("measure"))?;
    Ok(())
}

/// How long a start takes after an unclean end: redb then walks through the whole store.
async fn measure_repair(dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    const ITEMS: usize = 100_000;
    let embedded = fresh(dir)?;
    let table = embedded.ports().table;
    for chunk in 0..ITEMS / 100 {
        let key = |n: usize| Key::new(Partition::Config(TenantId::default()), format!("{chunk:06}/{n}"));
        let writes = (0..100).map(|n| Write::put(key(n), vec![7; 500], Condition::Always));
        table.write_many(writes.collect()).await?;
    }
    // Nothing is written now, so a copy is what a killed process would leave.
    let copy = dir.join("measure.copy");
    std::fs::create_dir_all(&copy)?;
    let bytes = std::fs::copy(dir.join("measure/store.redb"), copy.join("store.redb"))?;
    let started = now();
    let copied = Embedded::open(&copy, &EmbeddedOptions::default())?;
    println!(
        "open {ITEMS} items, a file of {} MB, not closed before: {} ms",
        bytes / 1_000_000,
        started.elapsed().as_millis()
    );
    copied.close().await;
    let started = now();
    Embedded::open(&copy, &EmbeddedOptions::default())?.close().await;
    println!("open and close the same, closed before: {} ms", started.elapsed().as_millis());
    embedded.close().await;
    std::fs::remove_dir_all(copy)?;
    Ok(std::fs::remove_dir_all(dir.join("measure"))?)
}
