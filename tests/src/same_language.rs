//! The same samples go to Debian's Prometheus and to `serve` by remote write, then both evaluate the
//! expressions of `tests/language/*.promql`, at an instant and over a range, and answer the same.
//!
//! Debian's is Prometheus 2; what 3 and we do otherwise on purpose is kept out of the files: names that
//! are any UTF-8, `atan2` without the name, dates of NaN, durations without a unit, and windows that
//! begin on a sample, which the samples' odd times rule out.

use std::ops::Range;

use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::Value;
use series::stale_marker;
use tests::anchors::{Anchor, Client};
use tests::prometheus::Compared;
use tests::remote_write::{labels_text, put_series};
use tests::{Place, Server, until, wait};

const STEP_MS: i64 = 15_000;
const STEPS: i64 = 320;
/// No step of a subquery and no range begins on a sample, which are this far from whole seconds.
const ODD_MS: i64 = 217;
/// Expressions that are asked at once.
const AT_ONCE: usize = 8;

const METRICS: &[&str] = &["http_requests_total", "temp", "odd", "stalls", "sparse", "lat_bucket", "users", "month_ts"];
const OPERATORS: &[&str] = &[
    "+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "== bool", "!= bool", "> bool", "< bool",
    ">= bool", "<= bool",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_and_serve_give_every_expression_the_same_value() {
    let Some(prometheus) = Anchor::start("prometheus", &[]) else {
        return eprintln!("skipped: prometheus is not installed (Debian: prometheus)");
    };
    let (_server, daywatch) = Server::started("language").await;
    let theirs = Place::known(&prometheus.url(), "");
    let first = (wait::now_ms() / STEP_MS - STEPS - 4) * STEP_MS + ODD_MS;
    let data = data();
    for (place, key) in [(&theirs, None), (&daywatch, Some(daywatch.agent_key.as_str()))] {
        let mut client = Client::connect(&place.base_url, key);
        for from in (0..STEPS).step_by(80) {
            let body = request(&data, first, &(from..from + 80));
            client.write("/api/v1/write", &snap::raw::Encoder::new().compress_vec(&body).expect("snappy"));
        }
    }
    let last = first + (STEPS - 1) * STEP_MS;
    let every = format!("{{__name__=~\".+\",__name__!=\"up\"}}[2h] @ {}", seconds(last));
    let samples = async |place: &Place| {
        let found = place.query(&every).await?;
        Some(found.iter().map(|series| series.points.len()).sum::<usize>())
    };
    let all = samples(&theirs).await;
    until("all is there", async || (samples(&daywatch).await == all).then_some(())).await;

    let expressions = expressions();
    let compared =
        stream::iter(&expressions).map(|expr| compare(&theirs, &daywatch, expr, last)).buffer_unordered(AT_ONCE);
    let all = compared.fold(Compared::default(), async |mut all, one| {
        all.exact += one.exact;
        all.rounded += one.rounded;
        all.different.extend(one.different);
        all
    });
    let all = all.await;
    eprintln!(
        "{} expressions: {} answers are the same, {} but for rounding",
        expressions.len(),
        all.exact,
        all.rounded
    );
    assert!(all.different.is_empty(), "{}: {:#?}", all.different.len(), all.different);
    assert_eq!(all.exact + all.rounded, 2 * expressions.len());
}

async fn compare(theirs: &Place, ours: &Place, expr: &str, last: i64) -> Compared {
    let mut compared = Compared::default();
    // The steps begin in the third quarter of the samples and end before their end.
    let (at, start, end) = (seconds(last - 601_421), seconds(last - 2_400_211), seconds(last - 200_211));
    let instant = [("query", expr), ("time", at.as_str())];
    let range = [("query", expr), ("start", start.as_str()), ("end", end.as_str()), ("step", "37")];
    for (path, parameters) in [("/api/v1/query", &instant[..]), ("/api/v1/query_range", &range[..])] {
        let a = theirs.ask(Method::GET, path, parameters, "", "").await.expect("Prometheus answers");
        let b = ours.ask(Method::GET, path, parameters, &ours.read_key, "").await.expect("Daywatch answers");
        let what = format!("{path} {expr}");
        if a.0 == 200 && b.0 == 200 {
            compared.add(&what, &a.1["data"], &b.1["data"]);
        } else if (a.0, &a.1["errorType"]) == (b.0, &b.1["errorType"]) {
            compared.exact += 1;
        } else {
            let words = |answer: &(u16, Value)| format!("{} {} {}", answer.0, answer.1["errorType"], answer.1["error"]);
            compared.different.push(format!("{what}: {} but {}", words(&a), words(&b)));
        }
    }
    compared
}

fn expressions() -> Vec<String> {
    let lines = |text: &'static str| text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut out: Vec<String> = lines(include_str!("../language/single.promql")).map(str::to_owned).collect();
    for (text, place, values) in [
        (include_str!("../language/metrics.promql"), "$v", METRICS),
        (include_str!("../language/operators.promql"), "$op", OPERATORS),
    ] {
        out.extend(lines(text).flat_map(|line| values.iter().map(move |value| line.replace(place, value))));
    }
    out
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

/// A series: its labels as remote write has them, and its values by step.
type Series = (Vec<u8>, Vec<(i64, f64)>);

/// A body of remote write, not compressed yet: what all series have at these steps.
fn request(data: &[Series], first: i64, steps: &Range<i64>) -> Vec<u8> {
    let mut out = Vec::new();
    for (labels, samples) in data {
        for (step, value) in samples.iter().filter(|(step, _)| steps.contains(step)) {
            put_series(&mut out, labels, &[(*value, first + step * STEP_MS)]);
        }
    }
    out
}

/// Counters with resets and gaps, gauges, values that are no numbers, ends by stale markers, histograms.
fn data() -> Vec<Series> {
    let mut out = Vec::new();
    let mut add = |name: &str, pairs: &[(&str, &str)], value: &mut dyn FnMut(i64) -> Option<f64>| {
        let labels: Vec<_> = [("__name__", name)].iter().chain(pairs).copied().collect();
        out.push((labels_text(&labels), (0..STEPS).filter_map(|step| Some((step, value(step)?))).collect()));
    };
    let mut state = 7_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for (j, job) in ["api", "db"].into_iter().enumerate() {
        for (i, instance) in ["a:1", "b:2", "c:3"].into_iter().enumerate() {
            let host = [("job", job), ("instance", instance)];
            let phase = (j * 3 + i) as f64;
            for (c, code) in ["200", "404", "500"].into_iter().enumerate() {
                let (mut total, reset) = (0.0, [1_000, 37, 90][(i + c) % 3]);
                let gap = [0..0, 100..140, 200..310][(j + i + c) % 3].clone();
                add("http_requests_total", &[host[0], host[1], ("code", code)], &mut |step| {
                    if step % reset == reset - 1 {
                        total = 0.0;
                    }
                    total += random(6) as f64 * 0.5 * (phase + 1.0);
                    (!gap.contains(&step)).then_some(total)
                });
            }
            add("temp", &host, &mut |step| {
                let value = 20.0 * (step as f64 / 20.0 + phase).sin() + random(3_000) as f64 / 1_000.0 - 1.0;
                Some((value * 1_000.0).round() / 1_000.0)
            });
            add("limit", &host, &mut |_| Some(2.25 * phase));
        }
        let mut totals = [0.0; 6];
        let buckets = ["0.1", "0.5", "1", "2.5", "10", "+Inf"];
        let rows: Vec<_> = (0..STEPS)
            .map(|_| {
                let mut more = 0.0;
                totals.iter_mut().for_each(|total| {
                    more += random(5) as f64;
                    *total += more;
                });
                totals
            })
            .collect();
        for (b, le) in buckets.into_iter().enumerate() {
            add("lat_bucket", &[("job", job), ("le", le)], &mut |step| Some(rows[step as usize][b]));
        }
        add("lat_count", &[("job", job)], &mut |step| Some(rows[step as usize][5]));
    }
    let every = |step: i64, n: i64, value: f64, other: f64| Some(if step % n == 0 { value } else { other });
    add("odd", &[("k", "nan")], &mut |step| every(step, 5, f64::NAN, step as f64 * 1.5));
    add("odd", &[("k", "inf")], &mut |step| every(step, 7, f64::INFINITY, step as f64 * -0.5));
    add("odd", &[("k", "ninf")], &mut |step| every(step, 11, f64::NEG_INFINITY, step as f64 / 3.0));
    add("odd", &[("k", "zero")], &mut |step| every(step, 2, -0.0, 0.0));
    add("stalls", &[("k", "x")], &mut |step| every(step, 40, stale_marker(), step as f64));
    add("stalls", &[("k", "y")], &mut |step| Some(if step < 300 { step as f64 } else { stale_marker() }));
    add("sparse", &[], &mut |step| (step % 25 == 0).then_some(step as f64));
    add("one", &[("job", "api")], &mut |_| Some(1.0));
    add("month_ts", &[], &mut |step| Some(1.6e9 + step as f64 * 86_400.0 * 3.3));
    for number in ["1", "2", "3"] {
        let value: f64 = number.parse().expect("a number");
        add("noinf_bucket", &[("le", number)], &mut |step| Some(step as f64 * value));
        add("build_info", &[("instance", number), ("version", &format!("v{number}"))], &mut |_| Some(1.0));
        add("users", &[("instance", number)], &mut |step| Some(value * 10.0 + (step % 9) as f64));
    }
    add("lbl", &[("src", "source-value-10"), ("dst", "orig")], &mut |_| Some(3.0));
    add("lbl", &[("src", "other"), ("dst", "orig2")], &mut |_| Some(4.0));
    out
}
