//! Prometheus's HTTP API: which path is which call, and by which method it is asked.

mod discover;
mod evaluate;
mod rules;
mod status;

use pipeline::http::{Request, Response};
use pipeline::keys::Caller;
use pipeline::{Context, Fault, evaluate as alerting};
use serde_json::json;

#[cfg(test)]
pub(crate) use status::ROWS_MAX;

/// Who reads by a form, in a body.
const FORMS: &[&str] = &["query", "query_range", "query_exemplars", "format_query", "parse_query", "labels", "series"];
/// Other calls that are answered here, by the first part of their path.
const OTHERS: &[&str] = &["label", "metadata", "rules", "alerts", "targets", "alertmanagers", "status"];

/// The methods that a path takes; `None` where it is no call of Prometheus's that is answered.
pub(crate) fn methods(path: &[&str]) -> Option<&'static str> {
    match path {
        ["status", "pager"] => None,
        [name] if FORMS.contains(name) => Some("GET, HEAD, POST, OPTIONS"),
        [name, ..] if OTHERS.contains(name) => Some("GET, HEAD, OPTIONS"),
        _ => None,
    }
}

/// Answers below `/api/v1/`.
pub(crate) async fn answer(
    context: &Context,
    caller: &Caller,
    request: &Request,
    path: &[&str],
) -> Result<Response, Fault> {
    match path {
        ["query"] => evaluate::instant(context, caller, request).await,
        ["query_range"] => evaluate::range(context, caller, request).await,
        ["query_exemplars"] => evaluate::exemplars(request),
        ["format_query"] => evaluate::formatted(request),
        ["parse_query"] => evaluate::translated(request),
        ["series"] => discover::series(context, caller, request).await,
        ["labels"] => discover::names(context, caller, request).await,
        // A name may have a slash in it.
        ["label", name @ .., "values"] => discover::values(context, caller, request, &name.join("/")).await,
        ["metadata"] => discover::metadata(context, caller, request).await,
        ["rules"] => rules::answer(context, caller, request).await,
        ["alerts"] => Ok(Response::success(json!({ "alerts": alerting::alerts(context, &caller.tenant).await? }))),
        ["targets"] => status::targets(context, caller, request).await,
        ["targets", "metadata"] => Ok(Response::success(json!([]))),
        ["alertmanagers"] => Ok(Response::success(json!({ "activeAlertmanagers": [], "droppedAlertmanagers": [] }))),
        ["status", what] => status::answer(context, caller, request, what).await,
        _ => Err(Fault::NotFound(format!("there is nothing at {}", request.path))),
    }
}
