//! An event source mapping: which batch a function gets next, and what becomes of it.
//!
//! A state machine without a clock: the world asks for a batch ([`Mapping::next`]), calls the
//! function, and tells what came of it ([`Mapping::ended`]). Each rule is a piece of its own:
//!
//! | rule | where | source |
//! |---|---|---|
//! | batching window, size, 6 MB payload | [`gather`] | "Batching behavior" of the Lambda guide |
//! | partial-batch answers | [`answer`](super::answer) | "Implementing partial batch response" |
//! | bisect, retry cap, record age | [`after_failure`], [`split_expired`] | "Retain discarded batch records", API `CreateEventSourceMapping` |
//! | order per partition key only | [`slot_of`] | "Parallelization factor" |
//! | parents before children | [`Mapping::next`] | "Polling and batching streams" |
//! | discarded batches | [`Discarded`] | "Retain discarded batch records", S3 |
//!
//! What AWS leaves open is chosen by the seed: when a batch that was done comes again, how many of a
//! parent's records come again at the boundary.

use embedded::SeededRandom;
use ports::Timestamp;

use super::answer::Outcome;
use super::shards::{Record, Shard, Shards};

/// Bytes of one synchronous invocation's event.
pub const PAYLOAD_BYTES_MAX: usize = 6_291_456;
/// What one record's envelope in the event costs beside its data: names, ARNs, sequence numbers.
pub const RECORD_ENVELOPE_BYTES: usize = 700;
/// The longest wait before a batch is tried again.
pub const BACKOFF_MS_MAX: i64 = 30_000;
/// Records at the end of a parent that may come again at the boundary.
const BOUNDARY_RECORDS_MAX: u64 = 5;

/// How a mapping is set. Names are those of `AWS::Lambda::EventSourceMapping`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `BatchSize`.
    pub batch_size: usize,
    /// `MaximumBatchingWindowInSeconds`, in ms.
    pub window_ms: i64,
    /// The payload's limit; smaller in tests.
    pub payload_bytes_max: usize,
    /// `MaximumRetryAttempts`; `None` is −1.
    pub retries: Option<u32>,
    /// `MaximumRecordAgeInSeconds`, in ms; `None` is −1.
    pub record_age_ms: Option<i64>,
    /// `BisectBatchOnFunctionError`.
    pub bisect: bool,
    /// `FunctionResponseTypes: [ReportBatchItemFailures]`.
    pub report_items: bool,
    /// `DestinationConfig.OnFailure`.
    pub on_failure: bool,
    /// `ParallelizationFactor`.
    pub parallel: u64,
    /// How often in a thousand a batch that was done comes again.
    pub again: u16,
}

impl Default for Settings {
    /// What the template sets for `aggregate`.
    fn default() -> Self {
        Self {
            batch_size: 100,
            window_ms: 2_000,
            payload_bytes_max: PAYLOAD_BYTES_MAX,
            retries: None,
            record_age_ms: Some(86_400_000),
            bisect: true,
            report_items: true,
            on_failure: true,
            parallel: 1,
            again: 0,
        }
    }
}

/// A batch on its way to the function, or waiting to be tried again.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The shard's place in the stream.
    pub shard: usize,
    /// Its name.
    pub shard_name: String,
    /// Which of the shard's concurrent readers.
    pub slot: u64,
    /// In their order.
    pub records: Vec<Record>,
    /// How often it has failed.
    pub failures: u32,
    not_before: Timestamp,
}

impl Batch {
    /// These records of one shard, given for the first time.
    #[must_use]
    pub fn first(shard: usize, shard_name: String, records: Vec<Record>) -> Self {
        Self { shard, shard_name, slot: 0, records, failures: 0, not_before: Timestamp(0) }
    }

    /// The names by which an answer tells of its records.
    #[must_use]
    pub fn sequences(&self) -> Vec<String> {
        self.records.iter().map(|record| record.sequence.to_string()).collect()
    }
}

/// Why a batch is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The cap of retries.
    RetryAttemptsExhausted,
    /// Its records are too old.
    RecordAgeExceeded,
}

/// A batch that is given up: with a destination, it is kept there.
#[derive(Debug, Clone)]
pub struct Discarded {
    /// What.
    pub batch: Batch,
    /// Why.
    pub condition: Condition,
}

/// One of a shard's concurrent readers.
#[derive(Debug, Default)]
struct Reader {
    /// The next record of the shard to look at.
    next: usize,
    /// What comes before that: retries, and what comes again. The first is at the end.
    before: Vec<Batch>,
    /// The batch that the function has now.
    running: bool,
    /// The newest records that were done, for the boundary.
    done: Vec<Record>,
    /// The parents' last records were given again, or not: it is decided.
    boundary_decided: bool,
}

/// The mapping of one function to one stream.
pub struct Mapping {
    /// How it is set.
    pub settings: Settings,
    /// By shard and slot.
    readers: Vec<Vec<Reader>>,
    /// What was given up.
    pub discarded: Vec<Discarded>,
}

impl Mapping {
    /// From the stream's beginning (`TRIM_HORIZON`).
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, readers: Vec::new(), discarded: Vec::new() }
    }

    /// A batch that the function is to get now: of any reader that has one, chosen by chance.
    pub fn next(&mut self, stream: &Shards, now: Timestamp, random: &mut SeededRandom) -> Option<Batch> {
        stream.with(|shards| {
            self.readers.resize_with(shards.len(), || (0..self.settings.parallel).map(|_| Reader::default()).collect());
            let count = shards.len() as u64 * self.settings.parallel;
            let start = random.below(count);
            for offset in 0..count {
                let place = (start + offset) % count;
                let (shard, slot) = ((place / self.settings.parallel) as usize, place % self.settings.parallel);
                if !self.parents_are_drained(shards, shard) {
                    continue;
                }
                self.repeat_boundary(shards, shard, slot, random);
                if let Some(batch) = self.take(shards, (shard, slot), now) {
                    return Some(batch);
                }
            }
            None
        })
    }

    /// Tells what came of a batch.
    pub fn ended(&mut self, mut batch: Batch, outcome: Outcome, now: Timestamp, random: &mut SeededRandom) {
        let again = random.chance(self.settings.again);
        let reader = &mut self.readers[batch.shard][batch.slot as usize];
        reader.running = false;
        let rest = match outcome {
            Outcome::Done => batch.records.split_off(batch.records.len()),
            Outcome::FailedFrom(place) => batch.records.split_off(place),
            Outcome::Failed => std::mem::take(&mut batch.records),
        };
        let failed = Batch { records: rest, ..batch.clone() };
        if !failed.records.is_empty() {
            let (parts, given_up) = after_failure(&self.settings, failed, outcome, now);
            reader.before.extend(parts.into_iter().rev());
            self.discarded
                .extend(given_up.map(|batch| Discarded { batch, condition: Condition::RetryAttemptsExhausted }));
        }
        if !batch.records.is_empty() {
            reader.done.clone_from(&batch.records);
            if again {
                // The poller was replaced before its checkpoint was stored.
                reader.before.push(Batch { failures: 0, ..batch });
            }
        }
    }

    /// Whether every record that arrived until then was done or given up.
    #[must_use]
    pub fn is_drained(&self, stream: &Shards, until: Timestamp) -> bool {
        stream.with(|shards| {
            let drained = |shard| self.shard_is_drained(shards, shard, until);
            self.readers.len() == shards.len() && (0..shards.len()).all(drained)
        })
    }

    fn shard_is_drained(&self, shards: &[Shard], shard: usize, until: Timestamp) -> bool {
        self.readers.get(shard).is_some_and(|readers| {
            readers.iter().enumerate().all(|(slot, reader)| {
                let unread = shards[shard].records.get(reader.next..).unwrap_or_default();
                let is_mine = |record: &Record| slot_of(record, self.settings.parallel) == slot as u64;
                let mine = |record: &Record| is_mine(record) && record.arrived_at <= until;
                !reader.running && reader.before.is_empty() && !unread.iter().any(mine)
            })
        })
    }

    fn parents_are_drained(&self, shards: &[Shard], shard: usize) -> bool {
        let drained = |parent: &usize| {
            self.parents_are_drained(shards, *parent) && self.shard_is_drained(shards, *parent, Timestamp(i64::MAX))
        };
        shards[shard].parents.iter().all(drained)
    }

    /// The first time that a child is read, some of its parents' last records may come again.
    fn repeat_boundary(&mut self, shards: &[Shard], shard: usize, slot: u64, random: &mut SeededRandom) {
        let reader = &mut self.readers[shard][slot as usize];
        if std::mem::replace(&mut reader.boundary_decided, true) || self.settings.again == 0 {
            return;
        }
        let mut repeated = Vec::new();
        for parent in &shards[shard].parents {
            let count = random.below(BOUNDARY_RECORDS_MAX) as usize;
            let done = &self.readers[*parent][slot as usize].done;
            let records = done[done.len().saturating_sub(count)..].to_vec();
            if !records.is_empty() {
                repeated.push(Batch {
                    shard,
                    shard_name: shards[*parent].name.clone(),
                    slot,
                    records,
                    failures: 0,
                    not_before: Timestamp(0),
                });
            }
        }
        self.readers[shard][slot as usize].before.extend(repeated);
    }

    /// A reader's next batch, without what is too old.
    fn take(&mut self, shards: &[Shard], (shard, slot): (usize, u64), now: Timestamp) -> Option<Batch> {
        loop {
            let reader = &mut self.readers[shard][slot as usize];
            if reader.running {
                return None;
            }
            let batch = match reader.before.pop() {
                Some(batch) if batch.not_before > now => {
                    reader.before.push(batch);
                    return None;
                }
                Some(batch) => batch,
                None => {
                    let unread = shards[shard].records.get(reader.next..).unwrap_or_default();
                    let (records, passed) = gather(&self.settings, unread, slot, now)?;
                    reader.next += passed;
                    let shard_name = shards[shard].name.clone();
                    Batch { shard, shard_name, slot, records, failures: 0, not_before: now }
                }
            };
            let (expired, batch) = split_expired(&self.settings, batch, now);
            self.discarded.extend(expired.map(|batch| Discarded { batch, condition: Condition::RecordAgeExceeded }));
            if let Some(batch) = batch {
                self.readers[shard][slot as usize].running = true;
                return Some(batch);
            }
        }
    }
}

/// Which of a shard's concurrent readers takes a record: all of one partition key the same.
#[must_use]
pub fn slot_of(record: &Record, parallel: u64) -> u64 {
    record.key.bytes().fold(7u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte))) % parallel
}

/// The records of the next batch, and how many of the shard are passed with it; `None` where none
/// is due. A batch is due when it is full, when its payload is, or when its first record has waited
/// for the window. It always has one record.
#[must_use]
pub fn gather(settings: &Settings, unread: &[Record], slot: u64, now: Timestamp) -> Option<(Vec<Record>, usize)> {
    let (mut records, mut passed, mut bytes) = (Vec::<Record>::new(), 0, 0);
    let mut full = false;
    for record in unread {
        if slot_of(record, settings.parallel) == slot {
            bytes += payload_bytes(record);
            if !records.is_empty() && bytes > settings.payload_bytes_max {
                full = true;
                break;
            }
            records.push(record.clone());
        }
        passed += 1;
        if records.len() >= settings.batch_size {
            full = true;
            break;
        }
    }
    let first = records.first()?;
    (full || first.arrived_at.plus_ms(settings.window_ms) <= now).then_some((records, passed))
}

/// What a record takes in the event: base64, and what stands around it.
#[must_use]
pub fn payload_bytes(record: &Record) -> usize {
    record.data.len().div_ceil(3) * 4 + RECORD_ENVELOPE_BYTES
}

/// What comes of a batch that failed: the batches to try, in order, or the batch given up.
///
/// Halving takes no retry: it goes on until a record stands alone. Of a partial answer, what is left
/// is tried again as it is: the answer has said where to cut.
#[must_use]
pub fn after_failure(
    settings: &Settings,
    mut batch: Batch,
    outcome: Outcome,
    now: Timestamp,
) -> (Vec<Batch>, Option<Batch>) {
    if settings.bisect && outcome == Outcome::Failed && batch.records.len() > 1 {
        let rest = batch.records.split_off(batch.records.len() / 2);
        let second = Batch { records: rest, not_before: now, ..batch.clone() };
        batch.not_before = now;
        return (vec![batch, second], None);
    }
    if settings.retries.is_some_and(|retries| batch.failures >= retries) {
        return (Vec::new(), Some(batch));
    }
    let wait = 500_i64.saturating_mul(1 << batch.failures.min(10)).min(BACKOFF_MS_MAX);
    batch.failures += 1;
    batch.not_before = now.plus_ms(wait);
    (vec![batch], None)
}

/// Parts a batch into what is too old to be tried (again), and the rest.
#[must_use]
pub fn split_expired(settings: &Settings, batch: Batch, now: Timestamp) -> (Option<Batch>, Option<Batch>) {
    let Some(age_ms) = settings.record_age_ms else { return (None, Some(batch)) };
    let is_old = |record: &Record| record.arrived_at.plus_ms(age_ms) < now;
    let (old, young): (Vec<Record>, Vec<Record>) = batch.records.iter().cloned().partition(is_old);
    let part = |records: Vec<Record>| (!records.is_empty()).then(|| Batch { records, ..batch.clone() });
    (part(old), part(young))
}
