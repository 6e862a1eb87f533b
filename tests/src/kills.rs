//! Kill -9 and outages of real processes: everything acknowledged is there afterwards, once.
//!
//! `DAYWATCH_SOAK=1000` asks for that many kills.

mod agent_away;
mod load;
mod outage;
mod serve_under_load;

use std::time::Duration;

use tests::wait::shuffled;

/// Lives of 30 to 600 ms, in no order: how long a process has before it is killed.
fn life(number: u64) -> Duration {
    Duration::from_millis(30 + shuffled(number) % 570)
}

/// Lets time pass in which a process works: what is killed at a random moment needs one.
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
