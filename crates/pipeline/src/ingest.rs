//! What comes in: an agent's batches and heartbeats, what is pushed over HTTP, passive checks.
//!
//! Validate, limit, put on the stream by lane, and only then acknowledge: an ack says that the
//! stream took every record of the batch. What is refused goes with the record, so that the ledger
//! counts it exactly once however often the record is delivered.

pub(crate) mod book;
mod known;
pub mod limits;
pub mod metadata;
pub mod otlp;
mod pack;
mod passive;
mod remote_write;
mod split;
mod texts;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use formats::decompress::{DecompressError, Encoding, decompress};
use ports::{Accepted, Condition, Key, Partition, Ports, RECORDS_PER_PUT_MAX, StreamRecord, Timestamp, Write};
use serde::Serialize;
use series::{Epoch, Lane, SourceName};
use wire::limits::BATCH_BYTES_MAX;
use wire::{
    Batch, Contents, Counters, DecodeError, Decoded, Inspected, MetricMetadata, Rejection, SeqRange, SeriesColumn,
    ServerFrame, StreamEnvelope, StreamKind, part,
};

use crate::acks::Acks;
use crate::connect::Connection;
use crate::error::Fault;
use crate::http::{BODY_BYTES_MAX, Request};
use crate::keys::Caller;
use crate::{Context, TenantId, live};
use split::Part;

pub use known::KnownSeries;
pub use passive::{RESULTS_MAX, checks};
pub use remote_write::receive as remote_write;
pub use split::{LOADS_MAX, Loads};

/// A sample may be this far ahead of our clock.
pub const AHEAD_MS_MAX: i64 = 10 * 60_000;
/// Characters of a pushed batch, as `wire::chunk` counts them (base64).
const PUSHED_PAYLOAD_BYTES_MAX: usize = BATCH_BYTES_MAX / 3 * 4;
/// The source of samples that Daywatch makes itself (`up`). No host name has an underscore, and no
/// agent or key may take this one.
pub const OWN_SOURCE: &str = "_daywatch";
/// How often a record that the stream did not take is tried again before the sender must.
const PUT_ATTEMPTS: usize = 3;

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// Samples that the stream took.
    pub accepted: u64,
    /// What was refused, and why.
    pub rejected: Vec<Rejection>,
}

/// One batch of a connection that has said hello. `name` is what the frame says of it beside the
/// payload: a batch that cannot be read is kept aside under it, counted and acknowledged.
pub async fn batch(
    context: &Context,
    connection: &Connection,
    payload: &str,
    name: Option<(Epoch, u64)>,
) -> Result<(), Fault> {
    let ports = &context.ports;
    let Some(source) = &connection.source else {
        return refuse(ports, connection, "no_hello", "say hello before the first batch").await;
    };
    let read =
        wire::payload_bytes(payload).and_then(|bytes| taken(context, (&connection.caller.tenant, source), bytes));
    let Taken { epoch, seq, ack_now, spread, home, metadata, listed, rejected } = match read {
        Ok(taken) => taken,
        Err(error) => {
            crate::aggregate::quarantine(ports, &connection.caller.tenant, payload.as_bytes(), error.reason()).await?;
            note_rejected(context, connection, source, (error.reason(), &error.to_string()), name).await?;
            if let Some((epoch, seq)) = name {
                let ranges = vec![SeqRange { from: seq, to: seq }];
                let rejected = vec![rejection(error.reason(), &error.to_string())];
                live::post(ports, &connection.id, &ServerFrame::Ack { epoch, ranges, rejected }).await?;
            }
            return refuse(ports, connection, error.reason(), &error.to_string()).await;
        }
    };
    let tenant = &connection.caller.tenant;
    let received_at = ports.clock.now();
    let record = |part: Part, rejected: Vec<Rejection>| {
        let Part { lane, number, body } = part;
        let envelope = StreamEnvelope {
            tenant: tenant.clone(),
            source: source.clone(),
            received_at,
            kind: StreamKind::Batch { epoch, seq: number, batch: body.into() },
            rejected,
            connection: Some(connection.id.0.clone()),
        };
        StreamRecord { lane, data: envelope.encode() }
    };
    // The home part says that nothing of the batch is owed: it goes when the stream has all others.
    if !spread.is_empty() {
        put(ports, spread.into_iter().map(|part| record(part, Vec::new())).collect()).await?;
    }
    put(ports, vec![record(home, listed)]).await?;
    // Before the ack, so that an agent tells it again where it could not be stored.
    metadata::note(context, tenant, metadata::of_batch(&metadata)).await?;
    if context.acks == Acks::AtOnce || ack_now || !rejected.is_empty() {
        let ranges = vec![SeqRange { from: seq, to: seq }];
        live::post(ports, &connection.id, &ServerFrame::Ack { epoch, ranges, rejected }).await?;
    }
    Ok(())
}

/// A batch as it goes on to the stream.
struct Taken {
    epoch: Epoch,
    seq: u64,
    ack_now: bool,
    /// Series that go through other lanes than the source's own.
    spread: Vec<Part>,
    /// The rest, most often all.
    home: Part,
    metadata: Vec<MetricMetadata>,
    /// What its readers cannot find again.
    listed: Vec<Rejection>,
    /// All that is refused of it.
    rejected: Vec<Rejection>,
}

/// Checks a batch of `source`. One that is taken whole travels on as its own bytes, and every reader finds its bad
/// parts again; one that is written anew has them no more, so they are listed beside it. Of a source that sends very
/// much every batch is written anew, cut over the lanes.
fn taken(context: &Context, (tenant, source): (&TenantId, &SourceName), bytes: Vec<u8>) -> Result<Taken, DecodeError> {
    let (now, retention_ms) = (context.ports.clock.now(), context.settings.raw_retention_ms);
    let seen = context.series.inspect(&bytes)?;
    let (oldest, newest) = in_time(now, retention_ms);
    let whole = |number, body| Part { lane: Lane::of_source(tenant, source), number, body };
    let is_cut = context.loads.is_above((tenant, source), &seen, &context.limits) && seen.seq <= part::SEQ_MAX;
    if !is_cut && seen.source == *source && seen.span.is_none_or(|(first, last)| first >= oldest && last <= newest) {
        let Inspected { epoch, seq, ack_now, metadata, rejected, .. } = seen;
        let (spread, home) = (Vec::new(), whole(seq, bytes));
        return Ok(Taken { epoch, seq, ack_now, spread, home, metadata, listed: Vec::new(), rejected });
    }
    let Decoded { mut batch, mut rejected } = Batch::decode(&bytes)?;
    let out_of_time = take_out_of_time(&mut batch.series, now, retention_ms);
    batch.source = source.clone();
    rejected.extend(out_of_time);
    let (epoch, seq, ack_now, metadata) = (batch.epoch, batch.seq, batch.ack_now, batch.metadata.clone());
    let (spread, home) = if is_cut { split::cut(tenant, batch) } else { (Vec::new(), whole(seq, batch.encode())) };
    Ok(Taken { epoch, seq, ack_now, spread, home, metadata, listed: rejected.clone(), rejected })
}

/// The earliest and the latest time that is taken.
fn in_time(now: Timestamp, retention_ms: i64) -> (Timestamp, Timestamp) {
    (now.plus_ms(-retention_ms), now.plus_ms(AHEAD_MS_MAX))
}

/// A sign of life.
pub async fn heartbeat(ports: &Ports, connection: &Connection, epoch: Epoch, counters: &Counters) -> Result<(), Fault> {
    let Some(source) = &connection.source else {
        return refuse(ports, connection, "no_hello", "say hello before the first heartbeat").await;
    };
    let tenant = &connection.caller.tenant;
    let now = ports.clock.now();
    let envelope = StreamEnvelope {
        tenant: tenant.clone(),
        source: source.clone(),
        received_at: now,
        kind: StreamKind::Heartbeat { epoch, counters: counters.clone() },
        rejected: Vec::new(),
        connection: Some(connection.id.0.clone()),
    };
    let record = StreamRecord { lane: Lane::of_source(tenant, source), data: envelope.encode() };
    put(ports, vec![record]).await
}

/// A frame that could not be read: the sender is told and the connection stays.
pub async fn bad_frame(context: &Context, connection: &Connection, reason: &str, text: &str) -> Result<(), Fault> {
    if connection.page {
        let frame = wire::PageFrame::Error { id: String::new(), text: format!("{reason}: {text}") };
        live::post(&context.ports, &connection.id, &frame).await?;
        return Ok(());
    }
    if let Some(source) = &connection.source {
        note_rejected(context, connection, source, (reason, text), None).await?;
    }
    refuse(&context.ports, connection, reason, text).await
}

fn rejection(reason: &str, first: &str) -> Rejection {
    Rejection { reason: reason.to_owned(), count: 1, first: first.to_owned() }
}

async fn refuse(ports: &Ports, connection: &Connection, reason: &str, text: &str) -> Result<(), Fault> {
    let frame = ServerFrame::Error { reason: reason.to_owned(), text: text.to_owned() };
    live::post(ports, &connection.id, &frame).await?;
    Ok(())
}

/// Counts a refusal that belongs to no readable batch; under the batch's own name where that is
/// known, so that one that comes again counts once.
async fn note_rejected(
    context: &Context,
    connection: &Connection,
    source: &SourceName,
    (reason, first): (&str, &str),
    name: Option<(Epoch, u64)>,
) -> Result<(), Fault> {
    let rejection = rejection(reason, first);
    let tenant = &connection.caller.tenant;
    let mut pushed = PushedBatch::new(context, source.clone(), Contents::default(), vec![rejection]);
    if let Some((epoch, seq)) = name {
        (pushed.batch.epoch, pushed.batch.seq) = (epoch, seq);
    }
    let record = StreamRecord { lane: Lane::of_source(tenant, source), data: pushed.envelope(tenant) };
    put(&context.ports, vec![record]).await
}

/// `POST /graphite`: plaintext lines. No label is added; the key's name is the source.
pub async fn graphite(context: &Context, caller: &Caller, request: &Request) -> Result<Pushed, Fault> {
    caller.may_push()?;
    let body = plain_body(request)?;
    parsed(context, caller, formats::graphite::parse_body(&body, context.ports.clock.now())).await
}

/// The body as it was before its sender compressed it.
fn plain_body(request: &Request) -> Result<Cow<'_, [u8]>, Fault> {
    let body = &request.body;
    if body.len() > BODY_BYTES_MAX {
        return Err(Fault::TooLarge { bytes: body.len(), max: BODY_BYTES_MAX, limit: "body_bytes_max" });
    }
    let plain =
        Encoding::from_header(request.header("content-encoding")).and_then(|encoding| decompress(encoding, body));
    plain.map_err(|error| match error {
        DecompressError::Unknown(_) => Fault::Media(error.to_string()),
        DecompressError::Broken { .. } => Fault::bad(error),
        DecompressError::TooLarge { max, limit } => Fault::TooLarge { bytes: body.len(), max, limit },
    })
}

/// What a parser of any format understood and refused.
pub async fn parsed(context: &Context, caller: &Caller, parsed: formats::Parsed) -> Result<Pushed, Fault> {
    let batches = pack::gather(context, caller, |body| {
        for (labels, sample) in &parsed.samples {
            body.sample(labels, *sample);
        }
        for (reason, count) in parsed.rejected.by_reason() {
            let first = parsed.rejected.iter().find(|reject| reject.reason == *reason);
            body.refuse(reason, *count, || first.map(ToString::to_string).unwrap_or_default());
        }
    });
    batches.put(context, caller).await
}

/// Puts what a request brought, each lane's part cut so that every reader can take it.
async fn put_pushed(
    context: &Context,
    caller: &Caller,
    source: &SourceName,
    lanes: impl IntoIterator<Item = (Lane, Contents)>,
    (mut accepted, mut rejected): (u64, Vec<Rejection>),
) -> Result<Pushed, Fault> {
    remember_source(&context.ports, caller, source).await?;
    let mut records = Vec::new();
    // The refusals go with the first record alone.
    let mut refusals = rejected.clone();
    for (lane, contents) in lanes {
        let chunked = wire::chunk(contents, source, PUSHED_PAYLOAD_BYTES_MAX);
        let too_large: u64 = chunked.rejected.iter().map(|rejection| rejection.count).sum();
        accepted = accepted.saturating_sub(too_large);
        refusals.extend(chunked.rejected.iter().cloned());
        rejected.extend(chunked.rejected);
        let parts = if chunked.parts.is_empty() { vec![Contents::default()] } else { chunked.parts };
        for part in parts {
            let pushed = PushedBatch::new(context, source.clone(), part, std::mem::take(&mut refusals));
            records.push(StreamRecord { lane, data: pushed.envelope(&caller.tenant) });
        }
    }
    put(&context.ports, records).await?;
    Ok(Pushed { accepted, rejected })
}

/// Numbers pushed data, which no agent numbered: an epoch a process, a seq a record. A client that
/// repeats its body gets new numbers, and the join by identity makes its samples count once.
#[derive(Debug)]
pub struct Numbering {
    epoch: Epoch,
    next: AtomicU64,
}

impl Numbering {
    pub(crate) fn new(ports: &Ports) -> Self {
        let mut epoch = [0u8; 8];
        ports.entropy.fill(&mut epoch);
        Self { epoch: Epoch(u64::from_le_bytes(epoch)), next: AtomicU64::new(1) }
    }

    /// The next record's name.
    fn next(&self) -> (Epoch, u64) {
        (self.epoch, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

struct PushedBatch {
    batch: Batch,
    rejected: Vec<Rejection>,
}

impl PushedBatch {
    fn new(context: &Context, source: SourceName, contents: Contents, rejected: Vec<Rejection>) -> Self {
        let (epoch, seq) = context.pushes.next();
        Self { batch: contents.into_batch(source, epoch, seq, context.ports.clock.now()), rejected }
    }

    fn envelope(self, tenant: &ports::TenantId) -> Bytes {
        let Self { batch, rejected } = self;
        StreamEnvelope {
            tenant: tenant.clone(),
            source: batch.source.clone(),
            received_at: batch.created_at,
            kind: StreamKind::Pushed { epoch: batch.epoch, seq: batch.seq, batch: batch.encode().into() },
            rejected,
            connection: None,
        }
        .encode()
    }
}

/// Samples that Daywatch makes itself, under a source of its own.
pub(crate) fn own_samples(
    context: &Context,
    tenant: &ports::TenantId,
    series: Vec<SeriesColumn>,
) -> Result<Bytes, Fault> {
    let source = SourceName::new(OWN_SOURCE).map_err(|e| Fault::Internal(e.to_string()))?;
    let contents = Contents { series, ..Contents::default() };
    Ok(PushedBatch::new(context, source, contents, Vec::new()).envelope(tenant))
}

/// Removes samples outside of the time that is kept.
fn take_out_of_time(columns: &mut Vec<SeriesColumn>, now: Timestamp, retention_ms: i64) -> Vec<Rejection> {
    let (oldest, newest) = in_time(now, retention_ms);
    let mut ahead = Rejection { reason: "too_far_ahead".to_owned(), count: 0, first: String::new() };
    let mut old = Rejection { reason: "too_old".to_owned(), count: 0, first: String::new() };
    for column in columns.iter_mut() {
        let labels = &column.labels;
        column.samples.retain(|sample| {
            let refusal = if sample.at > newest {
                &mut ahead
            } else if sample.at < oldest {
                &mut old
            } else {
                return true;
            };
            if refusal.count == 0 {
                refusal.first = format!("{labels} at {} ms", sample.at);
            }
            refusal.count += 1;
            false
        });
    }
    columns.retain(|column| !column.samples.is_empty());
    [ahead, old].into_iter().filter(|refusal| refusal.count > 0).collect()
}

/// A source that pushes has no connection; it is known from its first push on.
async fn remember_source(ports: &Ports, caller: &Caller, source: &SourceName) -> Result<(), Fault> {
    let key = Key::new(Partition::Sources(caller.tenant.clone()), source.as_str());
    if ports.table.get(&key).await?.is_none() {
        ports.table.write(Write::put(key, b"push".to_vec(), Condition::Absent)).await?;
    }
    Ok(())
}

/// Puts records; those that the stream refuses are tried again, alone, and then it is the
/// sender's turn.
pub(crate) async fn put(ports: &Ports, records: Vec<StreamRecord>) -> Result<(), Fault> {
    let mut owed = records;
    let mut last = None;
    for _ in 0..PUT_ATTEMPTS {
        let mut refused = Vec::new();
        for part in owed.chunks(RECORDS_PER_PUT_MAX) {
            let answers: Vec<Accepted> = ports.stream.put(part.to_vec()).await?;
            for (record, answer) in part.iter().zip(answers) {
                if let Err(error) = answer {
                    if !error.is_transient() {
                        return Err(error.into());
                    }
                    last = Some(error);
                    refused.push(record.clone());
                }
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        owed = refused;
    }
    Err(last.map_or_else(|| Fault::Internal("the stream gave no answer".to_owned()), Fault::from))
}
