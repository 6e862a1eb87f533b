//! Ways to the server that are not plain TCP: TLS with an authority of one's own, an HTTP proxy.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::delivery::QUICK;
use crate::process::Agent;
use crate::server::{Manners, Server};
use crate::wait_for;

/// An authority and a server's certificate by it.
struct Authority {
    pem: String,
    config: Arc<rustls::ServerConfig>,
}

impl Authority {
    fn new(server_name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Authorities of one name would be taken for each other.
        params.distinguished_name.push(DnType::CommonName, format!("authority of {server_name}"));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec![server_name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], secret)
            .unwrap();
        Self { pem: issuer.pem(), config: Arc::new(config) }
    }
}

/// Takes connections on a port of its own and hands each to `serve`, until the test ends.
fn door<F: Future<Output = ()> + Send + 'static>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp));
            }
        });
    });
    told.recv().unwrap()
}

/// TLS before `server`: its address; the server says that websockets are there.
fn tls_before(server: &Server, authority: &Authority) -> SocketAddr {
    let (config, inner) = (authority.config.clone(), server.address());
    let address = door(move |tcp| {
        let acceptor = tokio_rustls::TlsAcceptor::from(config.clone());
        async move {
            let Ok(mut outside) = acceptor.accept(tcp).await else { return };
            let mut inside = TcpStream::connect(inner).await.unwrap();
            let _ = copy_bidirectional(&mut outside, &mut inside).await;
        }
    });
    server.behave(|manners| manners.websocket = Some(format!("wss://localhost:{}/ws", address.port())));
    address
}

fn agent_at(address: SocketAddr, config: &str) -> Agent {
    Agent::new(&format!("https://localhost:{}", address.port()), &format!("{config}{QUICK}"))
}

#[test]
fn an_authority_of_ones_own_is_trusted_by_ca_file_or_by_the_environment() {
    let server = Server::started(Manners::default());
    let authority = Authority::new("localhost");
    let address = tls_before(&server, &authority);
    let by_file = agent_at(address, "ca_file = \"ca.pem\"\n");
    std::fs::write(by_file.folder.path().join("ca.pem"), &authority.pem).unwrap();
    let output = by_file.command().arg("connect").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let by_environment = agent_at(address, "");
    let path = by_environment.folder.path().join("ca.pem");
    std::fs::write(&path, &authority.pem).unwrap();
    let output = by_environment.command().arg("connect").env("SSL_CERT_FILE", path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(server.seen().hellos.len(), 2);
}

#[test]
fn a_certificate_that_is_not_trusted_is_refused_with_its_reason() {
    let server = Server::started(Manners::default());
    let (authority, other) = (Authority::new("localhost"), Authority::new("other.example.org"));
    let (address, misnamed) = (tls_before(&server, &authority), tls_before(&server, &other));
    let plain = door(|mut tcp| async move {
        let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = tcp.read(&mut [0; 4096]).await;
    });
    for (address, trusted, part) in [
        (address, &other.pem, "an authority that this host does not know"),
        (misnamed, &other.pem, "for another name: check `url`"),
        (server.address(), &other.pem, "does `url` want http://?"),
        (plain, &other.pem, "does `url` want http://?"),
        (address, &"no certificate\n".to_owned(), "holds no certificate"),
    ] {
        let mut agent = agent_at(address, "ca_file = \"ca.pem\"\n");
        std::fs::write(agent.folder.path().join("ca.pem"), trusted).unwrap();
        agent.start();
        wait_for("the reason is told", || agent.log().contains(part));
        let shown = agent.status()["agent"]["connection"]["refused"].clone();
        assert_ne!(shown, true, "the key is not to blame");
    }
    assert!(server.seen().hellos.is_empty(), "nothing of the agent reached a server that is not trusted");
}

#[test]
fn a_proxy_is_the_way_where_there_is_one() {
    let server = Server::started(Manners::default());
    let through = Arc::new(AtomicU64::new(0));
    let (counted, inner) = (through.clone(), server.address());
    let proxy = door(move |mut tcp| {
        let counted = counted.clone();
        async move {
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(tcp.read_u8().await.unwrap());
            }
            // The name has no address here: it is the proxy's to find.
            assert!(asked.starts_with(b"CONNECT daywatch.invalid:80 HTTP/1.1\r\n"));
            counted.fetch_add(1, Ordering::Relaxed);
            let mut inside = TcpStream::connect(inner).await.unwrap();
            tcp.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let _ = copy_bidirectional(&mut tcp, &mut inside).await;
        }
    });
    server.behave(|manners| manners.websocket = Some("ws://daywatch.invalid/ws".to_owned()));
    let by_file = Agent::new("http://daywatch.invalid", &format!("proxy = \"http://{proxy}\"\n"));
    let output = by_file.command().arg("connect").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let by_environment = Agent::new("http://daywatch.invalid", "");
    let output = by_environment.command().arg("connect").env("http_proxy", format!("http://{proxy}")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Once for the endpoints and once for the websocket.
    assert_eq!(through.load(Ordering::Relaxed), 4);
}
