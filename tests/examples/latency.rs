//! Measures how soon people know, on this machine, with the real programs:
//!
//! * a threshold is crossed → the webhook is received, in a rule group of `interval: 1s`: by a pushed
//!   line (a rule on the newest sample, and one that reads what is stored) and by a check's state;
//! * a line reaches the agent's Graphite listener → its value is on the page's websocket.
//!
//! `cargo run --release -p tests --example latency [ROUNDS] [cloud]`, 100 rounds unless another number
//! is given. It prints p50, p99 and the greatest of each. With `cloud` it measures a stack on the
//! emulator of AWS instead of `serve`; `scripts/cloud-test.sh --latency` makes what that needs.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tests::wait::shuffled;
use tests::{Agent, Page, Place, Receiver, Server, Stack, Tools, until};
use tokio::time::Instant;

/// Rounds where no number is given.
const ROUNDS: usize = 100;
/// The longest that a value may take to the page.
const LIVE_MAX: Duration = Duration::from_secs(30);
/// One group for each way: a group closes when all of its series have reported.
const RULES: &str = r#"groups:
- name: newest-sample
  interval: 1s
  rules: [{alert: NewestSample, expr: latency_newest > 0}]
- name: what-is-stored
  interval: 1s
  rules: [{alert: WhatIsStored, expr: sum by (source) (latency_stored) > 0}]
- name: check-state
  interval: 1s
  rules: [{alert: CheckState, expr: 'check_status{check="toggled"} == 2'}]
"#;
/// How often the series of the stored rule reports.
const REPORT_EVERY: Duration = Duration::from_millis(500);
const CONFIG: &str = r#"
[host]
interval = "10s"
[[check]]
name = "toggled"
command = ["FOLDER/toggled"]
interval = "1s"
"#;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = arguments.iter().find_map(|text| text.parse().ok()).unwrap_or(ROUNDS);
    if !arguments.iter().any(|text| text == "cloud") {
        let (mut server, place) = Server::started("latency").await;
        measure(rounds, &place).await;
        return server.stop().await;
    }
    let Some(tools) = Tools::ready() else { return };
    let mut stack = Stack::deployed(&tools, &[]).await;
    let gateway = stack.gateway().await;
    let place = stack.place(&gateway, "latency").await;
    measure(rounds, &place).await;
    stack.emulator.stop().await;
}

async fn measure(rounds: usize, place: &Place) {
    let receiver = Receiver::start().await;
    for (kind, name, text) in [("rules", "latency", RULES), ("alertmanager", "default", receiver.routing().as_str())] {
        let (status, answer) = place.put(kind, name, text).await;
        assert_eq!(status, 200, "{answer}");
    }
    let mut agent = Agent::new(place, "latency", CONFIG);
    let state = agent.write("state", "0", 0o644);
    agent.write("toggled", &format!("#!/bin/sh\nstate=$(cat {})\necho $state\nexit $state\n", state.display()), 0o755);
    agent.start();
    until("the check has run", async || place.check("latency", "toggled").await).await;

    println!("{rounds} rounds each, rule group of interval 1s");
    let newest = notified(rounds, &receiver, "NewestSample", async |value: u8| {
        push(place, "latency_newest", value).await;
    });
    newest.await.print("pushed line over a threshold -> webhook");

    // A bucket closes when its series report again, so this one goes on reporting.
    let reported = Arc::new(AtomicU8::new(0));
    let reporting = tokio::spawn(report(place.clone(), Arc::clone(&reported)));
    let stored = notified(rounds, &receiver, "WhatIsStored", async |value: u8| {
        reported.store(value, Ordering::SeqCst);
        push(place, "latency_stored", value).await;
    });
    stored.await.print("pushed line, rule over stored samples -> webhook");
    reporting.abort();

    let check = notified(rounds, &receiver, "CheckState", async |value: u8| {
        let fresh = state.with_extension("new");
        fs::write(&fresh, (value * 2).to_string()).and_then(|()| fs::rename(&fresh, &state)).expect("the state");
    });
    check.await.print("check's state, run each 1 s -> webhook");
    live(rounds, place, &agent).await.print("line to the agent -> page's websocket");

    assert!(agent.terminate().await.success());
}

async fn report(place: Place, value: Arc<AtomicU8>) {
    loop {
        push(&place, "latency_stored", value.load(Ordering::SeqCst)).await;
        tokio::time::sleep(REPORT_EVERY).await;
    }
}

async fn push(place: &Place, metric: &str, value: u8) {
    let (status, answer) = place.push(format!("{metric};source=bench {value}\n")).await.expect("an answer");
    assert_eq!(status, 200, "{answer}");
}

/// Crosses the threshold, waits for the webhook, goes back, waits for the resolve.
async fn notified(rounds: usize, receiver: &Receiver, alert: &str, mut cross: impl AsyncFnMut(u8)) -> Times {
    let mut times = Times::default();
    for round in 1..=rounds {
        for (value, status) in [(1, "firing"), (0, "resolved")] {
            out_of_step(2 * round + usize::from(value)).await;
            let began = Instant::now();
            cross(value).await;
            let what = format!("{alert} is {status} for the {round}. time");
            let told = until(&what, async || {
                let told = receiver.telling(alert, status);
                assert!(told.len() <= round, "{what}: told {} times", told.len());
                told.into_iter().nth(round - 1)
            })
            .await;
            if value == 1 {
                times.0.push(told.at.saturating_duration_since(began));
            }
        }
    }
    times
}

/// A pause of up to a second, another one each time: what happens each second would else begin each
/// round in the same phase, the worst one.
async fn out_of_step(number: usize) {
    tokio::time::sleep(Duration::from_millis(shuffled(number as u64) % 1_000)).await;
}

/// A value of its own each round, so that none is taken for another.
async fn live(rounds: usize, place: &Place, agent: &Agent) -> Times {
    let mut page = Page::open(place).await;
    let selectors = ["{__name__=\"latency.live\"}", "check_status{source=\"latency\"}"];
    page.subscribe("live", &selectors).await;
    page.until_watching(LIVE_MAX, "live").await;
    let mut times = Times::default();
    for round in 1..=rounds {
        // Renewed as the page does it.
        page.subscribe("live", &selectors).await;
        let value = round.to_string();
        out_of_step(round).await;
        let began = Instant::now();
        agent.send_lines(&format!("latency.live {value}\n")).await;
        page.until_value(LIVE_MAX, "live", &value).await;
        times.0.push(began.elapsed());
    }
    times
}

#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn print(mut self, what: &str) {
        self.0.sort();
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        // Nearest rank: of 100, the 99th smallest is the p99.
        let rank = |percent: usize| ms(self.0[(self.0.len() * percent).div_ceil(100).max(1) - 1]);
        let most = ms(*self.0.last().expect("at least one round"));
        println!("{what:<52} p50 {:>7.0} ms  p99 {:>7.0} ms  max {most:>7.0} ms", rank(50), rank(99));
    }
}
