//! Where a tenant's series come from: counts by metric, label and pair, for `status/tsdb`.
//!
//! Counted over what has a sample in the last [`NEWEST_MS`]: that is what a store of Prometheus's
//! holds in its head. A chunk is what a block holds of one series.

use std::collections::BTreeMap;

use ports::{TenantId, Timestamp};
use promql::Selection;
use serde::Serialize;
use series::{HOUR_MS, Labels, METRIC_NAME};

use crate::error::Fault;
use crate::{Context, manifest, read};

/// How far back a series counts, in milliseconds.
pub const NEWEST_MS: i64 = 2 * HOUR_MS;

/// The answer, in Prometheus's shape.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cardinality {
    head_stats: HeadStats,
    series_count_by_metric_name: Vec<Row>,
    label_value_count_by_label_name: Vec<Row>,
    memory_in_bytes_by_label_name: Vec<Row>,
    series_count_by_label_value_pair: Vec<Row>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct HeadStats {
    num_series: u64,
    num_label_pairs: u64,
    chunk_count: u64,
    min_time: i64,
    max_time: i64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    name: String,
    value: u64,
}

/// Of the tenant's newest series; the first `rows` of each list.
pub async fn of(context: &Context, tenant: &TenantId, rows: usize) -> Result<Cardinality, Fault> {
    let now = context.ports.clock.now();
    let (from, to) = (now.plus_ms(-NEWEST_MS), Timestamp(i64::MAX));
    let selection = Selection { matchers: Vec::new(), from, to, rollup: None, near: None };
    let found = read::labels(context, tenant, &[selection]).await?;
    let mut cardinality = counted(&found, rows);
    let head = &mut cardinality.head_stats;
    (head.min_time, head.max_time) = (now.ms(), now.ms());
    let items = manifest::between(&context.ports, &context.blocks, tenant, (from, to)).await?;
    let items: Vec<_> = items.iter().map(|placed| &placed.item).filter(|item| item.overlaps(from, to)).collect();
    if let Some(max) = items.iter().filter(|item| item.samples > 0).map(|item| item.max_time).max() {
        let min = items.iter().filter(|item| item.samples > 0).map(|item| item.min_time).min();
        (head.min_time, head.max_time) = (min.unwrap_or(max).max(from).ms(), max.ms());
    }
    head.chunk_count = items.iter().map(|item| item.series).sum();
    Ok(cardinality)
}

fn counted<'a>(found: impl IntoIterator<Item = &'a Labels>, rows: usize) -> Cardinality {
    let mut pairs: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut num_series = 0;
    for labels in found {
        num_series += 1;
        for pair in labels {
            *pairs.entry(pair).or_default() += 1;
        }
    }
    let mut by_label: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for ((name, value), series) in &pairs {
        let (values, bytes) = by_label.entry(name).or_default();
        *values += 1;
        *bytes += value.len() as u64 * series;
    }
    let metrics = pairs.iter().filter(|((name, _), _)| *name == METRIC_NAME);
    Cardinality {
        head_stats: HeadStats { num_series, num_label_pairs: pairs.len() as u64, ..HeadStats::default() },
        series_count_by_metric_name: first(metrics.map(|((_, metric), series)| (*metric, *series)), rows),
        label_value_count_by_label_name: first(by_label.iter().map(|(name, (values, _))| (*name, *values)), rows),
        memory_in_bytes_by_label_name: first(by_label.iter().map(|(name, (_, bytes))| (*name, *bytes)), rows),
        series_count_by_label_value_pair: first(pairs.iter().map(|(pair, series)| (*pair, *series)), rows),
    }
}

/// A name of a row, made only for those that are shown.
trait Named: Copy {
    fn name(self) -> String;
}

impl Named for &str {
    fn name(self) -> String {
        self.to_owned()
    }
}

impl Named for (&str, &str) {
    fn name(self) -> String {
        format!("{}={}", self.0, self.1)
    }
}

/// The greatest first; of equal ones, in the order of their names.
fn first<N: Named>(counts: impl Iterator<Item = (N, u64)>, rows: usize) -> Vec<Row> {
    let mut counts: Vec<(N, u64)> = counts.collect();
    counts.sort_by_key(|(_, value)| std::cmp::Reverse(*value));
    counts.into_iter().take(rows).map(|(name, value)| Row { name: name.name(), value }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_first_and_no_more_than_asked_for() {
        let series = |name: &str, host: &str| Labels::from_pairs([("__name__", name), ("host", host)]).unwrap();
        let found = [series("cpu", "a"), series("cpu", "bb"), series("cpu", "ccc"), series("up", "a")];
        let of = |rows| serde_json::to_value(counted(&found, rows)).unwrap();
        let all = of(10);
        assert_eq!(all["headStats"]["numSeries"], 4);
        assert_eq!(all["headStats"]["numLabelPairs"], 5);
        assert_eq!(all["seriesCountByMetricName"].to_string(), r#"[{"name":"cpu","value":3},{"name":"up","value":1}]"#);
        assert_eq!(
            all["labelValueCountByLabelName"].to_string(),
            r#"[{"name":"host","value":3},{"name":"__name__","value":2}]"#
        );
        // Bytes of each value, as often as a series has it.
        assert_eq!(
            all["memoryInBytesByLabelName"].to_string(),
            r#"[{"name":"__name__","value":11},{"name":"host","value":7}]"#
        );
        assert_eq!(of(1)["seriesCountByLabelValuePair"].to_string(), r#"[{"name":"__name__=cpu","value":3}]"#);
    }
}
