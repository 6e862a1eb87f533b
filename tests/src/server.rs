//! `daywatch serve` as a process, on a folder and a port of its own, which it keeps when it is
//! killed and comes back.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::disk::Blocks;
use crate::place::Place;
use crate::process::{Process, free_port};
use crate::{programs, until};

/// A server.
pub struct Server {
    // Before the folder: it shows its log when a test fails.
    process: Option<Process>,
    folder: TempDir,
    port: u16,
}

impl Server {
    /// A server that is not started yet.
    #[must_use]
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), port: free_port(), process: None }
    }

    /// One that runs, and what its users have of it.
    pub async fn started(name: &str) -> (Self, Place) {
        let mut server = Self::new();
        server.start().await;
        let place = server.place(name).await;
        (server, place)
    }

    /// Its address.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Keys for it, named `name`.
    pub async fn place(&self, name: &str) -> Place {
        let admin_key = fs::read_to_string(self.data().join("admin.key")).expect("the admin's key");
        let mut place = Place::open(&self.base_url(), &admin_key, name).await;
        place.data = Some(Blocks::Folder(self.data()));
        place
    }

    /// `daywatch` with the data folder; arguments are to be added.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(programs::daywatch());
        command.args(arguments).arg("--data").arg(self.data());
        command.current_dir(self.folder.path());
        command
    }

    /// Starts it and waits until it answers.
    pub async fn start(&mut self) {
        let listen = format!("127.0.0.1:{}", self.port);
        let mut command = self.command(&["serve", "--listen", &listen]);
        let process = Process::start(&mut command, &self.folder.path().join("log"));
        let process = self.process.insert(process);
        // `DIR/url` of a killed forerunner may still be there, so the server itself is asked.
        let address = listen.as_str();
        until("the server answers", async || {
            assert!(process.is_running(), "the server has ended:\n{}", process.log());
            is_healthy(address).await.then_some(())
        })
        .await;
    }

    /// Whether its process runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// Its process number, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Kill -9.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// SIGTERM; it must end well.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let status = process.terminate().await;
            assert!(status.success(), "the server ended with {status}:\n{}", process.log());
        }
    }

    /// All that it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

/// `GET /-/healthy`, by hand: it is asked before there is any client.
async fn is_healthy(address: &str) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Ok(mut socket) = tokio::net::TcpStream::connect(address).await else { return false };
    let request = format!("GET /-/healthy HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let asked = socket.write_all(request.as_bytes()).await.is_ok() && socket.read_to_end(&mut answer).await.is_ok();
    asked && answer.starts_with(b"HTTP/1.1 200")
}
