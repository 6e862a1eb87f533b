//! One websocket through the gateway.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::http::{Head, answer};
use super::{Behind, FRAME_BYTES_MAX, LIFE, Limits, MESSAGE_BYTES_MAX, Statistics};

/// What the server may say at once: the push limit, and something around it.
const FROM_SERVER_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;
/// Headers that go on to the server.
const PASSED_ON: [&str; 2] = ["authorization", "user-agent"];

type Server = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Client = WebSocketStream<TcpStream>;

/// Opens the server's side, then the client's: who is refused there is refused here.
pub(super) async fn open(mut stream: TcpStream, rest: Vec<u8>, head: &Head, behind: &Behind) {
    let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
    let mut url = behind.websocket_upstream(path);
    if !query.is_empty() {
        url = format!("{url}{}{query}", if url.contains('?') { '&' } else { '?' });
    }
    let server = match connect(&url, head).await {
        Ok(server) => server,
        Err(Error::Http(refused)) => {
            let body = refused.body().clone().unwrap_or_default();
            let _ = answer(&mut stream, refused.status().as_u16(), "application/json", &body).await;
            return;
        }
        Err(error) => {
            let _ = answer(&mut stream, 502, "text/plain", error.to_string().as_bytes()).await;
            return;
        }
    };
    let Some(key) = head.header("sec-websocket-key") else {
        let _ = answer(&mut stream, 400, "text/plain", b"no Sec-WebSocket-Key").await;
        return;
    };
    let accepted = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    if stream.write_all(accepted.as_bytes()).await.is_err() {
        return;
    }
    let config =
        WebSocketConfig::default().max_frame_size(Some(FRAME_BYTES_MAX)).max_message_size(Some(MESSAGE_BYTES_MAX));
    let client = WebSocketStream::from_partially_read(stream, rest, Role::Server, Some(config)).await;
    Statistics::add(&behind.statistics.connections, 1);
    Passage { client, server, limits: behind.limits, statistics: &behind.statistics, waiting: None, messages: 0 }
        .run()
        .await;
}

async fn connect(url: &str, head: &Head) -> Result<Server, Error> {
    let mut request = url.into_client_request()?;
    for name in PASSED_ON {
        if let Some(value) = head.header(name).and_then(|value| value.parse().ok()) {
            request.headers_mut().insert(name, value);
        }
    }
    let config = WebSocketConfig::default()
        .max_frame_size(Some(FROM_SERVER_BYTES_MAX))
        .max_message_size(Some(FROM_SERVER_BYTES_MAX));
    tokio_tungstenite::connect_async_with_config(request, Some(config), true).await.map(|(socket, _)| socket)
}

/// Messages of one connection, both ways.
struct Passage<'a> {
    client: Client,
    server: Server,
    limits: Limits,
    statistics: &'a Statistics,
    /// A message that may be overtaken, and until when.
    waiting: Option<(Message, Instant)>,
    messages: u64,
}

/// Why a connection ends.
enum End {
    /// The client has to be told.
    Cut(CloseCode, &'static str),
    /// One side is gone already.
    Gone,
}

impl Passage<'_> {
    async fn run(mut self) {
        let end = self.pass().await;
        if let End::Cut(code, reason) = end {
            let frame = CloseFrame { code, reason: reason.into() };
            let _ = self.client.close(Some(frame)).await;
        } else {
            let _ = self.client.close(None).await;
        }
        // A message that was taken is handled, whatever becomes of its connection.
        if let Some((message, _)) = self.waiting.take() {
            let _ = self.server.send(message).await;
        }
        let _ = self.server.close(None).await;
    }

    async fn pass(&mut self) -> End {
        let old = Instant::now() + self.limits.life;
        let mut idle = Instant::now() + self.limits.idle;
        loop {
            let overtaken_until = self.waiting.as_ref().map_or(old, |(_, until)| *until);
            tokio::select! {
                said = self.client.next() => match said {
                    Some(Ok(message)) if message.is_text() => {
                        idle = Instant::now() + self.limits.idle;
                        if !self.take(message).await {
                            return End::Gone;
                        }
                    }
                    Some(Ok(Message::Binary(_))) => {
                        Statistics::add(&self.statistics.cut_binary, 1);
                        return End::Cut(CloseCode::Unsupported, "text frames only");
                    }
                    Some(Err(Error::Capacity(_))) => {
                        Statistics::add(&self.statistics.cut_large, 1);
                        return End::Cut(CloseCode::Size, "frame or message too large");
                    }
                    Some(Ok(Message::Close(_))) | Some(Err(_)) | None => {
                        Statistics::add(&self.statistics.ended_by_client, 1);
                        return End::Gone;
                    }
                    // Control frames are no messages.
                    Some(Ok(_)) => {}
                },
                said = self.server.next() => match said {
                    Some(Ok(Message::Text(text))) => {
                        idle = Instant::now() + self.limits.idle;
                        self.count(text.len(), false);
                        let message = Message::text(scaled(&text, self.limits.life));
                        if self.client.send(message).await.is_err() {
                            return End::Gone;
                        }
                    }
                    Some(Ok(Message::Close(_))) | Some(Err(_)) | None => return End::Gone,
                    Some(Ok(_)) => {}
                },
                () = sleep_until(overtaken_until), if self.waiting.is_some() => {
                    if let Some((message, _)) = self.waiting.take()
                        && self.server.send(message).await.is_err()
                    {
                        return End::Gone;
                    }
                }
                () = sleep_until(old) => {
                    Statistics::add(&self.statistics.cut_old, 1);
                    return End::Cut(CloseCode::Away, "the connection is too old");
                }
                () = sleep_until(idle) => {
                    Statistics::add(&self.statistics.cut_idle, 1);
                    return End::Cut(CloseCode::Away, "the connection is idle");
                }
            }
        }
    }

    /// A message of the client. Every other one waits for a moment whether the next overtakes it.
    async fn take(&mut self, message: Message) -> bool {
        self.count(message.len(), true);
        self.messages += 1;
        let Some((first, _)) = self.waiting.take() else {
            if self.messages.is_multiple_of(2) && !self.limits.overtake.is_zero() {
                self.waiting = Some((message, Instant::now() + self.limits.overtake));
                return true;
            }
            return self.server.send(message).await.is_ok();
        };
        Statistics::add(&self.statistics.overtaken, 1);
        self.server.send(message).await.is_ok() && self.server.send(first).await.is_ok()
    }

    fn count(&self, bytes: usize, inward: bool) {
        let units = bytes.div_ceil(FRAME_BYTES_MAX).max(1) as u64;
        let statistics = self.statistics;
        let (messages, metered) = if inward {
            (&statistics.messages_in, &statistics.units_in)
        } else {
            (&statistics.messages_out, &statistics.units_out)
        };
        Statistics::add(messages, 1);
        Statistics::add(metered, units);
    }
}

/// A `welcome` whose time to reconnect goes by as fast as the connection's life.
fn scaled(text: &str, life: Duration) -> String {
    let welcome = serde_json::from_str::<Value>(text).ok().filter(|frame| frame["kind"] == "welcome" && life < LIFE);
    let Some(mut welcome) = welcome else { return text.to_owned() };
    if let Some(after_ms) = welcome["reconnect_after_ms"].as_u64() {
        let scaled = u128::from(after_ms) * life.as_millis() / LIFE.as_millis();
        welcome["reconnect_after_ms"] = Value::from(u64::try_from(scaled).unwrap_or(u64::MAX));
    }
    welcome.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_welcome_is_scaled() {
        let text = r#"{"kind":"welcome","version":1,"server_time_ms":5,"reconnect_after_ms":6900000}"#;
        let fast: Value = serde_json::from_str(&scaled(text, LIFE / 1_000)).unwrap();
        assert_eq!(fast["reconnect_after_ms"], 6_900);
        assert_eq!(scaled(text, LIFE), text);
        let ack = r#"{"kind":"ack","epoch":1,"ranges":[[1,2]]}"#;
        assert_eq!(scaled(ack, LIFE / 1_000), ack);
    }
}
