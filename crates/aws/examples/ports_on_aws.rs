//! How long the ports take on a deployed stack, or on the emulator with `AWS_ENDPOINT_URL` set:
//! `cargo run --release -p aws --example ports_on_aws -- STACK [ROUNDS]`. It writes items and objects
//! that are named `measure`, and removes them; its records stay in the stream, where `aggregate` puts
//! them aside as unreadable: take a stack for trial.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ports::{Condition, Key, Lane, Partition, StreamRecord, TenantId, Write};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let stack = arguments.next().ok_or("usage: ports_on_aws STACK [ROUNDS]")?;
    let rounds: usize = arguments.next().map_or(Ok(200), |rounds| rounds.parse())?;
    let config = aws::stack::find(&stack).await?.config()?;
    let mut connects = Vec::new();
    for _ in 0..20 {
        let started = now();
        let _adapter = aws::connect(&config).await?;
        connects.push(started.elapsed());
    }
    println!("connect, first of this process's clients known: {}", figures(connects));
    let ports = aws::connect(&config).await?.ports;
    let key = Key::new(Partition::Config(TenantId::new("measure")?), "measure");
    let value = Bytes::from(vec![7; 1_000]);
    let started = now();
    ports.table.get(&key).await?;
    println!("first request, with the certificates and a new connection: {:.1} ms", ms(started.elapsed()));

    let (mut gets, mut writes, mut puts, mut stored, mut read) = (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..rounds {
        let started = now();
        ports.table.write(Write::put(key.clone(), value.clone(), Condition::Always)).await?;
        writes.push(started.elapsed());
        let started = now();
        ports.table.get(&key).await?;
        gets.push(started.elapsed());
        let lane = Lane::new(u16::try_from(round % 4_096)?).ok_or("no such lane")?;
        let started = now();
        for answer in ports.stream.put(vec![StreamRecord { lane, data: value.clone() }]).await? {
            answer?;
        }
        puts.push(started.elapsed());
        let started = now();
        ports.blobs.put("measure/object", Bytes::from(vec![7; 30_000])).await?;
        stored.push(started.elapsed());
        let started = now();
        ports.blobs.get("measure/object").await?;
        read.push(started.elapsed());
    }
    ports.table.write(Write::Delete { key, condition: Condition::Always }).await?;
    ports.blobs.delete("measure/object").await?;
    for (what, times) in [
        ("table write, 1 KB", writes),
        ("table get, 1 KB", gets),
        ("stream put, one record of 1 KB", puts),
        ("blob put, 30 KB", stored),
        ("blob get, 30 KB", read),
    ] {
        println!("{what}: {}", figures(times));
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn now() -> Instant {
    Instant::now()
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn figures(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |part: usize| times.get(times.len() * part / 100).copied().map_or(0.0, ms);
    let worst = times.last().copied().map_or(0.0, ms);
    format!("p50 {:.2} ms, p99 {:.2} ms, worst {worst:.2} ms of {}", at(50), at(99), times.len())
}
