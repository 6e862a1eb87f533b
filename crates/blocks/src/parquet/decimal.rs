//! Values as whole numbers over a power of ten: `dec / 10^scale`, where that is the very value.
//!
//! One scale a series. A value that has no such form at it (NaN, the stale marker, −0.0, infinities, more
//! digits) stays a double by itself.

use wire::columns::{DECIMAL_SCALE_MAX, decimal};

/// Bytes that a value costs as a double in the midst of decimals, about: its bits and two runs of levels.
const DOUBLE_BYTES: usize = 12;
/// Bytes that a double costs where all are.
const DOUBLES_BYTES: usize = 7;
/// One in so many values is looked at in the first pass, in long columns.
const SPARSE: usize = 4;

/// The values of one series in their cheapest form.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// For each value, whether it is decimal.
    pub(super) is_decimal: Vec<bool>,
    /// The decimal ones.
    pub(super) decimals: Vec<i64>,
    /// The others.
    pub(super) doubles: Vec<f64>,
    /// Digits after the point.
    pub(super) scale: u8,
}

impl Split {
    /// Splits `values`, in the memory that it has.
    pub(super) fn fill(&mut self, values: impl ExactSizeIterator<Item = f64> + Clone) {
        self.is_decimal.clear();
        self.decimals.clear();
        self.doubles.clear();
        let scale = best_scale(values.clone());
        self.scale = scale.unwrap_or(0);
        for value in values {
            self.push(value, scale);
        }
    }

    /// Appends one value, decimal if it is so at `scale`.
    pub(super) fn push(&mut self, value: f64, scale: Option<u8>) {
        let number = scale.and_then(|scale| decimal(value, scale));
        self.is_decimal.push(number.is_some());
        match number {
            Some(number) => self.decimals.push(number),
            None => self.doubles.push(value),
        }
    }
}

/// The scale at which the values take the fewest bytes, about; `None` where doubles do.
pub(super) fn best_scale(values: impl ExactSizeIterator<Item = f64>) -> Option<u8> {
    let count = values.len();
    let mut by_scale = [0_usize; DECIMAL_SCALE_MAX as usize + 1];
    let (mut guess, mut looked_at, mut without) = (0, 0, 0);
    for value in values.step_by(if count > 1_000 { SPARSE } else { 1 }) {
        looked_at += 1;
        match needed_scale(value, guess) {
            Some(scale) => {
                by_scale[usize::from(scale)] += 1;
                guess = scale;
            }
            None => without += 1,
        }
        // Doubles, all of them: each would be tried at every scale.
        if without > 32 && without * 2 > looked_at {
            return None;
        }
    }
    let mut best = (looked_at * DOUBLES_BYTES, None);
    let mut covered = 0;
    for (scale, found) in by_scale.iter().enumerate() {
        covered += found;
        // Half a byte a digit: neighbours mostly share the first ones.
        let bytes = (looked_at - covered) * DOUBLE_BYTES + covered * (1 + scale) / 2;
        if *found > 0 && bytes < best.0 {
            best = (bytes, Some(scale as u8));
        }
    }
    best.1
}

/// The least scale at which `value` is decimal, tried from `guess`.
fn needed_scale(value: f64, guess: u8) -> Option<u8> {
    let is_decimal = |scale: u8| decimal(value, scale).is_some();
    if is_decimal(guess) {
        return (0..guess).rev().take_while(|scale| is_decimal(*scale)).last().or(Some(guess));
    }
    (0..=DECIMAL_SCALE_MAX).filter(|scale| *scale != guess).find(|scale| is_decimal(*scale))
}
