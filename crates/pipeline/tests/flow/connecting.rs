//! Keys, tickets, hello, two agents of one name, leases.

use pipeline::connect::Connection;
use pipeline::http::Request;
use pipeline::keys::{self, KeyKind};
use pipeline::wire::ServerFrame;
use pipeline::{ConnectionId, TenantId, connect, presence, sources, tickets};

use crate::bench::{Bench, frame};

#[tokio::test]
async fn a_key_opens_only_its_own_doors_and_none_once_it_is_revoked() {
    let bench = Bench::new(1);
    let ports = &bench.context.ports;
    let text = keys::create(ports, TenantId::default(), KeyKind::Agent, "a").await.unwrap();
    let caller = keys::authenticate_text(ports, &text).await.unwrap();
    assert!(caller.may_push().is_ok());
    assert_eq!(caller.may_read().unwrap_err().status(), 403);
    assert_eq!(caller.may_administer().unwrap_err().status(), 403);
    let swapped = text.replacen("dw_agent_", "dw_admin_", 1);
    let cut = &text[..text.len() - 1];
    for wrong in [swapped.as_str(), cut, "", "dw_agent_x_y"] {
        assert_eq!(keys::authenticate_text(ports, wrong).await.unwrap_err().status(), 401, "{wrong}");
    }
    let none = keys::authenticate(ports, &Request::default()).await.unwrap_err();
    assert_eq!(none.status(), 401);
    assert!(keys::revoke(ports, &TenantId::default(), &caller.key_id).await.unwrap());
    assert!(!keys::revoke(ports, &TenantId::default(), &caller.key_id).await.unwrap());
    assert_eq!(keys::authenticate_text(ports, &text).await.unwrap_err().status(), 401);
    let other = TenantId::new("other").unwrap();
    assert_eq!(keys::revoke(ports, &other, &caller.key_id).await.unwrap_err().status(), 404);
}

#[tokio::test]
async fn a_ticket_is_good_once_and_for_half_a_minute() {
    let bench = Bench::new(2);
    let ports = &bench.context.ports;
    let caller = bench.caller(KeyKind::Read, "page").await;
    let (ticket, expires) = tickets::issue(ports, &caller).await.unwrap();
    assert_eq!(tickets::redeem(ports, &ticket).await.unwrap(), caller);
    assert_eq!(tickets::redeem(ports, &ticket).await.unwrap_err().status(), 401);
    let (ticket, _) = tickets::issue(ports, &caller).await.unwrap();
    bench.clock.set(expires.plus_ms(1));
    assert_eq!(tickets::redeem(ports, &ticket).await.unwrap_err().status(), 401);
}

#[tokio::test]
async fn a_second_agent_of_one_name_is_refused_and_shown_and_let_in_when_the_first_is_gone() {
    let bench = Bench::new(3);
    let (first, mut first_out) = bench.agent("web-1", "run-1").await;
    assert!(matches!(frame(&mut first_out).await, ServerFrame::Welcome { .. }));

    let (refused, mut out) = bench.open("web-1", "run-2").await;
    assert!(refused.is_none());
    match frame(&mut out).await {
        ServerFrame::Bye { reason, text, retry_after_ms } => {
            assert_eq!(reason, "name_taken");
            assert!(text.contains("host-of-run-1"), "{text}");
            assert!(retry_after_ms > 0);
        }
        other => panic!("{other:?}"),
    }
    let shown = sources::all(&bench.context, &TenantId::default()).await.unwrap();
    let conflict = shown[0].conflict.as_ref().expect("the conflict is shown");
    assert_eq!((conflict.run_id.as_str(), conflict.host.as_str()), ("run-2", "host-of-run-2"));

    connect::disconnect(&bench.context.ports, &first).await.unwrap();
    assert!(bench.open("web-1", "run-2").await.0.is_some());
}

#[tokio::test]
async fn the_same_process_takes_its_name_over_from_a_connection_that_only_seems_open() {
    let bench = Bench::new(4);
    let (old, _old_out) = bench.agent("web-1", "run-1").await;
    bench.clock.advance_ms(1_000);
    let (new, _new_out) = bench.agent("web-1", "run-1").await;
    // The end of the old connection does not end the new one's lease.
    connect::disconnect(&bench.context.ports, &old).await.unwrap();
    let leases = connect::presences(&bench.context.ports, &TenantId::default()).await.unwrap();
    assert_eq!(leases[0].1.connection, new.id);
    assert!(presence::is_present(&leases[0].1, None, bench.now()));
}

#[tokio::test]
async fn a_silent_holder_loses_its_name_when_the_lease_ends() {
    let bench = Bench::new(5);
    let (_first, mut first_out) = bench.agent("web-1", "run-1").await;
    bench.clock.advance_ms(connect::PRESENCE_LEASE_MS - 1);
    assert!(bench.open("web-1", "run-2").await.0.is_none());
    bench.clock.advance_ms(1);
    // Not heard is silent only where the pipeline is known to be current.
    assert!(bench.open("web-1", "run-2").await.0.is_none());
    bench.pulse().await;
    let (second, _second_out) = bench.open("web-1", "run-2").await;
    assert!(second.is_some());
    // The first one's connection, whatever still comes over it, is ended.
    while first_out.next().await.is_some() {}
}

async fn greet(bench: &Bench, connection: &Connection, name: &str) -> Option<Connection> {
    let hello = format!(r#"{{"action":"hello","version":1,"source":"{name}","epoch":"1","run_id":"r"}}"#);
    let hello = pipeline::wire::AgentFrame::from_json(&hello).unwrap();
    connect::hello(&bench.context, connection, &hello).await.unwrap()
}

#[tokio::test]
async fn a_name_that_cannot_be_taken_is_answered_and_not_left_waiting() {
    let bench = Bench::new(8);
    let caller = bench.caller(KeyKind::Agent, "agents").await;
    for (number, name) in ["", "two words", pipeline::ingest::OWN_SOURCE].into_iter().enumerate() {
        let id = ConnectionId(format!("c{number}"));
        let mut outgoing = bench.embedded.connections().register(id.clone());
        let connection = connect::connect(&bench.context.ports, id, caller.clone(), false).await.unwrap();
        assert!(greet(&bench, &connection, name).await.is_none(), "{name:?}");
        match frame(&mut outgoing).await {
            ServerFrame::Bye { reason, text, .. } => {
                assert_eq!(reason, "bad_hello");
                assert!(text.starts_with("hello.source"), "{text}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(outgoing.next().await, None, "the connection ends");
    }
}

#[tokio::test]
async fn a_connection_that_takes_another_name_leaves_the_first() {
    let bench = Bench::new(9);
    let (connection, _out) = bench.agent("web-1", "r").await;
    let connection = greet(&bench, &connection, "web-2").await.unwrap();
    assert_eq!(connection.source.as_ref().map(|source| source.as_str()), Some("web-2"));
    let leases = connect::presences(&bench.context.ports, &TenantId::default()).await.unwrap();
    let here: Vec<_> = leases.iter().filter(|(_, lease)| lease.gone_at_ms.is_none()).map(|(name, _)| name).collect();
    assert_eq!(here, [connection.source.as_ref().unwrap()]);
}

#[tokio::test]
async fn a_ticket_does_not_outlive_its_key() {
    let bench = Bench::new(10);
    let ports = &bench.context.ports;
    let caller = bench.caller(KeyKind::Read, "page").await;
    let (ticket, _) = tickets::issue(ports, &caller).await.unwrap();
    keys::revoke(ports, &caller.tenant, &caller.key_id).await.unwrap();
    let id = ConnectionId("page".to_owned());
    let redeemed = tickets::redeem(ports, &ticket).await.unwrap();
    assert_eq!(connect::connect(ports, id.clone(), redeemed, true).await.unwrap_err().status(), 401);
    assert!(connect::find(ports, &id).await.unwrap().is_none(), "nothing is left of it");
}

#[tokio::test]
async fn an_unreadable_batch_that_comes_again_is_counted_once() {
    let bench = Bench::new(11);
    let (connection, mut out) = bench.agent("web-1", "r").await;
    assert!(matches!(frame(&mut out).await, ServerFrame::Welcome { .. }));
    for _ in 0..2 {
        let name = Some((series::Epoch(1), 7));
        pipeline::ingest::batch(&bench.context, &connection, "bm90IHpzdGQ=", name).await.unwrap();
        assert!(matches!(frame(&mut out).await, ServerFrame::Ack { .. }));
        assert!(matches!(frame(&mut out).await, ServerFrame::Error { .. }));
    }
    bench.aggregate().await;
    let sources = sources::all(&bench.context, &TenantId::default()).await.unwrap();
    assert_eq!(sources[0].counters.rejected.values().sum::<u64>(), 1, "{:?}", sources[0].counters);
}

#[tokio::test]
async fn up_follows_the_connection_but_not_a_reconnect() {
    let bench = Bench::new(6);
    let tenant = TenantId::default();
    let up = async || {
        bench.pulse().await;
        presence::note(&bench.context, &tenant).await.unwrap();
        bench.aggregate().await;
        bench.number(r#"up{instance="web-1",job="node"}"#).await
    };
    let (connection, _out) = bench.agent("web-1", "run-1").await;
    assert_eq!(up().await, Some(1.0));
    bench.clock.advance_ms(10_000);
    connect::disconnect(&bench.context.ports, &connection).await.unwrap();
    assert_eq!(up().await, Some(1.0), "it may be on its way back");
    assert!(!sources::all(&bench.context, &tenant).await.unwrap()[0].present, "though it is not here");
    bench.clock.advance_ms(presence::RETURN_MS - 1);
    assert_eq!(up().await, Some(1.0));
    bench.clock.advance_ms(1);
    assert_eq!(up().await, Some(0.0));
    let (_connection, _out) = bench.agent("web-1", "run-1").await;
    assert_eq!(up().await, Some(1.0));
}

#[tokio::test]
async fn an_agent_of_another_version_is_told_so_and_keeps_its_data() {
    let bench = Bench::new(7);
    let caller = bench.caller(KeyKind::Agent, "agents").await;
    let id = pipeline::ConnectionId("c".to_owned());
    let mut outgoing = bench.embedded.connections().register(id.clone());
    let connection = connect::connect(&bench.context.ports, id, caller, false).await.unwrap();
    let hello = r#"{"action":"hello","version":2,"source":"web-1","epoch":"1","run_id":"r"}"#;
    let hello = pipeline::wire::AgentFrame::from_json(hello).unwrap();
    assert!(connect::hello(&bench.context, &connection, &hello).await.unwrap().is_none());
    match frame(&mut outgoing).await {
        ServerFrame::Bye { reason, text, .. } => {
            assert_eq!(reason, "version");
            assert!(text.contains("version 2"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn open_pages_are_told_that_an_agent_has_gone() {
    let bench = Bench::new(9);
    let caller = bench.caller(KeyKind::Read, "page").await;
    let id = pipeline::ConnectionId("page".to_owned());
    let mut page = bench.embedded.connections().register(id.clone());
    connect::connect(&bench.context.ports, id, caller, true).await.unwrap();
    let (agent, _out) = bench.agent("web-1", "run-1").await;
    connect::disconnect(&bench.context.ports, &agent).await.unwrap();
    let told = tokio::time::timeout(std::time::Duration::from_secs(5), page.next()).await.unwrap().unwrap();
    assert_eq!(told, r#"{"kind":"gone","sources":["web-1"]}"#);
}
