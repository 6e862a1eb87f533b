//! `query`, `query_range` and what else takes an expression.

use pipeline::http::{Request, Response};
use pipeline::keys::Caller;
use pipeline::{Context, Fault, promql, query};

use crate::answer::{self, Notes, Stats};
use crate::parameters::{self, given};

/// How the expression is evaluated, by the request's parameters.
fn options(context: &Context, request: &Request) -> Result<promql::Options, Fault> {
    let mut options = promql::Options::default();
    if let Some(text) = given(request, "lookback_delta") {
        options.lookback_ms = parameters::duration_ms("lookback_delta", text)?;
        if options.lookback_ms <= 0 {
            return Err(parameters::invalid("lookback_delta", "lookback delta must be greater than 0"));
        }
    }
    let timeout_ms = given(request, "timeout").map(|text| parameters::duration_ms("timeout", text)).transpose()?;
    options.stop = query::stop_after(context.ports.clock.clone(), timeout_ms.unwrap_or(query::QUERY_MS_MAX));
    Ok(options)
}

pub(super) async fn instant(context: &Context, caller: &Caller, request: &Request) -> Result<Response, Fault> {
    let begun = context.ports.clock.now();
    let limit = parameters::limit(request)?;
    let at = parameters::time_or(request, "time", begun)?;
    let text = parameters::query(request)?;
    let result = query::instant(context, &caller.tenant, text, at, &options(context, request)?).await?;
    let stats = given(request, "stats").map(|_| Stats::of(&result, context.ports.clock.now().ms() - begun.ms()));
    Ok(answer::instant(&result.value, at, limit, stats, Notes::of(&result)))
}

pub(super) async fn range(context: &Context, caller: &Caller, request: &Request) -> Result<Response, Fault> {
    let begun = context.ports.clock.now();
    let limit = parameters::limit(request)?;
    let times = parameters::range(request)?;
    let text = parameters::query(request)?;
    let result = query::range(context, &caller.tenant, text, times, &options(context, request)?).await?;
    let stats = given(request, "stats").map(|_| Stats::of(&result, context.ports.clock.now().ms() - begun.ms()));
    Ok(answer::matrix(&result.value, limit, stats, Notes::of(&result)))
}

/// Exemplars are not kept: there are none of any expression.
pub(super) fn exemplars(request: &Request) -> Result<Response, Fault> {
    for name in ["start", "end"] {
        given(request, name).map(|text| parameters::time(name, text)).transpose()?;
    }
    query::parse(parameters::query(request)?)?;
    Ok(answer::label_sets(&[], usize::MAX))
}

pub(super) fn formatted(request: &Request) -> Result<Response, Fault> {
    Ok(Response::success(query::parse(parameters::query(request)?)?.prettified()))
}

pub(super) fn translated(request: &Request) -> Result<Response, Fault> {
    let shown = query::parse(parameters::query(request)?)?.translated();
    let why = "computed durations, anchored and smoothed are not shown as a tree";
    shown.map(Response::success).ok_or_else(|| Fault::Unprocessable(why.to_owned()))
}
