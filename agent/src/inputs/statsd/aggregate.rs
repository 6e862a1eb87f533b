//! What StatsD's values are between two flushes, and which samples a flush makes of them
//! (docs/decisions/017 says why).
//!
//! Counters are totals since the series began, so that `rate()` works across flushes; a series that
//! begins says so by a 0 one step earlier, so that its first increments count as well. Negative
//! increments are summed up like all others, so a total may fall, and below 0. Gauges keep
//! their value, sets tell how many members a flush had. Timers, histograms and distributions give
//! quantiles, minimum and maximum of one flush, and `_count` and `_sum` as totals.
//!
//! A series is found by the bytes of its name and tags, so a value costs no allocation. Series,
//! members of a set and bins of a sketch are bounded, and what is idle for long is forgotten with a
//! stale marker. Knows no socket and no clock.

use std::collections::{HashMap, HashSet};

use formats::statsd::{self, Kind, Metric, Value};
use formats::{Description, Descriptions};
use series::{LabelError, Labels, METRIC_NAME, Sample, Timestamp, stale_marker};

use super::spread::Spread;

/// Series (before quantiles) of one agent.
pub(super) const SERIES_MAX: usize = 10_000;
/// Spellings of series that are remembered; past it all are looked up anew.
pub(super) const SPELLINGS_MAX: usize = 4 * SERIES_MAX;
/// Members of one set in one flush.
pub(super) const MEMBERS_MAX: usize = 10_000;

/// All series, between two flushes.
pub(super) struct Aggregate {
    base: Labels,
    gauge_deltas: bool,
    step_ms: i64,
    /// Flushes without a value after which a series is forgotten.
    idle_max: u64,
    spellings: HashMap<Box<[u8]>, usize>,
    by_labels: HashMap<Labels, usize>,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    flushes: u64,
    /// What series are that are new, or are no longer what was said of them.
    described: Descriptions,
    /// Bytes of the series that is looked up, kept to save an allocation a value.
    spelling: Vec<u8>,
}

struct Slot {
    labels: Labels,
    /// The flush in which it last got a value.
    touched: u64,
    state: State,
}

enum State {
    /// `falls` from the first negative increment on.
    Counter {
        total: f64,
        begun: bool,
        falls: bool,
    },
    Gauge(f64),
    Set(HashSet<u64>),
    Spread(Box<Spread>),
}

impl Aggregate {
    /// Series that carry `base` beside their own labels, flushed every `step_ms` and forgotten after
    /// `expire_ms` without a value.
    pub(super) fn new(base: Labels, gauge_deltas: bool, step_ms: u64, expire_ms: u64) -> Self {
        Self {
            base,
            gauge_deltas,
            step_ms: i64::try_from(step_ms).unwrap_or(i64::MAX),
            idle_max: (expire_ms / step_ms.max(1)).max(1),
            spellings: HashMap::new(),
            by_labels: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            flushes: 0,
            described: Descriptions::default(),
            spelling: Vec::new(),
        }
    }

    /// Takes a value, or says under which reason it is refused.
    pub(super) fn add(&mut self, metric: &Metric<'_>) -> Result<(), &'static str> {
        let index = self.slot(metric)?;
        let (gauge_deltas, flushes) = (self.gauge_deltas, self.flushes);
        let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else { return Err("too_many_series") };
        match (&mut slot.state, metric.kind, metric.value) {
            (State::Counter { total, falls, .. }, Kind::Counter, Value::Number { value, .. }) => {
                let more = value / metric.rate;
                if !(*total + more).is_finite() {
                    return Err("value_out_of_range");
                }
                *total += more;
                if more < 0.0 && !std::mem::replace(falls, true) {
                    describe(&mut self.described, &slot.labels, &slot.state);
                }
            }
            (State::Gauge(gauge), Kind::Gauge, Value::Number { value, signed }) => {
                let next = if signed && gauge_deltas { *gauge + value } else { value };
                if !next.is_finite() {
                    return Err("value_out_of_range");
                }
                *gauge = next;
            }
            (State::Set(members), Kind::Set, Value::Member(member)) => {
                let member = xxhash_rust::xxh3::xxh3_64(member.as_bytes());
                if members.len() >= MEMBERS_MAX && !members.contains(&member) {
                    return Err("set_full");
                }
                members.insert(member);
            }
            (
                State::Spread(spread),
                Kind::Timer | Kind::Histogram | Kind::Distribution,
                Value::Number { value, .. },
            ) => {
                spread.add(value, metric.rate)?;
            }
            _ => return Err("type_conflict"),
        }
        slot.touched = flushes;
        Ok(())
    }

    /// Where the metric's series is; a new one gets its place.
    fn slot(&mut self, metric: &Metric<'_>) -> Result<usize, &'static str> {
        self.spelling.clear();
        self.spelling.extend_from_slice(metric.name.as_bytes());
        // 0xff never stands in UTF-8, so no two series share a spelling.
        self.spelling.push(0xff);
        self.spelling.extend_from_slice(metric.tags.as_bytes());
        if let Some(index) = self.spellings.get(self.spelling.as_slice()) {
            return Ok(*index);
        }
        let reason = |error: LabelError| error.reason();
        let own = statsd::labels(metric.name, metric.tags).map_err(reason)?;
        let ours = self.base.iter().filter(|(name, _)| own.get(name).is_none());
        let labels = Labels::from_pairs(own.iter().chain(ours)).map_err(reason)?;
        let index = match self.by_labels.get(&labels) {
            Some(index) => *index,
            None => {
                if self.by_labels.len() >= SERIES_MAX {
                    return Err("too_many_series");
                }
                let state = State::new(metric.kind, &labels).map_err(reason)?;
                describe(&mut self.described, &labels, &state);
                let slot = Some(Slot { labels: labels.clone(), touched: self.flushes, state });
                let index = self.free.pop().unwrap_or(self.slots.len());
                match self.slots.get_mut(index) {
                    Some(place) => *place = slot,
                    None => self.slots.push(slot),
                }
                self.by_labels.insert(labels, index);
                index
            }
        };
        if self.spellings.len() >= SPELLINGS_MAX {
            self.spellings.clear();
        }
        self.spellings.insert(self.spelling.as_slice().into(), index);
        Ok(index)
    }

    /// What metrics are, as far as that is new since the last call.
    pub(super) fn described(&mut self) -> Descriptions {
        std::mem::take(&mut self.described)
    }

    /// The samples of the flush at `at`, each given to `put`.
    pub(super) fn flush(&mut self, at: Timestamp, mut put: impl FnMut(Labels, Sample)) {
        let (flushes, idle_max, before) = (self.flushes, self.idle_max, at.plus_ms(-self.step_ms));
        self.flushes += 1;
        let mut forgotten = false;
        for (index, place) in self.slots.iter_mut().enumerate() {
            let Some(slot) = place else { continue };
            if flushes.saturating_sub(slot.touched) >= idle_max {
                slot.end(at, &mut put);
                self.by_labels.remove(&slot.labels);
                self.free.push(index);
                *place = None;
                forgotten = true;
                continue;
            }
            slot.flush(at, before, &mut put);
        }
        if forgotten {
            let slots = &self.slots;
            self.spellings.retain(|_, index| slots.get(*index).is_some_and(Option::is_some));
        }
    }
}

impl State {
    fn new(kind: Kind, labels: &Labels) -> Result<Self, LabelError> {
        Ok(match kind {
            Kind::Counter => Self::Counter { total: 0.0, begun: false, falls: false },
            Kind::Gauge => Self::Gauge(0.0),
            Kind::Set => Self::Set(HashSet::new()),
            Kind::Timer | Kind::Histogram | Kind::Distribution => Self::Spread(Box::new(Spread::new(labels)?)),
        })
    }
}

impl Slot {
    fn flush(&mut self, at: Timestamp, before: Timestamp, put: &mut impl FnMut(Labels, Sample)) {
        match &mut self.state {
            State::Counter { total, begun, .. } => {
                if !std::mem::replace(begun, true) {
                    put(self.labels.clone(), Sample { at: before, value: 0.0 });
                }
                put(self.labels.clone(), Sample { at, value: *total });
            }
            State::Gauge(value) => put(self.labels.clone(), Sample { at, value: *value }),
            State::Set(members) => {
                put(self.labels.clone(), Sample { at, value: members.len() as f64 });
                *members = HashSet::new();
            }
            State::Spread(spread) => spread.flush(at, before, put),
        }
    }

    fn end(&mut self, at: Timestamp, put: &mut impl FnMut(Labels, Sample)) {
        match &mut self.state {
            State::Spread(spread) => spread.end(at, put),
            _ => put(self.labels.clone(), Sample { at, value: stale_marker() }),
        }
    }
}

/// Says what a series' metric is in Prometheus's words. What falls is no counter there.
fn describe(described: &mut Descriptions, labels: &Labels, state: &State) {
    let metric = labels.metric_name().unwrap_or_default();
    let mut set = |metric: &str, kind: &str| {
        described.set(metric, Description { kind: kind.to_owned(), ..Description::default() });
    };
    match state {
        State::Counter { falls: false, .. } => set(metric, "counter"),
        State::Counter { falls: true, .. } | State::Gauge(_) | State::Set(_) => set(metric, "gauge"),
        State::Spread(_) => {
            set(metric, "summary");
            set(&format!("{metric}_min"), "gauge");
            set(&format!("{metric}_max"), "gauge");
        }
    }
}

/// The series `labels` under another name, with one label more where it has a name.
pub(super) fn named(labels: &Labels, suffix: &str, label: (&str, &str)) -> Result<Labels, LabelError> {
    let name = format!("{}{suffix}", labels.metric_name().unwrap_or_default());
    let rest = labels.iter().filter(|(key, _)| *key != METRIC_NAME && *key != label.0);
    Labels::from_pairs(rest.chain([(METRIC_NAME, name.as_str()), label].into_iter().filter(|(key, _)| !key.is_empty())))
}

#[cfg(test)]
mod tests;
