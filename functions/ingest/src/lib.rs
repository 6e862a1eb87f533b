//! `ingest`: data comes in. Batches by websocket; Graphite lines and passive checks by HTTP.

use pipeline::connect::Connection;
use pipeline::http::{Request, Response};
use pipeline::wire::AgentFrame;
use pipeline::{Context, Fault, ingest, keys};

/// Whether a request is this function's.
#[must_use]
pub fn serves(request: &Request) -> bool {
    matches!((request.method.as_str(), request.path.as_str()), (_, "/graphite") | ("POST", "/api/v1/checks"))
}

/// A push over HTTP. 200 where everything was taken, 400 where something was refused: the answer
/// says what, and what was good is stored either way.
pub async fn handle(context: &Context, request: &Request) -> Response {
    answer(context, request).await.into()
}

async fn answer(context: &Context, request: &Request) -> Result<Response, Fault> {
    let caller = keys::authenticate(&context.ports, request).await?;
    if request.method != "POST" {
        return Err(Fault::Method(request.method.clone()));
    }
    let pushed = match request.path.as_str() {
        "/graphite" => ingest::graphite(context, &caller, request).await?,
        "/api/v1/checks" => ingest::checks(context, &caller, request).await?,
        other => return Err(Fault::NotFound(format!("nothing is taken at {other}"))),
    };
    if pushed.rejected.is_empty() {
        return Ok(Response::success(pushed));
    }
    let refused: u64 = pushed.rejected.iter().map(|r| r.count).sum();
    let first = pushed.rejected.first().map(|r| format!("{}: {}", r.reason, r.first)).unwrap_or_default();
    Ok(Response::json(
        400,
        &serde_json::json!({
            "status": "error",
            "errorType": "bad_data",
            "error": format!("{} accepted, {refused} rejected; first {first}", pushed.accepted),
            "data": pushed,
        }),
    ))
}

/// A frame whose action is `batch` or `heartbeat`.
pub async fn message(context: &Context, connection: &Connection, frame: &AgentFrame) -> Result<(), Fault> {
    match frame {
        AgentFrame::Batch { payload, epoch, seq } => ingest::batch(context, connection, payload, epoch.zip(*seq)).await,
        AgentFrame::Heartbeat { epoch, counters } => {
            ingest::heartbeat(&context.ports, connection, *epoch, counters).await
        }
        _ => Err(Fault::bad("this is neither a batch nor a heartbeat")),
    }
}

#[cfg(feature = "event")]
pub mod event;

#[cfg(test)]
mod tests;
