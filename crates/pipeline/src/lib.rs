//! One use case a function, over ports.
//!
//! The way of a sample: `ingest` (a batch, a Graphite body) puts records on the stream →
//! `aggregate` turns them into blocks with a manifest entry, `broadcast` sends them to whoever
//! watches, `evaluate` looks at check states and newest samples → `read` finds them again for
//! `query` and for rules with history. This crate never names an adapter, reads a clock or the
//! environment, or spells a storage key's bytes.

pub mod acks;
pub mod aggregate;
pub mod broadcast;
pub mod cardinality;
pub mod checks;
pub mod connect;
pub mod decoded;
pub mod documents;
mod error;
pub mod evaluate;
pub mod head;
pub mod http;
pub mod ingest;
pub mod keys;
pub mod live;
mod manifest;
pub mod outbox;
pub mod presence;
pub mod progress;
pub mod query;
pub mod read;
pub mod sources;
pub mod tickets;
pub mod wishes;

use std::sync::Arc;

pub use alerts;
pub use blocks::Retention;
pub use error::Fault;
pub use http::{Request, Response};
pub use ports::{Blobs, ConnectionId, Delivered, PortError, Ports, TenantId, Timestamp, Wake};
pub use promql;
pub use read::BlockCache;
pub use series::{DAY_MS, HOUR_MS, Labels, Sample, SourceName};
pub use wire;

/// What every use case is given: the ports, the settings, and what a warm process remembers.
pub struct Context {
    /// The outside.
    pub ports: Ports,
    /// What the operator chose.
    pub settings: Settings,
    /// Decoded blocks. Immutable, named by content, so it can never be stale.
    pub blocks: BlockCache,
    /// What rules take of blocks.
    pub remembered: read::Remembered,
    /// Whom rules' wishes have been told.
    pub wished: wishes::Settled,
    /// The hot two hours in memory, where the process lives long enough.
    pub head: Option<head::Head>,
    /// Parsed rule files, kept by their content as well.
    pub rules: evaluate::RuleCache,
    /// Names for pushed data.
    pub pushes: ingest::Numbering,
    /// Pushed series whose labels were read before.
    pub series: ingest::KnownSeries,
    /// Batches of the stream that another function of this process has read.
    pub decoded: decoded::DecodedBatches,
    /// The order of series that were joined before.
    pub orders: aggregate::Orders,
    /// Metadata that was stored before.
    pub metadata: ingest::metadata::Stored,
    /// What a tenant may push.
    pub limits: ingest::limits::Limits,
    /// How long rollups are kept: the raw samples' time is a setting.
    pub rollups_kept: Retention,
    /// The agent's binaries, for hosts that install it: the blob port where nothing else is said.
    pub downloads: Arc<dyn Blobs>,
    /// How much each agent sends: one with very much is spread over lanes.
    pub loads: ingest::Loads,
    /// When agents are told that they may forget a batch: at once where nothing else is said.
    pub acks: acks::Acks,
}

/// What the operator chose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Samples older than this are refused into the ledger.
    pub raw_retention_ms: i64,
    /// Where people open the page, for links in notifications.
    pub external_url: String,
    /// Where websockets are opened. One that starts with `/` is a path at whatever address a request
    /// came to: `serve` may be reached by several, through a tunnel or a proxy.
    pub websocket_url: String,
}

impl Context {
    /// A context over these ports.
    #[must_use]
    pub fn new(ports: Ports, settings: Settings) -> Self {
        let (pushes, downloads) = (ingest::Numbering::new(&ports), ports.blobs.clone());
        let (blocks, rules) = (BlockCache::default(), evaluate::RuleCache::default());
        let (series, metadata) = (ingest::KnownSeries::new(&ports), ingest::metadata::Stored::default());
        let limits = ingest::limits::Limits::default();
        let acks = acks::Acks::default();
        Self {
            ports,
            settings,
            blocks,
            remembered: read::Remembered::default(),
            wished: wishes::Settled::default(),
            head: None,
            rules,
            pushes,
            series,
            decoded: decoded::DecodedBatches::default(),
            orders: aggregate::Orders::default(),
            metadata,
            limits,
            loads: ingest::Loads::default(),
            downloads,
            acks,
            rollups_kept: Retention::default(),
        }
    }

    /// How long what is kept.
    #[must_use]
    pub fn retention(&self) -> Retention {
        Retention { raw_ms: self.settings.raw_retention_ms, ..self.rollups_kept }
    }

    /// The same with rollups kept for other times.
    #[must_use]
    pub fn with_rollups_kept(self, rollups_kept: Retention) -> Self {
        Self { rollups_kept, ..self }
    }

    /// The same with the hot two hours in memory: for a process through which every block goes that is
    /// put. Until [`head::refresh`] has filled it, everything is read from blocks.
    #[must_use]
    pub fn with_head(self, head: head::Head) -> Self {
        Self { head: Some(head), ..self }
    }

    /// The same with the agent's binaries in a store of their own.
    #[must_use]
    pub fn with_downloads(self, downloads: Arc<dyn Blobs>) -> Self {
        Self { downloads, ..self }
    }
}
