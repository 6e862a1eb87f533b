//! HTTP and websockets by axum, turned into the neutral requests and frames that the functions
//! take. Knows no use case; on AWS, API Gateway does this.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response as HttpResponse};
use axum::routing::{any, get};
use pipeline::http::{BODY_BYTES_MAX, RawRequest, form};
use pipeline::{Fault, Request, Response};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{House, reads, socket};

/// Bytes that a websocket reads at once. Each holds a buffer of this size, and there are thousands.
const SOCKET_READ_BYTES: usize = 8 * 1024;
/// A message above this ends the connection; one above a frame's limit is answered with an error.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Serves until `stop` turns true, then finishes what is under way.
pub(super) async fn serve(
    listener: TcpListener,
    house: Arc<House>,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let app = Router::new()
        .route("/-/healthy", get(|| async { "Daywatch is healthy.\n" }))
        .route("/-/ready", get(|| async { "Daywatch is ready.\n" }))
        .route("/ws", any(websocket))
        .fallback(request)
        .with_state(house)
        .into_make_service_with_connect_info::<SocketAddr>();
    let stopped = async move {
        // A closed channel is a stop as well.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, app).with_graceful_shutdown(stopped).await.context("the HTTP server ended")
}

async fn request(State(house): State<Arc<House>>, request: axum::extract::Request) -> HttpResponse {
    // Of an answer to HEAD, hyper sends the headers alone: the length is that of a GET's body.
    let answer = match neutral(request).await {
        Ok(request) => reads::answer(house, request).await,
        Err(fault) => Response::of(&fault),
    };
    http(answer)
}

async fn neutral(request: axum::extract::Request) -> Result<Request, Fault> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Fault::TooLarge {
        bytes: parts.headers.get("content-length").and_then(|v| v.to_str().ok()?.parse().ok()).unwrap_or(0),
        max: BODY_BYTES_MAX,
        limit: "body_bytes_max",
    })?;
    let headers = text_headers(&parts.headers);
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or(""));
    RawRequest { method: parts.method.as_str(), path, query, headers, body }.decode()
}

fn text_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn http(response: Response) -> HttpResponse {
    let mut builder = axum::http::Response::builder().status(response.status);
    for (name, value) in &response.headers {
        builder = builder.header(name, value);
    }
    builder.body(Body::from(response.body)).unwrap_or_else(|error| {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("the answer has a bad header: {error}\n")).into_response()
    })
}

async fn websocket(
    State(house): State<Arc<House>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: axum::extract::Request,
) -> HttpResponse {
    let (mut parts, _body) = request.into_parts();
    let opening = Request {
        method: "GET".to_owned(),
        path: "/ws".to_owned(),
        parameters: form(parts.uri.query().unwrap_or("")),
        headers: text_headers(&parts.headers),
        body: bytes::Bytes::new(),
    };
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &house).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let id = house.new_connection_id();
    let outgoing = house.embedded.connections().register(id.clone());
    match house.connect(id.clone(), &opening).await {
        Ok(connection) => upgrade
            .max_message_size(MESSAGE_BYTES_MAX)
            .read_buffer_size(SOCKET_READ_BYTES)
            .write_buffer_size(0)
            .on_upgrade(move |socket| socket::run(house, socket, connection, outgoing)),
        Err(fault) => {
            // Never the key itself: its id at the most.
            tracing::warn!(peer = %peer, status = fault.status(), "websocket refused: {fault}");
            http(Response::of(&fault))
        }
    }
}
