//! Partial puts, a store that fails, records that cannot be read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use pipeline::keys::KeyKind;
use pipeline::{TenantId, aggregate, sources};
use ports::{Accepted, Blobs, Partition, PortError, Stream, StreamRecord};

use crate::bench::Bench;

/// Refuses the first record of each put, so often.
struct Stubborn {
    inner: Arc<dyn Stream>,
    refusals: AtomicUsize,
}

#[async_trait]
impl Stream for Stubborn {
    async fn put(&self, mut records: Vec<StreamRecord>) -> Result<Vec<Accepted>, PortError> {
        let left = self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left.is_err() || records.is_empty() {
            return self.inner.put(records).await;
        }
        records.remove(0);
        let mut answers = vec![Err(PortError::transient("stream", "throughput exceeded"))];
        answers.extend(self.inner.put(records).await?);
        Ok(answers)
    }

    async fn put_on_every_shard(&self, data: Bytes) -> Result<std::collections::BTreeSet<String>, PortError> {
        self.inner.put_on_every_shard(data).await
    }
}

fn stubborn(refusals: usize) -> Bench {
    Bench::with_ports(1, |mut ports| {
        ports.stream = Arc::new(Stubborn { inner: ports.stream, refusals: AtomicUsize::new(refusals) });
        ports
    })
}

const LINES: &str = "a 1\nb 2\nc 3\nd 4\ne 5\nf 6\n";

#[tokio::test]
async fn only_the_refused_record_is_put_again() {
    let bench = stubborn(2);
    let caller = bench.caller(KeyKind::Agent, "router").await;
    assert_eq!(bench.graphite(&caller, LINES).await.accepted, 6);
    bench.aggregate().await;
    let ledger = sources::all(&bench.context, &TenantId::default()).await.unwrap();
    let counters = &ledger[0].counters;
    assert_eq!((counters.generated, counters.stored, counters.superseded), (6, 6, 0));
}

#[tokio::test]
async fn a_push_that_the_stream_does_not_take_is_not_acknowledged() {
    let bench = stubborn(100);
    let caller = bench.caller(KeyKind::Agent, "router").await;
    let request = pipeline::Request { body: LINES.into(), ..pipeline::Request::default() };
    let fault = pipeline::ingest::graphite(&bench.context, &caller, &request).await.unwrap_err();
    assert_eq!((fault.status(), fault.retry_after_seconds()), (503, Some(5)));
}

/// Fails while told to.
struct Broken {
    inner: Arc<dyn Blobs>,
    failures: Arc<AtomicUsize>,
    failure: fn() -> PortError,
}

#[async_trait]
impl Blobs for Broken {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), PortError> {
        let failing = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if failing.is_ok() {
            return Err((self.failure)());
        }
        self.inner.put(name, bytes).await
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, PortError> {
        self.inner.get(name).await
    }

    async fn delete(&self, name: &str) -> Result<(), PortError> {
        self.inner.delete(name).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError> {
        self.inner.list(prefix).await
    }
}

#[tokio::test]
async fn a_batch_whose_block_could_not_be_stored_is_delivered_again_and_nothing_is_lost() {
    let failures = Arc::new(AtomicUsize::new(3));
    let handle = failures.clone();
    let bench = Bench::with_ports(1, |mut ports| {
        let failure = || PortError::transient("blobs", "the disk is away");
        ports.blobs = Arc::new(Broken { inner: ports.blobs, failures: handle, failure });
        ports
    });
    let caller = bench.caller(KeyKind::Agent, "router").await;
    bench.graphite(&caller, LINES).await;
    let mut failed = 0;
    for shard in bench.delivered().await {
        // What an event source mapping does: the same batch until it is taken.
        while aggregate::stream(&bench.context, &shard).await.is_err() {
            failed += 1;
        }
    }
    assert_eq!(failed, 3);
    assert_eq!(bench.number(r#"count({__name__=~"[a-f]"})"#).await, Some(6.0));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_kept_aside_and_its_neighbours_go_on() {
    let bench = Bench::new(1);
    let caller = bench.caller(KeyKind::Agent, "router").await;
    bench.graphite(&caller, LINES).await;
    for mut shard in bench.delivered().await {
        let Some(good) = shard.first().cloned() else { continue };
        shard.insert(0, ports::Delivered { data: Bytes::from_static(b"poison"), ..good });
        aggregate::stream(&bench.context, &shard).await.unwrap();
    }
    assert_eq!(bench.number(r#"count({__name__=~"[a-f]"})"#).await, Some(6.0));
    let aside = Partition::Quarantine(TenantId::default());
    let kept = bench.context.ports.table.query_all(&aside, "", "").await.unwrap();
    assert_eq!(kept.len(), 1, "the same bytes are kept once");
    assert!(kept[0].value.ends_with(b"\npoison"));
}

/// Has forgotten what was stored, so often.
struct Forgetful {
    inner: Arc<dyn Blobs>,
    times: Arc<AtomicUsize>,
}

#[async_trait]
impl Blobs for Forgetful {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), PortError> {
        self.inner.put(name, bytes).await
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, PortError> {
        match self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)) {
            Ok(_) => Ok(None),
            Err(_) => self.inner.get(name).await,
        }
    }

    async fn delete(&self, name: &str) -> Result<(), PortError> {
        self.inner.delete(name).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError> {
        self.inner.list(prefix).await
    }
}

#[tokio::test]
async fn a_block_that_was_swept_meanwhile_is_looked_up_again_and_one_that_is_lost_is_an_error() {
    let times = Arc::new(AtomicUsize::new(0));
    let handle = times.clone();
    let bench = Bench::with_ports(1, |mut ports| {
        ports.blobs = Arc::new(Forgetful { inner: ports.blobs, times: handle });
        ports
    });
    let caller = bench.caller(KeyKind::Agent, "router").await;
    bench.graphite(&caller, LINES).await;
    bench.aggregate().await;
    times.store(1_000, Ordering::SeqCst);
    let options = pipeline::promql::Options::default();
    let tenant = TenantId::default();
    let lost = pipeline::query::instant(&bench.context, &tenant, "a", bench.now(), &options).await;
    assert!(matches!(lost, Err(pipeline::Fault::Internal(text)) if text.contains("not stored")));
    times.store(1, Ordering::SeqCst);
    assert_eq!(bench.number(r#"count({__name__=~"[a-f]"})"#).await, Some(6.0));
}

#[tokio::test]
async fn documents_that_cannot_be_stored_are_the_senders_fault_and_change_nothing() {
    use pipeline::documents::{self, Kind};
    let bench = Bench::new(1);
    let ports = &bench.context.ports;
    let tenant = TenantId::default();
    let rules = "groups: []\n".to_owned();
    let twice = vec![(Kind::Rules, "a.yml".to_owned(), rules.clone()); 2];
    // Each line's end takes two bytes in the store.
    let long = format!("{rules}{}", "\n".repeat(documents::DOCUMENT_BYTES_MAX - rules.len()));
    let too_long = vec![(Kind::Rules, "a.yml".to_owned(), long)];
    let line = format!("{rules}#{}\n", "x".repeat(200_000));
    let too_much = (0..20).map(|n| (Kind::Rules, format!("{n}.yml"), line.clone())).collect();
    for (documents, status) in [(twice, 400), (too_long, 413), (too_much, 413)] {
        let documents: Vec<(Kind, String, String)> = documents;
        assert_eq!(documents::put_all(ports, &tenant, &documents).await.unwrap_err().status(), status);
    }
    assert!(documents::all(ports, &tenant, Kind::Rules).await.unwrap().is_empty());
}

fn refusing(failures: usize) -> (Bench, Arc<AtomicUsize>) {
    let failures = Arc::new(AtomicUsize::new(failures));
    let handle = failures.clone();
    let bench = Bench::with_ports(1, |mut ports| {
        let failure = || PortError::permanent("blobs", "this block is refused");
        ports.blobs = Arc::new(Broken { inner: ports.blobs, failures: handle, failure });
        ports
    });
    (bench, failures)
}

/// Four records of one shard, as one batch.
async fn four_records(bench: &Bench) -> Vec<ports::Delivered> {
    let caller = bench.caller(KeyKind::Agent, "router").await;
    for value in 1..=4 {
        bench.graphite(&caller, &format!("a {value}\n")).await;
        bench.clock.advance_ms(1_000);
    }
    bench.delivered().await.into_iter().find(|shard| shard.len() == 4).expect("one series, one shard")
}

#[tokio::test]
async fn a_record_that_can_never_be_stored_is_kept_aside_and_its_neighbours_are_stored() {
    // The whole batch, its first half and its first record are refused; the other three pass.
    let (bench, _) = refusing(3);
    let records = four_records(&bench).await;
    aggregate::stream(&bench.context, &records).await.unwrap();
    assert_eq!(bench.number("sum_over_time(a[1m])").await, Some(9.0));
    let aside = Partition::Quarantine(TenantId::default());
    let kept = bench.context.ports.table.query_all(&aside, "", "").await.unwrap();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].sort.starts_with("cannot_be_stored/"), "{}", kept[0].sort);
}

#[tokio::test]
async fn where_nothing_can_be_stored_the_batch_waits_whole() {
    let (bench, failures) = refusing(usize::MAX);
    let records = four_records(&bench).await;
    assert_eq!(aggregate::stream(&bench.context, &records).await.unwrap_err().status(), 500);
    let aside = Partition::Quarantine(TenantId::default());
    assert!(bench.context.ports.table.query_all(&aside, "", "").await.unwrap().is_empty());
    failures.store(0, Ordering::SeqCst);
    aggregate::stream(&bench.context, &records).await.unwrap();
    assert_eq!(bench.number("sum_over_time(a[1m])").await, Some(10.0));
}

#[tokio::test]
async fn a_bad_record_that_comes_alone_is_kept_aside_as_soon_as_a_sample_of_our_own_can_be_stored() {
    // Its block is refused; the block after it, our own, passes.
    let (bench, _) = refusing(1);
    let records = four_records(&bench).await;
    aggregate::stream(&bench.context, &records[..1]).await.unwrap();
    let aside = Partition::Quarantine(TenantId::default());
    assert_eq!(bench.context.ports.table.query_all(&aside, "", "").await.unwrap().len(), 1);
    // Neither can be stored: it waits.
    let (bench, _) = refusing(2);
    let records = four_records(&bench).await;
    assert_eq!(aggregate::stream(&bench.context, &records[..1]).await.unwrap_err().status(), 500);
    assert!(bench.context.ports.table.query_all(&aside, "", "").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_bad_record_larger_than_an_item_is_kept_whole() {
    let bench = Bench::new(1);
    let tenant = TenantId::default();
    for (more, whole) in [(0, false), (1, true)] {
        let bytes = vec![0xfe; aggregate::QUARANTINE_BYTES_MAX + more];
        aggregate::quarantine(&bench.context.ports, &tenant, &bytes, "not_protobuf").await.unwrap();
        let blobs = bench.context.ports.blobs.list(&aggregate::quarantine_blob(&tenant, "")).await.unwrap();
        assert_eq!(blobs.len(), usize::from(whole));
        if let Some(name) = blobs.first() {
            assert_eq!(bench.context.ports.blobs.get(name).await.unwrap().unwrap(), bytes);
        }
    }
}

#[tokio::test]
async fn what_the_on_failure_bucket_holds_is_joined_once_and_then_deleted() {
    let bench = Bench::new(1);
    let records = four_records(&bench).await;
    let blobs = &bench.context.ports.blobs;
    let name = "aws/lambda/mapping/shardId-000000000001/2026/01/01/2026-01-01T00.00.00-object";
    blobs.put(name, Bytes::from_static(b"an invocation record")).await.unwrap();
    // The table fails in a way that may pass: the object stays.
    let faults = embedded::Faults::none();
    faults.set_down(true);
    let broken = pipeline::Context::new(
        ports::Ports {
            table: Arc::new(embedded::Faulty::new(bench.context.ports.table.clone(), faults)),
            ..bench.context.ports.clone()
        },
        bench.context.settings.clone(),
    );
    let read = |_: &[u8]| Ok::<_, String>(records.clone());
    assert_eq!(aggregate::rejoin(&broken, &**blobs, name, read).await.unwrap_err().status(), 503);
    assert!(blobs.get(name).await.unwrap().is_some());
    let joined = aggregate::rejoin(&bench.context, &**blobs, name, read).await.unwrap();
    assert_eq!(joined, aggregate::Rejoined::Joined { records: 4 });
    assert_eq!(blobs.get(name).await.unwrap(), None);
    // The event comes again.
    assert_eq!(aggregate::rejoin(&bench.context, &**blobs, name, read).await.unwrap(), aggregate::Rejoined::Gone);
    assert_eq!(bench.number("sum_over_time(a[1m])").await, Some(10.0));
}

#[tokio::test]
async fn an_object_that_is_no_invocation_record_is_told_and_stays() {
    let bench = Bench::new(1);
    let blobs = &bench.context.ports.blobs;
    blobs.put("notes.txt", Bytes::from_static(b"hello")).await.unwrap();
    let read = |_: &[u8]| Err("not JSON");
    let became = aggregate::rejoin(&bench.context, &**blobs, "notes.txt", read).await.unwrap();
    assert_eq!(became, aggregate::Rejoined::Unreadable);
    assert!(blobs.get("notes.txt").await.unwrap().is_some());
    let aside = Partition::Quarantine(TenantId::default());
    let kept = bench.context.ports.table.query_all(&aside, "", "").await.unwrap();
    assert!(kept[0].sort.starts_with("no_invocation_record/") && kept[0].value.ends_with(b"\nhello"));
}

#[tokio::test]
async fn what_comes_back_from_the_on_failure_bucket_proves_nothing() {
    let bench = Bench::new(1);
    bench.pulse().await;
    let before = pipeline::progress::current_through(&bench.context.ports).await.unwrap();
    bench.clock.advance_ms(10_000);
    pipeline::progress::pulse(&bench.context.ports).await.unwrap();
    let blobs = &bench.context.ports.blobs;
    for (number, records) in bench.delivered().await.into_iter().enumerate() {
        let name = format!("given-up-{number}");
        blobs.put(&name, Bytes::new()).await.unwrap();
        aggregate::rejoin(&bench.context, &**blobs, &name, |_| Ok::<_, String>(records)).await.unwrap();
    }
    assert_eq!(pipeline::progress::current_through(&bench.context.ports).await.unwrap(), before);
}
