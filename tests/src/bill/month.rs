//! A few simulated hours become a month at any scale, and a price.
//!
//! Every unit is fitted as `fixed + a shard × shards + an agent × agents` from three hours: few agents,
//! more agents, and few on more shards. A month of just as many agents as were counted is what was counted.
//! With an agent's messages, records and items the plane is what they are; invocations that many agents share, and
//! caches, make the greater ones cheaper than that.

use std::collections::BTreeMap;

use super::prices::{self, Prices};
use super::reconnect::CONNECTION_MINUTES;
use super::shift::{Hour, Plan, alarms, hour, template_number};
use super::units::Unit;

/// Hours of a month.
pub const HOURS: f64 = 730.0;
/// How full a shard may be of records and bytes a second: flushes come in the first third of a minute.
const SHARD_RECORDS: f64 = 1_000.0 / 3.0;
const SHARD_BYTES: f64 = 1_000_000.0 / 3.0;
/// An hour of page is looked at on 22 days, 4 h each.
const PAGE_HOURS: f64 = 88.0;
/// How many alerts an agent has in a month: owed, sent, resolved.
const ALERTS: f64 = 1.0;
/// Days that samples are kept.
const RETENTION_DAYS: f64 = 30.0;
/// Bytes a sample at rest, compacted (decision 012).
const BYTES_AT_REST: f64 = 2.0;

/// Days for which the bucket keeps what was replaced, and its bytes a sample over the levels below a day.
const REPLACED_DAYS: f64 = 7.0;
const REPLACED_BYTES: f64 = 3.3 + 2.3 + 2.0;
/// Bytes of a five-minute rollup (of thirty samples) at rest, and months for which it is kept.
const ROLLUP_BYTES: f64 = 10.0;
const ROLLUP_MONTHS: f64 = 13.0;

/// How fast rules need samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alerting {
    /// Nobody alerts.
    Nobody,
    /// The starter rules, at this interval in seconds.
    Starter(u64),
}

/// Units an hour as a plane over shards and agents.
pub struct Measured {
    alerting: Alerting,
    fit: BTreeMap<Unit, (f64, f64, f64)>,
    page: BTreeMap<Unit, f64>,
    series: usize,
    /// The hours that it was fitted to.
    pub hours: Vec<Hour>,
}

/// One line of the bill.
#[derive(Debug, Clone)]
pub struct Part {
    /// What.
    pub name: String,
    /// $ a month.
    pub dollars: f64,
}

/// A month.
#[derive(Debug, Clone)]
pub struct Bill {
    /// Its parts, the dearest first.
    pub parts: Vec<Part>,
    /// Shards of the stream.
    pub shards: f64,
}

impl Bill {
    /// $ a month.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.parts.iter().map(|part| part.dollars).sum()
    }
}

impl Measured {
    /// Runs the hours.
    pub async fn of(alerting: Alerting, base: Plan, few: u64) -> Self {
        let rules_s = match alerting {
            Alerting::Nobody => None,
            Alerting::Starter(seconds) => Some(seconds),
        };
        let base = Plan { rules_s, ..base };
        let little = hour(Plan { agents: few, ..base }).await;
        let more = hour(base).await;
        let wide = hour(Plan { agents: few, shards: base.shards + 1, ..base }).await;
        let paged = hour(Plan { agents: few, page: true, ..base }).await;
        let of = |hour: &Hour, unit: &Unit| hour.units.get(unit).copied().unwrap_or(0.0);
        let units = [&little, &more, &wide, &paged].into_iter().flat_map(|hour| hour.units.keys().copied());
        let units: std::collections::BTreeSet<Unit> = units.collect();
        #[expect(clippy::cast_precision_loss, reason = "hundreds")]
        let (apart, shards, agents) = ((base.agents - few) as f64, base.shards as f64, base.agents as f64);
        let fit = |unit: &Unit| {
            let agent = ((of(&more, unit) - of(&little, unit)) / apart).max(0.0);
            let shard = (of(&wide, unit) - of(&little, unit)).max(0.0);
            let fixed = (of(&more, unit) - agent * agents - shard * shards).max(0.0);
            (fixed, shard, agent)
        };
        Self {
            alerting,
            fit: units.iter().map(|unit| (*unit, fit(unit))).collect(),
            page: units.iter().map(|unit| (*unit, (of(&paged, unit) - of(&little, unit)).max(0.0))).collect(),
            series: base.series,
            hours: vec![little, more, wide, paged],
        }
    }

    /// Whom it is about.
    #[must_use]
    pub fn alerting(&self) -> Alerting {
        self.alerting
    }

    /// The hour that was counted with just so many agents and shards.
    fn counted(&self, agents: f64, shards: f64) -> Option<&Hour> {
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let is_it = |hour: &&Hour| {
            let known = hour.plan;
            !known.page && (known.agents as f64 - agents).abs() < 0.5 && (known.shards as f64 - shards).abs() < 0.5
        };
        self.hours.iter().find(is_it)
    }

    fn units(&self, agents: f64, shards: f64, pages: f64) -> BTreeMap<Unit, f64> {
        let month = |(unit, (fixed, shard, agent)): (&Unit, &(f64, f64, f64))| {
            let page = self.page.get(unit).copied().unwrap_or(0.0) * pages * PAGE_HOURS;
            let an_hour = match self.counted(agents, shards) {
                Some(hour) => hour.units.get(unit).copied().unwrap_or(0.0),
                None => fixed + shard * shards + agent * agents,
            };
            let connections = agents * HOURS * 60.0 / CONNECTION_MINUTES;
            let connecting = self.hours[1].reconnect.get(unit).copied().unwrap_or(0.0) * connections;
            (*unit, an_hour * HOURS + page + connecting)
        };
        self.fit.iter().map(month).collect()
    }

    /// The month of so many agents.
    #[must_use]
    pub fn month(&self, agents: f64) -> Bill {
        let prices = prices::of("us-east-1").unwrap();
        let pages = (agents / 200.0).max(3.0);
        let second = |unit| {
            let (fixed, shard, agent) = self.fit.get(&unit).copied().unwrap_or_default();
            (fixed + shard + agent * agents) / 3_600.0
        };
        let full = (second(Unit::Records) / SHARD_RECORDS).max(second(Unit::RecordBytes) / SHARD_BYTES);
        let shards = full.ceil().max(1.0);
        let mut parts = self.priced(&self.units(agents, shards, pages), prices);
        parts.extend(self.standing(agents, shards, pages, prices));
        parts.retain(|part| part.dollars >= 0.005);
        parts.sort_by(|a, b| b.dollars.total_cmp(&a.dollars));
        Bill { parts, shards }
    }

    /// What was counted.
    fn priced(&self, units: &BTreeMap<Unit, f64>, prices: &Prices) -> Vec<Part> {
        let mut dollars: BTreeMap<String, f64> = BTreeMap::new();
        let mut messages = 0.0;
        for (unit, count) in units {
            let million = count / 1e6;
            let (name, price) = match unit {
                Unit::MessagesIn | Unit::MessagesOut => {
                    messages += count;
                    continue;
                }
                Unit::BytesOut => ("sent to the internet".to_owned(), count / 1e9 * prices.out_gb),
                Unit::PutUnits => ("Kinesis: put units".to_owned(), million * prices.kinesis_unit),
                Unit::Records | Unit::RecordBytes | Unit::S3Bytes => continue,
                Unit::Writes(of) => (format!("DynamoDB writes: {of}"), million * prices.dynamodb_write),
                Unit::Reads(of) => (format!("DynamoDB reads: {of}"), million * prices.dynamodb_read),
                Unit::S3Puts => ("S3 puts".to_owned(), million * prices.s3_put),
                Unit::S3Gets => ("S3 gets".to_owned(), million * prices.s3_get),
                Unit::Requests(of) => (format!("Lambda requests: {of}"), million * prices.lambda_request),
                Unit::Computed(of) => (format!("Lambda computing: {of}"), million * prices.lambda_gb_second),
                Unit::Waited(of) => (format!("Lambda waiting: {of}"), million * prices.lambda_gb_second),
                Unit::LogBytes => ("Lambda's logs".to_owned(), count / 1e9 * prices.logs_gb),
                Unit::Sqs => ("SQS".to_owned(), million * prices.sqs_request),
                Unit::Sns => ("SNS".to_owned(), million * (prices.sns_publish + prices.sns_http)),
            };
            *dollars.entry(name).or_default() += price;
        }
        let get = |unit: Unit| units.get(&unit).copied().unwrap_or(0.0) / messages.max(1.0);
        let all = tiered(messages, prices.websocket_message);
        for (name, unit) in
            [("messages from agents and pages", Unit::MessagesIn), ("messages to them", Unit::MessagesOut)]
        {
            dollars.insert(name.to_owned(), all * get(unit));
        }
        dollars.into_iter().map(|(name, dollars)| Part { name, dollars }).collect()
    }

    /// What stands whether anything happens or not, and what a simulated hour is too short for.
    fn standing(&self, agents: f64, shards: f64, pages: f64, prices: &Prices) -> Vec<Part> {
        let part = |name: &str, dollars| Part { name: name.to_owned(), dollars };
        assert!(template_number("RetentionPeriodHours") <= 24.0, "longer costs more, and has no price here");
        #[expect(clippy::cast_precision_loss, reason = "a hundred series, some alarms")]
        let (series, alarms, metrics) = (self.series as f64, alarms() as f64, self.hours[1].metrics.len() as f64);
        let samples = agents * series / 10.0 * 86_400.0 * RETENTION_DAYS;
        let alerts = agents * ALERTS * 2.0;
        let queries = pages * 22.0 * 50.0;
        vec![
            part("Kinesis: shard hours", shards * HOURS * prices.kinesis_shard_hour),
            part(
                "connection minutes",
                (agents * HOURS * 60.0 + pages * PAGE_HOURS * 60.0) / 1e6 * prices.websocket_minute,
            ),
            part("S3 at rest: samples", samples * BYTES_AT_REST / 1e9 * prices.s3_gb),
            part(
                "S3 at rest: replaced blocks",
                samples / RETENTION_DAYS * REPLACED_DAYS * REPLACED_BYTES / 1e9 * prices.s3_gb,
            ),
            part("S3 at rest: rollups", samples / 30.0 * ROLLUP_BYTES * ROLLUP_MONTHS / 1e9 * prices.s3_gb),
            part(
                "alerts told",
                alerts / 1e6 * (prices.sns_publish * 2.0 + prices.sns_http + 5.0 * 2.0 * prices.dynamodb_write),
            ),
            part(
                "queries of pages",
                queries / 1e6 * (prices.http_request + prices.lambda_request + 10.0 * prices.s3_get)
                    + queries * 0.15 * prices.lambda_gb_second,
            ),
            // Lambda asks the queue 15 times a minute, whatever there is.
            part("SQS: empty receives", HOURS * 60.0 * 15.0 / 1e6 * prices.sqs_request),
            part("metrics, alarms, key", metrics * prices.metric + alarms * prices.alarm + prices.kms_key),
        ]
    }
}

fn tiered(count: f64, (first, above): (f64, f64)) -> f64 {
    let thousand_million = 1e9;
    (count.min(thousand_million) * first + (count - thousand_million).max(0.0) * above) / 1e6
}

/// Amazon Managed Prometheus for the same load in us-east-1: samples taken in by tiers, stored, and
/// query samples processed by rules (list prices as known in November 2026). `selected` series an agent
/// are looked at by rules, each evaluation processing the samples of its lookback or range.
#[must_use]
pub fn amp(agents: f64, series: f64, alerting: Alerting, processed_an_evaluation: f64) -> (f64, f64) {
    let month_s = HOURS * 3_600.0;
    let samples = agents * series / 10.0 * month_s;
    let tiers = [(2e9, 0.90), (252e9, 0.35), (f64::MAX, 0.16)];
    let (mut taken, mut from) = (0.0, 0.0);
    for (to, price) in tiers {
        taken += (samples.min(to) - from).max(0.0) / 1e7 * price;
        from = to;
    }
    let stored = samples * 2.0 / 1e9 * 0.03;
    let rules = match alerting {
        Alerting::Nobody => 0.0,
        // $0.10 a thousand million query samples processed.
        #[expect(clippy::cast_precision_loss, reason = "seconds")]
        Alerting::Starter(seconds) => agents * processed_an_evaluation * month_s / seconds as f64 / 1e9 * 0.10,
    };
    (taken + stored, rules)
}
