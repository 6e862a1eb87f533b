//! The inputs: what this host has to say. Each one turns its source into samples, check results
//! and log records and gives them to the [`Intake`]; none knows of the buffer or the network.

use futures_util::future::BoxFuture;

use crate::config::Config;
use crate::intake::Intake;
use crate::schedule::Job;

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
pub fn jobs(_config: &Config, _intake: &Intake) -> Vec<Box<dyn Job>> {
    Vec::new()
}

/// The listeners of this configuration: Graphite, log files.
#[must_use]
pub fn listeners(_config: &Config, _intake: &Intake) -> Vec<Listener> {
    Vec::new()
}
