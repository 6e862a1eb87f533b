//! Servers that are measured side by side: `daywatch serve`, VictoriaMetrics and Prometheus, each on a
//! folder and a port of its own, and what they take and answer over HTTP with one connection.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Their names, the one that others are compared with first.
pub const ALL: [&str; 3] = ["daywatch", "victoria-metrics", "prometheus"];

/// A server; it never outlives the measurement.
pub struct Anchor {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Anchor {
    /// Starts one, with further arguments, and waits until it answers. `None`: it is not installed. DAYWATCH_BIN names ours.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "where the program is stands in the environment; starting takes time"
    )]
    pub fn start(name: &str, further: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (data, address) = (folder.path().join("data"), format!("127.0.0.1:{port}"));
        let mut command = match name {
            "daywatch" => {
                let mut command = Command::new(std::env::var_os("DAYWATCH_BIN").unwrap_or_else(|| "daywatch".into()));
                command.args(["serve", "--listen", &address, "--data"]).arg(&data);
                command
            }
            "victoria-metrics" => {
                let mut command = Command::new(name);
                command.arg(format!("-storageDataPath={}", data.display()));
                command.args([format!("-httpListenAddr={address}"), "-retentionPeriod=1y".to_owned()]);
                command
            }
            _ => {
                let config = folder.path().join("prometheus.yml");
                fs::write(&config, "global: {}\n").unwrap();
                let mut command = Command::new(name);
                command.arg(format!("--config.file={}", config.display()));
                command.arg(format!("--storage.tsdb.path={}", data.display()));
                command
                    .args([format!("--web.listen-address={address}"), "--web.enable-remote-write-receiver".to_owned()]);
                command
            }
        };
        let log = fs::File::create(folder.path().join("log")).unwrap();
        command.args(further).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().ok()?;
        let mut started = Self { child, folder, port };
        for _ in 0..300 {
            let mut answer = [0; 12];
            let asked = TcpStream::connect(&address).and_then(|mut stream| {
                stream.write_all(b"GET /-/ready HTTP/1.1\r\nhost: x\r\n\r\n")?;
                stream.read_exact(&mut answer)
            });
            if asked.is_ok() && &answer[9..] == b"200" {
                return Some(started);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        started.stop();
        panic!("{name} does not answer: {}", fs::read_to_string(started.folder.path().join("log")).unwrap_or_default());
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The key that it asks for.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        fs::read_to_string(self.data().join("admin.key")).ok().map(|key| key.trim().to_owned())
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One connection that stays open.
pub struct Client {
    stream: TcpStream,
    host: String,
    key: String,
    read: Vec<u8>,
}

impl Client {
    /// Connects to `http://HOST:PORT`.
    #[must_use]
    pub fn connect(url: &str, key: Option<&str>) -> Self {
        let host = url.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
        let stream = TcpStream::connect(&host).unwrap();
        stream.set_nodelay(true).unwrap();
        let key = key.map_or(String::new(), |key| format!("authorization: Bearer {key}\r\n"));
        Self { stream, host, key, read: vec![0; 256 * 1024] }
    }

    /// Sends a body of remote write, which must be taken.
    pub fn write(&mut self, path: &str, body: &[u8]) {
        let more = "content-type: application/x-protobuf\r\ncontent-encoding: snappy\r\n\
                    x-prometheus-remote-write-version: 0.1.0\r\n";
        let (status, answer) = self.ask("POST", path, more, body);
        assert!(status == 204 || status == 200, "{}: {status}: {}", self.host, String::from_utf8_lossy(&answer));
    }

    /// The answer's body, which must be a good one, as it comes: uncompressed.
    pub fn get(&mut self, path: &str) -> Vec<u8> {
        let (status, answer) = self.ask("GET", path, "", b"");
        assert_eq!(status, 200, "{}: {}", self.host, String::from_utf8_lossy(&answer));
        answer
    }

    fn ask(&mut self, method: &str, path: &str, more: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let (host, key, length) = (&self.host, &self.key, body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{more}{key}content-length: {length}\r\n\r\n");
        self.stream.write_all(head.as_bytes()).unwrap();
        self.stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        let end = loop {
            if let Some(at) = answer.windows(4).position(|end| end == b"\r\n\r\n") {
                break at + 4;
            }
            self.more(&mut answer);
        };
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        answer.drain(..end);
        let status = head.get(9..12).and_then(|text| text.parse().ok()).unwrap();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if header("transfer-encoding:") == Some("chunked") {
            return (status, self.chunks(answer));
        }
        let length = header("content-length:").map_or(0, |text| text.parse().unwrap());
        answer.reserve(length);
        while answer.len() < length {
            self.more(&mut answer);
        }
        (status, answer)
    }

    fn chunks(&mut self, mut rest: Vec<u8>) -> Vec<u8> {
        let (mut body, mut at) = (Vec::new(), 0);
        loop {
            let line = loop {
                if let Some(end) = rest[at..].windows(2).position(|end| end == b"\r\n") {
                    break at + end;
                }
                self.more(&mut rest);
            };
            let length = usize::from_str_radix(std::str::from_utf8(&rest[at..line]).unwrap(), 16).unwrap();
            let start = line + 2;
            while rest.len() < start + length + 2 {
                self.more(&mut rest);
            }
            if length == 0 {
                return body;
            }
            body.extend_from_slice(&rest[start..start + length]);
            at = start + length + 2;
            if at > 1 << 20 {
                rest.drain(..at);
                at = 0;
            }
        }
    }

    fn more(&mut self, into: &mut Vec<u8>) {
        let read = self.stream.read(&mut self.read).unwrap();
        assert!(read > 0, "{}: the connection ended", self.host);
        into.extend_from_slice(&self.read[..read]);
    }
}

/// The time that a process has taken of processors.
#[must_use]
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    // utime and stime, in hundredths of a second on every Linux.
    (ticks(11) + ticks(12)) / 100.0
}

/// The most memory that a process has had, in KiB.
#[must_use]
pub fn peak_kib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

/// Bytes of all files below a folder.
#[must_use]
pub fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => disk_bytes(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
