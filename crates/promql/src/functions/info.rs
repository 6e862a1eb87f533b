//! `info(v, {labels})`: adds labels of info series (`target_info`) to the series of `v` that have the same
//! `instance` and `job`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use promql_parser::parser::{Call, Expr as Tree};
use series::{Labels, METRIC_NAME, Sample, Timestamp, is_stale};

use crate::error::EvalError;
use crate::eval::Evaluator;
use crate::grid::Grid;
use crate::matcher::Matcher;
use crate::parse::matchers_of;
use crate::row::{Row, merge};
use crate::selection::{info_selection, moved_like};
use crate::storage::Series;

/// The labels that tell to which series an info series belongs.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

pub(super) fn info(
    evaluator: &Evaluator,
    call: &Call,
    arg: &Tree,
    labels: Option<&Tree>,
    grid: Grid,
) -> Result<Vec<Row>, EvalError> {
    let base = evaluator.rows(arg, grid)?;
    let Some(selection) = info_selection(call, grid, evaluator.whole, evaluator.options) else { return Ok(base) };
    let wanted = match labels {
        Some(Tree::VectorSelector(selector)) => matchers_of(selector),
        _ => Vec::new(),
    };
    let (names, wanted): (Vec<Matcher>, Vec<Matcher>) =
        wanted.into_iter().partition(|matcher| matcher.name() == METRIC_NAME);
    let names: &[Matcher] = if names.is_empty() { &selection.matchers[selection.matchers.len() - 1..] } else { &names };
    let is_info = |row: &Row| {
        let name = row.labels.metric_name().unwrap_or("");
        names.iter().any(|matcher| matcher.matches_value(name))
    };
    let mut infos = Infos { by_identity: HashMap::new(), wanted: &wanted };
    let found = if base.iter().all(is_info) { Vec::new() } else { evaluator.select(&selection)? };
    for series in &found {
        infos.by_identity.entry(identity(&series.labels)).or_default().push(series);
    }
    let moved = moved_like(arg, evaluator.whole);
    let lookback = evaluator.options.lookback_ms;
    let mut rows = Vec::new();
    for row in base {
        if is_info(&row) {
            rows.push(row);
            continue;
        }
        let series = infos.by_identity.get(&identity(&row.labels)).map_or(&[][..], Vec::as_slice);
        let mut joined: HashMap<Labels, Vec<f64>> = HashMap::new();
        for step in 0..grid.count {
            let Some(value) = row.at(step) else { continue };
            let at = moved.apply(grid.at(step));
            let newest = newest_of_each(series, at, lookback)?;
            let Some(labels) = infos.joined(&row.labels, &newest)? else { continue };
            let points = match joined.entry(labels) {
                std::collections::hash_map::Entry::Occupied(taken) => taken.into_mut(),
                std::collections::hash_map::Entry::Vacant(free) => free.insert(evaluator.blank(grid)?),
            };
            points[step] = value;
        }
        let drop_name = row.drop_name;
        rows.extend(joined.into_iter().map(|(labels, points)| Row { labels, drop_name, points }));
    }
    merge(rows)
}

fn identity(labels: &Labels) -> Labels {
    labels.keep(|name| IDENTIFYING.contains(&name))
}

/// Of the info series of each name the one with the newest sample; two of one time are in conflict.
fn newest_of_each<'a>(
    series: &[&'a Series],
    at: i64,
    lookback: i64,
) -> Result<BTreeMap<&'a str, &'a Labels>, EvalError> {
    let mut newest: BTreeMap<&str, (Timestamp, &Labels)> = BTreeMap::new();
    for one in series {
        let passed = one.samples.partition_point(|sample| sample.at.ms() <= at);
        let Some(sample) = passed.checked_sub(1).and_then(|last| one.samples.get(last)) else { continue };
        let Sample { at: sampled, value } = *sample;
        if is_stale(value) || sampled.ms() <= at.saturating_sub(lookback) {
            continue;
        }
        let name = one.labels.metric_name().unwrap_or("");
        match newest.get(name) {
            Some((kept, _)) if *kept > sampled => {}
            Some((kept, _)) if *kept == sampled => {
                return Err(EvalError::Argument { what: format!("found duplicate series for info metric {name}") });
            }
            _ => {
                newest.insert(name, (sampled, &one.labels));
            }
        }
    }
    Ok(newest.into_iter().map(|(name, (_, labels))| (name, labels)).collect())
}

struct Infos<'a> {
    by_identity: HashMap<Labels, Vec<&'a Series>>,
    /// What is asked for of the info series, but for their name; nothing: everything.
    wanted: &'a [Matcher],
}

impl Infos<'_> {
    /// The labels with those of the info series; `None` where a label is asked for that none has.
    fn joined(&self, base: &Labels, infos: &BTreeMap<&str, &Labels>) -> Result<Option<Labels>, EvalError> {
        let names: BTreeSet<&str> = self.wanted.iter().map(Matcher::name).collect();
        let mut added: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, value) in infos.values().flat_map(|labels| labels.iter()) {
            if name == METRIC_NAME || (!names.is_empty() && !names.contains(name)) {
                continue;
            }
            if added.get(name).is_some_and(|other| *other != value) {
                return Err(EvalError::Argument { what: format!("conflicting label: {name}") });
            }
            if base.get(name).is_none() {
                added.insert(name, value);
            }
        }
        if added.is_empty() && !self.wanted.iter().all(|matcher| matcher.matches_value("")) {
            return Ok(None);
        }
        let mut labels = base.to_builder();
        added.into_iter().for_each(|(name, value)| {
            labels.set(name, value);
        });
        Ok(Some(labels.build()?))
    }
}
