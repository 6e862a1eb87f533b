//! `ws-connect`: who may open a websocket, and everything on it that is not a batch.

use pipeline::connect::{self, Connection};
use pipeline::http::Request;
use pipeline::keys::Caller;
use pipeline::wire::{AgentFrame, BrowserFrame};
use pipeline::{ConnectionId, Context, Fault, ingest, keys, live, tickets};

/// A websocket opens: an agent with its key, a browser with a one-time ticket.
pub async fn open(context: &Context, id: ConnectionId, request: &Request) -> Result<Connection, Fault> {
    let (caller, page) = authorize(context, request).await?;
    admit(context, id, caller, page).await
}

/// Who wants to open a websocket, and whether it is a page. Uses up the ticket.
pub async fn authorize(context: &Context, request: &Request) -> Result<(Caller, bool), Fault> {
    let ports = &context.ports;
    let (caller, page) = match request.parameter("ticket") {
        Some(ticket) => (tickets::redeem(ports, ticket).await?, true),
        None => (keys::authenticate(ports, request).await?, false),
    };
    // Told here already: a gateway that is refused later has opened the connection.
    if page {
        caller.may_read()?
    } else {
        caller.may_push()?
    }
    Ok((caller, page))
}

/// Opens the websocket of somebody who was let in.
pub async fn admit(context: &Context, id: ConnectionId, caller: Caller, page: bool) -> Result<Connection, Fault> {
    connect::connect(&context.ports, id, caller, page).await
}

/// What is to become of the connection.
#[derive(Debug)]
pub enum After {
    /// It goes on like this.
    Stays(Connection),
    /// It was told to end.
    Ends,
}

/// An agent's frame other than a batch.
pub async fn agent_frame(context: &Context, connection: Connection, frame: &AgentFrame) -> Result<After, Fault> {
    let ports = &context.ports;
    match frame {
        AgentFrame::Hello { .. } => {
            return Ok(match connect::hello(context, &connection, frame).await? {
                Some(connection) => After::Stays(connection),
                None => After::Ends,
            });
        }
        AgentFrame::Heartbeat { epoch, counters } => {
            ingest::heartbeat(ports, &connection, *epoch, counters).await?;
        }
        // The disconnect that follows ends the lease.
        AgentFrame::Bye { .. } | AgentFrame::Unknown => {}
        AgentFrame::Batch { .. } => return Err(Fault::bad("a batch is `ingest`'s")),
    }
    Ok(After::Stays(connection))
}

/// A page's frame.
pub async fn page_frame(context: &Context, connection: &Connection, frame: BrowserFrame) -> Result<(), Fault> {
    live::frame(&context.ports, connection, frame).await
}

/// A websocket has ended.
pub async fn close(context: &Context, connection: &Connection) -> Result<(), Fault> {
    connect::disconnect(&context.ports, connection).await
}

#[cfg(feature = "event")]
pub mod event;

#[cfg(test)]
mod tests;
