//! The real binary against a server that the tests can stop, restart and make misbehave.
//!
//! * `connect`: `connect`, which installing ends with: stored, refused, or why not
//! * `delivery`: replay after an outage, acks, wishes, planned reconnects, the end by SIGTERM
//! * `kills`: kill -9 again and again; every fsynced batch arrives, each counted once
//! * `refusals`: a wrong key, a taken name, a disk that cannot be used, a bad configuration
//! * `ways`: TLS with an authority of one's own, and an HTTP proxy

#![expect(clippy::unwrap_used, reason = "a test fails where its preparation fails")]

mod connect;
mod delivery;
mod kills;
mod process;
mod refusals;
mod server;
mod ways;

use std::time::{Duration, Instant};

/// Waits until `condition` holds, at most a minute.
#[expect(clippy::disallowed_methods, reason = "tests wait for a condition with a deadline")]
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        pause(Duration::from_millis(10));
    }
}

#[expect(clippy::disallowed_methods, reason = "between two looks at a condition, or two kills")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
