use std::io::Write;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::inputs::host::testing::put;

const NOW: Timestamp = Timestamp(1_000_000);

struct Logs(TempDir);

impl Logs {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let file = File::options().create(true).append(true).open(self.path(name));
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("written");
    }

    fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).expect("renamed");
    }

    fn follower(&self, pattern: &str, checkpoint: Option<Checkpoint>) -> Follower {
        let pattern = self.path(pattern).display().to_string();
        Follower::new(vec![pattern], Rules::default(), RecordsKept::All, checkpoint)
    }

    /// Counters as `file=records`, files without any left out.
    fn counts(&self, follower: &Follower) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        let counts = follower.counts.iter().map(|(label, counts)| (label.replace(&folder, ""), total(counts)));
        counts.filter(|(_, count)| *count > 0).map(|(label, count)| format!("{label}={count}")).collect()
    }
}

fn total(counts: &FileCounts) -> u64 {
    let mut counts = counts.clone();
    let text = put(|sheet| counts.samples("f", &Rules::default(), sheet));
    let levels = text.lines().filter(|line| line.starts_with("log_lines_total"));
    levels.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// One look: files, then lines, all of which are old enough to be records.
fn look(follower: &mut Follower) {
    follower.scan(NOW);
    while follower.read(NOW) {}
    follower.read(NOW.plus_ms(5_000));
}

#[test]
fn a_first_run_begins_at_the_end_and_later_files_at_their_beginning() {
    let logs = Logs::new();
    logs.append("a.log", "1\n2\n");
    let mut follower = logs.follower("*.log", None);
    look(&mut follower);
    assert!(logs.counts(&follower).is_empty());
    logs.append("a.log", "3\n");
    logs.append("b.log", "1\n2\n");
    logs.append("c.log.gz", "1\n");
    look(&mut follower);
    assert_eq!(logs.counts(&follower), ["a.log=1", "b.log=2"]);
}

#[test]
fn a_new_pattern_begins_at_the_end_and_a_known_one_does_not() {
    let logs = Logs::new();
    let mut first = logs.follower("*.log", None);
    look(&mut first);
    let checkpoint = first.checkpoint().expect("new");
    logs.append("a.log", "1\n");
    logs.append("b.txt", "1\n");
    let patterns = ["*.log", "*.txt"].map(|pattern| logs.path(pattern).display().to_string());
    let mut second = Follower::new(patterns.to_vec(), Rules::default(), RecordsKept::All, Some(checkpoint));
    look(&mut second);
    assert_eq!(logs.counts(&second), ["a.log=1"]);
}

#[test]
fn rotation_by_renaming() {
    let logs = Logs::new();
    let mut follower = logs.follower("*.log", None);
    look(&mut follower);
    logs.append("a.log", "1\n2\n");
    look(&mut follower);
    // Written before and after the renaming, then the new file appears.
    logs.append("a.log", "3\n");
    logs.rename("a.log", "a.log.1");
    logs.append("a.log.1", "4\n");
    logs.append("a.log", "5\n");
    look(&mut follower);
    assert_eq!(logs.counts(&follower), ["a.log=5"]);
    // The old file is let go when nothing comes any more; a line without an end counts then.
    logs.append("a.log.1", "6");
    look(&mut follower);
    let later = NOW.plus_ms(GONE_IDLE_MS);
    follower.scan(later.plus_ms(-1));
    assert_eq!(follower.files.len(), 2);
    follower.scan(later.plus_ms(1));
    assert_eq!((follower.files.len(), logs.counts(&follower)), (1, vec!["a.log=6".to_owned()]));
}

#[test]
fn rotation_inside_the_pattern_counts_nothing_twice() {
    let logs = Logs::new();
    let mut follower = logs.follower("a.log*", None);
    look(&mut follower);
    for round in 0..4 {
        logs.append("a.log", &format!("{round}\n"));
        look(&mut follower);
        for number in (0..round).rev() {
            logs.rename(&format!("a.log.{}", number + 1), &format!("a.log.{}", number + 2));
        }
        logs.rename("a.log", "a.log.1");
        look(&mut follower);
    }
    assert_eq!(logs.counts(&follower), ["a.log=4"]);
}

#[test]
fn rotation_by_copy_and_truncation() {
    let logs = Logs::new();
    let mut follower = logs.follower("a.log*", None);
    look(&mut follower);
    let lines: String = (0..100).map(|n| format!("line number {n}\n")).collect();
    logs.append("a.log", &lines);
    look(&mut follower);
    std::fs::copy(logs.path("a.log"), logs.path("a.log.1")).expect("copied");
    look(&mut follower);
    File::create(logs.path("a.log")).expect("truncated");
    logs.append("a.log", "after\n");
    look(&mut follower);
    assert_eq!(logs.counts(&follower), ["a.log=101"]);
}

#[test]
fn a_restart_after_a_rotation_finds_the_old_file() {
    let logs = Logs::new();
    let mut follower = logs.follower("*.log", None);
    look(&mut follower);
    logs.append("a.log", "1\n2\n");
    look(&mut follower);
    let checkpoint = follower.checkpoint().expect("changed");
    assert!(follower.checkpoint().is_none(), "nothing has changed since");
    drop(follower);
    logs.append("a.log", "3\n");
    logs.rename("a.log", "a.log.1");
    logs.append("a.log", "4\n");
    let mut follower = logs.follower("*.log", Some(checkpoint));
    look(&mut follower);
    assert_eq!(logs.counts(&follower), ["a.log=4"]);
}

#[test]
fn an_inode_that_is_used_again_is_another_file() {
    let logs = Logs::new();
    let mut follower = logs.follower("*.log", None);
    look(&mut follower);
    logs.append("a.log", "1\n2\n");
    look(&mut follower);
    let mut checkpoint = follower.checkpoint().expect("changed");
    drop(follower);
    std::fs::remove_file(logs.path("a.log")).expect("removed");
    logs.append("a.log", "other\nlines\nhere\n");
    // As if the new file had got the old one's inode.
    checkpoint.files[0].id = FileId::from(&std::fs::metadata(logs.path("a.log")).expect("there"));
    let mut follower = logs.follower("*.log", Some(checkpoint));
    look(&mut follower);
    assert_eq!(logs.counts(&follower), ["a.log=5"]);
}

#[test]
fn files_at_the_limit_and_one_past_it() {
    let logs = Logs::new();
    for number in 0..FILES_MAX {
        logs.append(&format!("{number:03}.log"), "");
    }
    let mut follower = logs.follower("*.log", None);
    look(&mut follower);
    assert!(follower.take_notes().is_empty());
    logs.append("one-more.log", "1\n");
    look(&mut follower);
    assert_eq!((follower.files.len(), follower.take_notes().len()), (FILES_MAX, 1));
}

#[test]
fn paths_at_the_limit_and_one_past_it() {
    let logs = Logs::new();
    // Many names of one file: quicker to make than many files.
    logs.append("0", "");
    for number in 1..PATHS_MAX {
        std::fs::hard_link(logs.path("0"), logs.path(&number.to_string())).expect("made");
    }
    let mut follower = logs.follower("*", None);
    follower.scan(NOW);
    assert!(follower.take_notes().is_empty());
    std::fs::hard_link(logs.path("0"), logs.path("x")).expect("made");
    follower.scan(NOW);
    assert_eq!(follower.take_notes().len(), 1);
}

#[test]
fn records_that_are_sent() {
    let logs = Logs::new();
    for (kept, expected) in [
        (RecordsKept::None, vec![]),
        (RecordsKept::Errors, vec!["error ERROR b", "error a.b.CError: d"]),
        (RecordsKept::All, vec!["info INFO a", "error ERROR b", " c", "error a.b.CError: d"]),
    ] {
        std::fs::remove_file(logs.path("a.log")).ok();
        let mut follower = logs.follower("*.log", None);
        follower.kept = kept;
        look(&mut follower);
        logs.append("a.log", "INFO a\nERROR b\nc\na.b.CError: d\n");
        look(&mut follower);
        let (records, _) = follower.take_records();
        let shown: Vec<String> = records.iter().map(|record| format!("{} {}", record.level, record.text)).collect();
        assert_eq!(shown, expected);
    }
}

#[test]
fn records_at_the_limit_and_one_past_it() {
    let logs = Logs::new();
    let mut follower = logs.follower("*.log", None);
    look(&mut follower);
    let line = format!("{}\n", "x".repeat(1_024));
    logs.append("a.log", &line.repeat(RECORD_BYTES_WAITING_MAX / 1_024));
    look(&mut follower);
    let (records, left_out) = follower.take_records();
    assert_eq!((records.len(), left_out), (RECORD_BYTES_WAITING_MAX / 1_024, 0));
    logs.append("a.log", &format!("{}y\n", line.repeat(RECORD_BYTES_WAITING_MAX / 1_024)));
    look(&mut follower);
    assert_eq!(follower.take_records().1, 1);
}

#[test]
fn folders_to_watch() {
    let patterns = ["/var/log/*.log", "/srv/*/logs/**/x.log", "/etc/one.log"].map(str::to_owned);
    let follower = Follower::new(patterns.to_vec(), Rules::default(), RecordsKept::All, None);
    let mut folders: Vec<String> = follower.folders().iter().map(|path| path.display().to_string()).collect();
    folders.sort();
    assert_eq!(folders, ["/etc", "/srv", "/var/log"]);
}

#[test]
fn real_logs_are_counted_line_by_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/logs");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is not there", folder.display());
        return;
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let text = std::fs::read_to_string(&path).expect("text");
        let logs = Logs::new();
        let mut follower = logs.follower("*.log", None);
        look(&mut follower);
        // In pieces that cut lines anywhere.
        let bytes: Vec<char> = text.chars().collect();
        for piece in bytes.chunks(9_973) {
            logs.append("a.log", &piece.iter().collect::<String>());
            follower.scan(NOW);
            while follower.read(NOW) {}
        }
        logs.append("a.log", "\n");
        look(&mut follower);
        let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
        assert_eq!(logs.counts(&follower), [format!("a.log={lines}")], "{}", path.display());
        let mut counts = follower.counts.values().next().expect("one file").clone();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let shown = put(|sheet| counts.samples(&name, &Rules::default(), sheet));
        let of = |level: &str| {
            let wanted = format!("level=\"{level}\"}} ");
            shown.lines().find_map(|line| line.split_once(&wanted)?.1.parse::<usize>().ok()).unwrap_or_default()
        };
        // Each format says its level in its own place; counted here in the plainest way.
        let field =
            |nth: usize, word: &str| text.lines().filter(|line| line.split_whitespace().nth(nth) == Some(word)).count();
        let bracket = |word: &str| text.lines().filter(|line| line.contains(&format!("] [{word}] "))).count();
        match name.as_str() {
            "Apache.log" => assert_eq!((of("error"), of("info")), (bracket("error"), bracket("notice")), "{shown}"),
            "HDFS.log" => assert_eq!((of("info"), of("warn")), (field(3, "INFO"), field(3, "WARN")), "{shown}"),
            "Zookeeper.log" => {
                let expected = (field(3, "ERROR"), field(3, "WARN"), field(3, "INFO"));
                assert_eq!((of("error"), of("warn"), of("info")), expected, "{shown}");
            }
            _ => {}
        }
    }
}

#[derive(Debug, Clone)]
enum Action {
    Append(u8),
    Part,
    Rotate,
    Look,
    Checkpoint,
    Crash,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (1u8..5).prop_map(Action::Append),
        1 => Just(Action::Part),
        2 => Just(Action::Rotate),
        4 => Just(Action::Look),
        3 => Just(Action::Checkpoint),
        2 => Just(Action::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever is written, rotated, checkpointed and killed in between: at the end every line
    /// is counted once.
    #[test]
    fn every_line_is_counted_once(actions in proptest::collection::vec(action(), 1..40)) {
        let logs = Logs::new();
        let mut follower = logs.follower("*.log", None);
        look(&mut follower);
        let mut checkpoint = follower.checkpoint();
        let (mut written, mut rotations, mut open_line) = (0u64, 0, false);
        for action in actions {
            match action {
                Action::Append(lines) => {
                    for _ in 0..lines {
                        logs.append("a.log", &format!("line {written}\n"));
                        written += 1;
                    }
                    open_line = false;
                }
                Action::Part if !open_line => {
                    // A part of the next line: `Append` completes it.
                    logs.append("a.log", "part of ");
                    open_line = true;
                }
                Action::Rotate if !open_line && logs.path("a.log").exists() => {
                    rotations += 1;
                    logs.rename("a.log", &format!("a.{rotations}"));
                }
                Action::Look => look(&mut follower),
                Action::Checkpoint => checkpoint = follower.checkpoint().or(checkpoint),
                Action::Crash => follower = logs.follower("*.log", checkpoint.clone()),
                Action::Part | Action::Rotate => {}
            }
            // A rotation that nobody looked at between two others is lost with any tailer that
            // was not there; here somebody always looks once before the next one.
            follower.scan(NOW);
            if matches!(action, Action::Rotate) {
                checkpoint = follower.checkpoint().or(checkpoint);
            }
        }
        look(&mut follower);
        let counted: u64 = follower.counts.values().map(total).sum();
        prop_assert_eq!(counted, written);
    }
}
