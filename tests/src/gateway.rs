//! A strict gateway: what stands between agents and our functions on AWS, and is missing in an
//! emulator and in `serve`. It goes before either, and passes HTTP on as it comes.
//!
//! After "Amazon API Gateway quotas, WebSocket API": text frames only (a binary one ends the
//! connection with 1003), frames of 32 KB and messages of 128 KB (1009), an idle connection ends
//! after 10 min and every one after 2 h (1001), new connections a second are limited (429). Two
//! messages of one connection may be handled at once: here the second sometimes overtakes the first.
//! What is metered is counted: messages, and units of 32 KB, both ways.
//!
//! The times can be scaled. So that an agent can plan for a scaled life, the time that a `welcome`
//! tells it to reconnect after is scaled with it. Addresses of websockets in answers
//! (`/api/v1/endpoints`, `/api/v1/ticket`) become the gateway's own.

mod http;
mod socket;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Bytes of one frame, and the unit in which messages are metered.
pub const FRAME_BYTES_MAX: usize = 32 * 1024;
/// Bytes of one message.
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// A connection on which nothing is said ends after this.
pub const IDLE: Duration = Duration::from_secs(10 * 60);
/// Every connection ends after this.
pub const LIFE: Duration = Duration::from_secs(2 * 3600);
/// New connections a second.
pub const CONNECTIONS_PER_SECOND: u64 = 500;

/// What a gateway is strict about.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Without a message either way.
    pub idle: Duration,
    /// Of a connection.
    pub life: Duration,
    /// New ones.
    pub connections_per_second: u64,
    /// How long a message may wait to be overtaken by the next one; zero: never.
    pub overtake: Duration,
}

impl Default for Limits {
    /// AWS's own.
    fn default() -> Self {
        Self {
            idle: IDLE,
            life: LIFE,
            connections_per_second: CONNECTIONS_PER_SECOND,
            overtake: Duration::from_millis(20),
        }
    }
}

impl Limits {
    /// Times go by `factor` times as fast.
    #[must_use]
    pub fn faster(self, factor: u32) -> Self {
        Self { idle: self.idle / factor, life: self.life / factor, ..self }
    }
}

/// What went through a gateway.
#[derive(Debug, Default)]
pub struct Statistics {
    /// Websockets that were opened.
    pub connections: AtomicU64,
    /// Connections beyond the rate.
    pub throttled: AtomicU64,
    /// Messages to the functions.
    pub messages_in: AtomicU64,
    /// Units of 32 KB of these.
    pub units_in: AtomicU64,
    /// Messages to agents and pages.
    pub messages_out: AtomicU64,
    /// Units of 32 KB of these.
    pub units_out: AtomicU64,
    /// Messages that were overtaken.
    pub overtaken: AtomicU64,
    /// Ended because of a binary frame.
    pub cut_binary: AtomicU64,
    /// Ended because of a frame or message that is too large.
    pub cut_large: AtomicU64,
    /// Ended because nothing was said.
    pub cut_idle: AtomicU64,
    /// Ended because of their age.
    pub cut_old: AtomicU64,
    /// Ended by the agent or page.
    pub ended_by_client: AtomicU64,
}

impl Statistics {
    fn add(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Ordering::Relaxed);
    }

    /// A counter's value.
    #[must_use]
    pub fn of(&self, counter: fn(&Self) -> &AtomicU64) -> u64 {
        counter(self).load(Ordering::Relaxed)
    }
}

/// A running gateway; it ends when it is dropped.
pub struct Gateway {
    address: SocketAddr,
    /// What went through.
    pub statistics: Arc<Statistics>,
    task: JoinHandle<()>,
}

struct Behind {
    address: SocketAddr,
    base_url: String,
    /// Where websockets go; learned from an answer where it was not given.
    websocket_url: Mutex<Option<String>>,
    limits: Limits,
    statistics: Arc<Statistics>,
    client: reqwest::Client,
    /// Connections that may still be opened, and when that was counted.
    tokens: Mutex<(f64, Instant)>,
}

impl Gateway {
    /// Stands before the server at `base_url`. Websockets go to `websocket_url`, or to where the
    /// server's own answers say.
    pub async fn before(base_url: &str, websocket_url: Option<&str>, limits: Limits) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let statistics = Arc::new(Statistics::default());
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let tokens = Mutex::new((limits.connections_per_second as f64, Instant::now()));
        let behind = Arc::new(Behind {
            address,
            base_url: base_url.trim_end_matches('/').to_owned(),
            websocket_url: Mutex::new(websocket_url.map(str::to_owned)),
            limits,
            statistics: Arc::clone(&statistics),
            client: reqwest::Client::new(),
            tokens,
        });
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(http::serve(stream, Arc::clone(&behind)));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, statistics, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it takes websockets, whatever the address behind it is.
    #[must_use]
    pub fn websocket_url(&self) -> String {
        format!("ws://{}{WEBSOCKET_PATH}", self.address)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The path of websockets here.
const WEBSOCKET_PATH: &str = "/gateway-websocket";

impl Behind {
    fn websocket_upstream(&self, path: &str) -> String {
        let known = self.websocket_url.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.unwrap_or_else(|| format!("{}{path}", self.base_url.replacen("http", "ws", 1)))
    }

    /// Remembers where the server's websockets are, and answers where ours are.
    fn own_address(&self, theirs: &str) -> String {
        let mut known = self.websocket_url.lock().unwrap_or_else(PoisonError::into_inner);
        known.get_or_insert_with(|| theirs.to_owned());
        format!("ws://{}{WEBSOCKET_PATH}", self.address)
    }

    /// Whether one more connection may be opened now.
    fn admits(&self) -> bool {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let most = self.limits.connections_per_second as f64;
        tokens.0 = (tokens.0 + now.duration_since(tokens.1).as_secs_f64() * most).min(most);
        tokens.1 = now;
        if tokens.0 < 1.0 {
            return false;
        }
        tokens.0 -= 1.0;
        true
    }
}
