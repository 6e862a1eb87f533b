//! Measures remote write: the same bodies to `daywatch serve`, VictoriaMetrics and Prometheus.
//!
//! ```text
//! cargo run --profile up -p tests --example remote_write -- --compare [--series 1000] [--samples 3000000]
//! … -- --url http://127.0.0.1:8428/api/v1/write --pid PID [--key KEY] [--bodies-of 5000] [--connections 2]
//! ```
//!
//! Hosts of 100 series (counters, noisy gauges, constants), one sample a `TimeSeries`, scrape after scrape at
//! `--step-ms` (10,000) up to now, as Prometheus sends them: a connection has its own series. The bodies are
//! made before the clock starts. CPU is the server's own from /proc until it has come to rest; of `serve`
//! that is everything: HTTP, stream, blocks, alerts, pages. DAYWATCH_BIN names the program; anchors that are not
//! installed are left out aloud.
#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a measuring tool reads clock and environment, waits, and ends where a server does not answer"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use series::Labels;
use series::protobuf::{put_labels, put_varint};

struct Plan {
    series: usize,
    samples: usize,
    bodies_of: usize,
    connections: usize,
    step_ms: i64,
}

struct Figures {
    name: &'static str,
    cpu_a_million: f64,
    a_second: f64,
    rss_mib: f64,
    disk_a_sample: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1)).cloned();
    let number = |name: &str, usual: usize| value(name).map_or(usual, |text| text.parse().expect(name));
    let mut plan = Plan {
        series: number("--series", 1_000),
        samples: number("--samples", 3_000_000),
        bodies_of: number("--bodies-of", 5_000),
        connections: number("--connections", 2),
        step_ms: number("--step-ms", 10_000) as i64,
    };
    if let (Some(url), Some(pid)) = (value("--url"), value("--pid")) {
        let server = Server { name: "server", pid: pid.parse().expect("--pid"), url, key: value("--key"), data: None };
        return show(&[run(&server, &bodies(&plan), &plan)]);
    }
    assert!(arguments.iter().any(|a| a == "--compare"), "--compare, or --url and --pid");
    let sizes = if value("--series").is_some() { vec![plan.series] } else { vec![1_000, 100_000] };
    for series in sizes {
        plan.series = series;
        println!(
            "{series} series, {} samples in bodies of {} over {} connections",
            plan.samples, plan.bodies_of, plan.connections
        );
        let bodies = bodies(&plan);
        let bytes: usize = bodies.iter().flatten().map(Vec::len).sum();
        println!("{:.1} compressed bytes a sample", bytes as f64 / plan.samples as f64);
        let mut figures = Vec::new();
        for name in ["daywatch", "victoria-metrics", "prometheus"] {
            if value("--only").is_some_and(|only| only != name) {
                continue;
            }
            let Some(mut started) = Started::new(name) else {
                println!("skipped: {name} is not installed");
                continue;
            };
            let server = started.server(name);
            figures.push(run(&server, &bodies, &plan));
            started.stop();
        }
        show(&figures);
    }
}

fn show(all: &[Figures]) {
    println!("| | CPU s / M samples | samples/s | RSS MiB | disk B/sample | CPU to the first | rate to the first |");
    println!("|---|---|---|---|---|---|---|");
    for of in all {
        let first = &all[0];
        println!(
            "| {} | {:.2} | {:.0}k | {:.0} | {:.2} | {:.2} | {:.2} |",
            of.name,
            of.cpu_a_million,
            of.a_second / 1e3,
            of.rss_mib,
            of.disk_a_sample,
            of.cpu_a_million / first.cpu_a_million,
            of.a_second / first.a_second,
        );
    }
}

struct Server {
    name: &'static str,
    pid: u32,
    url: String,
    key: Option<String>,
    data: Option<std::path::PathBuf>,
}

/// Sends everything and waits until the server has come to rest.
fn run(server: &Server, bodies: &[Vec<Vec<u8>>], plan: &Plan) -> Figures {
    let before = cpu_seconds(server.pid);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for own in bodies {
            scope.spawn(|| send(server, own));
        }
    });
    let took = start.elapsed().as_secs_f64();
    let mut last = cpu_seconds(server.pid);
    for _ in 0..90 {
        std::thread::sleep(Duration::from_secs(1));
        let now = cpu_seconds(server.pid);
        if now - last < 0.06 {
            break;
        }
        last = now;
    }
    let cpu = cpu_seconds(server.pid) - before;
    Figures {
        name: server.name,
        cpu_a_million: cpu / plan.samples as f64 * 1e6,
        a_second: plan.samples as f64 / took,
        rss_mib: peak_kib(server.pid) / 1024.0,
        disk_a_sample: server.data.as_deref().map_or(0.0, |data| disk_bytes(data) as f64 / plan.samples as f64),
    }
}

fn send(server: &Server, bodies: &[Vec<u8>]) {
    let rest = server.url.strip_prefix("http://").expect("http://");
    let (host, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).expect("the server listens");
    stream.set_nodelay(true).expect("a socket option");
    let key = server.key.as_ref().map_or(String::new(), |key| format!("authorization: Bearer {key}\r\n"));
    let mut answer = [0; 4096];
    for body in bodies {
        let head = format!(
            "POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/x-protobuf\r\ncontent-encoding: snappy\r\n\
             x-prometheus-remote-write-version: 0.1.0\r\n{key}content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("it is sent");
        // Answers without a body end with their head.
        let mut read = 0;
        while !answer[..read].windows(4).any(|end| end == b"\r\n\r\n") {
            let more = stream.read(&mut answer[read..]).expect("an answer");
            assert!(more > 0, "{}: the connection ended", server.name);
            read += more;
        }
        let text = String::from_utf8_lossy(&answer[..read]);
        assert!(text.starts_with("HTTP/1.1 204") || text.starts_with("HTTP/1.1 200"), "{}: {text}", server.name);
    }
}

/// The bodies of each connection, in order.
fn bodies(plan: &Plan) -> Vec<Vec<Vec<u8>>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64;
    let steps = plan.samples.div_ceil(plan.series);
    let texts: Vec<Vec<u8>> = (0..plan.series).map(text).collect();
    let mut random = 1_u64;
    let mut all = Vec::new();
    for connection in 0..plan.connections {
        let own: Vec<usize> = (0..plan.series).filter(|n| (n / 100) % plan.connections == connection).collect();
        let (mut bodies, mut plain, mut samples) = (Vec::new(), Vec::new(), 0);
        for step in 0..steps {
            let at = now - (steps - step) as i64 * plan.step_ms;
            for number in &own {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let noise = (random >> 33) as f64;
                let value = match number % 4 {
                    0 => (step * (number % 97 + 1) * 10) as f64,
                    1 => (noise % 10_000.0) / 100.0,
                    2 => 4_096.0 * (noise % 1_000.0),
                    _ => 1.0,
                };
                let mut sample = vec![0x09];
                sample.extend_from_slice(&value.to_bits().to_le_bytes());
                sample.push(0x10);
                put_varint(&mut sample, at as u64);
                plain.push(0x0a);
                put_varint(&mut plain, (texts[*number].len() + 2 + sample.len()) as u64);
                plain.extend_from_slice(&texts[*number]);
                plain.extend_from_slice(&[0x12, sample.len() as u8]);
                plain.extend_from_slice(&sample);
                samples += 1;
                if samples == plan.bodies_of {
                    bodies.push(snap::raw::Encoder::new().compress_vec(&plain).expect("snappy"));
                    plain.clear();
                    samples = 0;
                }
            }
        }
        if samples > 0 {
            bodies.push(snap::raw::Encoder::new().compress_vec(&plain).expect("snappy"));
        }
        all.push(bodies);
    }
    all
}

fn text(number: usize) -> Vec<u8> {
    let (host, metric) = (number / 100, number % 100);
    let name =
        format!("node_{}_{}_total", ["cpu_seconds", "disk_io", "network_bytes", "memory"][metric % 4], metric / 8);
    let instance = format!("web-{host:04}.example.org:9100");
    let device = format!("eth{}", metric % 8);
    let pairs = [
        ("__name__", name.as_str()),
        ("cluster", "production-1"),
        ("device", &device),
        ("env", "prod"),
        ("instance", &instance),
        ("job", "node"),
    ];
    let mut out = Vec::new();
    put_labels(&mut out, &Labels::from_pairs(pairs).expect("labels"));
    out
}

/// A server on a folder and a port of its own; it never outlives the measurement.
struct Started {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Started {
    fn new(name: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
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
                fs::write(&config, "global: {}\n").expect("a file");
                let mut command = Command::new(name);
                command.arg(format!("--config.file={}", config.display()));
                command.arg(format!("--storage.tsdb.path={}", data.display()));
                command
                    .args([format!("--web.listen-address={address}"), "--web.enable-remote-write-receiver".to_owned()]);
                command
            }
        };
        let log = fs::File::create(folder.path().join("log")).expect("a file");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        let child = command.spawn().ok()?;
        let mut started = Self { child, folder, port };
        for _ in 0..300 {
            let mut answer = [0; 12];
            let asked = TcpStream::connect(&address).and_then(|mut stream| {
                stream.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n")?;
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

    fn server(&self, name: &'static str) -> Server {
        let data = self.folder.path().join("data");
        let key = fs::read_to_string(data.join("admin.key")).ok().map(|key| key.trim().to_owned());
        let url = format!("http://127.0.0.1:{}/api/v1/write", self.port);
        Server { name, pid: self.child.id(), url, key, data: Some(data) }
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.stop();
    }
}

fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the server runs");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    // utime and stime, in hundredths of a second on every Linux.
    (ticks(11) + ticks(12)) / 100.0
}

fn peak_kib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => disk_bytes(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
