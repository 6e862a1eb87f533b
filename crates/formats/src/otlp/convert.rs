//! Points of either encoding become labels and samples.

use std::collections::BTreeMap;

use series::{LabelError, Labels, METRIC_NAME, Sample, Timestamp, stale_marker};

use super::names::{self, Suffix};
use super::{BUCKETS_MAX, EXPANDED_BYTES_MAX, Sink};

const NANOS_A_MS: u64 = 1_000_000;
/// The bit of a point's flags that says that no value was recorded.
const NO_RECORDED_VALUE: u64 = 1;

/// What a metric's points are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Sum { temporality: u64, monotonic: bool },
    Histogram { temporality: u64 },
    ExponentialHistogram,
    Summary,
}

/// A metric without its points.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metric<'a> {
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) unit: &'a str,
    pub(super) kind: Kind,
}

/// Attribute names and values, as they came.
pub(super) type Attributes = Vec<(String, String)>;

/// A data point.
#[derive(Debug, Default)]
pub(super) struct Point {
    pub(super) attributes: Attributes,
    pub(super) time_ns: u64,
    pub(super) flags: u64,
    pub(super) number: Option<f64>,
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
    pub(super) counts: Vec<u64>,
    pub(super) bounds: Vec<f64>,
    pub(super) quantiles: Vec<(f64, f64)>,
}

const DELTA: u64 = 1;
const CUMULATIVE: u64 = 2;

/// Turns points into samples, resource by resource.
pub(super) struct Converter<'s, S> {
    sink: &'s mut S,
    resource: BTreeMap<String, String>,
    scope: BTreeMap<String, String>,
    /// The resource's own series, where it tells more than who it is.
    info: Option<Labels>,
    newest: Option<Timestamp>,
    bytes_left: usize,
}

impl<'s, S: Sink> Converter<'s, S> {
    pub(super) fn new(sink: &'s mut S) -> Self {
        let (resource, scope) = (BTreeMap::new(), BTreeMap::new());
        Self { sink, resource, scope, info: None, newest: None, bytes_left: EXPANDED_BYTES_MAX }
    }

    pub(super) fn refuse(&mut self, reason: &'static str, first: String) {
        self.sink.refused(reason, 1, first);
    }

    /// The next resource: `job` and `instance` of all its series, and the rest in `target_info`.
    pub(super) fn resource(&mut self, attributes: &Attributes) {
        let find = |name: &str| attributes.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let (namespace, name) = (find("service.namespace"), find("service.name"));
        let job = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
        let own = [("job", job), ("instance", find("service.instance.id").to_owned())];
        self.resource =
            own.into_iter().filter(|(_, value)| !value.is_empty()).map(|(n, v)| (n.to_owned(), v)).collect();
        self.scope.clear();
        (self.info, self.newest) = (None, None);
        let mut rest = BTreeMap::new();
        let known = ["service.namespace", "service.name", "service.instance.id"];
        add(&mut rest, attributes.iter().filter(|(name, _)| !known.contains(&name.as_str())), "");
        if rest.is_empty() || self.resource.is_empty() {
            return;
        }
        rest.extend(self.resource.clone());
        rest.insert(METRIC_NAME.to_owned(), "target_info".to_owned());
        match Labels::from_pairs(&rest) {
            Ok(labels) => self.info = Some(labels),
            Err(error) => self.sink.refused(error.reason(), 1, format!("target_info: {error}")),
        }
    }

    /// The next scope of this resource.
    pub(super) fn scope(&mut self, name: &str, version: &str, attributes: &Attributes) {
        self.scope.clear();
        add(&mut self.scope, attributes.iter(), "otel_scope_");
        for (label, value) in [("otel_scope_name", name), ("otel_scope_version", version)] {
            if !value.is_empty() {
                self.scope.insert(label.to_owned(), value.to_owned());
            }
        }
    }

    /// The resource has no more points.
    pub(super) fn end_of_resource(&mut self) {
        if let (Some(labels), Some(at)) = (self.info.take(), self.newest.take()) {
            self.sink.metadata("target_info", "gauge", "What is known of the target.", "");
            self.sink.sample(&labels, Sample { at, value: 1.0 });
        }
    }

    /// What a metric's series are called; `None` where its points are refused.
    pub(super) fn metric(&mut self, metric: &Metric<'_>) -> Option<String> {
        let (suffix, kind) = match metric.kind {
            Kind::Gauge => (Suffix::Gauge, "gauge"),
            Kind::Sum { temporality: CUMULATIVE, monotonic: true } => (Suffix::Counter, "counter"),
            Kind::Sum { .. } => (Suffix::None, "gauge"),
            Kind::Histogram { .. } => (Suffix::None, "histogram"),
            Kind::Summary => (Suffix::None, "summary"),
            Kind::ExponentialHistogram => (Suffix::None, "unknown"),
        };
        let name = names::metric(metric.name, metric.unit, suffix);
        if !name.is_empty() && refusal(metric.kind).is_none() {
            let per = metric.unit.split_once('/').is_some();
            let unit = if per || metric.unit.contains('{') { "" } else { metric.unit };
            self.sink.metadata(&name, kind, metric.description, unit);
        }
        Some(name).filter(|name| !name.is_empty())
    }

    /// A point of a metric, whose series are called `name`.
    pub(super) fn point(&mut self, metric: &Metric<'_>, name: Option<&str>, point: &Point) {
        let Some(name) = name else {
            return self.sink.refused("no_metric_name", 1, format!("metric {:?}", cut(metric.name)));
        };
        if let Some(reason) = refusal(metric.kind) {
            return self.sink.refused(reason, 1, format!("metric {name}"));
        }
        let at = Timestamp(i64::try_from(point.time_ns / NANOS_A_MS).unwrap_or(i64::MAX));
        let mut labels = self.resource.clone();
        labels.extend(self.scope.clone());
        // A point's own attribute wins, as everywhere.
        let mut own = BTreeMap::new();
        add(&mut own, point.attributes.iter(), "");
        labels.extend(own);
        let mut series = Series { labels, at, stale: point.flags & NO_RECORDED_VALUE != 0, found: Vec::new() };
        let made = match metric.kind {
            Kind::Gauge | Kind::Sum { .. } => match point.number {
                Some(value) => series.add(name, None, value),
                None if series.stale => series.add(name, None, 0.0),
                None => return self.sink.refused("no_value", 1, format!("metric {name}: a point without a value")),
            },
            Kind::Histogram { .. } => match histogram(&mut series, name, point) {
                Ok(made) => made,
                Err(what) => return self.sink.refused("bad_histogram", 1, format!("metric {name}: {what}")),
            },
            Kind::Summary if point.quantiles.len() > BUCKETS_MAX => {
                let count = point.quantiles.len();
                let first = format!("metric {name}: {count} quantiles, at most {BUCKETS_MAX} are taken (buckets_max)");
                return self.sink.refused("bad_summary", 1, first);
            }
            Kind::Summary => summary(&mut series, name, point),
            Kind::ExponentialHistogram => Ok(()),
        };
        if let Err(error) = made {
            return self.sink.refused(error.reason(), 1, format!("metric {name}: {error}"));
        }
        let bytes = series.found.iter().map(|(labels, _)| labels.canonical().len()).sum();
        let Some(left) = self.bytes_left.checked_sub(bytes) else {
            let first = format!("metric {name}: the request's label sets have more than {EXPANDED_BYTES_MAX} bytes");
            return self.sink.refused("expanded_bytes_max", 1, first);
        };
        self.bytes_left = left;
        self.newest = self.newest.max(Some(at));
        for (labels, sample) in &series.found {
            self.sink.sample(labels, *sample);
        }
    }
}

/// Why a kind of metric is not taken.
fn refusal(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::ExponentialHistogram => Some("exponential_histogram"),
        Kind::Histogram { temporality: DELTA } => Some("delta_histogram"),
        Kind::Histogram { temporality } | Kind::Sum { temporality, .. }
            if temporality != CUMULATIVE && temporality != DELTA =>
        {
            Some("temporality_unspecified")
        }
        _ => None,
    }
}

/// The series of one point.
struct Series {
    labels: BTreeMap<String, String>,
    at: Timestamp,
    stale: bool,
    found: Vec<(Labels, Sample)>,
}

impl Series {
    fn add(&mut self, name: &str, label: Option<(&str, &str)>, value: f64) -> Result<(), LabelError> {
        let pairs = self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let own = [Some((METRIC_NAME, name)), label];
        let is_own = |name: &str| own.iter().flatten().any(|(own, _)| *own == name);
        let labels = Labels::from_pairs(pairs.filter(|(name, _)| !is_own(name)).chain(own.into_iter().flatten()))?;
        let value = if self.stale { stale_marker() } else { value };
        self.found.push((labels, Sample { at: self.at, value }));
        Ok(())
    }
}

fn histogram(series: &mut Series, name: &str, point: &Point) -> Result<Result<(), LabelError>, String> {
    let Point { counts, bounds, count, sum, .. } = point;
    if counts.len().max(bounds.len()) > BUCKETS_MAX {
        return Err(format!(
            "{} buckets, at most {BUCKETS_MAX} are taken (buckets_max)",
            counts.len().max(bounds.len())
        ));
    }
    if !(counts.len() == bounds.len() + 1 || (counts.is_empty() && bounds.is_empty())) {
        return Err(format!("{} bounds need {} counts, not {}", bounds.len(), bounds.len() + 1, counts.len()));
    }
    if !bounds.is_sorted_by(|a, b| a < b) || bounds.iter().any(|bound| bound.is_nan()) {
        return Err("the bounds do not rise".to_owned());
    }
    let mut all = || {
        let (bucket, mut below) = (format!("{name}_bucket"), 0_u64);
        for (bound, count) in bounds.iter().zip(counts) {
            below = below.saturating_add(*count);
            if bound.is_finite() {
                series.add(&bucket, Some(("le", &bound.to_string())), below as f64)?;
            }
        }
        series.add(&bucket, Some(("le", "+Inf")), *count as f64)?;
        if let Some(sum) = sum {
            series.add(&format!("{name}_sum"), None, *sum)?;
        }
        series.add(&format!("{name}_count"), None, *count as f64)
    };
    Ok(all())
}

fn summary(series: &mut Series, name: &str, point: &Point) -> Result<(), LabelError> {
    for (quantile, value) in &point.quantiles {
        series.add(name, Some(("quantile", &quantile.to_string())), *value)?;
    }
    series.add(&format!("{name}_sum"), None, point.sum.unwrap_or(0.0))?;
    series.add(&format!("{name}_count"), None, point.count as f64)
}

/// Adds attributes as labels; those whose names become the same are joined by `;` in the names' order.
fn add<'a>(
    labels: &mut BTreeMap<String, String>,
    attributes: impl Iterator<Item = &'a (String, String)>,
    prefix: &str,
) {
    let mut sorted: Vec<&(String, String)> =
        attributes.filter(|(name, value)| !name.is_empty() && !value.is_empty()).collect();
    sorted.sort();
    sorted.dedup_by(|a, b| a.0 == b.0);
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in sorted {
        let name = if prefix.is_empty() { names::label(name) } else { format!("{prefix}{}", names::label(name)) };
        joined.entry(name).and_modify(|all| *all = format!("{all};{value}")).or_insert_with(|| value.clone());
    }
    labels.append(&mut joined);
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(100)]
}
