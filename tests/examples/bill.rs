//! The bill, counted: `cargo run --profile up -p tests --example bill -- [--agents 1000] [--few 100] [--minutes 30]
//! [--warm-up 25] [--only nobody|60|30|15] [--units]`. Simulated agents through the real handlers, every billed call
//! counted, scaled to a month of 100, 1,000 and 100,000 agents.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use tests::bill::{Alerting, Measured, Plan, amp};

/// Goals, $ an agent-month at 1,000 agents.
const GOALS: [(Alerting, f64); 2] = [(Alerting::Nobody, 0.10), (Alerting::Starter(30), 0.15)];
/// Fleets of the table.
const FLEETS: [f64; 3] = [100.0, 1_000.0, 100_000.0];
/// Samples of one agent that one evaluation of the starter rules processes: instants look at one sample a
/// series, `increase[5m]` at thirty, `predict_linear[6h]` at 2,160 of each of two file systems.
const PROCESSED: f64 = 40.0 + 2.0 * 2_160.0;

struct Asked {
    plan: Plan,
    few: u64,
    only: Option<Alerting>,
    units: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match asked() {
        Ok(asked) => show(&asked).await,
        Err(error) => {
            eprintln!("bill: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn asked() -> anyhow::Result<Asked> {
    let plan = Plan { agents: 1_000, series: 100, shards: 1, rules_s: None, page: false, warm_up_min: 25, minutes: 30 };
    let mut asked = Asked { plan, few: 100, only: None, units: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--units" {
            asked.units = true;
            continue;
        }
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().with_context(|| format!("{name} {value:?} is no number"));
        match name.as_str() {
            "--agents" => asked.plan.agents = number()?.max(8),
            "--few" => asked.few = number()?.max(2),
            "--minutes" => asked.plan.minutes = number()?.max(1),
            "--warm-up" => asked.plan.warm_up_min = number()?,
            "--only" if value == "nobody" => asked.only = Some(Alerting::Nobody),
            "--only" => asked.only = Some(Alerting::Starter(number()?)),
            _ => bail!("{name} is not known: --agents, --few, --minutes, --warm-up, --only, --units"),
        }
    }
    Ok(asked)
}

async fn show(asked: &Asked) -> ExitCode {
    let columns = [Alerting::Nobody, Alerting::Starter(60), Alerting::Starter(30), Alerting::Starter(15)];
    let columns: Vec<Alerting> =
        columns.into_iter().filter(|column| asked.only.is_none_or(|only| only == *column)).collect();
    let mut measured = Vec::new();
    for column in columns {
        let one = Measured::of(column, asked.plan, asked.few.min(asked.plan.agents / 2)).await;
        for hour in &one.hours {
            let (sent, acked) = hour.batches;
            eprintln!(
                "{}: {} agents, {} shards: {sent} batches sent, {acked} acknowledged",
                name(column),
                hour.plan.agents,
                hour.plan.shards
            );
            if asked.units {
                eprintln!("    metrics: {:?}\n    a reconnect: {:?}", hour.metrics, hour.reconnect);
                for (unit, count) in &hour.units {
                    eprintln!("    {unit:?} {count:.0}");
                }
            }
        }
        measured.push(one);
    }
    let mut met = true;
    for agents in FLEETS {
        println!("\n{agents} agents, 100 series each @ 10 s: $ a month, us-east-1");
        let bills: Vec<_> = measured.iter().map(|one| (one.alerting(), one.month(agents))).collect();
        let mut names: Vec<(String, f64)> = Vec::new();
        for part in bills.iter().flat_map(|(_, bill)| &bill.parts) {
            match names.iter_mut().find(|(name, _)| *name == part.name) {
                Some((_, most)) => *most = most.max(part.dollars),
                None => names.push((part.name.clone(), part.dollars)),
            }
        }
        names.sort_by(|a, b| b.1.total_cmp(&a.1));
        print!("{:<38}", "");
        bills.iter().for_each(|(alerting, _)| print!("{:>16}", name(*alerting)));
        println!();
        for (part, _) in &names {
            print!("{part:<38}");
            for (_, bill) in &bills {
                let dollars: f64 = bill.parts.iter().filter(|p| p.name == *part).map(|p| p.dollars).sum();
                print!("{dollars:>16.2}");
            }
            println!();
        }
        row("total", bills.iter().map(|(_, bill)| bill.total()), 2);
        row("an agent", bills.iter().map(|(_, bill)| bill.total() / agents), 4);
        row("shards", bills.iter().map(|(_, bill)| bill.shards), 0);
        let managed: Vec<(f64, f64)> = bills.iter().map(|(a, _)| amp(agents, 100.0, *a, PROCESSED)).collect();
        row("Managed Prometheus: samples", managed.iter().map(|(taken, _)| *taken), 2);
        row("Managed Prometheus: rules", managed.iter().map(|(_, rules)| *rules), 2);
        let ratio = managed.iter().zip(&bills).map(|((taken, rules), (_, bill))| (taken + rules) / bill.total());
        row("it costs so many times ours", ratio, 1);
        if (agents - 1_000.0).abs() < 0.5 {
            for (alerting, goal) in GOALS {
                let Some((_, bill)) = bills.iter().find(|(of, _)| *of == alerting) else { continue };
                let reached = bill.total() / agents;
                met &= reached <= goal;
                println!(
                    "goal {}: ${reached:.4} an agent, at most ${goal:.2}: {}",
                    name(alerting),
                    if reached <= goal { "met" } else { "NOT met" }
                );
            }
        }
    }
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn row(name: &str, numbers: impl Iterator<Item = f64>, digits: usize) {
    print!("{name:<38}");
    numbers.for_each(|number| print!("{number:>16.digits$}"));
    println!();
}

fn name(alerting: Alerting) -> String {
    match alerting {
        Alerting::Nobody => "nobody alerts".to_owned(),
        Alerting::Starter(seconds) => format!("rules at {seconds} s"),
    }
}
