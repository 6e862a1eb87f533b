//! Everything that `daywatch serve` runs, in memory, a second at a time.

use std::sync::Arc;
use std::time::Duration;

use embedded::{Embedded, FaultRates, Faults, Faulty, ManualClock, Memory, MemoryTopic};
use pipeline::documents::{self, Kind};
use pipeline::keys::{self, KeyKind};
use pipeline::wire::{Batch, CheckResult, CheckState, Counters, SeriesColumn, StreamEnvelope, StreamKind};
use pipeline::{Context, DAY_MS, Delivered, Labels, Sample, Settings, SourceName, TenantId, Timestamp, evaluate};
use ports::{Destination, Message, PortError, StreamRecord, Topic};
use series::{Epoch, Lane};

use super::text::{Check, Scenario, Span};

/// A pulse each so many seconds, as in `serve`.
const PULSE_SECONDS: i64 = 5;
const TICK_SECONDS: i64 = 60;
const RECORDS_MAX: usize = 10_000;
/// One call in ten fails, one change in twenty is done and seems to fail.
const FLAKY: FaultRates =
    FaultRates { transient: 100, ambiguous: 50, refused_record: 0, unprocessed: 50, gone: 0, throttled: 0 };

pub(crate) struct World {
    context: Context,
    embedded: Embedded,
    clock: Arc<ManualClock>,
    topic: Arc<MemoryTopic>,
    blobs: Arc<Faults>,
    receiver: Arc<Faults>,
    table: Arc<Faults>,
    start: Timestamp,
}

impl World {
    pub(super) async fn new(scenario: &Scenario) -> Self {
        Self::start(scenario, None).await
    }

    /// With topics of the caller's; what is sent is seen there.
    pub(crate) async fn with_topic(scenario: &Scenario, topic: Arc<dyn Topic>) -> Self {
        Self::start(scenario, Some(topic)).await
    }

    async fn start(scenario: &Scenario, other_topic: Option<Arc<dyn Topic>>) -> Self {
        let Memory { embedded, clock, topic, .. } = Embedded::memory(7).unwrap();
        topic.set_has_topics(scenario.topics);
        let (blobs, receiver, table) = (Faults::none(), Faults::none(), Faults::none());
        let mut ports = embedded.ports();
        ports.blobs = Arc::new(Faulty::new(ports.blobs, blobs.clone()));
        ports.table = Arc::new(Faulty::new(ports.table, table.clone()));
        ports.topic = Arc::new(Faulty::new(other_topic.unwrap_or(ports.topic), receiver.clone()));
        let settings = Settings {
            raw_retention_ms: 30 * DAY_MS,
            external_url: "http://daywatch.invalid".to_owned(),
            websocket_url: "ws://daywatch.invalid/ws".to_owned(),
        };
        let start = ports.clock.now();
        let context = Context::new(ports, settings);
        let tenant = TenantId::default();
        keys::create(&context.ports, tenant.clone(), KeyKind::Agent, "agents").await.unwrap();
        let mut files = vec![(Kind::Rules, "rules".to_owned(), scenario.rules.clone())];
        let routing = "route: {receiver: hook, group_wait: 0s}\nreceivers: [{name: hook, webhook_configs: [{url: 'http://hook.invalid/'}]}]";
        let routing = if scenario.routing.is_empty() { routing } else { &scenario.routing };
        if !(scenario.topics && scenario.routing.is_empty()) {
            files.push((Kind::Alertmanager, "default".to_owned(), routing.to_owned()));
        }
        documents::put_all(&context.ports, &tenant, &files).await.unwrap();
        Self { context, embedded, clock, topic, blobs, receiver, table, start }
    }

    /// One second: what is due comes in, then each function is called for what is new to it. One
    /// that fails is called again in the next second, with the same.
    pub(crate) async fn second(&self, scenario: &Scenario, second: i64) {
        let now = self.start.plus_ms(second * 1_000);
        self.clock.set(now);
        self.blobs.set_down(scenario.during(Span::BlobsFail, second));
        self.receiver.set_down(scenario.during(Span::ReceiverFails, second));
        let flaky = scenario.during(Span::TableFlaky, second);
        self.table.set_rates(if flaky { FLAKY } else { FaultRates::default() });
        if scenario.refuse_at.contains(&second) {
            self.topic.answer_with([Err(PortError::permanent("topic", "404 Not Found"))]);
        }
        if scenario.remove_rules_at.contains(&second) {
            assert!(documents::delete(&self.context.ports, &TenantId::default(), Kind::Rules, "rules").await.unwrap());
        }
        self.put(scenario, second, now).await;
        if second % PULSE_SECONDS == 0 {
            let _ = evaluate_alerts::pulse(&self.context).await;
        }
        self.evaluate_stream().await;
        if scenario.redeliver_at.contains(&second) {
            self.redeliver().await;
        }
        if !scenario.during(Span::AggregateStands, second) {
            self.aggregate().await;
        }
        let _ = evaluate_alerts::changes(&self.context, &TenantId::default()).await;
        self.timers(now).await;
        if second % TICK_SECONDS == 0 {
            let _ = evaluate_alerts::tick(&self.context).await;
        }
    }

    async fn put(&self, scenario: &Scenario, second: i64, now: Timestamp) {
        let due = scenario.samples.iter().filter(|(at, ..)| *at == second);
        for (_, labels, value) in due {
            let source = labels.get("instance").unwrap_or("somebody").to_owned();
            let column = SeriesColumn { labels: labels.clone(), samples: vec![Sample { at: now, value: *value }] };
            self.send(&source, second, now, vec![column], Vec::new()).await;
        }
        for check in scenario.checks.iter().filter(|check| check.second == second) {
            let labels = Labels::from_pairs([
                ("__name__", "check_status"),
                ("check", check.check.as_str()),
                ("instance", check.source.as_str()),
                ("job", "check"),
            ]);
            let sample = Sample { at: now, value: f64::from(check.status) };
            let column = SeriesColumn { labels: labels.unwrap(), samples: vec![sample] };
            self.send(&check.source, second, now, vec![column], vec![result(check, now)]).await;
        }
    }

    async fn send(
        &self,
        source: &str,
        second: i64,
        now: Timestamp,
        series: Vec<SeriesColumn>,
        checks: Vec<CheckResult>,
    ) {
        let (tenant, source) = (TenantId::default(), SourceName::new(source).unwrap());
        let (epoch, seq) = (Epoch(1), u64::try_from(second).unwrap());
        let logs = Vec::new();
        let counters = Counters::default();
        let batch = Batch {
            source: source.clone(),
            epoch,
            seq,
            created_at: now,
            ack_now: false,
            series,
            checks,
            logs,
            metadata: Vec::new(),
            counters,
        };
        let kind = StreamKind::Batch { epoch, seq, batch: batch.encode().into() };
        let lane = Lane::of_source(&tenant, &source);
        let envelope =
            StreamEnvelope { tenant, source, received_at: now, kind, rejected: Vec::new(), connection: None };
        let taken = self.context.ports.stream.put(vec![StreamRecord { lane, data: envelope.encode() }]).await.unwrap();
        assert!(taken.iter().all(Result::is_ok));
    }

    async fn evaluate_stream(&self) {
        for shard in 0..self.embedded.shards().count() {
            let mut consumer = self.embedded.shards().consumer("evaluate-alerts", shard).await.unwrap();
            let batch = consumer.next_batch(RECORDS_MAX, Duration::ZERO).await.unwrap();
            let Some(last) = batch.last() else { continue };
            if evaluate_alerts::stream(&self.context, &batch).await.is_ok() {
                consumer.commit(&last.sequence).await.unwrap();
            }
        }
    }

    async fn redeliver(&self) {
        for shard in 0..self.embedded.shards().count() {
            let consumer = self.embedded.shards().consumer("again", shard).await.unwrap();
            let batch: Vec<Delivered> = consumer.next_batch(RECORDS_MAX, Duration::ZERO).await.unwrap();
            evaluate_alerts::stream(&self.context, &batch).await.unwrap();
        }
    }

    async fn aggregate(&self) {
        for shard in 0..self.embedded.shards().count() {
            let mut consumer = self.embedded.shards().consumer("aggregate", shard).await.unwrap();
            let batch = consumer.next_batch(RECORDS_MAX, Duration::ZERO).await.unwrap();
            let Some(last) = batch.last() else { continue };
            if aggregate::handle(&self.context, &batch).await.is_ok() {
                consumer.commit(&last.sequence).await.unwrap();
            }
        }
    }

    async fn timers(&self, now: Timestamp) {
        let timers = self.embedded.timers();
        for due in timers.due(now).await.unwrap() {
            if evaluate_alerts::wake(&self.context, &due.wake).await.is_ok() {
                timers.done(vec![due]).await.unwrap();
            }
        }
    }

    /// What is active now, `firing Down a, pending Slow b`.
    pub(super) async fn active(&self) -> String {
        // Who asks is no part of the fault; the next second sets the rates again.
        self.table.set_rates(FaultRates::default());
        let alerts = evaluate::alerts(&self.context, &TenantId::default()).await.unwrap();
        let shown = alerts.iter().map(|alert| {
            let label = |name: &str| alert.labels.get(name).map(String::as_str).unwrap_or_default();
            format!("{} {} {}", alert.state, label("alertname"), label("instance")).trim_end().to_owned()
        });
        listed(shown.collect())
    }

    /// The subjects of what was sent since the last call: mail's, the pager's, then the webhooks'.
    pub(super) fn sent(&self) -> String {
        let shown = |message: Message| match message.destination {
            Destination::Pager => format!("pager {}", message.subject),
            Destination::Mail => format!("mail {}", message.subject),
            Destination::Webhook { .. } => message.subject,
        };
        let mut sent = self.topic.take_published();
        // They go out at the same time; what one of them got stays in its order.
        sent.sort_by_key(|message| match message.destination {
            Destination::Mail => 0,
            Destination::Pager => 1,
            Destination::Webhook { .. } => 2,
        });
        listed(sent.into_iter().map(shown).collect())
    }
}

fn listed(words: Vec<String>) -> String {
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

fn result(check: &Check, now: Timestamp) -> CheckResult {
    CheckResult {
        check: check.check.clone(),
        at: now,
        state: CheckState::try_from(check.status).unwrap(),
        hard: check.hard,
        state_since: now,
        text: check.text.clone(),
        perfdata: Vec::new(),
        exit_code: Some(i32::from(check.status)),
        duration_ms: 1,
        interval_ms: 30_000,
        truncated: false,
    }
}
