//! Runs Prometheus's own test scripts: `cargo run -p promql --example promqltest -- FILE…`.
//!
//! A failure names file and line. Evaluations that touch native histograms count as skipped.
//! Errors must begin with the expected words; of texts that are no PromQL any error will do. The last line is
//! `N passed, N failed, N skipped`; the exit code is 1 if any failed.

use std::process::ExitCode;

#[path = "../../src/fixture.rs"]
mod fixture;
mod judge;
mod script;

use judge::Verdict;

fn main() -> ExitCode {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for file in std::env::args().skip(1) {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => {
                println!("{file}: {error}");
                failed += 1;
                continue;
            }
        };
        for (line, verdict) in judge::run(&text) {
            match verdict {
                Verdict::Passed => passed += 1,
                Verdict::Skipped(why) => {
                    skipped += 1;
                    println!("{file}:{line}: skipped: {why}");
                }
                Verdict::Failed(why) => {
                    failed += 1;
                    println!("{file}:{line}: {why}");
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
