//! The agent as a process, with a folder of its own.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::wait_for;

pub(crate) const KEY: &str = "dw_agent_test_secretsecretsecret";

/// A folder with a configuration, a key and a data folder.
pub(crate) struct Agent {
    pub(crate) folder: TempDir,
    child: Option<Child>,
}

impl Agent {
    /// An agent for the server at `url`; `config` is appended to the configuration.
    pub(crate) fn new(url: &str, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "url = \"{url}\"\nkey_file = \"agent.key\"\nname = \"web-1\"\ndata_dir = \"data\"\n{config}\n\
             [graphite]\nlisten = \"\"\n"
        );
        fs::write(folder.path().join("agent.toml"), text).unwrap();
        let agent = Self { folder, child: None };
        agent.write_key(KEY);
        agent
    }

    pub(crate) fn write_key(&self, key: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.path().join("agent.key");
        fs::write(&path, key).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The command with the configuration, to which arguments may be added.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daywatch-agent"));
        command.arg("--config").arg(self.folder.path().join("agent.toml"));
        for name in ["DAYWATCH_URL", "DAYWATCH_KEY", "DAYWATCH_DATA_DIR"] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let child = self.command().stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.child = Some(child);
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let pid = Pid::from_raw(child.id() as i32).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let mut status = None;
        wait_for("the agent has ended", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// `status --json`.
    pub(crate) fn status(&self) -> Value {
        let output = self.command().args(["status", "--json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The seq that the next batch gets; 1 where there is no buffer yet.
    pub(crate) fn next_seq(&self) -> u64 {
        self.status()["next_seq"].as_u64().unwrap_or(1)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log());
        }
    }
}
