//! Push: what became of a message is a value, never an error.

use std::sync::Arc;

use async_trait::async_trait;

use super::{done, some};
use crate::{ConnectionId, PUSH_BYTES_MAX, Push, Pushed};

/// A push port, and the other ends of its connections.
#[async_trait]
pub trait PushHarness: Send {
    /// The port.
    fn push(&self) -> Arc<dyn Push>;
    /// Opens a connection.
    async fn connect(&mut self) -> ConnectionId;
    /// The next message on it; `None` where the server has closed it.
    async fn receive(&mut self, connection: &ConnectionId) -> Option<String>;
    /// The other end goes away without a word.
    async fn leave(&mut self, connection: &ConnectionId);
}

/// All of it.
pub async fn run(harness: &mut dyn PushHarness) {
    let push = harness.push();
    let (one, two) = (harness.connect().await, harness.connect().await);
    let post =
        async |connection: &ConnectionId, text: &str| done(push.post(connection, text.to_owned()).await, "a post");

    assert_eq!(post(&one, "for one").await, Pushed::Sent);
    assert_eq!(post(&two, "for two").await, Pushed::Sent);
    assert_eq!(post(&one, "then this").await, Pushed::Sent);
    assert_eq!(harness.receive(&one).await.as_deref(), Some("for one"));
    assert_eq!(harness.receive(&one).await.as_deref(), Some("then this"), "messages keep their order");
    assert_eq!(harness.receive(&two).await.as_deref(), Some("for two"), "each gets its own");

    let at_limit = "x".repeat(PUSH_BYTES_MAX);
    assert_eq!(post(&one, &at_limit).await, Pushed::Sent, "a message at the limit");
    assert_eq!(some(harness.receive(&one).await, "the message at the limit").len(), PUSH_BYTES_MAX);
    assert_eq!(post(&one, &format!("{at_limit}x")).await, Pushed::TooLarge, "a message past the limit");
    assert_eq!(post(&one, "still there").await, Pushed::Sent, "a refused message does not end the connection");
    assert_eq!(harness.receive(&one).await.as_deref(), Some("still there"));

    let unknown = ConnectionId("never-was".to_owned());
    assert_eq!(post(&unknown, "x").await, Pushed::Gone);
    done(push.disconnect(&unknown).await, "disconnecting what never was");

    done(push.disconnect(&one).await, "disconnecting");
    assert_eq!(post(&one, "x").await, Pushed::Gone, "after disconnecting");
    assert_eq!(harness.receive(&one).await, None, "the other end is told");
    done(push.disconnect(&one).await, "disconnecting twice");

    harness.leave(&two).await;
    assert_eq!(post(&two, "x").await, Pushed::Gone, "after the other end has gone");
}
