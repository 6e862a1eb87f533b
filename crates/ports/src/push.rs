//! Text to an open websocket connection.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::PortError;

/// Bytes of one message (API Gateway: 128 KB, metered in 32 KB units).
pub const PUSH_BYTES_MAX: usize = 128 * 1024;

/// Names one open connection, as the gateway does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnectionId(pub String);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// Handed to the connection.
    Sent,
    /// There is no such connection any more.
    Gone,
    /// Above [`PUSH_BYTES_MAX`].
    TooLarge,
    /// The gateway, or a slow receiver, does not take more now.
    Throttled,
}

/// Sends to connections.
#[async_trait]
pub trait Push: Send + Sync {
    /// Sends one text message.
    async fn post(&self, connection: &ConnectionId, text: String) -> Result<Pushed, PortError>;

    /// Ends a connection; one that is gone already is a success.
    async fn disconnect(&self, connection: &ConnectionId) -> Result<(), PortError>;
}
