//! Runs one plugin and brings back what it printed and how it ended.
//!
//! A plugin is the leader of its own process group. However the run ends, the whole group is
//! killed: at the timeout, after the plugin's own exit (a child it left behind would live for
//! ever), and when the run is dropped. The leader is waited for without being reaped, then its
//! group is killed, then it is reaped, so that its number cannot meanwhile belong to a stranger.
//! A plugin that leaves its group on purpose (`setsid`) is not followed, but it cannot hold up
//! the run by keeping a pipe open.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use formats::nagios::{Ended, OUTPUT_BYTES_MAX};
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, kill_process_group, prlimit, waitid};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::oneshot;

use super::leftovers::{MARK_VARIABLE, OWN_MARK};

/// Bytes read from each of a plugin's pipes; after that the pipe is closed, which ends a plugin
/// that prints without end by SIGPIPE. What is kept of it is [`OUTPUT_BYTES_MAX`].
pub(super) const DRAINED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long pipes may stay open after the plugin's end and its group's death.
const PIPE_GRACE: Duration = Duration::from_millis(300);
/// How long a killed plugin may take to die before the run is told without it.
const DEATH_GRACE: Duration = Duration::from_secs(1);
/// Tries to start a plugin that is being written at that moment (`ETXTBSY`).
const BUSY_TRIES_MAX: u32 = 5;
/// Pause between those tries.
const BUSY_PAUSE: Duration = Duration::from_millis(30);
/// The agent's own secret, which no plugin gets to see.
const KEY_VARIABLE: &str = "DAYWATCH_KEY";

/// What a plugin printed and how it ended.
#[derive(Debug, PartialEq)]
pub(super) struct Printed {
    /// Its head, one byte more than the limit where there was more.
    pub(super) stdout: Vec<u8>,
    /// Its head, as above.
    pub(super) stderr: Vec<u8>,
    pub(super) ended: Ended,
}

/// Runs `command` with `env` added to the environment, for at most `timeout`.
pub(super) async fn run(command: &[String], env: &BTreeMap<String, String>, timeout: Duration) -> Printed {
    let started = match started(command, env).await {
        Ok(started) => started,
        Err(why) => {
            return Printed { stdout: Vec::new(), stderr: Vec::new(), ended: Ended::NotStarted { why } };
        }
    };
    let Started { group, stdout, stderr, mut ended } = started;
    // Whatever way this function is left, nothing of the group stays.
    let _killed_on_drop = KillOnDrop(Arc::clone(&group));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = {
        let reading = async {
            tokio::join!(drained(stdout, &mut out), drained(stderr, &mut err));
        };
        tokio::pin!(reading);
        let deadline = tokio::time::sleep(timeout);
        tokio::pin!(deadline);
        let mut read = false;
        let status = loop {
            tokio::select! {
                status = &mut ended => break status.ok(),
                () = &mut reading, if !read => read = true,
                () = &mut deadline => {
                    group.kill();
                    // A process that hangs inside the kernel dies when the kernel lets it.
                    tokio::time::timeout(DEATH_GRACE, &mut ended).await.ok();
                    break None;
                }
            }
        };
        if !read {
            tokio::time::timeout(PIPE_GRACE, &mut reading).await.ok();
        }
        status
    };
    let ended = match status {
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Code(code),
            (None, signal) => Ended::Signal(signal.unwrap_or_default()),
        },
        None => Ended::TimedOut { after_ms: timeout.as_millis() as u64 },
    };
    Printed { stdout: out, stderr: err, ended }
}

struct Started {
    group: Arc<Group>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    ended: oneshot::Receiver<ExitStatus>,
}

async fn started(words: &[String], env: &BTreeMap<String, String>) -> Result<Started, String> {
    let (program, arguments) = words.split_first().ok_or("the command is empty")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        // Plugins print numbers by the locale; `0,5` is no number.
        .env("LC_ALL", "C.UTF-8")
        .env_remove(KEY_VARIABLE)
        .envs(env)
        .env(MARK_VARIABLE, OWN_MARK.as_str())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut tries = 0;
    let mut child = loop {
        tries += 1;
        match command.spawn() {
            Ok(child) => break child,
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES_MAX => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            Err(error) => return Err(format!("{program}: {error}")),
        }
    };
    let stdout = child.stdout.take().and_then(|pipe| ChildStdout::from_std(pipe).ok());
    let stderr = child.stderr.take().and_then(|pipe| ChildStderr::from_std(pipe).ok());
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("its process number is odd")?;
    // A plugin that crashes leaves no core file behind; where that is not allowed, it may.
    prlimit(Some(pid), Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).ok();
    let group = Arc::new(Group { leader: pid, reaped: Mutex::new(false) });
    let (tell, ended) = oneshot::channel();
    let waiting = Arc::clone(&group);
    let thread = std::thread::Builder::new().name("check-wait".to_owned()).stack_size(64 * 1024);
    // A thread, because only waiting without reaping keeps the number safe, and a pool of the
    // runtime would hold up the agent's end behind a plugin that cannot be killed.
    if let Err(error) = thread.spawn(move || waiting.wait(child, tell)) {
        group.kill();
        return Err(format!("no thread to wait for it: {error}"));
    }
    Ok(Started { group, stdout, stderr, ended })
}

/// A process group whose leader is our child.
struct Group {
    leader: Pid,
    /// Whether the leader is reaped: from then on its number may belong to others.
    reaped: Mutex<bool>,
}

impl Group {
    fn kill(&self) {
        let reaped = self.reaped.lock().unwrap_or_else(PoisonError::into_inner);
        if !*reaped {
            // The only error that can be is that nobody is left.
            kill_process_group(self.leader, Signal::KILL).ok();
        }
    }

    fn wait(&self, mut child: Child, tell: oneshot::Sender<ExitStatus>) {
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(self.leader), ended).is_err_and(|error| error == rustix::io::Errno::INTR) {}
        self.kill();
        let status = {
            let mut reaped = self.reaped.lock().unwrap_or_else(PoisonError::into_inner);
            *reaped = true;
            child.wait()
        };
        if let Ok(status) = status {
            // Nobody listens where the run was dropped.
            tell.send(status).ok();
        }
        // Where the agent is process 1 of a container, what the plugin left behind is its child
        // now, killed but not reaped. Elsewhere there is nothing, and this ends at once.
        while waitid(WaitId::Pgid(Some(self.leader)), WaitIdOptions::EXITED).is_ok_and(|status| status.is_some()) {}
    }
}

struct KillOnDrop(Arc<Group>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// Reads `pipe` to its end, keeping the head only.
async fn drained(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = [0; 16 * 1024];
    let mut total = 0;
    while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
        let room = (OUTPUT_BYTES_MAX + 1).saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..length.min(room)]);
        total += length as u64;
        if total >= DRAINED_BYTES_MAX {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
