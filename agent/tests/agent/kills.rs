//! Kill -9, again and again. `DAYWATCH_SOAK=1000` asks for that many instead of 20.

use std::time::Duration;

use crate::delivery::QUICK;
use crate::process::Agent;
use crate::server::{Manners, Server};
use crate::{pause, wait_for};

#[expect(clippy::disallowed_methods, reason = "the soak is asked for by the environment")]
fn kills() -> u64 {
    std::env::var("DAYWATCH_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// Lives of 50 to 800 ms, in no order.
fn life(number: u64) -> Duration {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    Duration::from_millis(50 + mixed % 750)
}

/// What the server has, against the agent's own ledger.
fn assert_all_arrived_once(agent: &Agent, server: &Server) {
    let status = agent.status();
    let counters = &status["counters"];
    assert_eq!(counters["buffered"], 0, "{status}");
    assert_eq!(counters["evicted"], 0, "{status}");
    let rejected: u64 = counters["rejected"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    let distinct = server.seen().distinct();
    let delivered: u64 = distinct.values().sum();
    assert_eq!(counters["generated"].as_u64().unwrap(), delivered + rejected, "{status}");
    let seqs: Vec<u64> = distinct.keys().map(|(_, seq)| *seq).collect();
    assert_eq!(seqs, (1..status["next_seq"].as_u64().unwrap()).collect::<Vec<_>>());
    let epochs: std::collections::BTreeSet<_> = distinct.keys().map(|(epoch, _)| *epoch).collect();
    assert_eq!(epochs.len(), 1);
}

#[test]
fn every_fsynced_batch_arrives_after_kills_while_the_server_is_away() {
    let mut server = Server::away();
    let mut agent = Agent::new(&server.url(), QUICK);
    let mut generated = 0;
    for number in 0..kills() {
        agent.start();
        pause(life(number));
        agent.kill();
        let now = agent.status()["counters"]["generated"].as_u64().unwrap_or(0);
        assert!(now >= generated, "the ledger went back from {generated} to {now}");
        generated = now;
    }
    assert!(generated > 0);
    server.start();
    agent.start();
    let waiting = agent.next_seq();
    wait_for("the backlog is there", || server.seen().distinct().len() as u64 >= waiting - 1);
    assert!(agent.terminate().success());
    assert_all_arrived_once(&agent, &server);
}

#[test]
fn every_fsynced_batch_arrives_after_kills_while_it_is_being_sent() {
    let server = Server::started(Manners::default());
    let mut agent = Agent::new(&server.url(), QUICK);
    for number in 0..kills().div_ceil(2) {
        server.behave(|manners| manners.acks = number % 3 != 0);
        agent.start();
        pause(life(number + 7));
        agent.kill();
    }
    server.behave(|manners| manners.acks = true);
    let greeted = server.seen().hellos.len();
    agent.start();
    wait_for("the agent is connected", || server.seen().hellos.len() > greeted);
    wait_for("the backlog is acknowledged", || agent.status()["batches"].as_u64().is_some_and(|left| left <= 2));
    assert!(agent.terminate().success());
    assert_all_arrived_once(&agent, &server);
}
