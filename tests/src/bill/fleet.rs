//! Simulated agents: the series of a host with the starter rules' metrics among them, sent as the
//! agent sends them: flushed on the step, as the server wishes, in batches of the real codec.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use embedded::{Outgoing, SeededRandom};
use futures_util::FutureExt as _;
use series::{Epoch, Labels, Sample, SourceName, Timestamp};
use wire::{AgentFrame, Contents, Counters, PAYLOAD_BYTES_MAX, SeriesColumn, ServerFrame};

/// How often an agent flushes without a wish, ms.
const OWN_FLUSH_MS: i64 = 60_000;
/// How often it collects, ms.
pub const STEP_MS: i64 = 10_000;

/// Metrics that starter rules select: name, extra label, its values.
const WATCHED: [(&str, &str, &[&str]); 13] = [
    ("node_load5", "", &[""]),
    ("node_memory_MemAvailable_bytes", "", &[""]),
    ("node_memory_MemTotal_bytes", "", &[""]),
    ("node_memory_SwapFree_bytes", "", &[""]),
    ("node_memory_SwapTotal_bytes", "", &[""]),
    ("node_timex_sync_status", "", &[""]),
    ("node_cpu_seconds_total", "cpu", &["0", "1", "2", "3"]),
    ("node_filesystem_avail_bytes", "mountpoint", &["/", "/var"]),
    ("node_filesystem_size_bytes", "mountpoint", &["/", "/var"]),
    ("node_filesystem_files", "mountpoint", &["/", "/var"]),
    ("node_filesystem_files_free", "mountpoint", &["/", "/var"]),
    ("check_status", "check", &["disk", "load", "memory", "processes"]),
    ("daywatch_agent_buffer_bytes", "", &[""]),
];

/// One agent.
pub struct Agent {
    pub name: SourceName,
    pub connection: String,
    pub outgoing: Outgoing,
    series: Vec<(Labels, f64, f64)>,
    waiting: Vec<SeriesColumn>,
    seq: u64,
    phase: i64,
    wishes: Vec<(i64, i64)>,
    random: SeededRandom,
    generated: u64,
    /// Batches whose ack has come.
    pub acked: u64,
    /// Batches that were sent.
    pub sent: u64,
}

impl Agent {
    /// The `number`th, with so many series.
    pub fn new(number: u64, series: usize, outgoing: Outgoing, connection: String) -> Self {
        let name = SourceName::new(&format!("web-{number:05}.example")).unwrap();
        let mut random = SeededRandom::new(number + 1);
        let mut all = Vec::new();
        for (metric, label, values) in WATCHED {
            for value in values {
                // Quiet: nothing that a starter rule would fire at.
                let (start, noise) = match metric {
                    "check_status" => (0.0, 0.0),
                    "node_load5" => (0.3, 0.01),
                    "node_timex_sync_status" => (1.0, 0.0),
                    "daywatch_agent_buffer_bytes" => (100_000.0, 1_000.0),
                    "node_cpu_seconds_total" => (50_000.0, -1.0),
                    _ if metric.contains("Total") || metric.ends_with("size_bytes") || metric.ends_with("files") => {
                        (64e9, 0.0)
                    }
                    _ => (48e9, 4_096.0),
                };
                let mode = if metric == "node_cpu_seconds_total" { "idle" } else { "" };
                all.push((labels(&name, metric, &[(label, value), ("mode", mode)]), start, noise));
            }
        }
        let mut unit = 0;
        while all.len() < series {
            let kind = ["receive", "transmit", "errs", "drop", "packets"][unit % 5];
            let device = format!("eth{}", unit / 5);
            let metric = format!("node_network_{kind}_total");
            all.push((labels(&name, &metric, &[("device", &device)]), 1e6, -f64::from(u32::try_from(unit).unwrap())));
            unit += 1;
        }
        all.truncate(series);
        let phase = i64::try_from(random.below(19_000)).unwrap() + 1_000;
        Self {
            name,
            connection,
            outgoing,
            series: all,
            waiting: Vec::new(),
            seq: 0,
            phase,
            wishes: Vec::new(),
            random,
            generated: 0,
            acked: 0,
            sent: 0,
        }
    }

    /// What it says first.
    #[must_use]
    pub fn hello(&self) -> String {
        let hello = AgentFrame::Hello {
            version: wire::FROM_AGENT_PROTOCOL,
            source: self.name.as_str().to_owned(),
            epoch: Epoch(7),
            run_id: self.name.as_str().to_owned(),
            host: self.name.as_str().to_owned(),
            agent_version: "0.1.0".to_owned(),
            counters: Counters::default(),
        };
        hello.to_json()
    }

    /// One second: hears the server, collects on the step, flushes when it is time.
    pub async fn second(&mut self, now: Timestamp) -> Vec<String> {
        self.hear(now);
        if now.ms() % STEP_MS == 0 {
            self.collect(now);
        }
        let every = self.wishes.iter().map(|(every, _)| *every).min().unwrap_or(OWN_FLUSH_MS).max(1_000);
        let phase = if every <= 1_000 { 0 } else { 1_000 + (self.phase - 1_000) * (every / 3 - 1_000) / 19_000 };
        // Whole seconds here: a flush of the second in which its phase lies.
        let second = now.ms().div_euclid(1_000) * 1_000;
        if (second - phase.div_euclid(1_000) * 1_000).rem_euclid(every) != 0 || self.waiting.is_empty() {
            return Vec::new();
        }
        self.flush(now)
    }

    fn hear(&mut self, now: Timestamp) {
        while let Some(Some(text)) = self.outgoing.next().now_or_never() {
            match ServerFrame::from_json(&text) {
                Ok(ServerFrame::Wish { flush_every_ms, expires_at_ms }) => {
                    self.wishes.push((i64::try_from(flush_every_ms).unwrap(), expires_at_ms.ms()));
                }
                Ok(ServerFrame::Ack { ranges, .. }) => {
                    let newest = ranges.iter().map(|range| range.to).max().unwrap_or(0);
                    self.acked = self.acked.max(newest);
                }
                _ => {}
            }
        }
        self.wishes.retain(|(_, until)| *until > now.ms());
        self.wishes.sort_unstable();
        self.wishes.dedup_by_key(|(every, _)| *every);
    }

    fn collect(&mut self, now: Timestamp) {
        for (place, (labels, value, noise)) in self.series.iter_mut().enumerate() {
            let drawn = self.random.below(1_000) as f64 / 1_000.0;
            // Counters rise by about 10 a step and less than the half of them each time; gauges walk.
            *value +=
                if *noise < 0.0 { (drawn * 20.0 * -*noise).round() } else { ((drawn - 0.5) * 2.0 * *noise).round() };
            let sample = Sample { at: now, value: *value };
            match self.waiting.get_mut(place) {
                Some(column) => column.samples.push(sample),
                None => self.waiting.push(SeriesColumn { labels: labels.clone(), samples: vec![sample] }),
            }
            self.generated += 1;
        }
    }

    fn flush(&mut self, now: Timestamp) -> Vec<String> {
        let columns = std::mem::take(&mut self.waiting);
        let contents = Contents { series: columns, ..Contents::default() };
        let counters = Counters { generated: self.generated, ..Counters::default() };
        let parts = wire::chunk(contents, &self.name, PAYLOAD_BYTES_MAX).parts;
        let frames = parts.into_iter().map(|part| {
            self.seq += 1;
            self.sent += 1;
            let mut batch = part.into_batch(self.name.clone(), Epoch(7), self.seq, now);
            batch.counters = counters.clone();
            let payload = STANDARD.encode(batch.encode());
            AgentFrame::Batch { payload, epoch: Some(Epoch(7)), seq: Some(self.seq) }.to_json()
        });
        frames.collect()
    }
}

fn labels(name: &SourceName, metric: &str, more: &[(&str, &str)]) -> Labels {
    let job = if metric.starts_with("check") {
        "check"
    } else if metric.starts_with("daywatch") {
        "daywatch-agent"
    } else {
        "node"
    };
    let mut pairs = vec![("__name__", metric), ("instance", name.as_str()), ("job", job), ("source", name.as_str())];
    pairs.extend(more.iter().filter(|(label, value)| !label.is_empty() && !value.is_empty()).copied());
    Labels::from_pairs(pairs).unwrap()
}
