//! Runs seeded schedules of the simulator: `cargo run --release -p tests --example simulate --
//! --seeds 10000 [--from 0] [--threads 2]`, one with `--seed N`, a wrong way with `--wrong SkipSeen`.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, bail};
use tests::simulator::{ALL_WRONG, Happened, Plan, Violation, Wrong, run_seed};

/// Failures that are printed.
const PRINTED_MAX: usize = 10;

struct Asked {
    from: u64,
    seeds: u64,
    threads: usize,
    wrong: Option<Wrong>,
}

fn main() -> ExitCode {
    match asked().map(|asked| simulate(&asked)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("simulate: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn asked() -> anyhow::Result<Asked> {
    let mut asked = Asked { from: 0, seeds: 10_000, threads: 1, wrong: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().with_context(|| format!("{name} {value:?} is no number"));
        match name.as_str() {
            "--from" => asked.from = number()?,
            "--seeds" => asked.seeds = number()?,
            "--seed" => (asked.from, asked.seeds) = (number()?, 1),
            "--threads" => asked.threads = usize::try_from(number()?)?.clamp(1, 64),
            "--wrong" => {
                let known = ALL_WRONG.into_iter().find(|wrong| format!("{wrong:?}") == value);
                asked.wrong = Some(known.with_context(|| format!("{value:?} is none of {ALL_WRONG:?}"))?);
            }
            _ => bail!("{name}: known are --seeds, --from, --seed, --threads and --wrong"),
        }
    }
    Ok(asked)
}

#[expect(clippy::disallowed_methods, reason = "a measuring tool")]
fn simulate(asked: &Asked) -> bool {
    let started = Instant::now();
    if asked.seeds == 1 {
        println!("{:#?}", asked.wrong.map_or_else(|| Plan::of(asked.from), |wrong| Plan::wrong(asked.from, wrong)));
    }
    let next = AtomicU64::new(asked.from);
    let ended: Mutex<(Happened, Vec<Violation>)> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..asked.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= asked.from + asked.seeds {
                        return;
                    }
                    let one = run_seed(seed, asked.wrong);
                    let mut ended = ended.lock().expect("no thread has panicked");
                    match one {
                        Ok(happened) => ended.0 = ended.0.with(happened),
                        Err(violation) => {
                            if ended.1.len() < PRINTED_MAX {
                                println!("{violation}");
                            }
                            ended.1.push(violation);
                        }
                    }
                }
            });
        }
    });
    let (happened, violations) = ended.into_inner().expect("no thread has panicked");
    println!("{happened:#?}");
    let seconds = started.elapsed().as_secs_f64();
    println!("{} schedules in {seconds:.1} s, {} violations", asked.seeds, violations.len());
    violations.is_empty()
}
