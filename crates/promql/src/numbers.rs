//! Arithmetic on lists of numbers that aggregations and `*_over_time` share. Sums are
//! compensated (Kahan's method with Neumaier's change), as Prometheus's are.

use std::cmp::Ordering;

/// A compensated sum.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    total: f64,
    lost: f64,
}

impl Sum {
    pub(crate) fn add(&mut self, value: f64) {
        let total = self.total + value;
        if total.is_infinite() {
            self.lost = 0.0;
        } else if self.total.abs() >= value.abs() {
            self.lost += (self.total - total) + value;
        } else {
            self.lost += (value - total) + self.total;
        }
        self.total = total;
    }

    fn times(self, factor: f64) -> Self {
        Self { total: self.total * factor, lost: self.lost * factor }
    }

    pub(crate) fn value(self) -> f64 {
        if self.total.is_infinite() { self.total } else { self.total + self.lost }
    }
}

pub(crate) fn sum(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sum = Sum::default();
    values.into_iter().for_each(|value| sum.add(value));
    sum.value()
}

/// A number of many, which come one by one.
pub(crate) trait Fold: Default + Clone {
    fn add(&mut self, value: f64);
    /// Of what was added; at least one number.
    fn value(&self) -> f64;
}

impl Fold for Sum {
    fn add(&mut self, value: f64) {
        Sum::add(self, value);
    }
    fn value(&self) -> f64 {
        Sum::value(*self)
    }
}

/// The mean. From where the sum would overflow, the mean itself is carried on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mean {
    sum: Sum,
    running: bool,
    count: f64,
}

impl Fold for Mean {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let count = self.count;
        if !self.running {
            let mut more = self.sum;
            more.add(value);
            if more.total.is_finite() || more.total.is_nan() || count == 1.0 {
                self.sum = more;
                return;
            }
            self.running = true;
            self.sum = self.sum.times(1.0 / (count - 1.0));
        }
        self.sum = self.sum.times((count - 1.0) / count);
        self.sum.add(value / count);
    }

    fn value(&self) -> f64 {
        if self.running {
            return self.sum.value();
        }
        // Divided apart: the compensation must not push a huge sum over the edge.
        let Sum { total, lost } = self.sum;
        if total.is_infinite() { total } else { total / self.count + lost / self.count }
    }
}

/// The population variance, by Welford's method.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Variance {
    count: f64,
    mean: Sum,
    squares: Sum,
}

impl Fold for Variance {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean.value();
        self.mean.add(delta / self.count);
        self.squares.add(delta * (value - self.mean.value()));
    }

    fn value(&self) -> f64 {
        self.squares.value() / self.count
    }
}

/// The standard deviation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deviation(Variance);

impl Fold for Deviation {
    fn add(&mut self, value: f64) {
        self.0.add(value);
    }
    fn value(&self) -> f64 {
        self.0.value().sqrt()
    }
}

/// The least number; NaN only where all are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Least(f64);

impl Default for Least {
    fn default() -> Self {
        Self(f64::NAN)
    }
}

impl Fold for Least {
    fn add(&mut self, value: f64) {
        self.0 = smaller(self.0, value);
    }
    fn value(&self) -> f64 {
        self.0
    }
}

/// The greatest number; NaN only where all are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Greatest(f64);

impl Default for Greatest {
    fn default() -> Self {
        Self(f64::NAN)
    }
}

impl Fold for Greatest {
    fn add(&mut self, value: f64) {
        self.0 = greater(self.0, value);
    }
    fn value(&self) -> f64 {
        self.0
    }
}

/// How many there are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count(u64);

impl Fold for Count {
    fn add(&mut self, _: f64) {
        self.0 += 1;
    }
    fn value(&self) -> f64 {
        self.0 as f64
    }
}

/// 1, whatever there is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Presence;

impl Fold for Presence {
    fn add(&mut self, _: f64) {}
    fn value(&self) -> f64 {
        1.0
    }
}

fn folded<F: Fold>(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut fold = F::default();
    values.into_iter().for_each(|value| fold.add(value));
    fold.value()
}

pub(crate) fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    folded::<Mean>(values)
}

pub(crate) fn variance(values: impl IntoIterator<Item = f64>) -> f64 {
    folded::<Variance>(values)
}

/// The smaller one; a NaN gives way to any number.
pub(crate) fn smaller(kept: f64, value: f64) -> f64 {
    if value < kept || kept.is_nan() { value } else { kept }
}

/// The greater one; a NaN gives way to any number.
pub(crate) fn greater(kept: f64, value: f64) -> f64 {
    if value > kept || kept.is_nan() { value } else { kept }
}

/// Ascending, NaN before everything.
pub(crate) fn nan_first(a: &f64, b: &f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
    }
}

/// Ascending, NaN behind everything.
pub(crate) fn nan_last(a: &f64, b: &f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => nan_first(a, b),
        _ => nan_first(b, a),
    }
}

/// The `q`-quantile, interpolated; below 0 and above 1 it is infinite, of nothing NaN.
pub(crate) fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(nan_first);
    let last = values.len() - 1;
    let rank = q * last as f64;
    let lower = (rank.floor() as usize).min(last);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[(lower + 1).min(last)] * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_what_rounding_loses() {
        assert_eq!(sum([1e100, 1.0, -1e100]), 1.0);
        assert_eq!(sum([f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(sum([f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(mean([1e100, 1.0, -1e100, 3.0]), 1.0);
        assert_eq!(mean([f64::MAX, f64::MAX]), f64::MAX);
        assert_eq!(mean([f64::INFINITY, 1.0]), f64::INFINITY);
        assert_eq!(mean([1e308, 1e308, -1e308, -1e308]), 0.0);
        assert!(mean([1.0, f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(mean([1.0, f64::NEG_INFINITY, 3.0]), f64::NEG_INFINITY);
        assert_eq!(variance([2.0, 4.0]), 1.0);
    }

    #[test]
    fn quantiles_are_interpolated() {
        let values = || vec![3.0, 1.0, 2.0, 4.0];
        for (q, expected) in [(0.0, 1.0), (0.5, 2.5), (1.0, 4.0), (1.1, f64::INFINITY), (-0.1, f64::NEG_INFINITY)] {
            assert_eq!(quantile(q, values()), expected);
        }
        assert!(quantile(f64::NAN, values()).is_nan());
        assert!(quantile(0.0, vec![1.0, f64::NAN]).is_nan());
    }
}
