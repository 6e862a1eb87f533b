//! The server is away for a while and comes back: 15 s, or 5 min in a soak.

use std::fmt::Write as _;
use std::time::Duration;

use tests::wait::{now_ms, rounds, shuffled};
use tests::{Agent, Page, Server, until, until_in};
use tokio::time::Instant;

use super::pause;

/// How long the server is away.
const AWAY: Duration = Duration::from_secs(15);
/// The same where a soak is asked for.
const AWAY_SOAK: Duration = Duration::from_secs(300);
/// An agent of this host tries again after 5 s at the latest; the rest is for a busy machine.
const RECONNECT_MAX: Duration = Duration::from_secs(20);
/// How soon a live sample is on the page while the backlog comes.
const LIVE_MAX: Duration = Duration::from_secs(20);
/// Samples that a program of the host sends each second.
const LINES_A_SECOND: u64 = 4_000;

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_the_agent_comes_back_and_live_data_goes_by_the_backlog() {
    let away = if rounds(0) > 0 { AWAY_SOAK } else { AWAY };
    let (mut server, place) = Server::started("outage").await;
    let config = "[host]\ninterval = \"1s\"\n[buffer]\nflush = \"500ms\"\n";
    let mut agent = Agent::new(&place, "outage", config);
    agent.start();
    agent.connected().await;
    server.stop().await;

    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < away {
        let mut lines = String::new();
        let at = now_ms();
        for line in 0..LINES_A_SECOND {
            // Values that do not compress to nothing, so that the backlog takes its time.
            writeln!(lines, "outage.load;line={line} {} {at}", shuffled(sent)).expect("text can be written");
            sent += 1;
        }
        agent.send_lines(&lines).await;
        pause(Duration::from_secs(1)).await;
    }
    server.start().await;
    let back = Instant::now();
    let waiting = agent.status()["counters"]["buffered"].as_u64().unwrap_or(0);
    let mut page = Page::open(&place).await;
    page.subscribe("live", &["{__name__=\"outage.live\"}", "node_load1{source=\"outage\"}"]).await;
    until_in(RECONNECT_MAX, "the agent is back within its backoff", async || {
        (place.source("outage").await?["present"] == true).then_some(())
    })
    .await;
    let reconnected = back.elapsed();
    page.until_watching(LIVE_MAX, "live").await;
    agent.send_lines("outage.live 7\n").await;
    page.until_value(LIVE_MAX, "live", "7").await;
    let live = back.elapsed();
    let behind = agent.status()["counters"]["buffered"].as_u64().unwrap_or(0);

    let expr = "sum(count_over_time({__name__=\"outage.load\"}[6h]))";
    until(&format!("all {sent} lines of the outage are there"), async || {
        let count = place.number(expr).await?;
        assert!(count <= sent as f64, "{count} of {sent}");
        ((count - sent as f64).abs() < 0.5).then_some(())
    })
    .await;
    println!(
        "{waiting} samples waited; the agent was back after {reconnected:.2?}, a live sample on the page after \
         {live:.2?} with {behind} samples still behind it, all there after {:.2?}",
        back.elapsed()
    );
    assert!(agent.terminate().await.success());
    let ledger = until("the ledger balances", async || {
        place.ledger("outage").await.filter(|ledger| ledger.balances() && ledger.buffered == 0)
    })
    .await;
    assert_eq!((ledger.evicted, ledger.rejected.len()), (0, 0), "{ledger:?}");
    server.stop().await;
}
