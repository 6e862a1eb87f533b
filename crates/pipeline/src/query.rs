//! What readers ask: PromQL at an instant or over a range, and which series and labels exist.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use ports::{Clock, TenantId, Timestamp};
use promql::{Evaluated, Matcher, Matrix, Selection, Stop, Value};
use series::Labels;

use crate::error::Fault;
use crate::{Context, read};

/// Series that one metadata call returns.
pub const SERIES_LISTED_MAX: usize = 100_000;
/// A query takes no longer to read and to evaluate together, in milliseconds, whatever its `timeout` says.
/// (Prometheus's default.)
pub const QUERY_MS_MAX: i64 = 120_000;

/// Turns true `timeout_ms` from now, or after [`QUERY_MS_MAX`] if that is earlier.
#[must_use]
pub fn stop_after(clock: Arc<dyn Clock>, timeout_ms: i64) -> Stop {
    let end = clock.now().plus_ms(timeout_ms.min(QUERY_MS_MAX));
    Stop::when(move || clock.now() >= end)
}

/// Evaluates at one time. [`promql::Options::stop`] ends the reading as well.
pub async fn instant(
    context: &Context,
    tenant: &TenantId,
    text: &str,
    at: Timestamp,
    options: &promql::Options,
) -> Result<Evaluated<Value>, Fault> {
    let expr = parse(text)?;
    let selections = promql::selections(&expr, at, at, 0, options);
    let storage = in_time(&options.stop, read::load_for(context, tenant, &selections, &options.stop)).await?;
    let mut evaluated = promql::instant(&expr, at, &storage, options).map_err(|e| evaluation(&e))?;
    evaluated.annotations.extend_from_slice(storage.infos());
    Ok(evaluated)
}

/// Evaluates at each step of a range. [`promql::Options::stop`] ends the reading as well.
pub async fn range(
    context: &Context,
    tenant: &TenantId,
    text: &str,
    (start, end, step_ms): (Timestamp, Timestamp, i64),
    options: &promql::Options,
) -> Result<Evaluated<Matrix>, Fault> {
    let expr = parse(text)?;
    let selections = promql::selections(&expr, start, end, step_ms, options);
    let storage = in_time(&options.stop, read::load_for(context, tenant, &selections, &options.stop)).await?;
    let mut evaluated = promql::range(&expr, start, end, step_ms, &storage, options).map_err(|e| evaluation(&e))?;
    evaluated.annotations.extend_from_slice(storage.infos());
    Ok(evaluated)
}

/// Label sets of series that have a sample in `[from, to]` and that any selector matches. Who
/// takes at most `limit` of them may ask where there are more than are listed.
pub async fn series(
    context: &Context,
    tenant: &TenantId,
    selectors: Vec<Vec<Matcher>>,
    (from, to): (Timestamp, Timestamp),
    limit: usize,
) -> Result<BTreeSet<Labels>, Fault> {
    let selections: Vec<Selection> =
        selectors.into_iter().map(|matchers| Selection { matchers, from, to, rollup: None, near: None }).collect();
    let stop = stop_after(context.ports.clock.clone(), QUERY_MS_MAX);
    let found = in_time(&stop, read::labels(context, tenant, &selections)).await?;
    check_listed(found.len(), limit)?;
    Ok(found)
}

fn check_listed(series: usize, limit: usize) -> Result<(), Fault> {
    if series <= SERIES_LISTED_MAX || limit <= SERIES_LISTED_MAX {
        return Ok(());
    }
    Err(Fault::Unprocessable(format!(
        "{series} series match, at most {SERIES_LISTED_MAX} are listed (series_listed_max)"
    )))
}

/// Names of labels.
pub async fn label_names(
    context: &Context,
    tenant: &TenantId,
    selectors: Vec<Vec<Matcher>>,
    span: (Timestamp, Timestamp),
) -> Result<BTreeSet<String>, Fault> {
    let mut names = BTreeSet::new();
    for labels in any_series(context, tenant, selectors, span).await? {
        for (name, _) in &labels {
            keep(&mut names, name);
        }
    }
    Ok(names)
}

/// Values of one label.
pub async fn label_values(
    context: &Context,
    tenant: &TenantId,
    selectors: Vec<Vec<Matcher>>,
    span: (Timestamp, Timestamp),
    name: &str,
) -> Result<BTreeSet<String>, Fault> {
    let mut values = BTreeSet::new();
    for labels in any_series(context, tenant, selectors, span).await? {
        if let Some(value) = labels.get(name) {
            keep(&mut values, value);
        }
    }
    Ok(values)
}

/// Series of any number: only their names or values are listed.
async fn any_series(
    context: &Context,
    tenant: &TenantId,
    selectors: Vec<Vec<Matcher>>,
    span: (Timestamp, Timestamp),
) -> Result<BTreeSet<Labels>, Fault> {
    let selectors = if selectors.is_empty() { vec![Vec::new()] } else { selectors };
    series(context, tenant, selectors, span, 0).await
}

fn keep(found: &mut BTreeSet<String>, text: &str) {
    if !found.contains(text) {
        found.insert(text.to_owned());
    }
}

/// Reads an expression, as the parameter `query` has it.
pub fn parse(text: &str) -> Result<promql::Expr, Fault> {
    promql::parse(text).map_err(|e| Fault::bad(format!("invalid parameter \"query\": {e}")))
}

fn evaluation(error: &promql::EvalError) -> Fault {
    match error {
        promql::EvalError::Stopped => read::timed_out(),
        promql::EvalError::NotARange { .. } => Fault::bad(format!("invalid parameter \"query\": {error}")),
        _ => Fault::Unprocessable(error.to_string()),
    }
}

/// What `work` comes to, unless it is to stop: then it is not continued at its next step.
async fn in_time<T>(stop: &Stop, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let mut work = pin!(work);
    poll_fn(|task| {
        if stop.asked() {
            return Poll::Ready(Err(read::timed_out()));
        }
        work.as_mut().poll(task)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[derive(Default)]
    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn a_query_at_the_limit_of_time_and_one_past_it() {
        for (asked_ms, end_ms) in [(i64::MAX, QUERY_MS_MAX), (QUERY_MS_MAX + 1, QUERY_MS_MAX), (5, 5), (0, 0)] {
            let hand = Arc::new(Hand::default());
            let stop = stop_after(hand.clone(), asked_ms);
            hand.0.store(end_ms - 1, Ordering::Relaxed);
            assert!(!stop.asked(), "{asked_ms}");
            hand.0.store(end_ms, Ordering::Relaxed);
            assert!(stop.asked(), "{asked_ms}");
        }
    }

    #[test]
    fn listed_series_at_the_limit_and_one_past_it() {
        for (series, limit) in
            [(SERIES_LISTED_MAX, usize::MAX), (SERIES_LISTED_MAX + 1, SERIES_LISTED_MAX), (SERIES_LISTED_MAX + 1, 0)]
        {
            assert!(check_listed(series, limit).is_ok(), "{series} {limit}");
        }
        let refused = check_listed(SERIES_LISTED_MAX + 1, SERIES_LISTED_MAX + 1).unwrap_err();
        assert_eq!(refused.status(), 422);
        assert!(refused.to_string().contains("series_listed_max"), "{refused}");
    }
}
