//! The link to the server: a websocket on which batches go out and acks come in.
//!
//! What to do is decided by two pure parts, [`machine`] (the connection's life) and [`replay`]
//! (which batch is next); this file only gathers their events and carries their actions out.

pub mod dial;
pub mod machine;
pub mod replay;
pub mod wishes;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use series::SourceName;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use wire::{AgentFrame, Batch, Counters, FROM_AGENT_PROTOCOL, ServerFrame};

use crate::figures::Figures;
use crate::flush::{FLUSH_EVERY_MAX, FLUSH_EVERY_MIN};
use crate::store::{Store, View};
use dial::{Dial, DialError, Socket};
use machine::{Action, Event, Loss, Machine};
use replay::{Class, Replay};

/// A frame that cannot be written for this long ends the connection.
const SEND_WAIT: Duration = Duration::from_secs(30);
/// Characters of a server's text in the log.
const SHOWN_MAX: usize = 300;

/// Reasons of a `bye` which do not pass by themselves, and what to do.
const REFUSALS: [(&str, &str); 4] = [
    ("name_taken", "another agent of this name is connected; set another `name`"),
    ("version", "agent and server do not speak one version of the protocol; update the older of the two"),
    ("key_revoked", "the key was revoked; put a new one into the key file"),
    ("bad_hello", "the server does not take this agent's name; set another `name`"),
];

/// Who the agent is, as it says in `hello`.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its name.
    pub source: SourceName,
    /// Random, made at each start.
    pub run_id: String,
    /// The host's name.
    pub host: String,
}

/// How the connection is, for `status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LinkStatus {
    /// `waiting`, `connecting`, `greeting`, `up`, `stopping`, `stopped`.
    pub state: String,
    /// Since when, ms since 1970.
    pub since_ms: i64,
    /// The last thing that went wrong.
    #[serde(default)]
    pub last_error: String,
    /// Connections that were lost or could not be made.
    pub reconnects: u64,
    /// Batches that were sent and are not acknowledged.
    pub in_flight: u64,
    /// Whether the server does not take this agent as it is: its key, its name or its version. It
    /// goes on trying, but somebody has to change something.
    #[serde(default)]
    pub refused: bool,
    /// Whether the server has acknowledged something in this run.
    #[serde(default)]
    pub stored: bool,
}

/// The link and everything that it works with.
pub struct Link {
    /// Makes connections.
    pub dial: Dial,
    /// What `hello` says.
    pub identity: Identity,
    /// The batches.
    pub store: Store,
    /// How often to flush, told to the flusher.
    pub flush_every: watch::Sender<Duration>,
    /// The same where the server wishes nothing.
    pub flush_default: Duration,
    /// How the connection is, told to `status`.
    pub status: watch::Sender<LinkStatus>,
    /// Set when the program shall end.
    pub stop: watch::Receiver<bool>,
    /// The agent's figures.
    pub figures: Arc<Figures>,
    /// Clock and randomness.
    pub surroundings: crate::surroundings::Surroundings,
}

type Connecting = Pin<Box<dyn Future<Output = (Dial, Result<Socket, DialError>)> + Send>>;

/// The link at work.
struct Running {
    link: Link,
    /// Away while a connection is being made.
    dial: Option<Dial>,
    connecting: Option<Connecting>,
    socket: Option<Socket>,
    machine: Machine,
    replay: Replay,
    view: watch::Receiver<View>,
    started: Instant,
    events: VecDeque<Event>,
    finished: bool,
    /// What the log says last about a missing connection.
    told: String,
}

impl Link {
    /// Runs until the end of the program is asked for and the last acks are there.
    pub async fn run(self) {
        let machine = Machine::new((self.surroundings.random)(), self.dial.is_local());
        let view = self.store.view();
        let mut running = Running {
            dial: Some(self.dial.clone()),
            connecting: None,
            socket: None,
            machine,
            replay: Replay::default(),
            view,
            started: Instant::now(),
            events: VecDeque::new(),
            finished: false,
            told: String::new(),
            link: self,
        };
        running.run().await;
    }
}

impl Running {
    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    async fn run(&mut self) {
        while !self.finished {
            let event = match self.events.pop_front() {
                Some(event) => event,
                None => self.next_event().await,
            };
            for action in self.machine.step(self.now_ms(), event) {
                self.carry_out(action).await;
            }
            let now_ms = self.now_ms();
            self.replay.tick(now_ms);
            self.tell();
            if self.machine.is_up() && self.events.is_empty() && !self.finished {
                self.send_one().await;
            }
        }
    }

    /// Waits for something to happen. Returns `Tick` too where only something is to be sent.
    async fn next_event(&mut self) -> Event {
        let now_ms = self.now_ms();
        let view = self.view.borrow_and_update().clone();
        // Only looked at: marked as seen, the change would not wake the wait below.
        let stopping = *self.link.stop.borrow();
        if stopping && self.machine.name() == "stopping" && view.batches() == 0 {
            return Event::Drained;
        }
        let to_send = self.machine.is_up() && self.replay.pick(&view).is_some();
        let wake_ms = [self.machine.wake_ms(), self.replay.wake_ms()].into_iter().flatten().min();
        let wake_ms = if to_send { now_ms } else { wake_ms.unwrap_or(now_ms + 60_000) };
        let wake = self.started + Duration::from_millis(wake_ms);
        let Self { connecting, socket, view, link, .. } = self;
        tokio::select! {
            biased;
            Ok(()) = link.stop.changed() => Event::Stop,
            Some(message) = async { Some(socket.as_mut()?.next().await) }, if socket.is_some() => {
                match message {
                    Some(Ok(message)) => self.received(message).await,
                    Some(Err(error)) => self.lost(&error.to_string(), Loss::Other),
                    None => self.lost("the server closed the connection", Loss::Other),
                }
            }
            Some((dial, result)) = async { Some(connecting.as_mut()?.await) }, if connecting.is_some() => {
                self.connecting = None;
                self.dial = Some(dial);
                match result {
                    Ok(socket) => {
                        self.socket = Some(socket);
                        Event::Connected
                    }
                    Err(error) => {
                        let loss = if error.key_refused() { Loss::KeyRefused } else { Loss::Other };
                        self.lost(&error.to_string(), loss)
                    }
                }
            }
            () = sleep_until(wake) => Event::Tick,
            Ok(()) = view.changed() => Event::Tick,
        }
    }

    fn lost(&mut self, why: &str, loss: Loss) -> Event {
        let why: String = why.chars().take(SHOWN_MAX).collect();
        // The same thing every few seconds would bury the rest of the log.
        if std::mem::replace(&mut self.told, why.clone()) != why {
            match loss {
                Loss::KeyRefused => tracing::error!(
                    error = why,
                    "the key is refused or cannot be read; check key_file. Everything is kept in the buffer"
                ),
                Loss::Other => {
                    tracing::warn!(error = why, "no connection to the server; everything is kept in the buffer");
                }
            }
        }
        self.link.figures.reconnects_total.add(1);
        let refused = loss == Loss::KeyRefused;
        self.link.status.send_modify(|status| (status.last_error, status.refused) = (why, refused));
        Event::Lost(loss)
    }

    async fn received(&mut self, message: Message) -> Event {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => return self.lost("the server closed the connection", Loss::Other),
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Event::Tick,
        };
        match ServerFrame::from_json(&text) {
            Ok(frame) => self.frame(frame).await,
            Err(error) => {
                tracing::warn!(%error, "a frame of the server cannot be read and is ignored");
                Event::Tick
            }
        }
    }

    async fn frame(&mut self, frame: ServerFrame) -> Event {
        match frame {
            ServerFrame::Welcome { version, server_time_ms, reconnect_after_ms, ack_delay_ms, .. } => {
                tracing::info!(version, "connected to the server");
                if version != FROM_AGENT_PROTOCOL {
                    tracing::warn!(
                        version,
                        ours = FROM_AGENT_PROTOCOL,
                        "the server speaks another version of the protocol too; what only one of the two knows is left out"
                    );
                }
                self.told.clear();
                self.link.status.send_modify(|status| status.refused = false);
                let ours = (self.link.surroundings.clock)();
                self.link.figures.clock_offset.set_ms(server_time_ms.ms().saturating_sub(ours.ms()));
                self.replay.ack_delay(ack_delay_ms);
                Event::Welcome { reconnect_after_ms, server_time_ms: server_time_ms.ms() }
            }
            ServerFrame::Ack { epoch, ranges, rejected } => {
                for rejection in rejected {
                    let first: String = rejection.first.chars().take(SHOWN_MAX).collect();
                    tracing::warn!(reason = rejection.reason, count = rejection.count, first, "refused by the server");
                }
                self.replay.acked(epoch, &ranges, self.now_ms());
                let some = !ranges.is_empty();
                self.link.status.send_if_modified(|status| some && !std::mem::replace(&mut status.stored, true));
                self.link.store.ack(epoch, ranges).await;
                Event::Tick
            }
            ServerFrame::Wish { flush_every_ms, expires_at_ms } => {
                Event::Wish { flush_every_ms, expires_at_ms: expires_at_ms.ms() }
            }
            ServerFrame::Bye { reason, text, retry_after_ms } => {
                let refused = REFUSALS.iter().find(|(known, _)| *known == reason);
                match refused {
                    Some((_, advice)) => {
                        tracing::error!(reason, text, "{advice}. Everything is kept in the buffer");
                    }
                    None => tracing::warn!(reason, text, "the server ends the connection"),
                }
                self.link.figures.reconnects_total.add(1);
                let why =
                    refused.map_or_else(|| format!("{reason}: {text}"), |(_, advice)| format!("{text}: {advice}"));
                self.link.status.send_modify(|status| (status.last_error, status.refused) = (why, refused.is_some()));
                Event::Bye { reason, retry_after_ms }
            }
            ServerFrame::Error { reason, text } => {
                let text: String = text.chars().take(SHOWN_MAX).collect();
                tracing::warn!(reason, text, "the server could not take a frame");
                Event::Tick
            }
            ServerFrame::Config { revision, .. } => {
                tracing::debug!(revision, "central configuration is not known to this version");
                Event::Tick
            }
            ServerFrame::Unknown => Event::Tick,
        }
    }

    async fn carry_out(&mut self, action: Action) {
        match action {
            Action::Connect => {
                if let Some(mut dial) = self.dial.take() {
                    self.connecting = Some(Box::pin(async move {
                        let result = dial.connect().await;
                        (dial, result)
                    }));
                }
            }
            Action::SendHello => {
                let main = self.view.borrow().main().clone();
                let identity = self.link.identity.clone();
                let hello = AgentFrame::Hello {
                    version: FROM_AGENT_PROTOCOL,
                    source: identity.source.as_str().to_owned(),
                    epoch: main.epoch,
                    run_id: identity.run_id,
                    host: identity.host,
                    agent_version: env!("CARGO_PKG_VERSION").to_owned(),
                    counters: main.counters(),
                };
                self.send(&hello).await;
            }
            Action::Begin { planned } => {
                let view = self.view.borrow_and_update().clone();
                self.replay.connected(&view, planned);
            }
            Action::SendHeartbeat => {
                let (epoch, counters): (_, Counters) = {
                    let view = self.view.borrow();
                    (view.main().epoch, view.main().counters())
                };
                self.send(&AgentFrame::Heartbeat { epoch, counters }).await;
            }
            Action::SendBye => {
                let reason = if *self.link.stop.borrow() { "stop" } else { "reconnect" };
                self.send(&AgentFrame::Bye { reason: reason.to_owned() }).await;
            }
            Action::Close => {
                if self.connecting.take().is_some() {
                    self.dial = Some(self.link.dial.clone());
                }
                if let Some(mut socket) = self.socket.take() {
                    let _ = timeout(Duration::from_secs(1), socket.close(None)).await;
                }
            }
            Action::FlushEvery(wish_ms) => {
                let wished = |ms| Duration::from_millis(ms).clamp(FLUSH_EVERY_MIN, FLUSH_EVERY_MAX);
                let every = wish_ms.map_or(self.link.flush_default, wished);
                self.link.flush_every.send_if_modified(|now| std::mem::replace(now, every) != every);
            }
            Action::Finish => self.finished = true,
        }
    }

    /// Sends the next batch, if there is one.
    async fn send_one(&mut self) {
        let view = self.view.borrow().clone();
        let Some(pick) = self.replay.pick(&view) else { return };
        let found = self.link.store.next(pick.stretch).await;
        let seq = found.as_ref().map(|(seq, _)| *seq);
        if let Some((_, bytes)) = found {
            // Until something is acknowledged in this run, somebody may be waiting to see it stored.
            let first = !self.link.status.borrow().stored;
            let asked = first || pick.class == Class::Backlog || *self.link.stop.borrow();
            let (epoch, payload) = (Some(pick.stretch.epoch), payload(bytes, asked));
            self.send(&AgentFrame::Batch { payload, epoch, seq }).await;
        }
        self.replay.sent(pick, seq, self.now_ms());
    }

    async fn send(&mut self, frame: &AgentFrame) {
        let Some(socket) = &mut self.socket else { return };
        let sent = timeout(SEND_WAIT, socket.send(Message::text(frame.to_json()))).await;
        let event = match sent {
            Ok(Ok(())) => Event::Sent,
            Ok(Err(error)) => self.lost(&error.to_string(), Loss::Other),
            Err(_) => self.lost("the server does not read", Loss::Other),
        };
        self.events.push_back(event);
    }

    /// Tells `status` and the figures how the connection is.
    fn tell(&mut self) {
        let state = self.machine.name();
        self.link.figures.connected.set(self.machine.is_up());
        let in_flight = self.replay.in_flight() as u64;
        let reconnects = self.link.figures.reconnects_total.get();
        let now = (self.link.surroundings.clock)();
        self.link.status.send_if_modified(|status| {
            let changed = status.state != state;
            if changed {
                status.state = state.to_owned();
                status.since_ms = now.ms();
            }
            let counted = status.in_flight != in_flight || status.reconnects != reconnects;
            (status.in_flight, status.reconnects) = (in_flight, reconnects);
            changed || counted
        });
    }
}

/// A batch's payload; with `asked`, it says that its ack is waited for.
fn payload(bytes: Vec<u8>, asked: bool) -> String {
    use base64::Engine;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    if !asked {
        return encode(&bytes);
    }
    match Batch::decode(&bytes) {
        Ok(mut decoded) if !decoded.batch.ack_now && decoded.rejected.is_empty() => {
            decoded.batch.ack_now = true;
            decoded.batch.to_payload()
        }
        _ => encode(&bytes),
    }
}
