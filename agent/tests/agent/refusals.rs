//! What the agent does when it is refused: it says so, keeps everything and goes on.

use crate::delivery::QUICK;
use crate::process::{Agent, KEY};
use crate::server::{Manners, Server};
use crate::wait_for;

#[test]
fn a_wrong_key_is_named_and_never_shown_and_can_be_replaced() {
    let server = Server::started(Manners::default());
    let mut agent = Agent::new(&server.url(), QUICK);
    agent.write_key("dw_agent_wrong_verysecret");
    agent.start();
    wait_for("the key was refused twice", || server.seen().refused >= 2);
    assert!(agent.is_running());
    let log = agent.log();
    assert!(log.contains("401") && log.contains("the key is refused"), "{log}");
    assert!(!log.contains("verysecret"), "{log}");
    agent.write_key(KEY);
    wait_for("everything kept is there", || server.seen().seqs().contains(&1));
}

#[test]
fn a_taken_name_is_said_and_everything_is_kept() {
    let server = Server::started(Manners { bye: Some("name_taken"), ..Manners::default() });
    let mut agent = Agent::new(&server.url(), QUICK);
    agent.start();
    wait_for("the name was refused twice", || server.seen().hellos.len() >= 2);
    assert!(agent.log().contains("another agent of this name"));
    assert!(agent.is_running() && server.seen().batches.is_empty());
    server.behave(|manners| manners.bye = None);
    wait_for("everything kept is there", || server.seen().seqs().contains(&1));
}

#[test]
fn a_data_folder_that_cannot_be_used_means_memory() {
    let server = Server::started(Manners::default());
    let mut agent = Agent::new(&server.url(), QUICK);
    std::fs::write(agent.data_dir(), "a file, not a folder").unwrap();
    agent.start();
    wait_for("batches come nevertheless", || server.seen().batches.len() >= 3);
    assert!(agent.log().contains("the data folder cannot be used"), "{}", agent.log());
    assert!(agent.terminate().success());
}

#[test]
fn two_agents_never_share_a_data_folder() {
    let server = Server::started(Manners::default());
    let mut agent = Agent::new(&server.url(), QUICK);
    agent.start();
    wait_for("the first one runs", || agent.status()["running"] == true);
    let second = agent.command().output().unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("another daywatch-agent uses the data folder"), "{said}");
}

#[test]
fn a_bad_configuration_is_refused_with_its_place() {
    let agent = Agent::new("http://127.0.0.1:1", "[host]\nintervall = \"10s\"\n");
    let output = agent.command().arg("--check-config").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("agent.toml:6:1: unknown field `intervall`"), "{said}");
    assert!(said.contains("did you mean `interval`?"), "{said}");
    let good = Agent::new("http://127.0.0.1:1", QUICK);
    assert!(good.command().arg("--check-config").output().unwrap().status.success());
}

#[test]
fn every_fault_of_the_inputs_is_told_and_the_good_parts_run() {
    let server = Server::started(Manners::default());
    let bad = "[[check]]\nname = \"d\"\nbuiltin = \"disk\"\nwarn = \"9:1\"\n[[log]]\npaths = [\"x.log\"]\n";
    let mut agent = Agent::new(&server.url(), &format!("{QUICK}{bad}"));
    let output = agent.command().arg("--check-config").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for fault in
        ["[[check]] \"d\": `warn = \"9:1\"`", "[[log]] paths: \"x.log\" does not begin with a slash", "2 faults"]
    {
        assert!(said.contains(fault), "{said}");
    }
    agent.start();
    wait_for("batches come nevertheless", || server.seen().seqs().contains(&1));
    assert!(agent.log().contains("`warn = \"9:1\"`"), "{}", agent.log());
}

#[test]
fn once_prints_prometheus_text() {
    let check = "[[check]]\nname = \"t\"\ncommand = [\"true\"]\n";
    let agent = Agent::new("http://127.0.0.1:1", check);
    let output = agent.command().arg("--once").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success());
    assert!(said.contains("node_load1{instance=\"web-1\",job=\"node\",source=\"web-1\"} "), "{said}");
    assert!(said.contains("# check t: Ok"), "{said}");
    assert!(!agent.data_dir().exists());
}
