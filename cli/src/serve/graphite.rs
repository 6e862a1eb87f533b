//! `serve --graphite ADDR`: Graphite's plaintext protocol over TCP and UDP, for senders on the
//! network that cannot do HTTPS. Lines are gathered for a moment and go the way of `POST /graphite`.
//!
//! Nothing in the protocol says who sends: the source is `graphite`, the tenant the default one.
//! While the stream does not take records, TCP senders are slowed down; datagrams that find no
//! room are dropped and counted as a failure.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use formats::Parsed;
use formats::graphite::{Connection, parse_body};
use pipeline::keys::{Caller, KeyKind};
use pipeline::{TenantId, ingest};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::House;

/// Connections at the same time; further ones wait.
const CONNECTIONS_MAX: usize = 256;
/// A connection that sends nothing for this long is closed.
const IDLE: Duration = Duration::from_secs(300);
/// Bytes of one datagram, all that UDP can carry.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Bytes taken from a connection at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Parsed chunks that wait for the stream.
const CHUNKS_WAITING_MAX: usize = 64;
/// Lines are gathered for this long, or until there are so many samples.
const GATHER: Duration = Duration::from_millis(500);
const GATHER_SAMPLES_MAX: usize = 50_000;
/// Pause before lines that the stream did not take are put again.
const RETRY: Duration = Duration::from_secs(1);

/// Listens on both transports; an address that is taken is an error at the start.
pub(super) async fn start(house: &Arc<House>, address: SocketAddr, tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
    let failed = || format!("cannot listen for Graphite lines on {address}");
    let tcp = TcpListener::bind(address).await.with_context(failed)?;
    let udp = UdpSocket::bind(tcp.local_addr()?).await.with_context(failed)?;
    tracing::info!(address = %tcp.local_addr()?, "listening for Graphite lines, TCP and UDP");
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
    tasks.spawn(accept(house.clone(), tcp, sender.clone()));
    tasks.spawn(datagrams(house.clone(), udp, sender));
    tasks.spawn(put(house.clone(), receiver));
    Ok(())
}

async fn accept(house: Arc<House>, listener: TcpListener, sender: mpsc::Sender<Parsed>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stopping = house.stopping();
    // Dropped together with this future, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (Ok(slot), accepted) = (tokio::select! {
            next = next => next,
            _ = stopping.wait_for(|stop| *stop) => return,
        }) else {
            return;
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let (house, sender) = (house.clone(), sender.clone());
                connections.spawn(async move {
                    connection(&house, stream, &sender).await;
                    drop(slot);
                });
            }
            Err(error) => {
                house.failed("graphite", &error);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn connection(house: &House, mut stream: TcpStream, sender: &mpsc::Sender<Parsed>) {
    let mut lines = Connection::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let mut parsed = Parsed::default();
        let read = timeout(IDLE, stream.read(&mut chunk)).await;
        let now = house.context.ports.clock.now();
        let open = match read {
            Ok(Ok(bytes)) if bytes > 0 => {
                lines.read(&chunk[..bytes], now, &mut parsed);
                true
            }
            // The end, silence, or a connection that broke: a last line without its end counts.
            _ => {
                lines.close(now, &mut parsed);
                false
            }
        };
        if sender.send(parsed).await.is_err() || !open {
            return;
        }
    }
}

async fn datagrams(house: Arc<House>, socket: UdpSocket, sender: mpsc::Sender<Parsed>) {
    let mut stopping = house.stopping();
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let received = tokio::select! {
            received = socket.recv(&mut datagram) => received,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        match received {
            Ok(bytes) => {
                let parsed = parse_body(&datagram[..bytes], house.context.ports.clock.now());
                if sender.try_send(parsed).is_err() {
                    house.failed("graphite", &"a datagram was dropped: the stream does not keep up");
                }
            }
            Err(error) => {
                house.failed("graphite", &error);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn put(house: Arc<House>, mut receiver: mpsc::Receiver<Parsed>) {
    let caller = Caller {
        key_id: "graphite".to_owned(),
        kind: KeyKind::Agent,
        tenant: TenantId::default(),
        name: "graphite".to_owned(),
    };
    // Ends when every sender is gone, after the last lines were put.
    while let Some(mut gathered) = receiver.recv().await {
        let until = tokio::time::Instant::now() + GATHER;
        while gathered.samples.len() < GATHER_SAMPLES_MAX {
            match tokio::time::timeout_at(until, receiver.recv()).await {
                Ok(Some(more)) => gathered.append(more),
                Ok(None) | Err(_) => break,
            }
        }
        while let Err(fault) = ingest::parsed(&house.context, &caller, gathered.clone()).await {
            house.failed("graphite", &fault);
            // What will never be taken must not hold up what comes after it.
            if !may_pass(&fault) {
                break;
            }
            if *house.stopping().borrow() {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Whether the same lines may be taken later.
fn may_pass(fault: &pipeline::Fault) -> bool {
    fault.status() >= 500 || matches!(fault.status(), 409 | 429)
}
