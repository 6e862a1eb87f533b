//! An agent's websocket without an agent: for frames that a real one would never send, and for a
//! load whose ledger the test keeps itself.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use series::Epoch;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use wire::{AgentFrame, Counters, ServerFrame};

use crate::place::Place;
use crate::wait::PATIENCE;

/// How long an answer of a living server may take.
const ANSWER_MAX: Duration = PATIENCE;

/// An open connection.
pub struct AgentSocket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl AgentSocket {
    /// Connects with `key`. The error tells the HTTP status where there was an answer.
    pub async fn open(place: &Place, key: &str) -> Result<Self, tungstenite::Error> {
        let url = place.websocket_url().await.ok_or(tungstenite::Error::ConnectionClosed)?;
        let mut request = url.into_client_request()?;
        let value = format!("Bearer {key}").parse().expect("a key can stand in a header");
        request.headers_mut().insert("authorization", value);
        let (socket, _) = tokio_tungstenite::connect_async(request).await?;
        Ok(Self(socket))
    }

    /// Connects and says hello; answers once it is welcome.
    pub async fn welcomed(place: &Place, source: &str, epoch: Epoch) -> Option<Self> {
        let mut socket = Self::open(place, &place.agent_key).await.ok()?;
        socket.send(&hello(source, epoch)).await?;
        loop {
            match socket.next().await? {
                ServerFrame::Welcome { .. } => return Some(socket),
                ServerFrame::Bye { .. } => return None,
                _ => {}
            }
        }
    }

    /// Sends a frame; `None` where the connection is gone.
    pub async fn send(&mut self, frame: &AgentFrame) -> Option<()> {
        self.send_message(Message::text(frame.to_json())).await
    }

    /// Sends anything.
    pub async fn send_message(&mut self, message: Message) -> Option<()> {
        tokio::time::timeout(ANSWER_MAX, self.0.send(message)).await.ok()?.ok()
    }

    /// The next frame; `None` where the connection is gone, or where a gateway before the server says
    /// that it could not hand over a message: nobody will answer that one.
    pub async fn next(&mut self) -> Option<ServerFrame> {
        loop {
            match tokio::time::timeout(ANSWER_MAX, self.0.next()).await.expect("a frame in time")? {
                Ok(Message::Text(text)) if is_gateways(&text) => return None,
                Ok(Message::Text(text)) => {
                    return Some(ServerFrame::from_json(&text).unwrap_or_else(|error| panic!("{error}: {text}")));
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

/// API Gateway's own, `{"message":"Internal server error","connectionId":…,"requestId":…}`, or what an
/// emulator says instead, `{"errorType":…,"errorMessage":…}`.
fn is_gateways(text: &str) -> bool {
    (text.starts_with("{\"message\"") && text.contains("\"connectionId\"")) || text.starts_with("{\"errorType\"")
}

/// A hello as an agent's.
#[must_use]
pub fn hello(source: &str, epoch: Epoch) -> AgentFrame {
    AgentFrame::Hello {
        version: 1,
        source: source.to_owned(),
        epoch,
        run_id: format!("run-of-{source}"),
        host: "a-test".to_owned(),
        agent_version: "0".to_owned(),
        counters: Counters::default(),
    }
}
