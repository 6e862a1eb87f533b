//! Kill -9 and outages of real processes: everything acknowledged is there afterwards, once.
//!
//! `DAYWATCH_SOAK=1000` asks for that many kills.

mod agent_away;
pub(crate) mod load;
mod outage;
mod serve_under_load;

use std::time::Duration;

use tests::wait::shuffled;
use tests::{Place, until};

use self::load::Sent;

/// Lives of 30 to 600 ms, in no order: how long a process has before it is killed.
pub(crate) fn life(number: u64) -> Duration {
    Duration::from_millis(30 + shuffled(number) % 570)
}

/// Lets time pass in which a process works: what is killed at a random moment needs one.
pub(crate) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Waits until the store has what the sender knows; more than that is wrong at once.
pub(crate) async fn all_there_once(place: &Place, selector: &str, sent: &Sent) {
    let (samples, sum) = sent.totals();
    until(&format!("{samples} samples of {selector} are there"), async || {
        let count = place.number(&format!("sum(count_over_time({selector}[6h]))")).await?;
        assert!(count <= samples, "{selector}: {count} samples are there, {samples} were acknowledged");
        ((count - samples).abs() < 0.5).then_some(())
    })
    .await;
    let read = place.number(&format!("sum(sum_over_time({selector}[6h]))")).await;
    assert_eq!(read, Some(sum), "the values of {selector} are the ones that were sent");
}
