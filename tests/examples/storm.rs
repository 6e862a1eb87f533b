//! Measures a storm of reconnects on this machine, with the real programs over real websockets:
//! `daywatch load` with 1,000 idle and 100 sending agents (100 series each 10 s) against one
//! `daywatch serve`; all connections are cut at once, and then `serve` is killed and started again.
//!
//! `cargo run --release -p tests --example storm [IDLE [SENDING [SERIES]]]`. It fails where an agent seemed
//! to be down, an alert of absence was raised or an acknowledged sample is not stored.

use std::time::Duration;

use tests::reconnects::{Plan, storm};

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let mut next = |usual: usize| numbers.next().unwrap_or(usual);
    let plan = Plan {
        idle: next(1_000),
        sending: next(100),
        series: next(100),
        step: Duration::from_secs(10),
        calm: Duration::from_secs(20),
    };
    println!("{plan:?}");
    let outcome = storm(plan).await;
    let load = &outcome.load;
    println!("all connected after               {:6.2} s", outcome.ramp.as_secs_f64());
    println!("serve in the calm                 {:6.3} CPU s/s, {:.1} MiB", outcome.calm_cpu, outcome.calm_rss_mib);
    println!("GET /api/v1/sources               {:6.0} ms", outcome.sources_took.as_secs_f64() * 1e3);
    for (what, outage) in ["cut", "kill -9"].iter().zip(load["outages"].as_array().expect("a list")) {
        let back = &outage["back_after_ms"];
        println!(
            "{what:<8} back after (from the first loss)  p50 {} ms, p99 {} ms, last {} ms, of {} lost",
            back["p50"], back["p99"], back["last"], outage["lost"]
        );
    }
    println!("serve was away                    {:6.2} s", outcome.server_away.as_secs_f64());
    println!("all shown as present after that   {:6.2} s", outcome.shown.as_secs_f64());
    println!(
        "serve until then                  {:6.2} CPU s, {:.1} MiB at most",
        outcome.storm_cpu, outcome.storm_rss_mib
    );
    println!("connecting (dial to welcome)      {} ms", load["connections"]["connect_ms"]);
    println!("acks                              {} ms", load["ack_ms"]);
    println!("samples acknowledged and readable {} of {}", outcome.samples, load["ledger"]["generated"]);
    println!(
        "sent again {}, connections failed {}, errors {}",
        load["ledger"]["sent_again"], load["connections"]["failed"], load["errors"]
    );
    println!("`up` was never 0, no alert of absence");
}
