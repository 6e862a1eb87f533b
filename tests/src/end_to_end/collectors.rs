//! collectd's `write_graphite` to the agent's listener; a plain sender where it is not installed.

use std::process::Command;

use tests::{Place, Process, programs, until};

use super::host::Host;

pub(super) async fn collectd_reaches_the_agent(place: &Place, host: &Host) {
    let name = &host.agent.name;
    let Some(collectd) = programs::collectd() else {
        eprintln!("skipped: collectd is not installed (Debian: collectd-core); a plain sender stands in for it");
        host.agent.send_lines("collectd.box.load.load.shortterm 0.25\n").await;
        return found(place, name, "collectd.box.load.load.shortterm").await;
    };
    let folder = host.agent.folder().display().to_string();
    let port = host.agent.graphite_port();
    let config = format!(
        r#"Hostname "box"
FQDNLookup false
Interval 1
BaseDir "{folder}"
PIDFile "{folder}/collectd.pid"
TypesDB "/usr/share/collectd/types.db"
LoadPlugin load
LoadPlugin write_graphite
<Plugin write_graphite>
  <Node "agent">
    Host "127.0.0.1"
    Port "{port}"
    Protocol "tcp"
    Prefix "collectd."
  </Node>
</Plugin>
"#
    );
    let config = host.agent.write("collectd.conf", &config, 0o644);
    let log = host.agent.folder().join("collectd.txt");
    let mut collectd = Process::start(Command::new(collectd).arg("-f").arg("-C").arg(&config), &log);
    // Its lines reach the agent when its buffer is flushed: at its end at the latest.
    let gathered = async || (log_is_quiet(&collectd.log())).then_some(());
    until("collectd runs", gathered).await;
    let expr = "collectd.box.load.load.shortterm";
    found(place, name, expr).await;
    assert!(collectd.terminate().await.success(), "{}", collectd.log());
}

/// Whether collectd has nothing to complain about.
fn log_is_quiet(log: &str) -> bool {
    assert!(!log.contains("rror"), "collectd: {log}");
    true
}

async fn found(place: &Place, source: &str, metric: &str) {
    let expr = format!("{{__name__=\"{metric}\",source=\"{source}\",job=\"graphite\"}}");
    until(&format!("a query finds {metric}"), async || place.number(&expr).await).await;
}
