//! A small storm of reconnects; the large one is `examples/storm.rs`.

use std::time::Duration;

use tests::reconnects::{Plan, storm};

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cut_and_a_kill_all_agents_are_back_none_seemed_down_and_all_is_stored() {
    let plan = Plan { idle: 50, sending: 10, series: 20, step: Duration::from_secs(1), calm: Duration::from_secs(4) };
    let outcome = storm(plan).await;
    for (outage, lost) in outcome.load["outages"].as_array().expect("a list").iter().zip([60, 60]) {
        assert_eq!(outage["lost"], lost, "{outage}");
    }
    println!("{outcome:#?}");
}
