//! What AWS bills, as counters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Something that is billed by the piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// Websocket messages from clients, 32 KB each.
    MessagesIn,
    /// Websocket messages to clients, 32 KB each.
    MessagesOut,
    /// Bytes out to the internet.
    BytesOut,
    /// Kinesis PUT payload units of 25 KB, at least one a record.
    PutUnits,
    /// Records, for the number of shards.
    Records,
    /// Their bytes.
    RecordBytes,
    /// DynamoDB writes of 1 KB.
    Writes(&'static str),
    /// DynamoDB consistent reads of 4 KB.
    Reads(&'static str),
    /// S3: put, list.
    S3Puts,
    /// S3: get.
    S3Gets,
    /// Bytes of objects that stay.
    S3Bytes,
    /// Requests of Lambda.
    Requests(&'static str),
    /// GB-seconds, in millionths: what the handler computed.
    Computed(&'static str),
    /// GB-seconds, in millionths: what it waited for AWS (assumed times).
    Waited(&'static str),
    /// Bytes of logs.
    LogBytes,
    /// Requests of SQS.
    Sqs,
    /// Notifications.
    Sns,
}

/// What no simulation can measure. Milliseconds that a call to AWS takes inside the region, and the
/// SDK's own work for it (TLS, signing, JSON), in ms of one core.
#[derive(Debug, Clone, Copy)]
pub struct Assumed {
    pub stream_ms: f64,
    pub table_ms: f64,
    pub get_ms: f64,
    pub put_ms: f64,
    pub post_ms: f64,
    pub queue_ms: f64,
    pub sdk_cpu_ms: f64,
    /// One line of CloudWatch's embedded metric format, each minute of a warm process.
    pub metric_line_bytes: u64,
    /// What is logged of an event of a connection.
    pub connection_line_bytes: u64,
}

/// The assumptions of the bill.
pub const ASSUMED: Assumed = Assumed {
    stream_ms: 8.0,
    table_ms: 4.0,
    get_ms: 15.0,
    put_ms: 25.0,
    post_ms: 10.0,
    queue_ms: 6.0,
    sdk_cpu_ms: 0.15,
    metric_line_bytes: 700,
    connection_line_bytes: 250,
};

/// A vCPU comes with so much memory; less memory is a part of one.
pub const MB_A_CPU: f64 = 1_769.0;

/// Counters of one run.
#[derive(Default)]
pub struct Meter(Mutex<State>);

#[derive(Default)]
struct State {
    counts: BTreeMap<Unit, u64>,
    running: Running,
    items: BTreeMap<(ports::Partition, String), usize>,
    blobs: BTreeMap<String, usize>,
    wakes: BTreeSet<ports::Wake>,
    metrics: BTreeSet<(&'static str, String)>,
}

/// The invocation at work.
#[derive(Default, Clone, Copy)]
struct Running {
    waited_ms: f64,
    sdk_calls: u64,
    /// CPU that went into what AWS does: not the function's.
    elsewhere: Duration,
}

impl Meter {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts.
    pub fn add(&self, unit: Unit, count: u64) {
        *self.lock().counts.entry(unit).or_default() += count;
    }

    /// A call to AWS, with the CPU time that our stand-in took for it.
    pub fn called(&self, waits_ms: f64, elsewhere: Duration) {
        let mut state = self.lock();
        state.running.waited_ms += waits_ms;
        state.running.sdk_calls += 1;
        state.running.elsewhere += elsewhere;
    }

    /// An invocation begins.
    pub fn begin(&self) {
        self.lock().running = Running::default();
    }

    /// It has ended, after so much CPU time of this thread.
    pub fn end(&self, function: &'static str, memory_mb: f64, cpu: Duration) {
        let running = std::mem::take(&mut self.lock().running);
        let own_ms = cpu.saturating_sub(running.elsewhere).as_secs_f64() * 1_000.0;
        #[expect(clippy::cast_precision_loss, reason = "a few calls")]
        let cpu_ms = own_ms + running.sdk_calls as f64 * ASSUMED.sdk_cpu_ms;
        // Less memory is less of a core for longer: the price of computing is the same.
        let computed = cpu_ms / 1_000.0 * (MB_A_CPU.max(memory_mb)) / 1_024.0;
        let waited = running.waited_ms / 1_000.0 * memory_mb / 1_024.0;
        self.add(Unit::Requests(function), 1);
        self.add(Unit::Computed(function), micro(computed));
        self.add(Unit::Waited(function), micro(waited));
        self.lock().metrics.extend(super::metrics::take().into_iter().map(|name| (function, name)));
    }

    /// An item is written: the greater of what was there and what is there now.
    pub fn item(&self, key: &ports::Key, size: Option<usize>) -> usize {
        let place = (key.partition.clone(), key.sort.clone());
        let mut state = self.lock();
        let before = match size {
            Some(size) => state.items.insert(place, size),
            None => state.items.remove(&place),
        };
        before.unwrap_or(0).max(size.unwrap_or(0))
    }

    /// An object is written or deleted.
    pub fn blob(&self, name: &str, size: Option<usize>) {
        let mut state = self.lock();
        match size {
            Some(size) => state.blobs.insert(name.to_owned(), size),
            None => state.blobs.remove(name),
        };
    }

    /// Whether a wake-up was not asked for before.
    pub fn is_new_wake(&self, wake: &ports::Wake) -> bool {
        self.lock().wakes.insert(wake.clone())
    }

    /// Bytes of objects that are there.
    #[must_use]
    pub fn blob_bytes(&self) -> u64 {
        self.lock().blobs.values().map(|size| *size as u64).sum()
    }

    /// Functions and the names of their metrics since the last call.
    #[must_use]
    pub fn take_metrics(&self) -> BTreeSet<(&'static str, String)> {
        std::mem::take(&mut self.lock().metrics)
    }

    /// What was counted since the last call.
    #[must_use]
    pub fn take(&self) -> BTreeMap<Unit, u64> {
        std::mem::take(&mut self.lock().counts)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and never below zero")]
fn micro(value: f64) -> u64 {
    (value * 1e6).round() as u64
}

/// CPU time of this thread so far.
#[must_use]
pub fn cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(spent.tv_sec).unwrap_or(0), u32::try_from(spent.tv_nsec).unwrap_or(0))
}
