//! What one seed's schedule holds: everything that is chosen before it runs.

use embedded::{FaultRates, SeededRandom};

use super::mapping::Settings;

/// Steps of the part in which things go wrong, in a schedule that a seed chooses.
pub const STEPS: u64 = 22;
/// What one step takes, ms, and the period of the agents' samples.
pub const STEP_MS: i64 = 10_000;

/// The rules: one threshold, seen in the stream, and one with history, seen in storage.
pub const RULES: &str = r#"
groups:
  - name: disk
    interval: 10s
    rules:
      - alert: DiskCritical
        expr: check_status{check="disk"} == 2
  - name: history
    interval: 30s
    rules:
      - alert: DiskWasBad
        expr: max_over_time(check_status{check="disk"}[40s]) == 2
"#;
/// One receiver, told at once.
pub const ROUTING: &str = "route: {receiver: hook, group_wait: 0s}\nreceivers: [{name: hook, webhook_configs: [{url: 'http://hook.invalid/'}]}]";

/// Between the series of the first agent and those of the second.
pub const SPLIT_BETWEEN: usize = 4;

/// A wrong way to do it, which the same invariants must catch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// `aggregate` skips what is not above the newest sequence number that it has seen of a shard,
    /// and notes that number after it has stored.
    SkipSeen,
    /// The same, but the number is noted before.
    SkipSeenFirst,
    /// The stored samples are counted by adding each batch's.
    Increments,
    /// A push is acknowledged when the last of its records was accepted.
    LastWriterAck,
    /// A bad record fails its batch, and nobody keeps it aside.
    DropBad,
}

/// All wrong ways.
pub const ALL_WRONG: [Wrong; 5] =
    [Wrong::SkipSeen, Wrong::SkipSeenFirst, Wrong::Increments, Wrong::LastWriterAck, Wrong::DropBad];

/// A schedule's frame.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Everything follows from it.
    pub seed: u64,
    /// Shards at the start.
    pub shards: u64,
    /// Agents.
    pub agents: usize,
    /// `aggregate`'s mapping.
    pub aggregate: Settings,
    /// `evaluate-alerts`' mappings, of the stream and of the manifest's changes.
    pub evaluate: Settings,
    /// Faults of the ports, but not where `calm_alerts` says so.
    pub rates: FaultRates,
    /// How often in a thousand an invocation is killed.
    pub kills: u16,
    /// How often in a thousand steps a shard is split, or two are merged.
    pub reshards: u16,
    /// How often in a thousand steps a record comes that cannot be read.
    pub poison: u16,
    /// How often in a thousand steps a record kills whoever reads it, until that is mended.
    pub killers: u16,
    /// `ingest` and `evaluate-alerts` never fail, `aggregate` does: then every change of a check is a
    /// transition at its own instant, and each is told exactly once.
    pub calm_alerts: bool,
    /// Steps of the part in which things go wrong.
    pub steps: u64,
    /// Steps in which `aggregate` can do nothing at all.
    pub aggregate_down: std::ops::Range<u64>,
    /// A flush of an agent with more series is spread over lanes. The first agent has 3, the second 8.
    pub split_series_min: usize,
    /// How often in a thousand a process is started with another such limit, as while a version is replaced.
    pub other_limits: u16,
    /// What is done wrong on purpose.
    pub wrong: Option<Wrong>,
}

impl Plan {
    /// What `seed` chooses.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = SeededRandom::new(seed ^ 0x5eed);
        let rates = FaultRates {
            transient: below(&mut random, 60),
            ambiguous: below(&mut random, 30),
            refused_record: below(&mut random, 150),
            unprocessed: below(&mut random, 100),
            gone: 0,
            throttled: below(&mut random, 50),
        };
        // Of a mapping that gives up soon, so that the on-failure bucket gets something; or never.
        // What it has given up is missing for a while although the pulses say that all is stored, so
        // alerts may then be late; in the real template it gives up after a day.
        let calm_alerts = random.chance(350);
        let gives_up = !calm_alerts && random.chance(800);
        let aggregate = Settings {
            batch_size: 1 + random.below(12) as usize,
            window_ms: i64::try_from(random.below(3)).unwrap_or(0) * 1_000,
            payload_bytes_max: if random.chance(300) { 4_000 } else { super::mapping::PAYLOAD_BYTES_MAX },
            retries: gives_up.then(|| 1 + random.below(4) as u32),
            record_age_ms: Some(if gives_up && random.chance(200) { 60_000 } else { 86_400_000 }),
            bisect: random.chance(800),
            report_items: true,
            on_failure: true,
            parallel: 1,
            again: below(&mut random, 200),
        };
        let evaluate = Settings {
            // Readers that fall behind are late, and so are their alerts.
            batch_size: if calm_alerts { 50 } else { 1 + random.below(20) as usize },
            window_ms: 0,
            retries: None,
            record_age_ms: None,
            on_failure: false,
            parallel: 1 + random.below(3),
            again: below(&mut random, 200),
            ..Settings::default()
        };
        let mut plan = Self {
            seed,
            shards: 1 + random.below(3),
            agents: 1 + random.below(2) as usize,
            aggregate,
            evaluate,
            rates,
            kills: below(&mut random, 300),
            reshards: below(&mut random, 150),
            poison: below(&mut random, 150),
            killers: below(&mut random, 100),
            calm_alerts,
            steps: STEPS,
            aggregate_down: 0..0,
            split_series_min: usize::MAX,
            other_limits: 0,
            wrong: None,
        };
        // All agents, the wider one, none.
        plan.split_series_min = [0, SPLIT_BETWEEN, usize::MAX][random.below(3) as usize];
        plan.other_limits = if random.chance(300) { 500 } else { 0 };
        plan
    }

    /// Nothing goes wrong but `aggregate`, which fails for so many steps; mappings are set as in the
    /// template.
    #[must_use]
    pub fn outage(seed: u64, steps: u64, aggregate_down: std::ops::Range<u64>) -> Self {
        let evaluate = Settings { record_age_ms: None, window_ms: 0, on_failure: false, ..Settings::default() };
        Self {
            seed,
            shards: 2,
            agents: 2,
            aggregate: Settings::default(),
            evaluate,
            rates: FaultRates::default(),
            kills: 0,
            reshards: 0,
            poison: 0,
            killers: 0,
            calm_alerts: true,
            steps,
            aggregate_down,
            split_series_min: usize::MAX,
            other_limits: 0,
            wrong: None,
        }
    }

    /// What `seed` chooses, done wrong; where that is wrong only with concurrent readers, with them.
    #[must_use]
    pub fn wrong(seed: u64, wrong: Wrong) -> Self {
        let mut plan = Self::of(seed);
        plan.wrong = Some(wrong);
        if wrong == Wrong::SkipSeen {
            plan.aggregate.parallel = 3;
        }
        plan
    }
}

fn below(random: &mut SeededRandom, bound: u64) -> u16 {
    u16::try_from(random.below(bound)).unwrap_or(0)
}
