//! Plugins that an agent left behind when it was killed: nobody would ever end one that hangs.
//!
//! Every plugin has the mark of its agent in its environment. At the start, processes whose mark
//! is of an agent that does not live any more are killed; those of another living agent are not,
//! nor is what has made a session of its own: a daemon that a plugin started on purpose.

use std::path::Path;
use std::sync::LazyLock;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The variable that holds the mark.
pub(super) const MARK_VARIABLE: &str = "DAYWATCH_CHECK_OF";

/// This agent's mark: its process number, when it started (numbers are used again), its session.
pub(super) static OWN_MARK: LazyLock<String> = LazyLock::new(|| {
    let pid = std::process::id().to_string();
    let part = |place: usize| stat_field(&pid, place).unwrap_or_default();
    format!("{pid}-{}-{}", part(STARTED), part(SESSION))
});

/// Places of fields in `/proc/<pid>/stat`, counted from the one after the name: the state.
const STATE: usize = 0;
/// The session.
const SESSION: usize = 3;
/// The start, in clock ticks since the boot.
const STARTED: usize = 19;

/// Kills what agents that are gone have left behind, and answers with how many that were.
pub(super) fn end_leftovers() -> usize {
    let folder = std::fs::read_dir("/proc").into_iter().flatten();
    let names = folder.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.bytes().all(|b| b.is_ascii_digit())).filter(|pid| ended(pid)).count()
}

fn ended(pid: &str) -> bool {
    let orphan = || mark(pid).is_some_and(|mark| left_by_the_dead(pid, &mark));
    if !orphan() {
        return false;
    }
    let Some(number) = pid.parse().ok().and_then(Pid::from_raw) else { return false };
    // From here on the descriptor stands for one process, whoever has the number: look again.
    let Ok(process) = pidfd_open(number, PidfdFlags::empty()) else { return false };
    orphan() && pidfd_send_signal(process, Signal::KILL).is_ok()
}

/// The mark in the environment of a process that may be looked at.
fn mark(pid: &str) -> Option<String> {
    let environment = std::fs::read(Path::new("/proc").join(pid).join("environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0).filter_map(|variable| std::str::from_utf8(variable).ok());
    variables.find_map(|variable| variable.strip_prefix(MARK_VARIABLE)?.strip_prefix('=')).map(str::to_owned)
}

/// Whether the agent with this mark is gone, and `pid` still in its session. An odd mark is
/// nobody's business.
fn left_by_the_dead(pid: &str, mark: &str) -> bool {
    let mut parts = mark.split('-');
    let (Some(agent), Some(started), Some(session), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    // One that is killed and not yet reaped is gone as well.
    let dead = stat_field(agent, STATE).is_none_or(|state| matches!(state.as_str(), "Z" | "X"));
    let lives = !dead && stat_field(agent, STARTED).is_some_and(|own| own == started);
    !lives && stat_field(pid, SESSION).is_some_and(|own| own == session)
}

fn stat_field(pid: &str, place: usize) -> Option<String> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).ok()?;
    // The second field, a name in parentheses, may hold anything.
    stat.rsplit_once(") ")?.1.split(' ').nth(place).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A process with a mark, which ends with the test.
    struct Sleeper(Child);

    impl Sleeper {
        fn new(mark: &str) -> Self {
            let mut command = Command::new("/bin/sleep");
            let command = command.arg("1000").env(MARK_VARIABLE, mark).stdin(Stdio::null()).stdout(Stdio::null());
            Self(command.stderr(Stdio::null()).spawn().expect("started"))
        }

        fn ended(&self) -> bool {
            ended(&self.0.id().to_string())
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }

    #[test]
    fn only_plugins_of_agents_that_are_gone_are_killed() {
        let (pid, session) = (std::process::id(), stat_field("self", SESSION).expect("a session"));
        for spared in [OWN_MARK.as_str(), "odd", "1-2-3-4", &format!("{pid}-1-0")] {
            assert!(!Sleeper::new(spared).ended(), "{spared}");
        }
        // Our own number with another start: an agent that had this number before.
        let mut orphan = Sleeper::new(&format!("{pid}-1-{session}"));
        // An agent that starts at this moment on the same machine may be quicker.
        let killed = (0..100_000).find_map(|_| {
            orphan.ended();
            std::thread::yield_now();
            orphan.0.try_wait().expect("asked")
        });
        assert_eq!(killed.and_then(|status| status.signal()), Some(9));
    }

    #[test]
    fn an_agent_that_is_not_yet_reaped_is_gone() {
        let mut agent = Command::new("/bin/true").spawn().expect("started");
        let (pid, session) = (agent.id().to_string(), stat_field("self", SESSION).expect("a session"));
        let started = stat_field(&pid, STARTED).expect("a start");
        let mark = format!("{pid}-{started}-{session}");
        while stat_field(&pid, STATE).as_deref() != Some("Z") {
            std::thread::yield_now();
        }
        assert!(left_by_the_dead("self", &mark));
        agent.wait().expect("waited");
    }

    #[test]
    fn this_process_has_a_mark() {
        let parts: Vec<u64> = OWN_MARK.split('-').filter_map(|part| part.parse().ok()).collect();
        assert_eq!((parts.len(), parts[0]), (3, u64::from(std::process::id())));
        assert!(!left_by_the_dead("self", &OWN_MARK));
    }
}
