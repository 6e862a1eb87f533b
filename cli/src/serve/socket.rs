//! One websocket: its frames in order to the functions, what is posted to it back out.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use embedded::Outgoing;
use futures_util::{SinkExt, StreamExt};
use pipeline::connect::Connection;

use super::House;

/// A connection without any frame for this long is closed (API Gateway: 10 min).
const IDLE: Duration = Duration::from_secs(10 * 60);
/// A connection lives no longer (API Gateway: 2 h; agents reconnect before): what is stored of it
/// has an end as well.
const LIFE: Duration = Duration::from_secs(2 * 3_600);
/// A peer that does not take a message in this time is cut.
const SEND: Duration = Duration::from_secs(20);

/// Runs a connection to its end.
pub(super) async fn run(house: Arc<House>, socket: WebSocket, connection: Connection, mut outgoing: Outgoing) {
    let (mut sink, mut stream) = socket.split();
    let writer = tokio::spawn(async move {
        while let Some(text) = outgoing.next().await {
            match tokio::time::timeout(SEND, sink.send(Message::Text(text.into()))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
        // Disconnected: the server ends the connection.
        let _ = tokio::time::timeout(SEND, sink.close()).await;
    });
    let mut writer = Some(writer);
    let mut connection = connection;
    let mut stopping = house.stopping();
    let life = tokio::time::sleep(LIFE);
    tokio::pin!(life);
    loop {
        let ended = async {
            match writer.as_mut() {
                Some(writer) => drop(writer.await),
                None => std::future::pending().await,
            }
        };
        let message = tokio::select! {
            message = tokio::time::timeout(IDLE, stream.next()) => message,
            () = ended => { writer = None; break }
            _ = stopping.wait_for(|stop| *stop) => break,
            () = &mut life => break,
        };
        let Ok(Some(Ok(message))) = message else { break };
        match message {
            Message::Text(text) => connection = house.frame(connection, text.as_str()).await,
            Message::Binary(_) => {
                connection = house.bad_frame(connection, "binary_frame", "frames are text (JSON), not binary").await;
            }
            Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
    // The end of the server is not the end of its agents: the next start gives them time to come
    // back (`connect::forget_all`).
    if !*stopping.borrow() {
        house.disconnected(&connection).await;
    }
    if let Some(writer) = writer {
        // What was posted last (a `bye`) still goes out.
        if let Err(error) = house.context.ports.push.disconnect(&connection.id).await {
            tracing::error!(connection = %connection.id, "{error}");
        }
        let _ = tokio::time::timeout(SEND, writer).await;
    }
}
