//! The timer: at least once, once for each asking, never early, and durable.

use std::sync::Arc;

use async_trait::async_trait;
use series::Timestamp;

use super::{done, tenant};
use crate::{Timer, Wake};

/// A timer port, and whoever is woken.
#[async_trait]
pub trait TimerHarness: Send {
    /// The port.
    fn timer(&self) -> Arc<dyn Timer>;
    /// What would be woken if it were `now`, earliest first. It comes again until it is done.
    async fn due(&mut self, now: Timestamp) -> Vec<Wake>;
    /// Handles what [`TimerHarness::due`] gave last.
    async fn handle(&mut self);
    /// Ends the process, as far as the adapter has one, and starts another.
    async fn reopen(&mut self);
}

/// All of it, on a timer that nobody else uses.
pub async fn run(harness: &mut dyn TimerHarness, now: Timestamp) {
    let wake = |at: i64, tenant_name: &str, what: &str| Wake {
        at: now.plus_ms(at),
        tenant: tenant(tenant_name),
        what: what.to_owned(),
    };
    let at = |ms: i64| now.plus_ms(ms);
    let later = wake(2_000, "a", "rules/x");
    let sooner = wake(1_000, "b", "rules/ü y");
    for wake in [&later, &sooner, &later, &sooner, &sooner] {
        done(harness.timer().wake(wake.clone()).await, "asking to be woken");
    }
    assert_eq!(harness.due(at(999)).await, [], "never early");
    assert_eq!(harness.due(at(1_000)).await, std::slice::from_ref(&sooner), "asking twice wakes once, and on time");
    assert_eq!(harness.due(at(5_000)).await, [sooner.clone(), later.clone()], "earliest first");

    harness.reopen().await;
    assert_eq!(harness.due(at(5_000)).await, [sooner.clone(), later.clone()], "until it is handled, it comes again");
    harness.handle().await;
    assert_eq!(harness.due(at(5_000)).await, [], "what was handled does not come again");

    done(harness.timer().wake(sooner.clone()).await, "asking for what was handled before");
    assert_eq!(harness.due(at(5_000)).await, std::slice::from_ref(&sooner), "a new asking wakes again");
    // Asked for once more while it is being handled: that must not be lost.
    done(harness.timer().wake(sooner.clone()).await, "asking while it is being handled");
    harness.handle().await;
    assert_eq!(harness.due(at(5_000)).await, [sooner], "an asking during the handling wakes again");
    harness.handle().await;

    let differ = [wake(1, "a", "x"), wake(1, "a", "y"), wake(1, "b", "x"), wake(2, "a", "x")];
    for wake in &differ {
        done(harness.timer().wake(wake.clone()).await, "asking to be woken");
    }
    let mut found = harness.due(at(10)).await;
    found.sort();
    assert_eq!(found, differ, "another tenant, time or purpose is another wake-up");
    harness.handle().await;
    assert_eq!(harness.due(at(10)).await, []);
}
