//! `status/*` and `targets`: what Daywatch is, in the words of Prometheus.

use pipeline::alerts::message::rfc3339;
use pipeline::http::BODY_BYTES_MAX;
use pipeline::http::{Request, Response};
use pipeline::keys::Caller;
use pipeline::{Context, DAY_MS, Fault, cardinality, promql, query, read, sources};
use serde_json::{Value as Json, json};

use crate::parameters::{STEPS_MAX, given, invalid};

/// The version of Prometheus whose language and API this is. Clients decide by it what they may
/// ask for; our own version stands beside it.
const PROMETHEUS_VERSION: &str = "3.0.0";
/// Rows of each list of `status/tsdb`, as in Prometheus.
const ROWS: usize = 10;
/// Rows that may be asked for, as in Prometheus.
pub(crate) const ROWS_MAX: usize = 10_000;

pub(super) async fn answer(
    context: &Context,
    caller: &Caller,
    request: &Request,
    what: &str,
) -> Result<Response, Fault> {
    match what {
        "tsdb" => cardinalities(context, caller, request).await,
        "buildinfo" => Ok(Response::success(json!({
            "application": "Daywatch",
            "daywatchVersion": env!("CARGO_PKG_VERSION"),
            "version": PROMETHEUS_VERSION,
            "revision": "",
            "branch": "",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
        }))),
        "runtimeinfo" => Ok(Response::success(runtime(context))),
        "flags" => Ok(Response::success(flags(context))),
        // Rules and routes have a place of their own: /api/v1/config.
        "config" => {
            Ok(Response::success(json!({ "yaml": "global:\n  scrape_interval: 10s\n  evaluation_interval: 1m\n" })))
        }
        // What is acknowledged is read from the first moment on; nothing is replayed before.
        "walreplay" => Ok(Response::success(json!({ "min": 0, "max": 0, "current": 0 }))),
        _ => Err(Fault::NotFound(format!("there is nothing at {}", request.path))),
    }
}

fn retention(context: &Context) -> String {
    format!("{}d", context.settings.raw_retention_ms.div_euclid(DAY_MS))
}

fn runtime(context: &Context) -> Json {
    let now = rfc3339(context.ports.clock.now());
    json!({
        "startTime": now,
        "CWD": "",
        "hostname": "",
        "serverTime": now,
        "reloadConfigSuccess": true,
        "lastConfigTime": now,
        "corruptionCount": 0,
        "goroutineCount": 0,
        "GOMAXPROCS": 0,
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": retention(context),
    })
}

/// The limits, under Prometheus's names where it has one and under ours else.
fn flags(context: &Context) -> Json {
    json!({
        "query.lookback-delta": "5m",
        "query.max-samples": promql::SAMPLES_MAX.to_string(),
        "query.timeout": format!("{}s", query::QUERY_MS_MAX / 1_000),
        "storage.tsdb.retention.time": retention(context),
        "web.enable-remote-write-receiver": "true",
        "daywatch.loaded_bytes_max": read::LOADED_BYTES_MAX.to_string(),
        "daywatch.loaded_samples_max": read::LOADED_SAMPLES_MAX.to_string(),
        "daywatch.loaded_series_max": read::LOADED_SERIES_MAX.to_string(),
        "daywatch.body_bytes_max": BODY_BYTES_MAX.to_string(),
        "daywatch.series_listed_max": query::SERIES_LISTED_MAX.to_string(),
        "daywatch.series_max": promql::SERIES_MAX.to_string(),
        "daywatch.steps_max": STEPS_MAX.to_string(),
        "daywatch.visits_max": promql::VISITS_MAX.to_string(),
    })
}

async fn cardinalities(context: &Context, caller: &Caller, request: &Request) -> Result<Response, Fault> {
    let rows = match given(request, "limit").map(str::parse::<usize>) {
        None => ROWS,
        Some(Ok(rows)) if (1..=ROWS_MAX).contains(&rows) => rows,
        Some(Ok(rows)) if rows > ROWS_MAX => {
            return Err(invalid("limit", format!("limit must not exceed {ROWS_MAX}")));
        }
        Some(_) => return Err(invalid("limit", "limit must be a positive number")),
    };
    Ok(Response::success(cardinality::of(context, &caller.tenant, rows).await?))
}

/// Agents, as the targets that they are in place of. Nothing is dropped: nothing is discovered.
pub(super) async fn targets(context: &Context, caller: &Caller, request: &Request) -> Result<Response, Fault> {
    let state = given(request, "state").map(str::to_ascii_lowercase);
    let mut active = Vec::new();
    if matches!(state.as_deref(), None | Some("any" | "active")) {
        for source in sources::all(context, &caller.tenant).await? {
            if source.kind != "agent" {
                continue;
            }
            active.push(json!({
                "discoveredLabels": {},
                "labels": { "instance": source.name, "job": "node" },
                "scrapePool": "agents",
                "scrapeUrl": "",
                "globalUrl": "",
                "lastError": "",
                "lastScrape": rfc3339(source.last_seen_ms),
                "lastScrapeDuration": 0,
                "health": if source.present { "up" } else { "down" },
                "scrapeInterval": "10s",
                "scrapeTimeout": "10s",
            }));
        }
    }
    let pool = given(request, "scrapePool");
    if pool.is_some_and(|pool| pool != "agents") {
        active.clear();
    }
    Ok(Response::success(json!({ "activeTargets": active, "droppedTargets": [], "droppedTargetCounts": {} })))
}
