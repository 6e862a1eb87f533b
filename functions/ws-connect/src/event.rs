//! What wakes `ws-connect` on AWS: the authorizer's question, and everything on a websocket that is
//! neither a batch nor a heartbeat.
//!
//! Nothing is posted while a connection is being opened: the gateway would answer that it is gone.

use lambda::connections::Connections;
use lambda::websocket::{Admitted, Authorize, Socket, What, allow, deny, status};
use lambda::{Deadline, Event, Failure};
use pipeline::connect::{self, Connection};
use pipeline::http::Request;
use pipeline::wire::{AgentFrame, BrowserFrame};
use pipeline::{ConnectionId, Context, Fault, ingest};
use serde_json::Value;

use crate::After;

/// One event, and its answer. Whose connections are whose is remembered between events.
pub async fn answer(
    context: &Context,
    connections: &Connections,
    deadline: Deadline,
    event: Value,
) -> Result<Value, Failure> {
    match Event::read(event)? {
        Event::Authorize(asked) => {
            Ok(deadline.within(authorize(context, asked)).await.ok_or(Failure::Late { what: "the authorizer" })??)
        }
        Event::Socket(Socket { id, admitted, what }) => {
            let work = async {
                match what {
                    What::Connect(request) => open(context, id, admitted, &request).await,
                    What::Disconnect => close(context, connections, &id).await,
                    What::Frame(text) => frame(context, connections, &id, &text).await,
                    What::Binary => binary(context, connections, &id).await,
                }
            };
            Ok(status(deadline.within(work).await.ok_or(Failure::Late { what: "a frame" })??))
        }
        other => Err(other.not_for("ws-connect").into()),
    }
}

/// Who may not is refused; where that cannot be told, the gateway answers 500 and the agent tries
/// again.
async fn authorize(context: &Context, asked: Authorize) -> Result<Value, Fault> {
    match crate::authorize(context, &asked.request).await {
        Ok((caller, page)) => Ok(allow(&asked.method_arn, &Admitted { caller, page })),
        Err(fault @ (Fault::Unauthorized(_) | Fault::Forbidden(_))) => {
            // Never the key itself: its id at the most.
            tracing::warn!(key_id = key_id(&asked.request), "websocket refused: {fault}");
            Ok(deny(&asked.method_arn))
        }
        Err(fault) => Err(fault),
    }
}

fn key_id(request: &Request) -> String {
    let token = request.header("authorization").and_then(|header| header.split_once(' ')).map_or("", |(_, t)| t);
    pipeline::keys::id_of(token).unwrap_or("none").to_owned()
}

/// Opens; an API without an authorizer is looked after as well.
async fn open(
    context: &Context,
    id: ConnectionId,
    admitted: Option<Admitted>,
    request: &Request,
) -> Result<u16, Fault> {
    let opened = match admitted {
        Some(Admitted { caller, page }) => crate::admit(context, id, caller, page).await,
        None => crate::open(context, id, request).await,
    };
    match opened {
        Ok(connection) => {
            tracing::info!(tenant = %connection.caller.tenant, connection = %connection.id, "opened");
            Ok(200)
        }
        Err(fault) if fault.status() < 500 => {
            tracing::warn!(key_id = key_id(request), "websocket refused: {fault}");
            Ok(fault.status())
        }
        Err(fault) => Err(fault),
    }
}

/// The gateway may tell of it late, twice or never.
async fn close(context: &Context, connections: &Connections, id: &ConnectionId) -> Result<u16, Fault> {
    connections.forget(id);
    if let Some(connection) = connect::find(&context.ports, id).await? {
        crate::close(context, &connection).await?;
    }
    Ok(200)
}

async fn binary(context: &Context, connections: &Connections, id: &ConnectionId) -> Result<u16, Fault> {
    let Some(connection) = connections.find(&context.ports, id).await? else { return Ok(410) };
    ingest::bad_frame(context, &connection, "binary_frame", "frames are text (JSON), not binary").await?;
    Ok(200)
}

async fn frame(context: &Context, connections: &Connections, id: &ConnectionId, text: &str) -> Result<u16, Fault> {
    let Some(connection) = connections.find(&context.ports, id).await? else { return Ok(410) };
    if connection.page {
        page_frame(context, &connection, text).await?;
    } else {
        agent_frame(context, connections, connection, text).await?;
    }
    Ok(200)
}

async fn page_frame(context: &Context, connection: &Connection, text: &str) -> Result<(), Fault> {
    match BrowserFrame::from_json(text) {
        Ok(frame) => crate::page_frame(context, connection, frame).await,
        Err(error) => ingest::bad_frame(context, connection, error.reason(), &error.to_string()).await,
    }
}

async fn agent_frame(
    context: &Context,
    connections: &Connections,
    connection: Connection,
    text: &str,
) -> Result<(), Fault> {
    let frame = match AgentFrame::from_json(text) {
        // The route's name is the frame's, so this is a route that leads to the wrong function.
        Ok(AgentFrame::Batch { .. }) => {
            return ingest::bad_frame(context, &connection, "wrong_route", "a batch is for ingest").await;
        }
        Ok(frame) => frame,
        Err(error) => return ingest::bad_frame(context, &connection, error.reason(), &error.to_string()).await,
    };
    let id = connection.id.clone();
    match crate::agent_frame(context, connection, &frame).await? {
        After::Stays(connection) => connections.remember(context.ports.clock.now(), &connection),
        After::Ends => connections.forget(&id),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
