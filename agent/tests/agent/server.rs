//! A server that speaks the protocol, remembers what it got, and does as it is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use futures_util::{SinkExt, StreamExt};
use series::{Epoch, Timestamp};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use wire::{AgentFrame, Batch, SeqRange, ServerFrame};

use crate::process::KEY;

/// What the server does.
#[derive(Clone)]
pub(crate) struct Manners {
    /// Whether batches are acknowledged, each by itself.
    pub(crate) acks: bool,
    /// Said in the welcome.
    pub(crate) reconnect_after_ms: u64,
    /// Instead of a welcome.
    pub(crate) bye: Option<&'static str>,
    /// Sent after the welcome as they are.
    pub(crate) after_welcome: Vec<String>,
    /// Where websockets are said to be, if not at the server itself.
    pub(crate) websocket: Option<String>,
}

impl Default for Manners {
    fn default() -> Self {
        Self { acks: true, reconnect_after_ms: 3_600_000, bye: None, after_welcome: Vec::new(), websocket: None }
    }
}

/// What the server got.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) hellos: Vec<AgentFrame>,
    /// In the order in which they came, repeated ones too.
    pub(crate) batches: Vec<Batch>,
    pub(crate) byes: Vec<String>,
    pub(crate) refused: u64,
}

impl Seen {
    /// Samples of each batch, each counted once.
    pub(crate) fn distinct(&self) -> BTreeMap<(Epoch, u64), u64> {
        self.batches.iter().map(|batch| ((batch.epoch, batch.seq), batch.samples())).collect()
    }

    pub(crate) fn seqs(&self) -> Vec<u64> {
        self.batches.iter().map(|batch| batch.seq).collect()
    }
}

/// The server; it can be stopped and started again on the same port.
pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    manners: watch::Sender<Manners>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Server {
    /// A server that has its port but does not run yet.
    pub(crate) fn away() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, seen: Arc::default(), manners: watch::channel(Manners::default()).0, running: None }
    }

    pub(crate) fn started(manners: Manners) -> Self {
        let mut server = Self::away();
        server.behave(|set| *set = manners);
        server.start();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn behave(&self, change: impl FnOnce(&mut Manners)) {
        self.manners.send_modify(change);
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    pub(crate) fn start(&mut self) {
        let (stop, stopped) = oneshot::channel();
        let (address, seen, manners) = (self.address, self.seen.clone(), self.manners.subscribe());
        let (ready, wait) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind(address).await.unwrap();
                ready.send(()).unwrap();
                tokio::select! {
                    () = serve(listener, address, seen, manners) => {}
                    _ = stopped => {}
                }
            });
        });
        wait.recv().unwrap();
        self.running = Some((stop, thread));
    }

    /// Ends all connections without a word.
    pub(crate) fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            let _ = stop.send(());
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(listener: TcpListener, address: SocketAddr, seen: Arc<Mutex<Seen>>, manners: watch::Receiver<Manners>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (seen, manners) = (seen.clone(), manners.clone());
        tokio::spawn(async move {
            let mut start = [0; 64];
            let read = socket.peek(&mut start).await.unwrap_or(0);
            if start[..read].starts_with(b"GET /api/v1/endpoints") {
                let own = format!("ws://{address}/ws");
                let websocket = manners.borrow().websocket.clone().unwrap_or(own);
                endpoints(socket, &websocket).await;
            } else {
                talk(socket, seen, manners).await;
            }
        });
    }
}

async fn endpoints(mut socket: TcpStream, websocket: &str) {
    use tokio::io::AsyncReadExt;
    let mut request = vec![0; 4096];
    let _ = socket.read(&mut request).await;
    let body = format!("{{\"websocket\":\"{websocket}\"}}");
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = socket.write_all((head + &body).as_bytes()).await;
}

#[expect(clippy::result_large_err, reason = "the signature is the websocket library's")]
fn authorize(request: &Request, response: Response) -> Result<Response, ErrorResponse> {
    let expected = format!("Bearer {KEY}");
    if request.headers().get("authorization").is_some_and(|value| value.as_bytes() == expected.as_bytes()) {
        return Ok(response);
    }
    let mut refusal = ErrorResponse::new(None);
    *refusal.status_mut() = StatusCode::UNAUTHORIZED;
    Err(refusal)
}

async fn talk(socket: TcpStream, seen: Arc<Mutex<Seen>>, mut manners: watch::Receiver<Manners>) {
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(socket, authorize).await else {
        seen.lock().unwrap().refused += 1;
        return;
    };
    let mut unacked: Vec<(Epoch, u64)> = Vec::new();
    loop {
        let acks = manners.borrow_and_update().acks;
        let mut answers = Vec::new();
        if acks {
            for (epoch, seq) in unacked.drain(..) {
                answers.push(ServerFrame::Ack {
                    epoch,
                    ranges: vec![SeqRange { from: seq, to: seq }],
                    rejected: vec![],
                });
            }
        }
        for answer in answers {
            if socket.send(Message::text(answer.to_json())).await.is_err() {
                return;
            }
        }
        let message = tokio::select! {
            message = socket.next() => message,
            _ = manners.changed() => continue,
        };
        let Some(Ok(Message::Text(text))) = message else { return };
        let frame = AgentFrame::from_json(&text).unwrap();
        let now = manners.borrow().clone();
        let mut answers = Vec::new();
        match frame {
            AgentFrame::Hello { .. } => {
                seen.lock().unwrap().hellos.push(frame);
                answers.extend(greeting(&now));
            }
            AgentFrame::Batch { payload, .. } => {
                let decoded = Batch::from_payload(&payload).unwrap();
                assert!(decoded.rejected.is_empty(), "{:?}", decoded.rejected);
                unacked.push((decoded.batch.epoch, decoded.batch.seq));
                seen.lock().unwrap().batches.push(decoded.batch);
            }
            AgentFrame::Bye { reason } => seen.lock().unwrap().byes.push(reason),
            AgentFrame::Heartbeat { .. } | AgentFrame::Unknown => {}
        }
        for answer in answers {
            if socket.send(Message::text(answer)).await.is_err() {
                return;
            }
        }
    }
}

fn greeting(manners: &Manners) -> Vec<String> {
    if let Some(reason) = manners.bye {
        let bye = ServerFrame::Bye { reason: reason.to_owned(), text: "said the test".to_owned(), retry_after_ms: 0 };
        return vec![bye.to_json()];
    }
    let welcome = ServerFrame::Welcome {
        version: 1,
        server_time_ms: Timestamp(1_000_000_000_000),
        reconnect_after_ms: manners.reconnect_after_ms,
        config_rev: 0,
        ack_delay_ms: 0,
    };
    let mut all = vec![welcome.to_json()];
    all.extend(manners.after_welcome.clone());
    all
}
