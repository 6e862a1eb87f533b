//! What readers ask: PromQL at an instant or over a range, and which series and labels exist.

use std::collections::{BTreeMap, BTreeSet};

use ports::{TenantId, Timestamp};
use promql::{Evaluated, Matcher, Matrix, Selection, Value};
use series::Labels;

use crate::error::Fault;
use crate::{Context, read};

/// Series that one metadata call returns.
pub const SERIES_LISTED_MAX: usize = 100_000;

/// Evaluates at one time.
pub async fn instant(
    context: &Context,
    tenant: &TenantId,
    text: &str,
    at: Timestamp,
    options: &promql::Options,
) -> Result<Evaluated<Value>, Fault> {
    let expr = parse(text)?;
    let selections = promql::selections(&expr, at, at, 0, options);
    let storage = read::load(context, tenant, &selections).await?;
    promql::instant(&expr, at, &storage, options).map_err(|e| evaluation(&e))
}

/// Evaluates at each step of a range.
pub async fn range(
    context: &Context,
    tenant: &TenantId,
    text: &str,
    (start, end, step_ms): (Timestamp, Timestamp, i64),
    options: &promql::Options,
) -> Result<Evaluated<Matrix>, Fault> {
    let expr = parse(text)?;
    let selections = promql::selections(&expr, start, end, step_ms, options);
    let storage = read::load(context, tenant, &selections).await?;
    promql::range(&expr, start, end, step_ms, &storage, options).map_err(|e| evaluation(&e))
}

/// Label sets of series that have a sample in `[from, to]` and that any selector matches.
pub async fn series(
    context: &Context,
    tenant: &TenantId,
    selectors: Vec<Vec<Matcher>>,
    (from, to): (Timestamp, Timestamp),
) -> Result<BTreeSet<Labels>, Fault> {
    let selections: Vec<Selection> =
        selectors.into_iter().map(|matchers| Selection { matchers, from, to, rollup: None }).collect();
    let found = read::labels(context, tenant, &selections).await?;
    if found.len() > SERIES_LISTED_MAX {
        return Err(Fault::Unprocessable(format!(
            "{} series match, at most {SERIES_LISTED_MAX} are listed (series_listed_max)",
            found.len()
        )));
    }
    Ok(found)
}

/// Names of labels, each with its values.
pub async fn label_values(
    context: &Context,
    tenant: &TenantId,
    selectors: Vec<Vec<Matcher>>,
    span: (Timestamp, Timestamp),
) -> Result<BTreeMap<String, BTreeSet<String>>, Fault> {
    let selectors = if selectors.is_empty() { vec![Vec::new()] } else { selectors };
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for labels in series(context, tenant, selectors, span).await? {
        for (name, value) in &labels {
            values.entry(name.to_owned()).or_default().insert(value.to_owned());
        }
    }
    Ok(values)
}

fn parse(text: &str) -> Result<promql::Expr, Fault> {
    promql::parse(text).map_err(|e| Fault::bad(format!("invalid parameter \"query\": {e}")))
}

fn evaluation(error: &promql::EvalError) -> Fault {
    Fault::Unprocessable(error.to_string())
}
