//! TCP and TLS to the server, and one small HTTP request. It does not know what is said there.

use std::io;
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
    #[error("TLS with {host}: {error}")]
    Tls { host: String, error: io::Error },
    #[error("no certificates of authorities on this host: {what}")]
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
#[derive(Default)]
pub struct Dialer {
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Dialer {
    /// Connects.
    pub async fn dial(&mut self, address: &Address) -> Result<Box<dyn Wire>, NetError> {
        let Address { host, port, tls } = address;
        let tcp = TcpStream::connect((host.as_str(), *port)).await.map_err(|error| NetError::Tcp {
            host: host.clone(),
            port: *port,
            error,
        })?;
        watch_peer(&tcp);
        if !tls {
            return Ok(Box::new(tcp));
        }
        let failed = |error| NetError::Tls { host: host.clone(), error };
        let name = ServerName::try_from(host.clone()).map_err(|error| failed(io::Error::other(error)))?;
        let connector = TlsConnector::from(self.tls_config()?);
        let encrypted = connector.connect(name, tcp).await.map_err(failed)?;
        Ok(Box::new(encrypted))
    }

    fn tls_config(&mut self) -> Result<Arc<rustls::ClientConfig>, NetError> {
        if let Some(config) = &self.tls {
            return Ok(config.clone());
        }
        let mut roots = rustls::RootCertStore::empty();
        let loaded = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(loaded.certs);
        if added == 0 {
            let what = loaded.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
            return Err(NetError::Roots { what });
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| NetError::Roots { what: error.to_string() })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let config = Arc::new(config);
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
