//! Log files become counters (`job="log"`): records by level, exceptions by type, what patterns
//! match, numbers taken from lines. Records worth reading go along.
//!
//! Files are read when the kernel says that they changed (inotify), and at every interval in any
//! case, which is all there is where inotify cannot be had. At the interval counters become
//! samples. The checkpoint moves only when these are safe in the buffer: after a crash the same
//! lines are read again and give the same counters, for a counter never counts what its place in
//! the file does not cover.

mod checkpoint;
mod counts;
mod exception;
mod file;
mod follow;
mod joiner;
mod level;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use series::{Labels, Timestamp};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::sheet::Sheet;
use super::{Listener, now};
use crate::config::Log;
use crate::intake::Intake;
use checkpoint::{Checkpoint, checkpoint_path};
use counts::Rules;
use follow::Follower;
use watch::Watch;

/// Changes within this time are read together.
const GATHER: Duration = Duration::from_millis(300);

/// Pause between two turns of reading while there is more: a flood of lines does not take a
/// whole core.
const TURN_PAUSE: Duration = Duration::from_millis(50);

/// The tail of one `[[log]]` section.
pub(super) fn listener(log: &Log, data_dir: &Path, intake: &Intake) -> Listener {
    let first = log.paths.first().cloned().unwrap_or_default();
    let path = checkpoint_path(data_dir, &log.job, &first);
    let (log, intake) = (log.clone(), intake.clone());
    Listener { name: format!("log {first}"), work: Box::pin(async move { follow_for_ever(&log, path, &intake).await }) }
}

/// What is wrong with a configured section.
pub(super) fn faults(log: &Log) -> Vec<String> {
    let path = |path: &String| match glob::Pattern::new(path) {
        Ok(_) if path.starts_with('/') => None,
        Ok(_) => Some(format!("[[log]] paths: {path:?} does not begin with a slash")),
        Err(error) => Some(format!("[[log]] paths: {path:?}: {error}")),
    };
    let none = log.paths.is_empty().then(|| "[[log]] paths: there is none".to_owned());
    none.into_iter().chain(log.paths.iter().filter_map(path)).chain(Rules::compiled(log).1).collect()
}

/// What moves to the thread that reads, and back.
struct Tail {
    follower: Follower,
    sheet: Sheet,
}

async fn follow_for_ever(log: &Log, checkpoint_path: PathBuf, intake: &Intake) {
    let (rules, faults) = Rules::compiled(log);
    for fault in faults {
        tracing::error!(fault, "left out of the log section");
    }
    let checkpoint = Checkpoint::load(&checkpoint_path).unwrap_or_else(|error| {
        tracing::error!(error, "the log checkpoint cannot be used; files are followed from their ends");
        None
    });
    let begins = checkpoint.is_none();
    let follower = Follower::new(log.paths.clone(), rules, log.records, checkpoint);
    let mut tail = Some(Tail { follower, sheet: Sheet::new(Labels::empty()) });
    if begins {
        // Where the files ended at the very first look must survive a crash before the first report.
        let Some(_) = turn(&mut tail, true).await else { return };
        if let Some(checkpoint) = tail.as_mut().and_then(|tail| tail.follower.checkpoint()) {
            save(checkpoint, &checkpoint_path).await;
        }
    }
    let mut watch = Watch::new();
    let (safe, mut saved) = mpsc::unbounded_channel();
    let interval_ms = i64::try_from(log.interval.ms()).unwrap_or(i64::MAX).max(1);
    let mut due = next_step(now(), interval_ms);
    let mut caught_up = false;
    let mut scan = true;
    loop {
        let Some(read) = turn(&mut tail, scan).await else { return };
        watch.folders(&read.folders);
        // Reading again what was counted before a crash must not show as a counter that fell.
        caught_up |= !read.more;
        if let Some(tail) = tail.as_mut().filter(|_| caught_up && now() >= due) {
            report(tail, &log.job, next_step(now(), interval_ms).plus_ms(-interval_ms), intake, &safe);
            due = next_step(now(), interval_ms);
        }
        if read.more {
            while let Ok(checkpoint) = saved.try_recv() {
                save(checkpoint, &checkpoint_path).await;
            }
            scan = false;
            tokio::time::sleep(TURN_PAUSE).await;
            continue;
        }
        // A clock that was set back does not make a report wait for longer than an interval.
        due = due.min(next_step(now(), interval_ms));
        let wait = Duration::from_millis(u64::try_from(due.ms() - now().ms()).unwrap_or_default());
        let deadline = Instant::now() + wait;
        tokio::select! {
            () = tokio::time::sleep_until(deadline) => scan = true,
            structure = watch.changed() => {
                tokio::time::sleep_until(deadline.min(Instant::now() + GATHER)).await;
                scan = structure | watch.take();
            }
            Some(checkpoint) = saved.recv() => {
                save(checkpoint, &checkpoint_path).await;
                scan = false;
            }
        }
    }
}

/// The next multiple of the interval after `now`.
fn next_step(now: Timestamp, interval_ms: i64) -> Timestamp {
    Timestamp(now.ms().div_euclid(interval_ms).saturating_add(1).saturating_mul(interval_ms))
}

struct Read {
    more: bool,
    folders: std::collections::HashSet<PathBuf>,
}

/// One look at the files, on a thread that may block. `None` where it broke off.
async fn turn(slot: &mut Option<Tail>, scan: bool) -> Option<Read> {
    let mut tail = slot.take()?;
    let now = now();
    let looked = tokio::task::spawn_blocking(move || {
        if scan {
            tail.follower.scan(now);
        }
        let more = tail.follower.read(now);
        let folders = tail.follower.folders();
        (tail, Read { more, folders })
    });
    match looked.await {
        Ok((mut tail, read)) => {
            for note in tail.follower.take_notes() {
                tracing::warn!(note, "log files");
            }
            *slot = Some(tail);
            Some(read)
        }
        Err(error) => {
            tracing::error!(%error, "following log files broke off");
            None
        }
    }
}

/// Hands counters and records over; the checkpoint follows when they are safe.
fn report(tail: &mut Tail, job: &str, at: Timestamp, intake: &Intake, safe: &mpsc::UnboundedSender<Checkpoint>) {
    tail.sheet.begin(at);
    tail.follower.samples(&mut tail.sheet);
    intake.samples(job, tail.sheet.samples().iter().cloned());
    for rejection in tail.sheet.rejected() {
        intake.reject(&rejection.reason, rejection.count, &rejection.first);
    }
    intake.reject("log_value_not_a_number", tail.follower.take_not_numbers(), "a [[log.extract]] matched no number");
    let (records, left_out) = tail.follower.take_records();
    intake.logs(records);
    intake.reject("log_records_too_many", left_out, "they are counted, but not sent");
    if let Some(checkpoint) = tail.follower.checkpoint() {
        let safe = safe.clone();
        // Nobody listens any more where the agent is about to end.
        intake.when_safe(move || safe.send(checkpoint).unwrap_or_default());
    }
}

async fn save(checkpoint: Checkpoint, path: &Path) {
    let target = path.to_owned();
    let saved = tokio::task::spawn_blocking(move || checkpoint.save(&target)).await;
    if let Ok(Err(error)) = saved {
        tracing::error!(%error, path = %path.display(), "the log checkpoint could not be written");
    }
}

#[cfg(test)]
mod tests;
