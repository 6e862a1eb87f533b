//! From the server's HTTP URL and the key to an open websocket.

use std::sync::Arc;

use hyper::Uri;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::config::{Config, KeySource};
use crate::net::{Address, Dialer, NetError, Wire};

/// Bytes of a frame from the server.
pub const SERVER_FRAME_BYTES_MAX: usize = 256 << 10;
/// Bytes of a key.
pub const KEY_BYTES_MAX: usize = 1_024;

/// An open websocket.
pub type Socket = WebSocketStream<Box<dyn Wire>>;

/// Why there is no websocket.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("the key file {path} cannot be read: {what}")]
    Key { path: String, what: String },
    #[error("GET {url}: {error}")]
    Endpoints { url: String, error: NetError },
    #[error("GET {url}: the answer names no websocket: {what}")]
    NoWebsocket { url: String, what: String },
    #[error("{url}: {error}")]
    Connect { url: String, error: NetError },
    #[error("{url}: {}", refusal(*status))]
    Refused { url: String, status: u16 },
    #[error("{url}: {what}")]
    Websocket { url: String, what: String },
}

/// What a status says where a websocket was asked for.
fn refusal(status: u16) -> String {
    match status {
        401 | 403 => format!(
            "the server refuses the key (status {status}): it is wrong, revoked, of another server, or not an agent's"
        ),
        404 => {
            "the server has no websockets there (status 404): is it a Daywatch, and what stands before it?".to_owned()
        }
        429 => "the server has no room at the moment (status 429)".to_owned(),
        _ => format!("the server answered with status {status}"),
    }
}

impl DialError {
    /// Whether it is about the key: 401 or 403.
    #[must_use]
    pub fn key_refused(&self) -> bool {
        match self {
            Self::Refused { status, .. } | Self::Endpoints { error: NetError::Status { status, .. }, .. } => {
                matches!(status, 401 | 403)
            }
            Self::Key { .. } => true,
            _ => false,
        }
    }
}

/// Makes websockets to one server.
#[derive(Clone)]
pub struct Dial {
    url: String,
    key: KeySource,
    dialer: Arc<Mutex<Dialer>>,
}

#[derive(Deserialize)]
struct Endpoints {
    #[serde(default)]
    websocket: Option<String>,
    #[serde(default)]
    data: Option<Box<Endpoints>>,
}

impl Dial {
    /// To the server of the configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let dialer = Arc::new(Mutex::new(Dialer::new(config)));
        Self { url: config.url.clone(), key: config.key.clone(), dialer }
    }

    /// Whether the server is on this host.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let uri: Option<Uri> = self.url.parse().ok();
        uri.and_then(|uri| Address::of(&uri).ok()).is_some_and(|address| address.is_local())
    }

    /// Asks for the websocket's address and opens it.
    pub async fn connect(&mut self) -> Result<Socket, DialError> {
        // Read each time, so that a key can be replaced without a restart.
        let key = read_key(&self.key)?;
        let url = self.endpoints(&key).await?;
        let wrong = |what: String| DialError::Websocket { url: url.clone(), what };
        let mut request = url.as_str().into_client_request().map_err(|error| wrong(error.to_string()))?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| wrong("the key holds characters that no key has".to_owned()))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert("authorization", bearer);
        let failed = |error| DialError::Connect { url: url.clone(), error };
        let address = Address::of(request.uri()).map_err(failed)?;
        let wire = self.dialer.lock().await.dial(&address).await.map_err(failed)?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(SERVER_FRAME_BYTES_MAX))
            .max_frame_size(Some(SERVER_FRAME_BYTES_MAX))
            .read_buffer_size(8 << 10)
            .write_buffer_size(0);
        use tokio_tungstenite::tungstenite::Error;
        match tokio_tungstenite::client_async_with_config(request, wire, Some(config)).await {
            Ok((socket, _)) => Ok(socket),
            Err(Error::Http(answer)) => Err(DialError::Refused { url, status: answer.status().as_u16() }),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    async fn endpoints(&self, key: &str) -> Result<String, DialError> {
        let url = format!("{}/api/v1/endpoints", self.url);
        let no_websocket = |what: String| DialError::NoWebsocket { url: url.clone(), what };
        let uri: Uri = url.parse().map_err(|_| no_websocket("not a URL".to_owned()))?;
        let answer = self.dialer.lock().await.get(&uri, key).await;
        let body = answer.map_err(|error| DialError::Endpoints { url: url.clone(), error })?;
        let read: Endpoints = serde_json::from_slice(&body).map_err(|error| no_websocket(error.to_string()))?;
        let inner = read.data.and_then(|data| data.websocket);
        read.websocket.or(inner).ok_or_else(|| no_websocket("no field `websocket`".to_owned()))
    }
}

/// The key's text.
fn read_key(key: &KeySource) -> Result<String, DialError> {
    let path = match key {
        KeySource::Given(key) => return Ok(key.clone()),
        KeySource::File(path) => path,
    };
    let failed = |what: String| DialError::Key { path: path.display().to_string(), what };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let key = text.trim();
    match key.len() {
        0 => Err(failed("it is empty".to_owned())),
        1..=KEY_BYTES_MAX => Ok(key.to_owned()),
        bytes => Err(failed(format!("it has {bytes} bytes, at most {KEY_BYTES_MAX} are allowed"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_at_the_limit_and_one_past_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let source = KeySource::File(path.clone());
        assert!(read_key(&source).unwrap_err().key_refused());
        for (text, good) in [
            ("dw_agent_1_x\n".to_owned(), true),
            ("\n".to_owned(), false),
            ("x".repeat(KEY_BYTES_MAX), true),
            ("x".repeat(KEY_BYTES_MAX + 1), false),
        ] {
            std::fs::write(&path, &text).unwrap();
            let read = read_key(&source);
            assert_eq!(read.is_ok(), good, "{} bytes", text.len());
            assert!(!read.err().is_some_and(|error| error.to_string().contains("xxx")));
        }
    }
}
