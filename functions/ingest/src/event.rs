//! What wakes `ingest` on AWS: pushes over HTTP, and agents' batches and heartbeats by websocket.

use lambda::connections::Connections;
use lambda::http::{Asked, response};
use lambda::websocket::{Socket, What, status};
use lambda::{Deadline, Event, Failure};
use pipeline::wire::AgentFrame;
use pipeline::{Context, Fault, PortError, Response, ingest};
use serde_json::Value;

/// One event, and its answer. Whose connections are whose is remembered between events.
pub async fn answer(
    context: &Context,
    connections: &Connections,
    deadline: Deadline,
    event: Value,
) -> Result<Value, Failure> {
    match Event::read(event)? {
        Event::Http(Ok(request)) => {
            let asked = Asked::of(&request);
            let answer = deadline.within(crate::handle(context, &request)).await.unwrap_or_else(|| {
                let what = "not everything was taken in time: send it again, what was taken counts once";
                Response::of(&Fault::Unavailable(PortError::transient("ingest", what)))
            });
            Ok(response(answer, asked))
        }
        Event::Http(Err(fault)) => Ok(response(Response::of(&fault), Asked::unknown())),
        Event::Socket(Socket { id, what, .. }) => {
            let work = async {
                // Gone, or its key was revoked: without an ack the agent keeps what it sent.
                let Some(connection) = connections.find(&context.ports, &id).await? else { return Ok(410) };
                frame(context, &connection, what).await
            };
            let code = deadline.within(work).await.ok_or(Failure::Late { what: "a batch" })??;
            Ok(status(code))
        }
        other => Err(other.not_for("ingest").into()),
    }
}

/// An agent's frame. What cannot be read is told to the sender and counted.
async fn frame(context: &Context, connection: &pipeline::connect::Connection, what: What) -> Result<u16, Fault> {
    let bad = async |reason: &str, text: &str| ingest::bad_frame(context, connection, reason, text).await.map(|()| 200);
    let text = match what {
        What::Frame(text) => text,
        What::Binary => return bad("binary_frame", "frames are text (JSON), not binary").await,
        What::Connect(_) | What::Disconnect => {
            return Err(Fault::Internal("a route leads to the wrong function".into()));
        }
    };
    if connection.page {
        return bad("not_an_agent", "a page sends no batches").await;
    }
    match AgentFrame::from_json(&text) {
        Ok(frame @ (AgentFrame::Batch { .. } | AgentFrame::Heartbeat { .. })) => {
            crate::message(context, connection, &frame).await.map(|()| 200)
        }
        Ok(_) => bad("wrong_route", "this frame is not for ingest").await,
        Err(error) => bad(error.reason(), &error.to_string()).await,
    }
}

#[cfg(test)]
mod tests;
