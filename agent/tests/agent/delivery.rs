//! What is collected arrives, in the right order, through outages.

use std::time::Duration;

use wire::AgentFrame;

use crate::process::Agent;
use crate::server::{Manners, Server};
use crate::{pause, wait_for};

/// A batch every 200 ms.
pub(crate) const QUICK: &str = "[host]\nenabled = true\ninterval = \"200ms\"\n[buffer]\nflush = \"200ms\"\n";
/// Nothing by itself but the agent's own figures, every 10 s.
const QUIET: &str = "[host]\nenabled = false\n";

#[test]
fn batches_arrive_and_acks_free_the_buffer() {
    let server = Server::started(Manners::default());
    let mut agent = Agent::new(&server.url(), QUICK);
    agent.start();
    wait_for("ten batches are there", || server.seen().batches.len() >= 10);
    wait_for("the buffer has room again", || agent.status()["batches"].as_u64().unwrap() <= 2);
    let seen = server.seen();
    let seqs: Vec<u64> = seen.seqs();
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seqs:?}");
    let samples = &seen.batches[1].series;
    assert!(samples.iter().any(|column| column.labels.metric_name() == Some("node_load1")));
    assert!(samples.iter().all(|column| column.labels.get("source") == Some("web-1")));
    let AgentFrame::Hello { source, host, version, .. } = &seen.hellos[0] else { panic!("no hello") };
    assert_eq!((source.as_str(), *version), ("web-1", 1));
    assert!(!host.is_empty());
}

#[test]
fn batches_arrive_where_fsync_has_a_period() {
    let server = Server::started(Manners::default());
    let mut agent = Agent::new(&server.url(), &format!("{QUICK}fsync = \"500ms\"\n"));
    agent.start();
    wait_for("ten batches are there", || server.seen().batches.len() >= 10);
    assert!(agent.terminate().success());
    let delivered: u64 = server.seen().distinct().values().sum();
    assert_eq!(agent.status()["counters"]["generated"].as_u64(), Some(delivered));
}

#[test]
fn after_an_outage_live_batches_do_not_wait_behind_the_backlog() {
    let mut server = Server::away();
    server.behave(|manners| manners.acks = false);
    let mut agent = Agent::new(&server.url(), QUICK);
    agent.start();
    wait_for("thirty batches wait", || agent.next_seq() > 30);
    server.start();
    // Without acks the backlog is held up after a few, and live batches go by it.
    wait_for("live batches go by the backlog", || server.seen().batches.len() >= 20);
    let seqs = server.seen().seqs();
    let backlog: Vec<u64> = seqs.iter().copied().filter(|seq| *seq <= 30).collect();
    assert_eq!(backlog, (1..=8).collect::<Vec<_>>(), "{seqs:?}");
    server.behave(|manners| manners.acks = true);
    wait_for("the whole backlog is there", || server.seen().distinct().len() as u64 >= 30 + 12);
    wait_for("all is acknowledged", || agent.status()["batches"].as_u64().unwrap() <= 2);
    // The backlog asked for its acks.
    assert!(server.seen().batches.iter().filter(|batch| batch.seq <= 30).all(|batch| batch.ack_now));
}

#[test]
fn what_was_not_acknowledged_comes_again_on_the_next_connection() {
    let mut server = Server::started(Manners { acks: false, ..Manners::default() });
    let mut agent = Agent::new(&server.url(), QUICK);
    agent.start();
    wait_for("some batches are there", || server.seen().batches.len() >= 3);
    server.stop();
    server.seen().batches.clear();
    server.behave(|manners| manners.acks = true);
    server.start();
    wait_for("they are there again", || server.seen().seqs().contains(&1));
}

#[test]
fn a_wish_makes_the_flush_sooner() {
    // The server's clock in the welcome is 1,000,000,000,000.
    let wish = r#"{"kind":"wish","flush_every_ms":200,"expires_at_ms":1000000060000}"#;
    let server = Server::started(Manners { after_welcome: vec![wish.to_owned()], ..Manners::default() });
    let mut agent = Agent::new(&server.url(), "[host]\ninterval = \"200ms\"\n");
    agent.start();
    wait_for("batches come often", || server.seen().batches.len() >= 12);
    let times: Vec<i64> = server.seen().batches.iter().map(|batch| batch.created_at.ms()).collect();
    assert!(times[11] - times[2] < 6_000, "{times:?}");
}

#[test]
fn a_check_that_changes_its_state_is_flushed_at_once() {
    let server = Server::started(Manners::default());
    let check = "[[check]]\nname = \"file\"\ncommand = [\"test\", \"-e\", \"FILE\"]\ninterval = \"200ms\"\n";
    let mut agent = Agent::new(&server.url(), "");
    let flag = agent.folder.path().join("flag");
    let path = agent.folder.path().join("agent.toml");
    let config = std::fs::read_to_string(&path).unwrap() + QUIET + &check.replace("FILE", flag.to_str().unwrap());
    std::fs::write(&path, config).unwrap();
    agent.start();
    let last_state = |server: &Server| {
        server.seen().batches.iter().flat_map(|batch| batch.checks.clone()).last().map(|check| u8::from(check.state))
    };
    wait_for("the check fails", || last_state(&server) == Some(1));
    let before = server.seen().batches.last().map(|batch| batch.created_at.ms()).unwrap();
    std::fs::write(&flag, "").unwrap();
    wait_for("the check is fine", || last_state(&server) == Some(0));
    let after = server.seen().batches.last().map(|batch| batch.created_at.ms()).unwrap();
    assert!(after - before < 9_000, "flushed after {} ms", after - before);
}

#[test]
fn the_end_by_sigterm_brings_everything_home() {
    let server = Server::started(Manners::default());
    let mut agent = Agent::new(&server.url(), "[host]\ninterval = \"200ms\"\n");
    agent.start();
    // Soon after a flush and long before the next one: collections wait in the agent when it is told to end.
    wait_for("a batch comes", || !server.seen().batches.is_empty());
    pause(Duration::from_millis(500));
    let status = agent.terminate();
    assert!(status.success(), "{status}");
    wait_for("the agent says goodbye", || server.seen().byes == ["stop"]);
    let ledger = agent.status();
    assert_eq!((&ledger["running"], &ledger["counters"]["buffered"]), (&false.into(), &0.into()));
    let delivered: u64 = server.seen().distinct().values().sum();
    assert_eq!(ledger["counters"]["generated"].as_u64(), Some(delivered));
    assert!(server.seen().batches.last().is_some_and(|batch| batch.ack_now));
}

#[test]
fn a_planned_reconnect_loses_and_repeats_nothing() {
    let server = Server::started(Manners { reconnect_after_ms: 1_000, ..Manners::default() });
    let mut agent = Agent::new(&server.url(), QUICK);
    agent.start();
    wait_for("three connections were made", || server.seen().hellos.len() >= 3);
    assert!(agent.terminate().success());
    let seen = server.seen();
    assert_eq!(seen.distinct().len(), seen.batches.len(), "{:?}", seen.seqs());
    assert!(seen.byes.iter().any(|reason| reason == "reconnect"));
}

#[test]
fn frames_that_nobody_knows_are_ignored() {
    let strange =
        ["{\"kind\":\"newer\",\"x\":[1]}", "not json", "{\"kind\":\"ack\"}", "{\"kind\":\"welcome\",\"more\":1}"];
    let server = Server::started(Manners { after_welcome: strange.map(str::to_owned).to_vec(), ..Manners::default() });
    let mut agent = Agent::new(&server.url(), QUICK);
    agent.start();
    wait_for("batches come", || server.seen().batches.len() >= 5);
    assert_eq!(server.seen().hellos.len(), 1);
}
