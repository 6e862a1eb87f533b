//! How many processes there are, and in which state.
//!
//! Counting is one walk over the names in `/proc`. States take a file a process, which on a host
//! with thousands of them is dearer than everything else together, so only as many are read in
//! one collection as the budget allows, and states are then told less often.

use std::fs::read_dir;

use super::files::Files;
use crate::inputs::sheet::Sheet;

/// Processes whose state is read at every count. With more, states are told each
/// `processes / STATES_PER_COUNT`-th count (at most every [`ROUNDS_MAX`]).
const STATES_PER_COUNT: usize = 24;
/// At 10 s a collection, states are never older than 2 minutes (PromQL looks back for 5).
const ROUNDS_MAX: usize = 4;

/// Letters of `/proc/<pid>/stat`; further ones are told as they are.
const STATES: [&str; 7] = ["D", "I", "R", "S", "T", "Z", "t"];

/// Processes are counted once in so many collections: the kernel looks each of them up to list `/proc`.
const COUNT_ROUNDS: usize = 3;

#[derive(Debug, Default)]
pub(super) struct Processes {
    /// Counts until states are read again.
    wait: usize,
    /// Collections until processes are counted again.
    count_wait: usize,
}

impl Processes {
    pub(super) fn collect(&mut self, files: &mut Files, sheet: &mut Sheet) {
        if self.count_wait > 0 {
            self.count_wait -= 1;
            return;
        }
        self.count_wait = COUNT_ROUNDS - 1;
        let Ok(folder) = read_dir(files.root().join("proc")) else {
            files.note("proc", "/proc cannot be listed; processes are left out");
            return;
        };
        let pids: Vec<String> = folder
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
            .collect();
        sheet.put("node_processes_pids", &[], pids.len() as f64);
        if self.wait > 0 {
            self.wait -= 1;
            return;
        }
        self.wait = (pids.len() / STATES_PER_COUNT).min(ROUNDS_MAX - 1);
        let mut counts = STATES.map(|state| (state, 0u32));
        for pid in pids {
            // A process may have ended since it was listed.
            let Some(stat) = files.read_line(&format!("proc/{pid}/stat")) else { continue };
            if let Some(count) = state(&stat).and_then(|state| counts.iter_mut().find(|(known, _)| *known == state)) {
                count.1 += 1;
            }
        }
        for (state, count) in counts {
            sheet.put("node_processes_state", &[("state", state)], f64::from(count));
        }
    }
}

/// The state in `/proc/<pid>/stat`, after the command, which may itself hold `) `.
fn state(stat: &str) -> Option<&str> {
    stat.rsplit_once(") ")?.1.get(..1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inputs::host::testing::put;

    #[test]
    fn the_state_stands_after_the_command() {
        for (stat, expected) in [
            ("1 (init) S 0 1", Some("S")),
            ("2 (a) R (b) Z 1", Some("Z")),
            ("3 (x", None),
            ("", None),
            ("4 (x) ", None),
            ("5 (x) é", None),
        ] {
            assert_eq!(state(stat), expected, "{stat}");
        }
    }

    #[test]
    fn processes_of_a_made_up_host() {
        let folder = tempfile::tempdir().expect("folder");
        for (pid, stat) in [("1", "1 (init) S 0"), ("20", "20 (worker) D 1"), ("21", "junk"), ("self", "x")] {
            let process = folder.path().join("proc").join(pid);
            std::fs::create_dir_all(&process).expect("made");
            std::fs::write(process.join("stat"), stat).expect("written");
        }
        let shown = put(|sheet| Processes::default().collect(&mut Files::new(folder.path()), sheet));
        assert!(shown.starts_with("node_processes_pids 3\n"), "{shown}");
        assert!(shown.contains("{state=\"S\"} 1\n") && shown.contains("{state=\"D\"} 1\n"), "{shown}");
        assert!(shown.contains("{state=\"Z\"} 0\n"), "{shown}");
    }

    #[test]
    fn processes_are_counted_once_in_some_rounds() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::create_dir_all(folder.path().join("proc/1")).expect("made");
        let (mut processes, mut files) = (Processes::default(), Files::new(folder.path()));
        for round in 0..2 * COUNT_ROUNDS {
            let shown = put(|sheet| processes.collect(&mut files, sheet));
            assert_eq!(shown.starts_with("node_processes_pids 1\n"), round % COUNT_ROUNDS == 0, "{round}: {shown}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            state(&text);
        }
    }
}
