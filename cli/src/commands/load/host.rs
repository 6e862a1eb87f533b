//! The series of an imagined host: node_exporter's names, counters that rise and gauges that walk.
//! None of them trips a starter rule.

use series::{Labels, Sample, SourceName, Timestamp};
use wire::SeriesColumn;
use wire::reconnect::Jitter;

/// Metric, the label that numbers it, its other label.
const COUNTERS: [(&str, &str, &str); 8] = [
    ("node_cpu_seconds_total", "cpu", "user"),
    ("node_cpu_seconds_total", "cpu", "system"),
    ("node_cpu_seconds_total", "cpu", "idle"),
    ("node_network_receive_bytes_total", "device", ""),
    ("node_network_transmit_bytes_total", "device", ""),
    ("node_disk_read_bytes_total", "device", ""),
    ("node_disk_written_bytes_total", "device", ""),
    ("node_softirqs_total", "cpu", ""),
];
/// Gauges, numbered the same way.
const GAUGES: [(&str, &str); 2] = [("node_hwmon_temp_celsius", "sensor"), ("node_cpu_scaling_frequency_hertz", "cpu")];

/// One host.
pub(in crate::commands) struct Host {
    series: Vec<Series>,
    jitter: Jitter,
}

struct Series {
    labels: Labels,
    /// In hundredths.
    value: i64,
    rises: bool,
}

impl Host {
    pub(in crate::commands) fn new(name: &SourceName, series: u32, seed: u64) -> Self {
        let kinds = COUNTERS.len() + GAUGES.len();
        let one = |number: usize| {
            let (kind, unit) = (number % kinds, (number / kinds).to_string());
            let (metric, numbered, mode) = COUNTERS.get(kind).copied().unwrap_or_else(|| {
                let (metric, numbered) = GAUGES[kind % GAUGES.len()];
                (metric, numbered, "")
            });
            let mut labels = vec![
                ("__name__", metric),
                ("instance", name.as_str()),
                ("job", "node"),
                ("source", name.as_str()),
                (numbered, unit.as_str()),
            ];
            if !mode.is_empty() {
                labels.push(("mode", mode));
            }
            let labels = Labels::from_pairs(labels).unwrap_or_else(|_| Labels::empty());
            Series { labels, value: 4_500, rises: kind < COUNTERS.len() }
        };
        Self { series: (0..series as usize).map(one).collect(), jitter: Jitter::new(seed) }
    }

    /// One collection.
    pub(in crate::commands) fn collect(&mut self, at: Timestamp) -> Vec<SeriesColumn> {
        let mut columns = Vec::with_capacity(self.series.len());
        for series in &mut self.series {
            let step = self.jitter.below(200) as i64;
            series.value += if series.rises { step } else { step - 100 };
            #[expect(clippy::cast_precision_loss, reason = "hundredths far below 2^53")]
            let value = series.value as f64 / 100.0;
            columns.push(SeriesColumn { labels: series.labels.clone(), samples: vec![Sample { at, value }] });
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_host_has_as_many_series_as_asked_for_and_no_two_are_the_same() {
        let name = SourceName::new("load-1").unwrap();
        for count in [1, 9, 10, 11, 5_000] {
            let columns = Host::new(&name, count, 1).collect(Timestamp(10_000));
            let distinct: BTreeSet<_> = columns.iter().map(|column| column.labels.id()).collect();
            assert_eq!(distinct.len(), count as usize);
            assert!(columns.iter().all(|column| column.labels.metric_name().is_some_and(|m| m.starts_with("node_"))));
        }
    }

    #[test]
    fn counters_never_fall() {
        let mut host = Host::new(&SourceName::new("load-1").unwrap(), 10, 1);
        let (first, second) = (host.collect(Timestamp(0)), host.collect(Timestamp(1)));
        for (before, after) in first.iter().zip(&second).take(COUNTERS.len()) {
            assert!(before.samples[0].value <= after.samples[0].value);
        }
    }
}
