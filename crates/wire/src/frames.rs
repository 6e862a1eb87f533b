//! Frames of the websocket: JSON text, told apart by `action` on the way in (API Gateway's route
//! key) and by `kind` on the way out. Unknown fields are ignored; unknown frames decode to
//! `Unknown`, because agents live for years.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use series::{Epoch, Timestamp};

use crate::batch::Rejection;

/// The protocol's version that this code speaks.
pub const FROM_AGENT_PROTOCOL: u32 = 1;

/// An agent's ledger. All numbers only rise within one epoch, so that of two the greater is the
/// newer, except `buffered`, which belongs to the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Samples that came into being: put into the buffer, or rejected before it.
    pub generated: u64,
    /// Samples thrown out of the full buffer.
    pub evicted: u64,
    /// Samples in the buffer now.
    pub buffered: u64,
    /// Samples and lines refused by the agent, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// Sequence numbers `from..=to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct SeqRange {
    /// First.
    pub from: u64,
    /// Last.
    pub to: u64,
}

impl From<(u64, u64)> for SeqRange {
    fn from((from, to): (u64, u64)) -> Self {
        Self { from, to }
    }
}

impl From<SeqRange> for (u64, u64) {
    fn from(range: SeqRange) -> Self {
        (range.from, range.to)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What an agent sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum AgentFrame {
    /// First on every connection.
    Hello {
        /// Protocol version.
        version: u32,
        /// The agent's name.
        source: String,
        /// Its buffer's life.
        epoch: Epoch,
        /// Random, made at each start of the process: tells two processes of one name apart.
        run_id: String,
        /// Host name, for messages about two agents of one name.
        #[serde(default)]
        host: String,
        /// The agent's program version.
        #[serde(default)]
        agent_version: String,
        /// Its ledger.
        #[serde(default)]
        counters: Counters,
    },
    /// When nothing else was sent for 60 s.
    Heartbeat {
        /// Its buffer's life.
        epoch: Epoch,
        /// Its ledger.
        #[serde(default)]
        counters: Counters,
    },
    /// One batch.
    Batch {
        /// base64(zstd(batch)).
        payload: String,
        /// The batch's name, so that one whose payload cannot be read can be kept aside and
        /// acknowledged instead of coming for ever.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<Epoch>,
        /// Its place in the epoch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
    },
    /// The last frame of a planned end.
    Bye {
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Anything newer.
    #[serde(other)]
    Unknown,
}

/// What an agent gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ServerFrame {
    /// Answer to a hello.
    Welcome {
        /// Protocol version of the server.
        version: u32,
        /// The server's clock.
        server_time_ms: Timestamp,
        /// Reconnect before this much time has passed (AWS ends a connection after 2 h).
        reconnect_after_ms: u64,
        /// Revision of the central configuration, 0 where there is none.
        #[serde(default)]
        config_rev: u64,
        /// How long the ack of a batch that did not ask for it may take, ms; 0: acks come at once, or
        /// the server does not say.
        #[serde(default, skip_serializing_if = "is_zero")]
        ack_delay_ms: u64,
    },
    /// Batches that the agent may forget.
    Ack {
        /// Whose.
        epoch: Epoch,
        /// Which.
        ranges: Vec<SeqRange>,
        /// What of them was refused. It is in the ledger; the agent only logs it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        rejected: Vec<Rejection>,
    },
    /// Flush faster than by default, until it expires.
    Wish {
        /// The longest time a sample may wait in the agent.
        flush_every_ms: u64,
        /// When the wish ends, by the server's clock.
        expires_at_ms: Timestamp,
    },
    /// Central configuration.
    Config {
        /// Its revision.
        revision: u64,
        /// Its text (TOML), to be merged below the local file.
        text: String,
    },
    /// The server ends the connection.
    Bye {
        /// `drain`, `name_taken`, `key_revoked`, ….
        reason: String,
        /// For a person.
        #[serde(default)]
        text: String,
        /// Come back no sooner than this.
        #[serde(default)]
        retry_after_ms: u64,
    },
    /// A frame could not be taken; the connection stays.
    Error {
        /// The reason's name in the ledger.
        reason: String,
        /// For a person, with the place.
        text: String,
    },
    /// Anything newer.
    #[serde(other)]
    Unknown,
}

/// What a browser sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum BrowserFrame {
    /// Watch series. Sent again every 30 s while it is watched; the same `id` replaces.
    Subscribe {
        /// The browser's own name for it.
        id: String,
        /// Selectors in PromQL; at most 20.
        #[serde(rename = "match", default)]
        selectors: Vec<String>,
    },
    /// Watch no longer.
    Unsubscribe {
        /// Which.
        id: String,
    },
    /// Keeps the connection open (API Gateway ends it after 10 min of silence).
    Ping {},
    /// Anything newer.
    #[serde(other)]
    Unknown,
}

/// What a browser gets: at most one message a second a connection, the latest value wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PageFrame {
    /// New samples of a subscription.
    Samples {
        /// Which subscription.
        id: String,
        /// By series.
        series: Vec<WatchedSeries>,
    },
    /// Check results that are new.
    Checks {
        /// As `/api/v1/checks` shows them.
        checks: Vec<WatchedCheck>,
    },
    /// The firing and pending alerts changed: the whole list.
    Alerts {
        /// As `/api/v1/alerts` shows them.
        alerts: Vec<WatchedAlert>,
    },
    /// Sources that came or went.
    Gone {
        /// Names of sources that are not present any more.
        sources: Vec<String>,
    },
    /// A frame could not be taken.
    Error {
        /// Which subscription, where it was about one.
        id: String,
        /// For a person, with the place.
        text: String,
    },
    /// Anything newer.
    #[serde(other)]
    Unknown,
}

/// Points of one series, values as text as in Prometheus's API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchedSeries {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// `[ms, "value"]`.
    pub points: Vec<(i64, String)>,
}

/// One check, as `/api/v1/checks` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchedCheck {
    /// Whose.
    pub source: String,
    /// Which.
    pub check: String,
    /// 0-3.
    pub status: u8,
    /// Whether the state has held for `attempts` runs.
    pub hard: bool,
    /// Since when.
    pub state_since_ms: i64,
    /// When it last ran.
    pub at_ms: i64,
    /// What it printed.
    pub text: String,
    /// Its performance data.
    #[serde(default)]
    pub perfdata: Vec<crate::batch::PerfItem>,
}

/// One alert, as `/api/v1/alerts` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchedAlert {
    /// Its labels, `alertname` among them.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub state: String,
    /// Since when it is active, RFC 3339.
    pub active_at: String,
    /// Its value as text.
    pub value: String,
}
