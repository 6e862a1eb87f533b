//! What our own batches cost: `cargo run --profile up -p tests --example handlers [-- AGENTS MINUTES]`.
//!
//! Agents of 100 series at a 10 s step flush each 60 s; their batches go through the handlers of `ingest` and
//! `aggregate` over the ports in memory, an invocation of `aggregate` a shard and flush. CPU is this thread's,
//! of the two handlers each, the ports' own work included (it stands for the SDK's). Making the batches is
//! not counted. The goal is 0.05 CPU s per million samples, 0.10 at most.
#![expect(clippy::unwrap_used, reason = "a measuring tool")]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use embedded::{Embedded, Memory, Outgoing};
use pipeline::connect::{self, Connection};
use pipeline::keys::{self, KeyKind};
use pipeline::wire::imagined::Host;
use pipeline::wire::{AgentFrame, Contents, Counters};
use pipeline::{ConnectionId, Context, DAY_MS, Settings, SourceName, TenantId, Timestamp};
use series::Epoch;
use tests::bill::units::cpu;

const SERIES: u32 = 100;
const STEP_MS: i64 = 10_000;
const FLUSH_MS: i64 = 60_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<i64>().unwrap());
    let (agents, minutes) = (arguments.next().unwrap_or(200), arguments.next().unwrap_or(30));
    let Memory { embedded, clock, .. } = Embedded::memory(1).unwrap();
    let settings = Settings {
        raw_retention_ms: 30 * DAY_MS,
        external_url: "http://daywatch.invalid".to_owned(),
        websocket_url: "ws://daywatch.invalid/ws".to_owned(),
    };
    let context = Context::new(embedded.ports(), settings);
    let mut fleet = Vec::new();
    for number in 0..agents {
        let name = SourceName::new(&format!("host-{number}")).unwrap();
        let host = Host::new(&name, SERIES, u64::try_from(number).unwrap());
        let (connection, outgoing) = connected(&context, &embedded, &name).await;
        fleet.push((name, host, connection, outgoing));
    }

    let (mut ingesting, mut aggregating, mut samples) = (Duration::ZERO, Duration::ZERO, 0_u64);
    for minute in 1..=minutes {
        clock.advance_ms(FLUSH_MS);
        let now = context.ports.clock.now();
        // Made first: a handler's neighbours are handlers, and what they find in the processor's memory is theirs.
        let mut frames = Vec::with_capacity(fleet.len());
        for (name, host, _, _) in &mut fleet {
            let times: Vec<Timestamp> =
                (0..FLUSH_MS / STEP_MS).rev().map(|back| now.plus_ms(-back * STEP_MS)).collect();
            let contents = Contents { series: host.collections(&times), ..Contents::default() };
            let batch = contents.into_batch(name.clone(), Epoch(1), u64::try_from(minute).unwrap(), now);
            samples += batch.samples();
            let payload = STANDARD.encode(batch.encode());
            frames.push(AgentFrame::Batch { payload, epoch: Some(Epoch(1)), seq: Some(batch.seq) });
        }
        let before = cpu();
        for ((_, _, connection, _), frame) in fleet.iter().zip(&frames) {
            ingest::message(&context, connection, frame).await.unwrap();
        }
        ingesting += cpu().saturating_sub(before);
        for shard in 0..embedded.shards().count() {
            let mut consumer = embedded.shards().consumer("aggregate", shard).await.unwrap();
            let records = consumer.next_batch(10_000, Duration::ZERO).await.unwrap();
            let before = cpu();
            aggregate::handle(&context, &records).await.unwrap();
            aggregating += cpu().saturating_sub(before);
            if let Some(last) = records.last() {
                consumer.commit(&last.sequence).await.unwrap();
            }
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let a_million = |spent: Duration| spent.as_secs_f64() * 1e6 / samples as f64;
    println!("{agents} agents, {SERIES} series @ 10 s, flushed each minute for {minutes} min: {samples} samples");
    println!(
        "CPU s per million samples: ingest {:.3}, aggregate {:.3}, both {:.3} (goal 0.10, better 0.05)",
        a_million(ingesting),
        a_million(aggregating),
        a_million(ingesting + aggregating)
    );
}

async fn connected(context: &Context, embedded: &Embedded, name: &SourceName) -> (Connection, Outgoing) {
    let key = keys::create(&context.ports, TenantId::default(), KeyKind::Agent, name.as_str()).await.unwrap();
    let caller = keys::authenticate_text(&context.ports, &key).await.unwrap();
    let id = ConnectionId(name.as_str().to_owned());
    let outgoing = embedded.connections().register(id.clone());
    let connection = connect::connect(&context.ports, id, caller, false).await.unwrap();
    let hello = AgentFrame::Hello {
        version: pipeline::wire::FROM_AGENT_PROTOCOL,
        source: name.as_str().to_owned(),
        epoch: Epoch(1),
        run_id: name.as_str().to_owned(),
        host: name.as_str().to_owned(),
        agent_version: String::new(),
        counters: Counters::default(),
    };
    (connect::hello(context, &connection, &hello).await.unwrap().unwrap(), outgoing)
}
