//! Plugins that hang, print 10 MB, leave a child behind or do not exist, on the real agent: the
//! other checks stay on schedule, and nothing of a plugin lives on.

use std::fs;

use tests::wait::{now_ms, shuffled};
use tests::{Agent, Place, Server, until};

/// How often the good check runs, ms.
const INTERVAL_MS: i64 = 1_000;
/// The longest pause between two of its results, on a busy machine, ms.
const PAUSE_MS_MAX: i64 = 2_500;
/// Runs of the good check that are looked at.
const RUNS: usize = 15;

#[tokio::test(flavor = "multi_thread")]
async fn hostile_plugins_disturb_nobody_and_leave_nothing_behind() {
    let (mut server, place) = Server::started("hostile").await;
    // How the processes of this very test are known among all of the machine's.
    let mark = format!("3141{}", shuffled(now_ms().unsigned_abs()));
    let mut agent = Agent::new(&place, "hostile", &config());
    agent.write("hangs", &format!("#!/bin/sh\ntrap '' TERM\nsleep {mark} &\nsleep {mark}\nwait\n"), 0o755);
    agent.write("floods", "#!/bin/sh\nhead -c 10485760 /dev/zero | tr '\\0' 'x'\necho\nexit 1\n", 0o755);
    agent.write("forks", &format!("#!/bin/sh\nsleep {mark} &\necho \"forked\"\nexit 0\n"), 0o755);
    agent.write("good", "#!/bin/sh\necho \"all is well | runs=1\"\n", 0o755);
    agent.start();

    shows(&place, "hangs", 3, "time").await;
    shows(&place, "floods", 1, "xxxx").await;
    shows(&place, "forks", 0, "forked").await;
    shows(&place, "missing", 3, "missing").await;
    shows(&place, "good", 0, "all is well").await;

    let times = until("the good check has run a while", async || {
        let series = place.query("check_status{check=\"good\",source=\"hostile\"}[10m]").await?;
        let times: Vec<i64> = series.first()?.points.iter().map(|(at, _)| *at).collect();
        (times.len() >= RUNS).then_some(times)
    })
    .await;
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
    println!("{} runs of the good check, one each {INTERVAL_MS} ms, the longest pause {longest} ms", times.len());
    assert!(longest <= PAUSE_MS_MAX, "{longest} ms between two runs: {times:?}");

    // A plugin that has just exited may be seen before it is reaped; none may stay.
    let pid = agent.pid();
    until("no zombie is there", async || zombies_of(pid).is_empty().then_some(())).await;
    let alive = marked(&mark);
    assert!(alive.len() <= 3, "only the run that hangs now may have processes: {alive:?}");
    assert!(agent.terminate().await.success());
    until("nothing of a plugin outlives the agent", async || marked(&mark).is_empty().then_some(())).await;
    server.stop().await;
}

fn config() -> String {
    let mut text = "[host]\nenabled = false\n[buffer]\nflush = \"1s\"\n".to_owned();
    for (name, timeout) in [("hangs", "1s"), ("floods", "10s"), ("forks", "10s"), ("missing", "10s"), ("good", "10s")] {
        text.push_str(&format!(
            "[[check]]\nname = \"{name}\"\ncommand = [\"FOLDER/{name}\"]\ninterval = \"1s\"\ntimeout = \"{timeout}\"\n"
        ));
    }
    text
}

async fn shows(place: &Place, check: &str, status: u64, text: &str) {
    let what = format!("{check} is shown with status {status} and {text:?}");
    until(&what, async || {
        let shown = place.check("hostile", check).await?;
        let printed = shown["text"].as_str().unwrap_or_default().to_lowercase();
        assert!(shown["status"] == status, "{check}: {shown}");
        printed.contains(text).then_some(())
    })
    .await;
}

/// Every process: its number, its parent, its state.
fn processes() -> Vec<(u32, u32, char)> {
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let one = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in brackets may hold anything.
        let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
        let state = rest.next()?.chars().next()?;
        Some((pid, rest.next()?.parse().ok()?, state))
    };
    numbers.filter_map(one).collect()
}

fn zombies_of(parent: u32) -> Vec<u32> {
    processes().into_iter().filter(|(_, of, state)| *of == parent && *state == 'Z').map(|(pid, ..)| pid).collect()
}

/// Processes with `mark` in their command line.
fn marked(mark: &str) -> Vec<u32> {
    let has_mark = |pid: &u32| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(mark))
    };
    processes().into_iter().map(|(pid, ..)| pid).filter(has_mark).collect()
}
