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
#![expect(clippy::disallowed_methods, reason = "a measuring tool reads the clock and waits")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tests::anchors::{ALL, Anchor, Client, cpu_seconds, disk_bytes, peak_kib};
use tests::remote_write::{labels_text, put_series};

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
        for name in ALL {
            if value("--only").is_some_and(|only| only != name) {
                continue;
            }
            let Some(mut started) = Anchor::start(name, &[]) else {
                println!("skipped: {name} is not installed");
                continue;
            };
            let (url, key) = (format!("{}/api/v1/write", started.url()), started.key());
            let server = Server { name, pid: started.pid(), url, key, data: Some(started.data()) };
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
    let mut client = Client::connect(&format!("http://{host}"), server.key.as_deref());
    bodies.iter().for_each(|body| client.write(&format!("/{path}"), body));
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
                put_series(&mut plain, &texts[*number], &[(value, at)]);
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
    labels_text(&[
        ("__name__", name.as_str()),
        ("cluster", "production-1"),
        ("device", &device),
        ("env", "prod"),
        ("instance", &instance),
        ("job", "node"),
    ])
}
