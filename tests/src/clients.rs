//! Senders that we did not write, all at once against one `serve` and one agent: PyPI's OpenTelemetry SDK,
//! graphyte, statsd and datadog; Debian's node_exporter, and collectd in both directions: it writes Graphite lines,
//! and its exporter for Prometheus is scraped. What counts is what queries find, PyPI's prometheus-api-client among them.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use tests::process::free_port;
use tests::{Agent, Place, Process, Server, programs, until};

/// What `clients/senders.py` sends, as queries find it.
const FROM_PYPI: &[(&str, f64)] = &[
    (r#"sum(jobs_done_total{job="py/sdk",queue_name="mail",otel_scope_name="sdk.test"})"#, 9.0),
    (r#"jobs_done_total{instance="protobuf"}"#, 3.0),
    (r#"jobs_done_total{instance="protobuf-gzip"}"#, 3.0),
    (r#"jobs_done_total{instance="json"}"#, 3.0),
    (r#"jobs_waiting{instance="json"}"#, -2.0),
    (r#"job_duration_seconds_bucket{instance="json",le="5"}"#, 2.0),
    (r#"job_duration_seconds_bucket{instance="protobuf",le="+Inf"}"#, 3.0),
    (r#"job_duration_seconds_count{instance="protobuf-gzip"}"#, 3.0),
    (r#"room_temperature_celsius{instance="json"}"#, 21.5),
    (r#"target_info{instance="json",job="py/sdk",telemetry_sdk_language="python"}"#, 1.0),
    (r#"{__name__="graphyte.tcp.temp.cellar",job="graphite"}"#, 11.25),
    (r#"{__name__="graphyte.udp.temp.cellar",job="graphite"}"#, 11.25),
    (r#"{__name__="graphyte.tcp.doors",floor="1"}"#, 3.0),
    (r#"{__name__="graphyte.udp.doors",floor="1"}"#, 3.0),
    (r#"{__name__="shop.udp.orders",job="statsd"}"#, 5.0),
    (r#"{__name__="shop.tcp.orders",job="statsd"}"#, 5.0),
    (r#"{__name__="shop.udp.stock"}"#, 6.0),
    (r#"{__name__="shop.tcp.stock"}"#, 6.0),
    (r#"{__name__="shop.tcp.debt"}"#, -4.0),
    (r#"{__name__="shop.tcp.temp"}"#, 65.0),
    (r#"{__name__="shop.udp.pay_sum"}"#, 320.0),
    (r#"max_over_time({__name__="shop.udp.users"}[5m])"#, 1.0),
    (r#"{__name__="dog.hits",env="dev",route="a",hot="true"}"#, 1.0),
    (r#"{__name__="dog.depth",env="dev"}"#, 4.5),
    (r#"{__name__="dog.dist_count"}"#, 1.0),
    (r#"max_over_time({__name__="dog.took_max"}[5m])"#, 12.0),
    (r#"check_status{check="dog.db.up",env="dev",port="5"}"#, 1.0),
];

/// A daemon that takes part.
struct Daemon {
    process: Process,
    port: u16,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_peoples_senders_send_is_what_queries_find() {
    let (mut server, place) = Server::started("clients").await;
    let statsd = free_port();
    let mut config = format!("[statsd]\nlisten = \"127.0.0.1:{statsd}\"\nflush = \"1s\"\n");
    let (node, collectd) = (free_port(), free_port());
    for (job, port) in [("node-exporter", node), ("collectd", collectd)] {
        config
            .push_str(&format!("[[scrape]]\nurl = \"http://127.0.0.1:{port}\"\njob = \"{job}\"\ninterval = \"1s\"\n"));
    }
    let mut agent = Agent::new(&place, "clients-host", &config);
    let node = node_exporter(&agent, node);
    let collectd = self::collectd(&agent, collectd);
    agent.start();
    agent.connected().await;

    pypi(&place, &agent, statsd).await;
    if let Some(node) = &node {
        is_scraped(&place, "node-exporter", node.port, "node_cpu_seconds_total", "counter").await;
        let cores = until("cores are counted", async || {
            place.number(r#"count(node_cpu_seconds_total{job="node-exporter",mode="idle"})"#).await
        });
        let ours = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(cores.await >= ours as f64);
    }
    if let Some(mut collectd) = collectd {
        is_scraped(&place, "collectd", collectd.port, "collectd_load_shortterm", "gauge").await;
        // The same number by both ways, in samples of their own times.
        let written = r#"{__name__="collectd.box.load.load.shortterm",job="graphite"}"#;
        until("collectd's lines are found", async || place.number(written).await.filter(|load| *load >= 0.0)).await;
        assert!(collectd.process.terminate().await.success(), "{}", collectd.process.log());
    }
    agent.terminate().await;
    for name in ["clients", "clients-host"] {
        let balanced = async || place.ledger(name).await.filter(tests::place::Ledger::balances);
        let ledger = until(&format!("the ledger of {name} balances"), balanced).await;
        assert!(ledger.rejected.is_empty(), "{name}: {ledger:?}");
    }
    server.stop().await;
}

/// PyPI's clients, in one program of Python.
async fn pypi(place: &Place, agent: &Agent, statsd: u16) {
    let Some(python) = programs::clients_python() else { return };
    let url = format!("{}/v1/metrics", place.base_url);
    let ports = [agent.graphite_port(), statsd].map(|port| port.to_string());
    run(&python, "senders.py", &[&url, &place.agent_key, &ports[0], &ports[1]]).await;
    for (expr, expected) in FROM_PYPI {
        let found = async || place.number(expr).await.filter(|found| (found - expected).abs() < 1e-9);
        until(&format!("{expr} is {expected}"), found).await;
    }
    run(&python, "readers.py", &[&place.base_url, &place.read_key]).await;
    let data = place.data("/api/v1/metadata", &[("metric", "jobs_done_total")]).await.expect("metadata");
    assert_eq!(data["jobs_done_total"][0]["help"], json!("Jobs that are done."));
    for (metric, kind) in [("shop.tcp.orders", "counter"), ("shop.tcp.stock", "gauge"), ("dog.took", "summary")] {
        let data = place.data("/api/v1/metadata", &[("metric", metric)]).await.expect("metadata");
        assert_eq!(data[metric][0]["type"], kind, "{metric}");
    }
}

/// A script of `clients/`; it must end well.
async fn run(python: &Path, script: &str, arguments: &[&str]) {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script)).args(arguments);
    let ran = tokio::task::spawn_blocking(move || command.output()).await.expect("it ends").expect("Python runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && !said.contains("Failed"), "{script}: {said}");
}

/// A target is up, one of its metrics is found, and what it says of that is shown.
async fn is_scraped(place: &Place, job: &str, port: u16, metric: &str, kind: &str) {
    let target = format!("job=\"{job}\",instance=\"127.0.0.1:{port}\"");
    until(&format!("{job} is up"), async || {
        place.number(&format!("max_over_time(up{{{target}}}[5m])")).await.filter(|up| *up >= 1.0)
    })
    .await;
    // collectd names an instance of its own, and a sender's label wins.
    until(&format!("{metric} is found"), async || place.number(&format!("count({metric}{{job=\"{job}\"}})")).await)
        .await;
    until(&format!("{metric} is described"), async || {
        let data = place.data("/api/v1/metadata", &[("metric", metric)]).await?;
        let entry = &data[metric][0];
        (entry["type"] == kind && entry["help"].as_str().is_some_and(|help| !help.is_empty())).then_some(())
    })
    .await;
}

fn node_exporter(agent: &Agent, port: u16) -> Option<Daemon> {
    let Some(program) = programs::node_exporter() else {
        eprintln!("skipped: node_exporter is not installed (Debian: prometheus-node-exporter)");
        return None;
    };
    let mut command = Command::new(program);
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let process = Process::start(&mut command, &agent.folder().join("node_exporter.txt"));
    Some(Daemon { process, port })
}

fn collectd(agent: &Agent, port: u16) -> Option<Daemon> {
    let Some(program) = programs::collectd() else {
        eprintln!("skipped: collectd is not installed (Debian: collectd-core libmicrohttpd12 libprotobuf-c1)");
        return None;
    };
    let folder = agent.folder().display().to_string();
    let graphite = agent.graphite_port();
    let config = format!(
        r#"Hostname "box"
FQDNLookup false
Interval 1
BaseDir "{folder}"
PIDFile "{folder}/collectd.pid"
TypesDB "/usr/share/collectd/types.db"
LoadPlugin load
LoadPlugin write_prometheus
<Plugin write_prometheus>
  Host "127.0.0.1"
  Port "{port}"
</Plugin>
LoadPlugin write_graphite
<Plugin write_graphite>
  <Node "agent">
    Host "127.0.0.1"
    Port "{graphite}"
    Protocol "tcp"
    Prefix "collectd."
  </Node>
</Plugin>
"#
    );
    let config = agent.write("collectd.conf", &config, 0o644);
    let mut command = Command::new(program);
    command.arg("-f").arg("-C").arg(config);
    Some(Daemon { process: Process::start(&mut command, &agent.folder().join("collectd.txt")), port })
}
