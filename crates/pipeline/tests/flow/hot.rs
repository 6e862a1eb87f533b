//! The hot two hours in memory: with them or without, every query gives the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use pipeline::head::{self, HEAD_SPAN_MS, Head};
use pipeline::keys::KeyKind;
use pipeline::promql::{Selection, Storage, parse_selector};
use pipeline::wire::{Batch, SeriesColumn};
use pipeline::{Context, HOUR_MS, Labels, PortError, Ports, Sample, TenantId, Timestamp, aggregate, read};
use proptest::prelude::*;
use series::stale_marker;

use crate::bench::{Bench, batch};

const MINUTE: i64 = 60_000;

/// The same Daywatch twice: `hot` with a head, `plain` without.
struct Pair {
    bench: Bench,
    plain: Context,
    seq: u64,
}

impl Pair {
    async fn new(head: Head, change: impl FnOnce(Ports) -> Ports) -> Self {
        let mut bench = Bench::with_ports(7, change);
        let plain = Context::new(bench.context.ports.clone(), bench.context.settings.clone());
        bench.context = bench.context.with_head(head);
        bench.caller(KeyKind::Agent, "agents").await;
        Self { bench, plain, seq: 0 }
    }

    fn head(&self) -> &Head {
        self.bench.context.head.as_ref().unwrap()
    }

    /// Puts a batch on the stream, without aggregating it.
    async fn send(&mut self, series: &[(&str, &[(i64, f64)])]) {
        self.seq += 1;
        let mut sent: Batch = batch("web-1", self.seq, "none", &[]);
        sent.created_at = self.bench.now();
        sent.series = series
            .iter()
            .map(|(name, samples)| SeriesColumn {
                labels: Labels::from_pairs([("__name__", *name), ("source", "web-1")]).unwrap(),
                samples: samples.iter().map(|&(at, value)| Sample { at: Timestamp(at), value }).collect(),
            })
            .collect();
        let (connection, _outgoing) = self.bench.agent("web-1", "run").await;
        pipeline::ingest::batch(&self.bench.context, &connection, &sent.to_payload(), None).await.unwrap();
    }

    async fn check(&self, text: &str, from: i64, to: i64) -> usize {
        let matchers = if text.is_empty() { Vec::new() } else { parse_selector(text).unwrap() };
        let selection = Selection { matchers, from: Timestamp(from), to: Timestamp(to), rollup: None, near: None };
        let (hot, plain) = (&self.bench.context, &self.plain);
        let with = samples(hot, std::slice::from_ref(&selection)).await;
        assert_eq!(with, samples(plain, std::slice::from_ref(&selection)).await, "{text} from {from} to {to}");
        let tenant = TenantId::default();
        let labels = read::labels(hot, &tenant, std::slice::from_ref(&selection)).await.unwrap();
        assert_eq!(labels, read::labels(plain, &tenant, &[selection]).await.unwrap());
        with.values().map(Vec::len).sum()
    }
}

async fn samples(context: &Context, selections: &[Selection]) -> BTreeMap<Labels, Vec<(i64, u64)>> {
    let loaded = read::load(context, &TenantId::default(), selections).await.unwrap();
    let (from, to) = (selections[0].from, selections[0].to);
    let found = loaded.select(&selections[0].matchers, from, to).unwrap();
    let bits = |samples: &[Sample]| samples.iter().map(|sample| (sample.at.ms(), sample.value.to_bits())).collect();
    found.into_iter().map(|series| (series.labels, bits(&series.samples))).collect()
}

#[tokio::test]
async fn what_is_stored_is_shown_from_memory_and_what_is_not_stored_is_not() {
    let mut pair = Pair::new(Head::default(), |ports| ports).await;
    let now = pair.bench.now().ms();
    let tenant = TenantId::default();
    assert_eq!(pair.head().complete_from(&tenant), None, "until it is filled, blocks are read");
    pair.send(&[("a", &[(now - 90 * MINUTE, 1.0), (now - 2, 2.0)]), ("b", &[(now - 1, 3.0)])]).await;
    pair.bench.aggregate().await;
    assert_eq!(pair.check("", now - HOUR_MS * 3, now).await, 3);
    head::refresh(&pair.bench.context).await.unwrap();
    assert_eq!(pair.head().complete_from(&tenant), Some(Timestamp(now - HEAD_SPAN_MS)));
    assert_eq!((pair.check("", now - HOUR_MS * 3, now).await, pair.head().size().0), (3, 2));
    pair.send(&[("a", &[(now, 5.0)])]).await;
    assert_eq!(pair.check("a", now - HOUR_MS, now).await, 1, "accepted, and not yet stored");
    pair.bench.aggregate().await;
    assert_eq!(pair.check("a", now - HOUR_MS, now).await, 2);
    // Time goes on, and the floor with it.
    pair.bench.clock.advance_ms(HEAD_SPAN_MS - HOUR_MS);
    head::refresh(&pair.bench.context).await.unwrap();
    assert_eq!(pair.check("", now - HOUR_MS * 3, now).await, 4);
    pair.bench.clock.advance_ms(HEAD_SPAN_MS);
    head::refresh(&pair.bench.context).await.unwrap();
    assert_eq!((pair.check("", now - HOUR_MS * 3, now).await, pair.head().size().0), (4, 0));
}

#[tokio::test]
async fn what_does_not_fit_is_read_from_blocks() {
    let mut pair = Pair::new(Head::with_bytes_max(40_000), |ports| ports).await;
    let now = pair.bench.now().ms();
    head::refresh(&pair.bench.context).await.unwrap();
    for step in 0..20 {
        let at = now - (20 - step) * 5 * MINUTE;
        let names: Vec<String> = (0..50).map(|n| format!("m{n}")).collect();
        let samples: Vec<(i64, f64)> = (0..20).map(|n| (at + n * 1_000, (n as f64).sqrt())).collect();
        let series: Vec<(&str, &[(i64, f64)])> = names.iter().map(|name| (name.as_str(), samples.as_slice())).collect();
        pair.send(&series).await;
        pair.bench.aggregate().await;
        assert!(pair.head().size().1 <= 60_000, "{:?}", pair.head().size());
        assert_eq!(pair.check("", now - HEAD_SPAN_MS, now).await, (step as usize + 1) * 1_000);
    }
    let from = pair.head().complete_from(&TenantId::default()).unwrap();
    assert!(from > Timestamp(now - HEAD_SPAN_MS));
}

/// Stores the item and says that it did not, while told to.
struct Lying {
    inner: Arc<dyn ports::Table>,
    lies: Arc<AtomicBool>,
}

#[async_trait]
impl ports::Table for Lying {
    async fn get(&self, key: &ports::Key) -> Result<Option<ports::Item>, PortError> {
        self.inner.get(key).await
    }
    async fn get_many(&self, keys: &[ports::Key]) -> Result<ports::GotMany, PortError> {
        self.inner.get_many(keys).await
    }
    async fn query(
        &self,
        partition: &ports::Partition,
        from: &str,
        to: &str,
        after: Option<&str>,
    ) -> Result<ports::Page, PortError> {
        self.inner.query(partition, from, to, after).await
    }
    async fn write(&self, write: ports::Write) -> Result<ports::Written, PortError> {
        let written = self.inner.write(write).await?;
        if self.lies.load(Ordering::SeqCst) {
            return Err(PortError::transient("table", "the answer was lost"));
        }
        Ok(written)
    }
    async fn write_all(&self, writes: Vec<ports::Write>) -> Result<ports::WrittenAll, PortError> {
        self.inner.write_all(writes).await
    }
    async fn write_many(&self, writes: Vec<ports::Write>) -> Result<Vec<ports::Write>, PortError> {
        self.inner.write_many(writes).await
    }
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_puts_the_head_in_doubt_until_it_is_filled_again() {
    let lies = Arc::new(AtomicBool::new(false));
    let handle = lies.clone();
    let change = |mut ports: Ports| {
        ports.table = Arc::new(Lying { inner: ports.table, lies: handle });
        ports
    };
    let mut pair = Pair::new(Head::default(), change).await;
    let (now, tenant) = (pair.bench.now().ms(), TenantId::default());
    head::refresh(&pair.bench.context).await.unwrap();
    pair.send(&[("a", &[(now, 1.0)])]).await;
    let shard = pair.bench.delivered().await.into_iter().find(|shard| !shard.is_empty()).unwrap();
    lies.store(true, Ordering::SeqCst);
    aggregate::stream(&pair.bench.context, &shard).await.unwrap_err();
    lies.store(false, Ordering::SeqCst);
    assert_eq!(pair.head().complete_from(&tenant), None);
    assert_eq!(pair.check("a", now, now).await, 1, "it is in the manifest, and so it is shown");
    head::refresh(&pair.bench.context).await.unwrap();
    assert!(pair.head().complete_from(&tenant).is_some());
    assert_eq!(pair.check("a", now, now).await, 1);
}

#[derive(Debug, Clone)]
enum Step {
    /// Series, minutes ago, samples, kind of value.
    Send(u8, i64, u8, u8),
    Aggregate,
    Again,
    Wait(i64),
    Compact,
    Refresh,
    Ask(i64, i64, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_u8..4, prop_oneof![4 => 0_i64..3, 1 => 0_i64..200], 1_u8..40, 0_u8..4)
            .prop_map(|(series, ago, count, kind)| Step::Send(series, ago, count, kind)),
        4 => Just(Step::Aggregate),
        1 => Just(Step::Again),
        2 => (1_i64..40).prop_map(Step::Wait),
        1 => Just(Step::Compact),
        1 => Just(Step::Refresh),
        3 => (0_i64..260, 0_i64..260, 0_u8..5).prop_map(|(from, to, what)| Step::Ask(from, to, what)),
    ];
    proptest::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn head_and_blocks_together_show_what_blocks_show(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}

async fn run(steps: Vec<Step>) {
    let mut pair = Pair::new(Head::default(), |ports| ports).await;
    head::refresh(&pair.bench.context).await.unwrap();
    let matchers = ["", "m0", "{__name__=~\"m[12]\"}", "{__name__!=\"m1\",source=\"web-1\"}", "m9"];
    for step in steps {
        let now = pair.bench.now().ms();
        match step {
            Step::Send(series, ago, count, kind) => {
                let value = |n: i64| [1.0, n as f64 * 0.5, (n as f64).sqrt(), stale_marker()][usize::from(kind)];
                let start = now - ago * MINUTE;
                let samples: Vec<(i64, f64)> =
                    (0..i64::from(count)).map(|n| (start - n * 5_000, value(n))).rev().collect();
                pair.send(&[(&format!("m{series}"), &samples)]).await;
            }
            Step::Aggregate => pair.bench.aggregate().await,
            Step::Again => {
                for shard in pair.bench.delivered().await {
                    aggregate::stream(&pair.bench.context, &shard).await.unwrap();
                }
            }
            Step::Wait(minutes) => pair.bench.clock.advance_ms(minutes * MINUTE),
            Step::Compact => aggregate::compact(&pair.bench.context).await.unwrap(),
            Step::Refresh => head::refresh(&pair.bench.context).await.unwrap(),
            Step::Ask(from, to, what) => {
                let (from, to) = (now - from.max(to) * MINUTE, now - from.min(to) * MINUTE);
                pair.check(matchers[usize::from(what)], from, to).await;
            }
        }
    }
    let now = pair.bench.now().ms();
    pair.check("", now - 10 * HOUR_MS, now).await;
}
