//! Prometheus's own test scripts, where they lie beside the repository, and a script of ours that
//! shows that the runner itself can fail.

use std::path::Path;

#[path = "../src/fixture.rs"]
mod fixture;
#[path = "../examples/promqltest/judge.rs"]
mod judge;
#[path = "../examples/promqltest/script.rs"]
mod script;

use judge::Verdict;

#[test]
fn prometheus_scripts_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/promqltest");
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("skipped: no test scripts in {}", folder.display());
        return;
    };
    let mut passed = 0;
    for file in files {
        let path = file.unwrap().path();
        for (line, verdict) in judge::run(&std::fs::read_to_string(&path).unwrap()) {
            match verdict {
                Verdict::Passed => passed += 1,
                Verdict::Skipped(why) => println!("{}:{line}: skipped: {why}", path.display()),
                Verdict::Failed(why) => panic!("{}:{line}: {why}", path.display()),
            }
        }
    }
    assert!(passed > 0);
}

/// What Prometheus's scripts beside the repository do not show; the values are worked out by hand.
#[test]
fn our_own_scripts_pass() {
    for (line, verdict) in judge::run(include_str!("scripts/extended.test")) {
        match verdict {
            Verdict::Passed => {}
            Verdict::Skipped(why) | Verdict::Failed(why) => panic!("scripts/extended.test:{line}: {why}"),
        }
    }
}

#[test]
fn the_runner_tells_right_from_wrong() {
    let script = "
load 10s
  x{a=\"1\"} 1+1x3
  y 1 _ 3 stale 5x2
  h {{count:1}}x3

eval instant at 20s x
  x{a=\"1\"} 3

eval instant at 20s x
  x{a=\"1\"} 4

eval instant at 20s x
  x{a=\"1\"} 3
  y 3

eval range from 0 to 40s step 10s y
  y 1 1 3 _ 5

eval range from 0 to 40s step 10s y
  y 1 1 3 3 5

eval instant at 0 h
  h 1

eval_fail instant at 0 x + ignoring(a) {a=\"\"} + on() x

eval instant at 0 1 + 1
  expect no_warn
  2

eval instant at 0 topk(NaN, x)
  expect fail
";
    let shown: Vec<&str> = judge::run(script)
        .iter()
        .map(|(_, verdict)| match verdict {
            Verdict::Passed => "passed",
            Verdict::Failed(_) => "failed",
            Verdict::Skipped(_) => "skipped",
        })
        .collect();
    assert_eq!(shown, ["passed", "failed", "failed", "passed", "failed", "skipped", "passed", "passed", "passed"]);
}
