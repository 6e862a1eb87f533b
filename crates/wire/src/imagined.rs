//! The series of an imagined host: node_exporter's names, counters that rise, gauges that walk, constants.
//!
//! For `daywatch load`, examples and measurements, so that all of them speak of the same data: twelve of twenty series
//! are counters (parts of seconds, bytes, pages of 4 KiB, packets), five noisy gauges, three constants. As
//! columns they take about what the data behind `docs/figures.md` takes. None of them
//! trips a starter rule. Pure: the same seed, the same samples.

use series::{Labels, Sample, SourceName, Timestamp};

use crate::batch::SeriesColumn;
use crate::reconnect::Jitter;

/// How a value goes on.
#[derive(Clone, Copy)]
enum Walk {
    /// Rises by up to so many steps of this size.
    Rises { most: u64, size: u64 },
    /// Rises by up to so many steps, but only once in `every` times.
    Bursts { most: u64, size: u64, every: u64 },
    /// Goes up or down by up to so many steps.
    Wanders { most: u64, size: u64 },
    /// Lies anywhere within so many steps above its start.
    Jumps { most: u64, size: u64 },
    /// Stays, and once in so many times goes by one step and back.
    Stays { every: u64 },
}

/// Metric, the label that numbers it, its `mode`, digits after the point, start and walk in the last digit.
type KindOfSeries = (&'static str, &'static str, &'static str, u8, i64, Walk);

const KINDS: [KindOfSeries; 20] = [
    ("node_cpu_seconds_total", "cpu", "user", 2, 18_446_744, Walk::Rises { most: 900, size: 1 }),
    ("node_network_receive_bytes_total", "device", "", 0, 81_985_529_216, Walk::Rises { most: 12_000_000, size: 1 }),
    ("node_hwmon_temp_celsius", "sensor", "", 3, 45_000, Walk::Jumps { most: 8_000, size: 1 }),
    ("node_network_mtu_bytes", "device", "", 0, 1_500, Walk::Stays { every: 0 }),
    ("node_cpu_seconds_total", "cpu", "system", 2, 7_730_011, Walk::Rises { most: 250, size: 1 }),
    ("node_network_transmit_bytes_total", "device", "", 0, 12_297_829_382, Walk::Rises { most: 3_000_000, size: 1 }),
    ("node_cpu_scaling_frequency_hertz", "cpu", "", 0, 1_800_000_000, Walk::Jumps { most: 1_800_000, size: 1_000 }),
    ("node_network_up", "device", "", 0, 1, Walk::Stays { every: 0 }),
    ("node_cpu_seconds_total", "cpu", "idle", 2, 900_719_925, Walk::Rises { most: 1_000, size: 1 }),
    ("node_network_receive_packets_total", "device", "", 0, 512_409_557, Walk::Rises { most: 30_000, size: 1 }),
    ("node_memory_numa_MemFree", "node", "", 0, 2_147_483_648, Walk::Wanders { most: 40_000, size: 4_096 }),
    ("node_disk_io_now", "device", "", 0, 0, Walk::Stays { every: 40 }),
    ("node_disk_written_bytes_total", "device", "", 0, 9_912_430_592, Walk::Rises { most: 3_000, size: 4_096 }),
    ("node_network_transmit_packets_total", "device", "", 0, 301_220_031, Walk::Rises { most: 25_000, size: 1 }),
    ("node_schedstat_running_seconds_total", "cpu", "", 6, 120_000_000, Walk::Rises { most: 200_000, size: 1 }),
    ("node_memory_numa_MemTotal", "node", "", 0, 8_589_934_592, Walk::Stays { every: 0 }),
    ("node_disk_read_bytes_total", "device", "", 0, 4_294_967_296, Walk::Bursts { most: 64, size: 4_096, every: 4 }),
    ("node_softirqs_total", "cpu", "", 0, 88_172_645, Walk::Rises { most: 30_000, size: 1 }),
    ("node_sockstat_TCP_inuse_by_namespace", "netns", "", 0, 48, Walk::Jumps { most: 60, size: 1 }),
    ("node_pressure_io_waiting_ratio", "cgroup", "", 4, 0, Walk::Jumps { most: 900, size: 1 }),
];

/// One host.
#[derive(Debug, Clone)]
pub struct Host {
    series: Vec<Series>,
    jitter: Jitter,
}

#[derive(Debug, Clone)]
struct Series {
    labels: Labels,
    /// Which of [`KINDS`].
    kind: usize,
    /// In the last digit.
    value: i64,
}

impl Host {
    /// A host of so many series.
    #[must_use]
    pub fn new(name: &SourceName, series: u32, seed: u64) -> Self {
        let one = |number: usize| {
            let (kind, unit) = (number % KINDS.len(), (number / KINDS.len()).to_string());
            let (metric, numbered, mode, _, start, _) = KINDS[kind];
            let pairs = [
                ("__name__", metric),
                ("instance", name.as_str()),
                ("job", "node"),
                ("mode", mode),
                ("source", name.as_str()),
                (numbered, unit.as_str()),
            ];
            Series { labels: Labels::from_pairs(pairs).unwrap_or_else(|_| Labels::empty()), kind, value: start }
        };
        Self { series: (0..series as usize).map(one).collect(), jitter: Jitter::new(seed) }
    }

    /// One collection.
    pub fn collect(&mut self, at: Timestamp) -> Vec<SeriesColumn> {
        self.collections(&[at])
    }

    /// As many collections as times are given, a column a series.
    pub fn collections(&mut self, times: &[Timestamp]) -> Vec<SeriesColumn> {
        let jitter = &mut self.jitter;
        let column = |series: &mut Series| {
            let samples = times.iter().map(|at| Sample { at: *at, value: series.next(jitter) }).collect();
            SeriesColumn { labels: series.labels.clone(), samples }
        };
        self.series.iter_mut().map(column).collect()
    }
}

impl Series {
    fn next(&mut self, jitter: &mut Jitter) -> f64 {
        let (_, _, _, digits, start, walk) = KINDS[self.kind];
        let mut steps = |most: u64, size: u64| (jitter.below(most) * size) as i64;
        match walk {
            Walk::Rises { most, size } => self.value += steps(most, size),
            Walk::Bursts { most, size, every } => {
                if steps(every - 1, 1) == 0 {
                    self.value += steps(most, size);
                }
            }
            Walk::Wanders { most, size } => {
                let value = self.value + steps(2 * most, size) - (most * size) as i64;
                self.value = if value < 0 { start } else { value };
            }
            Walk::Jumps { most, size } => self.value = start + steps(most, size),
            Walk::Stays { every } => self.value = start + i64::from(every > 0 && steps(every, 1) == 0),
        }
        self.value as f64 / 10_f64.powi(i32::from(digits))
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
    fn counters_never_fall_and_nothing_falls_below_zero() {
        let times: Vec<Timestamp> = (0..1_000).map(|step| Timestamp(step * 10_000)).collect();
        for column in Host::new(&SourceName::new("load-1").unwrap(), 20, 1).collections(&times) {
            let counter = column.labels.metric_name().is_some_and(|name| name.ends_with("_total"));
            assert!(!counter || column.samples.is_sorted_by(|a, b| a.value <= b.value), "{}", column.labels);
            assert!(column.samples.iter().all(|sample| sample.value >= 0.0), "{}", column.labels);
        }
    }
}
