//! Two transactions at one item refuse each other at once, without waiting. That is no answer about
//! a condition, so it is asked again a few times before the caller hears of it.

use std::time::Duration;

use ports::{ErrorClass, PortError};

use crate::clock::random_below;

/// Tries of a write that others get in the way of.
pub(super) const TRIES_MAX: u32 = 8;
/// The wait before the second try is random below this, and doubles.
const BACKOFF_MS: u64 = 10;

/// Tries until the answer is not a conflict.
pub(super) async fn settled<T, A>(mut attempt: impl FnMut() -> A) -> Result<T, PortError>
where
    A: Future<Output = Result<T, PortError>>,
{
    for tries in 0..TRIES_MAX - 1 {
        match attempt().await {
            Err(error) if error.class == ErrorClass::Conflict => {
                tokio::time::sleep(Duration::from_millis(1 + random_below(BACKOFF_MS << tries))).await;
            }
            answer => return answer,
        }
    }
    attempt().await
}
