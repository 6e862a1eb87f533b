//! A gateway's health check: whatever is asked by HTTP, 200 while its listeners are bound, else 503.
//!
//! It says nothing of the way to the server: what cannot be sent waits in the buffer, and another
//! gateway could not send it either.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::listen::Door;

/// What the listener is called in logs.
pub(super) const WHAT: &str = "health checks";
/// Bytes of a request.
pub(super) const REQUEST_BYTES_MAX: usize = 4 << 10;
/// How long a request may take.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// Requests at the same time; further ones wait to be accepted.
const REQUESTS_MAX: usize = 16;
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Answers at the door for what `open` says. A balancer is not on the allow-list: it sends nothing.
pub(super) async fn serve(door: Door, open: Vec<Arc<AtomicBool>>) {
    let listener = door.bound("TCP", || TcpListener::bind(&door.address)).await;
    answers(&listener, &open).await;
}

async fn answers(listener: &TcpListener, open: &[Arc<AtomicBool>]) {
    let slots = Arc::new(Semaphore::new(REQUESTS_MAX));
    let mut answering = tokio::task::JoinSet::new();
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((socket, _)) => {
                let well = open.iter().all(|open| open.load(Ordering::Relaxed));
                answering.spawn(async move {
                    // A balancer that is too slow asks again.
                    let _ = tokio::time::timeout(REQUEST_MAX, answer(socket, well)).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a health check could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while answering.try_join_next().is_some() {}
    }
}

async fn answer(mut socket: TcpStream, well: bool) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut chunk = [0; 512];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match socket.read(&mut chunk).await? {
            length @ 1.. if request.len() + length <= REQUEST_BYTES_MAX => request.extend_from_slice(&chunk[..length]),
            _ => return Ok(()),
        }
    }
    let (status, body) = if well { ("200 OK", "ok\n") } else { ("503 Service Unavailable", "not listening\n") };
    let length = body.len();
    let head = "Content-Type: text/plain\r\nConnection: close";
    let answer = format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}");
    socket.write_all(answer.as_bytes()).await?;
    socket.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(request: &str, open: &[bool]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open: Vec<Arc<AtomicBool>> = open.iter().map(|open| Arc::new(AtomicBool::new(*open))).collect();
        tokio::spawn(async move { answers(&listener, &open).await });
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A refused request may end in a reset.
        let _ = socket.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn it_is_well_while_all_listeners_are_bound() {
        let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        assert!(asked(request, &[true, true]).await.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(asked(request, &[true, false]).await.starts_with("HTTP/1.1 503 "));
    }

    #[tokio::test]
    async fn a_request_at_the_limit_and_one_byte_past_it() {
        let request = |bytes: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(bytes - 18));
        assert_eq!(request(REQUEST_BYTES_MAX).len(), REQUEST_BYTES_MAX);
        assert!(asked(&request(REQUEST_BYTES_MAX), &[]).await.starts_with("HTTP/1.1 200"));
        assert_eq!(asked(&request(REQUEST_BYTES_MAX + 1), &[]).await, "");
    }
}
