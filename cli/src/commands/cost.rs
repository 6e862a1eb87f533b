//! `daywatch cost`: the month of a deployment on AWS in $, by part, idle and under load.

mod month;
mod prices;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::json;
use series::{Epoch, SourceName, Timestamp};
use wire::{Contents, PAYLOAD_BYTES_MAX, SeriesColumn, chunk};

use super::load::period;
use month::{ASSUMED, Batch, Load, Part, total};

/// Agents and series at most: the model ends where accounts have other limits.
const AGENTS_MAX: u32 = 1_000_000;
const SERIES_MAX: u32 = 20_000;
/// Steps of one batch at most: agents flush each minute at least.
const FLUSH_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, ValueEnum)]
enum Alerting {
    #[value(name = "60s")]
    Minute,
    #[value(name = "30s")]
    HalfMinute,
    #[value(name = "15s")]
    Quarter,
    /// No rule needs samples sooner than agents send them by themselves.
    None,
}

impl Alerting {
    fn seconds(self) -> Option<f64> {
        match self {
            Self::Minute => Some(60.0),
            Self::HalfMinute => Some(30.0),
            Self::Quarter => Some(15.0),
            Self::None => None,
        }
    }
}

/// The month on AWS in $, by part; idle months too.
#[derive(Args)]
pub(crate) struct CostArgs {
    /// Agents.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=i64::from(AGENTS_MAX)))]
    agents: u32,
    /// Series of each agent.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(SERIES_MAX)))]
    series: u32,
    /// How often an agent collects.
    #[arg(long, default_value = "10s", value_parser = period)]
    step: Duration,
    /// How often an agent sends by itself (`flush` of its `[buffer]`).
    #[arg(long, default_value = "60s", value_parser = period)]
    flush: Duration,
    /// How often rules need new samples; agents send at least that often.
    #[arg(long, value_enum, default_value = "none")]
    alerting: Alerting,
    /// Pages that are open four hours each working day.
    #[arg(long)]
    pages: Option<u32>,
    /// Shards; as many as are needed by default.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    shards: Option<u32>,
    /// Whose price list.
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &CostArgs) -> anyhow::Result<ExitCode> {
    let Some(prices) = prices::of(&args.region) else {
        bail!("there is no price list for {:?}, only for us-east-1: most regions cost 0 to 30 % more", args.region);
    };
    ensure!(args.flush <= FLUSH_MAX, "--flush: agents send each {} s at least", FLUSH_MAX.as_secs());
    let step = args.step.as_secs_f64();
    let own = args.flush.as_secs_f64();
    let flush = args.alerting.seconds().map_or(own, |rules| rules.min(own)).max(step);
    let load = Load {
        agents: f64::from(args.agents),
        series: f64::from(args.series),
        step,
        flush,
        batch: batch(args.series, step, flush)?,
        step_batch: batch(args.series, step, step)?,
        pages: args.pages.map_or_else(|| (f64::from(args.agents) / 200.0).max(3.0), f64::from),
        shards: args.shards.map(f64::from),
    };
    let idle =
        month::month(&Load { agents: 0.0, pages: 0.0, shards: args.shards.map(f64::from), ..load }, &ASSUMED, prices);
    let parts = month::month(&load, &ASSUMED, prices);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&as_json(args, &load, &idle, &parts))?);
    } else {
        print(args, &load, &idle, &parts);
    }
    Ok(ExitCode::SUCCESS)
}

/// A batch as the agent's codec makes it: measured on an imagined host, not guessed.
fn batch(series: u32, step: f64, flush: f64) -> anyhow::Result<Batch> {
    let name = SourceName::new("web-00001.example")?;
    let mut host = wire::imagined::Host::new(&name, series, 1);
    let steps = (flush / step).round().max(1.0) as i64;
    let mut columns: Vec<SeriesColumn> = Vec::new();
    for number in 0..steps {
        let collected = host.collect(Timestamp(1_700_000_000_000 + number * (step * 1_000.0) as i64));
        if columns.is_empty() {
            columns = collected;
            continue;
        }
        for (column, new) in columns.iter_mut().zip(collected) {
            column.samples.extend(new.samples);
        }
    }
    let contents = Contents { series: columns, ..Contents::default() };
    let parts = chunk(contents, &name, PAYLOAD_BYTES_MAX).parts;
    let frames = parts.len() as f64;
    let bytes = parts.into_iter().enumerate().map(|(number, part)| {
        part.into_batch(name.clone(), Epoch(1), number as u64 + 1, Timestamp(1_700_000_000_000)).encode().len()
    });
    // The stream's envelope: tenant, source, times.
    Ok(Batch { frames, record_bytes: bytes.sum::<usize>() as f64 + 100.0 * frames })
}

fn as_json(args: &CostArgs, load: &Load, idle: &[Part], parts: &[Part]) -> serde_json::Value {
    let rows: Vec<_> = idle
        .iter()
        .zip(parts)
        .map(|(idle, part)| json!({ "part": part.name, "idle": idle.dollars, "month": part.dollars, "of": part.of }))
        .collect();
    let (idle, month) = (total(idle), total(parts));
    json!({
        "region": args.region, "prices": prices::SOURCE, "agents": args.agents, "series": args.series,
        "step_seconds": load.step, "flush_seconds": load.flush, "batch_bytes": load.batch.record_bytes,
        "parts": rows, "idle": idle, "month": month,
        "agent": if args.agents == 0 { 0.0 } else { (month - idle) / f64::from(args.agents) },
    })
}

fn print(args: &CostArgs, load: &Load, idle: &[Part], parts: &[Part]) {
    println!("$ a month, {}", prices::SOURCE);
    println!(
        "{} agents, {} series each, collected each {} s, sent each {} s ({:.0} bytes on the stream), {:.0} % watched",
        args.agents,
        args.series,
        load.step,
        load.flush,
        load.batch.record_bytes,
        ASSUMED.watched * 100.0
    );
    println!("{:<30} {:>12} {:>12}", "", "idle", "month");
    for (idle, part) in idle.iter().zip(parts) {
        println!("{:<30} {:>12.2} {:>12.2}  {}", part.name, idle.dollars, part.dollars, part.of);
    }
    let (idle, month) = (total(idle), total(parts));
    println!("{:<30} {idle:>12.2} {month:>12.2}", "total");
    if args.agents > 0 {
        println!("{:<30} {:>12} {:>12.3}", "each agent", "", (month - idle) / f64::from(args.agents));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_measured_with_the_agents_own_codec() {
        let (one, six) = (batch(100, 10.0, 10.0).unwrap(), batch(100, 10.0, 60.0).unwrap());
        assert_eq!((one.frames, six.frames), (1.0, 1.0));
        assert!(one.record_bytes < six.record_bytes && six.record_bytes < one.record_bytes * 4.0, "{one:?} {six:?}");
        // A frame holds 30,000 characters; beyond, there are more of them.
        assert!(batch(20_000, 10.0, 60.0).unwrap().frames > 1.0);
    }
}
