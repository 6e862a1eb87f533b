//! Some hours of a stack: agents on the manual clock, and what wakes which function, a second at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use broadcast::Broadcaster;
use embedded::{Embedded, ManualClock, Memory};
use lambda::Deadline;
use lambda::connections::Connections;
use lambda::meter::metered;
use lambda::pace::Pace;
use lambda::wakes::PlainWakes;
use pipeline::acks::Acks;
use pipeline::documents::{self, Kind};
use pipeline::keys::{self, KeyKind};
use pipeline::{ConnectionId, Context, TenantId};
use ports::{Clock, Ports, Timestamp};
use serde_json::{Value, json};

use super::counted::counted;
use super::fleet::Agent;
use super::units::{ASSUMED, Meter, Unit, cpu};
use crate::simulator::event;
use crate::simulator::mapping::Batch;
use crate::simulator::process::settings;
use crate::simulator::shards::{Record, Shards};

/// The template: what it sets is read from it.
const TEMPLATE: &str = include_str!("../../../infra/template.yaml");
const STARTER_RULES: &str = include_str!("../../../crates/alerts/starter-rules.yml");
const ROUTING: &str = "route: {receiver: mail}\nreceivers: [{name: mail}]\n";
/// Bytes of START, END and REPORT in Lambda's logs.
const PLATFORM_LINES_BYTES: u64 = 350;
/// Records of one invocation of the mappings without a window.
const RECORDS_MAX: usize = 1_000;

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Agents.
    pub agents: u64,
    /// Series of each.
    pub series: usize,
    /// Shards of the stream.
    pub shards: u64,
    /// The starter rules' interval, s; `None`: nobody alerts.
    pub rules_s: Option<u64>,
    /// Whether somebody has a page of one host open.
    pub page: bool,
    /// Minutes before the counted hour.
    pub warm_up_min: u64,
    /// Minutes that are counted.
    pub minutes: u64,
}

/// What an hour came to.
#[derive(Debug, Clone)]
pub struct Hour {
    /// The plan.
    pub plan: Plan,
    /// Units of the counted minutes, scaled to an hour.
    pub units: BTreeMap<Unit, f64>,
    /// Bytes of objects per hour of data.
    pub blob_bytes: f64,
    /// Batches sent and acknowledged in the whole run.
    pub batches: (u64, u64),
    /// Most samples of one agent that were not stored in the end (a check that the run was whole).
    pub stored: u64,
    /// Units of one reconnect of an agent.
    pub reconnect: BTreeMap<Unit, f64>,
    /// Functions and names of metrics that were sent in the counted minutes.
    pub metrics: BTreeSet<(&'static str, String)>,
}

pub(super) struct Lambda {
    name: &'static str,
    memory_mb: f64,
    pub(super) contexts: Vec<Context>,
    emitted: Vec<Option<Timestamp>>,
}

pub(super) struct Stack {
    plan: Plan,
    pub(super) meter: Arc<Meter>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) embedded: Embedded,
    stream: Shards,
    changes: Shards,
    changes_read: u64,
    read: BTreeMap<(&'static str, usize), usize>,
    gathered_since: BTreeMap<usize, Timestamp>,
    ingest: Lambda,
    pub(super) connect: Lambda,
    aggregate: Lambda,
    evaluate: Lambda,
    broadcast: Lambda,
    pub(super) known: Vec<Connections>,
    broadcasters: Vec<Broadcaster>,
    paces: Vec<Pace>,
    pub(super) agents: Vec<Agent>,
    turn: usize,
    page: Option<(ConnectionId, embedded::Outgoing)>,
    /// The agents' key.
    pub(super) key: String,
}

/// A setting of the template, by the first line that names it.
#[must_use]
pub fn template_number(name: &str) -> f64 {
    let line = TEMPLATE.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
    line.split(':').nth(1).unwrap().trim().parse().unwrap()
}

/// A function's memory, as the template sets it.
fn memory_mb(function: &str) -> f64 {
    let after = TEMPLATE.split(&format!("\n  {function}:\n")).nth(1).unwrap();
    let line = after.lines().find(|line| line.trim_start().starts_with("MemorySize:")).unwrap();
    line.split(':').nth(1).unwrap().trim().parse().unwrap()
}

/// A parameter's default.
fn parameter(name: &str) -> f64 {
    let after = TEMPLATE.split(&format!("\n  {name}:\n")).nth(1).unwrap();
    let line = after.lines().find(|line| line.trim_start().starts_with("Default:")).unwrap();
    line.split(':').nth(1).unwrap().trim().parse().unwrap()
}

#[expect(clippy::cast_possible_truncation, reason = "a few seconds")]
fn freshness_ms() -> i64 {
    parameter("FreshnessSeconds") as i64 * 1_000
}

/// How many alarms the template makes.
#[must_use]
pub fn alarms() -> usize {
    TEMPLATE.matches("Type: AWS::CloudWatch::Alarm").count()
}

fn log_bytes() -> u64 {
    if TEMPLATE.contains("SystemLogLevel: WARN") { 0 } else { PLATFORM_LINES_BYTES }
}

/// Runs a plan.
pub async fn hour(plan: Plan) -> Hour {
    super::metrics::note();
    let mut stack = Stack::new(plan).await;
    for _ in 0..plan.warm_up_min * 60 {
        stack.second().await;
    }
    let (_, _) = (stack.meter.take(), stack.meter.take_metrics());
    let before = stack.meter.blob_bytes();
    for _ in 0..plan.minutes * 60 {
        stack.second().await;
    }
    let (counts, metrics) = (stack.meter.take(), stack.meter.take_metrics());
    let blob_bytes = stack.meter.blob_bytes().saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "counts of an hour")]
    let scale = |count: u64| count as f64 * 60.0 / plan.minutes as f64;
    let batches = stack.agents.iter().fold((0, 0), |sum, agent| (sum.0 + agent.sent, sum.1 + agent.acked));
    let sources = pipeline::sources::all(&stack.aggregate.contexts[0], &TenantId::default()).await.unwrap();
    assert!(sources.iter().all(|source| source.counters.missing == 0), "nothing may be missing");
    let reconnect = stack.reconnects().await;
    Hour {
        plan,
        units: counts.into_iter().map(|(unit, count)| (unit, scale(count))).collect(),
        blob_bytes: scale(blob_bytes),
        batches,
        reconnect,
        metrics,
        stored: sources.iter().map(|source| source.counters.stored).min().unwrap_or(0),
    }
}

fn lambda(name: &'static str, memory_mb: f64, processes: usize, ports: &Ports) -> Lambda {
    let one = |_| {
        let mut context = Context::new(metered(ports.clone()), settings());
        context.acks = Acks::WhenCompacted;
        context
    };
    Lambda { name, memory_mb, contexts: (0..processes).map(one).collect(), emitted: vec![None; processes] }
}

impl Stack {
    async fn new(plan: Plan) -> Self {
        let Memory { embedded, clock, .. } = Embedded::memory(1).unwrap();
        let stream = Shards::new(plan.shards, Arc::clone(&clock) as Arc<dyn Clock>);
        let changes = Shards::new(1, Arc::clone(&clock) as Arc<dyn Clock>);
        let meter = Arc::new(Meter::default());
        let mut plain = embedded.ports();
        plain.stream = Arc::new(stream.clone());
        let ports = counted(&plain, &meter);
        let shards = usize::try_from(plan.shards).unwrap();
        let mut stack = Self {
            plan,
            ingest: lambda("ingest", memory_mb("Ingest"), 2, &ports),
            connect: lambda("ws-connect", memory_mb("WsConnect"), 1, &ports),
            aggregate: lambda("aggregate", memory_mb("Aggregate"), shards + 1, &ports),
            // Its stream, its changes, its wake-ups and its ticks meet in three warm processes.
            evaluate: lambda("evaluate-alerts", memory_mb("EvaluateAlerts"), 3, &ports),
            broadcast: lambda("broadcast", memory_mb("Broadcast"), shards, &ports),
            known: (0..3).map(|_| Connections::default()).collect(),
            broadcasters: (0..shards).map(|_| Broadcaster::default()).collect(),
            paces: (0..shards + 3).map(|_| Pace::default()).collect(),
            meter,
            clock,
            embedded,
            stream,
            changes,
            changes_read: 0,
            read: BTreeMap::new(),
            gathered_since: BTreeMap::new(),
            agents: Vec::new(),
            turn: 0,
            page: None,
            key: String::new(),
        };
        stack.furnish().await;
        stack
    }

    async fn furnish(&mut self) {
        let context = &self.connect.contexts[0];
        let tenant = TenantId::default();
        if let Some(seconds) = self.plan.rules_s {
            let rules: String = STARTER_RULES
                .lines()
                .map(|line| match line.trim_start().strip_prefix("interval:") {
                    // The demo's group stays as it is: nothing sends what it selects.
                    Some(" 1s") | None => format!("{line}\n"),
                    Some(_) => format!("  interval: {seconds}s\n"),
                })
                .collect();
            let files = [
                (Kind::Rules, "starter".to_owned(), rules),
                (Kind::Alertmanager, "default".to_owned(), ROUTING.to_owned()),
            ];
            documents::put_all(&context.ports, &tenant, &files).await.unwrap();
        }
        let key = keys::create(&context.ports, tenant.clone(), KeyKind::Agent, "fleet").await.unwrap();
        let caller = keys::authenticate_text(&context.ports, &key).await.unwrap();
        self.key.clone_from(&key);
        for number in 0..self.plan.agents {
            let id = format!("connection-{number}");
            let outgoing = self.embedded.connections().register(ConnectionId(id.clone()));
            let agent = Agent::new(number, self.plan.series, outgoing, id.clone());
            pipeline::connect::connect(&context.ports, ConnectionId(id.clone()), caller.clone(), false).await.unwrap();
            let said = socket(&id, "hello", &agent.hello());
            ws_connect::event::answer(context, &self.known[2], Deadline::never(), said).await.unwrap();
            self.agents.push(agent);
        }
        if self.plan.page {
            let key = keys::create(&context.ports, tenant, KeyKind::Read, "page").await.unwrap();
            let caller = keys::authenticate_text(&context.ports, &key).await.unwrap();
            let id = ConnectionId("page".to_owned());
            let outgoing = self.embedded.connections().register(id.clone());
            pipeline::connect::connect(&context.ports, id.clone(), caller, true).await.unwrap();
            self.page = Some((id, outgoing));
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn second(&mut self) {
        self.clock.advance_ms(1_000);
        let now = self.now();
        let second = now.ms().div_euclid(1_000);
        let mut agents = std::mem::take(&mut self.agents);
        for agent in &mut agents {
            for frame in agent.second(now).await {
                self.frame(&agent.connection, &frame).await;
            }
        }
        self.agents = agents;
        self.page(second).await;
        for shard in 0..usize::try_from(self.plan.shards).unwrap() {
            self.stream_readers(shard).await;
        }
        self.wakes().await;
        if second.rem_euclid(60) == 0 {
            self.ticks().await;
        }
        self.manifest_changes().await;
    }

    async fn frame(&mut self, connection: &str, frame: &str) {
        self.meter.add(Unit::MessagesIn, frame.len().div_ceil(32 * 1024) as u64);
        self.turn += 1;
        let process = self.turn % self.ingest.contexts.len();
        let said = socket(connection, "batch", frame);
        let (context, known) = (&self.ingest.contexts[process], &self.known[process]);
        let before = begin(&self.meter);
        let answered = ingest::event::answer(context, known, Deadline::never(), said).await.unwrap();
        let now = self.clock.now();
        ended(&self.meter, &mut self.ingest, process, before, now);
        assert_eq!(answered["statusCode"], 200, "{answered}");
    }

    /// A page subscribes each 30 s, and reads what it is sent.
    async fn page(&mut self, second: i64) {
        let Some((id, outgoing)) = &mut self.page else { return };
        while futures_util::FutureExt::now_or_never(outgoing.next()).flatten().is_some() {}
        if second.rem_euclid(30) != 0 {
            return;
        }
        let host = self.agents[0].name.as_str();
        let frame = json!({"action": "subscribe", "id": "1", "match": [format!("{{source=\"{host}\"}}")]}).to_string();
        self.meter.add(Unit::MessagesIn, 1);
        let said = socket(&id.0, "subscribe", &frame);
        let before = begin(&self.meter);
        ws_connect::event::answer(&self.connect.contexts[0], &self.known[2], Deadline::never(), said).await.unwrap();
        let now = self.clock.now();
        ended(&self.meter, &mut self.connect, 0, before, now);
    }

    /// What a consumer has not had of a shard, at most so many.
    fn unread(&mut self, consumer: &'static str, shard: usize, most: usize) -> Vec<Record> {
        let read = self.read.entry((consumer, shard)).or_default();
        let new: Vec<Record> =
            self.stream.with(|shards| shards[shard].records.iter().skip(*read).take(most).cloned().collect());
        *read += new.len();
        new
    }

    fn has_unread(&self, consumer: &'static str, shard: usize) -> bool {
        let read = self.read.get(&(consumer, shard)).copied().unwrap_or(0);
        self.stream.with(|shards| shards[shard].records.len() > read)
    }

    async fn stream_readers(&mut self, shard: usize) {
        let now = self.now();
        let batch = |records| Batch::first(shard, format!("shardId-{shard:012}"), records);
        if self.has_unread("aggregate", shard) {
            let since = *self.gathered_since.entry(shard).or_insert(now);
            if since.plus_ms(freshness_ms()) <= now {
                self.gathered_since.remove(&shard);
                let records = self.unread("aggregate", shard, 10_000);
                let event = event::kinesis(&batch(records));
                let context = &self.aggregate.contexts[shard];
                let before = begin(&self.meter);
                let failed = context.ports.blobs.clone();
                aggregate::event::answer(context, &Nothing(failed), &self.paces[shard], Deadline::never(), event)
                    .await
                    .unwrap();
                ended(&self.meter, &mut self.aggregate, shard, before, now);
            }
        }
        loop {
            let records = self.unread("evaluate", shard, RECORDS_MAX);
            if records.is_empty() {
                break;
            }
            let event = event::kinesis(&batch(records));
            self.evaluate(0, event).await;
        }
        loop {
            let records = self.unread("broadcast", shard, RECORDS_MAX);
            if records.is_empty() {
                break;
            }
            let event = event::kinesis(&batch(records));
            let before = begin(&self.meter);
            let (context, broadcaster) = (&self.broadcast.contexts[shard], &mut self.broadcasters[shard]);
            broadcast::event::answer(context, broadcaster, Deadline::never(), event).await.unwrap();
            ended(&self.meter, &mut self.broadcast, shard, before, now);
        }
    }

    async fn evaluate(&mut self, process: usize, event: Value) {
        let pace = &self.paces[self.paces.len() - 1];
        let before = begin(&self.meter);
        let context = &self.evaluate.contexts[process];
        evaluate_alerts::event::answer(context, &PlainWakes, pace, Deadline::never(), event).await.unwrap();
        let now = self.clock.now();
        ended(&self.meter, &mut self.evaluate, process, before, now);
    }

    async fn wakes(&mut self) {
        let due = self.embedded.timers().due(self.now()).await.unwrap();
        for one in &due {
            let body = serde_json::to_string(&one.wake).unwrap();
            // Received and deleted, and the note removed.
            self.meter.add(Unit::Sqs, 2);
            self.meter.add(Unit::Writes("wake-ups"), 1);
            self.evaluate(1, event::message(1, &body, 1)).await;
        }
        self.embedded.timers().done(due).await.unwrap();
    }

    async fn ticks(&mut self) {
        let now = self.now();
        self.evaluate(2, event::scheduled(now)).await;
        let every = if TEMPLATE.contains("rate(5 minutes)") { 5 } else { 1 };
        if now.ms().div_euclid(60_000).rem_euclid(every) != 0 {
            return;
        }
        let process = self.aggregate.contexts.len() - 1;
        let context = &self.aggregate.contexts[process];
        let before = begin(&self.meter);
        let failed = Nothing(context.ports.blobs.clone());
        let pace = &self.paces[self.paces.len() - 2];
        let event = event::scheduled(now);
        aggregate::event::answer(context, &failed, pace, Deadline::never(), event).await.unwrap();
        ended(&self.meter, &mut self.aggregate, process, before, now);
    }

    async fn manifest_changes(&mut self) {
        let new = self.embedded.changes().next(self.changes_read, 1_000).await.unwrap();
        for change in new {
            self.changes_read = change.sequence;
            let key = format!("manifest#{}", change.tenant);
            self.changes.put_raw(&key, 0, change.sort.into_bytes().into());
        }
        let read = self.read.entry(("changes", 0)).or_default();
        let records: Vec<Record> = self.changes.with(|shards| shards[0].records.iter().skip(*read).cloned().collect());
        *read += records.len();
        for part in records.chunks(100) {
            let batch = Batch::first(0, "changes".to_owned(), part.to_vec());
            self.evaluate(1, event::changes(&batch)).await;
        }
    }
}

/// The on-failure bucket, which is empty: listing it is counted.
struct Nothing(Arc<dyn ports::Blobs>);

#[async_trait::async_trait]
impl ports::Blobs for Nothing {
    async fn put(&self, name: &str, bytes: bytes::Bytes) -> Result<(), ports::PortError> {
        self.0.put(name, bytes).await
    }

    async fn get(&self, name: &str) -> Result<Option<bytes::Bytes>, ports::PortError> {
        self.0.get(name).await
    }

    async fn delete(&self, name: &str) -> Result<(), ports::PortError> {
        self.0.delete(name).await
    }

    async fn list(&self, _: &str) -> Result<Vec<String>, ports::PortError> {
        self.0.list("aws/lambda/").await
    }
}

pub(super) fn begin(meter: &Meter) -> std::time::Duration {
    meter.begin();
    cpu()
}

pub(super) fn ended(meter: &Meter, lambda: &mut Lambda, process: usize, before: std::time::Duration, now: Timestamp) {
    meter.end(lambda.name, lambda.memory_mb, cpu().saturating_sub(before));
    meter.add(Unit::LogBytes, log_bytes());
    let due = lambda.emitted[process].is_none_or(|at| at.plus_ms(lambda::meter::EMIT_EVERY_MS) <= now);
    if due {
        lambda.emitted[process] = Some(now);
        meter.add(Unit::LogBytes, ASSUMED.metric_line_bytes);
    }
}

/// A message on a websocket, as API Gateway tells of it.
pub(super) fn socket(connection: &str, route: &str, body: &str) -> Value {
    json!({
        "requestContext": {
            "routeKey": route,
            "eventType": "MESSAGE",
            "extendedRequestId": "TWegAcC4EowCHnA=",
            "requestTime": "14/Nov/2023:00:00:00 +0000",
            "messageDirection": "IN",
            "stage": "live",
            "connectedAt": 1_699_920_000_000_i64,
            "requestTimeEpoch": 1_699_920_000_001_i64,
            "identity": {"sourceIp": "203.0.113.7", "userAgent": "daywatch-agent"},
            "requestId": "TWegAcC4EowCHnA=",
            "domainName": "w1x2y3z4a5.execute-api.us-east-1.amazonaws.com",
            "connectionId": connection,
            "apiId": "w1x2y3z4a5",
            "messageId": "TWegBcfrDoECJ1Q=",
        },
        "isBase64Encoded": false,
        "body": body,
    })
}
