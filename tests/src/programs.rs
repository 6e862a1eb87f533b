//! The real programs, built the way this very binary was built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// `daywatch`.
pub fn daywatch() -> PathBuf {
    FOLDER.join("daywatch")
}

/// `daywatch-agent`.
pub fn daywatch_agent() -> PathBuf {
    FOLDER.join("daywatch-agent")
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

/// The folder of the programs, made fresh once a process. `DAYWATCH_PROGRAMS` names another one,
/// which is then taken as it is.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    #[expect(clippy::disallowed_methods, reason = "a folder of ready programs is named by the environment")]
    if let Some(folder) = std::env::var_os("DAYWATCH_PROGRAMS") {
        return PathBuf::from(folder);
    }
    // target/<profile>/{deps,examples}/<this binary>
    let own = std::env::current_exe().expect("this binary has a path");
    let profile = own.ancestors().nth(2).expect("target/<profile>").to_owned();
    let target = profile.parent().expect("target");
    let mut build = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    build.args(["build", "--locked", "--quiet", "-p", "daywatch", "-p", "daywatch-agent"]);
    build.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    build.arg("--target-dir").arg(target);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let status = build.status().expect("cargo can be run");
    assert!(status.success(), "daywatch and daywatch-agent cannot be built");
    profile
});
