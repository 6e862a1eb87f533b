//! Waiting: for a condition, with a deadline. Nothing here sleeps for luck.

use std::time::Duration;

/// How long a condition may take before the test fails: long, because machines that test are busy.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// Waits until `look` finds something; fails with `what` after [`PATIENCE`].
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_in(PATIENCE, what, look).await
}

/// Waits for at most `limit`.
pub async fn until_in<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        // A look that hangs is a condition that does not hold.
        if let Ok(Some(found)) = tokio::time::timeout_at(deadline, look()).await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "tests of real processes live in real time")]
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("a clock after 1970").as_millis()).expect("a clock before the year 292 million")
}

/// A number that differs from call to call in no obvious order; the same in each run.
#[must_use]
pub fn shuffled(number: u64) -> u64 {
    number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}

/// How many rounds a test that kills runs: `DAYWATCH_SOAK`, or `usual`.
#[expect(clippy::disallowed_methods, reason = "a soak is asked for by the environment")]
pub fn rounds(usual: u64) -> u64 {
    std::env::var("DAYWATCH_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
