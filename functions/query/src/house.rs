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
        _ => Err(Fault::NotFound(format!("there is nothing at {}", request.path))),
    }
}

/// Where websockets are opened. Needs no key: an agent asks before it has said who it is.
pub(crate) fn endpoints(context: &Context, request: &Request) -> Result<Response, Fault> {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Err(Fault::Method(request.method.clone()));
    }
    Ok(Response::json(200, &json!({ "websocket": websocket_url(&context.settings.websocket_url, request) })))
}

/// The websocket's address as whoever asks can reach it.
fn websocket_url(setting: &str, request: &Request) -> String {
    match request.header("host") {
        Some(host) if setting.starts_with('/') => {
            let scheme = if request.header("x-forwarded-proto") == Some("https") { "wss" } else { "ws" };
            format!("{scheme}://{host}{setting}")
        }
        _ => setting.to_owned(),
    }
}

/// A one-time ticket for a websocket of a browser.
pub(crate) async fn ticket(context: &Context, caller: &Caller, request: &Request) -> Result<Response, Fault> {
    caller.may_read()?;
    if request.method != "POST" {
        return Err(Fault::Method(request.method.clone()));
    }
    let (ticket, expires_at_ms) = tickets::issue(&context.ports, caller).await?;
    let ws_url = websocket_url(&context.settings.websocket_url, request);
    Ok(Response::success(json!({ "ticket": ticket, "ws_url": ws_url, "expires_at_ms": expires_at_ms })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn websockets_are_where_the_request_came_to() {
        let check = |setting: &str, headers: &[(&str, &str)], expected: &str| {
            let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(websocket_url(setting, &Request { headers, ..Request::default() }), expected);
        };
        let (tunnel, proxy) = (("host", "127.0.0.1:8080"), ("host", "mon.example.org"));
        check("/ws", &[tunnel], "ws://127.0.0.1:8080/ws");
        check("/ws", &[proxy, ("x-forwarded-proto", "https")], "wss://mon.example.org/ws");
        check("wss://x.example.org/prod", &[proxy], "wss://x.example.org/prod");
        check("/ws", &[], "/ws");
    }
}
