//! What Daywatch knows of itself: sources, checks, whether a pager is connected, tickets.

use pipeline::http::{Request, Response};
use pipeline::keys::Caller;
use pipeline::{Context, Fault, checks, outbox, sources, tickets};
use serde_json::json;

/// Answers below `/api/v1/`.
pub(crate) async fn answer(
    context: &Context,
    caller: &Caller,
    request: &Request,
    path: &[&str],
) -> Result<Response, Fault> {
    match path {
        ["sources"] => Ok(Response::success(sources::all(context, &caller.tenant).await?)),
        ["checks"] => Ok(Response::success(checks::all(&context.ports, &caller.tenant).await?)),
        ["status", "pager"] => Ok(Response::success(outbox::pager(context, &caller.tenant).await?)),
        // Prometheus's clients ask for it to learn what they talk to.
        ["status", "buildinfo"] => Ok(Response::success(json!({
            "application": "Daywatch",
            "version": env!("CARGO_PKG_VERSION"),
            "revision": "",
            "branch": "",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
        }))),
        _ => Err(Fault::NotFound(format!("there is nothing at {}", request.path))),
    }
}

/// Where websockets are opened. Needs no key: an agent asks before it has said who it is.
pub(crate) fn endpoints(context: &Context) -> Result<Response, Fault> {
    Ok(Response::json(200, &json!({ "websocket": context.settings.websocket_url })))
}

/// A one-time ticket for a websocket of a browser.
pub(crate) async fn ticket(context: &Context, caller: &Caller) -> Result<Response, Fault> {
    caller.may_read()?;
    let (ticket, expires_at_ms) = tickets::issue(&context.ports, caller).await?;
    let ws_url = &context.settings.websocket_url;
    Ok(Response::success(json!({ "ticket": ticket, "ws_url": ws_url, "expires_at_ms": expires_at_ms })))
}
