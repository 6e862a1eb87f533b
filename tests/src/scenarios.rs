//! Scenarios: time-stamped text, samples in, states and notifications out.
//!
//! Each `scenarios/*.txt` runs on everything that `daywatch serve` runs on, in memory, on a clock
//! that moves a second at a time. The file's lines:
//!
//! ```text
//! rules:                                   a rule file, indented
//! routing:                                 a routing file, indented
//! topics                                   there are topics for pager and mail; no routing file unless given
//! series up{instance="a"} every 10s: 1x6 0 _ 1    from 10s on; `_` is no sample, `1x6` six of them
//! check web-1 disk at 15s: 2 DISK CRITICAL        a check's run and what it printed
//! soft web-1 disk at 15s: 2 DISK CRITICAL         one that is to be tried again before it counts
//! blobs fail from 60s until 960s           the store of blocks answers with errors
//! receiver fails from 5s until 30s         as if it were down
//! receiver refuses at 5s                   its next answer is that it will never take it
//! table flaky from 5s until 90s            calls fail, some of them after they were done
//! aggregate stands from 60s until 300s     nothing is stored, the stream goes on
//! redeliver at 90s                         the stream starts again from its beginning
//! remove rules at 90s                      the rule file is deleted
//! at 70s                                   the clock moves to there
//! active: firing Down a, pending Slow b    what must be active now; `nothing`
//! sent: ALARM: Down a, pager OK: Down b    what was sent since the last such line, to a webhook or
//!                                          a topic; `nothing`
//! ```

mod text;
mod world;

use text::Line;
pub(crate) use text::Scenario;
pub(crate) use world::World;

async fn run(name: &str, text: &str) -> Result<(), String> {
    let scenario = Scenario::parse(text).map_err(|wrong| format!("{name}:{wrong}"))?;
    let world = World::new(&scenario).await;
    let mut reached = 0;
    for (number, line) in &scenario.lines {
        let (expected, found) = match line {
            Line::At(second) => {
                for second in reached + 1..=*second {
                    world.second(&scenario, second).await;
                }
                reached = *second;
                continue;
            }
            Line::Active(expected) => (expected, world.active().await),
            Line::Sent(expected) => (expected, world.sent()),
        };
        if *expected != found {
            return Err(format!("{name}:{number}: at {reached}s\n  expected {expected}\n  found    {found}"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_scenario_ends_as_it_says() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut failures = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        count += 1;
        failures.extend(run(&name, &text).await.err());
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(count >= 8, "{count} scenarios");
}

#[tokio::test]
async fn a_wrong_expectation_fails_with_its_line() {
    let text = "series up{instance=\"a\"} every 10s: 0\nrules:\n  groups:\n  - name: g\n    rules:\n    - {alert: Down, expr: up == 0}\nat 11s\nactive: nothing\n";
    let failure = run("x.txt", text).await.unwrap_err();
    assert_eq!(failure, "x.txt:8: at 11s\n  expected nothing\n  found    firing Down a");
    assert!(run("x.txt", "at soon\n").await.unwrap_err().starts_with("x.txt:1: "));
}
