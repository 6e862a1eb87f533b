//! The push port: the websockets that are open in this process. Whoever owns a socket registers it
//! and sends on what it receives; a receiver that is slow gets less, and nobody waits for it. It
//! must not know what is sent.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ports::{ConnectionId, PUSH_BYTES_MAX, PortError, Push, Pushed};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Messages that wait for one connection; beyond, it is throttled.
pub const MESSAGES_WAITING_MAX: usize = 64;

#[derive(Default)]
struct Registry {
    open: Mutex<HashMap<ConnectionId, Entry>>,
    next_registration: AtomicU64,
    throttled: AtomicU64,
}

struct Entry {
    registration: u64,
    sender: mpsc::Sender<String>,
}

/// The push port. Clones are the same connections.
#[derive(Clone, Default)]
pub struct Connections(Arc<Registry>);

/// A connection's outgoing messages. Dropping it ends the registration.
pub struct Outgoing {
    id: ConnectionId,
    registration: u64,
    receiver: mpsc::Receiver<String>,
    registry: Arc<Registry>,
}

impl Connections {
    /// Makes a connection known. One of the same name before it is disconnected.
    #[must_use]
    pub fn register(&self, id: ConnectionId) -> Outgoing {
        let (sender, receiver) = mpsc::channel(MESSAGES_WAITING_MAX);
        let registration = self.0.next_registration.fetch_add(1, Ordering::Relaxed);
        self.0.open().insert(id.clone(), Entry { registration, sender });
        Outgoing { id, registration, receiver, registry: Arc::clone(&self.0) }
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.open().len()
    }

    /// Messages that were not taken because their receivers were slow.
    #[must_use]
    pub fn throttled(&self) -> u64 {
        self.0.throttled.load(Ordering::Relaxed)
    }

    /// Disconnects all, for a stop.
    pub fn disconnect_all(&self) {
        self.0.open().clear();
    }
}

impl Outgoing {
    /// The next message; `None` once the connection shall be closed.
    pub async fn next(&mut self) -> Option<String> {
        self.receiver.recv().await
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        let mut open = self.registry.open();
        if open.get(&self.id).is_some_and(|entry| entry.registration == self.registration) {
            open.remove(&self.id);
        }
    }
}

impl Registry {
    fn open(&self) -> MutexGuard<'_, HashMap<ConnectionId, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Push for Connections {
    async fn post(&self, connection: &ConnectionId, text: String) -> Result<Pushed, PortError> {
        let mut open = self.0.open();
        let Some(entry) = open.get(connection) else { return Ok(Pushed::Gone) };
        if text.len() > PUSH_BYTES_MAX {
            return Ok(Pushed::TooLarge);
        }
        match entry.sender.try_send(text) {
            Ok(()) => Ok(Pushed::Sent),
            Err(TrySendError::Full(_)) => {
                self.0.throttled.fetch_add(1, Ordering::Relaxed);
                Ok(Pushed::Throttled)
            }
            Err(TrySendError::Closed(_)) => {
                open.remove(connection);
                Ok(Pushed::Gone)
            }
        }
    }

    async fn disconnect(&self, connection: &ConnectionId) -> Result<(), PortError> {
        self.0.open().remove(connection);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ConnectionId {
        ConnectionId(name.to_owned())
    }

    #[tokio::test]
    async fn a_slow_receiver_is_throttled_at_its_limit_and_counted() {
        let connections = Connections::default();
        let mut outgoing = connections.register(id("a"));
        for n in 0..MESSAGES_WAITING_MAX {
            assert_eq!(connections.post(&id("a"), n.to_string()).await, Ok(Pushed::Sent));
        }
        assert_eq!(connections.post(&id("a"), "late".to_owned()).await, Ok(Pushed::Throttled));
        assert_eq!(connections.throttled(), 1);
        assert_eq!(outgoing.next().await.as_deref(), Some("0"));
        assert_eq!(connections.post(&id("a"), "next".to_owned()).await, Ok(Pushed::Sent));
    }

    #[tokio::test]
    async fn a_second_registration_outlives_the_first() {
        let connections = Connections::default();
        let mut first = connections.register(id("a"));
        let mut second = connections.register(id("a"));
        assert_eq!(first.next().await, None, "the first is told to close");
        drop(first);
        assert_eq!(connections.post(&id("a"), "x".to_owned()).await, Ok(Pushed::Sent));
        assert_eq!(second.next().await.as_deref(), Some("x"));
        drop(second);
        assert_eq!(connections.post(&id("a"), "x".to_owned()).await, Ok(Pushed::Gone));
        assert_eq!(connections.open(), 0);
    }

    #[tokio::test]
    async fn a_stop_closes_every_connection() {
        let connections = Connections::default();
        let mut outgoing = connections.register(id("a"));
        connections.disconnect_all();
        assert_eq!(outgoing.next().await, None);
    }
}
