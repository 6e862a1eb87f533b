//! The inputs: what this host has to say. Each one turns its source into samples, check results
//! and log records and gives them to the [`Intake`]; none knows of the buffer or the network.

mod checks;
mod host;
mod sheet;

use std::path::Path;

use futures_util::future::BoxFuture;

use crate::config::Config;
use crate::intake::Intake;
use crate::schedule::Job;

pub use host::HostMetrics;
pub use sheet::Sheet;

use checks::CheckJob;
use host::HostJob;

/// A listener or a tailer: runs until it is dropped. It handles its own errors (a taken port is
/// logged and tried again), so it returns only where there is nothing left to do.
pub struct Listener {
    /// Its name in logs.
    pub name: String,
    /// The work.
    pub work: BoxFuture<'static, ()>,
}

/// The jobs of this configuration: host metrics and checks. `--once` runs each of them once.
#[must_use]
pub fn jobs(config: &Config, intake: &Intake) -> Vec<Box<dyn Job>> {
    let mut jobs: Vec<Box<dyn Job>> = Vec::new();
    if config.host.enabled {
        jobs.push(Box::new(HostJob::new(Path::new("/"), &config.host, intake)));
    }
    jobs.extend(config.checks.iter().map(|check| Box::new(CheckJob::new(check, intake)) as Box<dyn Job>));
    jobs
}

/// The listeners of this configuration: Graphite, log files.
#[must_use]
pub fn listeners(_config: &Config, _intake: &Intake) -> Vec<Listener> {
    Vec::new()
}
