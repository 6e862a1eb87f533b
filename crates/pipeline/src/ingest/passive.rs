//! Passive check results: `POST /api/v1/checks` with `[{check, status, text, ttl}]`.

use serde::Deserialize;
use series::{Labels, Sample, SourceName, Timestamp};
use wire::limits::{CHECK_NAME_BYTES_MAX, CHECK_TEXT_BYTES_MAX, DECOMPRESSED_BYTES_FREE};
use wire::{CheckResult, CheckState, Contents, Rejection, SeriesColumn};

use super::{Pushed, plain_body, put_pushed};
use crate::Context;
use crate::error::Fault;
use crate::http::{Request, text};
use crate::keys::Caller;

/// Results of one request.
pub const RESULTS_MAX: usize = 1_000;
/// Results of one record: with the longest texts they stay below what a batch may decompress to.
const RESULTS_PER_LOT_MAX: usize = DECOMPRESSED_BYTES_FREE / (2 * CHECK_TEXT_BYTES_MAX);

#[derive(Deserialize)]
struct Passive {
    check: String,
    status: u8,
    #[serde(default)]
    text: String,
    /// `90s`, or seconds: how long the result stands for the check.
    #[serde(default)]
    ttl: Option<Ttl>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Ttl {
    Seconds(f64),
    Text(String),
}

/// Takes results; a bad one is named and its neighbours go through.
pub async fn checks(context: &Context, caller: &Caller, request: &Request) -> Result<Pushed, Fault> {
    caller.may_push()?;
    let body = plain_body(request)?;
    let items: Vec<serde_json::Value> = serde_json::from_str(text(&body)?)
        .map_err(|e| Fault::bad(format!("line {}, column {}: {e}", e.line(), e.column())))?;
    if items.len() > RESULTS_MAX {
        return Err(Fault::bad(format!("{} results, at most {RESULTS_MAX} are taken at once", items.len())));
    }
    let source = SourceName::new(&caller.name).map_err(|e| Fault::Internal(format!("the key's name: {e}")))?;
    let now = context.ports.clock.now();
    let mut results: Vec<(CheckResult, SeriesColumn)> = Vec::new();
    let mut rejected: Option<Rejection> = None;
    for (index, item) in items.into_iter().enumerate() {
        match read(item, &source, now) {
            Ok(result) => results.push(result),
            Err(text) => {
                let refusal = rejected.get_or_insert_with(|| Rejection {
                    reason: "bad_check_result".to_owned(),
                    count: 0,
                    first: format!("[{index}]: {text}"),
                });
                refusal.count += 1;
            }
        }
    }
    let rejected: Vec<Rejection> = rejected.into_iter().collect();
    let accepted = results.len() as u64;
    let lane = series::Lane::of_source(&caller.tenant, &source);
    // In lots, so that a result and its sample travel in one record. Nothing at all is a lot too:
    // the refusals have to be counted.
    let mut lots = Vec::new();
    let mut results = results.into_iter().peekable();
    while results.peek().is_some() || lots.is_empty() {
        let (checks, series) = results.by_ref().take(RESULTS_PER_LOT_MAX).unzip();
        lots.push((lane, Contents { series, checks, ..Contents::default() }));
    }
    put_pushed(context, caller, &source, lots, (accepted, rejected)).await
}

fn read(item: serde_json::Value, source: &SourceName, now: Timestamp) -> Result<(CheckResult, SeriesColumn), String> {
    let passive: Passive = serde_json::from_value(item).map_err(|e| e.to_string())?;
    let state = CheckState::try_from(passive.status).map_err(|e| format!("status: {e}"))?;
    if passive.check.is_empty() || passive.check.len() > CHECK_NAME_BYTES_MAX {
        return Err(format!("check: a name has 1 to {CHECK_NAME_BYTES_MAX} bytes, not {}", passive.check.len()));
    }
    if passive.text.len() > CHECK_TEXT_BYTES_MAX {
        return Err(format!("text: {} bytes, at most {CHECK_TEXT_BYTES_MAX} are taken", passive.text.len()));
    }
    let ttl_ms = match passive.ttl {
        None => 0,
        Some(Ttl::Seconds(seconds)) if seconds.is_finite() && seconds >= 0.0 => (seconds * 1_000.0) as i64,
        Some(Ttl::Seconds(seconds)) => return Err(format!("ttl: {seconds} is no duration")),
        Some(Ttl::Text(text)) => alerts::duration::parse_ms(&text).map_err(|e| format!("ttl {text:?}: {e}"))?,
    };
    let labels = Labels::from_pairs([
        ("__name__", "check_status"),
        ("check", passive.check.as_str()),
        ("job", "check"),
        ("instance", source.as_str()),
        ("source", source.as_str()),
    ])
    .map_err(|e| format!("check: {e}"))?;
    let sample = Sample { at: now, value: f64::from(passive.status) };
    let result = CheckResult {
        check: passive.check,
        at: now,
        state,
        hard: true,
        state_since: now,
        text: passive.text,
        perfdata: Vec::new(),
        exit_code: None,
        duration_ms: 0,
        interval_ms: u64::try_from(ttl_ms).unwrap_or(0),
        truncated: false,
    };
    Ok((result, SeriesColumn { labels, samples: vec![sample] }))
}
