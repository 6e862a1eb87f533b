//! The way through an HTTP proxy: `CONNECT`, for encrypted and plain connections alike.

use std::io;

use base64::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Address, NetError};
use crate::config::Proxy;

/// Bytes of a proxy's answer to `CONNECT`.
pub const ANSWER_BYTES_MAX: usize = 8 << 10;

/// Whether `proxy` is the way to `address`: not where the address is of this host or excepted.
pub(super) fn serves(proxy: &Proxy, address: &Address) -> bool {
    let excepted = |name: &str| {
        let name = name.trim().trim_start_matches("*.").trim_start_matches('.');
        let host = address.host.as_str();
        name == "*"
            || (!name.is_empty() && host.eq_ignore_ascii_case(name))
            || (!name.is_empty()
                && host.len() > name.len()
                && host.is_char_boundary(host.len() - name.len())
                && host[..host.len() - name.len()].ends_with('.')
                && host[host.len() - name.len()..].eq_ignore_ascii_case(name))
    };
    !address.is_local() && !proxy.except.split(',').any(excepted)
}

/// Asks the proxy at the other end of `tcp` for a connection to `address`.
pub(super) async fn connect(tcp: &mut TcpStream, proxy: &Proxy, address: &Address) -> Result<(), NetError> {
    let failed = |what: String| NetError::Proxy { proxy: proxy.shown(), what };
    let broken = |error: io::Error| failed(error.to_string());
    let target = match address.host.contains(':') {
        true => format!("[{}]:{}", address.host, address.port),
        false => format!("{}:{}", address.host, address.port),
    };
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(login) = &proxy.login {
        let login = base64::engine::general_purpose::STANDARD.encode(login);
        request.push_str(&format!("Proxy-Authorization: Basic {login}\r\n"));
    }
    request.push_str("\r\n");
    tcp.write_all(request.as_bytes()).await.map_err(broken)?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the answer is not the proxy's any more.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= ANSWER_BYTES_MAX {
            return Err(failed(format!("its answer has more than {ANSWER_BYTES_MAX} bytes")));
        }
        answer.push(tcp.read_u8().await.map_err(broken)?);
    }
    let text = String::from_utf8_lossy(&answer);
    let line = text.lines().next().unwrap_or_default();
    match line.split(' ').nth(1) {
        Some(status) if line.starts_with("HTTP/1.") && status.starts_with('2') => Ok(()),
        Some("407") => Err(failed("it wants a login: write it as http://user:password@host:port".to_owned())),
        _ => Err(failed(format!("it does not connect to {target}: {line}"))),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn address(host: &str) -> Address {
        Address { host: host.to_owned(), port: 443, tls: true }
    }

    #[test]
    fn exceptions() {
        let proxy = |except: &str| Proxy { except: except.to_owned(), ..Proxy::parse("http://p:3128").unwrap() };
        for (except, host, expected) in [
            ("", "a.example.org", true),
            ("example.org", "a.example.org", false),
            (".example.org", "a.example.org", false),
            ("*.example.org, x", "a.EXAMPLE.org", false),
            ("example.org", "example.org", false),
            ("example.org", "badexample.org", true),
            ("10.0.0.1", "10.0.0.1", false),
            ("*", "a", false),
            ("", "127.0.0.1", false),
            ("", "localhost", false),
            ("ä", "xä", true),
        ] {
            assert_eq!(serves(&proxy(except), &address(host)), expected, "{except} {host}");
        }
    }

    /// What a proxy that answers `answer` makes of it, and what it was asked.
    async fn ask(answer: Vec<u8>) -> (Result<(), NetError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(tcp.read_u8().await.unwrap());
            }
            let _ = tcp.write_all(&answer).await;
            String::from_utf8(asked).unwrap()
        });
        let mut tcp = TcpStream::connect(at).await.unwrap();
        let proxy = Proxy::parse("http://me:secret@p:3128").unwrap();
        let result = connect(&mut tcp, &proxy, &address("a.example.org")).await;
        drop(tcp);
        (result, server.await.unwrap())
    }

    #[tokio::test]
    async fn answers_of_proxies() {
        let (result, asked) = ask(b"HTTP/1.1 200 Connection established\r\nx: y\r\n\r\n".to_vec()).await;
        result.unwrap();
        assert_eq!(
            asked,
            "CONNECT a.example.org:443 HTTP/1.1\r\nHost: a.example.org:443\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n"
        );
        let long = |bytes: usize| {
            let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
            answer.resize(bytes - 4, b'x');
            answer.extend(b"\r\n\r\n");
            answer
        };
        ask(long(ANSWER_BYTES_MAX)).await.0.unwrap();
        for (answer, part) in [
            (long(ANSWER_BYTES_MAX + 1), "more than 8192 bytes"),
            (
                b"HTTP/1.1 403 Forbidden\r\n\r\n".to_vec(),
                "does not connect to a.example.org:443: HTTP/1.1 403 Forbidden",
            ),
            (b"HTTP/1.1 407 Login\r\n\r\n".to_vec(), "http://user:password@host:port"),
            (b"\r\n\r\n".to_vec(), "does not connect"),
            (Vec::new(), "the proxy p:3128"),
        ] {
            let error = ask(answer).await.0.unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("secret"), "{error}");
        }
    }
}
