//! How long evaluation takes over series in memory: `cargo run --profile up -p promql --example speed`.
//!
//! One series and 50 over a day, and 10,000 over an hour, a sample each 10 s; the mean of many runs in ms of
//! processor time.

use std::sync::OnceLock;
use std::time::Instant;

use promql::{Options, Series, SeriesSet, parse, range};
use series::{Labels, Sample, Timestamp};

const HOUR_MS: i64 = 3_600_000;
const EVERY_MS: i64 = 10_000;
/// How long each query is asked again.
const MEASURED_MS: f64 = 400.0;

/// Counters that rise by their number each ten seconds and are reset now and then.
fn counters(series: usize, hours: i64) -> SeriesSet {
    let all = (0..series).filter_map(|n| {
        let pairs = [
            ("__name__", "x_total".to_owned()),
            ("instance", format!("host-{n}:9100")),
            ("job", format!("job-{}", n % 20)),
            ("path", format!("/api/v1/things/{}", n % 7)),
        ];
        let sample = |step: i64| Sample {
            at: Timestamp(step * EVERY_MS),
            value: (step % 5_000 * (n as i64 % 50 + 1)) as f64 + 0.25,
        };
        let samples: promql::Samples = (0..hours * HOUR_MS / EVERY_MS).map(sample).collect();
        Labels::from_pairs(pairs).ok().map(|labels| Series { labels, samples })
    });
    SeriesSet::from_joined(all.collect())
}

/// Milliseconds that this thread has been on a processor, where the system tells; else of the clock. So what else
/// runs on the machine counts little.
#[expect(clippy::disallowed_methods, reason = "a measurement needs a clock; the crate itself has none")]
fn now_ms() -> f64 {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    let on_processor = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = on_processor.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    nanos.map_or_else(|| BEGUN.get_or_init(Instant::now).elapsed().as_secs_f64() * 1_000.0, |nanos| nanos / 1e6)
}

fn measure(set: &SeriesSet, text: &str, hours: i64, step_ms: i64) {
    let Ok(expr) = parse(text) else { return println!("{text}: no PromQL") };
    let (mut runs, mut shown) = (0.0, String::new());
    // The system counts in steps of some milliseconds.
    let begun = now_ms();
    while now_ms() - begun < MEASURED_MS {
        let result = range(&expr, Timestamp(0), Timestamp(hours * HOUR_MS), step_ms, set, &Options::default());
        runs += 1.0;
        shown =
            result.map_or_else(|e| e.to_string(), |r| format!("{} series, {} samples", r.value.len(), r.samples_read));
    }
    let mean = (now_ms() - begun) / runs;
    println!("{mean:>9.3} ms  {text}  ({} series in, {hours} h by {} s; {shown})", set.len(), step_ms / 1_000);
}

fn main() {
    let queries = [
        "x_total",
        "rate(x_total[5m])",
        "increase(x_total[1h])",
        "avg_over_time(x_total[5m])",
        "max_over_time(x_total[5m])",
        "sum by (job) (rate(x_total[5m]))",
    ];
    for (series, hours, step_ms) in [(1, 24, 60_000), (50, 24, 60_000), (10_000, 1, 15_000)] {
        let set = counters(series, hours);
        queries.iter().for_each(|text| measure(&set, text, hours, step_ms));
    }
}
