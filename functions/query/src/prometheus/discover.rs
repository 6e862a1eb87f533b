//! Which series, names and values there are.

use std::collections::BTreeMap;

use pipeline::http::{Request, Response};
use pipeline::keys::Caller;
use pipeline::{Context, Fault, Labels, ingest, query};

use crate::{answer, parameters};

pub(super) async fn series(context: &Context, caller: &Caller, request: &Request) -> Result<Response, Fault> {
    if request.all("match[]").next().is_none() {
        return Err(Fault::bad("no match[] parameter provided"));
    }
    let span = parameters::span(request, context.ports.clock.now())?;
    let limit = parameters::limit(request)?;
    let found = query::series(context, &caller.tenant, parameters::selectors(request)?, span, limit).await?;
    let found: Vec<Labels> = found.into_iter().collect();
    Ok(answer::label_sets(&found, limit))
}

pub(super) async fn names(context: &Context, caller: &Caller, request: &Request) -> Result<Response, Fault> {
    let span = parameters::span(request, context.ports.clock.now())?;
    let limit = parameters::limit(request)?;
    let found = query::label_names(context, &caller.tenant, parameters::selectors(request)?, span).await?;
    Ok(answer::texts(&found.into_iter().collect::<Vec<_>>(), limit))
}

pub(super) async fn values(
    context: &Context,
    caller: &Caller,
    request: &Request,
    path_name: &str,
) -> Result<Response, Fault> {
    let name = parameters::label_name(path_name);
    if name.is_empty() {
        return Err(Fault::bad(format!("invalid label name: {path_name:?}")));
    }
    let span = parameters::span(request, context.ports.clock.now())?;
    let limit = parameters::limit(request)?;
    let found = query::label_values(context, &caller.tenant, parameters::selectors(request)?, span, &name).await?;
    Ok(answer::texts(&found.into_iter().collect::<Vec<_>>(), limit))
}

/// Types, helps and units of metrics: of all, or of one. Each metric has one, the latest.
pub(super) async fn metadata(context: &Context, caller: &Caller, request: &Request) -> Result<Response, Fault> {
    let limit = parameters::count(request, "limit")?.unwrap_or(usize::MAX);
    let of_each = parameters::count(request, "limit_per_metric")?.filter(|count| *count > 0).unwrap_or(1);
    let metric = parameters::given(request, "metric");
    let all = ingest::metadata::all(&context.ports, &caller.tenant).await?;
    let asked = all.into_iter().filter(|(name, _)| metric.is_none_or(|metric| metric == name));
    let shown: BTreeMap<String, Vec<_>> =
        asked.take(limit).map(|(name, one)| (name, [one].into_iter().take(of_each).collect())).collect();
    Ok(Response::success(shown))
}
