//! One series of timers, histograms or distributions: a DDSketch for each flush, and totals.
//!
//! Quantiles are within [`ERROR_RELATIVE`] of the true value while the values of a flush span less
//! than `1.02^BINS_MAX`, nine orders of magnitude; beyond, the smallest ones share a bin. A sample
//! rate weighs in the totals alone, as in StatsD.

use series::{LabelError, Labels, Sample, Timestamp, stale_marker};
use sketches_ddsketch::{Config, DDSketch};

use super::aggregate::named;

/// How far a quantile may be off.
pub(super) const ERROR_RELATIVE: f64 = 0.01;
/// Bins of one sketch, 8 bytes each.
pub(super) const BINS_MAX: u32 = 1_024;
/// Values nearer to 0 than this count as 0.
const LEAST: f64 = 1e-9;
/// The quantiles that a flush tells.
const QUANTILES: [(f64, &str); 4] = [(0.5, "0.5"), (0.9, "0.9"), (0.95, "0.95"), (0.99, "0.99")];

/// One series.
pub(super) struct Spread {
    /// Of this flush; absent until a value comes.
    sketch: Option<Box<DDSketch>>,
    count: f64,
    sum: f64,
    begun: bool,
    /// Whether the flush before had values, whose quantiles end with it.
    had_values: bool,
    quantiles: [Labels; QUANTILES.len()],
    min_labels: Labels,
    max_labels: Labels,
    count_labels: Labels,
    sum_labels: Labels,
}

impl Spread {
    pub(super) fn new(labels: &Labels) -> Result<Self, LabelError> {
        let [q0, q1, q2, q3] = QUANTILES.map(|(_, text)| named(labels, "", ("quantile", text)));
        let plain = |suffix| named(labels, suffix, ("", ""));
        Ok(Self {
            sketch: None,
            count: 0.0,
            sum: 0.0,
            begun: false,
            had_values: false,
            quantiles: [q0?, q1?, q2?, q3?],
            min_labels: plain("_min")?,
            max_labels: plain("_max")?,
            count_labels: plain("_count")?,
            sum_labels: plain("_sum")?,
        })
    }

    pub(super) fn add(&mut self, value: f64, rate: f64) -> Result<(), &'static str> {
        let (count, sum) = (self.count + 1.0 / rate, self.sum + value / rate);
        if !count.is_finite() || !sum.is_finite() {
            return Err("value_out_of_range");
        }
        let new = || Box::new(DDSketch::new(Config::new(ERROR_RELATIVE, BINS_MAX, LEAST)));
        self.sketch.get_or_insert_with(new).add(value);
        (self.count, self.sum) = (count, sum);
        Ok(())
    }

    pub(super) fn flush(&mut self, at: Timestamp, before: Timestamp, put: &mut impl FnMut(Labels, Sample)) {
        match self.sketch.take() {
            Some(sketch) => {
                let (min, max) = (sketch.min().unwrap_or(f64::NAN), sketch.max().unwrap_or(f64::NAN));
                for ((quantile, _), labels) in QUANTILES.iter().zip(&self.quantiles) {
                    if let Ok(Some(value)) = sketch.quantile(*quantile) {
                        // A bin's middle may lie outside of what came.
                        put(labels.clone(), Sample { at, value: value.max(min).min(max) });
                    }
                }
                put(self.min_labels.clone(), Sample { at, value: min });
                put(self.max_labels.clone(), Sample { at, value: max });
                self.had_values = true;
            }
            None => self.end_values(at, put),
        }
        let begins = !std::mem::replace(&mut self.begun, true);
        for (labels, value) in [(&self.count_labels, self.count), (&self.sum_labels, self.sum)] {
            if begins {
                put(labels.clone(), Sample { at: before, value: 0.0 });
            }
            put(labels.clone(), Sample { at, value });
        }
    }

    /// The series is forgotten.
    pub(super) fn end(&mut self, at: Timestamp, put: &mut impl FnMut(Labels, Sample)) {
        self.end_values(at, put);
        for labels in [&self.count_labels, &self.sum_labels] {
            put(labels.clone(), Sample { at, value: stale_marker() });
        }
    }

    /// A flush without values has no quantiles, and those of the flush before hold no longer.
    fn end_values(&mut self, at: Timestamp, put: &mut impl FnMut(Labels, Sample)) {
        if std::mem::take(&mut self.had_values) {
            for labels in self.quantiles.iter().chain([&self.min_labels, &self.max_labels]) {
                put(labels.clone(), Sample { at, value: stale_marker() });
            }
        }
    }
}
