//! Kill -9 of `serve` under load.

use std::sync::Arc;

use tests::place::Ledger;
use tests::wait::rounds;
use tests::{Server, until};

use super::load::{Sent, push_lines, send_batches};
use super::{all_there_once, life, pause};

/// Kills where no soak is asked for.
const KILLS: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn everything_acknowledged_is_there_once_after_kills_of_serve() {
    let (mut server, place) = Server::started("killed").await;
    let (pushes, batches): (Arc<Sent>, Arc<Sent>) = Default::default();
    let pushing = tokio::spawn(push_lines(place.clone(), Arc::clone(&pushes)));
    let sending = tokio::spawn(send_batches(place.clone(), "pressed".to_owned(), Arc::clone(&batches)));
    for number in 0..rounds(KILLS) {
        let before = (pushes.acks(), batches.acks());
        until("both senders get acks", async || (pushes.acks() > before.0 && batches.acks() > before.1).then_some(()))
            .await;
        pause(life(number)).await;
        assert!(server.is_running(), "the server ended by itself:\n{}", server.log());
        server.kill();
        server.start().await;
    }
    pushes.stop();
    batches.stop();
    pushing.await.expect("the pushes end");
    sending.await.expect("the batches end");
    println!("acknowledged: {} pushes, {} batches", pushes.acks(), batches.acks());

    all_there_once(&place, "{__name__=\"kill.push\"}", &pushes).await;
    all_there_once(&place, "kill_batch", &batches).await;
    // What was sent again because its ack was lost is one batch, not two.
    let ledger =
        until("the agent's ledger balances", async || place.ledger("pressed").await.filter(Ledger::balances)).await;
    let (samples, _) = batches.totals();
    assert!((ledger.stored as f64 - samples).abs() < 0.5 && ledger.superseded == 0, "{samples}: {ledger:?}");
    // A body that was sent again is another push of the same samples. Those that lost to a sample in
    // another block count as stored until both are compacted.
    let ledger = place.ledger("killed").await.expect("the sender is known");
    let (samples, _) = pushes.totals();
    assert!(ledger.stored as f64 >= samples && ledger.balances(), "{samples}: {ledger:?}");
    server.stop().await;
}
