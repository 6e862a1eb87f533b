//! `GET /metrics`: Daywatch's own numbers in Prometheus's text format. Needs a key like every
//! other read: who may not see the data may not see how much of it there is.

use std::fmt::Write as _;

use pipeline::http::{Request, Response};
use pipeline::{Fault, keys};

use super::House;

pub(super) async fn answer(house: &House, request: &Request) -> Response {
    write(house, request).await.into()
}

async fn write(house: &House, request: &Request) -> Result<Response, Fault> {
    keys::authenticate(&house.context.ports, request).await?.may_read()?;
    let embedded = &house.embedded;
    let mut text = Metrics::default();
    let now = house.context.ports.clock.now();
    for name in ["aggregate", "evaluate-alerts"] {
        for shard in 0..embedded.shards().count() {
            let consumer = embedded.shards().consumer(name, shard).await?;
            let labels = format!("consumer=\"{name}\",shard=\"{shard}\"");
            text.add(
                "daywatch_stream_backlog_records",
                "gauge",
                "Records not yet processed.",
                &labels,
                consumer.backlog()?,
            );
            let lag = consumer.lag_ms(now).await?;
            text.add("daywatch_stream_lag_milliseconds", "gauge", "Age of the oldest such record.", &labels, lag);
        }
    }
    for (function, count) in house.failures.all() {
        let labels = format!("function=\"{function}\"");
        text.add("daywatch_function_failures_total", "counter", "Invocations that failed.", &labels, count);
    }
    let connections = embedded.connections();
    text.add("daywatch_websockets_open", "gauge", "Open websockets.", "", connections.open());
    text.add("daywatch_push_throttled_total", "counter", "Messages a peer did not take.", "", connections.throttled());
    text.add(
        "daywatch_stream_damaged_total",
        "counter",
        "Damaged places found in the log.",
        "",
        embedded.shards().damaged(),
    );
    let (blocks, samples) = house.context.blocks.size();
    text.add("daywatch_block_cache_blocks", "gauge", "Decoded blocks in memory.", "", blocks);
    text.add("daywatch_block_cache_samples", "gauge", "Samples in them.", "", samples);
    Ok(Response::new(200, "text/plain; version=0.0.4; charset=utf-8", text.0))
}

#[derive(Default)]
struct Metrics(String);

impl Metrics {
    fn add(&mut self, name: &str, kind: &str, help: &str, labels: &str, value: impl std::fmt::Display) {
        // Writing to a String cannot fail.
        if !self.0.contains(&format!("# TYPE {name} ")) {
            let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        }
        let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(self.0, "{name}{braces} {value}");
    }
}
