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

/// Places of fields in `/proc/<pid>/stat`, counted from the one after the name: the session.
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
    let lives = stat_field(agent, STARTED).is_some_and(|own| own == started);
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
    use std::process::{Child, Command};

    use super::*;

    fn sleeper(mark: &str) -> Child {
        Command::new("/bin/sleep").arg("1000").env(MARK_VARIABLE, mark).spawn().expect("started")
    }

    #[test]
    fn only_plugins_of_agents_that_are_gone_are_killed() {
        let (pid, session) = (std::process::id(), stat_field("self", SESSION).expect("a session"));
        // Our own number with another start: an agent that had this number before.
        let mut orphan = sleeper(&format!("{pid}-1-{session}"));
        let mut others = [OWN_MARK.as_str(), "odd", "1-2-3-4", &format!("{pid}-1-0")].map(sleeper);
        assert_eq!(end_leftovers(), 1);
        assert_eq!(orphan.wait().expect("waited").signal(), Some(9));
        for other in &mut others {
            assert!(other.try_wait().expect("asked").is_none(), "it lives");
            other.kill().expect("killed by the test");
            other.wait().expect("waited");
        }
    }

    #[test]
    fn this_process_has_a_mark() {
        let parts: Vec<u64> = OWN_MARK.split('-').filter_map(|part| part.parse().ok()).collect();
        assert_eq!((parts.len(), parts[0]), (3, u64::from(std::process::id())));
        assert!(!left_by_the_dead("self", &OWN_MARK));
    }
}
