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

/// The mean. From where the sum would overflow, the mean itself is carried on.
pub(crate) fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sum = Sum::default();
    let mut running = false;
    let mut count = 0.0;
    for value in values {
        count += 1.0;
        if !running {
            let mut more = sum;
            more.add(value);
            if more.total.is_finite() || more.total.is_nan() || count == 1.0 {
                sum = more;
                continue;
            }
            running = true;
            sum = sum.times(1.0 / (count - 1.0));
        }
        sum = sum.times((count - 1.0) / count);
        sum.add(value / count);
    }
    if running {
        return sum.value();
    }
    // Divided apart: the compensation must not push a huge sum over the edge.
    if sum.total.is_infinite() { sum.total } else { sum.total / count + sum.lost / count }
}

/// The population variance, by Welford's method.
pub(crate) fn variance(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, Sum::default(), Sum::default());
    for value in values {
        count += 1.0;
        let delta = value - mean.value();
        mean.add(delta / count);
        squares.add(delta * (value - mean.value()));
    }
    squares.value() / count
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
