//! Debian's Prometheus as a neighbour: it scrapes itself and a node_exporter and sends what it finds
//! to a Daywatch by `remote_write`. Then both are asked the same, and the answers are compared.
//!
//! Prometheus 2 has ranges that are closed on the left, Prometheus 3 and we have open ones: a query
//! is asked at an instant at which no range begins on a sample.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Process, free_port};
use crate::{Place, until, wait};

/// What is compared, in instant queries and in range queries.
pub const QUERIES: &[&str] = &[
    "up",
    "count({__name__=~\".+\"})",
    "rate(prometheus_http_requests_total[15s])",
    "sum by (handler) (increase(prometheus_http_requests_total[20s]))",
    "irate(process_cpu_seconds_total[10s])",
    "delta(go_goroutines[15s])",
    "deriv(process_resident_memory_bytes[20s])",
    "predict_linear(go_memstats_heap_inuse_bytes[20s], 60)",
    "avg_over_time(go_goroutines[20s])",
    "stddev_over_time(go_memstats_alloc_bytes[20s])",
    "quantile_over_time(0.9, scrape_duration_seconds[20s])",
    "max_over_time(rate(prometheus_tsdb_head_samples_appended_total[10s])[15s:2s])",
    "histogram_quantile(0.9, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket[20s])))",
    "topk(3, prometheus_http_request_duration_seconds_count)",
    "count by (__name__) ({job=\"prometheus\"})",
    "count_values(\"state\", up)",
    "prometheus_http_requests_total offset 5s",
    "changes(process_resident_memory_bytes[20s])",
    "label_replace(up, \"host\", \"$1\", \"instance\", \"(.*):.*\")",
    "go_memstats_alloc_bytes / on (instance) group_left process_resident_memory_bytes",
    "process_resident_memory_bytes > bool 1e7 and on () vector(1)",
    "absent(nothing_of_this_name)",
    "quantile(0.5, {__name__=~\"go_memstats_.*_bytes\"})",
    "sum without (handler, code) (prometheus_http_requests_total)",
    "scalar(count(up)) + time() - time()",
];

/// A running Prometheus.
pub struct Prometheus {
    // Before the folder: it shows its log when a test fails.
    _exporter: Option<Process>,
    process: Process,
    place: Place,
    _folder: TempDir,
}

/// One that sends to `place`, or why there is none.
pub fn sending_to(place: &Place) -> Result<Prometheus, &'static str> {
    let key = &place.agent_key;
    sending(&format!("url: {}/api/v1/write\n    authorization: {{credentials: {key}}}", place.base_url), "")
}

/// One that sends as `remote_write` says (its first line, and further ones by four spaces), with more for its
/// queue in `queue`.
pub fn sending(remote_write: &str, queue: &str) -> Result<Prometheus, &'static str> {
    let program = installed("prometheus").ok_or("prometheus is not installed (Debian: prometheus)")?;
    let folder = tempfile::tempdir().expect("a folder");
    let (port, exporter_port) = (free_port(), free_port());
    let exporter = installed("prometheus-node-exporter").map(|program| {
        let mut command = Command::new(program);
        command.arg(format!("--web.listen-address=127.0.0.1:{exporter_port}"));
        command.args(["--collector.disable-defaults", "--collector.cpu", "--collector.loadavg", "--collector.meminfo"]);
        Process::start(&mut command, &folder.path().join("exporter"))
    });
    let node = if exporter.is_some() {
        format!("  - job_name: node\n    static_configs: [{{targets: ['127.0.0.1:{exporter_port}']}}]\n")
    } else {
        eprintln!("skipped: prometheus-node-exporter is not installed; Prometheus scrapes itself alone");
        String::new()
    };
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs:\n  - job_name: prometheus\n    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n{node}\
         remote_write:\n  - {remote_write}\n\
         \x20   queue_config: {{batch_send_deadline: 1s{queue}}}\n    metadata_config: {{send_interval: 3s}}\n"
    );
    let file = folder.path().join("prometheus.yml");
    std::fs::write(&file, config).expect("its configuration is written");
    let mut command = Command::new(program);
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let process = Process::start(&mut command, &folder.path().join("log"));
    let place = Place::known(&format!("http://127.0.0.1:{port}"), "");
    Ok(Prometheus { _exporter: exporter, process, place, _folder: folder })
}

fn installed(name: &str) -> Option<PathBuf> {
    Some(PathBuf::from("/usr/bin").join(name)).filter(|path| path.exists())
}

/// What a comparison came to.
#[derive(Debug, Default)]
pub struct Compared {
    /// Answers that are the same to the last digit.
    pub exact: usize,
    /// Answers whose numbers differ by rounding alone: 3's sums are compensated, 2's are not.
    pub rounded: usize,
    /// What differs, in words.
    pub different: Vec<String>,
}

impl Prometheus {
    /// Its address, as a client has it.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Waits until each of its targets was scraped so often.
    pub async fn scraped(&mut self, times: u64) {
        let (process, place) = (&mut self.process, &self.place);
        let limit = wait::PATIENCE + std::time::Duration::from_secs(2 * times);
        let expr = "min(count_over_time(up[1h]))";
        crate::until_in(limit, "Prometheus has scraped", async || {
            assert!(process.is_running(), "prometheus has ended:\n{}", process.log());
            place.number(expr).await.filter(|seen| *seen >= times as f64)
        })
        .await;
    }

    /// Asks both the same, at an instant before now, when `daywatch` has it all.
    pub async fn compare(&self, daywatch: &Place) -> Compared {
        let at_ms = self.instant_between_samples().await;
        // What was scraped before that instant has arrived when what was scraped after it is there.
        until("the samples have arrived", async || {
            let newest = daywatch.number("min(timestamp(up))").await?;
            (newest * 1_000.0 > at_ms as f64 + 1_000.0).then_some(())
        })
        .await;
        let mut compared = Compared::default();
        let seconds = |ms: i64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
        for query in QUERIES {
            let (at, start) = (seconds(at_ms), seconds(at_ms - 20_000));
            let instant = [("query", *query), ("time", at.as_str())];
            let range = [("query", *query), ("start", start.as_str()), ("end", at.as_str()), ("step", "2")];
            for (path, parameters) in [("/api/v1/query", &instant[..]), ("/api/v1/query_range", &range[..])] {
                let theirs = self.place.data(path, parameters).await.expect("Prometheus answers");
                let ours = daywatch.data(path, parameters).await.expect("Daywatch answers");
                compared.add(&format!("{path} {query} @ {at}"), &theirs, &ours);
            }
        }
        compared
    }

    /// Some seconds ago, and far from any sample but for whole seconds.
    async fn instant_between_samples(&self) -> i64 {
        let stamps = self.place.query("timestamp(up)").await.expect("Prometheus answers");
        let phases: Vec<i64> =
            stamps.iter().flat_map(|one| &one.points).map(|(_, at)| ((at * 1_000.0).round() as i64) % 1_000).collect();
        let far = |phase: i64| {
            let gap = |other: &i64| (phase - other).rem_euclid(1_000).min((other - phase).rem_euclid(1_000));
            phases.iter().map(gap).min().unwrap_or(500)
        };
        let phase = (0..1_000).step_by(7).max_by_key(|phase| far(*phase)).unwrap_or(0);
        (wait::now_ms() / 1_000 - 3) * 1_000 + phase
    }

    /// `type`, `help` and `unit` of a metric, as it and as `daywatch` know it.
    pub async fn metadata(&self, daywatch: &Place, metric: &str) -> (Value, Value) {
        let ours = until("the metadata has arrived", async || {
            let data = daywatch.data("/api/v1/metadata", &[("metric", metric)]).await?;
            (!data.as_object()?.is_empty()).then_some(data)
        })
        .await;
        (self.place.data("/api/v1/metadata", &[("metric", metric)]).await.expect("Prometheus answers"), ours)
    }

    /// A status of both.
    pub async fn status(
        &self,
        daywatch: &Place,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> ((u16, Value), (u16, Value)) {
        let theirs = self.place.ask(Method::GET, path, parameters, "", "").await.expect("Prometheus answers");
        let ours = daywatch.ask(Method::GET, path, parameters, &daywatch.read_key, "").await.expect("Daywatch answers");
        (theirs, ours)
    }
}

impl Compared {
    /// Two answers' `data` under the words for what was asked.
    pub fn add(&mut self, what: &str, theirs: &Value, ours: &Value) {
        let (a, b) = (points(theirs), points(ours));
        if theirs["resultType"] == ours["resultType"] && a == b {
            self.exact += 1;
            return;
        }
        let near = |(key, x): (&(String, String), &String)| {
            let (Some(y), Ok(x)) = (b.get(key), x.parse::<f64>()) else { return false };
            let Ok(y) = y.parse::<f64>() else { return false };
            x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= (1e-9 * x.abs().max(y.abs())).max(1e-12)
        };
        if a.len() == b.len() && a.iter().all(near) {
            self.rounded += 1;
            return;
        }
        let first = a.iter().find(|one| !near(*one)).map(|(key, x)| (key, x, b.get(key)));
        let more = b.keys().find(|key| !a.contains_key(*key));
        let counts = (a.len(), b.len());
        self.different.push(format!("{what}: {counts:?} points, first {first:?}, only ours {more:?}"));
    }
}

/// Values by labels and time.
fn points(data: &Value) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    let mut add = |labels: &Value, point: &Value| {
        let time = format!("{:.3}", point[0].as_f64().unwrap_or(f64::NAN));
        found.insert((labels.to_string(), time), point[1].as_str().unwrap_or_default().to_owned());
    };
    match data["resultType"].as_str() {
        Some("scalar" | "string") => add(&Value::Null, &data["result"]),
        _ => {
            for series in data["result"].as_array().into_iter().flatten() {
                let values = series["values"].as_array().into_iter().flatten();
                values.chain(series.get("value")).for_each(|point| add(&series["metric"], point));
            }
        }
    }
    found
}
