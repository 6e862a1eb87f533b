//! Runs schedules of the pure parts: `cargo run --profile up -p blocks --example schedules -- --seeds 100000
//! [--from 0] [--threads 2]`, or a wrong way with `--wrong Increment`.

#![expect(clippy::unwrap_used, reason = "an example: a failure of its own is a panic")]

mod model;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use model::{ALL_WRONG, Happened, run};

#[expect(clippy::disallowed_methods, reason = "a measuring tool")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = |name: &str| arguments.iter().skip_while(|known| *known != name).nth(1).cloned();
    let number = |name: &str, default: u64| text(name).map_or(default, |value| value.parse().unwrap());
    let (from, seeds, threads) = (number("--from", 0), number("--seeds", 100_000), number("--threads", 1));
    let wrong = text("--wrong").map(|name| ALL_WRONG.into_iter().find(|wrong| format!("{wrong:?}") == name).unwrap());
    let started = Instant::now();
    let next = AtomicU64::new(from);
    let ended: Mutex<(Happened, u64)> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    let one = run(seed, wrong);
                    let mut ended = ended.lock().unwrap();
                    match one {
                        Ok(happened) => ended.0 = ended.0.with(happened),
                        Err(what) => {
                            ended.1 += 1;
                            if ended.1 <= 10 {
                                println!("seed {seed}: {what}");
                            }
                        }
                    }
                }
            });
        }
    });
    let (happened, violations) = ended.into_inner().unwrap();
    println!("{happened:#?}");
    println!("{seeds} schedules in {:.1} s, {violations} violations", started.elapsed().as_secs_f64());
    if (violations > 0) == wrong.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
