//! The inputs: what this host has to say. Each one turns its source into samples, check results
//! and log records and gives them to the [`Intake`]; none knows of the buffer or the network.

mod checks;
mod graphite;
mod health;
mod host;
mod listen;
mod scrape;
mod sheet;
mod statsd;
mod tail;

use std::path::Path;

use futures_util::future::BoxFuture;
use series::Timestamp;

use crate::config::Config;
use crate::intake::Intake;
use crate::schedule::Job;
use crate::surroundings::Surroundings;

pub use host::HostMetrics;
pub use sheet::Sheet;

use checks::CheckJob;
use host::HostJob;
use scrape::ScrapeJob;

/// A listener or a tailer: runs until it is dropped. It handles its own errors (a taken port is
/// logged and tried again), so it returns only where there is nothing left to do.
pub struct Listener {
    /// Its name in logs.
    pub name: String,
    /// The work.
    pub work: BoxFuture<'static, ()>,
}

/// The jobs of this configuration: host metrics, checks and scrapes. `--once` runs each of them once.
#[must_use]
pub fn jobs(config: &Config, intake: &Intake) -> Vec<Box<dyn Job>> {
    let mut jobs: Vec<Box<dyn Job>> = Vec::new();
    if config.host.enabled {
        jobs.push(Box::new(HostJob::new(Path::new("/"), &config.host, intake)));
    }
    if config.checks.iter().any(|check| check.builtin.is_none()) {
        checks::end_leftovers();
    }
    jobs.extend(config.checks.iter().map(|check| Box::new(CheckJob::new(check, intake)) as Box<dyn Job>));
    for scrape in &config.scrapes {
        match ScrapeJob::new(scrape, config, intake) {
            Ok(job) => jobs.push(Box::new(job)),
            Err(why) => tracing::error!(url = scrape.url.get_ref(), why, "this scrape is left out"),
        }
    }
    jobs
}

/// The listeners of this configuration: Graphite, StatsD, log files.
#[must_use]
pub fn listeners(config: &Config, intake: &Intake) -> Vec<Listener> {
    let mut listeners = graphite::listeners(&config.graphite, intake);
    if !config.statsd.address().is_empty() {
        match statsd::listener(&config.statsd, intake) {
            Ok(listener) => listeners.push(listener),
            Err(error) => tracing::error!(%error, "[statsd] is left out"),
        }
    }
    listeners.extend(config.logs.iter().map(|log| tail::listener(log, &config.data_dir, intake)));
    listeners
}

/// What the inputs cannot make sense of in this configuration, one text each: patterns, ranges and
/// addresses. At run time it is told in the log, or is what the check says.
#[must_use]
pub fn faults(config: &Config) -> Vec<String> {
    let checks = config.checks.iter().flat_map(checks::faults);
    let logs = config.logs.iter().flat_map(tail::faults);
    checks.chain(logs).collect()
}

/// The time of a line that does not say when it was written.
fn now() -> Timestamp {
    (Surroundings::real().clock)()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    fn check(sections: &str, expected: &[&str]) {
        let text = format!("url = \"http://127.0.0.1:1\"\nkey_file = \"k\"\nname = \"web-1\"\n{sections}");
        let config = Config::parse(Path::new("/etc/agent.toml"), &text, Overrides::default()).expect("a configuration");
        assert_eq!(faults(&config), expected, "{sections}");
    }

    #[test]
    fn faults_name_their_section_and_field() {
        check("", &[]);
        check("[graphite]\nlisten = \"127.0.0.1:2003\"\n[[log]]\npaths = [\"/var/log/*.log\"]\n", &[]);
        check(
            "[[check]]\nname = \"d\"\nbuiltin = \"disk\"\nwarn = \"80\"\ncrit = \"90:80\"\n",
            &["[[check]] \"d\": `crit = \"90:80\"`: the range starts at 90, after its end at 80"],
        );
        check(
            "[[check]]\nname = \"d\"\ncommand = [\"x\"]\nwarn = \"80\"\n",
            &[
                "[[check]] \"d\": `warn`, `crit` and `path` are for built-in checks; give them to the plugin in `command`",
            ],
        );
        check(
            "[[log]]\npaths = [\"/var/log/a***\", \"x.log\"]\n[[log.extract]]\nname = \"x\"\npattern = \"a\"\n",
            &[
                "[[log]] paths: \"/var/log/a***\": Pattern syntax error near position 12: wildcards are either regular `*` or recursive `**`",
                "[[log]] paths: \"x.log\" does not begin with a slash",
                "[[log.extract]] \"x\": the pattern has no group",
            ],
        );
        check("[[log]]\npaths = []\n", &["[[log]] paths: there is none"]);
    }
}
