//! The emulator is ended cleanly and started again under load: its state is kept, its connections
//! are cut, and what it was doing is interrupted at any point.

use std::sync::Arc;
use std::time::Duration;

use tests::wait::{now_ms, rounds};
use tests::{Agent, Stack, Tools, until, until_in};
use tokio::time::Instant;

use crate::kills::load::{Sent, push_lines, send_batches};
use crate::kills::{all_there_once, life, pause};

/// Restarts where no soak is asked for.
const RESTARTS: u64 = 5;
/// An agent is back within this after the emulator answers again.
const BACK_MAX: Duration = Duration::from_secs(30);
const CONFIG: &str = "[host]\ninterval = \"1s\"\n[buffer]\nflush = \"1s\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn everything_acknowledged_is_there_once_after_restarts_of_everything_behind_the_agents() {
    let Some(tools) = Tools::ready() else { return };
    let mut stack = Stack::deployed(&tools, &[]).await;
    let gateway = stack.gateway().await;
    let place = stack.place(&gateway, "restarted").await;
    let mut agent = Agent::new(&place, "returning", CONFIG);
    agent.start();
    agent.connected().await;
    let (pushes, batches): (Arc<Sent>, Arc<Sent>) = Default::default();
    let pushing = tokio::spawn(push_lines(place.clone(), Arc::clone(&pushes)));
    let sending = tokio::spawn(send_batches(place.clone(), "pressed".to_owned(), Arc::clone(&batches)));
    let mut back = Vec::new();
    for number in 0..rounds(RESTARTS) {
        let before = (pushes.acks(), batches.acks());
        until("both senders get acks", async || (pushes.acks() > before.0 && batches.acks() > before.1).then_some(()))
            .await;
        pause(life(number)).await;
        stack.emulator.stop().await;
        let stopped_ms = now_ms();
        stack.emulator.start().await;
        let started = Instant::now();
        until_in(BACK_MAX, "the agent is back", async || {
            let status = agent.status();
            let connection = &status["agent"]["connection"];
            let since_ms = connection["since_ms"].as_i64().unwrap_or(0);
            (connection["state"] == "up" && since_ms >= stopped_ms).then_some(())
        })
        .await;
        back.push(started.elapsed());
    }
    pushes.stop();
    batches.stop();
    pushing.await.expect("the pushes end");
    sending.await.expect("the batches end");
    println!("acknowledged: {} pushes, {} batches; the agent was back after {back:.1?}", pushes.acks(), batches.acks());

    all_there_once(&place, "{__name__=\"kill.push\"}", &pushes).await;
    all_there_once(&place, "kill_batch", &batches).await;
    assert!(agent.terminate().await.success(), "{}", agent.log());
    let generated = agent.status()["counters"]["generated"].as_u64().expect("the agent's ledger");
    for (source, generated) in [("returning", Some(generated)), ("pressed", None)] {
        let ledger = until(&format!("the ledger of {source} balances"), async || {
            let ledger = place.ledger(source).await?;
            (ledger.balances() && generated.is_none_or(|generated| ledger.generated == generated)).then_some(ledger)
        })
        .await;
        assert_eq!((ledger.evicted, ledger.rejected.len()), (0, 0), "{source}: {ledger:?}");
    }
    stack.emulator.stop().await;
}
