//! `status`: the ledger of an agent, running or not.
//!
//! The ledger is read from the buffer's own files, which say the same whether or not the agent
//! runs. How the connection is comes from `status.json`, which the running agent writes; whether
//! it runs, from the lock that it holds.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use series::Epoch;
use tokio::sync::watch;
use wire::{Counters, SeqRange};

use crate::buffer::{DiskLog, LogState, RealDisk};
use crate::link::LinkStatus;
use crate::store::View;

/// The folder of the buffer, in the data folder.
pub const BUFFER_FOLDER: &str = "buffer";
/// The file that the running agent writes.
const STATUS_FILE: &str = "status.json";
/// The file that the running agent holds locked.
const LOCK_FILE: &str = "lock";
/// The file is written at most this often.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// What the running agent writes down about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The agent's name.
    pub name: String,
    /// The server's HTTP URL.
    pub url: String,
    /// The process.
    pub pid: u32,
    /// The random name of this run.
    pub run_id: String,
    /// How the connection is.
    pub connection: LinkStatus,
    /// Whether batches go to memory now.
    pub memory_only: bool,
    /// What is in memory only; lost with the process.
    pub memory: Ledger,
}

/// One log's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Its epoch.
    pub epoch: Epoch,
    /// The seq that the next batch gets.
    pub next_seq: u64,
    /// Its counters.
    pub counters: Counters,
    /// Batches that are not acknowledged.
    pub batches: u64,
    /// Bytes that it takes.
    pub bytes: u64,
    /// When the oldest of those batches was made, ms since 1970.
    pub oldest_ms: Option<i64>,
}

impl Ledger {
    fn of(log: &LogState) -> Self {
        Self {
            epoch: log.epoch,
            next_seq: log.next_seq,
            counters: log.counters(),
            batches: log.batches,
            bytes: log.bytes,
            oldest_ms: log.oldest.map(series::Timestamp::ms),
        }
    }
}

/// What `status --json` prints.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Whether the agent runs.
    pub running: bool,
    /// The ledger of the buffer on disk; absent where there is none yet.
    #[serde(flatten)]
    pub ledger: Option<Ledger>,
    /// Batches that were acknowledged (or evicted, where `evicted` is above 0), by seq.
    pub acked: Vec<SeqRange>,
    /// What the agent wrote down last.
    pub agent: Option<Written>,
}

/// Looks at a data folder.
pub fn look(data_dir: &Path) -> io::Result<Status> {
    let found = look_at_buffer(&data_dir.join(BUFFER_FOLDER))?;
    let written = std::fs::read(data_dir.join(STATUS_FILE)).ok();
    Ok(Status {
        running: is_locked(data_dir),
        ledger: found.as_ref().map(|look| Ledger::of(&look.state)),
        acked: found.map(|look| look.finished).unwrap_or_default(),
        agent: written.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
    })
}

fn look_at_buffer(folder: &Path) -> io::Result<Option<crate::buffer::Look>> {
    match RealDisk::open_existing(folder).and_then(|disk| DiskLog::look(&disk)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        looked => looked,
    }
}

impl Status {
    /// For a person.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![format!("running       {}", if self.running { "yes" } else { "no" })];
        if let Some(agent) = &self.agent {
            lines.push(format!("name          {}", agent.name));
            lines.push(format!("server        {}", agent.url));
            if self.running {
                let LinkStatus { state, last_error, .. } = &agent.connection;
                let problem = if state == "up" || last_error.is_empty() { "" } else { last_error };
                lines.push(format!("connection    {state} {problem}").trim_end().to_owned());
                if agent.memory_only {
                    lines.push("buffer        IN MEMORY ONLY: the disk cannot be used".to_owned());
                }
            }
        }
        match &self.ledger {
            None => lines.push("ledger        there is no buffer yet".to_owned()),
            Some(ledger) => {
                let Ledger { counters, .. } = ledger;
                let rejected: u64 = counters.rejected.values().sum();
                lines.push(format!("epoch         {}, next seq {}", ledger.epoch, ledger.next_seq));
                lines.push(format!("buffer        {} batches, {} bytes", ledger.batches, ledger.bytes));
                lines.push(format!(
                    "samples       {} generated = {} delivered + {} buffered + {} evicted + {rejected} rejected",
                    counters.generated,
                    counters.generated.saturating_sub(counters.buffered + counters.evicted + rejected),
                    counters.buffered,
                    counters.evicted,
                ));
                lines.extend(counters.rejected.iter().map(|(reason, count)| format!("  rejected    {count} {reason}")));
            }
        }
        lines.join("\n") + "\n"
    }
}

/// Writes `status.json` whenever something changed, until it is dropped.
pub async fn keep_written(
    data_dir: PathBuf,
    mut written: Written,
    mut link: watch::Receiver<LinkStatus>,
    mut view: watch::Receiver<View>,
) {
    loop {
        written.connection = link.borrow_and_update().clone();
        {
            let view = view.borrow_and_update();
            written.memory_only = view.memory_only;
            written.memory = Ledger::of(&view.memory);
        }
        write(&data_dir, &written);
        let next = tokio::time::Instant::now() + WRITE_EVERY;
        let before = notable(&written.connection, written.memory_only, written.memory.next_seq);
        loop {
            tokio::select! {
                changed = link.changed() => if changed.is_err() { return },
                changed = view.changed() => if changed.is_err() { return },
            }
            let (link, view) = (link.borrow_and_update(), view.borrow_and_update());
            if notable(&link, view.memory_only, view.memory.next_seq) != before {
                break;
            }
        }
        // Only now: each flush changes the view, and would wake the agent once more.
        tokio::time::sleep_until(next).await;
    }
}

/// What is worth a write. Batches on their way come and go with each flush, and to rename over a
/// file makes ext4 write it out.
fn notable(link: &LinkStatus, memory_only: bool, memory_seq: u64) -> (LinkStatus, bool, u64) {
    (LinkStatus { in_flight: 0, ..link.clone() }, memory_only, memory_seq)
}

/// Writes the file once; it is only information, so errors do not matter.
pub fn write(data_dir: &Path, written: &Written) {
    let Ok(text) = serde_json::to_vec_pretty(written) else { return };
    let fresh = data_dir.join("status.json.new");
    if std::fs::write(&fresh, text).is_ok() {
        let _ = std::fs::rename(fresh, data_dir.join(STATUS_FILE));
    }
}

/// What the agent writes at its start.
#[must_use]
pub fn first_written(name: &str, url: &str, run_id: &str, view: &View) -> Written {
    Written {
        name: name.to_owned(),
        url: url.to_owned(),
        pid: std::process::id(),
        run_id: run_id.to_owned(),
        connection: LinkStatus::default(),
        memory_only: view.memory_only,
        memory: Ledger::of(&view.memory),
    }
}

/// The lock of a data folder: two agents with one buffer would give names twice. It is free again
/// when this is dropped, or the process dies.
pub struct DataLock(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

impl DataLock {
    /// Takes the lock; `Ok(None)` where another agent has it.
    pub fn take(data_dir: &Path) -> io::Result<Option<Self>> {
        std::fs::create_dir_all(data_dir)?;
        let file = File::options().write(true).create(true).truncate(false).open(data_dir.join(LOCK_FILE))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_locked(data_dir: &Path) -> bool {
    let Ok(file) = File::open(data_dir.join(LOCK_FILE)) else { return false };
    flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_while_somebody_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_locked(folder.path()));
        let lock = DataLock::take(folder.path()).unwrap();
        assert!(lock.is_some() && is_locked(folder.path()));
        assert!(DataLock::take(folder.path()).unwrap().is_none());
        drop(lock);
        assert!(!is_locked(folder.path()));
    }

    #[test]
    fn there_is_a_status_before_there_is_a_buffer() {
        let folder = tempfile::tempdir().unwrap();
        let status = look(&folder.path().join("missing")).unwrap();
        assert!(!status.running && status.ledger.is_none());
        assert!(status.text().contains("no buffer yet"));
    }
}
