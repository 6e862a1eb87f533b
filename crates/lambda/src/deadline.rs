//! When to stop: 2 s before AWS would, so that what is not done is handed back in order.
//!
//! Dropping work at the deadline is the same as a crash there, and every use case can be repeated
//! after a crash at any point.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// What is kept for handing back.
pub const MARGIN: Duration = Duration::from_secs(2);

/// The time at which an invocation stops working.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// For who has all the time: simulators and tests.
    #[must_use]
    pub fn never() -> Self {
        Self(None)
    }

    /// `remaining` is what AWS leaves to the invocation. Of less than twice the margin, half is
    /// worked in, so that a short timeout still does something.
    #[must_use]
    pub fn of(remaining: Duration) -> Self {
        Self(Some(Instant::now() + working_time(remaining)))
    }

    /// The output, or `None` where it was not there in time. After the deadline nothing is begun.
    pub async fn within<T>(self, work: impl Future<Output = T>) -> Option<T> {
        match self.0 {
            None => Some(work.await),
            Some(_) if self.passed() => None,
            Some(at) => timeout_at(at, work).await.ok(),
        }
    }

    /// Waits for `pause`, but not past the deadline. A simulator's time does not pass by itself:
    /// without a deadline there is no waiting.
    pub async fn pause(self, pause: Duration) {
        if self.0.is_some() {
            // Whether it was cut short does not matter to who only waits.
            let _ = self.within(tokio::time::sleep(pause)).await;
        }
    }

    /// Whether it has passed.
    #[must_use]
    pub fn passed(self) -> bool {
        self.0.is_some_and(|at| Instant::now() >= at)
    }
}

fn working_time(remaining: Duration) -> Duration {
    remaining - MARGIN.min(remaining / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_ends_two_seconds_before_aws_would_end_it() {
        for (remaining, working) in [(30_000, 28_000), (4_001, 2_001), (4_000, 2_000), (3_998, 1_999), (0, 0)] {
            assert_eq!(working_time(Duration::from_millis(remaining)), Duration::from_millis(working));
        }
    }

    #[tokio::test]
    async fn what_is_not_there_in_time_is_dropped() {
        let soon = Deadline::of(Duration::from_millis(20));
        assert_eq!(soon.within(std::future::ready(1)).await, Some(1));
        assert_eq!(soon.within(std::future::pending::<()>()).await, None);
        assert!(soon.passed());
        assert_eq!(soon.within(std::future::ready(1)).await, None);
        assert!(!Deadline::never().passed());
        assert_eq!(Deadline::never().within(tokio::task::yield_now()).await, Some(()));
    }
}
