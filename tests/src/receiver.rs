//! A receiver of webhooks: takes every POST, answers 200 and keeps the body with its time.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// A notification as it came.
#[derive(Debug, Clone)]
pub struct Notification {
    /// When.
    pub at: Instant,
    /// Alertmanager's JSON.
    pub body: Value,
}

impl Notification {
    /// Whether it tells that `alertname` is `firing` or `resolved`.
    #[must_use]
    pub fn tells(&self, alertname: &str, status: &str) -> bool {
        self.alerts(alertname).any(|alert| alert["status"] == status)
    }

    /// Its alerts of that name.
    pub fn alerts<'a>(&'a self, alertname: &'a str) -> impl Iterator<Item = &'a Value> {
        let alerts = self.body["alerts"].as_array().into_iter().flatten();
        alerts.filter(move |alert| alert["labels"]["alertname"] == alertname)
    }
}

/// The receiver. It ends with the runtime.
pub struct Receiver {
    /// Where it listens.
    pub url: String,
    seen: Arc<Mutex<Vec<Notification>>>,
}

impl Receiver {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let seen: Arc<Mutex<Vec<Notification>>> = Arc::default();
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(take(socket, Arc::clone(&kept)));
            }
        });
        Self { url, seen }
    }

    /// A routing file that sends everything here at once.
    #[must_use]
    pub fn routing(&self) -> String {
        format!(
            "route:\n  receiver: test\n  group_wait: 0s\nreceivers:\n- name: test\n  webhook_configs:\n  - url: {}\n",
            self.url
        )
    }

    /// What came so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Notification> {
        self.seen.lock().unwrap().clone()
    }

    /// What came so far that tells this.
    #[must_use]
    pub fn telling(&self, alertname: &str, status: &str) -> Vec<Notification> {
        self.seen().into_iter().filter(|one| one.tells(alertname, status)).collect()
    }
}

/// One connection, request after request.
async fn take(socket: TcpStream, kept: Arc<Mutex<Vec<Notification>>>) {
    let mut socket = BufReader::new(socket);
    loop {
        let mut length = 0;
        let mut lines = 0;
        loop {
            let mut line = String::new();
            if socket.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            lines += 1;
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().expect("a length");
            }
        }
        assert!(lines > 0 && length > 0, "a webhook has a body with a length");
        let mut body = vec![0; length];
        if socket.read_exact(&mut body).await.is_err() {
            return;
        }
        let body = serde_json::from_slice(&body).expect("a webhook's body is JSON");
        kept.lock().unwrap().push(Notification { at: Instant::now(), body });
        if socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.is_err() {
            return;
        }
    }
}
