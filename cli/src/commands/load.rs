//! `daywatch load`: many agents in one process, with the real protocol over real websockets: idle
//! ones that only send heartbeats, and sending ones with a host's series. It keeps its own ledger of
//! what it made and what was acknowledged, ends by itself and prints one JSON object.
//!
//! It stands in for agents, so it must not know more of a server than an agent does: one address,
//! one key, frames of `wire`.

mod agent;
mod sender;
mod tally;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use embedded::{OsEntropy, SystemClock};
use ports::Entropy as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use series::{Epoch, SourceName};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use wire::reconnect::Jitter;

use crate::Where;
use crate::door::{Door, request};
use agent::{Agent, Dial, Phase};
use sender::Sender;
use tally::Shared;

/// Agents of one process at most.
const AGENTS_MAX: u32 = 20_000;
/// Series of one sending agent at most.
const SERIES_MAX: u32 = 20_000;
/// Open files of one agent: its websocket, and the connection on which it asks where that is.
const FILES_PER_AGENT: u64 = 2;
/// Open files of everything else.
const FILES_OTHER: u64 = 64;
/// How long the last acks are waited for.
const DRAIN: Duration = Duration::from_secs(30);
/// How often the log says how it goes.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How far apart the attempts of an agent without a connection are at most.
#[derive(Clone, Copy, ValueEnum)]
enum Backoff {
    /// As on another host: up to 5 minutes.
    Remote,
    /// As on the server's own host: up to 5 seconds.
    Local,
}

/// Many agents with the real protocol. Afterwards they are gone, and `HostDown` fires for each of
/// them as it would for hosts: never against a Daywatch whose pager wakes somebody.
#[derive(Args)]
pub(crate) struct LoadArgs {
    /// Agents that only send heartbeats.
    #[arg(long, default_value_t = 0)]
    idle: u32,
    /// Agents that send a batch each step.
    #[arg(long, default_value_t = 10)]
    sending: u32,
    /// Series of each sending agent.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(SERIES_MAX)))]
    series: u32,
    /// How often a sending agent collects and sends.
    #[arg(long, default_value = "10s", value_parser = period)]
    step: Duration,
    /// How long, once all agents are connected.
    #[arg(long = "for", default_value = "60s", value_parser = period)]
    length: Duration,
    /// The agents open their first connections within this time.
    #[arg(long, default_value = "5s", value_parser = period)]
    ramp: Duration,
    /// Cuts all connections at once, so long after all were there.
    #[arg(long, value_parser = period)]
    cut_after: Option<Duration>,
    /// How agents without a connection come again.
    #[arg(long, value_enum, default_value = "remote")]
    backoff: Backoff,
    /// The beginning of the agents' names.
    #[arg(long, default_value = "load")]
    name: String,
    /// A Daywatch on another host may be meant.
    #[arg(long)]
    allow_remote: bool,
    #[command(flatten)]
    place: Where,
}

/// A time as Prometheus writes it, from 100 ms to a day.
pub(super) fn period(text: &str) -> Result<Duration, String> {
    let ms = alerts::duration::parse_ms(text)?;
    match u64::try_from(ms) {
        Ok(ms @ 100..=86_400_000) => Ok(Duration::from_millis(ms)),
        _ => Err(format!("{text:?} is not between 100ms and 1d")),
    }
}

pub(crate) async fn run(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let agents = args.idle.checked_add(args.sending).filter(|agents| (1..=AGENTS_MAX).contains(agents));
    let Some(agents) = agents else { bail!("--idle and --sending together are 1 to {AGENTS_MAX} agents") };
    enough_files(agents)?;
    let names = (1..=agents).map(|number| SourceName::new(&format!("{}-{number:05}", args.name)));
    let names: Vec<SourceName> = names.collect::<Result<_, _>>().context("--name")?;
    let door = Door::open(&args.place).await?;
    let Some(base) = door.base().map(str::to_owned) else {
        bail!("no server is running for this data folder: start one with `make up` or `daywatch serve`");
    };
    if !args.allow_remote && !is_loopback(&base) {
        bail!("{base} is on another host: --allow-remote says that this load is welcome there");
    }
    let body = json!({ "kind": "agent", "name": args.name }).to_string();
    let key =
        door.data(request("POST", "/api/v1/keys", &[], body)).await.context("cannot make a key for the agents")?;
    let key = key["key"].as_str().unwrap_or("").to_owned();
    let id = pipeline::keys::id_of(&key).unwrap_or_default();
    let dial = Dial::new(&base, &key, matches!(args.backoff, Backoff::Local))?;
    let outcome = run_agents(&args, names, dial).await;
    // Whatever happened, nobody needs the key any more.
    let revoked = door.data(request("DELETE", &format!("/api/v1/keys/{id}"), &[], "")).await;
    let result = outcome?;
    if let Err(error) = revoked {
        tracing::error!("the agents' key {id} is still valid: {error:#}");
    }
    println!("{}", serde_json::to_string_pretty(&result)?);
    let all_well = result["ledger"]["unacknowledged"] == 0 && result["agents"]["up_at_end"] == u64::from(agents);
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run_agents(args: &LoadArgs, names: Vec<SourceName>, dial: Dial) -> anyhow::Result<serde_json::Value> {
    let tally = Shared::new(names.len());
    let phase = watch::Sender::new(Phase::Run { cuts: 0 });
    let (dial, clock) = (Arc::new(dial), Arc::new(SystemClock::default()));
    let mut seed = [0u8; 16];
    OsEntropy.fill(&mut seed);
    let [mut jitter, epochs] = [0, 8].map(|at| {
        let mut half = [0u8; 8];
        half.copy_from_slice(&seed[at..at + 8]);
        Jitter::new(u64::from_le_bytes(half))
    });
    let mut epochs = epochs;
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for (number, name) in names.into_iter().enumerate() {
        let epoch = Epoch(epochs.below(u64::MAX - 1));
        let sender = (number >= args.idle as usize).then(|| {
            let phase_ms = jitter.below(args.step.as_millis() as u64);
            Sender::new(name.clone(), epoch, (args.series, args.step.as_millis() as i64, phase_ms as i64))
        });
        let agent = Agent {
            name,
            epoch,
            run_id: format!("{:016x}", epochs.below(u64::MAX - 1)),
            sender,
            dial: Arc::clone(&dial),
            tally: tally.clone(),
            clock: Arc::clone(&clock),
            jitter: Jitter::new(jitter.below(u64::MAX - 1)),
            phase: phase.subscribe(),
            first_wait: Duration::from_millis(jitter.below(args.ramp.as_millis() as u64)),
        };
        tasks.spawn(agent.run());
    }
    let ready = timeout(args.ramp + agent::CONNECT_WAIT * 3, tally.all_up()).await;
    let first_all_up = began.elapsed();
    if ready.is_err() {
        bail!("not all agents could connect:\n{}", serde_json::to_string_pretty(&tally.errors())?);
    }
    tracing::info!(agents = tasks.len(), seconds = first_all_up.as_secs_f64(), "all agents are connected");
    let running = Instant::now();
    let mut cut_after = args.cut_after;
    while running.elapsed() < args.length {
        let left = args.length.saturating_sub(running.elapsed());
        let to_cut = cut_after.map_or(left, |after| after.saturating_sub(running.elapsed()));
        sleep(left.min(TELL_EVERY).min(to_cut)).await;
        if cut_after.is_some_and(|after| running.elapsed() >= after) {
            cut_after = None;
            tracing::info!("all connections are cut");
            phase.send_replace(Phase::Run { cuts: 1 });
        }
        tally.tell();
    }
    let up_at_end = tally.up();
    phase.send_replace(Phase::Finish);
    let finished = timeout(DRAIN, async { while tasks.join_next().await.is_some() {} }).await;
    tasks.abort_all();
    let mut result = tally.result();
    result["agents"] =
        json!({ "idle": args.idle, "sending": args.sending, "up_at_end": up_at_end, "names": args.name.clone() });
    result["seconds"] = json!(running.elapsed().as_secs_f64());
    result["first_all_up_ms"] = json!(first_all_up.as_millis() as u64);
    if finished.is_err() {
        tracing::error!("some agents still waited for their acks after {DRAIN:?}");
    }
    Ok(result)
}

/// Raises this process' limit as far as it may, or says what to do.
fn enough_files(agents: u32) -> anyhow::Result<()> {
    let wanted = u64::from(agents) * FILES_PER_AGENT + FILES_OTHER;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        bail!(
            "{agents} agents need {wanted} open files, and this process may have {}: raise the limit \
             (`ulimit -Hn {wanted}` as root, or LimitNOFILE= of the unit), or ask for fewer agents",
            limit.maximum.unwrap_or_default()
        );
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })
        .with_context(|| format!("cannot raise the limit of open files to {wanted}: try `ulimit -n {wanted}`"))
}

fn is_loopback(base: &str) -> bool {
    let host = reqwest::Url::parse(base).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_at_their_limits_and_one_past_them() {
        for (text, ms) in [("100ms", 100), ("10s", 10_000), ("1d", 86_400_000)] {
            assert_eq!(period(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["99ms", "86400001ms", "10", "", "-1s"] {
            assert!(period(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_on_this_host() {
        for base in ["http://127.0.0.1:9595", "http://localhost:1", "http://[::1]:9595/x"] {
            assert!(is_loopback(base), "{base}");
        }
        for base in ["http://10.0.0.1:9595", "https://example.org", "http://127.0.0.1.example.org", "nothing"] {
            assert!(!is_loopback(base), "{base}");
        }
    }

    #[test]
    fn more_files_than_may_be_opened_are_named_with_what_to_do() {
        if getrlimit(Resource::Nofile).maximum.is_none_or(|maximum| maximum >= u64::from(u32::MAX)) {
            eprintln!("skipped: this process may open any number of files");
            return;
        }
        let error = enough_files(u32::MAX).unwrap_err().to_string();
        assert!(error.contains("open files") && error.contains("ulimit"), "{error}");
        assert!(enough_files(1).is_ok());
    }
}
