//! `daywatch-agent` as a process, with a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::place::Place;
use crate::process::{Process, free_port};
use crate::{programs, until};

/// An agent.
pub struct Agent {
    // Before the folder: it shows its log when a test fails.
    process: Option<Process>,
    folder: TempDir,
    /// Its name.
    pub name: String,
    graphite_port: u16,
}

impl Agent {
    /// An agent of `place`, not started yet, with a Graphite listener; `config` is put at the end
    /// of its configuration, `FOLDER` in it becomes the agent's folder.
    #[must_use]
    pub fn new(place: &Place, name: &str, config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let graphite_port = free_port();
        let text = format!(
            "url = \"{}\"\nkey_file = \"agent.key\"\nname = \"{name}\"\ndata_dir = \"data\"\n\
             [graphite]\nlisten = \"127.0.0.1:{graphite_port}\"\n{config}",
            place.base_url
        );
        let text = text.replace("FOLDER", &folder.path().display().to_string());
        fs::write(folder.path().join("agent.toml"), text).expect("the configuration is written");
        let agent = Self { folder, name: name.to_owned(), graphite_port, process: None };
        agent.write("agent.key", &place.agent_key, 0o600);
        agent
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into its folder.
    pub fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder().join(name);
        fs::write(&path, text).expect("a file is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode is set");
        path
    }

    /// The command with its configuration; arguments are to be added.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(programs::daywatch_agent());
        command.arg("--config").arg(self.folder().join("agent.toml"));
        command
    }

    /// Starts it.
    pub fn start(&mut self) {
        self.process = Some(Process::start(&mut self.command(), &self.folder().join("log")));
    }

    /// Its process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the agent runs").pid()
    }

    /// Kill -9.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// SIGTERM, and waits for the end.
    pub async fn terminate(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the agent runs");
        process.terminate().await
    }

    /// All that it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// `status --json`.
    #[must_use]
    pub fn status(&self) -> Value {
        let output = self.command().args(["status", "--json"]).output().expect("the agent can be asked");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Waits until it is connected.
    pub async fn connected(&self) {
        until("the agent is connected", async || (self.status()["agent"]["connection"]["state"] == "up").then_some(()))
            .await;
    }

    /// Where collectd and others send their lines.
    #[must_use]
    pub fn graphite_port(&self) -> u16 {
        self.graphite_port
    }

    /// Sends Graphite lines as any program of the host would; waits until it listens.
    pub async fn send_lines(&self, lines: &str) {
        let address = ("127.0.0.1", self.graphite_port);
        let mut socket = until("the agent listens for lines", async || TcpStream::connect(address).await.ok()).await;
        socket.write_all(lines.as_bytes()).await.expect("the agent takes lines");
        socket.shutdown().await.expect("the agent takes lines");
    }
}
