//! A Daywatch in memory, with the hands that tests need.

use std::sync::Arc;
use std::time::Duration;

use embedded::{Embedded, ManualClock, Memory, Outgoing};
use pipeline::connect::Connection;
use pipeline::http::Request;
use pipeline::keys::{self, Caller, KeyKind};
use pipeline::wire::{AgentFrame, Batch, Counters, SeriesColumn, ServerFrame};
use pipeline::{
    ConnectionId, Context, DAY_MS, Delivered, Labels, Ports, Sample, Settings, SourceName, TenantId, Timestamp,
    aggregate, connect, ingest, progress, promql, query,
};
use series::Epoch;

/// One.
pub(crate) struct Bench {
    pub(crate) context: Context,
    pub(crate) embedded: Embedded,
    pub(crate) clock: Arc<ManualClock>,
}

impl Bench {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with_ports(seed, |ports| ports)
    }

    /// With ports that are changed, say to fail.
    pub(crate) fn with_ports(seed: u64, change: impl FnOnce(Ports) -> Ports) -> Self {
        let Memory { embedded, clock, .. } = Embedded::memory(seed).unwrap();
        let settings = Settings {
            raw_retention_ms: 30 * DAY_MS,
            external_url: "http://daywatch.invalid".to_owned(),
            websocket_url: "ws://daywatch.invalid/ws".to_owned(),
        };
        Self { context: Context::new(change(embedded.ports()), settings), embedded, clock }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.context.ports.clock.now()
    }

    pub(crate) async fn caller(&self, kind: KeyKind, name: &str) -> Caller {
        let text = keys::create(&self.context.ports, TenantId::default(), kind, name).await.unwrap();
        keys::authenticate_text(&self.context.ports, &text).await.unwrap()
    }

    /// An agent's open connection, its hello accepted.
    pub(crate) async fn agent(&self, name: &str, run_id: &str) -> (Connection, Outgoing) {
        let (connection, outgoing) = self.open(name, run_id).await;
        (connection.expect("the hello is accepted"), outgoing)
    }

    pub(crate) async fn open(&self, name: &str, run_id: &str) -> (Option<Connection>, Outgoing) {
        let caller = self.caller(KeyKind::Agent, "agents").await;
        let id = ConnectionId(format!("{name}-{run_id}-{}", self.now()));
        let outgoing = self.embedded.connections().register(id.clone());
        let connection = connect::connect(&self.context.ports, id, caller, false).await.unwrap();
        let hello = AgentFrame::Hello {
            version: 1,
            source: name.to_owned(),
            epoch: Epoch(1),
            run_id: run_id.to_owned(),
            host: format!("host-of-{run_id}"),
            agent_version: String::new(),
            counters: Counters::default(),
        };
        (connect::hello(&self.context, &connection, &hello).await.unwrap(), outgoing)
    }

    /// Everything that the stream holds, as each shard's reader gets it; again each time.
    pub(crate) async fn delivered(&self) -> Vec<Vec<Delivered>> {
        let shards = self.embedded.shards();
        let mut all = Vec::new();
        for shard in 0..shards.count() {
            let consumer = shards.consumer("bench", shard).await.unwrap();
            all.push(consumer.next_batch(10_000, Duration::ZERO).await.unwrap());
        }
        all
    }

    /// Aggregates whatever is new since the last time.
    pub(crate) async fn aggregate(&self) {
        let shards = self.embedded.shards();
        for shard in 0..shards.count() {
            let mut consumer = shards.consumer("aggregate", shard).await.unwrap();
            let batch = consumer.next_batch(10_000, Duration::ZERO).await.unwrap();
            aggregate::stream(&self.context, &batch).await.unwrap();
            if let Some(last) = batch.last() {
                consumer.commit(&last.sequence).await.unwrap();
            }
        }
    }

    /// A pulse on every shard, and all before it aggregated: the pipeline is current.
    pub(crate) async fn pulse(&self) {
        progress::pulse(&self.context.ports).await.unwrap();
        self.aggregate().await;
    }

    pub(crate) async fn graphite(&self, caller: &Caller, lines: &str) -> ingest::Pushed {
        let request = Request { body: lines.to_owned().into(), ..Request::default() };
        ingest::graphite(&self.context, caller, &request).await.unwrap()
    }

    /// The value of an expression that gives one number.
    pub(crate) async fn number(&self, expr: &str) -> Option<f64> {
        let options = promql::Options::default();
        let result = query::instant(&self.context, &TenantId::default(), expr, self.now(), &options).await.unwrap();
        match result.value {
            promql::Value::Vector(vector) => {
                assert!(vector.len() <= 1, "{expr}: {vector:?}");
                vector.first().map(|(_, sample)| sample.value)
            }
            promql::Value::Scalar(sample) => Some(sample.value),
            other => panic!("{expr}: {other:?}"),
        }
    }
}

/// A batch of one series.
pub(crate) fn batch(source: &str, seq: u64, metric: &str, samples: &[(i64, f64)]) -> Batch {
    let labels = Labels::from_pairs([("__name__", metric), ("source", source)]).unwrap();
    let samples: Vec<Sample> = samples.iter().map(|&(at, value)| Sample { at: Timestamp(at), value }).collect();
    let generated = seq * samples.len() as u64;
    Batch {
        source: SourceName::new(source).unwrap(),
        epoch: Epoch(1),
        seq,
        created_at: samples.last().map_or(Timestamp(0), |sample| sample.at),
        ack_now: false,
        series: vec![SeriesColumn { labels, samples }],
        checks: Vec::new(),
        logs: Vec::new(),
        metadata: Vec::new(),
        counters: Counters { generated, ..Counters::default() },
    }
}

/// The next frame that a connection was sent, without waiting for luck.
pub(crate) async fn frame(outgoing: &mut Outgoing) -> ServerFrame {
    let text = tokio::time::timeout(Duration::from_secs(5), outgoing.next()).await;
    let text = text.expect("a frame within five seconds").expect("the connection is open");
    ServerFrame::from_json(&text).unwrap()
}
