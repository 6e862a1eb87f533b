//! `connect`: one collection goes the whole way, and the answer says whether it did.

use std::process::Output;

use crate::delivery::QUICK;
use crate::process::Agent;
use crate::server::{Manners, Server};
use crate::wait_for;

fn connect(agent: &Agent) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = agent.command().arg("connect").output().unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).trim_end().to_owned())
}

#[test]
fn the_first_sample_is_stored_and_the_buffer_is_empty_again() {
    let server = Server::started(Manners::default());
    let agent = Agent::new(&server.url(), "");
    assert_eq!(connect(&agent), (Some(0), "connected as web-1, first sample stored".to_owned()));
    let batch = server.seen().batches[0].clone();
    assert!(batch.ack_now && batch.samples() > 20, "{} samples", batch.samples());
    assert_eq!(agent.status()["batches"], 0);
    assert_eq!(server.seen().byes, ["stop"]);
    // Again, as an upgrade does it: the buffer's life goes on.
    assert_eq!(connect(&agent).0, Some(0));
    assert!(server.seen().hellos.len() == 2 && agent.next_seq() > 2);
}

#[test]
fn beside_a_running_agent_it_only_looks() {
    let server = Server::started(Manners::default());
    let mut agent = Agent::new(&server.url(), QUICK);
    agent.start();
    wait_for("the agent runs", || agent.status()["running"] == true);
    assert_eq!(connect(&agent), (Some(0), "connected as web-1, first sample stored".to_owned()));
    assert_eq!(server.seen().hellos.len(), 1);
    assert!(agent.is_running());
}

#[test]
fn what_is_refused_has_status_3_and_says_what_to_do() {
    for (bye, key, parts) in [
        (None, "dw_agent_wrong_verysecret", ["the server refuses the key (status 401)", "revoked"]),
        (Some("name_taken"), "", ["said the test", "set another `name`"]),
        (Some("version"), "", ["said the test", "update the older of the two"]),
        (Some("key_revoked"), "", ["said the test", "a new one"]),
        (Some("bad_hello"), "", ["said the test", "`name`"]),
    ] {
        let server = Server::started(Manners { bye, ..Manners::default() });
        let agent = Agent::new(&server.url(), "");
        if !key.is_empty() {
            agent.write_key(key);
        }
        let (code, said) = connect(&agent);
        assert_eq!(code, Some(3), "{bye:?}: {said}");
        assert!(said.starts_with("daywatch-agent: not connected: ") && !said.contains("verysecret"), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        assert!(agent.status()["batches"].as_u64() > Some(0), "what was collected is kept");
    }
}

#[test]
fn a_data_folder_of_somebody_else_is_left_alone() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can make a folder of somebody else");
        return;
    }
    let server = Server::started(Manners::default());
    let agent = Agent::new(&server.url(), "");
    std::fs::create_dir(agent.data_dir()).unwrap();
    std::os::unix::fs::chown(agent.data_dir(), Some(12_345), None).unwrap();
    let (code, said) = connect(&agent);
    assert!(code == Some(1) && said.contains("user 12345"), "{said}");
    assert_eq!(std::fs::read_dir(agent.data_dir()).unwrap().count(), 0);
}
