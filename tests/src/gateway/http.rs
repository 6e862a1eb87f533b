//! One connection's first request: a websocket that is opened, or a request that is passed on and
//! answered, after which the connection ends.

use std::sync::Arc;

use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Behind, Statistics, socket};

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes of its body (the HTTP API's limit is 10 MB).
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// What is between two servers and no third one's business.
const HOP_BY_HOP: [&str; 6] = ["connection", "keep-alive", "transfer-encoding", "upgrade", "host", "content-length"];

/// A request's head.
pub(super) struct Head {
    pub(super) method: String,
    /// With the query.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
}

impl Head {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
        let header = |line: &str| line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()));
        let headers = lines.take_while(|line| !line.is_empty()).filter_map(header).collect();
        Some(Self { method, target, headers })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn opens_websocket(&self) -> bool {
        self.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    }
}

/// Serves one connection.
pub(super) async fn serve(mut stream: TcpStream, behind: Arc<Behind>) {
    let _ = stream.set_nodelay(true);
    let Some((head, rest)) = read_head(&mut stream).await else { return };
    if head.opens_websocket() {
        if !behind.admits() {
            Statistics::add(&behind.statistics.throttled, 1);
            let _ = answer(&mut stream, 429, "text/plain", b"Too Many Requests").await;
            return;
        }
        socket::open(stream, rest, &head, &behind).await;
        return;
    }
    // Whoever asked may have gone: nobody is left to be told.
    let _ = pass_on(&mut stream, rest, &head, &behind).await;
}

async fn read_head(stream: &mut TcpStream) -> Option<(Head, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = Head::parse(std::str::from_utf8(&bytes[..end + 4]).ok()?)?;
            return Some((head, bytes.split_off(end + 4)));
        }
        if bytes.len() > HEAD_BYTES_MAX || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

async fn pass_on(stream: &mut TcpStream, mut body: Vec<u8>, head: &Head, behind: &Behind) -> std::io::Result<()> {
    let length: usize = head.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    if length > BODY_BYTES_MAX {
        return answer(stream, 413, "text/plain", b"Request Too Long").await;
    }
    if head.header("transfer-encoding").is_some() {
        return answer(stream, 411, "text/plain", b"Length Required").await;
    }
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(());
        }
    }
    let method = Method::from_bytes(head.method.as_bytes()).unwrap_or(Method::GET);
    let mut request = behind.client.request(method, format!("{}{}", behind.base_url, head.target)).body(body);
    for (name, value) in head.headers.iter().filter(|(name, _)| !HOP_BY_HOP.contains(&name.as_str())) {
        request = request.header(name, value);
    }
    let answered = match request.send().await {
        Ok(answered) => answered,
        Err(error) => return answer(stream, 502, "text/plain", error.to_string().as_bytes()).await,
    };
    let status = answered.status().as_u16();
    let mut lines = String::new();
    for (name, value) in answered.headers() {
        if !HOP_BY_HOP.contains(&name.as_str()) {
            lines.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
        }
    }
    let bytes = match answered.bytes().await {
        Ok(bytes) => own_addresses(behind, &head.target, bytes.to_vec()),
        Err(error) => return answer(stream, 502, "text/plain", error.to_string().as_bytes()).await,
    };
    let first = format!("HTTP/1.1 {status} X\r\n{lines}content-length: {}\r\nconnection: close\r\n\r\n", bytes.len());
    stream.write_all(first.as_bytes()).await?;
    if head.method != "HEAD" {
        stream.write_all(&bytes).await?;
    }
    stream.shutdown().await
}

/// Where an answer tells where websockets are, it tells ours.
fn own_addresses(behind: &Behind, target: &str, bytes: Vec<u8>) -> Vec<u8> {
    let path = target.split('?').next().unwrap_or_default();
    let place = match path {
        _ if path.ends_with("/api/v1/endpoints") => "/websocket",
        _ if path.ends_with("/api/v1/ticket") => "/data/ws_url",
        _ => return bytes,
    };
    let Ok(mut json) = serde_json::from_slice::<Value>(&bytes) else { return bytes };
    let Some(address) = json.pointer_mut(place) else { return bytes };
    if let Some(theirs) = address.as_str() {
        *address = Value::String(behind.own_address(theirs));
    }
    json.to_string().into_bytes()
}

pub(super) async fn answer(stream: &mut TcpStream, status: u16, kind: &str, body: &[u8]) -> std::io::Result<()> {
    let first = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(first.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}
