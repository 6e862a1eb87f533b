//! A double of PagerDuty's endpoint for SNS, and of the SNS that posts to it.
//!
//! The endpoint confirms a subscription by asking its `SubscribeURL`, and answers 200 to everything
//! else. As the real one it drops without a word what has no Subject that begins with `ALARM: ` or
//! `OK: `, and what does not say the same in its `NewStateValue`. What passes triggers or resolves the
//! incident of its `AlarmName`. Any SNS can post to it: the double here, or an emulator's.
//!
//! It knows nothing of Daywatch.

mod sns;
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

pub(crate) use sns::Sns;

/// An incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Incident {
    /// The `AlarmName` that it was opened by.
    pub(crate) name: String,
    /// How many notifications told of it while it was open.
    pub(crate) triggers: usize,
    /// Whether it is still open.
    pub(crate) open: bool,
}

#[derive(Debug, Default)]
struct Seen {
    confirmed: Vec<String>,
    incidents: Vec<Incident>,
    dropped: Vec<String>,
}

/// The endpoint. It ends with the runtime.
#[derive(Debug, Clone)]
pub(crate) struct PagerDuty {
    /// What is subscribed to a topic.
    pub(crate) url: String,
    seen: Arc<Mutex<Seen>>,
}

impl PagerDuty {
    /// Listens on a free port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/integration/secret-key/enqueue", listener.local_addr().unwrap());
        let duty = Self { url, seen: Arc::default() };
        let each = duty.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let duty = each.clone();
                tokio::spawn(requests(socket, move |body| duty.take(&body)));
            }
        });
        duty
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topics whose subscription it has confirmed.
    pub(crate) fn confirmed(&self) -> Vec<String> {
        self.seen().confirmed.clone()
    }

    /// Every incident, in the order in which they were opened.
    pub(crate) fn incidents(&self) -> Vec<Incident> {
        self.seen().incidents.clone()
    }

    /// Why something was dropped. The real one tells nobody.
    pub(crate) fn dropped(&self) -> Vec<String> {
        self.seen().dropped.clone()
    }

    /// One post of an SNS. The answer is the same, whatever becomes of it.
    fn take(&self, body: &str) -> (u16, String) {
        let envelope: Value = serde_json::from_str(body).unwrap_or_default();
        match envelope["Type"].as_str() {
            // Asked for on its own: who posts may wait for this answer before it answers others.
            Some("SubscriptionConfirmation") => drop(tokio::spawn(self.clone().confirm(envelope))),
            Some("Notification") => self.notified(&envelope),
            _ => self.seen().dropped.push(format!("no message of SNS: {body}")),
        }
        (200, String::new())
    }

    async fn confirm(self, envelope: Value) {
        let url = envelope["SubscribeURL"].as_str().unwrap_or_default();
        match client().get(url).send().await {
            Ok(answer) if answer.status().is_success() => {
                self.seen().confirmed.push(envelope["TopicArn"].as_str().unwrap_or_default().to_owned());
            }
            Ok(answer) => self.seen().dropped.push(format!("confirming {url}: {}", answer.status())),
            Err(error) => self.seen().dropped.push(format!("confirming {url}: {error}")),
        }
    }

    fn notified(&self, envelope: &Value) {
        let mut seen = self.seen();
        let (name, fires) = match read(envelope) {
            Ok(told) => told,
            Err(why) => return seen.dropped.push(why),
        };
        let open = seen.incidents.iter_mut().find(|incident| incident.open && incident.name == name);
        match (open, fires) {
            (Some(incident), true) => incident.triggers += 1,
            (Some(incident), false) => incident.open = false,
            (None, true) => seen.incidents.push(Incident { name, triggers: 1, open: true }),
            (None, false) => seen.dropped.push(format!("{name}: nothing to resolve")),
        }
    }
}

/// The incident's name, and whether it is triggered; else why it is dropped.
fn read(envelope: &Value) -> Result<(String, bool), String> {
    let subject = envelope["Subject"].as_str().ok_or("no Subject")?;
    let state = match subject {
        _ if subject.starts_with("ALARM: ") => "ALARM",
        _ if subject.starts_with("OK: ") => "OK",
        _ => return Err(format!("the Subject {subject:?} is no alarm's")),
    };
    let message = envelope["Message"].as_str().unwrap_or_default();
    let message: Value = serde_json::from_str(message).map_err(|error| format!("the Message is no JSON: {error}"))?;
    if message["NewStateValue"] != state {
        return Err(format!("the Subject says {state}, NewStateValue {}", message["NewStateValue"]));
    }
    match message["AlarmName"].as_str() {
        Some(name) if !name.is_empty() => Ok((name.to_owned(), state == "ALARM")),
        _ => Err("no AlarmName".to_owned()),
    }
}

fn client() -> reqwest::Client {
    // An error says that this process has chosen a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// Answers the requests of one connection; `answer` gets the body, or the path where there is none.
async fn requests(socket: TcpStream, answer: impl Fn(String) -> (u16, String)) {
    let mut socket = BufReader::new(socket);
    loop {
        let (mut length, mut path) = (0, String::new());
        loop {
            let mut line = String::new();
            if socket.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim();
            if line.is_empty() {
                break;
            }
            if path.is_empty() {
                path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            } else if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        if socket.read_exact(&mut body).await.is_err() {
            return;
        }
        let body = if body.is_empty() { path } else { String::from_utf8(body).unwrap() };
        let (status, text) = answer(body);
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{text}", text.len());
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
