//! The agent as a whole: starts the parts in their order, and stops them in the other one.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::buffer::{RealDisk, Settings};
use crate::config::{Config, Fsync};
use crate::figures::Figures;
use crate::flush::Flusher;
use crate::intake::Intake;
use crate::link::dial::Dial;
use crate::link::{Identity, Link, LinkStatus};
use crate::own::OwnMetrics;
use crate::schedule::Job;
use crate::status::{self, BUFFER_FOLDER, DataLock};
use crate::store::Store;
use crate::surroundings::Surroundings;
use crate::{inputs, once, schedule};

/// How long another agent may take to let go of the data folder: one that is just being stopped.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How long the link may take to end; it limits itself to less.
const END_WAIT: Duration = Duration::from_secs(10);
/// How often the lock is tried.
const LOCK_TRY_EVERY: Duration = Duration::from_millis(200);
/// How often the agent looks at itself.
pub(crate) const OWN_INTERVAL: Duration = Duration::from_secs(10);

/// Runs until `ended` is ready, then stops in order: jobs, the last flush, the last acks.
pub async fn run(
    config: Config,
    host: String,
    surroundings: Surroundings,
    ended: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let _lock = lock(&config.data_dir).await?;
    let WayOut { figures, store, thread, intake, flusher, every, link_seen, stop, run_id, link } =
        WayOut::open(&config, host, surroundings)?;
    let written = status::first_written(config.name.as_str(), &config.url, &run_id, &store.view().borrow());
    let mut working = JoinSet::new();
    working.spawn(flusher.clone().run(every));
    let written_down = tokio::spawn(status::keep_written(config.data_dir.clone(), written, link_seen, store.view()));

    let collecting = schedule::start(jobs(&config, &intake), &surroundings, &figures);
    let mut listening = JoinSet::new();
    for listener in inputs::listeners(&config, &intake) {
        tracing::debug!(name = listener.name, "listening");
        listening.spawn(async move {
            if AssertUnwindSafe(listener.work).catch_unwind().await.is_err() {
                tracing::error!(name = listener.name, "the listener panicked and is off until the next start");
            }
        });
    }
    tracing::info!(name = %config.name, url = config.url, data_dir = %config.data_dir.display(), "daywatch-agent runs");
    ended.await;

    tracing::info!("stopping");
    drop((collecting, working));
    // Listeners give what they still hold to the intake as they end, before the last flush.
    listening.shutdown().await;
    flusher.flush(true).await;
    end_link(&stop, link).await;
    // The status task sees the end of the link, and the store's thread the end of all its users.
    let _ = tokio::time::timeout(Duration::from_secs(2), written_down).await;
    drop((flusher, intake, store));
    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    Ok(())
}

/// Asks the link to end: the last acks, then the socket.
pub(crate) async fn end_link(stop: &watch::Sender<bool>, mut link: tokio::task::JoinHandle<()>) {
    let _ = stop.send(true);
    if tokio::time::timeout(END_WAIT, &mut link).await.is_err() {
        tracing::error!("the link does not end; what is not acknowledged stays in the buffer");
        link.abort();
    }
}

/// Everything between the inputs and the server, at work.
pub(crate) struct WayOut {
    pub(crate) figures: Arc<Figures>,
    pub(crate) store: Store,
    pub(crate) thread: std::thread::JoinHandle<()>,
    pub(crate) intake: Intake,
    pub(crate) flusher: Flusher,
    /// How often to flush, as the link says.
    pub(crate) every: watch::Receiver<Duration>,
    pub(crate) link_seen: watch::Receiver<LinkStatus>,
    /// Asks the link to end.
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) run_id: String,
    pub(crate) link: tokio::task::JoinHandle<()>,
}

impl WayOut {
    /// Opens the buffer and begins to connect.
    pub(crate) fn open(config: &Config, host: String, surroundings: Surroundings) -> anyhow::Result<Self> {
        let figures: Arc<Figures> = Arc::default();
        let (store, thread) = open_store(config, surroundings, &figures)?;
        let intake = Intake::new(config.name.clone(), &config.labels, figures.clone());
        let flusher = Flusher { intake: intake.clone(), store: store.clone(), surroundings };
        let (flush_every, every) = watch::channel(config.buffer.flush.duration());
        let (link_status, link_seen) = watch::channel(LinkStatus::default());
        let (stop, stopped) = watch::channel(false);
        let run_id = format!("{:016x}", (surroundings.random)());
        let link = Link {
            dial: Dial::new(config),
            identity: Identity { source: config.name.clone(), run_id: run_id.clone(), host },
            store: store.clone(),
            flush_every,
            flush_default: config.buffer.flush.duration(),
            status: link_status,
            stop: stopped,
            figures: figures.clone(),
            surroundings,
        };
        let link = tokio::spawn(link.run());
        Ok(Self { figures, store, thread, intake, flusher, every, link_seen, stop, run_id, link })
    }
}

fn jobs(config: &Config, intake: &Intake) -> Vec<Box<dyn Job>> {
    let mut jobs = inputs::jobs(config, intake);
    jobs.push(Box::new(OwnMetrics::new(intake.clone(), OWN_INTERVAL)));
    jobs
}

/// One collection as text.
pub async fn collect_once(config: &Config, surroundings: Surroundings) -> String {
    let intake = Intake::new(config.name.clone(), &config.labels, Arc::default());
    let at = (surroundings.clock)();
    for mut job in jobs(config, &intake) {
        job.run(at).await;
    }
    once::text(&intake.take())
}

async fn lock(data_dir: &Path) -> anyhow::Result<Option<DataLock>> {
    let deadline = tokio::time::Instant::now() + LOCK_WAIT;
    loop {
        match DataLock::take(data_dir) {
            Ok(Some(lock)) => return Ok(Some(lock)),
            Ok(None) if tokio::time::Instant::now() < deadline => tokio::time::sleep(LOCK_TRY_EVERY).await,
            Ok(None) => anyhow::bail!("another daywatch-agent uses the data folder {}", data_dir.display()),
            Err(error) => {
                // Not a reason to leave the host unwatched: the buffer will be in memory.
                tracing::error!(data_dir = %data_dir.display(), %error, "the data folder cannot be used");
                return Ok(None);
            }
        }
    }
}

fn open_store(
    config: &Config,
    surroundings: Surroundings,
    figures: &Arc<Figures>,
) -> anyhow::Result<(Store, std::thread::JoinHandle<()>)> {
    let settings = Settings {
        source: config.name.clone(),
        bytes_max: config.buffer.max_bytes,
        sync_each: config.buffer.fsync == Fsync::Batch,
    };
    let sync_every = match config.buffer.fsync {
        Fsync::Batch => None,
        Fsync::Every(period) => Some(period.duration()),
    };
    let folder = config.data_dir.join(BUFFER_FOLDER);
    Store::start(settings, sync_every, surroundings, figures.clone(), move || RealDisk::open(&folder))
        .context("the buffer's thread cannot be started")
}
