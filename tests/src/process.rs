//! One child process, its log in a file. It never outlives the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::until_in;

/// How long a clean end may take.
const END_MAX: Duration = Duration::from_secs(60);
/// Lines of the log that are shown when a test fails.
const SHOWN_LINES: usize = 40;

/// A running program.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints is appended to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let open = || File::options().create(true).append(true).open(log).expect("the log file can be written");
        // The tests' own environment must not configure what is tested.
        for name in ["DAYWATCH_URL", "DAYWATCH_KEY", "DAYWATCH_KEY_FILE", "DAYWATCH_DATA", "DAYWATCH_DATA_DIR"] {
            command.env_remove(name);
        }
        let child = command.stdin(Stdio::null()).stdout(open()).stderr(open()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        Self { child, log: log.to_owned() }
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked for").is_none()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for the end.
    pub async fn terminate(&mut self) -> ExitStatus {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process number");
        let _ = kill_process(pid, Signal::TERM);
        let child = &mut self.child;
        until_in(END_MAX, "the process has ended", async || child.try_wait().expect("a child can be asked for")).await
    }

    /// What it and its forerunners with the same log have printed.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
            eprintln!("the end of {}:\n{end}\n", self.log.display());
        }
    }
}

/// A TCP and UDP port that nobody uses, below those that the system gives to outgoing connections:
/// it stays free while a server that will come back is away.
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let own = std::process::id().wrapping_mul(61);
    for _ in 0..10_000 {
        let number = own.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(7));
        let port = 12_000 + u16::try_from(number % 18_000).expect("below 18,000");
        let free = std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
            && std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok();
        if free {
            return port;
        }
    }
    panic!("no free port")
}
