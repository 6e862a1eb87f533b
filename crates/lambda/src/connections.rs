//! Whose connection it is: remembered by a warm process for as long as a connection lives.
//!
//! Who has said hello stays who it is, so an agent that sends once a minute costs no read. The
//! authorizer let a connection in once and for good; that its key is still good is looked at here, each
//! 30 s for each key, however many connections it has opened. A key that was revoked ends them all.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pipeline::connect::{self, Connection};
use pipeline::{ConnectionId, Fault, Ports, Timestamp, keys};

/// That a key is good is believed for so long.
pub const CONNECTION_FRESH_MS: i64 = 30_000;
/// A connection is looked up again after this: no gateway keeps one for longer than two hours.
pub const CONNECTION_KNOWN_MS: i64 = 2 * 3_600_000;
/// Connections that are remembered; beyond, all are forgotten and looked up again. At some 400 bytes
/// each, this fits into the smallest function.
pub const CONNECTIONS_KNOWN_MAX: usize = 40_000;
/// Keys that are remembered; beyond, all are forgotten and looked up again.
pub const KEYS_KNOWN_MAX: usize = 10_000;

/// What a warm process knows.
#[derive(Debug, Default)]
pub struct Connections {
    known: Mutex<BTreeMap<ConnectionId, (Timestamp, Connection)>>,
    /// When each key was found good last.
    keys: Mutex<BTreeMap<String, Timestamp>>,
}

impl Connections {
    /// The connection, or `None` where there is none (any more): it is told to end.
    pub async fn find(&self, ports: &Ports, id: &ConnectionId) -> Result<Option<Connection>, Fault> {
        let now = ports.clock.now();
        let known = self.known().get(id).cloned();
        let known = known.filter(|(at, _)| at.plus_ms(CONNECTION_KNOWN_MS) > now).map(|(_, connection)| connection);
        let connection = match known {
            Some(connection) if self.key_is_fresh(&connection.caller.key_id, now) => {
                note_tenant(&connection);
                return Ok(Some(connection));
            }
            // Its key may have been revoked, which removes the connection.
            known => {
                self.known().remove(id);
                match known {
                    Some(connection) => Some(connection),
                    None => connect::find(ports, id).await?,
                }
            }
        };
        let Some(connection) = connection else {
            // A frame that overtook the end of its connection, or one whose key was revoked.
            ports.push.disconnect(id).await?;
            return Ok(None);
        };
        match keys::still_valid(ports, &connection.caller.key_id).await {
            Ok(()) => {}
            Err(Fault::Unauthorized(why)) => {
                tracing::warn!(key_id = connection.caller.key_id, "its connections are ended: {why}");
                connect::disconnect_key(ports, &connection.caller.key_id).await?;
                return Ok(None);
            }
            Err(fault) => return Err(fault),
        }
        self.key_is_good(&connection.caller.key_id, now);
        self.remember(now, &connection);
        note_tenant(&connection);
        Ok(Some(connection))
    }

    fn key_is_fresh(&self, key_id: &str, now: Timestamp) -> bool {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(key_id).is_some_and(|at| at.plus_ms(CONNECTION_FRESH_MS) > now)
    }

    fn key_is_good(&self, key_id: &str, now: Timestamp) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= KEYS_KNOWN_MAX {
            keys.clear();
        }
        keys.insert(key_id.to_owned(), now);
    }

    /// It is like this from now on.
    pub fn remember(&self, now: Timestamp, connection: &Connection) {
        // Before its hello an agent has no name, and the hello may come through another process.
        if connection.source.is_none() && !connection.page {
            return;
        }
        let mut known = self.known();
        if known.len() >= CONNECTIONS_KNOWN_MAX {
            known.clear();
        }
        known.insert(connection.id.clone(), (now, connection.clone()));
    }

    /// It has ended.
    pub fn forget(&self, id: &ConnectionId) {
        self.known().remove(id);
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, (Timestamp, Connection)>> {
        // Whatever a panic left is at worst looked up again.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose event it is, for the logs.
fn note_tenant(connection: &Connection) {
    tracing::Span::current().record("tenant", connection.caller.tenant.as_str());
}

#[cfg(test)]
mod tests {
    use embedded::{Embedded, Memory};
    use pipeline::TenantId;
    use pipeline::keys::KeyKind;

    use super::*;

    async fn opened(memory: &Memory, source: Option<&str>) -> (String, Connection) {
        let ports = memory.embedded.ports();
        let key = keys::create(&ports, TenantId::default(), KeyKind::Agent, "").await.unwrap();
        let caller = keys::authenticate_text(&ports, &key).await.unwrap();
        let key_id = caller.key_id.clone();
        let id = ConnectionId("c".to_owned());
        let mut connection = connect::connect(&ports, id, caller, false).await.unwrap();
        connection.source = source.map(|name| pipeline::SourceName::new(name).unwrap());
        (key_id, connection)
    }

    #[tokio::test]
    async fn a_revoked_keys_connection_ends_within_thirty_seconds() {
        let memory = Embedded::memory(1).unwrap();
        let ports = memory.embedded.ports();
        let (key_id, connection) = opened(&memory, Some("web-1")).await;
        let known = Connections::default();
        known.remember(ports.clock.now(), &connection);
        assert_eq!(known.find(&ports, &connection.id).await.unwrap(), Some(connection.clone()));
        keys::revoke(&ports, &TenantId::default(), &key_id).await.unwrap();
        memory.clock.advance_ms(CONNECTION_FRESH_MS - 1);
        assert_eq!(known.find(&ports, &connection.id).await.unwrap(), Some(connection.clone()));
        memory.clock.advance_ms(1);
        assert_eq!(known.find(&ports, &connection.id).await.unwrap(), None);
        assert_eq!(connect::find(&ports, &connection.id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn who_has_not_said_hello_is_looked_up_each_time() {
        let memory = Embedded::memory(1).unwrap();
        let ports = memory.embedded.ports();
        let (_, connection) = opened(&memory, None).await;
        let known = Connections::default();
        assert_eq!(known.find(&ports, &connection.id).await.unwrap(), Some(connection.clone()));
        assert!(known.known().is_empty());
        known.forget(&connection.id);
        assert_eq!(known.find(&ports, &ConnectionId("other".to_owned())).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_remembered_at_the_limit_and_one_past_it() {
        let memory = Embedded::memory(1).unwrap();
        let (_, connection) = opened(&memory, Some("web-1")).await;
        let known = Connections::default();
        let remember = |n: usize| {
            let id = ConnectionId(n.to_string());
            known.remember(Timestamp(0), &Connection { id, ..connection.clone() });
            known.known().len()
        };
        for n in 1..=CONNECTIONS_KNOWN_MAX {
            assert_eq!(remember(n), n);
        }
        assert_eq!(remember(0), 1);
    }

    #[test]
    fn keys_at_the_limit_and_one_past_it() {
        let known = Connections::default();
        for n in 0..KEYS_KNOWN_MAX {
            known.key_is_good(&n.to_string(), Timestamp(0));
        }
        assert!(known.key_is_fresh("0", Timestamp(0)), "all of them are known");
        known.key_is_good("one more", Timestamp(0));
        assert!(known.key_is_fresh("one more", Timestamp(0)) && !known.key_is_fresh("0", Timestamp(0)));
    }
}
