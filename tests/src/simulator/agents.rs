//! The senders: agents that keep a batch until it is acknowledged, and a router that pushes lines.
//! They keep the truth of what they made and of what was acknowledged to them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use embedded::{Embedded, Outgoing, SeededRandom};
use futures_util::FutureExt;
use pipeline::connect::Connection;
use pipeline::http::Request;
use pipeline::keys::{self, Caller, KeyKind};
use pipeline::wire::{AgentFrame, Batch, CheckResult, CheckState, Counters, SeriesColumn, ServerFrame};
use pipeline::{ConnectionId, Context, Labels, Sample, SourceName, TenantId, Timestamp};
use series::Epoch;

use super::plan::STEP_MS;

/// Series of the first agent and of the second, beside their checks.
const SERIES: [usize; 2] = [2, 7];
/// Lines of one push.
const LINES: usize = 4;
/// A state of the check holds for at least so many steps.
const STATE_STEPS_MIN: u64 = 2;

/// Identity of a sample: series and instant.
pub type Identity = (String, i64);

/// What a sender knows.
#[derive(Default)]
pub struct Sent {
    /// Everything that it made, the winner of each identity.
    pub made: BTreeMap<Identity, f64>,
    /// Since when each was acknowledged.
    pub acknowledged: BTreeMap<Identity, Timestamp>,
}

impl Sent {
    fn make(&mut self, series: String, at: Timestamp, value: f64) {
        let known = self.made.entry((series, at.ms())).or_insert(value);
        if known.total_cmp(&value).is_lt() {
            *known = value;
        }
    }
}

/// An agent.
pub struct Agent {
    /// Its name.
    pub name: String,
    series: usize,
    connection: Connection,
    outgoing: Outgoing,
    epoch: Epoch,
    seq: u64,
    /// Batches that are not acknowledged, in their order.
    waiting: BTreeMap<u64, Batch>,
    generated: u64,
    /// What it knows.
    pub sent: Sent,
    critical: bool,
    state_until: u64,
    /// When its check changed its state, and whether it is critical from then on.
    pub flips: Vec<(Timestamp, bool)>,
}

impl Agent {
    /// Connected, its hello answered.
    pub async fn new(context: &Context, embedded: &Embedded, number: usize) -> Self {
        let name = format!("web-{number}");
        let ports = &context.ports;
        let key = keys::create(ports, TenantId::default(), KeyKind::Agent, &name).await.unwrap();
        let caller = keys::authenticate_text(ports, &key).await.unwrap();
        let id = ConnectionId(format!("connection-{number}"));
        let outgoing = embedded.connections().register(id.clone());
        let connection = pipeline::connect::connect(ports, id, caller, false).await.unwrap();
        let epoch = Epoch(1);
        let hello = AgentFrame::Hello {
            version: 1,
            source: name.clone(),
            epoch,
            run_id: "run".to_owned(),
            host: name.clone(),
            agent_version: String::new(),
            counters: Counters::default(),
        };
        let connection = pipeline::connect::hello(context, &connection, &hello).await.unwrap().unwrap();
        Self {
            name,
            series: SERIES[number % SERIES.len()],
            connection,
            outgoing,
            epoch,
            seq: 0,
            waiting: BTreeMap::new(),
            generated: 0,
            sent: Sent::default(),
            critical: false,
            state_until: STATE_STEPS_MIN,
            flips: Vec::new(),
        }
    }

    /// One step's batch: samples, the check's state, and sometimes a second value for an instant
    /// that has one already.
    pub fn collect(&mut self, now: Timestamp, step: u64, random: &mut SeededRandom) {
        if step >= self.state_until {
            self.state_until = step + STATE_STEPS_MIN + random.below(6);
            self.critical = !self.critical;
            self.flips.push((now, self.critical));
        }
        let mut columns = Vec::new();
        for number in 0..self.series {
            let mut samples = Vec::new();
            if number == 0 && step > 0 && random.chance(150) {
                samples.push(self.sample(&format!("load{number}"), now.plus_ms(-STEP_MS), random));
            }
            samples.push(self.sample(&format!("load{number}"), now, random));
            let labels = [
                ("__name__", "sim"),
                ("id", &format!("{}/load{number}", self.name)),
                ("instance", &self.name),
                ("source", &self.name),
            ];
            columns.push(SeriesColumn { labels: Labels::from_pairs(labels).unwrap(), samples });
        }
        let status = if self.critical { 2.0 } else { 0.0 };
        let labels = Labels::from_pairs([
            ("__name__", "check_status"),
            ("check", "disk"),
            ("instance", &self.name),
            ("source", &self.name),
        ]);
        columns.push(SeriesColumn { labels: labels.unwrap(), samples: vec![Sample { at: now, value: status }] });
        self.generated += columns.iter().map(|column| column.samples.len() as u64).sum::<u64>();
        self.seq += 1;
        let batch = Batch {
            source: SourceName::new(&self.name).unwrap(),
            epoch: self.epoch,
            seq: self.seq,
            created_at: now,
            ack_now: false,
            series: columns,
            checks: vec![self.result(now)],
            logs: Vec::new(),
            metadata: Vec::new(),
            counters: self.counters(),
        };
        self.waiting.insert(self.seq, batch);
    }

    fn sample(&mut self, series: &str, at: Timestamp, random: &mut SeededRandom) -> Sample {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let value = random.below(1_000_000) as f64;
        self.sent.make(format!("{}/{series}", self.name), at, value);
        Sample { at, value }
    }

    fn result(&self, now: Timestamp) -> CheckResult {
        CheckResult {
            check: "disk".to_owned(),
            at: now,
            state: if self.critical { CheckState::Critical } else { CheckState::Ok },
            hard: true,
            state_since: self.flips.last().map_or(now, |flip| flip.0),
            text: if self.critical { "DISK CRITICAL" } else { "DISK OK" }.to_owned(),
            perfdata: Vec::new(),
            exit_code: Some(0),
            duration_ms: 1,
            interval_ms: 10_000,
            truncated: false,
        }
    }

    fn counters(&self) -> Counters {
        let samples = |batch: &Batch| batch.series.iter().map(|column| column.samples.len() as u64).sum::<u64>();
        Counters {
            generated: self.generated,
            buffered: self.waiting.values().map(samples).sum(),
            ..Counters::default()
        }
    }

    /// The frame of the oldest batch that is not acknowledged: one at a time keeps their order.
    #[must_use]
    pub fn oldest(&self) -> Option<(u64, Connection, AgentFrame)> {
        let (seq, batch) = self.waiting.first_key_value()?;
        let frame = AgentFrame::Batch { payload: STANDARD.encode(batch.encode()), epoch: None, seq: None };
        Some((*seq, self.connection.clone(), frame))
    }

    /// A sign of life with the ledger.
    #[must_use]
    pub fn heartbeat(&self) -> (Connection, AgentFrame) {
        (self.connection.clone(), AgentFrame::Heartbeat { epoch: self.epoch, counters: self.counters() })
    }

    /// Whether a batch waits for its ack.
    #[must_use]
    pub fn is_waiting_for(&self, seq: u64) -> bool {
        self.waiting.contains_key(&seq)
    }

    /// Reads the acks that have come.
    pub fn hear(&mut self, now: Timestamp) {
        while let Some(Some(text)) = self.outgoing.next().now_or_never() {
            let Ok(ServerFrame::Ack { epoch, ranges, .. }) = ServerFrame::from_json(&text) else { continue };
            assert_eq!(epoch, self.epoch, "an ack of another epoch");
            for seq in ranges.iter().flat_map(|range| range.from..=range.to) {
                let Some(batch) = self.waiting.remove(&seq) else { continue };
                for column in &batch.series {
                    let Some(series) = column.labels.get("id") else { continue };
                    for sample in &column.samples {
                        self.sent.acknowledged.entry((series.to_owned(), sample.at.ms())).or_insert(now);
                    }
                }
            }
        }
    }
}

/// A router that pushes Graphite lines, and pushes them again until they are taken.
pub struct Router {
    /// Its name.
    pub name: String,
    caller: Caller,
    waiting: Vec<(String, Vec<(Identity, f64)>)>,
    /// What it knows.
    pub sent: Sent,
}

impl Router {
    /// With a key of its own.
    pub async fn new(context: &Context) -> Self {
        let name = "router".to_owned();
        let key = keys::create(&context.ports, TenantId::default(), KeyKind::Agent, &name).await.unwrap();
        let caller = keys::authenticate_text(&context.ports, &key).await.unwrap();
        Self { name, caller, waiting: Vec::new(), sent: Sent::default() }
    }

    /// One step's lines.
    pub fn collect(&mut self, now: Timestamp, random: &mut SeededRandom) {
        let (mut lines, mut samples) = (String::new(), Vec::new());
        for number in 0..LINES {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let value = random.below(1_000_000) as f64;
            let series = format!("router/{number}");
            writeln!(lines, "sim;id={series} {value} {}", now.ms()).unwrap();
            self.sent.make(series.clone(), now, value);
            samples.push(((series, now.ms()), value));
        }
        self.waiting.push((lines, samples));
    }

    /// The oldest body that was not taken.
    #[must_use]
    pub fn oldest(&self) -> Option<(Caller, Request)> {
        let (lines, _) = self.waiting.first()?;
        Some((self.caller.clone(), Request { body: lines.clone().into(), ..Request::default() }))
    }

    /// It was taken.
    pub fn taken(&mut self, now: Timestamp) {
        for (identity, _) in self.waiting.remove(0).1 {
            self.sent.acknowledged.entry(identity).or_insert(now);
        }
    }
}
