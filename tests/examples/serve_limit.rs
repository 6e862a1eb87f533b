//! The whole of `serve` at its limit, with our own agents' batches, in samples a second.
//!
//! `cargo run --profile up -p tests --example serve_limit [-- AGENTS BATCHES WINDOW]`: so many agents of 100 series, each
//! over a websocket of its own on loopback, send BATCHES batches of six collections that were made before, at most
//! WINDOW of them unacknowledged. An ack says that the batch is on disk. Then `serve` is waited for until every
//! sample stands in a block and its ledger balances. All samples are of the last [`SPAN_MS`], so that they are joined
//! fresh. Sender and server share the machine; the server's CPU is its own. `DAYWATCH_BIN` names the program.
#![expect(clippy::disallowed_methods, reason = "a measuring tool reads the clock and waits")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use series::{Epoch, SourceName, Timestamp};
use tests::anchors::{cpu_seconds, peak_kib};
use tests::{AgentSocket, Place, Server, until_in};
use tokio_tungstenite::tungstenite::Message;
use wire::imagined::Host;
use wire::{AgentFrame, Contents, ServerFrame};

const SERIES: u32 = 100;
/// Collections of a batch: a minute at 10 s.
const COLLECTIONS: i64 = 6;
/// All batches of an agent together.
const SPAN_MS: i64 = 8 * 60_000;
/// No agent sends for longer.
const SENDING_MAX: Duration = Duration::from_secs(90);
/// No run waits longer for its blocks.
const STORED_MAX: Duration = Duration::from_secs(120);
const EPOCH: Epoch = Epoch(1);

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let mut next = |usual: usize| numbers.next().unwrap_or(usual).clamp(1, 5_000);
    let (agents, batches, window) = (next(200), next(60), next(4));
    let (mut server, place) = Server::started("limit").await;
    let pid = server.pid().expect("the server runs");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    let mut fleet = Vec::new();
    for number in 0..agents {
        let name = format!("limit-{number:04}");
        let frames = frames(&name, number as u64, batches as i64, Timestamp(now));
        fleet.push((AgentSocket::welcomed(&place, &name, EPOCH).await.expect("welcome"), frames));
    }
    let payload: usize = fleet.iter().flat_map(|(_, frames)| frames).map(String::len).sum();
    let samples_a_batch = u64::from(SERIES) * COLLECTIONS as u64;
    println!(
        "{agents} agents × {batches} batches of {samples_a_batch} samples, {window} unacknowledged; {:.1} B a sample",
        payload as f64 / (agents * batches) as f64 / samples_a_batch as f64
    );

    let (cpu, began) = (cpu_seconds(pid), Instant::now());
    let sending: Vec<_> =
        fleet.into_iter().map(|(socket, frames)| tokio::spawn(send(socket, frames, window))).collect();
    let mut acknowledged = 0;
    let mut sockets = Vec::new();
    for agent in sending {
        let (socket, batches) = agent.await.expect("an agent");
        acknowledged += batches * samples_a_batch;
        sockets.push(socket);
    }
    let (acked_in, acked_cpu) = (began.elapsed().as_secs_f64(), cpu_seconds(pid) - cpu);
    until_in(STORED_MAX, "every sample is stored", async || (stored(&place).await? >= acknowledged).then_some(()))
        .await;
    let (stored_in, stored_cpu) = (began.elapsed().as_secs_f64(), cpu_seconds(pid) - cpu);
    assert_eq!(stored(&place).await, Some(acknowledged), "the ledger balances");
    let millions = acknowledged as f64 / 1e6;
    println!("| | samples/s | CPU s / M samples | CPUs |");
    println!("|---|---|---|---|");
    for (what, took, spent) in [("acknowledged", acked_in, acked_cpu), ("stored in blocks", stored_in, stored_cpu)] {
        println!("| {what} | {:.0}k | {:.3} | {:.2} |", millions * 1e3 / took, spent / millions, spent / took);
    }
    println!("{millions:.2} million samples, each stored once; at most {:.0} MiB", peak_kib(pid) / 1024.0);
    drop(sockets);
    server.stop().await;
}

/// An agent's batches as frames.
fn frames(name: &str, seed: u64, batches: i64, now: Timestamp) -> Vec<String> {
    let source = SourceName::new(name).expect("a name");
    let mut host = Host::new(&source, SERIES, seed);
    let step_ms = (SPAN_MS / (batches * COLLECTIONS)).max(1);
    let start = now.plus_ms(-batches * COLLECTIONS * step_ms);
    let frame = |number: i64| {
        let first = number * COLLECTIONS;
        let times: Vec<_> = (first..first + COLLECTIONS).map(|step| start.plus_ms(step * step_ms)).collect();
        let contents = Contents { series: host.collections(&times), ..Contents::default() };
        let seq = number.unsigned_abs() + 1;
        let batch = contents.into_batch(source.clone(), EPOCH, seq, start.plus_ms((first + COLLECTIONS) * step_ms));
        AgentFrame::Batch { payload: batch.to_payload(), epoch: Some(EPOCH), seq: Some(seq) }.to_json()
    };
    (0..batches).map(frame).collect()
}

/// Sends until all is acknowledged or the time is over; answers how many batches were.
async fn send(mut socket: AgentSocket, frames: Vec<String>, window: usize) -> (AgentSocket, u64) {
    let (began, all) = (Instant::now(), frames.len() as u64);
    let (mut sent, mut acknowledged) = (0_u64, 0_u64);
    let mut rest = frames.into_iter();
    loop {
        let open = began.elapsed() < SENDING_MAX && sent < all;
        if open && sent - acknowledged < window as u64 {
            let frame = rest.next().expect("a frame");
            socket.send_message(Message::text(frame)).await.expect("the connection stays");
            sent += 1;
        } else if acknowledged < sent {
            match socket.next().await.expect("the connection stays") {
                ServerFrame::Ack { ranges, rejected, .. } => {
                    assert!(rejected.is_empty(), "{rejected:?}");
                    acknowledged += ranges.iter().map(|range| range.to - range.from + 1).sum::<u64>();
                }
                other => assert!(!matches!(other, ServerFrame::Error { .. }), "{other:?}"),
            }
        } else {
            return (socket, acknowledged);
        }
    }
}

/// Samples that the ledger counts as stored, of these agents.
async fn stored(place: &Place) -> Option<u64> {
    let sources = place.data("/api/v1/sources", &[]).await?;
    let of_ours =
        sources.as_array()?.iter().filter(|one| one["name"].as_str().is_some_and(|name| name.starts_with("limit-")));
    Some(of_ours.map(|one| one["counters"]["stored"].as_u64().unwrap_or(0)).sum())
}
