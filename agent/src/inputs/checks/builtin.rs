//! Checks that need no plugin. They print what a plugin would print, so that everything after
//! them is the same, and read what the host metrics read.

mod clock;
mod disk;
mod load;
mod memory;
mod own_buffer;
mod processes;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use formats::nagios::{Ended, Range, State};
use tokio::sync::Mutex;

use super::runner::Printed;
use crate::config::{Builtin, Check};
use crate::figures::Figures;
use crate::inputs::host::filesystem::Filesystems;

/// A check that needs no plugin.
pub(super) struct BuiltinCheck {
    kind: Builtin,
    warn: Option<String>,
    crit: Option<String>,
    path: Option<String>,
    root: PathBuf,
    /// Shared with the thread that asks filesystems, which may outlive a run that timed out.
    filesystems: Arc<Mutex<Filesystems>>,
}

impl BuiltinCheck {
    pub(super) fn new(kind: Builtin, check: &Check) -> Self {
        Self {
            kind,
            warn: check.warn.clone(),
            crit: check.crit.clone(),
            path: check.path.clone(),
            root: PathBuf::from("/"),
            filesystems: Arc::default(),
        }
    }

    /// One run.
    pub(super) async fn run(&mut self, figures: &Figures, timeout: Duration) -> Printed {
        match tokio::time::timeout(timeout, self.finding(figures)).await {
            Ok(finding) => finding.printed(),
            Err(_) => Printed {
                stdout: Vec::new(),
                stderr: Vec::new(),
                ended: Ended::TimedOut { after_ms: timeout.as_millis() as u64 },
            },
        }
    }

    async fn finding(&mut self, figures: &Figures) -> Finding {
        let read =
            |path: &str| std::fs::read_to_string(self.root.join(path)).map_err(|error| format!("/{path}: {error}"));
        let found = match self.kind {
            Builtin::Disk => self.disk().await,
            Builtin::Load => load::load(read, self.bounds("2", "4")),
            Builtin::Memory => memory::memory(read, self.bounds("90", "95")),
            Builtin::Processes => processes::processes(&self.root, read, self.bounds_given()),
            Builtin::Time => clock::clock(&self.root, figures, self.bounds("-1:1", "-60:60")),
            Builtin::Buffer => own_buffer::buffer(figures, self.bounds("50", "80")),
        };
        found.unwrap_or_else(|why| Finding { state: State::Unknown, text: why, perfdata: String::new() })
    }

    async fn disk(&self) -> Result<Finding, String> {
        let bounds = self.bounds("90", "95")?;
        // A run before this one may still be waiting for a filesystem that hangs.
        let mut filesystems = Arc::clone(&self.filesystems)
            .try_lock_owned()
            .map_err(|_| "a filesystem has not answered since the run before".to_owned())?;
        let (root, path) = (self.root.clone(), self.path.clone());
        let spaces = tokio::task::spawn_blocking(move || disk::spaces(&root, path.as_deref(), &mut filesystems));
        disk::disk(&spaces.await.map_err(|error| error.to_string())?, &bounds)
    }

    /// What is wrong with the configured bounds.
    pub(super) fn faults(&self) -> Vec<String> {
        [range("warn", &self.warn, "~:"), range("crit", &self.crit, "~:")].into_iter().filter_map(Result::err).collect()
    }

    /// The configured bounds, or else these.
    fn bounds(&self, warn: &str, crit: &str) -> Result<Bounds, String> {
        Ok(Bounds { warn: Some(range("warn", &self.warn, warn)?), crit: Some(range("crit", &self.crit, crit)?) })
    }

    /// The configured bounds alone.
    fn bounds_given(&self) -> Result<Bounds, String> {
        let Bounds { warn, crit } = self.bounds("~:", "~:")?;
        Ok(Bounds { warn: warn.filter(|_| self.warn.is_some()), crit: crit.filter(|_| self.crit.is_some()) })
    }
}

/// The range that is given, or else this one.
fn range(name: &str, given: &Option<String>, otherwise: &str) -> Result<Range, String> {
    let text = given.as_deref().unwrap_or(otherwise);
    text.parse().map_err(|error| format!("`{name} = {text:?}`: {error}"))
}

/// What a check found, in a plugin's words.
#[derive(Debug, Clone, PartialEq)]
struct Finding {
    state: State,
    text: String,
    perfdata: String,
}

impl Finding {
    fn printed(self) -> Printed {
        let bar = if self.perfdata.is_empty() { "" } else { " | " };
        // A bar in the text would begin the performance data.
        let text = self.text.replace('|', "/");
        Printed {
            stdout: format!("{text}{bar}{}\n", self.perfdata).into_bytes(),
            stderr: Vec::new(),
            ended: Ended::Code(i32::from(self.state.number())),
        }
    }
}

/// Outside of which values a check warns.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bounds {
    warn: Option<Range>,
    crit: Option<Range>,
}

impl Bounds {
    fn state(&self, value: f64) -> State {
        let alerts = |range: Option<Range>| range.is_some_and(|range| range.alerts(value));
        match (alerts(self.crit), alerts(self.warn)) {
            (true, _) => State::Critical,
            (false, true) => State::Warning,
            (false, false) => State::Ok,
        }
    }

    /// An item of performance data with these bounds.
    fn item(&self, label: &str, value: f64, unit: &str, min_max: &str) -> String {
        let bound = |range: Option<Range>| range.map(|range| range.to_string()).unwrap_or_default();
        format!("{}={value}{unit};{};{};{min_max}", quoted(label), bound(self.warn), bound(self.crit))
    }
}

/// A label in quotes, for mount points with spaces and the like.
fn quoted(label: &str) -> String {
    format!("'{}'", label.replace('\'', "''"))
}

/// The word that a plugin's text begins with.
fn word(state: State) -> &'static str {
    match state {
        State::Ok => "OK",
        State::Warning => "WARNING",
        State::Critical => "CRITICAL",
        State::Unknown => "UNKNOWN",
    }
}

/// Rounded to two places, as perfdata shows it.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Bytes for a person.
fn readable_bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// The number in the line of `text` that begins with `field`.
fn field(text: &str, field: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(field))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// How many names in `root/proc` are process numbers.
fn process_count(root: &Path) -> Result<usize, String> {
    let folder = std::fs::read_dir(root.join("proc")).map_err(|error| format!("/proc: {error}"))?;
    let number = |name: &std::ffi::OsString| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    Ok(folder.filter_map(|entry| Some(entry.ok()?.file_name())).filter(number).count())
}

#[cfg(test)]
mod tests;
