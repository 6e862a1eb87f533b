//! Runs Prometheus's own test scripts: `cargo run -p promql --example promqltest -- FILE…`.
//!
//! A failure names file and line. Evaluations that touch native histograms count as skipped.
//! Where a script expects an error, any error will do: the wording is ours. The last line is
//! `N passed, N failed, N skipped`; the exit code is 1 if any failed.

use std::process::ExitCode;

#[path = "../../src/fixture.rs"]
mod fixture;
mod judge;
mod script;

use judge::Verdict;
use script::Command;

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
        let mut data = judge::Data::default();
        for (line, command) in script::commands(&text) {
            let verdict = match command {
                Err(error) => Verdict::Failed(error),
                Ok(Command::Clear) => {
                    data = judge::Data::default();
                    continue;
                }
                Ok(Command::Load { step_ms, series }) => {
                    data.load(step_ms, series);
                    continue;
                }
                Ok(Command::Eval(eval)) => judge::judge(&data, &eval),
                Ok(Command::Unknown(what)) => Verdict::Skipped(what),
            };
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
