//! The batch: everything a source hands over at once. Immutable, named by (source, epoch, seq).

use series::{Epoch, Labels, Sample, SourceName, Timestamp};

use crate::frames::Counters;

/// One batch, decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Who made it. For agents the key's or hello's source wins over this.
    pub source: SourceName,
    /// The buffer's life.
    pub epoch: Epoch,
    /// Its place in that life, from 1, without gaps.
    pub seq: u64,
    /// When the batch was closed, by the agent's clock.
    pub created_at: Timestamp,
    /// The agent waits for the ack: replay, shutdown, buffer over half full.
    pub ack_now: bool,
    /// Samples by series.
    pub series: Vec<SeriesColumn>,
    /// Check results.
    pub checks: Vec<CheckResult>,
    /// Log records.
    pub logs: Vec<LogRecord>,
    /// What the agent was told of its metrics. Not a part of the ledger.
    pub metadata: Vec<MetricMetadata>,
    /// The agent's ledger when the batch was closed, this batch included.
    pub counters: Counters,
}

impl Batch {
    /// How many samples it holds.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.series.iter().map(|column| column.samples.len() as u64).sum()
    }
}

/// One series' samples in a batch or block, in time order.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesColumn {
    /// Which series.
    pub labels: Labels,
    /// Its samples.
    pub samples: Vec<Sample>,
}

/// State of a check, Nagios's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum CheckState {
    /// 0
    Ok,
    /// 1
    Warning,
    /// 2
    Critical,
    /// 3
    Unknown,
}

impl From<CheckState> for u8 {
    fn from(state: CheckState) -> u8 {
        state as u8
    }
}

impl TryFrom<u8> for CheckState {
    type Error = String;
    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            0 => Ok(Self::Ok),
            1 => Ok(Self::Warning),
            2 => Ok(Self::Critical),
            3 => Ok(Self::Unknown),
            _ => Err(format!("a check's status is 0, 1, 2 or 3, not {number}")),
        }
    }
}

/// One run of a check.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckResult {
    /// The check's name.
    pub check: String,
    /// When the run ended.
    pub at: Timestamp,
    /// Its state.
    pub state: CheckState,
    /// Whether the state has held for `attempts` runs.
    pub hard: bool,
    /// Since when it has this state.
    pub state_since: Timestamp,
    /// The first line and the long text, as printed.
    pub text: String,
    /// Performance data.
    pub perfdata: Vec<PerfItem>,
    /// The plugin's exit code as it was; `None` after a timeout or where it could not be started.
    pub exit_code: Option<i32>,
    /// How long the run took, ms.
    pub duration_ms: u64,
    /// How often it runs, ms. 0 for passive results without a `ttl`.
    pub interval_ms: u64,
    /// Whether the text was cut at its limit.
    pub truncated: bool,
}

/// One item of performance data. Thresholds are kept as written.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PerfItem {
    /// Its label.
    pub label: String,
    /// Its value; `None` where the plugin said `U`.
    pub value: Option<f64>,
    /// Its unit as written.
    pub unit: String,
    /// Warning range as written, empty where there is none.
    pub warn: String,
    /// Critical range as written, empty where there is none.
    pub crit: String,
    /// Smallest possible value.
    pub min: Option<f64>,
    /// Greatest possible value.
    pub max: Option<f64>,
}

/// One log record.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRecord {
    /// When it was written, or read where it does not say.
    pub at: Timestamp,
    /// The file, or another stream's name.
    pub file: String,
    /// `error`, `warn`, `info`, `debug`, or empty where it does not say.
    pub level: String,
    /// The record, joined where it took several lines.
    pub text: String,
}

/// What a metric is, as a target says: for people, and for programs that help them ask.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MetricMetadata {
    /// The metric's name; of an OpenMetrics target the family's.
    pub metric: String,
    /// Prometheus's word: `counter`, `gauge`, `histogram`, `summary`, `unknown`, ….
    pub kind: String,
    /// The help text.
    pub help: String,
    /// The unit, often empty.
    pub unit: String,
}

/// What was refused, and why. Counts are of samples, or of lines where no sample could be read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rejection {
    /// The reason's name in the ledger.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// The first of them, for a person: place and text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub first: String,
}
