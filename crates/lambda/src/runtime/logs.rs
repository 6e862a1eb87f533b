//! Logs as JSON lines, and panics among them.
//!
//! The chosen level is for our own crates alone: the SDK tells requests and answers at `debug`, and
//! those hold keys and payloads.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Crates whose logs never hold what an event brought.
const OURS: [&str; 9] =
    ["aggregate", "aws", "broadcast", "evaluate_alerts", "ingest", "lambda", "pipeline", "query", "ws_connect"];

/// `level` as in Lambda's own setting: `TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR`, `FATAL`.
pub(super) fn start(level: Option<&str>) {
    let level = level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let mut targets = Targets::new().with_default(LevelFilter::WARN).with_target("webhook", level);
    for ours in OURS {
        targets = targets.with_target(ours, level);
    }
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(std::io::stdout);
    // A second start in one process (a test's) keeps the first one's.
    let _ = tracing_subscriber::registry().with(lines.with_filter(targets)).try_init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        // What a panic says may quote what it was about; where it was is enough to find it.
        tracing::error!(target: "lambda", place, "a panic: this is a bug");
    }));
}
