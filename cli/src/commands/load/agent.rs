//! One agent of the load: connects, greets, sends what its [`Sender`] has, a heartbeat else, and
//! comes again after a loss as a real agent does (`wire::reconnect`).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use embedded::SystemClock;
use futures_util::{SinkExt as _, StreamExt as _};
use ports::Clock as _;
use series::{Epoch, SourceName, Timestamp};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use wire::reconnect::{GOOD_AFTER_MS, HEARTBEAT_AFTER_MS, Jitter, backoff_ms};
use wire::{AgentFrame, Counters, FROM_AGENT_PROTOCOL, ServerFrame};

use super::sender::Sender;
use super::tally::Shared;

/// Time for the address, TCP, TLS, the websocket's handshake and the welcome.
pub(super) const CONNECT_WAIT: Duration = Duration::from_secs(30);
/// A frame that cannot be written for this long ends the connection.
const SEND_WAIT: Duration = Duration::from_secs(30);
/// At the end, acks that were on their way get this long before their batches are sent again.
const LAST_ACKS: Duration = Duration::from_secs(2);
/// Bytes that a websocket reads at once: there are many of them.
const READ_BYTES: usize = 8 * 1024;

/// What the agents shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Work. A greater number of cuts than before: drop the connection.
    Run { cuts: u32 },
    /// Have the last acks, and end.
    Finish,
}

/// Makes websockets to the server.
pub(super) struct Dial {
    endpoints: String,
    bearer: HeaderValue,
    client: reqwest::Client,
    local: bool,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Dial {
    pub(super) fn new(base: &str, key: &str, local: bool) -> anyhow::Result<Self> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {key}")).context("the key")?;
        bearer.set_sensitive(true);
        // Agents share no connections.
        let client = reqwest::Client::builder().timeout(CONNECT_WAIT).pool_max_idle_per_host(0).build()?;
        Ok(Self { endpoints: format!("{base}/api/v1/endpoints"), bearer, client, local })
    }

    /// Asks for the websocket's address and opens it, each time as a real agent does.
    async fn connect(&self) -> anyhow::Result<Socket> {
        let answer = self.client.get(&self.endpoints).header("authorization", self.bearer.clone()).send().await;
        let answer = answer.map_err(|error| anyhow::anyhow!("endpoints: {}", root(&error)))?;
        let status = answer.status();
        if !status.is_success() {
            bail!("endpoints: status {}", status.as_u16());
        }
        let body: serde_json::Value = answer.json().await.context("endpoints: no JSON")?;
        let url = body["websocket"].as_str().context("endpoints: the answer names no websocket")?;
        let mut request = url.into_client_request().with_context(|| format!("endpoints: {url:?} is no address"))?;
        request.headers_mut().insert("authorization", self.bearer.clone());
        let config = WebSocketConfig::default().read_buffer_size(READ_BYTES).write_buffer_size(0);
        match tokio_tungstenite::connect_async_with_config(request, Some(config), true).await {
            Ok((socket, _)) => Ok(socket),
            Err(SocketError::Http(answer)) => bail!("websocket: status {}", answer.status().as_u16()),
            Err(error) => bail!("websocket: {error}"),
        }
    }
}

/// The innermost reason: what stands around it names ports and addresses that differ each time.
fn root(error: &dyn std::error::Error) -> String {
    let mut reason = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}

/// One agent.
pub(super) struct Agent {
    pub(super) name: SourceName,
    pub(super) epoch: Epoch,
    pub(super) run_id: String,
    /// `None`: it is idle.
    pub(super) sender: Option<Sender>,
    pub(super) dial: Arc<Dial>,
    pub(super) tally: Shared,
    pub(super) clock: Arc<SystemClock>,
    pub(super) jitter: Jitter,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) first_wait: Duration,
}

/// How a connection ended.
enum End {
    /// All is said.
    Done,
    /// The server wants a new connection, or this one was up too long.
    Planned,
    /// Anything else; how long it was up.
    Lost { up: Duration, why: String, least_wait: Duration },
}

impl Agent {
    /// Until the load ends.
    pub(super) async fn run(mut self) {
        sleep(self.first_wait).await;
        let mut failures = 0_u32;
        loop {
            if *self.phase.borrow() == Phase::Finish && self.buffered() == 0 {
                return;
            }
            let began = Instant::now();
            let opened = timeout(CONNECT_WAIT, self.open()).await;
            let opened = opened.unwrap_or_else(|_| Err(anyhow::anyhow!("no welcome within {CONNECT_WAIT:?}")));
            let end = match opened {
                Ok((socket, reconnect_after)) => {
                    self.tally.welcomed(began.elapsed().as_millis() as u64);
                    let end = self.stay(socket, reconnect_after).await;
                    match &end {
                        End::Lost { why, .. } => self.tally.lost(why),
                        End::Done | End::Planned => self.tally.ended(),
                    }
                    end
                }
                Err(error) => {
                    let why = format!("{error:#}");
                    self.tally.failed(&why);
                    End::Lost { up: Duration::ZERO, why, least_wait: Duration::ZERO }
                }
            };
            match end {
                End::Done => return,
                End::Planned => failures = 0,
                End::Lost { up, least_wait, .. } => {
                    if up.as_millis() >= u128::from(GOOD_AFTER_MS) {
                        failures = 0;
                    }
                    let wait_ms = self.jitter.below(backoff_ms(failures, self.dial.local));
                    failures = failures.saturating_add(1);
                    sleep(least_wait + Duration::from_millis(wait_ms)).await;
                }
            }
        }
    }

    fn buffered(&self) -> u64 {
        self.sender.as_ref().map_or(0, Sender::buffered)
    }

    fn counters(&self) -> Counters {
        self.sender.as_ref().map(Sender::counters).unwrap_or_default()
    }

    /// To the welcome.
    async fn open(&mut self) -> anyhow::Result<(Socket, Duration)> {
        let mut socket = self.dial.connect().await?;
        let hello = AgentFrame::Hello {
            version: FROM_AGENT_PROTOCOL,
            source: self.name.as_str().to_owned(),
            epoch: self.epoch,
            run_id: self.run_id.clone(),
            host: "load".to_owned(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            counters: self.counters(),
        };
        socket.send(Message::text(hello.to_json())).await.map_err(|error| anyhow::anyhow!("hello: {error}"))?;
        while let Some(message) = socket.next().await {
            match read(message.map_err(|error| anyhow::anyhow!("hello: {error}"))?) {
                Some(ServerFrame::Welcome { reconnect_after_ms, .. }) => {
                    let after = reconnect_after_ms - self.jitter.below(reconnect_after_ms / 5);
                    return Ok((socket, Duration::from_millis(after)));
                }
                Some(ServerFrame::Bye { reason, .. }) => bail!("bye: {reason}"),
                _ => {}
            }
        }
        bail!("hello: the server closed the connection")
    }

    /// While the connection lives.
    async fn stay(&mut self, mut socket: Socket, reconnect_after: Duration) -> End {
        let up_since = Instant::now();
        let lost = |why: &str| End::Lost { up: up_since.elapsed(), why: why.to_owned(), least_wait: Duration::ZERO };
        let cuts_before = *self.phase.borrow_and_update();
        let mut last_sent = Instant::now();
        let mut sent_again = false;
        if let Some(sender) = &mut self.sender {
            sender.send_again();
        }
        loop {
            let finishing = *self.phase.borrow() == Phase::Finish;
            match self.send_all(&mut socket).await {
                Ok(true) => last_sent = Instant::now(),
                Ok(false) => {}
                Err(why) => return lost(&why),
            }
            if finishing && self.buffered() == 0 {
                return self.leave(socket, "stop").await;
            }
            let heartbeat = last_sent + Duration::from_millis(HEARTBEAT_AFTER_MS);
            let collect = self.collect_at(finishing).unwrap_or(heartbeat);
            tokio::select! {
                message = socket.next() => match message {
                    None => return lost("the server closed the connection"),
                    Some(Err(error)) => return lost(&error.to_string()),
                    Some(Ok(message)) => if let Some(end) = self.received(message, up_since) { return end },
                },
                _ = self.phase.changed() => {
                    let phase = *self.phase.borrow_and_update();
                    if phase != Phase::Finish && phase != cuts_before {
                        // Without a word: as if the network were gone.
                        return lost("cut");
                    }
                }
                () = sleep_until(collect) => {
                    if !finishing {
                        self.collect();
                    } else if !std::mem::replace(&mut sent_again, true) && let Some(sender) = &mut self.sender {
                        sender.send_again();
                    }
                }
                () = sleep_until(heartbeat) => {
                    let frame = AgentFrame::Heartbeat { epoch: self.epoch, counters: self.counters() };
                    if let Err(why) = send(&mut socket, &frame).await {
                        return lost(&why);
                    }
                    self.tally.heartbeat();
                    last_sent = Instant::now();
                }
                () = sleep_until(up_since + reconnect_after) => {
                    self.leave(socket, "reconnect").await;
                    return End::Planned;
                }
            }
        }
    }

    /// When there is something to collect; at the end, when to send again what has no ack.
    fn collect_at(&self, finishing: bool) -> Option<Instant> {
        let now = Instant::now();
        let sender = self.sender.as_ref()?;
        if finishing {
            return Some(now + LAST_ACKS);
        }
        let clock = self.clock.now();
        Some(now + Duration::from_millis(u64::try_from(sender.due(clock).ms() - clock.ms()).unwrap_or(0)))
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn collect(&mut self) {
        let now = self.now();
        if let Some(sender) = &mut self.sender {
            self.tally.made(sender.collect(now));
        }
    }

    /// Sends what waits. Answers whether there was something.
    async fn send_all(&mut self, socket: &mut Socket) -> Result<bool, String> {
        let mut any = false;
        let now = self.now();
        while let Some((frame, again)) = self.sender.as_mut().and_then(|sender| sender.next(now)) {
            send(socket, &frame).await?;
            self.tally.sent(again);
            any = true;
        }
        Ok(any)
    }

    fn received(&mut self, message: Message, up_since: Instant) -> Option<End> {
        match read(message)? {
            ServerFrame::Ack { epoch, ranges, rejected } => {
                let now = self.now();
                let settled = self.sender.as_mut().map(|sender| sender.acked(epoch, &ranges, now)).unwrap_or_default();
                self.tally.acked(settled, &rejected);
                None
            }
            ServerFrame::Bye { reason, .. } if reason == "drain" => Some(End::Planned),
            ServerFrame::Bye { reason, retry_after_ms, .. } => Some(End::Lost {
                up: up_since.elapsed(),
                why: format!("bye: {reason}"),
                least_wait: Duration::from_millis(retry_after_ms),
            }),
            ServerFrame::Error { reason, .. } => {
                self.tally.error(&format!("error: {reason}"));
                None
            }
            _ => None,
        }
    }

    /// The planned end: the ledger as it is, goodbye, and the close of the websocket.
    async fn leave(&mut self, mut socket: Socket, reason: &str) -> End {
        let heartbeat = AgentFrame::Heartbeat { epoch: self.epoch, counters: self.counters() };
        let said = async {
            send(&mut socket, &heartbeat).await?;
            send(&mut socket, &AgentFrame::Bye { reason: reason.to_owned() }).await?;
            socket.close(None).await.map_err(|error| error.to_string())?;
            // The server's own close: everything before it was read.
            while let Some(Ok(_)) = socket.next().await {}
            Ok::<(), String>(())
        };
        if let Ok(Err(why)) = timeout(SEND_WAIT, said).await {
            self.tally.error(&why);
        }
        End::Done
    }
}

async fn send(socket: &mut Socket, frame: &AgentFrame) -> Result<(), String> {
    match timeout(SEND_WAIT, socket.send(Message::text(frame.to_json()))).await {
        Ok(sent) => sent.map_err(|error| error.to_string()),
        Err(_) => Err("the server does not read".to_owned()),
    }
}

fn read(message: Message) -> Option<ServerFrame> {
    let Message::Text(text) = message else { return None };
    // A frame that cannot be read is as good as one that is not known.
    Some(ServerFrame::from_json(&text).unwrap_or(ServerFrame::Unknown))
}
