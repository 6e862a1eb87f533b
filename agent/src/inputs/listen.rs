//! Listening sockets, TCP and UDP: who may send, how many at once, and for how long they may be
//! silent. An address that is taken is reported and tried again.
//!
//! A sender on TCP is slowed down while the intake is half full; one on UDP cannot be. Knows no
//! protocol: bytes go to a [`Stream`] or a closure.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::Networks;
use crate::intake::Intake;

/// Connections at the same time; further ones wait to be accepted.
pub(super) const CONNECTIONS_MAX: usize = 256;
/// The same for a gateway.
pub(super) const GATEWAY_CONNECTIONS_MAX: usize = 1_024;
/// A connection that sends nothing for this long is closed.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(300);
/// Bytes of one datagram, all that UDP can carry.
pub(super) const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Datagrams taken one after the other before others have their turn.
const DATAGRAMS_AT_ONCE: usize = 64;
/// Bytes that the kernel holds for a burst of datagrams; it may grant less.
const BURST_BYTES: usize = 1 << 20;
/// Bytes taken from a connection at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Pause before an address that is taken is tried again.
const BIND_PAUSE: Duration = Duration::from_secs(15);
/// Pause after a connection could not be accepted (no file handle is left).
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What a connection's bytes go to.
pub(super) trait Stream: Send + 'static {
    /// Takes the next bytes. Where it answers false, the connection is ended.
    fn read(&mut self, bytes: &[u8]) -> bool;

    /// The connection ended: a last line that no line feed ended still counts.
    fn end(&mut self);
}

/// Limits of one listener's connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) connections: usize,
    pub(super) idle: Duration,
}

impl Limits {
    /// Those of a gateway, or of a listener for this host.
    pub(super) fn of(gateway: bool) -> Self {
        Self { connections: if gateway { GATEWAY_CONNECTIONS_MAX } else { CONNECTIONS_MAX }, idle: IDLE_MAX }
    }
}

/// An address at which something is taken.
#[derive(Clone)]
pub(super) struct Door {
    /// The protocol's name in logs.
    pub(super) what: &'static str,
    pub(super) address: String,
    /// Who may send.
    pub(super) allowed: Networks,
    pub(super) limits: Limits,
    pub(super) pause: Duration,
    pub(super) intake: Intake,
    /// Whether the TCP address could be bound: what the health check says.
    pub(super) open: Arc<AtomicBool>,
}

impl Door {
    /// A door at `address`.
    pub(super) fn new(what: &'static str, address: &str, allowed: Networks, limits: Limits, intake: &Intake) -> Self {
        let (address, intake) = (address.to_owned(), intake.clone());
        Self { what, address, allowed, limits, pause: BIND_PAUSE, intake, open: Arc::default() }
    }

    /// Takes connections; `stream` makes what the bytes of one go to.
    pub(super) async fn tcp<S: Stream>(&self, stream: impl Fn(SocketAddr) -> S) {
        let listener = self.bound("TCP", || TcpListener::bind(&self.address)).await;
        self.open.store(true, Ordering::Relaxed);
        self.serve_tcp(&listener, stream).await;
    }

    /// Takes datagrams.
    pub(super) async fn udp(&self, take: impl FnMut(&[u8], SocketAddr)) {
        let socket = self.bound("UDP", || UdpSocket::bind(&self.address)).await;
        // With less, a burst is dropped by the kernel sooner.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, BURST_BYTES);
        self.serve_udp(&socket, take).await;
    }

    /// Binds, again and again until it works. The first failure is reported, and the success after it.
    pub(super) async fn bound<T, F: Future<Output = io::Result<T>>>(&self, transport: &str, bind: impl Fn() -> F) -> T {
        let (what, address, mut reported) = (self.what, &self.address, false);
        loop {
            match bind().await {
                Ok(socket) => {
                    tracing::info!(address, transport, "listening for {what}");
                    return socket;
                }
                Err(error) if !reported => {
                    reported = true;
                    let every_s = self.pause.as_secs();
                    tracing::warn!(address, transport, %error, every_s, "no {what} here for now; trying again");
                }
                Err(_) => {}
            }
            tokio::time::sleep(self.pause).await;
        }
    }

    pub(super) async fn serve_tcp<S: Stream>(&self, listener: &TcpListener, stream: impl Fn(SocketAddr) -> S) {
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        // Dropped together with this future, and the connections with it.
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let slot = match Arc::clone(&slots).try_acquire_owned() {
                Ok(slot) => slot,
                Err(_) => {
                    tracing::warn!(
                        max = self.limits.connections,
                        "all {} connections are taken; new ones wait",
                        self.what
                    );
                    match Arc::clone(&slots).acquire_owned().await {
                        Ok(slot) => slot,
                        Err(_) => return,
                    }
                }
            };
            match listener.accept().await {
                Ok((socket, peer)) if self.lets_in(peer) => {
                    let (door, stream) = (self.clone(), stream(peer));
                    connections.spawn(async move {
                        door.connection(socket, peer, stream).await;
                        drop(slot);
                    });
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "a {} connection could not be accepted", self.what);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
    }

    async fn connection(&self, mut socket: TcpStream, peer: SocketAddr, mut stream: impl Stream) {
        let (what, idle) = (self.what, self.limits.idle);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            self.intake.room().await;
            match timeout(idle, socket.read(&mut chunk)).await {
                Ok(Ok(length @ 1..)) => {
                    if !stream.read(&chunk[..length]) {
                        return;
                    }
                }
                Ok(Ok(0)) => break,
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "a {what} connection broke");
                    break;
                }
                Err(_) => {
                    tracing::info!(%peer, idle_s = idle.as_secs(), "an idle {what} connection is closed");
                    break;
                }
            }
        }
        stream.end();
    }

    pub(super) async fn serve_udp(&self, socket: &UdpSocket, mut take: impl FnMut(&[u8], SocketAddr)) {
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            let mut received = socket.recv_from(&mut datagram).await;
            for turn in 1.. {
                match received {
                    Ok((length, peer)) => {
                        if self.lets_in(peer) {
                            take(&datagram[..length], peer);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => {
                        tracing::debug!(%error, "a datagram could not be read");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        break;
                    }
                }
                if turn == DATAGRAMS_AT_ONCE {
                    break;
                }
                received = socket.try_recv_from(&mut datagram);
            }
            tokio::task::yield_now().await;
        }
    }

    fn lets_in(&self, peer: SocketAddr) -> bool {
        let allowed = self.allowed.hold(peer.ip());
        if !allowed {
            self.intake.reject("peer_not_allowed", 1, &format!("{} from {}", self.what, peer.ip()));
        }
        allowed
    }
}
