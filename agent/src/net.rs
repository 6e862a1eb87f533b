//! TCP and TLS to the server, and one small HTTP request. It does not know what is said there.

mod proxy;
mod tls;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub use proxy::ANSWER_BYTES_MAX as PROXY_ANSWER_BYTES_MAX;

use crate::config::{Config, Proxy};

/// Bytes of an answer's body.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// What was sent and not confirmed by the peer's TCP for this long ends the connection, ms: the
/// only sign of a peer that vanished.
pub const UNCONFIRMED_MS: u32 = 45_000;
/// Silence after which TCP asks whether the peer is there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(45);

/// What could not be reached, and why.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("the address {url:?} {what}")]
    Address { url: String, what: &'static str },
    #[error("{host}:{port}: {error}")]
    Tcp { host: String, port: u16, error: io::Error },
    #[error("TLS with {host}: {}", tls::explain(error))]
    Tls { host: String, error: io::Error },
    #[error("ca_file {path}: {what}")]
    CaFile { path: String, what: String },
    #[error("the proxy {proxy}: {what}")]
    Proxy { proxy: String, what: String },
    #[error("no certificates of authorities on this host, install ca-certificates: {what}")]
    Roots { what: String },
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("the answer has status {status}: {text}")]
    Status { status: u16, text: String },
    #[error("the answer cannot be read: {0}")]
    Body(String),
}

/// A byte stream to the server, encrypted or not.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Where a URL leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or IP address, without brackets.
    pub host: String,
    /// The port, the scheme's where none is given.
    pub port: u16,
    /// Whether it is `https` or `wss`.
    pub tls: bool,
}

impl Address {
    /// Reads an `http`, `https`, `ws` or `wss` URL.
    pub fn of(uri: &Uri) -> Result<Self, NetError> {
        let wrong = |what| NetError::Address { url: uri.to_string(), what };
        let tls = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => return Err(wrong("has none of the schemes http, https, ws, wss")),
        };
        let host = uri.host().ok_or_else(|| wrong("names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }), tls })
    }

    /// Whether it is this very host.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let ip: Option<std::net::IpAddr> = self.host.parse().ok();
        self.host == "localhost" || ip.is_some_and(|ip| ip.is_loopback())
    }
}

/// Makes connections. Keeps the certificates of authorities once they were needed.
pub struct Dialer {
    ca_file: Option<PathBuf>,
    proxy: Option<Proxy>,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Dialer {
    /// Connections as the configuration has them.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { ca_file: config.ca_file.clone(), proxy: config.proxy.clone(), tls: None }
    }

    /// Connections past any proxy: to targets, which are on this host or near it.
    #[must_use]
    pub fn direct(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, proxy: None, tls: None }
    }

    /// Connects.
    pub async fn dial(&mut self, address: &Address) -> Result<Box<dyn Wire>, NetError> {
        let tcp = match self.proxy.as_ref().filter(|proxy| proxy::serves(proxy, address)) {
            None => open_tcp(&address.host, address.port).await?,
            Some(proxy) => {
                let failed = |error: NetError| NetError::Proxy { proxy: proxy.shown(), what: error.to_string() };
                let mut tcp = open_tcp(&proxy.host, proxy.port).await.map_err(failed)?;
                proxy::connect(&mut tcp, proxy, address).await?;
                tcp
            }
        };
        if !address.tls {
            return Ok(Box::new(tcp));
        }
        let failed = |error| NetError::Tls { host: address.host.clone(), error };
        let name = ServerName::try_from(address.host.clone()).map_err(|error| failed(io::Error::other(error)))?;
        let connector = TlsConnector::from(self.tls_config()?);
        let encrypted = connector.connect(name, tcp).await.map_err(failed)?;
        Ok(Box::new(encrypted))
    }

    fn tls_config(&mut self) -> Result<Arc<rustls::ClientConfig>, NetError> {
        if let Some(config) = &self.tls {
            return Ok(config.clone());
        }
        let config = tls::config(self.ca_file.as_deref())?;
        self.tls = Some(config.clone());
        Ok(config)
    }

    /// `GET uri` with the key; the body where the status is 200.
    pub async fn get(&mut self, uri: &Uri, key: &str) -> Result<Bytes, NetError> {
        let address = Address::of(uri)?;
        let wire = self.dial(&address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(wire)).await?;
        let request = hyper::Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header("host", uri.authority().map_or("", |authority| authority.as_str()))
            .header("authorization", format!("Bearer {key}"))
            .header("user-agent", concat!("daywatch-agent/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())
            .map_err(|_| NetError::Address { url: uri.to_string(), what: "or the key cannot stand in a request" })?;
        let ask = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await;
            let body = body.map_err(|error| NetError::Body(error.to_string()))?.to_bytes();
            if status.is_success() {
                return Ok(body);
            }
            let text = String::from_utf8_lossy(&body).chars().take(200).collect();
            Err(NetError::Status { status: status.as_u16(), text })
        };
        // The connection works only while it is polled, and ends when the sender is gone.
        tokio::pin!(ask);
        tokio::select! {
            answer = &mut ask => answer,
            ended = connection => {
                ended?;
                ask.await
            }
        }
    }
}

async fn open_tcp(host: &str, port: u16) -> Result<TcpStream, NetError> {
    let tcp = TcpStream::connect((host, port)).await;
    let tcp = tcp.map_err(|error| NetError::Tcp { host: host.to_owned(), port, error })?;
    watch_peer(&tcp);
    Ok(tcp)
}

/// Asks the kernel to notice a peer that is gone. Without it the connection only lasts longer.
fn watch_peer(tcp: &TcpStream) {
    let _ = tcp.set_nodelay(true);
    let _ = rustix::net::sockopt::set_socket_keepalive(tcp, true);
    let _ = rustix::net::sockopt::set_tcp_keepidle(tcp, KEEPALIVE_AFTER);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(tcp, UNCONFIRMED_MS);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Option<(&str, u16, bool, bool)>) {
        let address = url.parse::<Uri>().ok().and_then(|uri| Address::of(&uri).ok());
        let shown = address.as_ref().map(|a| (a.host.as_str(), a.port, a.tls, a.is_local()));
        assert_eq!(shown, expected, "{url}");
    }

    #[test]
    fn addresses() {
        check("http://127.0.0.1:9595", Some(("127.0.0.1", 9595, false, true)));
        check("wss://x.example.org/prod", Some(("x.example.org", 443, true, false)));
        check("ws://[::1]:80/ws", Some(("::1", 80, false, true)));
        check("http://localhost/", Some(("localhost", 80, false, true)));
        check("ftp://x/", None);
        check("/path", None);
    }
}
