//! Records of the stream become blocks.
//!
//! One invocation writes, a tenant, a block for each 10 min window that is still open and one *late*
//! block for each older day that it touches. Blocks are sets of identified samples named by their
//! content, and the notes beside them are sets of (source, epoch, seq, window): a record that is
//! delivered again changes nothing that anybody reads.

mod compact;
mod daily;
mod orders;
mod rejoin;

use std::collections::BTreeMap;
use std::sync::Arc;

use blocks::{
    BatchNote, Block, Level, Order, PackNotes, SourceNote, join_counters, join_sorted, pack_known, pack_written,
    split_by,
};
use ports::{Condition, Delivered, ITEM_BYTES_MAX, Key, Partition, Ports, TenantId, Timestamp, Write};
use series::{DAY_MS, Epoch, SourceName, TEN_MINUTES_MS, Window};
use wire::{Counters, Rejection, SeriesColumn, StreamEnvelope, StreamKind, Written, WrittenColumn};

pub use blocks::{KEEP_REPLACED_MS, LATE_EVERY_MS, SETTLE_MS};
pub use compact::{FLIP_MS_MAX, FLIPS_PER_RUN_MAX, SWEPT_PER_RUN_MAX, compact};
pub use daily::{EXPIRED_PER_RUN_MAX, ORPHAN_AGE_MS, ORPHANS_NOTED_MAX};
pub use orders::{ORDERS_SERIES_MAX, Orders};
pub use rejoin::{Rejoined, rejoin};

use crate::error::Fault;
use crate::ingest::book::{self, Numbered};
use crate::{Context, ingest, manifest, progress};

/// One shard's batch. An error: nothing counts as done, and it comes again.
pub async fn stream(context: &Context, records: &[Delivered]) -> Result<(), Fault> {
    let pulses = store_all(context, records).await?;
    // After everything before them is done, and only then.
    for (shard, at) in pulses {
        progress::note(&context.ports, shard, at).await?;
    }
    Ok(())
}

/// Stores what the records hold.
///
/// A failure that will not pass is some record's own: the batch is halved until that record stands
/// alone, and it is kept aside while its neighbours are stored. Where nothing can be stored, not even
/// a sample of our own, it is no record's fault, and the whole batch waits.
async fn store_all<'a>(context: &Context, records: &'a [Delivered]) -> Result<Pulses<'a>, Fault> {
    let mut parts = vec![records];
    let (mut stored, mut hopeless) = (false, Vec::new());
    let mut pulses = BTreeMap::new();
    while let Some(part) = parts.pop() {
        match attempt(context, part, &mut pulses).await {
            Ok(with_samples) => stored |= with_samples,
            Err(Fault::Internal(what)) => match part {
                [one] => hopeless.push((one, what)),
                _ => {
                    let (first, rest) = part.split_at(part.len() / 2);
                    parts.extend([rest, first]);
                }
            },
            Err(fault) => return Err(fault),
        }
    }
    if !hopeless.is_empty() && !stored {
        // The batch may be one bad record and nothing else: without neighbours, a shard with little
        // traffic would wait for it for as long as the stream keeps it.
        store_own_sample(context).await?;
    }
    for (record, what) in hopeless {
        tracing::error!(shard = record.shard, sequence = record.sequence, "a record cannot be stored: {what}");
        let tenant = StreamEnvelope::decode(record.data.clone()).map(|envelope| envelope.tenant).unwrap_or_default();
        quarantine(&context.ports, &tenant, &record.data, "cannot_be_stored").await?;
    }
    Ok(pulses)
}

/// The metric that shows that a block can be stored, written where only bad records were met.
pub const PROBE_METRIC: &str = "daywatch_aggregate_probe";

async fn store_own_sample(context: &Context) -> Result<(), Fault> {
    let labels = series::Labels::from_pairs([("__name__", PROBE_METRIC)]);
    let labels = labels.map_err(|e| Fault::Internal(format!("labels of {PROBE_METRIC}: {e}")))?;
    let now = context.ports.clock.now();
    let column = SeriesColumn { labels, samples: vec![series::Sample { at: now, value: 1.0 }] };
    let data = ingest::own_samples(context, &TenantId::default(), vec![column])?;
    let own = Delivered { shard: String::new(), sequence: String::new(), arrived_at: now, data };
    attempt(context, &[own], &mut BTreeMap::new()).await.map(drop)
}

/// The newest pulse of each shard.
type Pulses<'a> = BTreeMap<&'a str, Timestamp>;

/// Stores what the records hold, and collects their pulses. Answers whether there were samples.
async fn attempt<'a>(context: &Context, records: &'a [Delivered], pulses: &mut Pulses<'a>) -> Result<bool, Fault> {
    let ports = &context.ports;
    let mut tenants: BTreeMap<TenantId, Gathered> = BTreeMap::new();
    let mut through: BTreeMap<TenantId, Timestamp> = BTreeMap::new();
    for record in records {
        let envelope = match StreamEnvelope::decode(record.data.clone()) {
            Ok(envelope) => envelope,
            Err(error) => {
                // Whose it was cannot be known; its bytes are kept, and its neighbours go on.
                quarantine(ports, &TenantId::default(), &record.data, error.reason()).await?;
                continue;
            }
        };
        if let StreamKind::Pulse { at } = envelope.kind {
            let newest = pulses.entry(record.shard.as_str()).or_insert(at);
            *newest = at.max(*newest);
            continue;
        }
        let newest = through.entry(envelope.tenant.clone()).or_insert(record.arrived_at);
        *newest = record.arrived_at.max(*newest);
        let gathered = tenants.entry(envelope.tenant.clone()).or_default();
        if let Err(reason) = gathered.take(context, record, envelope) {
            quarantine(ports, &reason.tenant, &record.data, reason.reason).await?;
        }
    }
    let with_samples = tenants.values().any(Gathered::has_samples);
    // An invocation has one shard's records.
    let shard = records.first().map_or("", |record| record.shard.as_str());
    for (tenant, gathered) in tenants {
        let arrived_through = through.get(&tenant).copied().unwrap_or_default();
        gathered.store(context, (&tenant, shard), arrived_through).await?;
    }
    Ok(with_samples)
}

/// How long bytes that can never be processed are kept.
pub const QUARANTINE_LIFE_MS: i64 = 30 * DAY_MS;

/// Bytes of one record that its item holds.
pub const QUARANTINE_BYTES_MAX: usize = ITEM_BYTES_MAX - 1_000;

/// Where a quarantined record lies whole that is larger than [`QUARANTINE_BYTES_MAX`].
#[must_use]
pub fn quarantine_blob(tenant: &TenantId, hash: &str) -> String {
    format!("{tenant}/quarantine/{hash}")
}

/// Keeps bytes that can never be processed, with the reason.
pub async fn quarantine(ports: &Ports, tenant: &TenantId, bytes: &[u8], reason: &'static str) -> Result<(), Fault> {
    let hash = blocks::block_name(bytes);
    tracing::error!(%tenant, reason, hash, bytes = bytes.len(), "a record is quarantined");
    // What is larger than an item lies among the blocks; its head tells what it is.
    let head = &bytes[..bytes.len().min(QUARANTINE_BYTES_MAX)];
    if head.len() < bytes.len() {
        ports.blobs.put(&quarantine_blob(tenant, &hash), bytes.to_vec().into()).await?;
    }
    let value = [reason.as_bytes(), b"\n", head].concat();
    let key = Key::new(Partition::Quarantine(tenant.clone()), format!("{reason}/{hash}"));
    let expires_at = Some(ports.clock.now().plus_ms(QUARANTINE_LIFE_MS));
    ports.table.write(Write::Put { key, value: value.into(), expires_at, condition: Condition::Always }).await?;
    Ok(())
}

/// What one invocation knows of a tenant.
#[derive(Default)]
struct Gathered {
    columns: Vec<SeriesColumn>,
    /// Columns as agents wrote them.
    written: Vec<Written>,
    /// What `ingest` handed over.
    numbered: Vec<Arc<Numbered>>,
    notes: BTreeMap<(SourceName, Window), Vec<BatchNote>>,
    heard: BTreeMap<SourceName, Heard>,
}

struct Heard {
    at: Timestamp,
    counters: BTreeMap<Epoch, Counters>,
}

struct Unreadable {
    tenant: TenantId,
    reason: &'static str,
}

impl Gathered {
    fn has_samples(&self) -> bool {
        !(self.columns.is_empty() && self.written.is_empty() && self.numbered.is_empty())
    }

    fn take(&mut self, context: &Context, record: &Delivered, envelope: StreamEnvelope) -> Result<(), Unreadable> {
        let StreamEnvelope { tenant, source, received_at, kind, rejected, .. } = envelope;
        match kind {
            StreamKind::Heartbeat { epoch, counters } => {
                self.hear(source, received_at, Some((epoch, counters)));
                Ok(())
            }
            StreamKind::Pulse { .. } => Ok(()),
            StreamKind::Batch { epoch, seq, batch } | StreamKind::Pushed { epoch, seq, batch } => {
                if let Some(numbered) = context.decoded.handed((epoch, seq), &batch) {
                    self.hear(source.clone(), received_at, None);
                    let times = numbered.samples.iter().map(|(_, sample)| sample.at);
                    let (counts, refused) = (by_window(numbered.created_at, [times]), refusals(rejected, Vec::new()));
                    self.note(&source, (epoch, seq), numbered.created_at, counts, refused);
                    self.numbered.push(numbered);
                    return Ok(());
                }
                // The hot hours in memory, and whoever else reads in this process, need the samples.
                let read = match context.head.is_none() && context.decoded.keeps_nothing() {
                    true => context.series.decode_written(&tenant, &batch),
                    false => context.decoded.take(&context.series, record, &tenant, &batch).map(|read| (read, None)),
                };
                let (decoded, written) = read.map_err(|e| Unreadable { tenant, reason: e.reason() })?;
                let batch = decoded.batch;
                let own_ledger = batch.counters.generated > 0;
                let counters = own_ledger.then(|| (epoch, batch.counters.clone()));
                self.hear(source.clone(), received_at, counters);
                let refused = refusals(rejected, decoded.rejected);
                let times = batch.series.iter().map(|column| column.samples.iter().map(|sample| sample.at));
                let counts = match &written {
                    Some(written) => {
                        by_window(batch.created_at, written.columns().map(|column| column.times.iter().copied()))
                    }
                    None => by_window(batch.created_at, times),
                };
                self.note(&source, (epoch, seq), batch.created_at, counts, refused);
                self.columns.extend(batch.series);
                self.written.extend(written);
                Ok(())
            }
        }
    }

    fn hear(&mut self, source: SourceName, at: Timestamp, counters: Option<(Epoch, Counters)>) {
        let heard = self.heard.entry(source).or_insert_with(|| Heard { at, counters: BTreeMap::new() });
        heard.at = heard.at.max(at);
        if let Some((epoch, counters)) = counters {
            let known = heard.counters.remove(&epoch);
            let newest = known.map_or_else(|| counters.clone(), |known| join_counters(known, counters.clone()));
            heard.counters.insert(epoch, newest);
        }
    }

    fn note(
        &mut self,
        source: &SourceName,
        (epoch, seq): (Epoch, u64),
        created_at: Timestamp,
        samples: BTreeMap<Window, u64>,
        refused: BTreeMap<String, u64>,
    ) {
        let home = Window::of_block(created_at, TEN_MINUTES_MS);
        for (window, samples) in samples {
            let mut note = BatchNote::new(epoch, seq, window.start, samples);
            if window == home {
                note.rejected.clone_from(&refused);
            }
            self.notes.entry((source.clone(), window)).or_default().push(note);
        }
    }

    async fn store(
        self,
        context: &Context,
        (tenant, shard): (&TenantId, &str),
        arrived_through: Timestamp,
    ) -> Result<(), Fault> {
        let now = context.ports.clock.now();
        let current = Window::of_block(now, TEN_MINUTES_MS);
        let oldest_open = current.previous().start;
        let place = |window: Window| match window.start < oldest_open {
            true => (Level::Late, window.widened(DAY_MS)),
            false => (Level::Fresh, window),
        };
        // Where a sample goes, and up to when its neighbours go with it.
        let stretch = |at: Timestamp| {
            let (level, window) = place(Window::of_block(at, TEN_MINUTES_MS));
            let end = if level == Level::Late { window.end.min(oldest_open) } else { window.end };
            ((level, window), end)
        };
        // Joined first: a series' samples are cut where the parts meet, and each part is in order already.
        let mut order = context.orders.of(tenant, shard);
        let mut parts: BTreeMap<(Level, Window), Part<'_>> = BTreeMap::new();
        let spans = self.written.iter().map(Written::span);
        let span = spans.reduce(|(min, max), (first, last)| (min.min(first), max.max(last)));
        let whole = span.map(|(min, max)| (stretch(min), max)).filter(|((_, until), max)| max <= until);
        let is_alone = self.columns.is_empty() && self.numbered.is_empty();
        let arranged =
            whole.filter(|_| is_alone).and_then(|((place, _), _)| Some((place, order.arranged(&self.written)?)));
        if let Some((place, written)) = arranged {
            // All known, each once, all in one block: nothing has to be decoded.
            parts.entry(place).or_default().written = written;
        } else {
            let mut columns = self.columns;
            columns.extend(self.written.iter().flat_map(Written::decode));
            let read = order.join(columns).into_columns();
            let joined = join_sorted(book::merged(read, book::columns(&self.numbered)));
            for (place, block) in split_by(joined, stretch) {
                parts.entry(place).or_default().block = block;
            }
        }
        for ((source, window), notes) in self.notes {
            let part = parts.entry(place(window)).or_default();
            let at = self.heard.get(&source).map_or(now, |heard| heard.at);
            part.sources.entry(source.clone()).or_insert_with(|| SourceNote::new(source, at)).notes.extend(notes);
        }
        // Signs of life and ledgers stand with the current window.
        let newest = parts.entry((Level::Fresh, current)).or_default();
        for (source, heard) in self.heard {
            let note = newest.sources.entry(source.clone()).or_insert_with(|| SourceNote::new(source, heard.at));
            note.last_seen = note.last_seen.max(heard.at);
            note.counters = heard.counters;
        }
        for ((level, window), part) in parts {
            part.store(context, tenant, (level, window), &order, arrived_through).await?;
        }
        Ok(())
    }
}

/// Of a block's samples, decoded or as written.
#[derive(Default)]
struct Part<'a> {
    block: Block,
    written: Vec<WrittenColumn<'a>>,
    sources: BTreeMap<SourceName, SourceNote>,
}

impl Part<'_> {
    async fn store(
        self,
        context: &Context,
        tenant: &TenantId,
        (level, window): (Level, Window),
        order: &Order,
        arrived_through: Timestamp,
    ) -> Result<(), Fault> {
        let sources = self.sources.into_values().collect();
        let made_at = context.ports.clock.now();
        let notes = PackNotes { level, window, sources, replaces: Vec::new(), arrived_through, made_at };
        let mut packed = match self.written.is_empty() {
            true => pack_known(self.block, notes, order),
            false => pack_written(&self.written, notes, order),
        };
        let block = std::mem::take(&mut packed.block);
        let announced = context.head.as_ref().map(|head| head.put(tenant));
        manifest::put(&context.ports, tenant, packed).await?;
        if let Some(put) = announced {
            put.stored(block.columns(), made_at);
        }
        Ok(())
    }
}

/// How many samples lie in each window, the one of the batch itself among them: what was refused is told there.
fn by_window<T: Iterator<Item = Timestamp>>(
    created_at: Timestamp,
    times: impl IntoIterator<Item = T>,
) -> BTreeMap<Window, u64> {
    let mut samples: BTreeMap<Window, u64> = BTreeMap::new();
    let home = Window::of_block(created_at, TEN_MINUTES_MS);
    samples.insert(home, 0);
    // Neighbours nearly always lie in the same window.
    let (mut last, mut count) = (home, 0);
    for at in times.into_iter().flatten() {
        if !last.holds(at) {
            *samples.entry(last).or_default() += std::mem::take(&mut count);
            last = Window::of_block(at, TEN_MINUTES_MS);
        }
        count += 1;
    }
    *samples.entry(last).or_default() += count;
    samples
}

fn refusals(listed: Vec<Rejection>, found: Vec<Rejection>) -> BTreeMap<String, u64> {
    let mut refused: BTreeMap<String, u64> = BTreeMap::new();
    for rejection in listed.into_iter().chain(found) {
        *refused.entry(rejection.reason).or_default() += rejection.count;
    }
    refused
}
