//! `ingest`: data comes in. Batches by websocket; Graphite lines and passive checks by HTTP.

use pipeline::connect::Connection;
use pipeline::http::{Request, Response};
use pipeline::ingest::limits;
use pipeline::wire::AgentFrame;
use pipeline::{Context, Fault, ingest, keys};

/// When what was above a limit of a minute may be sent again.
const RETRY_AFTER_SECONDS: u32 = 30;

/// Whether a request is this function's.
#[must_use]
pub fn serves(request: &Request) -> bool {
    matches!(
        (request.method.as_str(), request.path.as_str()),
        (_, "/graphite" | "/api/v1/write" | "/v1/metrics") | ("POST", "/api/v1/checks")
    )
}

/// A push over HTTP. 200 (204 for remote write) where everything was taken, 400 where something was
/// refused, 422 or 429 where a limit was met: the answer says what, and what was good is stored either
/// way. OTLP has answers of its own.
pub async fn handle(context: &Context, request: &Request) -> Response {
    match answer(context, request).await {
        Err(fault) if request.path == "/v1/metrics" => ingest::otlp::fault(request, &fault),
        answer => answer.into(),
    }
}

async fn answer(context: &Context, request: &Request) -> Result<Response, Fault> {
    let caller = keys::authenticate(&context.ports, request).await?;
    if request.method != "POST" {
        return Err(Fault::Method(request.method.clone()));
    }
    let pushed = match request.path.as_str() {
        "/api/v1/write" => ingest::remote_write(context, &caller, request).await?,
        "/v1/metrics" => return ingest::otlp::receive(context, &caller, request).await,
        "/graphite" => ingest::graphite(context, &caller, request).await?,
        "/api/v1/checks" => ingest::checks(context, &caller, request).await?,
        other => return Err(Fault::NotFound(format!("nothing is taken at {other}"))),
    };
    if pushed.rejected.is_empty() {
        let silent = request.path == "/api/v1/write";
        return Ok(if silent { Response::empty(204) } else { Response::success(pushed) });
    }
    Ok(refused(&pushed))
}

/// What was refused of a push, with the first of it.
fn refused(pushed: &ingest::Pushed) -> Response {
    let status = limits::status(pushed.rejected.iter().map(|rejection| rejection.reason.as_str()));
    let count: u64 = pushed.rejected.iter().map(|r| r.count).sum();
    let first = pushed.rejected.first().map(|r| format!("{}: {}", r.reason, r.first)).unwrap_or_default();
    let mut response = Response::json(
        status,
        &serde_json::json!({
            "status": "error",
            "errorType": match status { 429 => "too_many_requests", 422 => "execution", _ => "bad_data" },
            "error": format!("{} accepted, {count} rejected; first {first}", pushed.accepted),
            "data": pushed,
        }),
    );
    if status == 429 {
        response.headers.push(("retry-after".to_owned(), RETRY_AFTER_SECONDS.to_string()));
    }
    response
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
