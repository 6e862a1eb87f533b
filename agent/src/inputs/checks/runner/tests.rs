//! Real plugins, written by the tests: they hang, flood, fork, are missing, are killed.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::time::Instant;

use super::*;

struct Plugins(TempDir);

impl Plugins {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes an executable script and answers with its command.
    fn script(&self, body: &str) -> Vec<String> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path("plugin");
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
        vec![path.display().to_string()]
    }

    /// The process number that a plugin has written into `name`.
    async fn pid(&self, name: &str) -> String {
        let path = self.path(name);
        let mut pid = String::new();
        until("a process number", || {
            pid = std::fs::read_to_string(&path).unwrap_or_default();
            pid.ends_with('\n')
        })
        .await;
        pid.trim().to_owned()
    }
}

/// Waits for `condition`, at most ten seconds.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap_or_else(|_| panic!("no {what} in 10 s"));
}

/// Whether a process lives. A zombie that a stranger has yet to reap is dead.
fn alive(pid: &str) -> bool {
    std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

/// Children of this process that nobody has reaped, of the name that all scripts here have.
fn zombies() -> usize {
    let own = format!(" {} ", std::process::id());
    let folder = std::fs::read_dir("/proc").expect("proc");
    folder
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok())
        .filter(|stat| {
            stat.contains("(plugin)")
                && stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(&format!("Z{own}")))
        })
        .count()
}

const LONG: Duration = Duration::from_secs(20);

async fn ran(command: &[String], timeout: Duration) -> Printed {
    run(command, &BTreeMap::new(), timeout).await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn output_exit_code_and_environment() {
    let plugins = Plugins::new();
    let command = plugins.script("echo \"OK $WHO $LC_ALL\"; echo oops >&2; cat; exit 1");
    let env = BTreeMap::from([("WHO".to_owned(), "me".to_owned())]);
    let printed = run(&command, &env, LONG).await;
    assert_eq!(text(&printed.stdout), "OK me C.UTF-8\n");
    assert_eq!(text(&printed.stderr), "oops\n");
    assert_eq!(printed.ended, Ended::Code(1));
    until("end of zombies", || zombies() == 0).await;
}

#[tokio::test]
async fn a_plugin_that_hangs_is_killed_with_its_children() {
    let plugins = Plugins::new();
    let child = plugins.path("child").display().to_string();
    let command = plugins.script(&format!("echo partial; sleep 1000 & echo $! > {child}; trap '' TERM; wait"));
    let started = Instant::now();
    let printed = ran(&command, Duration::from_millis(500)).await;
    assert_eq!(printed.ended, Ended::TimedOut { after_ms: 500 });
    assert_eq!(text(&printed.stdout), "partial\n");
    assert!(started.elapsed() < Duration::from_secs(5), "took {:?}", started.elapsed());
    let child = plugins.pid("child").await;
    until("death of the child", || !alive(&child)).await;
    until("end of zombies", || zombies() == 0).await;
}

#[tokio::test]
async fn a_child_left_behind_is_killed_and_does_not_hold_up_the_run() {
    let plugins = Plugins::new();
    let child = plugins.path("child").display().to_string();
    let command = plugins.script(&format!("sleep 1000 & echo $! > {child}; echo done; exit 0"));
    let started = Instant::now();
    let printed = ran(&command, LONG).await;
    assert_eq!((text(&printed.stdout), printed.ended), ("done\n".to_owned(), Ended::Code(0)));
    assert!(started.elapsed() < Duration::from_secs(5), "took {:?}", started.elapsed());
    let child = plugins.pid("child").await;
    until("death of the child", || !alive(&child)).await;
}

#[tokio::test]
async fn a_child_that_left_the_group_does_not_hold_up_the_run() {
    if !Path::new("/usr/bin/setsid").exists() {
        println!("skipped: /usr/bin/setsid is not there");
        return;
    }
    let plugins = Plugins::new();
    let child = plugins.path("child").display().to_string();
    let command = plugins.script(&format!(
        "setsid sh -c 'echo $$ > {child}; exec sleep 30' & while [ ! -s {child} ]; do sleep 0.01; done; echo done"
    ));
    let started = Instant::now();
    let printed = ran(&command, LONG).await;
    assert_eq!((text(&printed.stdout), printed.ended), ("done\n".to_owned(), Ended::Code(0)));
    assert!(started.elapsed() < Duration::from_secs(10), "took {:?}", started.elapsed());
    let pid: i32 = plugins.pid("child").await.parse().expect("a number");
    kill_process_group(Pid::from_raw(pid).expect("a number"), Signal::KILL).expect("killed by the test");
}

#[tokio::test]
async fn ten_megabytes_are_drained_and_cut() {
    let plugins = Plugins::new();
    let command = plugins.script("head -c 10000000 /dev/zero | tr '\\0' x; echo end >&2; exit 2");
    let printed = ran(&command, LONG).await;
    assert_eq!(printed.ended, Ended::Code(2));
    assert_eq!(printed.stdout.len(), OUTPUT_BYTES_MAX + 1);
    assert_eq!(text(&printed.stderr), "end\n");
}

#[tokio::test]
async fn output_at_the_limit_and_one_byte_past_it() {
    let plugins = Plugins::new();
    for (bytes, kept) in [(OUTPUT_BYTES_MAX, OUTPUT_BYTES_MAX), (OUTPUT_BYTES_MAX + 1, OUTPUT_BYTES_MAX + 1)] {
        let command = plugins.script(&format!("head -c {bytes} /dev/zero"));
        assert_eq!(ran(&command, LONG).await.stdout.len(), kept);
    }
    let command = plugins.script(&format!("head -c {} /dev/zero", OUTPUT_BYTES_MAX + 2));
    assert_eq!(ran(&command, LONG).await.stdout.len(), OUTPUT_BYTES_MAX + 1);
}

#[tokio::test]
async fn a_flood_without_end_is_ended_by_its_pipe() {
    let plugins = Plugins::new();
    let command = plugins.script("exec cat /dev/zero");
    let printed = ran(&command, Duration::from_secs(60)).await;
    assert_eq!(printed.ended, Ended::Signal(13));
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let plugins = Plugins::new();
    let missing = plugins.path("missing").display().to_string();
    let printed = ran(std::slice::from_ref(&missing), LONG).await;
    assert_eq!(printed.ended, Ended::NotStarted { why: format!("{missing}: No such file or directory (os error 2)") });
    let plain = plugins.path("plain").display().to_string();
    std::fs::write(&plain, "no program").expect("written");
    let printed = ran(std::slice::from_ref(&plain), LONG).await;
    assert_eq!(printed.ended, Ended::NotStarted { why: format!("{plain}: Permission denied (os error 13)") });
    assert!(matches!(ran(&[], LONG).await.ended, Ended::NotStarted { .. }));
    assert!(matches!(ran(&["nul\0".to_owned()], LONG).await.ended, Ended::NotStarted { .. }));
}

#[tokio::test]
async fn exit_codes_and_signals_are_kept_as_they_were() {
    let plugins = Plugins::new();
    for code in [0, 3, 4, 126, 127, 255] {
        let command = plugins.script(&format!("exit {code}"));
        assert_eq!(ran(&command, LONG).await.ended, Ended::Code(code));
    }
    let command = plugins.script("kill -SEGV $$");
    assert_eq!(ran(&command, LONG).await.ended, Ended::Signal(11));
}

#[tokio::test]
async fn a_run_that_is_dropped_leaves_nothing_behind() {
    let plugins = Plugins::new();
    let (leader, child) = (plugins.path("leader").display().to_string(), plugins.path("child").display().to_string());
    let command = plugins.script(&format!("echo $$ > {leader}; sleep 1000 & echo $! > {child}; wait"));
    let running = tokio::spawn(async move { ran(&command, LONG).await });
    let (leader, child) = (plugins.pid("leader").await, plugins.pid("child").await);
    assert!(alive(&leader) && alive(&child));
    running.abort();
    until("death of the group", || !alive(&leader) && !alive(&child)).await;
    until("end of zombies", || zombies() == 0).await;
}

#[tokio::test]
async fn many_runs_at_once_stay_on_time() {
    let plugins = Plugins::new();
    let hanging = plugins.script("sleep 1000");
    let quick = Plugins::new();
    let quick_command = quick.script("echo ok");
    let hung: Vec<_> = (0..20)
        .map(|_| {
            let hanging = hanging.clone();
            tokio::spawn(async move { ran(&hanging, Duration::from_secs(3)).await })
        })
        .collect();
    let started = Instant::now();
    for _ in 0..10 {
        assert_eq!(ran(&quick_command, LONG).await.ended, Ended::Code(0));
    }
    assert!(started.elapsed() < Duration::from_secs(3), "took {:?}", started.elapsed());
    for run in hung {
        assert_eq!(run.await.expect("ran").ended, Ended::TimedOut { after_ms: 3_000 });
    }
}
