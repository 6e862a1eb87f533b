//! Which samples an expression needs, known from its text and times alone: lookback, ranges,
//! offsets, `@` and subqueries are all accounted for.

use promql_parser::parser::{Call, Expr as Tree, VectorSelector};
use series::{METRIC_NAME, Timestamp, rollup_width};

use crate::error::EvalError;
use crate::grid::{Grid, Moved, millis};
use crate::matcher::Matcher;
use crate::options::Options;
use crate::parse::{Expr, Extension, QueryTimes, children, extension, matchers_of};
use crate::rolled;

/// The metric that `info` joins where none is named.
const TARGET_INFO: &str = "target_info";

/// The samples of one selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Which series.
    pub matchers: Vec<Matcher>,
    /// First instant needed.
    pub from: Timestamp,
    /// Last instant needed.
    pub to: Timestamp,
    /// The widest rollups, in milliseconds, that answer this selector exactly as samples would: those
    /// whose buckets end in `[from, to]`. `None`: only samples do.
    pub rollup: Option<i64>,
    /// Rollups that answer it as of a little earlier, where the step asks for no finer.
    pub near: Option<Near>,
}

/// Rollups that answer each step as of the end of the last whole bucket before it. That is less than a bucket earlier,
/// and a bucket is no wider than the step: the answer is what samples give at that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Near {
    /// The width of the buckets: the widest that is possible.
    pub width_ms: i64,
    /// The first of them ends here at the earliest.
    pub from: Timestamp,
    /// The last of them ends here.
    pub to: Timestamp,
}

/// What must be loaded to evaluate `expr` at every step from `start` to `end`; for an instant
/// query both are its time. Empty where the times or the step make no query at all.
#[must_use]
pub fn selections(expr: &Expr, start: Timestamp, end: Timestamp, step_ms: i64, options: &Options) -> Vec<Selection> {
    let (grid, step_ms) = if start == end {
        (Ok(Grid::instant(start.ms())), 0)
    } else {
        (Grid::range(start.ms(), end.ms(), step_ms, &options.limits), step_ms)
    };
    let whole = (start.ms(), end.ms());
    let mut found = Vec::new();
    if let Ok(grid) = grid
        && let Ok(tree) = expr.resolved(QueryTimes::new(whole, step_ms))
    {
        collect(&tree, None, grid, whole, options, &mut found);
    }
    found
}

/// `function` is the name of the call whose argument the node is.
fn collect(
    node: &Tree,
    function: Option<&str>,
    grid: Grid,
    whole: (i64, i64),
    options: &Options,
    found: &mut Vec<Selection>,
) {
    match node {
        Tree::VectorSelector(selector) => {
            found.extend(selection(selector, Use::Newest, grid, whole, options));
        }
        Tree::MatrixSelector(matrix) => {
            let use_of_it = Use::Window { range_ms: millis(&matrix.range), function };
            found.extend(selection(&matrix.vs, use_of_it, grid, whole, options));
        }
        Tree::Call(call) if call.func.name == "info" => {
            if let Some(first) = call.args.args.first() {
                collect(first, None, grid, whole, options, found);
                found.extend(info_selection(call, grid, whole, options));
            }
        }
        Tree::Subquery(subquery) => {
            let inner = subquery_grid(subquery, grid, whole, options);
            collect(&subquery.expr, None, inner, whole, options, found);
        }
        _ => {
            let function = match node {
                Tree::Call(call) => Some(call.func.name),
                Tree::Paren(_) => function,
                _ => None,
            };
            children(node).into_iter().for_each(|child| collect(child, function, grid, whole, options, found));
        }
    }
}

/// What a selector's samples are for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Use<'a> {
    /// The newest within the lookback.
    Newest,
    /// All of a window, for a function or as they are.
    Window { range_ms: i64, function: Option<&'a str> },
}

/// What one selector needs: `(first − back, last]`, and a lookback more on the sides on which it is extended.
pub(crate) fn selection(
    selector: &VectorSelector,
    use_of_it: Use,
    grid: Grid,
    whole: (i64, i64),
    options: &Options,
) -> Option<Selection> {
    if grid.count == 0 {
        return None;
    }
    let moved = Moved::new(selector.offset.as_ref(), selector.at.as_ref(), whole);
    let (first, last) = moved.span(grid);
    let (back, foldable) = match use_of_it {
        Use::Newest => (options.lookback_ms, true),
        Use::Window { range_ms, function } => (range_ms, function.is_some_and(rolled::knows)),
    };
    let extension = extension(selector);
    let (before, after) = match extension {
        None => (0, 0),
        Some(Extension::Anchored) => (options.lookback_ms, 0),
        Some(Extension::Smoothed) => (options.lookback_ms, options.lookback_ms),
    };
    let from = Timestamp(first.saturating_sub(back).saturating_sub(before).saturating_add(1));
    let to = Timestamp(last.saturating_add(after));
    let widths = rollup_width::ALL.into_iter().rev();
    let rollup = widths.filter(|_| foldable && extension.is_none()).find(|width| moved.is_aligned(grid, back, *width));
    let mut widths = rollup_width::ALL.into_iter().rev();
    let window = matches!(use_of_it, Use::Window { .. }).then_some(back);
    let width = widths.find(|width| foldable && extension.is_none() && moved.is_near(grid, window, *width));
    let near = width.map(|width_ms| {
        let (first, last) = moved.to_buckets(width_ms).span(grid);
        // A lookback shorter than a bucket still needs the bucket that ends where it does.
        Near { width_ms, from: Timestamp(first.saturating_sub(back).saturating_add(1)), to: Timestamp(last) }
    });
    Some(Selection { matchers: matchers_of(selector), from, to, rollup, near })
}

/// The info series that a call of `info` may join: by name and by the labels that are asked for, at the
/// times of the first selector in its first argument.
pub(crate) fn info_selection(call: &Call, grid: Grid, whole: (i64, i64), options: &Options) -> Option<Selection> {
    if grid.count == 0 {
        return None;
    }
    let moved = call.args.args.first().map_or(Moved::default(), |first| moved_like(first, whole));
    let (first, last) = moved.span(grid);
    let mut matchers = match call.args.args.get(1).map(|second| &**second) {
        Some(Tree::VectorSelector(labels)) => matchers_of(labels),
        _ => Vec::new(),
    };
    if !matchers.iter().any(|matcher| matcher.name() == METRIC_NAME) {
        matchers.push(Matcher::metric(TARGET_INFO));
    }
    let from = Timestamp(first.saturating_sub(options.lookback_ms).saturating_add(1));
    Some(Selection { matchers, from, to: Timestamp(last), rollup: None, near: None })
}

/// `offset` and `@` of the first selector below `node`.
pub(crate) fn moved_like(node: &Tree, whole: (i64, i64)) -> Moved {
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        let selector = match node {
            Tree::VectorSelector(selector) => selector,
            Tree::MatrixSelector(matrix) => &matrix.vs,
            _ => {
                open.extend(children(node).into_iter().rev());
                continue;
            }
        };
        return Moved::new(selector.offset.as_ref(), selector.at.as_ref(), whole);
    }
    Moved::default()
}

/// The steps at which a subquery's inner expression is evaluated.
pub(crate) fn subquery_grid(
    subquery: &promql_parser::parser::SubqueryExpr,
    outer: Grid,
    whole: (i64, i64),
    options: &Options,
) -> Grid {
    let moved = Moved::new(subquery.offset.as_ref(), subquery.at.as_ref(), whole);
    let step = subquery.step.as_ref().map_or(options.subquery_step_ms, millis);
    Grid::of_subquery(outer, moved, millis(&subquery.range), step)
}

/// The limit on what is read and computed was passed.
pub(crate) fn too_many_samples(max: u64) -> EvalError {
    EvalError::Limit { limit: "samples_max", max, hint: " samples read and points computed" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    /// Selections of a query from 1,000 s to 2,000 s by 10 s, times in seconds.
    fn check(text: &str, expected: &[(&str, f64, f64)]) {
        let expr = parse(text).unwrap();
        let found = selections(&expr, Timestamp(1_000_000), Timestamp(2_000_000), 10_000, &Options::default());
        let shown: Vec<(&str, f64, f64)> =
            found.iter().map(|s| (s.matchers[0].value(), s.from.seconds(), s.to.seconds())).collect();
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn lookback_range_offset_at_and_subquery_are_accounted_for() {
        check("a", &[("a", 700.001, 2_000.0)]);
        check("rate(a[1m]) / b offset 1m", &[("a", 940.001, 2_000.0), ("b", 640.001, 1_940.0)]);
        check(
            "a @ 500 + b @ start() + c @ end() offset -10s",
            &[("a", 200.001, 500.0), ("b", 700.001, 1_000.0), ("c", 1_710.001, 2_010.0)],
        );
        check("max_over_time(rate(a[1m])[10m:1m])", &[("a", 360.001, 1_980.0)]);
        check("sum_over_time(a[10s:10s] @ 100)", &[("a", -199.999, 100.0)]);
        check("1 + 2", &[]);
    }

    #[test]
    fn windows_of_whole_buckets_allow_rollups_and_others_do_not() {
        const HOUR: i64 = 3_600_000;
        const START: i64 = 472_202 * HOUR;
        let check = |text: &str, start: i64, step_ms: i64, expected: Option<i64>| {
            let expr = parse(text).unwrap();
            let (from, to) = (Timestamp(start), Timestamp(start + 26 * HOUR));
            let found = selections(&expr, from, to, step_ms, &Options::default());
            assert_eq!(found[0].rollup, expected, "{text} from {start} by {step_ms}");
        };
        check("increase(a[1h])", START, HOUR, Some(HOUR));
        check("sum(max_over_time((a[2h])))", START, HOUR, Some(HOUR));
        check("increase(a[1h] offset 1h)", START, HOUR, Some(HOUR));
        check("increase(a[1h] offset 5m)", START, HOUR, Some(HOUR / 12));
        check("increase(a[1h])", START, HOUR / 12, Some(HOUR / 12));
        check("a", START, HOUR, Some(HOUR / 12));
        for (text, start, step_ms) in [
            ("increase(a[1h])", START + 1, HOUR),
            ("increase(a[1h])", START, HOUR + 1),
            ("increase(a[61m])", START, HOUR),
            ("increase(a[1h] offset 1m)", START, HOUR),
            ("quantile_over_time(0.5, a[1h])", START, HOUR),
            ("a[1h]", START, HOUR),
        ] {
            check(text, start, step_ms, None);
        }
    }
}
