//! All arithmetic on evaluation times: the steps of a query, the steps of a subquery, `offset`
//! and `@`. No other file of this crate divides a time. Everything saturates.

use std::time::{Duration, SystemTime};

use promql_parser::parser::{AtModifier, Offset};

use crate::error::EvalError;
use crate::options::Limits;

/// Equally spaced instants, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) count: usize,
}

impl Grid {
    /// A single instant.
    pub(crate) fn instant(at: i64) -> Self {
        Self { start: at, step: 1, count: 1 }
    }

    /// From `start` to `end`, both included.
    pub(crate) fn range(start: i64, end: i64, step: i64, limits: &Limits) -> Result<Self, EvalError> {
        if step < 1 {
            return Err(EvalError::Step { step_ms: step });
        }
        if end < start {
            return Err(EvalError::EndBeforeStart { start_ms: start, end_ms: end });
        }
        let steps = (i128::from(end) - i128::from(start)) / i128::from(step) + 1;
        if steps > i128::from(limits.steps_max) {
            let hint = " steps; a longer step gives fewer";
            return Err(EvalError::Limit { limit: "steps_max", max: limits.steps_max, hint });
        }
        Ok(Self { start, step, count: usize::try_from(steps).unwrap_or(usize::MAX) })
    }

    /// The steps that a subquery of `range` evaluates so that every instant of `outer`, moved by
    /// `moved`, finds its points: multiples of `step` since 1970, open on the left.
    pub(crate) fn of_subquery(outer: Grid, moved: Moved, range: i64, step: i64) -> Self {
        let step = step.max(1);
        let (first, last) = moved.span(outer);
        let start = first.saturating_sub(range).div_euclid(step).saturating_add(1).saturating_mul(step);
        let count = if outer.count == 0 || last < start { 0 } else { last.saturating_sub(start) / step + 1 };
        Self { start, step, count: usize::try_from(count).unwrap_or(0) }
    }

    /// The instant of step `index`.
    pub(crate) fn at(self, index: usize) -> i64 {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        self.start.saturating_add(self.step.saturating_mul(index))
    }

    /// All instants.
    pub(crate) fn times(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |index| self.at(index))
    }
}

/// What `offset` and `@` make of an evaluation time; by default nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Moved {
    fixed: Option<i64>,
    offset: i64,
    /// Above 0: what is looked at is the end of the last whole bucket of this width.
    bucket: i64,
}

impl Moved {
    /// From the modifiers of a selector or subquery; `whole` is the query's start and end.
    pub(crate) fn new(offset: Option<&Offset>, at: Option<&AtModifier>, whole: (i64, i64)) -> Self {
        let fixed = at.map(|at| match at {
            AtModifier::Start => whole.0,
            AtModifier::End => whole.1,
            AtModifier::At(time) => match time.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(after) => millis(&after),
                Err(before) => -millis(&before.duration()),
            },
        });
        let offset = match offset {
            None => 0,
            Some(Offset::Pos(by)) => millis(by),
            Some(Offset::Neg(by)) => -millis(by),
        };
        Self { fixed, offset, bucket: 0 }
    }

    /// The time that is looked at when `at` is evaluated.
    pub(crate) fn apply(self, at: i64) -> i64 {
        let at = self.fixed.unwrap_or(at).saturating_sub(self.offset);
        if self.bucket > 0 { at.div_euclid(self.bucket).saturating_mul(self.bucket) } else { at }
    }

    /// The same, but for each time the end of the last whole bucket of `width` at or before it.
    pub(crate) fn to_buckets(self, width: i64) -> Self {
        Self { bucket: width, ..self }
    }

    /// Whether a step of the grid is as long as a bucket of `width` at least, and windows of `back` are whole buckets:
    /// then the last whole bucket before a step is nearer to it than the step before. `@` asks for one very time.
    pub(crate) fn is_near(self, grid: Grid, back: Option<i64>, width: i64) -> bool {
        let sane = [self.apply(grid.at(0)), self.span(grid).1].iter().all(|at| at.unsigned_abs() < 1 << 60);
        let whole = back.is_none_or(|back| back >= width && back.rem_euclid(width.max(1)) == 0);
        sane && self.fixed.is_none() && grid.count > 1 && grid.step >= width && whole
    }

    /// Whether windows of `back` milliseconds, at every time that is looked at over a whole grid, are made of whole
    /// buckets of `width`.
    pub(crate) fn is_aligned(self, grid: Grid, back: i64, width: i64) -> bool {
        let whole = |ms: i64| ms.rem_euclid(width.max(1)) == 0;
        let first = self.apply(grid.at(0));
        let second = if grid.count > 1 { self.apply(grid.at(1)) } else { first };
        // At the very ends of time, where sums saturate, nothing is aligned.
        let sane = [first, second, self.span(grid).1].iter().all(|at| at.unsigned_abs() < 1 << 60);
        sane && back > 0 && whole(back) && whole(first) && whole(second)
    }

    /// The first and last time looked at over a whole grid.
    pub(crate) fn span(self, grid: Grid) -> (i64, i64) {
        (self.apply(grid.at(0)), self.apply(grid.at(grid.count.saturating_sub(1))))
    }
}

/// Milliseconds as PromQL's seconds.
pub(crate) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

/// Whole milliseconds, saturating.
pub(crate) fn millis(duration: &Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_includes_both_ends_and_is_limited() {
        let limits = Limits { steps_max: 4, ..Limits::default() };
        assert_eq!(Grid::range(0, 30, 10, &limits).unwrap().times().collect::<Vec<_>>(), [0, 10, 20, 30]);
        assert_eq!(Grid::range(0, 39, 10, &limits).unwrap().count, 4);
        assert!(matches!(Grid::range(0, 40, 10, &limits), Err(EvalError::Limit { limit: "steps_max", max: 4, .. })));
        assert!(matches!(Grid::range(0, 40, 0, &limits), Err(EvalError::Step { .. })));
        assert!(matches!(Grid::range(1, 0, 1, &limits), Err(EvalError::EndBeforeStart { .. })));
        assert!(Grid::range(i64::MIN, i64::MAX, 1, &limits).is_err());
    }

    #[test]
    fn subquery_steps_are_aligned_and_open_on_the_left() {
        let still = Moved::new(None, None, (0, 0));
        for (at, range, expected) in [
            (100, 30, vec![80, 90, 100]),
            (99, 30, vec![70, 80, 90]),
            (0, 30, vec![-20, -10, 0]),
            (-5, 10, vec![-10]),
            (9, 5, vec![]),
        ] {
            let grid = Grid::of_subquery(Grid::instant(at), still, range, 10);
            assert_eq!(grid.times().collect::<Vec<_>>(), expected, "at {at} [{range}:10]");
        }
        let ends = Moved::new(None, Some(&AtModifier::End), (i64::MIN, i64::MAX));
        assert!(
            Grid::of_subquery(Grid::range(i64::MIN, i64::MIN, 1, &Limits::default()).unwrap(), ends, 10, 1).count <= 10
        );
        let extreme = Grid::of_subquery(Grid::instant(i64::MIN), still, i64::MAX, 1);
        assert!(extreme.count < usize::MAX);
    }

    #[test]
    fn at_comes_before_offset() {
        let second = Duration::from_secs(1);
        let at = AtModifier::At(SystemTime::UNIX_EPOCH + 10 * second);
        assert_eq!(Moved::new(Some(&Offset::Pos(second)), Some(&at), (1, 2)).apply(77), 9_000);
        assert_eq!(Moved::new(Some(&Offset::Neg(second)), None, (1, 2)).apply(77), 1_077);
        assert_eq!(Moved::new(None, Some(&AtModifier::End), (1, 2)).apply(77), 2);
        let before = AtModifier::At(SystemTime::UNIX_EPOCH - second);
        assert_eq!(Moved::new(None, Some(&before), (1, 2)).apply(77), -1_000);
    }
}
