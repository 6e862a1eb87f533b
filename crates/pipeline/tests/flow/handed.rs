//! What `ingest` hands over in one process, and what is stored as its agent wrote it where nothing is handed over: with it
//! or without, every byte that is stored and every alert is the same.

use pipeline::connect::Connection;
use pipeline::decoded::DecodedBatches;
use pipeline::documents::{self, Kind};
use pipeline::keys::{Caller, KeyKind};
use pipeline::wire::{Contents, SeriesColumn};
use pipeline::{Delivered, Labels, Sample, SourceName, TenantId, aggregate, evaluate, ingest};
use ports::{Partition, PortError};
use proptest::prelude::*;
use series::Epoch;

use crate::bench::Bench;

const SEED: u64 = 11;
const RULES: &str = "groups: [{name: g, rules: [{alert: High, expr: 'm3{host=\"h1\"} > 5'}]}]";

/// Who sends: a key, and agents.
struct Senders {
    caller: Caller,
    agents: Vec<Connection>,
}

/// A Daywatch that hands over so many bytes, and its senders.
async fn daywatch(bytes_max: usize) -> (Bench, Senders) {
    let mut bench = Bench::new(SEED);
    bench.context.decoded = DecodedBatches::with_bytes_max(bytes_max);
    let rules = (Kind::Rules, "f".to_owned(), RULES.to_owned());
    documents::put_all(&bench.context.ports, &TenantId::default(), &[rules]).await.unwrap();
    let caller = bench.caller(KeyKind::Agent, "sender").await;
    let agents = vec![bench.agent("h0", "run").await.0, bench.agent("h1", "run").await.0];
    (bench, Senders { caller, agents })
}

/// An agent's batch: so many values of each of its series, from so many seconds after now on.
fn flush(bench: &Bench, agent: u8, seq: u64, seconds: i64, series: &[Vec<u8>]) -> String {
    let source = SourceName::new(&format!("h{agent}")).unwrap();
    let column = |(number, values): (usize, &Vec<u8>)| {
        let labels = [("__name__", format!("m{number}")), ("host", source.to_string()), ("source", source.to_string())];
        let at = |step: i64| bench.now().plus_ms((seconds + step) * 1_000);
        let samples = (0..).zip(values).map(|(step, value)| Sample { at: at(step), value: f64::from(*value) / 4.0 });
        SeriesColumn { labels: Labels::from_pairs(labels).unwrap(), samples: samples.collect() }
    };
    let contents = Contents { series: series.iter().enumerate().map(column).rev().collect(), ..Contents::default() };
    contents.into_batch(source, Epoch(7), seq, bench.now()).to_payload()
}

/// Everything that is stored of a tenant's samples, and its alerts.
async fn stored(bench: &Bench) -> (Vec<(String, Vec<u8>)>, String) {
    let (ports, tenant) = (&bench.context.ports, TenantId::default());
    let mut all = Vec::new();
    for name in ports.blobs.list("").await.unwrap() {
        let bytes = ports.blobs.get(&name).await.unwrap().unwrap();
        all.push((name, bytes.to_vec()));
    }
    for item in ports.table.query_all(&Partition::Manifest(tenant.clone()), "", "").await.unwrap() {
        all.push((item.sort, item.value.to_vec()));
    }
    let alerts = evaluate::alerts(&bench.context, &tenant).await.unwrap();
    (all, serde_json::to_string(&alerts).unwrap())
}

/// What a step does: push lines, or deliver what is on the stream, some of it again.
#[derive(Debug, Clone)]
enum Step {
    Push(Vec<(u8, u8, i64, u8)>),
    Flush { agent: u8, seconds: i64, series: Vec<Vec<u8>> },
    Deliver { alerts_first: bool, again: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let line = (0_u8..6, 0_u8..4, -1_500_i64..30, 0_u8..12);
    let push = prop::collection::vec(line, 0..40).prop_map(Step::Push);
    let deliver =
        (any::<bool>(), any::<bool>()).prop_map(|(alerts_first, again)| Step::Deliver { alerts_first, again });
    let series = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 1..5);
    let seconds = prop_oneof![4 => -5_i64..5, 1 => -1_500_i64..30];
    let flush = (0_u8..2, seconds, series).prop_map(|(agent, seconds, series)| Step::Flush { agent, seconds, series });
    prop_oneof![1 => push, 3 => flush, 2 => deliver]
}

async fn run(bench: &Bench, senders: &Senders, steps: &[Step]) {
    let mut before: Vec<Vec<Delivered>> = Vec::new();
    for (seq, step) in (1..).zip(steps) {
        bench.clock.advance_ms(1_000);
        match step {
            Step::Push(lines) => {
                let at = |seconds: i64| bench.now().ms() / 1_000 + seconds;
                let line =
                    |&(m, h, seconds, value): &(u8, u8, i64, u8)| format!("m{m};host=h{h} {value} {}\n", at(seconds));
                bench.graphite(&senders.caller, &lines.iter().map(line).collect::<String>()).await;
            }
            Step::Flush { agent, seconds, series } => {
                let payload = flush(bench, *agent, seq, *seconds, series);
                let connection = &senders.agents[usize::from(*agent)];
                ingest::batch(&bench.context, connection, &payload, None).await.unwrap();
            }
            Step::Deliver { alerts_first, again } => {
                let records = bench.delivered().await;
                let judge = async || {
                    for shard in &records {
                        evaluate::stream(&bench.context, shard).await.unwrap();
                    }
                };
                if *alerts_first {
                    judge().await;
                }
                bench.aggregate().await;
                if *again {
                    for shard in before.iter().chain(&records) {
                        aggregate::stream(&bench.context, shard).await.unwrap();
                    }
                }
                if !alerts_first {
                    judge().await;
                }
                before = records;
            }
        }
    }
    bench.aggregate().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn what_is_handed_over_is_what_would_be_read(steps in prop::collection::vec(step(), 1..12), little in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // Also where there is room for some batches only.
            let (handed, sender) = daywatch(if little { 3_000 } else { 1 << 20 }).await;
            let (read, other) = daywatch(0).await;
            run(&handed, &sender, &steps).await;
            run(&read, &other, &steps).await;
            prop_assert_eq!(stored(&handed).await, stored(&read).await);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_direct_alert_fires_from_what_was_handed_over() -> Result<(), PortError> {
    let (bench, Senders { caller, .. }) = daywatch(1 << 20).await;
    let now = bench.now().ms() / 1_000;
    for value in [1, 9] {
        bench.graphite(&caller, &format!("m3;host=h1 {value} {}\nm3;host=h2 9 {now}\n", now + value)).await;
        for shard in bench.delivered().await {
            evaluate::stream(&bench.context, &shard).await.unwrap();
        }
    }
    let (_, alerts) = stored(&bench).await;
    assert!(alerts.contains("\"h1\"") && !alerts.contains("\"h2\""), "{alerts}");
    Ok(())
}
