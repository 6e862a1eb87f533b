//! Kill -9 of the agent while the server is away and it buffers. (`agent/tests` does the same many
//! more times against a server of its own; here the real one counts.)

use tests::place::Ledger;
use tests::wait::rounds;
use tests::{Agent, Server, disk, until};

use super::{life, pause};

/// Kills where no soak is asked for.
const KILLS: u64 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn everything_fsynced_is_stored_once_after_kills_of_an_agent_that_buffers() {
    let (mut server, place) = Server::started("buffering").await;
    let config = "[host]\ninterval = \"200ms\"\n[buffer]\nflush = \"200ms\"\n";
    let mut agent = Agent::new(&place, "buffering", config);
    agent.start();
    agent.connected().await;
    server.stop().await;

    let mut generated = 0;
    for number in 0..rounds(KILLS) {
        pause(life(number)).await;
        agent.kill();
        let now = agent.status()["counters"]["generated"].as_u64().unwrap_or(0);
        assert!(now >= generated, "the ledger went back from {generated} to {now}");
        generated = now;
        agent.start();
    }
    let next_seq = async || agent.status()["next_seq"].as_u64();
    let before = next_seq().await.unwrap_or(1);
    until("the last life has added to the buffer", async || next_seq().await.filter(|now| *now > before)).await;
    let waiting = agent.status()["batches"].as_u64().unwrap_or(0);
    assert!(waiting > 0, "nothing waits for the server");
    server.start().await;
    until("the backlog is acknowledged", async || {
        let status = agent.status();
        let through = status["acked"][0][1].as_u64().unwrap_or(0);
        (through >= before).then_some(())
    })
    .await;
    let ended = agent.terminate().await;
    assert!(ended.success(), "{ended}");

    let status = agent.status();
    let counters = &status["counters"];
    assert_eq!((&counters["buffered"], &counters["evicted"]), (&0.into(), &0.into()), "{status}");
    let generated = counters["generated"].as_u64().expect("a ledger");
    let ledger = until("the server's ledger has the agent's numbers", async || {
        let ledger = place.ledger("buffering").await;
        ledger.filter(|ledger| ledger.generated == generated).filter(Ledger::balances)
    })
    .await;
    println!("{waiting} batches waited; {ledger:?}");
    let readable = until("the samples are counted", async || place.readable("buffering").await).await;
    let disk = disk::look(&server.data(), "buffering");
    assert_eq!(readable, disk.identities.len() as u64, "each identity is read once");
    // An agent that is killed and comes back in the same second collects the same identities again.
    assert!(disk.stored().contains(&ledger.stored), "{:?}: {ledger:?}", disk.stored());
    server.stop().await;
}
