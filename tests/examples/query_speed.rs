//! Measures queries over HTTP: `daywatch serve`, VictoriaMetrics and Prometheus, filled with the same bodies.
//!
//! ```text
//! DAYWATCH_BIN=target/up/daywatch cargo run --profile up -p tests --example query_speed -- [--rounds 20] [--wide 10000]
//! ```
//!
//! 50 series × 48 h and 10,000 series × 1 h, a sample each 10 s, sent in the order of time by remote write. Then it
//! waits until the past is compacted here, and asks each server in turn, with one connection that stays open, the
//! answers uncompressed: yesterday (objects of days), the last 24 h up to now (hours and memory), many series. It prints
//! the middle of the rounds in milliseconds, and the ratio to ours. Anchors that are not installed are left out aloud.
//! `--hold` waits for a line of input at the end, for a profiler; `--only NAME` leaves the others out.
#![expect(clippy::disallowed_methods, reason = "a measuring tool reads the clock and waits")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use series::{DAY_MS, HOUR_MS, Timestamp, Window};
use tests::anchors::{ALL, Anchor, Client};
use tests::remote_write::{labels_text, put_series};

const STEP_MS: i64 = 10_000;
const NARROW: usize = 50;
const BODIES_OF: usize = 10_000;
/// Compaction runs once a minute, and joins at most 30 windows in a run.
const COMPACTED_IN: Duration = Duration::from_secs(400);

struct Asked {
    name: &'static str,
    path: String,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1)).cloned();
    let number = |name: &str, usual: usize| value(name).map_or(usual, |text| text.parse().expect(name));
    let (rounds, wide) = (number("--rounds", 20), number("--wide", 10_000));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64;
    let end = now.div_euclid(STEP_MS) * STEP_MS;
    let all = questions(Timestamp(end));
    let mut servers = Vec::new();
    for name in ALL {
        if value("--only").is_some_and(|only| only != name) {
            continue;
        }
        match Anchor::start(name, &[]) {
            Some(server) => servers.push((name, server)),
            None => println!("skipped: {name} is not installed"),
        }
    }
    let connect = |server: &Anchor| Client::connect(&server.url(), server.key().as_deref());
    // One server after the other, so that none waits while windows close.
    for (name, server) in &servers {
        let (begun, mut samples, mut client) = (Instant::now(), 0, connect(server));
        fill(end, wide, |body, in_it| {
            client.write("/api/v1/write", body);
            samples += in_it;
        });
        println!("{name}: {samples} samples in {:.1} s", begun.elapsed().as_secs_f64());
    }
    if let Some((_, ours)) = servers.iter().find(|(name, _)| *name == ALL[0]) {
        compacted(ours, Timestamp(end));
    }
    let names: Vec<&str> = servers.iter().map(|(name, _)| *name).collect();
    println!("load {}", std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
    println!("| p50 of {rounds}, ms | {} | ratios |", names.join(" | "));
    println!("|---|{}---|", "---|".repeat(names.len()));
    for Asked { name, path } in &all {
        // New ones: a connection is closed for its silence, or (VictoriaMetrics) after two minutes in any case.
        let mut clients: Vec<Client> = servers.iter().map(|(_, server)| connect(server)).collect();
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); clients.len()];
        let mut points = Vec::new();
        for round in 0..rounds + 2 {
            for (client, times) in clients.iter_mut().zip(&mut times) {
                let begun = Instant::now();
                let answer = client.get(path);
                times.push(begun.elapsed().as_secs_f64() * 1e3);
                if round == 0 {
                    points.push(answer.windows(3).filter(|three| three == b",[1" || three == b"[[1").count());
                }
            }
        }
        let middle = |times: &[f64]| {
            // Without the first two, which find nothing in memory.
            let mut times = times[2..].to_vec();
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let middles: Vec<f64> = times.iter().map(|times| middle(times)).collect();
        let shown: Vec<String> = middles.iter().map(|ms| format!("{ms:.1}")).collect();
        let ratios: Vec<String> = middles.iter().skip(1).map(|ms| format!("{:.2}", middles[0] / ms)).collect();
        let cold: Vec<String> = times.iter().map(|times| format!("{:.0}", times[0])).collect();
        println!(
            "| {name} | {} | {} | points {points:?}, first {} |",
            shown.join(" | "),
            ratios.join(" "),
            cold.join(" ")
        );
    }
    if arguments.iter().any(|a| a == "--hold") {
        for (name, server) in &servers {
            println!("{name}: process {}, {}, key {:?}", server.pid(), server.url(), server.key());
        }
        all.iter().for_each(|asked| println!("{}: {}", asked.name, asked.path));
        let _ = std::io::stdin().read_line(&mut String::new());
    }
}

fn questions(end: Timestamp) -> Vec<Asked> {
    let today = Window::of_block(end, DAY_MS).start.ms();
    let day = |last: i64| (last - DAY_MS + STEP_MS, last);
    let hour = (end.ms() - HOUR_MS, end.ms());
    let mut all = Vec::new();
    let mut ask = |name, text: &str, (from, to): (i64, i64), step_s: i64| {
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let path = format!(
            "/api/v1/query_range?query={escaped}&start={}&end={}&step={step_s}&nocache=1",
            from / 1_000,
            to / 1_000
        );
        all.push(Asked { name, path });
    };
    ask("1 series, yesterday, by 10 s", "narrow{n=\"7\"}", day(today), 10);
    ask("1 series, last 24 h, by 10 s", "narrow{n=\"7\"}", day(end.ms()), 10);
    ask("50 series, yesterday, by 10 s", "narrow", day(today), 10);
    ask("50 series, last 24 h, by 10 s", "narrow", day(end.ms()), 10);
    ask("rate of 50, yesterday, by 60 s", "rate(narrow[5m])", day(today), 60);
    ask("rate of 50, last 24 h, by 60 s", "rate(narrow[5m])", day(end.ms()), 60);
    ask("sum of rates of many, last hour, by 60 s", "sum by (job) (rate(wide[5m]))", hour, 60);
    let path = |text: &str| format!("/api/v1/query?query={text}&time={}&nocache=1", end.ms() / 1_000);
    all.push(Asked { name: "sum of many, now", path: path("sum(wide)") });
    all.push(Asked { name: "many, now", path: path("wide") });
    all
}

/// Every body, in the order of time, with its number of samples.
fn fill(end: i64, wide: usize, mut send: impl FnMut(&[u8], usize)) {
    let narrow: Vec<Vec<u8>> = (0..NARROW)
        .map(|n| {
            labels_text(&[("__name__", "narrow"), ("instance", "web-1:9100"), ("job", "node"), ("n", &n.to_string())])
        })
        .collect();
    let many: Vec<Vec<u8>> = (0..wide)
        .map(|n| {
            let (instance, job) = (format!("web-{}.example.org:9100", n / 100), format!("job-{}", n % 10));
            labels_text(&[("__name__", "wide"), ("instance", &instance), ("job", &job), ("n", &n.to_string())])
        })
        .collect();
    let (mut plain, mut samples, mut random) = (Vec::new(), 0, 1_u64);
    let mut at = end - 2 * DAY_MS;
    while at <= end {
        let step = (at - end + 2 * DAY_MS) / STEP_MS;
        let wide = if at > end - HOUR_MS { &many[..] } else { &[] };
        for (n, labels) in narrow.iter().chain(wide).enumerate() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = (random >> 33) as i64;
            // A counter, a gauge with two decimals, a size.
            let value = match n % 3 {
                0 => (step * (n as i64 % 97 + 1) * 10 + noise % 10) as f64,
                1 => (noise % 10_000) as f64 / 100.0,
                _ => (4_096 * (noise % 1_000)) as f64,
            };
            put_series(&mut plain, labels, &[(value, at)]);
            samples += 1;
            if samples == BODIES_OF {
                send(&snap::raw::Encoder::new().compress_vec(&plain).expect("snappy"), samples);
                plain.clear();
                samples = 0;
            }
        }
        at += STEP_MS;
    }
    send(&snap::raw::Encoder::new().compress_vec(&plain).expect("snappy"), samples);
}

/// Waits until the days and the hours before this one are objects.
fn compacted(ours: &Anchor, end: Timestamp) {
    let count = |folder: &str| {
        let blobs = ours.data().join("blobs");
        let tenants = std::fs::read_dir(blobs).into_iter().flatten().flatten();
        let objects = tenants.flat_map(|tenant| std::fs::read_dir(tenant.path().join(folder)).into_iter().flatten());
        objects.count()
    };
    // The last hour may not be closed, and the one before it may not have settled.
    let closed = (end.ms() - Window::of_block(end, DAY_MS).start.ms()) / HOUR_MS;
    let begun = Instant::now();
    while count("days") < 2 || (count("hours") as i64) < closed - 1 {
        if begun.elapsed() > COMPACTED_IN {
            println!("not compacted in time: {} days, {} hours of {closed}", count("days"), count("hours"));
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    println!("compacted after {} s: {} days, {} hours", begun.elapsed().as_secs(), count("days"), count("hours"));
}
