//! The record that `ingest` and `ws-connect` put on the stream: who it is from, by the
//! authenticated key, around a batch whose bytes are passed on as they came.
//!
//! The tenant stands here and never in a batch, because a batch is written by the sender.

use bytes::Bytes;
use prost::Message;
use series::{Epoch, IdError, SourceName, TenantId, Timestamp};

use crate::batch::Rejection;
use crate::codec::{counters_or_none, encode_counters};
use crate::frames::Counters;
use crate::limits::{BATCH_BYTES_MAX, REASONS_MAX};
use crate::rejections::Rejections;
use crate::schema::{self, VERSION, count_fields};

/// Bytes of a connection's name.
pub const CONNECTION_BYTES_MAX: usize = 256;
/// Bytes of a whole record; the stream's limit is 1 MB.
pub const ENVELOPE_BYTES_MAX: usize = 950_000;

/// A record of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamEnvelope {
    /// Whose data it is, by the key.
    pub tenant: TenantId,
    /// Who sent it, by the key or the hello.
    pub source: SourceName,
    /// When it came in, by the server's clock.
    pub received_at: Timestamp,
    /// What it is.
    pub kind: StreamKind,
    /// What was refused on the way in, before a batch was made of it. What is bad inside the
    /// batch is found again by each reader of the batch and is not listed here.
    pub rejected: Vec<Rejection>,
    /// The websocket on which it came, so that it can be acked later.
    pub connection: Option<String>,
}

/// What a record of the stream is.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamKind {
    /// A batch of an agent, zstd(protobuf) as the agent made it.
    Batch {
        /// The buffer's life.
        epoch: Epoch,
        /// The batch's place in it.
        seq: u64,
        /// The encoded batch.
        batch: Bytes,
    },
    /// Data pushed over HTTP, made into a batch by `ingest`, which also gives epoch and seq.
    Pushed {
        /// The life of the process that took it.
        epoch: Epoch,
        /// Its place in that life.
        seq: u64,
        /// The encoded batch.
        batch: Bytes,
    },
    /// A sign of life: hello or heartbeat.
    Heartbeat {
        /// The buffer's life.
        epoch: Epoch,
        /// The agent's ledger.
        counters: Counters,
    },
    /// One on every shard, so that each proves that it is current. Belongs to nobody.
    Pulse {
        /// When it was made.
        at: Timestamp,
    },
}

/// Why a record could not be read: its bytes are quarantined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("the record has {bytes} bytes, at most {max} are allowed")]
    TooLong { bytes: usize, max: usize },
    #[error("the record is not protobuf: {what}")]
    Protobuf { what: String },
    #[error("the record has version {version}; version {VERSION} is spoken here")]
    Version { version: u32 },
    #[error("the record's kind {kind} is not known")]
    Kind { kind: u32 },
    #[error("the record: {0}")]
    Name(#[from] IdError),
    #[error("the record has {count} rejections, at most {max} are allowed")]
    TooManyRejections { count: usize, max: usize },
}

impl EnvelopeError {
    /// The reason under which it is counted.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "record_too_long",
            Self::Protobuf { .. } => "record_not_protobuf",
            Self::Version { .. } => "record_version",
            Self::Kind { .. } => "record_kind",
            Self::Name(_) => "record_name",
            Self::TooManyRejections { .. } => "record_too_many_rejections",
        }
    }
}

impl StreamEnvelope {
    /// A pulse. Tenant and source are placeholders that nobody reads.
    #[must_use]
    pub fn pulse(at: Timestamp, source: SourceName) -> Self {
        let kind = StreamKind::Pulse { at };
        Self { tenant: TenantId::default(), source, received_at: at, kind, rejected: Vec::new(), connection: None }
    }

    /// The encoded batch and its name, where the record carries one.
    #[must_use]
    pub fn batch(&self) -> Option<(Epoch, u64, &Bytes)> {
        match &self.kind {
            StreamKind::Batch { epoch, seq, batch } | StreamKind::Pushed { epoch, seq, batch } => {
                Some((*epoch, *seq, batch))
            }
            StreamKind::Heartbeat { .. } | StreamKind::Pulse { .. } => None,
        }
    }

    /// The record's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut message = schema::Envelope {
            version: VERSION,
            tenant: self.tenant.as_str().to_owned(),
            source: self.source.as_str().to_owned(),
            received_at_ms: self.received_at.0,
            connection: self.connection.clone(),
            rejected: self.rejected.iter().take(REJECTIONS_MAX).map(rejection_message).collect(),
            ..schema::Envelope::default()
        };
        match &self.kind {
            StreamKind::Batch { epoch, seq, batch } => {
                (message.kind, message.epoch, message.seq, message.batch) = (BATCH, epoch.0, *seq, batch.clone());
            }
            StreamKind::Pushed { epoch, seq, batch } => {
                (message.kind, message.epoch, message.seq, message.batch) = (PUSHED, epoch.0, *seq, batch.clone());
            }
            StreamKind::Heartbeat { epoch, counters } => {
                (message.kind, message.epoch, message.counters) = (HEARTBEAT, epoch.0, encode_counters(counters));
            }
            StreamKind::Pulse { at } => (message.kind, message.pulse_at_ms) = (PULSE, at.0),
        }
        message.encode_to_vec().into()
    }

    /// Reads a record. The batch inside is not looked at.
    pub fn decode(bytes: Bytes) -> Result<Self, EnvelopeError> {
        at_most(bytes.len(), ENVELOPE_BYTES_MAX)?;
        let count = count_fields::<10>(&bytes).map_err(protobuf_error)?[9];
        if count > REJECTIONS_MAX {
            return Err(EnvelopeError::TooManyRejections { count, max: REJECTIONS_MAX });
        }
        let message = schema::Envelope::decode(bytes).map_err(protobuf_error)?;
        if message.version != VERSION {
            return Err(EnvelopeError::Version { version: message.version });
        }
        at_most(message.batch.len(), BATCH_BYTES_MAX)?;
        at_most(message.connection.as_ref().map_or(0, String::len), CONNECTION_BYTES_MAX)?;
        let mut rejected = Rejections::default();
        rejected.extend(message.rejected.into_iter().map(|rejection| {
            let schema::Rejection { reason, count, first } = rejection;
            Rejection { reason, count, first }
        }));
        let (epoch, seq, batch) = (Epoch(message.epoch), message.seq, message.batch);
        let kind = match message.kind {
            BATCH => StreamKind::Batch { epoch, seq, batch },
            PUSHED => StreamKind::Pushed { epoch, seq, batch },
            HEARTBEAT => StreamKind::Heartbeat { epoch, counters: counters_or_none(&message.counters, &mut rejected) },
            PULSE => StreamKind::Pulse { at: Timestamp(message.pulse_at_ms) },
            kind => return Err(EnvelopeError::Kind { kind }),
        };
        Ok(Self {
            tenant: TenantId::new(&message.tenant)?,
            source: SourceName::new(&message.source)?,
            received_at: Timestamp(message.received_at_ms),
            kind,
            rejected: rejected.into_vec(),
            connection: message.connection,
        })
    }
}

const BATCH: u32 = 1;
const PUSHED: u32 = 2;
const HEARTBEAT: u32 = 3;
const PULSE: u32 = 4;

/// Rejections of one record: every reason that [`Rejections`] keeps, and `other`.
const REJECTIONS_MAX: usize = REASONS_MAX + 1;

fn rejection_message(rejection: &Rejection) -> schema::Rejection {
    let Rejection { reason, count, first } = rejection.clone();
    schema::Rejection { reason, count, first }
}

fn at_most(bytes: usize, max: usize) -> Result<(), EnvelopeError> {
    if bytes <= max { Ok(()) } else { Err(EnvelopeError::TooLong { bytes, max }) }
}

fn protobuf_error(error: prost::DecodeError) -> EnvelopeError {
    EnvelopeError::Protobuf { what: error.to_string() }
}

#[cfg(test)]
mod tests;
