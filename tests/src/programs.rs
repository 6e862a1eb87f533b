//! The real programs, built the way this very binary was built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// `daywatch`; `DAYWATCH_BIN` names another one.
pub fn daywatch() -> PathBuf {
    named("DAYWATCH_BIN").unwrap_or_else(|| FOLDER.join("daywatch"))
}

/// `daywatch-agent`; `DAYWATCH_AGENT_BIN` names another one.
pub fn daywatch_agent() -> PathBuf {
    named("DAYWATCH_AGENT_BIN").unwrap_or_else(|| FOLDER.join("daywatch-agent"))
}

#[expect(clippy::disallowed_methods, reason = "programs that are ready are named by the environment")]
fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

/// A Nagios plugin of Debian's `monitoring-plugins-basic`, where it is installed.
pub fn plugin(name: &str) -> Option<PathBuf> {
    Some(Path::new("/usr/lib/nagios/plugins").join(name)).filter(|path| path.exists())
}

/// collectd, where it is installed with its types.
pub fn collectd() -> Option<PathBuf> {
    let types = Path::new("/usr/share/collectd/types.db").exists();
    Some(PathBuf::from("/usr/sbin/collectd")).filter(|path| types && path.exists())
}

/// Debian's node_exporter, where it is installed.
pub fn node_exporter() -> Option<PathBuf> {
    Some(PathBuf::from("/usr/bin/prometheus-node-exporter")).filter(|path| path.exists())
}

/// A Python with the clients of `tests/clients/requirements.txt`: what `DAYWATCH_CLIENTS_PYTHON` names, else
/// `python3`. Where it has them not, that is said.
pub fn clients_python() -> Option<PathBuf> {
    let python = named("DAYWATCH_CLIENTS_PYTHON").unwrap_or_else(|| PathBuf::from("python3"));
    let modules = "import graphyte, statsd, datadog, prometheus_api_client, opentelemetry.exporter.otlp.json.http, \
                   opentelemetry.exporter.otlp.proto.http";
    let has = Command::new(&python).args(["-c", modules]).output();
    if has.is_ok_and(|has| has.status.success()) {
        return Some(python);
    }
    eprintln!(
        "skipped: {} has not the clients of tests/clients/requirements.txt (scripts/test-python.sh makes one that has)",
        python.display()
    );
    None
}

/// The folder of the programs, which are made fresh once a process.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    // target/<profile>/{deps,examples}/<this binary>
    let own = std::env::current_exe().expect("this binary has a path");
    let profile = own.ancestors().nth(2).expect("target/<profile>").to_owned();
    let target = profile.parent().expect("target");
    let mut build = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    build.args(["build", "--locked", "--quiet", "-p", "daywatch", "-p", "daywatch-agent"]);
    build.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    build.arg("--target-dir").arg(target);
    match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(name) => drop(build.args(["--profile", name])),
    }
    let status = build.status().expect("cargo can be run");
    assert!(status.success(), "daywatch and daywatch-agent cannot be built");
    profile
});
