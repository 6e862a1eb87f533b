//! The emulator of AWS as a process, on a port and a folder of its own, which it keeps when it is
//! stopped and comes back. Ended cleanly it keeps its state; killed it forgets what it had not
//! written.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::place::http;
use crate::process::{Process, free_port};
use crate::until;

/// What stands ready to deploy: made by `scripts/cloud-test.sh`, named by the environment.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The programs of the tools' own environment: Python with AWS's libraries, the emulator.
    pub programs: PathBuf,
    /// The six functions, packed.
    pub zips: PathBuf,
}

impl Tools {
    /// Those that `DAYWATCH_CLOUD_TOOLS` and `DAYWATCH_CLOUD_ZIPS` name; without them it says that
    /// the test is skipped.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the environment names what is ready")]
    pub fn ready() -> Option<Self> {
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let found = folder("DAYWATCH_CLOUD_TOOLS").zip(folder("DAYWATCH_CLOUD_ZIPS"));
        let Some((programs, zips)) = found else {
            eprintln!("skipped: no functions are packed for the emulator; scripts/cloud-test.sh packs them");
            return None;
        };
        Some(Self { programs, zips })
    }
}

/// The emulator.
pub struct Emulator {
    // Before the folder: it shows its log when a test fails.
    process: Option<Process>,
    folder: TempDir,
    port: u16,
    tools: Tools,
}

impl Emulator {
    /// One that runs and is empty.
    pub async fn started(tools: &Tools) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("tmp")).expect("a folder");
        let mut emulator = Self { process: None, folder, port: free_port(), tools: tools.clone() };
        emulator.start().await;
        emulator
    }

    /// Starts it and waits until it answers.
    pub async fn start(&mut self) {
        let mut command = self.command(&self.tools.programs.join("python"));
        let folder = |name: &str| self.folder.path().join(name);
        command
            .arg(repository().join("localstack/emulator.py"))
            .env("GATEWAY_PORT", self.port.to_string())
            .env("PERSIST_STATE", "1")
            .env("S3_PERSIST", "1")
            .env("STATE_DIR", folder("state"))
            .env("S3_DATA_DIR", folder("s3"))
            .env("TMPDIR", folder("tmp"));
        let process = self.process.insert(Process::start(&mut command, &self.folder.path().join("log")));
        let health = format!("{}/_ministack/health", endpoint(self.port));
        let client = http();
        until("the emulator answers", async || {
            assert!(process.is_running(), "the emulator has ended:\n{}", process.log());
            client.get(&health).send().await.ok().filter(|answer| answer.status().is_success()).map(drop)
        })
        .await;
    }

    /// SIGTERM, and waits for the end: it writes its state.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let status = process.terminate().await;
            assert!(status.success(), "the emulator ended with {status}:\n{}", process.log());
        }
    }

    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where AWS's clients find it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        endpoint(self.port)
    }

    /// `program` with the emulator as its AWS.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // Nothing of the tests' own environment or of an account may get in between.
        for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_PROFILE"] {
            command.env_remove(name);
        }
        command
            .env("AWS_ENDPOINT_URL", self.endpoint())
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", REGION)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            // Where `daywatch` keeps the keys of stacks.
            .env("XDG_CONFIG_HOME", self.folder.path().join("config"));
        command
    }

    /// Its tools.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// All that it and the functions have logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// The emulator's only one.
const REGION: &str = "us-east-1";

fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The folder of this repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
