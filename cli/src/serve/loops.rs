//! What brings the functions to life in one process: a reader a shard and function (on AWS the
//! event source mappings), the manifest's changes, the wake-ups, and the ticks (EventBridge).
//!
//! A batch is committed only when its function said yes; else it is given again, after a pause.
//! An error is counted and shown in `/metrics` as well as logged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use broadcast::Broadcaster;
use embedded::Consumer;
use pipeline::{Delivered, Fault, documents};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinError, JoinSet};

use super::{House, graphite};

/// Records of one batch.
const BATCH_RECORDS_MAX: usize = 10_000;
/// How long `aggregate` gathers before it writes a block (on AWS: `FreshnessSeconds`).
const AGGREGATE_WINDOW: Duration = Duration::from_millis(1_000);
/// A read waits this long for a record, then asks whether to stop.
const WAIT: Duration = Duration::from_secs(5);
/// The pauses after a function failed: doubled from the first to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Pulses prove that silence is not ours.
const PULSE_EVERY: Duration = Duration::from_secs(5);
/// `up`, and wishes for rules.
const PRESENCE_EVERY: Duration = Duration::from_secs(10);
/// The hot samples in memory are filled, at the start at once, and trimmed.
const HEAD_EVERY: Duration = Duration::from_secs(30);
/// Repairs and compaction.
const TICK_EVERY: Duration = Duration::from_secs(60);

/// The running loops.
pub(super) struct Loops {
    tasks: Mutex<JoinSet<()>>,
    stopping: watch::Receiver<bool>,
}

impl Loops {
    /// Resolves when a loop ends before it was asked to: a bug, which is not survived in silence.
    pub(super) async fn failed(&self) -> anyhow::Error {
        match self.tasks.lock().await.join_next().await {
            Some(Err(error)) => anyhow!("a loop ended: {}", reason(error)),
            Some(Ok(())) | None => anyhow!("a loop ended by itself"),
        }
    }

    /// Waits until every loop has ended.
    pub(super) async fn stop(self) {
        debug_assert!(*self.stopping.borrow(), "ask to stop first");
        let mut tasks = self.tasks.into_inner();
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!("a loop ended: {}", reason(error));
            }
        }
    }
}

fn reason(error: JoinError) -> String {
    if error.is_panic() { "it panicked (see above)".to_owned() } else { error.to_string() }
}

/// Starts them all.
pub(super) async fn start(house: &Arc<House>, graphite: Option<SocketAddr>) -> anyhow::Result<Loops> {
    let mut tasks = JoinSet::new();
    let broadcaster = Arc::new(Mutex::new(Broadcaster::default()));
    let shards = house.embedded.shards();
    for shard in 0..shards.count() {
        let consumer = shards.consumer("aggregate", shard).await?;
        tasks.spawn(aggregate_loop(house.clone(), consumer));
        let consumer = shards.consumer("evaluate-alerts", shard).await?;
        tasks.spawn(evaluate_loop(house.clone(), consumer));
        tasks.spawn(broadcast_loop(house.clone(), shards.watcher(shard)?, broadcaster.clone()));
    }
    tasks.spawn(flush_loop(house.clone(), broadcaster));
    tasks.spawn(changes_loop(house.clone()));
    tasks.spawn(timer_loop(house.clone()));
    for (name, every) in
        [("pulse", PULSE_EVERY), ("presence", PRESENCE_EVERY), ("head", HEAD_EVERY), ("tick", TICK_EVERY)]
    {
        tasks.spawn(tick_loop(house.clone(), name, every));
    }
    if let Some(address) = graphite {
        graphite::start(house, address, &mut tasks).await?;
    }
    Ok(Loops { tasks: Mutex::new(tasks), stopping: house.stopping() })
}

/// Waits, or answers true at once when the process is to end.
async fn pause(stopping: &mut watch::Receiver<bool>, time: Duration) -> bool {
    tokio::time::timeout(time, stopping.wait_for(|stop| *stop)).await.is_ok()
}

/// The pause after the n-th failure in a row.
fn backoff(failures: u32) -> Duration {
    PAUSE_FIRST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(PAUSE_MAX)
}

impl House {
    /// Counts and logs a function's failure.
    pub(super) fn failed(&self, function: &'static str, error: &dyn std::fmt::Display) {
        self.failures.count(function);
        tracing::error!(function, "{error}; it will be tried again");
    }
}

async fn aggregate_loop(house: Arc<House>, mut consumer: Consumer) {
    let mut stopping = house.stopping();
    let mut failures = 0;
    while !*stopping.borrow() {
        let batch = tokio::select! {
            batch = consumer.gather(BATCH_RECORDS_MAX, AGGREGATE_WINDOW, WAIT) => batch,
            // What was accepted is durable: it is aggregated after the next start.
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        let done = match batch {
            Ok(batch) if batch.is_empty() => continue,
            Ok(batch) => settle(&mut consumer, &batch, aggregate::handle(&house.context, &batch).await).await,
            Err(error) => Err(error.into()),
        };
        failures = match done {
            Ok(()) => 0,
            Err(fault) => {
                house.failed("aggregate", &fault);
                failures + 1
            }
        };
        if failures > 0 && pause(&mut stopping, backoff(failures)).await {
            return;
        }
    }
}

async fn evaluate_loop(house: Arc<House>, mut consumer: Consumer) {
    let mut stopping = house.stopping();
    let mut failures = 0;
    while !*stopping.borrow() {
        let batch = tokio::select! {
            batch = consumer.next_batch(BATCH_RECORDS_MAX, WAIT) => batch,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        let done = match batch {
            Ok(batch) if batch.is_empty() => continue,
            Ok(batch) => settle(&mut consumer, &batch, evaluate_alerts::stream(&house.context, &batch).await).await,
            Err(error) => Err(error.into()),
        };
        failures = match done {
            Ok(()) => 0,
            Err(fault) => {
                house.failed("evaluate-alerts", &fault);
                failures + 1
            }
        };
        if failures > 0 && pause(&mut stopping, backoff(failures)).await {
            return;
        }
    }
}

/// Commits a batch that its function took.
async fn settle(consumer: &mut Consumer, batch: &[Delivered], outcome: Result<(), Fault>) -> Result<(), Fault> {
    outcome?;
    let Some(last) = batch.last() else { return Ok(()) };
    Ok(consumer.commit(&last.sequence).await?)
}

async fn broadcast_loop(house: Arc<House>, mut watcher: Consumer, broadcaster: Arc<Mutex<Broadcaster>>) {
    let mut stopping = house.stopping();
    while !*stopping.borrow() {
        let batch = tokio::select! {
            batch = watcher.next_batch(BATCH_RECORDS_MAX, WAIT) => batch,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        let done = match batch {
            Ok(batch) if batch.is_empty() => continue,
            Ok(batch) => {
                let outcome = broadcast::handle(&house.context, &mut *broadcaster.lock().await, &batch).await;
                // Lossy by design: what failed is not tried again, but it is counted.
                if let Err(fault) = outcome {
                    house.failed("broadcast", &fault);
                }
                settle(&mut watcher, &batch, Ok(())).await
            }
            Err(error) => Err(error.into()),
        };
        if let Err(fault) = done {
            house.failed("broadcast", &fault);
            if pause(&mut stopping, PAUSE_MAX).await {
                return;
            }
        }
    }
}

/// Sends what waits because a page got a message less than a second before.
async fn flush_loop(house: Arc<House>, broadcaster: Arc<Mutex<Broadcaster>>) {
    const LOOK_EVERY: Duration = Duration::from_millis(100);
    let mut stopping = house.stopping();
    while !pause(&mut stopping, LOOK_EVERY).await {
        let mut broadcaster = broadcaster.lock().await;
        if broadcaster.next_flush().is_none_or(|due| due > house.context.ports.clock.now()) {
            continue;
        }
        if let Err(fault) = broadcaster.flush(&house.context).await {
            house.failed("broadcast", &fault);
        }
    }
}

async fn changes_loop(house: Arc<House>) {
    let mut stopping = house.stopping();
    let mut failures = 0;
    while !*stopping.borrow() {
        let done = tokio::select! {
            done = changes(&house) => done,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        match done {
            Ok(()) => failures = 0,
            Err(fault) => {
                failures += 1;
                house.failed("evaluate-alerts", &fault);
                if pause(&mut stopping, backoff(failures)).await {
                    return;
                }
            }
        }
    }
}

async fn changes(house: &House) -> Result<(), Fault> {
    let mut consumer = house.embedded.changes().consumer("evaluate-alerts").await?;
    loop {
        let batch = consumer.next_batch(embedded::CHANGES_PER_BATCH_MAX, WAIT).await?;
        let Some(last) = batch.last().map(|change| change.sequence) else { return Ok(()) };
        let mut tenants: Vec<_> = batch.into_iter().map(|change| change.tenant).collect();
        tenants.sort();
        tenants.dedup();
        for tenant in tenants {
            evaluate_alerts::changes(&house.context, &tenant).await?;
        }
        consumer.commit(last).await?;
    }
}

async fn timer_loop(house: Arc<House>) {
    let mut stopping = house.stopping();
    let mut failures = 0;
    while !*stopping.borrow() {
        let timers = house.embedded.timers();
        let changed = timers.changed();
        let now = house.context.ports.clock.now();
        let done = async {
            let due = timers.due(now).await?;
            let mut handled = Vec::with_capacity(due.len());
            let mut outcome = Ok(());
            for one in due {
                match evaluate_alerts::wake(&house.context, &one.wake).await {
                    Ok(()) => handled.push(one),
                    Err(fault) => outcome = Err(fault),
                }
            }
            timers.done(handled).await?;
            outcome
        }
        .await;
        let wait = match done {
            Ok(()) => {
                failures = 0;
                match timers.next_due().await {
                    Ok(Some(at)) => Duration::from_millis(u64::try_from(at.ms() - now.ms()).unwrap_or(0)).min(WAIT),
                    Ok(None) => WAIT,
                    Err(error) => {
                        house.failed("evaluate-alerts", &error);
                        PAUSE_MAX
                    }
                }
            }
            Err(fault) => {
                failures += 1;
                house.failed("evaluate-alerts", &fault);
                backoff(failures)
            }
        };
        tokio::select! {
            () = changed => {}
            stop = pause(&mut stopping, wait) => if stop { return },
        }
    }
}

async fn tick_loop(house: Arc<House>, name: &'static str, every: Duration) {
    let mut stopping = house.stopping();
    loop {
        if let Err(fault) = tick(&house, name).await {
            house.failed(name, &fault);
        }
        if pause(&mut stopping, every).await {
            return;
        }
    }
}

async fn tick(house: &House, name: &str) -> Result<(), Fault> {
    let context = &house.context;
    match name {
        "pulse" => evaluate_alerts::pulse(context).await,
        "head" => pipeline::head::refresh(context).await,
        "presence" => {
            // What fails for one does not stop the others.
            let mut outcome = Ok(());
            for tenant in documents::tenants(&context.ports).await? {
                outcome = outcome.and(pipeline::presence::note(context, &tenant).await);
                outcome = outcome.and(pipeline::wishes::for_rules(context, &tenant).await);
            }
            outcome
        }
        _ => {
            let evaluated = evaluate_alerts::tick(context).await;
            aggregate::schedule(context).await.and(evaluated)
        }
    }
}

/// How often each function failed since the start.
#[derive(Debug, Default)]
pub(crate) struct Failures(std::sync::Mutex<std::collections::BTreeMap<&'static str, u64>>);

impl Failures {
    fn count(&self, function: &'static str) {
        *self.lock().entry(function).or_default() += 1;
    }

    /// By function.
    pub(crate) fn all(&self) -> Vec<(&'static str, u64)> {
        self.lock().iter().map(|(function, count)| (*function, *count)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<&'static str, u64>> {
        // A panic while counting leaves a number that is at most one short.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
