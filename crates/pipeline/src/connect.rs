//! The websocket's life: connect, hello, disconnect, and who holds a source's name.
//!
//! Presence is a lease. Connecting writes it; heartbeats and data renew it through the stream
//! (`aggregate` notes `last_seen` in the manifest), so that no message costs a write of its own.
//! A clean disconnect ends it at once, but only the lease of that very connection.

use ports::{Condition, ConnectionId, Key, Partition, Ports, Pushed, TenantId, Timestamp, Write, Written};
use serde::{Deserialize, Serialize};
use series::{Epoch, SourceName};
use wire::{AgentFrame, FROM_AGENT_PROTOCOL, PageFrame, ServerFrame};

use crate::error::Fault;
use crate::keys::Caller;
use crate::{Context, ingest, keys, live, presence, progress, sources, wishes};

/// How long a source counts as present after its last sign of life (heartbeat: 60 s).
pub const PRESENCE_LEASE_MS: i64 = 150_000;
/// When agents are told to reconnect: before AWS ends a connection (2 h), spread by the agent.
pub const RECONNECT_AFTER_MS: u64 = 115 * 60_000;
/// How long a connection's item outlives a lost disconnect.
const CONNECTION_LIFE_MS: i64 = 3 * 3_600_000;
/// How soon an agent whose name is taken may try again.
const NAME_TAKEN_RETRY_MS: u64 = 10_000;
/// How soon an agent of another protocol version may try again.
const VERSION_RETRY_MS: u64 = 60_000;
/// How soon an agent whose hello cannot be taken may try again: somebody has to change it first.
const BAD_HELLO_RETRY_MS: u64 = 60_000;

/// An open connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The gateway's name for it.
    pub id: ConnectionId,
    /// Who opened it.
    pub caller: Caller,
    /// Whether a browser opened it, with a ticket.
    pub page: bool,
    /// The source, once its hello was accepted.
    pub source: Option<SourceName>,
}

/// Who holds a source's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// The connection that said hello last.
    pub connection: ConnectionId,
    /// The process behind it.
    pub run_id: String,
    /// Its buffer's life.
    pub epoch: Epoch,
    /// Its host name, for people.
    pub host: String,
    /// Its version, for people.
    pub agent_version: String,
    /// When it said hello.
    pub connected_at_ms: Timestamp,
    /// When the connection ended, where that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at_ms: Option<Timestamp>,
    /// Since when the source may be heard again, where the silence before was the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_since_ms: Option<Timestamp>,
    /// The newest attempt of another process to take the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<NameConflict>,
    /// How often rules want it to flush, as it was told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<wishes::Wished>,
}

/// Another agent of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameConflict {
    /// Its host name.
    pub host: String,
    /// Its process.
    pub run_id: String,
    /// When it last tried.
    pub at_ms: Timestamp,
    /// For a person.
    pub text: String,
}

/// A connection opens. Agents come with a key, browsers with a ticket that is used up here.
pub async fn connect(ports: &Ports, id: ConnectionId, caller: Caller, page: bool) -> Result<Connection, Fault> {
    if page {
        caller.may_read()?;
    } else {
        caller.may_push()?;
    }
    let connection = Connection { id, caller, page, source: None };
    save(ports, &connection).await?;
    // Looked at after the connection is stored: whoever revokes the key either finds the connection
    // or is found here. A ticket may be older than its key's end as well.
    if let Err(fault) = keys::still_valid(ports, &connection.caller.key_id).await {
        disconnect(ports, &connection).await?;
        return Err(fault);
    }
    if page {
        live::page_opened(ports, &connection).await?;
    }
    Ok(connection)
}

/// The connection as stored, for a gateway that does not remember it.
pub async fn find(ports: &Ports, id: &ConnectionId) -> Result<Option<Connection>, Fault> {
    let item = ports.table.get(&Key::new(Partition::Connections, &id.0)).await?;
    item.map(|item| parse(&item.value, "connection")).transpose()
}

/// An agent says hello. Answers the connection as it is from now on; `None` where it was refused
/// and told to end.
pub async fn hello(
    context: &Context,
    connection: &Connection,
    frame: &AgentFrame,
) -> Result<Option<Connection>, Fault> {
    let ports = &context.ports;
    let AgentFrame::Hello { version, source, epoch, run_id, host, agent_version, counters } = frame else {
        return Err(Fault::bad("the first frame of a connection is `hello`"));
    };
    if *version != FROM_AGENT_PROTOCOL {
        let older =
            if *version > FROM_AGENT_PROTOCOL { "the server is the older one" } else { "the agent is the older one" };
        let text = format!(
            "agent {agent_version:?} speaks version {version} of the protocol, this server {FROM_AGENT_PROTOCOL} ({older})"
        );
        return end(ports, connection, "version", text, VERSION_RETRY_MS).await.map(|()| None);
    }
    let name = match SourceName::new(source) {
        Ok(name) if name.as_str() != ingest::OWN_SOURCE => name,
        Ok(name) => {
            let text = format!("hello.source: {:?} is Daywatch's own name", name.as_str());
            return end(ports, connection, "bad_hello", text, BAD_HELLO_RETRY_MS).await.map(|()| None);
        }
        Err(error) => {
            let text = format!("hello.source: {error}");
            return end(ports, connection, "bad_hello", text, BAD_HELLO_RETRY_MS).await.map(|()| None);
        }
    };
    let tenant = &connection.caller.tenant;
    let now = ports.clock.now();
    let lease = Presence {
        connection: connection.id.clone(),
        run_id: run_id.clone(),
        epoch: *epoch,
        host: host.clone(),
        agent_version: agent_version.clone(),
        connected_at_ms: now,
        gone_at_ms: None,
        expected_since_ms: None,
        conflict: None,
        wish: None,
    };
    let (before, wish) = match take_name(ports, tenant, &name, lease).await? {
        Taken::Now { before, wish } => (before, wish),
        Taken::By(holder) => return refuse_name(ports, connection, &name, &holder, host).await.map(|()| None),
    };
    // A connection that only seems open must not go on sending under this name.
    if let Some(before) = before.filter(|before| *before != connection.id) {
        ports.push.disconnect(&before).await?;
    }
    if let Some(other) = connection.source.as_ref().filter(|other| **other != name) {
        end_lease(ports, tenant, other, &connection.id).await?;
    }
    let connection = Connection { source: Some(name), ..connection.clone() };
    save(ports, &connection).await?;
    // Before the welcome: an agent that is welcome may rely on it that all of this is done.
    ingest::heartbeat(ports, &connection, *epoch, counters).await?;
    let welcome = ServerFrame::Welcome {
        version: FROM_AGENT_PROTOCOL,
        server_time_ms: now,
        reconnect_after_ms: RECONNECT_AFTER_MS,
        config_rev: 0,
        ack_delay_ms: context.acks.delay_ms(),
    };
    live::post(ports, &connection.id, &welcome).await?;
    if let Some(wish) = wish.filter(|wish| wish.expires_at_ms > now) {
        live::post(ports, &connection.id, &wish.frame()).await?;
    }
    Ok(Some(connection))
}

async fn refuse_name(
    ports: &Ports,
    connection: &Connection,
    name: &SourceName,
    holder: &Presence,
    host: &str,
) -> Result<(), Fault> {
    let text = format!(
        "another agent named {name:?} is connected (from host {:?}, since {}): give one of them another `name`",
        holder.host,
        holder.connected_at_ms,
        name = name.as_str(),
    );
    tracing::warn!(tenant = %connection.caller.tenant, source = %name, host, "two agents of one name");
    end(ports, connection, "name_taken", text, NAME_TAKEN_RETRY_MS).await
}

/// A connection has ended.
pub async fn disconnect(ports: &Ports, connection: &Connection) -> Result<(), Fault> {
    let key = Key::new(Partition::Connections, &connection.id.0);
    ports.table.write(Write::Delete { key, condition: Condition::Always }).await?;
    if connection.page {
        return live::page_closed(ports, connection).await;
    }
    match &connection.source {
        Some(source) => end_lease(ports, &connection.caller.tenant, source, &connection.id).await,
        None => Ok(()),
    }
}

/// Forgets every connection: for a process that starts, and whose earlier sockets cannot live. Their
/// agents are not gone, they only had nobody to talk to: each has a lease's time to come back.
pub async fn forget_all(ports: &Ports) -> Result<(), Fault> {
    for item in ports.table.query_all(&Partition::Connections, "", "").await? {
        let connection: Connection = parse(&item.value, "connection")?;
        let Some(source) = connection.source.as_ref().filter(|_| !connection.page) else {
            disconnect(ports, &connection).await?;
            continue;
        };
        let now = ports.clock.now();
        let expect = |lease: &mut Presence| lease.expected_since_ms = Some(now);
        change_lease(ports, &connection.caller.tenant, source, &connection.id, expect).await?;
        let key = Key::new(Partition::Connections, &connection.id.0);
        ports.table.write(Write::Delete { key, condition: Condition::Always }).await?;
    }
    Ok(())
}

/// Ends every connection that a revoked key opened.
pub async fn disconnect_key(ports: &Ports, key_id: &str) -> Result<(), Fault> {
    for item in ports.table.query_all(&Partition::Connections, "", "").await? {
        let connection: Connection = parse(&item.value, "connection")?;
        if connection.caller.key_id == key_id {
            end(ports, &connection, "key_revoked", "this key was revoked".to_owned(), 0).await?;
            disconnect(ports, &connection).await?;
        }
    }
    Ok(())
}

/// Says why, and ends the connection.
async fn end(
    ports: &Ports,
    connection: &Connection,
    reason: &str,
    text: String,
    retry_after_ms: u64,
) -> Result<(), Fault> {
    live::post(ports, &connection.id, &ServerFrame::Bye { reason: reason.to_owned(), text, retry_after_ms }).await?;
    Ok(ports.push.disconnect(&connection.id).await?)
}

/// All leases of a tenant, by source.
pub async fn presences(ports: &Ports, tenant: &TenantId) -> Result<Vec<(SourceName, Presence)>, Fault> {
    let items = ports.table.query_all(&Partition::Presence(tenant.clone()), "", "").await?;
    let mut leases = Vec::with_capacity(items.len());
    for item in items {
        let source = SourceName::new(&item.sort).map_err(|e| Fault::Internal(e.to_string()))?;
        leases.push((source, parse(&item.value, "presence")?));
    }
    Ok(leases)
}

/// The lease of one source.
pub(crate) async fn presence(ports: &Ports, tenant: &TenantId, source: &SourceName) -> Result<Option<Presence>, Fault> {
    let item = ports.table.get(&Key::new(Partition::Presence(tenant.clone()), source.as_str())).await?;
    item.map(|item| parse(&item.value, "presence")).transpose()
}

enum Taken {
    /// The connection of the other process that had it before.
    Now {
        before: Option<ConnectionId>,
        /// What rules wish of the source.
        wish: Option<wishes::Wished>,
    },
    By(Presence),
}

async fn take_name(ports: &Ports, tenant: &TenantId, name: &SourceName, lease: Presence) -> Result<Taken, Fault> {
    let key = Key::new(Partition::Presence(tenant.clone()), name.as_str());
    loop {
        let item = ports.table.get(&key).await?;
        let holder: Option<Presence> = item.as_ref().map(|item| parse(&item.value, "presence")).transpose()?;
        let condition = item.as_ref().map_or(Condition::Absent, |item| Condition::Version(item.version));
        let (next, taken) = match holder {
            Some(holder) if holds(ports, tenant, name, &holder, &lease).await? => {
                let conflict = NameConflict {
                    host: lease.host.clone(),
                    run_id: lease.run_id.clone(),
                    at_ms: lease.connected_at_ms,
                    text: format!(
                        "two agents are named {:?}: one on host {:?} is connected, one on host {:?} was refused",
                        name.as_str(),
                        holder.host,
                        lease.host
                    ),
                };
                (Presence { conflict: Some(conflict), ..holder.clone() }, Taken::By(holder))
            }
            // The conflict stays known while this same process holds on to the name.
            Some(holder) if holder.run_id == lease.run_id => {
                // It opens the next connection before it ends the one that it still sends on.
                let wish = holder.wish;
                (Presence { conflict: holder.conflict, wish, ..lease.clone() }, Taken::Now { before: None, wish })
            }
            holder => {
                let wish = holder.as_ref().and_then(|holder| holder.wish);
                let before = holder.map(|holder| holder.connection);
                (Presence { wish, ..lease.clone() }, Taken::Now { before, wish })
            }
        };
        let value = serde_json::to_vec(&next).map_err(|e| Fault::Internal(e.to_string()))?;
        match ports.table.write(Write::put(key.clone(), value, condition)).await? {
            Written::Done(_) => return Ok(taken),
            Written::ConditionFailed(_) => continue,
        }
    }
}

/// Whether another process is alive under this name.
async fn holds(
    ports: &Ports,
    tenant: &TenantId,
    name: &SourceName,
    holder: &Presence,
    newcomer: &Presence,
) -> Result<bool, Fault> {
    if holder.gone_at_ms.is_some() || holder.run_id == newcomer.run_id {
        return Ok(false);
    }
    if ports.push.post(&holder.connection, text_of(&ServerFrame::Unknown)?).await? == Pushed::Gone {
        return Ok(false);
    }
    // A holder that is not heard because the pipeline is late is not silent.
    let seen = sources::last_seen(ports, tenant, name).await?;
    Ok(presence::is_present(holder, seen, progress::silence_proven_to(ports).await?))
}

/// Ends the lease that this very connection holds, and tells open pages.
async fn end_lease(ports: &Ports, tenant: &TenantId, source: &SourceName, id: &ConnectionId) -> Result<(), Fault> {
    let now = ports.clock.now();
    if change_lease(ports, tenant, source, id, |lease| lease.gone_at_ms = Some(now)).await? {
        live::post_to_pages(ports, tenant, &PageFrame::Gone { sources: vec![source.as_str().to_owned()] }).await?;
    }
    Ok(())
}

/// Changes the lease of a source, where this very connection holds it. Answers whether it did.
pub(crate) async fn change_lease(
    ports: &Ports,
    tenant: &TenantId,
    source: &SourceName,
    id: &ConnectionId,
    change: impl Fn(&mut Presence) + Send,
) -> Result<bool, Fault> {
    let key = Key::new(Partition::Presence(tenant.clone()), source.as_str());
    loop {
        let Some(item) = ports.table.get(&key).await? else { return Ok(false) };
        let mut lease: Presence = parse(&item.value, "presence")?;
        if lease.connection != *id || lease.gone_at_ms.is_some() {
            return Ok(false);
        }
        change(&mut lease);
        let value = serde_json::to_vec(&lease).map_err(|e| Fault::Internal(e.to_string()))?;
        let write = Write::put(key.clone(), value, Condition::Version(item.version));
        if let Written::Done(_) = ports.table.write(write).await? {
            return Ok(true);
        }
    }
}

async fn save(ports: &Ports, connection: &Connection) -> Result<(), Fault> {
    let write = Write::Put {
        key: Key::new(Partition::Connections, &connection.id.0),
        value: serde_json::to_vec(connection).map_err(|e| Fault::Internal(e.to_string()))?.into(),
        expires_at: Some(ports.clock.now().plus_ms(CONNECTION_LIFE_MS)),
        condition: Condition::Always,
    };
    ports.table.write(write).await?;
    Ok(())
}

fn text_of(frame: &ServerFrame) -> Result<String, Fault> {
    serde_json::to_string(frame).map_err(|e| Fault::Internal(e.to_string()))
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|e| Fault::Internal(format!("a stored {what} cannot be read: {e}")))
}
