//! Two agents of one name: never merged in silence, and nothing is lost.

use tests::place::Ledger;
use tests::{Agent, Server, until};

const CONFIG: &str = "[host]\nenabled = false\n[buffer]\nflush = \"500ms\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_second_agent_of_a_name_is_refused_named_and_let_in_later_with_all_it_kept() {
    let (mut server, place) = Server::started("twins").await;
    let mut first = Agent::new(&place, "twin", CONFIG);
    first.start();
    first.connected().await;
    first.send_lines("twin.line;from=first 1\n").await;
    until("the first one's sample is there", async || place.number("{__name__=\"twin.line\",from=\"first\"}").await)
        .await;

    let mut second = Agent::new(&place, "twin", CONFIG);
    second.start();
    second.send_lines("twin.line;from=second 2\n").await;
    until("the second one says that its name is taken", async || {
        second.log().contains("another agent of this name is connected").then_some(())
    })
    .await;
    let conflict = until("the conflict is shown", async || {
        place.source("twin").await.map(|source| source["conflict"].clone()).filter(|conflict| !conflict.is_null())
    })
    .await;
    let text = conflict["text"].as_str().unwrap_or_default();
    assert!(text.contains("two agents are named \"twin\""), "{conflict}");
    assert!(server.log().contains("two agents of one name"), "{}", server.log());
    // It keeps what it has, and nothing of it is under the first one's name.
    until("the second one buffers", async || {
        second.status()["counters"]["buffered"].as_u64().filter(|buffered| *buffered > 0)
    })
    .await;
    assert_eq!(place.query("{__name__=\"twin.line\",from=\"second\"}").await, Some(Vec::new()));
    until("its status tells why", async || {
        let status = second.status();
        status["agent"]["connection"]["last_error"]
            .as_str()?
            .contains("another agent named \"twin\" is connected")
            .then_some(())
    })
    .await;

    assert!(first.terminate().await.success());
    second.connected().await;
    let value = until("what the second one kept is there", async || {
        place.number("last_over_time({__name__=\"twin.line\",from=\"second\"}[1h])").await
    })
    .await;
    assert!((value - 2.0).abs() < f64::EPSILON, "{value}");
    assert!(second.terminate().await.success());

    // Two epochs under one name, and both ledgers in full.
    let generated = |agent: &Agent| agent.status()["counters"]["generated"].as_u64().expect("a ledger");
    let both = generated(&first) + generated(&second);
    let ledger = until("the ledger has both agents' numbers", async || {
        place.ledger("twin").await.filter(|ledger| ledger.generated == both).filter(Ledger::balances)
    })
    .await;
    assert_eq!((ledger.buffered, ledger.evicted), (0, 0), "{ledger:?}");
    server.stop().await;
}
