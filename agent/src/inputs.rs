//! The inputs: what this host has to say. Each one turns its source into samples, check results
//! and log records and gives them to the [`Intake`]; none knows of the buffer or the network.

mod checks;
mod graphite;
mod host;
mod sheet;
mod tail;

use std::path::Path;

use futures_util::future::BoxFuture;
use series::Timestamp;

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
pub fn listeners(config: &Config, intake: &Intake) -> Vec<Listener> {
    for (section, address) in
        [("graphite.pickle_listen", &config.graphite.pickle_listen), ("statsd.listen", &config.statsd.listen)]
    {
        if !address.is_empty() {
            tracing::warn!(section, address, "this version of the agent does not have this listener yet");
        }
    }
    let mut listeners = Vec::new();
    if !config.graphite.listen.is_empty() {
        listeners.push(graphite::listener(&config.graphite.listen, intake));
    }
    listeners.extend(config.logs.iter().map(|log| tail::listener(log, &config.data_dir, intake)));
    listeners
}

/// The time of a line that does not say when it was written.
fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "listeners are adapters: lines without a time get the present one")]
    let now = std::time::SystemTime::now();
    // A clock before 1970 or past the year 292 million is told as the nearest there is.
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
