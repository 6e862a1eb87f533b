//! Targets of all kinds on this host, what is scraped from them, and node_exporter where there is one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use series::{SourceName, is_stale};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::Overrides;

fn intake() -> Intake {
    let labels = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
    Intake::new(SourceName::new("web-1").expect("valid"), &labels, Arc::default())
}

fn job(url: &str, more: &str, intake: &Intake) -> ScrapeJob {
    let text = format!(
        "url = \"http://127.0.0.1:1\"\nkey_file = \"k\"\nname = \"web-1\"\n[[scrape]]\nurl = \"{url}\"\n{more}"
    );
    let config = Config::parse(Path::new("agent.toml"), &text, Overrides::default()).expect("a configuration");
    ScrapeJob::new(&config.scrapes[0], &config, intake).expect("a job")
}

/// A target whose answers are set one after the other; its requests are kept.
#[derive(Clone, Default)]
struct Page {
    answer: Arc<Mutex<Vec<u8>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Page {
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let (page, address) = (Self::default(), listener.local_addr().expect("address"));
        let served = page.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4_096];
                let length = stream.read(&mut request).await.unwrap_or_default();
                served.requests.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
                let answer = served.answer.lock().unwrap().clone();
                stream.write_all(&answer).await.ok();
            }
        });
        (page, format!("http://{address}"))
    }

    fn says(&self, head: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        *self.answer.lock().unwrap() = [head.as_bytes(), body].concat();
    }
}

/// One scrape at `at`; every sample as text but for the duration, sorted. Stale markers are `gone`.
async fn scraped(job: &mut ScrapeJob, at: i64) -> Vec<String> {
    job.run(Timestamp(at)).await;
    let pending = job.intake.take();
    let mut shown = Vec::new();
    for (labels, samples) in pending.series {
        let own = labels.without(|name| ["env", "instance", "job", "source"].contains(&name));
        if own.metric_name() == Some("scrape_duration_seconds") {
            continue;
        }
        for sample in samples {
            let value = if is_stale(sample.value) { "gone".to_owned() } else { sample.value.to_string() };
            shown.push(if sample.at.ms() == at {
                format!("{own} {value}")
            } else {
                format!("{own} {value} {}", sample.at)
            });
        }
    }
    shown.extend(pending.rejected.iter().map(|(reason, count)| format!("rejected {reason} {count}")));
    shown.retain(|line| !line.starts_with("scrape_samples_post"));
    shown.sort();
    shown
}

#[tokio::test]
async fn what_a_target_says_of_its_metrics_is_told_once_and_when_it_changes() {
    let (page, url) = Page::start().await;
    let mut job = job(&url, "", &intake());
    let mut told = async |at: i64, body: &str| {
        page.says("200 OK", body);
        job.run(Timestamp(at)).await;
        let described = job.intake.take().metadata.into_iter();
        described.map(|m| format!("{}|{}|{}|{}", m.metric, m.kind, m.help, m.unit)).collect::<Vec<_>>()
    };
    let body = "# HELP a How many.\n# TYPE a counter\na 1\n# TYPE b untyped\nb 1\n# HELP c See.\nc 1\n";
    assert_eq!(told(1_000, body).await, ["a|counter|How many.|", "b|unknown||", "c|unknown|See.|"]);
    assert!(told(2_000, body).await.is_empty());
    assert_eq!(told(3_000, &body.replace("many", "few")).await, ["a|counter|How few.|"]);
    assert_eq!(told(1_000 + 24 * 3_600_000, body).await.len(), 3, "again after a day");
}

#[tokio::test]
async fn what_vanishes_gets_a_stale_marker_and_a_failure_ends_all() {
    let (page, url) = Page::start().await;
    let mut job = job(&url, "", &intake());
    page.says("200 OK", "# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 2\nold 3 500\n");
    let first = scraped(&mut job, 1_000).await;
    assert_eq!(
        first,
        ["a{x=\"1\"} 1", "a{x=\"2\"} 2", "old 3 500", "scrape_samples_scraped 3", "scrape_series_added 3", "up 1"]
    );
    page.says("200 OK", "a{x=\"2\"} 4\nb 5\n");
    let second = scraped(&mut job, 2_000).await;
    assert_eq!(
        second,
        ["a{x=\"1\"} gone", "a{x=\"2\"} 4", "b 5", "scrape_samples_scraped 2", "scrape_series_added 1", "up 1"]
    );
    page.says("500 Oh", "a{x=\"2\"} 4\n");
    let failed = scraped(&mut job, 3_000).await;
    assert_eq!(failed, ["a{x=\"2\"} gone", "b gone", "scrape_samples_scraped 0", "scrape_series_added 0", "up 0"]);
    let still = scraped(&mut job, 4_000).await;
    assert_eq!(still, ["scrape_samples_scraped 0", "scrape_series_added 0", "up 0"]);
    page.says("200 OK", "b 6\n");
    assert_eq!(scraped(&mut job, 5_000).await, ["b 6", "scrape_samples_scraped 1", "scrape_series_added 1", "up 1"]);
}

#[tokio::test]
async fn labels_of_the_target_win_over_the_sections_and_these_over_ours() {
    let (page, url) = Page::start().await;
    let mut job = job(&url, "job = \"shop\"\nlabels = { env = \"test\", zone = \"a\" }\n", &intake());
    page.says("200 OK", "a{zone=\"b\",instance=\"own\"} 1\n");
    job.run(Timestamp(1_000)).await;
    let taken = job.intake.take();
    let instance = url.trim_start_matches("http://");
    let shown: Vec<String> = taken.series.keys().map(ToString::to_string).collect();
    let expected = r#"a{env="test", instance="own", job="shop", source="web-1", zone="b"}"#.to_owned();
    assert!(shown.contains(&expected), "{shown:?}");
    let up = format!(r#"up{{env="test", instance="{instance}", job="shop", source="web-1", zone="a"}}"#);
    assert!(shown.contains(&up), "{shown:?}");
}

#[tokio::test]
async fn a_bad_line_costs_itself_and_a_page_of_no_metrics_the_scrape() {
    let (page, url) = Page::start().await;
    let mut job = job(&url, "", &intake());
    page.says("200 OK", "a 1\nb x\nc 3\n");
    let lines =
        ["a 1", "c 3", "rejected value_not_a_number 1", "scrape_samples_scraped 2", "scrape_series_added 2", "up 1"];
    assert_eq!(scraped(&mut job, 1_000).await, lines);
    page.says("200 OK", "<html><body>\n<h1>It works!</h1>\n</body></html>\n");
    let failed = ["a gone", "c gone", "scrape_samples_scraped 0", "scrape_series_added 0", "up 0"];
    assert_eq!(scraped(&mut job, 2_000).await, failed);
    page.says("200 OK", "");
    assert_eq!(scraped(&mut job, 3_000).await, ["scrape_samples_scraped 0", "scrape_series_added 0", "up 1"]);
    page.says("200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0", "a 1 0.5\n# EOF\n");
    assert_eq!(
        scraped(&mut job, 4_000).await,
        ["a 1 500", "scrape_samples_scraped 1", "scrape_series_added 1", "up 1"]
    );
}

#[tokio::test]
async fn samples_at_the_limit_and_one_past_it() {
    let (page, url) = Page::start().await;
    let mut job = job(&url, "sample_limit = 2\n", &intake());
    page.says("200 OK", "a 1\nb 2\n");
    assert!(scraped(&mut job, 1_000).await.contains(&"up 1".to_owned()));
    page.says("200 OK", "a 1\nb 2\nc 3\n");
    let failed = ["a gone", "b gone", "scrape_samples_scraped 0", "scrape_series_added 0", "up 0"];
    assert_eq!(scraped(&mut job, 2_000).await, failed);
    page.says("200 OK", "d 1\ne 2\nf 3\n");
    assert_eq!(scraped(&mut job, 3_000).await, failed[2..]);
}

#[tokio::test]
async fn what_is_asked_and_what_is_followed() {
    let (page, url) = Page::start().await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "t0ken\n").unwrap();
    let mut job = job(&url, &format!("bearer_token_file = {token:?}\n"), &intake());
    page.says("302 Found\r\nLocation: /elsewhere", "");
    let failed = scraped(&mut job, 1_000).await;
    assert!(failed.contains(&"up 0".to_owned()));
    let requests = std::mem::take(&mut *page.requests.lock().unwrap());
    assert_eq!(requests.len(), fetch::REDIRECTS_MAX + 1);
    assert!(requests[0].starts_with("GET /metrics HTTP/1.1\r\n") && requests[1].starts_with("GET /elsewhere "));
    let asked = requests[0].to_ascii_lowercase();
    for part in
        ["accept: application/openmetrics-text;version=1.0.0", "accept-encoding: gzip", "authorization: bearer t0ken"]
    {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    // Another host gets no token.
    let (other, other_url) = Page::start().await;
    other.says("200 OK", "a 1\n");
    page.says(&format!("301 Moved\r\nLocation: {other_url}/m"), "");
    assert!(scraped(&mut job, 2_000).await.contains(&"a 1".to_owned()));
    assert!(!other.requests.lock().unwrap()[0].to_ascii_lowercase().contains("authorization"));
}

#[tokio::test]
async fn packed_and_broken_off_and_silent() {
    use std::io::Write;
    let (page, url) = Page::start().await;
    let mut job = job(&url, "timeout = \"200ms\"\n", &intake());
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"a 1\n").unwrap();
    page.says("200 OK\r\nContent-Encoding: gzip", encoder.finish().unwrap());
    assert!(scraped(&mut job, 1_000).await.contains(&"a 1".to_owned()));
    *page.answer.lock().unwrap() = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\na 1\n".to_vec();
    assert!(scraped(&mut job, 2_000).await.contains(&"a gone".to_owned()));
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut job = self::job(&url, "timeout = \"200ms\"\n", &intake());
    assert!(scraped(&mut job, 1_000).await.contains(&"up 0".to_owned()));
}

#[tokio::test]
async fn debians_node_exporter() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let started = Command::new("prometheus-node-exporter")
        .arg(format!("--web.listen-address={free}"))
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    let Ok(mut exporter) = started else {
        eprintln!("skipped: prometheus-node-exporter is not installed");
        return;
    };
    let intake = intake();
    let mut job = job(&format!("http://{free}"), "job = \"node\"\n", &intake);
    let mut series = BTreeMap::new();
    for round in 1..=200 {
        job.run(Timestamp(round * 1_000)).await;
        let taken = intake.take();
        assert!(taken.rejected.is_empty(), "{:?}", taken.rejected);
        series = taken.series.into_iter().map(|(labels, samples)| (labels.to_string(), samples[0].value)).collect();
        if series.len() > 100 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    exporter.kill().unwrap();
    exporter.wait().unwrap();
    let labels = format!(r#"{{env="prod", instance="{free}", job="node", source="web-1"}}"#);
    assert_eq!(series.get(&format!("up{labels}")), Some(&1.0), "{} series", series.len());
    assert!(series.get(&format!("node_load1{labels}")).is_some_and(|load| *load >= 0.0));
    assert_eq!(series[&format!("scrape_samples_scraped{labels}")] as usize, series.len() - 5);
    job.run(Timestamp(1_000_000)).await;
    let gone = intake.take();
    let stale = gone.series.values().filter(|samples| is_stale(samples[0].value)).count();
    assert_eq!(stale, series.len() - 5);
}
