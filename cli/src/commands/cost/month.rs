//! The month of a deployment, counted from what each part of `infra/template.yaml` does for a batch,
//! a block, a tick. Pure. What could not be counted is an assumption and stands in `ASSUMED`.

use super::prices::Prices;

/// Seconds and hours of a month.
const MONTH: f64 = HOURS * 3_600.0;
const HOURS: f64 = 730.0;
/// Seconds between two pulses, two wake-ups of a polling queue reader, two ticks.
const PULSE: f64 = 10.0;
const TICK: f64 = 60.0;
/// Seconds between two acks of an agent: one in half an hour.
const ACK: f64 = 1_800.0;
/// Buckets a second of the starter rules' groups (15, 30, 15, 30 and 30 s; the demo's sleeps).
const BUCKETS: f64 = 2.0 / 15.0 + 3.0 / 30.0;
/// Agents come again after 92 to 115 min.
const CONNECTION: f64 = 103.5 * 60.0;
/// Records of `up` a tick: one a part, and at most so many agents each.
const UP_PARTS: f64 = 16.0;
const UP_AGENTS: f64 = 500.0;
/// Alarms of the template.
const ALARMS: f64 = 24.0;

/// What could not be counted by reading code.
pub(super) struct Assumed {
    /// ms billed an invocation, GB: from memory sizes of the template.
    pub(super) ingest: (f64, f64),
    pub(super) ws_connect: (f64, f64),
    pub(super) aggregate: (f64, f64),
    pub(super) evaluate: (f64, f64),
    pub(super) broadcast: (f64, f64),
    pub(super) query: (f64, f64),
    /// GB-seconds a million samples, to join and compact.
    pub(super) join_gb_seconds: f64,
    /// Bytes of a manifest item: of itself, and of each source in it.
    pub(super) item_bytes: (f64, f64),
    /// Bytes a sample in fresh blocks, which stay a week after they were replaced, and in joined ones.
    pub(super) sample_bytes: (f64, f64),
    /// Bytes of a rollup of 5 min, which stands for thirty samples.
    pub(super) rollup_bytes: f64,
    /// Bytes of log lines an invocation: Lambda's own are off, metrics are written once a minute.
    pub(super) log_bytes: f64,
    /// Metrics of our own.
    pub(super) metrics: f64,
    /// Part of the agents that somebody watches at any time.
    pub(super) watched: f64,
    /// Alerts an agent and month, each told twice.
    pub(super) alerts: f64,
    /// Days of single samples.
    pub(super) retention_days: f64,
    /// Seconds that `aggregate` gathers (`FreshnessSeconds`).
    pub(super) freshness: f64,
}

pub(super) const ASSUMED: Assumed = Assumed {
    ingest: (4.0, 0.25),
    ws_connect: (12.0, 0.25),
    aggregate: (40.0, 1.0),
    evaluate: (15.0, 0.5),
    broadcast: (4.0, 0.25),
    query: (150.0, 1.0),
    join_gb_seconds: 0.5,
    item_bytes: (300.0, 70.0),
    sample_bytes: (3.3, 2.1),
    rollup_bytes: 10.0,
    log_bytes: 20.0,
    metrics: 10.0,
    watched: 0.05,
    alerts: 1.0,
    retention_days: 30.0,
    freshness: 5.0,
};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) agents: f64,
    pub(super) series: f64,
    /// Seconds.
    pub(super) step: f64,
    /// Seconds between two batches of an agent that nobody watches.
    pub(super) flush: f64,
    /// Frames of such a batch and bytes of its records on the stream, as the codec makes them.
    pub(super) batch: Batch,
    /// The same of a batch of one step.
    pub(super) step_batch: Batch,
    /// Pages that are open four hours each working day.
    pub(super) pages: f64,
    /// Shards; `None`: as many as are needed.
    pub(super) shards: Option<f64>,
}

/// A batch as it travels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Batch {
    pub(super) frames: f64,
    pub(super) record_bytes: f64,
}

/// A part of the bill.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) dollars: f64,
    pub(super) of: String,
}

/// What happens in a month.
struct Counted {
    batches: f64,
    greetings: f64,
    records: f64,
    record_bytes: f64,
    shards: f64,
    /// Blocks that `aggregate` writes.
    blocks: f64,
    aggregate: f64,
    item_writes: f64,
    stream_polls: f64,
    wakes: f64,
    evaluations: f64,
    manifest_reads: f64,
}

fn count(load: &Load, assumed: &Assumed) -> Counted {
    let Load { agents, step, flush, .. } = *load;
    let watched = assumed.watched * agents;
    let (slow, fast) = ((agents - watched) * MONTH / flush.max(step), watched * MONTH / step.max(1.0));
    let batches = slow * load.batch.frames + fast * load.step_batch.frames;
    let greetings = agents * MONTH / CONNECTION;
    // `up` of each agent a tick, and what hello says of its ledger.
    let notes = agents.min(UP_PARTS).max(agents / UP_AGENTS) * MONTH / TICK + greetings;
    let note_bytes = (agents * MONTH / TICK + greetings) * 200.0;
    let record_bytes = slow * load.batch.record_bytes + fast * load.step_batch.record_bytes + note_bytes;
    let rate = ((batches + notes) / MONTH / 1_000.0 * 1.4).max(record_bytes / MONTH / 0.6e6);
    let shards = load.shards.unwrap_or_else(|| rate.ceil().max(1.0));
    let data_rate = (batches + notes) / MONTH / shards;
    let every = |rate: f64, window: f64| if rate > 0.0 { shards * MONTH / (window + 1.0 / rate) } else { 0.0 };
    let blocks = every(data_rate, assumed.freshness);
    let aggregate = every(data_rate + 1.0 / PULSE, assumed.freshness);
    let pulses = shards * MONTH / PULSE;
    // Sources that a block names: those that sent within its window, each once.
    let per_block = (agents / shards).min((batches + notes) / blocks.max(1.0));
    let item_bytes = assumed.item_bytes.0 + per_block * assumed.item_bytes.1;
    let evaluations = if agents > 0.0 { MONTH * BUCKETS } else { 0.0 };
    // A rule reads the items of the windows that it reaches into: ten minutes on average.
    let range_bytes = blocks / MONTH * 600.0 * item_bytes;
    let reads = |bytes: f64| (bytes / 4_096.0).max(1.0).ceil();
    let presence = MONTH / TICK * (reads(range_bytes * 2.0) + reads(agents * 400.0));
    Counted {
        batches,
        greetings,
        records: batches + notes + pulses,
        record_bytes,
        shards,
        blocks,
        aggregate,
        // Each is written, and deleted once it is joined; the pulse's note; the joined item.
        item_writes: 2.0 * blocks * (item_bytes / 1_024.0).ceil() + pulses + MONTH / 600.0 * shards,
        stream_polls: shards * MONTH * (data_rate + 1.0 / PULSE).min(1.0),
        wakes: MONTH / PULSE + evaluations,
        evaluations,
        manifest_reads: evaluations * reads(range_bytes)
            + MONTH / TICK * reads(range_bytes * 2.0)
            + presence
            + aggregate * 2.0,
    }
}

/// The month, by part.
pub(super) fn month(load: &Load, assumed: &Assumed, prices: &Prices) -> Vec<Part> {
    let counted = count(load, assumed);
    let Load { agents, series, step, .. } = *load;
    let million = |count: f64, price: f64| count / 1e6 * price;
    let tiered = |count: f64| {
        million(count.min(1e9), prices.websocket_message.0)
            + million((count - 1e9).max(0.0), prices.websocket_message.1)
    };
    let lambda = |count: f64, (ms, gb): (f64, f64)| {
        million(count, prices.lambda_request) + count * ms / 1_000.0 * gb * prices.lambda_gb_second
    };
    let samples = agents * series / step * MONTH;
    let page_messages = load.pages * 22.0 * 4.0 * 3_600.0 / 2.0;
    let (connects, acks) = (counted.greetings * 4.0, agents * MONTH / ACK);
    let evaluate = counted.stream_polls + counted.blocks * 1.1 + counted.wakes + MONTH / TICK;
    let queries = load.pages * 22.0 * 50.0;
    let invocations = counted.batches + connects + counted.aggregate + evaluate + counted.stream_polls + queries;
    let stored = samples * assumed.sample_bytes.1 * assumed.retention_days / 30.4
        + samples * assumed.sample_bytes.0 * 7.0 / 30.4;
    let rollups = samples / 30.0 * assumed.rollup_bytes * 13.0;
    let alerts = agents * assumed.alerts * 2.0;
    let out_bytes = acks * 120.0 + page_messages * 2_048.0;
    let compact = samples / 1e6 * assumed.join_gb_seconds;
    let part = |name, dollars, of: String| Part { name, dollars, of };
    vec![
        part("messages from agents", tiered(counted.batches + counted.greetings * 2.0), m(counted.batches)),
        part("acks and greetings to agents", tiered(acks + counted.greetings), m(acks)),
        part("connection minutes", million(agents * MONTH / 60.0, prices.websocket_minute), m(agents * MONTH / 60.0)),
        part("ingest", lambda(counted.batches, assumed.ingest), m(counted.batches)),
        part("ws-connect", lambda(connects, assumed.ws_connect), m(connects)),
        part(
            "Kinesis",
            counted.shards * HOURS * prices.kinesis_shard_hour
                + million(counted.records.max(counted.record_bytes / 25_600.0), prices.kinesis_unit),
            format!("{:.0} shards kept 24 h, {}", counted.shards, m(counted.records)),
        ),
        part(
            "aggregate",
            lambda(counted.aggregate, assumed.aggregate) + compact * prices.lambda_gb_second,
            m(counted.aggregate),
        ),
        part("evaluate-alerts", lambda(evaluate, assumed.evaluate), m(evaluate)),
        part("broadcast", lambda(counted.stream_polls, assumed.broadcast), m(counted.stream_polls)),
        part(
            "DynamoDB writes",
            million(
                counted.item_writes + counted.greetings * 6.0 + counted.evaluations * 2.0 + alerts * 5.0,
                prices.dynamodb_write,
            ),
            m(counted.item_writes + counted.greetings * 6.0 + counted.evaluations * 2.0),
        ),
        part(
            "DynamoDB reads",
            million(counted.manifest_reads + counted.greetings * 8.0 + counted.wakes * 4.0, prices.dynamodb_read),
            m(counted.manifest_reads),
        ),
        part(
            "DynamoDB at rest",
            agents * assumed.item_bytes.1 * 6.0 * 24.0 * assumed.retention_days * 10.0 / 1e9 * prices.dynamodb_gb,
            String::new(),
        ),
        part(
            "S3 requests",
            million(counted.blocks + MONTH / 600.0 * counted.shards, prices.s3_put)
                // Each block is fetched by the rules once, and once to be joined.
                + million(counted.blocks * 2.0 + queries * 10.0, prices.s3_get),
            format!("{} blocks", m(counted.blocks)),
        ),
        part("S3 at rest", stored / 1e9 * prices.s3_gb, format!("{:.1} GB", stored / 1e9)),
        // Of 5 min, for 13 months.
        part("S3 at rest, rollups", rollups / 1e9 * prices.s3_gb, format!("{:.1} GB", rollups / 1e9)),
        part(
            "SQS",
            // Sent, received, deleted; and Lambda asks 15 times a minute anyway.
            million(counted.wakes * 3.0 + MONTH / 4.0, prices.sqs_request),
            m(counted.wakes * 3.0 + MONTH / 4.0),
        ),
        part("SNS", million(alerts, prices.sns_publish * 2.0 + prices.sns_http), format!("{alerts:.0} notifications")),
        part(
            "pages and queries",
            tiered(page_messages)
                + million(load.pages * 22.0 * 240.0, prices.websocket_minute)
                + lambda(queries, assumed.query)
                + million(queries, prices.http_request),
            format!("{:.0} pages, {queries:.0} queries", load.pages),
        ),
        part("sent to the internet", out_bytes / 1e9 * prices.out_gb, format!("{:.1} GB", out_bytes / 1e9)),
        part(
            "logs",
            invocations * assumed.log_bytes / 1e9 * prices.logs_gb,
            format!("{:.1} GB of metrics and errors", invocations * assumed.log_bytes / 1e9),
        ),
        part(
            "metrics, alarms, key",
            assumed.metrics * prices.metric + ALARMS * prices.alarm + prices.kms_key,
            format!("{:.0} metrics, {ALARMS:.0} alarms, 1 key", assumed.metrics),
        ),
    ]
}

/// A count for people.
fn m(count: f64) -> String {
    if count >= 1e6 { format!("{:.1} M", count / 1e6) } else { format!("{:.0} k", count / 1e3) }
}

/// The whole.
pub(super) fn total(parts: &[Part]) -> f64 {
    parts.iter().map(|part| part.dollars).sum()
}

#[cfg(test)]
mod tests {
    use super::super::prices;
    use super::*;

    fn load(agents: f64) -> Load {
        let batch = Batch { frames: 1.0, record_bytes: 1_000.0 };
        let (series, step, flush) = (100.0, 10.0, 10.0);
        Load { agents, series, step, flush, batch, step_batch: batch, pages: 0.0, shards: None }
    }

    fn dollars(load: &Load, name: &str) -> f64 {
        let parts = month(load, &ASSUMED, prices::of("us-east-1").unwrap());
        parts.iter().find(|part| part.name == name).unwrap_or_else(|| panic!("no part {name}")).dollars
    }

    #[test]
    fn what_can_be_reckoned_by_hand() {
        // 1,000 agents, 262,800 steps a month: 262.8 M messages in; an ack each half hour.
        let thousand = load(1_000.0);
        assert!((dollars(&thousand, "messages from agents") - 263.6).abs() < 1.0);
        assert!((dollars(&thousand, "acks and greetings to agents") - 1.88).abs() < 0.1);
        // 43,800 minutes each.
        assert!((dollars(&thousand, "connection minutes") - 10.95).abs() < 0.01);
        // An idle shard that keeps a day.
        assert!((dollars(&load(0.0), "Kinesis") - 10.95).abs() < 0.1);
    }

    #[test]
    fn nobody_pays_for_agents_that_are_not_there() {
        for name in [
            "messages from agents",
            "connection minutes",
            "ingest",
            "S3 at rest",
            "S3 at rest, rollups",
            "S3 requests",
            "SNS",
        ] {
            assert!(dollars(&load(0.0), name) < 0.2, "{name}");
        }
    }

    #[test]
    fn more_agents_never_cost_less_and_a_slower_flush_never_more() {
        let whole = |load: &Load| total(&month(load, &ASSUMED, prices::of("us-east-1").unwrap()));
        let sizes = [0.0, 1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0];
        for pair in sizes.windows(2) {
            assert!(whole(&load(pair[0])) < whole(&load(pair[1])), "{pair:?}");
        }
        let slow = Load { flush: 60.0, ..load(1_000.0) };
        assert!(whole(&slow) < whole(&load(1_000.0)));
    }
}
