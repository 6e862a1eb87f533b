//! Wake-ups that come as messages of a queue.
//!
//! A queue delays by whole seconds and 15 min at most, and delivers more than once. What that means
//! for a message (due, not yet, had already) is known to whoever sent it: the adapter.

use async_trait::async_trait;
use pipeline::Wake;
use ports::PortError;

/// What a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// It is due now: handle it.
    Due(Wake),
    /// Nothing to do: it was sent again for later.
    Settled,
}

/// The other side of [`ports::Timer`].
#[async_trait]
pub trait Wakes: Send + Sync {
    /// Tells what a message is, and waits where it is due within the second. Whatever has to be
    /// sent again or noted is when this returns. A message that is no wake-up is a permanent error.
    async fn received(&self, body: &str) -> Result<Received, PortError>;
}

/// Wake-ups of which each comes once and in time, as a simulator's do.
pub struct PlainWakes;

#[async_trait]
impl Wakes for PlainWakes {
    async fn received(&self, body: &str) -> Result<Received, PortError> {
        let wake = serde_json::from_str(body);
        wake.map(Received::Due).map_err(|error| PortError::permanent("timer", format!("no wake-up: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use pipeline::{TenantId, Timestamp};

    use super::*;

    #[tokio::test]
    async fn a_message_is_a_wake_or_says_why_not() {
        let wake = Wake { at: Timestamp(5_750), tenant: TenantId::default(), what: "rules".to_owned() };
        let body = serde_json::to_string(&wake).unwrap();
        assert_eq!(PlainWakes.received(&body).await.unwrap(), Received::Due(wake));
        for body in ["", "{}", "[1]"] {
            assert!(!PlainWakes.received(body).await.unwrap_err().is_transient(), "{body}");
        }
    }
}
