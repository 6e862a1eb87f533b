//! A host with an agent on it: real plugins where they are installed, a check that is toggled by a
//! file, a log file, a Graphite listener.

use std::fs;
use std::path::PathBuf;

use tests::{Agent, Place, programs};

/// The host.
pub(super) struct Host {
    pub(super) agent: Agent,
    /// The names of its checks.
    pub(super) checks: Vec<String>,
    state: PathBuf,
    /// The log file that is followed.
    pub(super) log: PathBuf,
}

/// Plugins of Debian that say something about every host.
const PLUGINS: &[(&str, &[&str])] = &[
    ("check_load", &["-w", "1000,1000,1000", "-c", "2000,2000,2000"]),
    ("check_disk", &["-w", "1%", "-c", "0%", "-p", "/"]),
    ("check_procs", &["-w", "100000", "-c", "200000"]),
];

impl Host {
    /// An agent of `place`, not started yet; `senders` is put into its configuration.
    pub(super) fn new(place: &Place, name: &str, senders: &str) -> Self {
        let mut checks = vec!["toggled".to_owned()];
        let mut config = String::from(
            r#"
[host]
interval = "1s"
[buffer]
flush = "1s"
[[log]]
paths = ["FOLDER/*.log"]
interval = "1s"
[[log.count]]
name = "logins_total"
pattern = "login of \\w+"
[[log.extract]]
name = "request_seconds"
pattern = "took ([0-9.]+) s"
[[check]]
name = "toggled"
command = ["FOLDER/toggled"]
interval = "1s"
"#,
        );
        config.push_str(senders);
        for (plugin, arguments) in PLUGINS {
            let Some(path) = programs::plugin(plugin) else {
                eprintln!("skipped: {plugin} is not installed (Debian: monitoring-plugins-basic)");
                continue;
            };
            let command: Vec<String> = std::iter::once(path.display().to_string())
                .chain(arguments.iter().map(|argument| (*argument).to_owned()))
                .collect();
            config.push_str(&format!("[[check]]\nname = \"{plugin}\"\ncommand = {command:?}\ninterval = \"2s\"\n"));
            checks.push((*plugin).to_owned());
        }
        let agent = Agent::new(place, name, &config);
        let state = agent.write("state", "0", 0o644);
        let log = agent.write("app.log", "", 0o644);
        let shell = match programs::plugin("check_dummy") {
            Some(dummy) => format!("exec {} $(cat {}) toggled\n", dummy.display(), state.display()),
            None => {
                eprintln!("skipped: check_dummy is not installed; a shell script stands in for it");
                format!("state=$(cat {})\necho \"toggled: $state\"\nexit $state\n", state.display())
            }
        };
        agent.write("toggled", &format!("#!/bin/sh\n{shell}"), 0o755);
        Self { agent, checks, state, log }
    }

    /// What the toggled check answers from its next run on.
    pub(super) fn toggle(&self, status: u8) {
        // By a rename, so that no run reads an empty file.
        let fresh = self.state.with_extension("new");
        fs::write(&fresh, status.to_string()).expect("the state is written");
        fs::rename(&fresh, &self.state).expect("the state is put in place");
    }
}
