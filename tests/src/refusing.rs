//! A door before a Daywatch that answers as it is told for a while: what senders make of 429, 503 and 400 is seen
//! by it. What it does not refuse goes on to the Daywatch, with its headers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use tests::Place;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A running door.
#[derive(Clone)]
pub(crate) struct Refusing {
    /// Its address.
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What the next writes are answered.
    next: VecDeque<u16>,
    /// What writes were answered, in their order.
    answered: Vec<u16>,
    /// The headers of the last one.
    headers: BTreeMap<String, String>,
}

impl Refusing {
    /// One before `place`.
    pub(crate) async fn before(place: &Place) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let door = Self { url, state: Arc::default() };
        let (served, base) = (door.clone(), place.base_url.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (served, base) = (served.clone(), base.clone());
                tokio::spawn(async move { served.serve(socket, &base).await });
            }
        });
        door
    }

    /// The next writes are answered so.
    pub(crate) fn answer(&self, statuses: &[u16]) {
        self.state.lock().expect("no panic").next.extend(statuses);
    }

    /// How often writes were answered so.
    pub(crate) fn answered(&self, status: u16) -> usize {
        self.state.lock().expect("no panic").answered.iter().filter(|answer| **answer == status).count()
    }

    /// A header of the last write.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.state.lock().expect("no panic").headers.get(name).cloned()
    }

    /// The requests of one connection.
    async fn serve(&self, socket: TcpStream, base: &str) -> Option<()> {
        let mut socket = BufReader::new(socket);
        loop {
            let mut line = String::new();
            socket.read_line(&mut line).await.ok().filter(|bytes| *bytes > 0)?;
            let path = line.split_whitespace().nth(1)?.to_owned();
            let mut headers = BTreeMap::new();
            loop {
                line.clear();
                socket.read_line(&mut line).await.ok()?;
                let Some((name, value)) = line.trim_end().split_once(": ") else { break };
                headers.insert(name.to_ascii_lowercase(), value.to_owned());
            }
            let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
            socket.read_exact(&mut body).await.ok()?;
            let told = {
                let mut state = self.state.lock().expect("no panic");
                state.headers.clone_from(&headers);
                state.next.pop_front()
            };
            let status = match told {
                Some(status) => status,
                None => forwarded(&format!("{base}{path}"), &headers, body).await?,
            };
            self.state.lock().expect("no panic").answered.push(status);
            let wait = if status == 429 { "Retry-After: 1\r\n" } else { "" };
            let answer = format!("HTTP/1.1 {status} Told\r\n{wait}Content-Length: 0\r\n\r\n");
            let answer = if status == 204 { "HTTP/1.1 204 No Content\r\n\r\n".to_owned() } else { answer };
            socket.write_all(answer.as_bytes()).await.ok()?;
        }
    }
}

async fn forwarded(url: &str, headers: &BTreeMap<String, String>, body: Vec<u8>) -> Option<u16> {
    let mut request = reqwest::Client::new().post(url).body(body);
    for (name, value) in headers.iter().filter(|(name, _)| !["host", "content-length"].contains(&name.as_str())) {
        request = request.header(name, value);
    }
    Some(request.send().await.ok()?.status().as_u16())
}
