//! `connect`: does the server take what this agent collects? One collection goes the whole way, from
//! the host's figures through the buffer to the ack; installing ends with it. Where the agent runs
//! already, nothing is sent: then that one is looked at, through what it writes down.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::Config;
use crate::inputs;
use crate::own::OwnMetrics;
use crate::run::{OWN_INTERVAL, WayOut, end_link};
use crate::schedule::Job;
use crate::status::{self, DataLock};
use crate::surroundings::Surroundings;

/// How long it may take until the server has stored something.
pub const STORED_WAIT: Duration = Duration::from_secs(30);
/// How often a running agent is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why not.
#[derive(Debug, thiserror::Error)]
#[error("not connected: {why}")]
pub struct NotConnected {
    /// Whether the server does not take this agent as it is: trying again changes nothing.
    pub refused: bool,
    why: String,
}

/// Answers `connected as NAME, first sample stored`, or fails with [`NotConnected`].
pub async fn connect(config: &Config, host: String, surroundings: Surroundings) -> anyhow::Result<String> {
    refuse_strangers_folder(&config.data_dir)?;
    let folder = || format!("the data folder {} cannot be used", config.data_dir.display());
    let deadline = Instant::now() + STORED_WAIT;
    match DataLock::take(&config.data_dir).with_context(folder)? {
        Some(_lock) => by_itself(config, host, surroundings, deadline).await?,
        None => by_the_running_one(config, deadline).await?,
    }
    Ok(format!("connected as {}, first sample stored", config.name))
}

/// Files of somebody else in the agent's folder would lock it out of its own buffer.
fn refuse_strangers_folder(data_dir: &Path) -> anyhow::Result<()> {
    let Ok(metadata) = std::fs::metadata(data_dir) else { return Ok(()) };
    let (owner, own) = (metadata.uid(), rustix::process::geteuid().as_raw());
    anyhow::ensure!(
        owner == own,
        "the data folder {} belongs to user {owner}, and this is user {own}: run it as the agent's own user, by \
         `sudo -u daywatch daywatch-agent connect`",
        data_dir.display()
    );
    Ok(())
}

async fn by_itself(config: &Config, host: String, surroundings: Surroundings, deadline: Instant) -> anyhow::Result<()> {
    let way = WayOut::open(config, host, surroundings)?;
    let without_checks = Config { checks: Vec::new(), ..config.clone() };
    let mut jobs = inputs::jobs(&without_checks, &way.intake);
    jobs.push(Box::new(OwnMetrics::new(way.intake.clone(), OWN_INTERVAL)) as Box<dyn Job>);
    let at = (surroundings.clock)();
    for job in &mut jobs {
        job.run(at).await;
    }
    way.flusher.flush(true).await;
    let outcome = if way.store.view().borrow().memory_only {
        Err(NotConnected {
            refused: false,
            why: format!("the buffer in {} cannot be written", config.data_dir.display()),
        })
    } else {
        stored(way.link_seen.clone(), deadline).await
    };
    end_link(&way.stop, way.link).await;
    drop((jobs, way.flusher, way.intake, way.store));
    let thread = way.thread;
    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    Ok(outcome?)
}

/// Waits for the first ack, or for something that does not pass.
async fn stored(
    mut link: tokio::sync::watch::Receiver<crate::link::LinkStatus>,
    deadline: Instant,
) -> Result<(), NotConnected> {
    loop {
        let status = link.borrow_and_update().clone();
        if status.stored {
            return Ok(());
        }
        if status.refused {
            return Err(NotConnected { refused: true, why: status.last_error });
        }
        if !matches!(timeout_at(deadline, link.changed()).await, Ok(Ok(()))) {
            return Err(too_late(&status.state, &status.last_error));
        }
    }
}

async fn by_the_running_one(config: &Config, deadline: Instant) -> anyhow::Result<()> {
    let (mut state, mut last_error) = (String::new(), String::new());
    while Instant::now() < deadline {
        let found = status::look(&config.data_dir)?;
        // Its status may be of a run before this one.
        if let Some(written) = found.agent.filter(|_| found.running) {
            let link = written.connection;
            if link.state == "up" && (link.stored || !found.acked.is_empty()) {
                return Ok(());
            }
            if link.refused {
                return Err(NotConnected { refused: true, why: link.last_error }.into());
            }
            (state, last_error) = (link.state, link.last_error);
        }
        sleep(LOOK_EVERY).await;
    }
    Err(too_late(&state, &last_error).into())
}

fn too_late(state: &str, last_error: &str) -> NotConnected {
    let seconds = STORED_WAIT.as_secs();
    let why = match (state, last_error) {
        ("up", _) => format!("the server answers, but has stored nothing within {seconds} s: look at its own log"),
        (_, "") => format!("no answer of the server within {seconds} s"),
        (_, error) => error.to_owned(),
    };
    NotConnected { refused: false, why }
}
