//! A pushed body's series and samples become records of the stream, by lane: at most 16 a body, more only
//! where a record would grow too large. Lanes of which the stream makes one queue share a record.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use ports::{StreamRecord, Timestamp};
use series::protobuf::put_labels;
use series::{Labels, Lane, PUSH_SPREAD, Sample, SourceName};
use wire::{Contents, Packer, Rejections, StreamEnvelope, StreamKind};

use super::book::{Book, Numbered};
use super::known::{Entries, KnownSeries, minute};
use super::limits::SAMPLES;
use super::{AHEAD_MS_MAX, Pushed, PushedBatch, put, remember_source};
use crate::Context;
use crate::error::Fault;
use crate::keys::Caller;

/// Samples of one series that are added at once: they fit into an empty batch.
const RUN_MAX: usize = 10_000;

/// Takes what a body brings. Made, filled and packed without waiting for anything.
pub(super) struct Body<'e, 'b> {
    known: &'e KnownSeries,
    entries: &'e Entries,
    /// The series that is expected next.
    guess: u32,
    batches: Batches,
    /// Series that are not known yet, and their samples.
    new: Vec<(Cow<'b, [u8]>, Range<usize>)>,
    new_samples: Vec<Sample>,
    text: Vec<u8>,
}

/// What a body brought, sorted into batches.
pub(super) struct Batches {
    oldest: Timestamp,
    newest: Timestamp,
    minute: i64,
    samples_left: usize,
    samples_max: usize,
    /// By part: which of the open batches takes it.
    queues: [u8; PUSH_SPREAD as usize],
    open: Vec<Open>,
    full: Vec<Open>,
    accepted: u64,
    rejected: Rejections,
}

/// A batch while it grows.
struct Open {
    lane: Lane,
    stamp: u64,
    packer: Packer,
    /// Numbers of its columns, and what they stand in.
    numbers: Vec<u32>,
    book: Arc<Book>,
}

impl Open {
    fn new(known: &KnownSeries, entries: &Entries, lane: Lane) -> Self {
        let (stamp, book) = (known.stamp(), Arc::clone(entries.book()));
        Self { lane, stamp, packer: Packer::default(), numbers: Vec::new(), book }
    }
}

/// Reads a body by `read` and sorts what it brings into batches.
pub(super) fn gather<'b>(context: &Context, caller: &Caller, read: impl FnOnce(&mut Body<'_, 'b>)) -> Batches {
    let (now, limits, known) = (context.ports.clock.now(), &context.limits, &context.series);
    let tenant = known.of(&caller.tenant);
    let entries = tenant.read();
    // The parts of a body by queue; the first part's lane stands for all of its queue.
    let lanes: [Lane; PUSH_SPREAD as usize] =
        std::array::from_fn(|part| Lane::of_pushed_part(&caller.tenant, &caller.key_id, part as u8));
    let mut first: Vec<Lane> = Vec::new();
    let queue_of = |lane| context.ports.stream.queue(lane);
    let queues = lanes.map(|lane| {
        let place = first.iter().position(|first| queue_of(*first) == queue_of(lane)).unwrap_or(first.len());
        if place == first.len() {
            first.push(lane);
        }
        place as u8
    });
    let batches = Batches {
        oldest: now.plus_ms(-context.settings.raw_retention_ms),
        newest: now.plus_ms(AHEAD_MS_MAX),
        minute: minute(now),
        samples_left: limits.samples_per_body_max,
        samples_max: limits.samples_per_body_max,
        queues,
        open: first.into_iter().map(|lane| Open::new(known, &entries, lane)).collect(),
        full: Vec::new(),
        accepted: 0,
        rejected: Rejections::default(),
    };
    let (new, new_samples, text) = (Vec::new(), Vec::new(), Vec::new());
    let mut body = Body { known, entries: &entries, guess: 0, batches, new, new_samples, text };
    read(&mut body);
    let Body { mut batches, new, new_samples, .. } = body;
    drop(entries);
    if new.is_empty() {
        return batches;
    }
    let mut entries = tenant.write();
    for (text, samples) in new {
        let samples = &new_samples[samples];
        match entries.add(known.hash(&text), &text, batches.minute, limits) {
            Ok(number) => batches.add(known, &entries, number, samples),
            Err(refusal) => {
                batches.rejected.add(refusal.reason(), samples.len() as u64, || refusal.text(&text));
            }
        }
    }
    batches
}

impl<'b> Body<'_, 'b> {
    /// A series by the text of its labels.
    #[inline]
    pub(super) fn series(&mut self, text: Cow<'b, [u8]>, samples: &[Sample]) {
        match self.entries.find(|| self.known.hash(&text), &text, self.guess) {
            Some(number) => {
                self.guess = number + 1;
                self.batches.add(self.known, self.entries, number, samples);
            }
            None => {
                let from = self.new_samples.len();
                self.new_samples.extend_from_slice(samples);
                self.new.push((text, from..self.new_samples.len()));
            }
        }
    }

    /// A sample by its labels.
    pub(super) fn sample(&mut self, labels: &Labels, sample: Sample) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        put_labels(&mut text, labels);
        match self.entries.find(|| self.known.hash(&text), &text, self.guess) {
            Some(number) => {
                self.guess = number + 1;
                self.batches.add(self.known, self.entries, number, &[sample]);
            }
            None => self.series(Cow::Owned(text.clone()), &[sample]),
        }
        self.text = text;
    }

    pub(super) fn refuse(&mut self, reason: &str, count: u64, first: impl FnOnce() -> String) {
        self.batches.rejected.add(reason, count, first);
    }
}

impl Batches {
    #[inline]
    fn add(&mut self, known: &KnownSeries, entries: &Entries, number: u32, samples: &[Sample]) {
        let Some(entry) = entries.entry(number) else { return };
        let text = entries.plain(entry);
        let queue = self.queues.get(usize::from(entry.part)).copied().unwrap_or_default();
        let Some(open) = self.open.get_mut(usize::from(queue)) else { return };
        for run in samples.chunks(RUN_MAX) {
            // Numbers of another book say something else.
            if !open.packer.has_room(run.len(), text.len()) || !Arc::ptr_eq(&open.book, entries.book()) {
                let next = Open::new(known, entries, open.lane);
                self.full.push(std::mem::replace(open, next));
            }
            for sample in run {
                if sample.at < self.oldest || sample.at > self.newest || self.samples_left == 0 {
                    let labels = entries.labels(number);
                    refuse(&mut self.rejected, &labels, sample.at, self.oldest, self.newest, self.samples_max);
                    continue;
                }
                let column = entry.column(open.stamp, self.minute, || {
                    open.numbers.push(number);
                    open.packer.series(text)
                });
                open.packer.sample(column, *sample);
                self.samples_left -= 1;
                self.accepted += 1;
            }
        }
    }

    /// Puts everything on the stream. The refusals go with the first record alone.
    pub(super) async fn put(self, context: &Context, caller: &Caller) -> Result<Pushed, Fault> {
        let source = SourceName::new(&caller.name).map_err(|e| Fault::Internal(format!("the key's name: {e}")))?;
        remember_source(&context.ports, caller, &source).await?;
        let Self { open, full, accepted, rejected, .. } = self;
        let rejected = rejected.into_vec();
        let (tenant, now, mut refusals) = (&caller.tenant, context.ports.clock.now(), rejected.clone());
        let mut handed = context.decoded.hand();
        let packed = full.into_iter().chain(open).filter(|open| !open.packer.is_empty());
        let mut records: Vec<StreamRecord> = packed
            .map(|Open { lane, packer, numbers, book, .. }| {
                let (epoch, seq) = context.pushes.next();
                let (batch, samples) = packer.encode(&source, epoch, seq, now);
                handed.over((epoch, seq), &batch, Numbered { book, created_at: now, numbers, samples });
                let envelope = StreamEnvelope {
                    tenant: tenant.clone(),
                    source: source.clone(),
                    received_at: now,
                    kind: StreamKind::Pushed { epoch, seq, batch },
                    rejected: std::mem::take(&mut refusals),
                    connection: None,
                };
                StreamRecord { lane, data: envelope.encode() }
            })
            .collect();
        if records.is_empty() {
            // The refusals still have to be counted, and counted durably.
            let pushed = PushedBatch::new(context, source.clone(), Contents::default(), refusals);
            records.push(StreamRecord { lane: Lane::of_source(tenant, &source), data: pushed.envelope(tenant) });
        }
        put(&context.ports, records).await?;
        handed.taken();
        Ok(Pushed { accepted, rejected })
    }
}

#[cold]
fn refuse(
    rejected: &mut Rejections,
    labels: &Labels,
    at: Timestamp,
    oldest: Timestamp,
    newest: Timestamp,
    samples_max: usize,
) {
    let reason = if at > newest {
        "too_far_ahead"
    } else if at < oldest {
        "too_old"
    } else {
        return rejected.add(SAMPLES, 1, || format!("{labels} at {at} ms: {SAMPLES} is {samples_max}"));
    };
    rejected.add(reason, 1, || format!("{labels} at {at} ms"));
}
