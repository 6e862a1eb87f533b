//! Graphite's plaintext protocol on one address, TCP and UDP (`job="graphite"`).
//!
//! A bad line is counted with its place, and its connection stays. A sender on TCP is slowed down
//! while the intake is half full; one on UDP cannot be, so what does not fit is refused and
//! counted. An address that is taken is reported and tried again. Knows nothing of what a line
//! means: that is `formats::graphite`, which also limits the length of a line.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use formats::graphite::{Connection, parse_body};
use formats::{Parsed, Reject};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Listener, now};
use crate::intake::Intake;

/// Connections at the same time; further ones wait to be accepted.
pub(super) const CONNECTIONS_MAX: usize = 256;
/// A connection that sends nothing for this long is closed.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(300);
/// Bytes of one datagram, all that UDP can carry.
pub(super) const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Bytes taken from a connection at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Pause before an address that is taken is tried again.
const BIND_PAUSE: Duration = Duration::from_secs(15);
/// Pause after a connection could not be accepted (no file handle is left).
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The listener on `address`, both transports.
pub(super) fn listener(address: &str, intake: &Intake) -> Listener {
    let (address, intake) = (address.to_owned(), intake.clone());
    let work = Box::pin(async move {
        tokio::join!(tcp(&address, BIND_PAUSE, &intake), udp(&address, BIND_PAUSE, &intake));
    });
    Listener { name: "graphite".to_owned(), work }
}

async fn tcp(address: &str, pause: Duration, intake: &Intake) {
    let listener = bound("TCP", address, pause, || TcpListener::bind(address)).await;
    serve_tcp(&listener, Limits { connections: CONNECTIONS_MAX, idle: IDLE_MAX }, intake).await;
}

async fn udp(address: &str, pause: Duration, intake: &Intake) {
    let socket = bound("UDP", address, pause, || UdpSocket::bind(address)).await;
    serve_udp(&socket, intake).await;
}

/// Binds, again and again until it works. The first failure is reported, and the success after it.
async fn bound<T, F: Future<Output = io::Result<T>>>(
    transport: &str,
    address: &str,
    pause: Duration,
    bind: impl Fn() -> F,
) -> T {
    let mut reported = false;
    loop {
        match bind().await {
            Ok(socket) => {
                tracing::info!(address, transport, "listening for Graphite lines");
                return socket;
            }
            Err(error) if !reported => {
                reported = true;
                let every_s = pause.as_secs();
                tracing::warn!(address, transport, %error, every_s, "no Graphite lines here for now; trying again");
            }
            Err(_) => {}
        }
        tokio::time::sleep(pause).await;
    }
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    connections: usize,
    idle: Duration,
}

async fn serve_tcp(listener: &TcpListener, limits: Limits, intake: &Intake) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    // Dropped together with this future, and the connections with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let slot = match Arc::clone(&slots).try_acquire_owned() {
            Ok(slot) => slot,
            Err(_) => {
                tracing::warn!(max = limits.connections, "all Graphite connections are taken; new ones wait");
                match Arc::clone(&slots).acquire_owned().await {
                    Ok(slot) => slot,
                    Err(_) => return,
                }
            }
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let intake = intake.clone();
                connections.spawn(async move {
                    connection(stream, peer, limits.idle, &intake).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a Graphite connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(mut stream: TcpStream, peer: SocketAddr, idle: Duration, intake: &Intake) {
    let mut lines = Connection::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        intake.room().await;
        match timeout(idle, stream.read(&mut chunk)).await {
            Ok(Ok(length @ 1..)) => {
                let mut parsed = Parsed::default();
                lines.read(&chunk[..length], now(), &mut parsed);
                give(parsed, peer, intake);
            }
            Ok(Ok(0)) => break,
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "a Graphite connection broke");
                break;
            }
            Err(_) => {
                tracing::info!(%peer, idle_s = idle.as_secs(), "an idle Graphite connection is closed");
                break;
            }
        }
    }
    // A last line without a line feed still counts.
    let mut parsed = Parsed::default();
    lines.close(now(), &mut parsed);
    give(parsed, peer, intake);
}

async fn serve_udp(socket: &UdpSocket, intake: &Intake) {
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        match socket.recv_from(&mut datagram).await {
            Ok((length, peer)) => give(parse_body(&datagram[..length], now()), peer, intake),
            Err(error) => {
                tracing::debug!(%error, "a datagram could not be read");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn give(parsed: Parsed, peer: SocketAddr, intake: &Intake) {
    let shown = |reject: &Reject| format!("Graphite from {peer}, {reject}");
    for (reason, count) in parsed.rejected.by_reason() {
        let first = parsed.rejected.iter().find(|reject| reject.reason == *reason);
        intake.reject(reason, *count, &first.map(shown).unwrap_or_default());
    }
    if !parsed.samples.is_empty() {
        intake.samples("graphite", parsed.samples);
    }
}

#[cfg(test)]
mod tests;
