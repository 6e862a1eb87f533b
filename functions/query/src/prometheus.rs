//! Prometheus's HTTP API, in its shapes.

use std::collections::BTreeSet;

use pipeline::http::{Request, Response};
use pipeline::keys::Caller;
use pipeline::promql::{self, Evaluated, Matrix, Value, format_value};
use pipeline::{Context, Fault, Labels, Sample, Timestamp, evaluate, query};
use serde_json::{Map, Value as Json, json};

use crate::parameters;

/// Answers below `/api/v1/`.
pub(crate) async fn answer(
    context: &Context,
    caller: &Caller,
    request: &Request,
    path: &[&str],
) -> Result<Response, Fault> {
    let now = context.ports.clock.now();
    match path {
        ["query"] => instant(context, caller, request, now).await,
        ["query_range"] => range(context, caller, request).await,
        ["series"] => series_list(context, caller, request, now).await,
        ["labels"] => {
            let all = values(context, caller, request, now).await?;
            limited(all.into_keys().collect(), request)
        }
        ["label", name, "values"] => {
            let mut all = values(context, caller, request, now).await?;
            limited(all.remove(*name).unwrap_or_default(), request)
        }
        ["metadata"] => Ok(Response::success(json!({}))),
        ["rules"] => Ok(Response::success(evaluate::rules(context, &caller.tenant).await?)),
        ["alerts"] => Ok(Response::success(json!({ "alerts": evaluate::alerts(context, &caller.tenant).await? }))),
        _ => Err(Fault::NotFound(format!("there is nothing at {}", request.path))),
    }
}

fn options(request: &Request) -> Result<promql::Options, Fault> {
    let mut options = promql::Options::default();
    if let Some(text) = request.parameter("lookback_delta") {
        options.lookback_ms = parameters::duration_ms("lookback_delta", text)?;
        if options.lookback_ms <= 0 {
            return Err(Fault::bad("parameter \"lookback_delta\": a duration more than zero is needed"));
        }
    }
    Ok(options)
}

async fn instant(context: &Context, caller: &Caller, request: &Request, now: Timestamp) -> Result<Response, Fault> {
    let at = parameters::at(request, now)?;
    let text = request.required("query")?;
    let limit = parameters::limit(request)?;
    let result = query::instant(context, &caller.tenant, text, at, &options(request)?).await?;
    let kind = result.value.kind();
    let value = match &result.value {
        Value::Scalar(sample) => point(sample),
        Value::String(text) => json!([at.seconds(), text]),
        Value::Vector(vector) => vector
            .iter()
            .take(limit)
            .map(|(labels, sample)| json!({ "metric": metric(labels), "value": point(sample) }))
            .collect(),
        Value::Matrix(matrix) => matrix_json(matrix, limit),
    };
    Ok(evaluated(kind, value, &result))
}

async fn range(context: &Context, caller: &Caller, request: &Request) -> Result<Response, Fault> {
    let times = parameters::range(request)?;
    let limit = parameters::limit(request)?;
    let text = request.required("query")?;
    let result = query::range(context, &caller.tenant, text, times, &options(request)?).await?;
    Ok(evaluated("matrix", matrix_json(&result.value, limit), &result))
}

fn evaluated<T>(kind: &str, value: Json, result: &Evaluated<T>) -> Response {
    let mut body = json!({ "status": "success", "data": { "resultType": kind, "result": value } });
    if !result.annotations.is_empty() {
        body["warnings"] = json!(result.annotations);
    }
    Response::json(200, &body)
}

async fn series_list(context: &Context, caller: &Caller, request: &Request, now: Timestamp) -> Result<Response, Fault> {
    let selectors = parameters::selectors(request)?;
    if selectors.is_empty() {
        return Err(Fault::bad("no \"match[]\" parameter is given"));
    }
    let span = parameters::span(request, now)?;
    let limit = parameters::limit(request)?;
    let found = query::series(context, &caller.tenant, selectors, span).await?;
    Ok(Response::success(found.iter().take(limit).map(metric).collect::<Vec<_>>()))
}

async fn values(
    context: &Context,
    caller: &Caller,
    request: &Request,
    now: Timestamp,
) -> Result<std::collections::BTreeMap<String, BTreeSet<String>>, Fault> {
    let span = parameters::span(request, now)?;
    query::label_values(context, &caller.tenant, parameters::selectors(request)?, span).await
}

fn limited(found: BTreeSet<String>, request: &Request) -> Result<Response, Fault> {
    let limit = parameters::limit(request)?;
    Ok(Response::success(found.into_iter().take(limit).collect::<Vec<_>>()))
}

fn matrix_json(matrix: &Matrix, limit: usize) -> Json {
    let one = |series: &promql::Series| {
        let values: Vec<Json> = series.samples.iter().map(point).collect();
        json!({ "metric": metric(&series.labels), "values": values })
    };
    matrix.iter().take(limit).map(one).collect()
}

fn metric(labels: &Labels) -> Json {
    let pairs = labels.iter().map(|(name, value)| (name.to_owned(), Json::from(value)));
    Json::Object(pairs.collect::<Map<_, _>>())
}

/// `[seconds, "value"]`; whole seconds without a fraction, as Prometheus writes them.
fn point(sample: &Sample) -> Json {
    let ms = sample.at.ms();
    let time = if ms % 1_000 == 0 { json!(ms / 1_000) } else { json!(sample.at.seconds()) };
    json!([time, format_value(sample.value)])
}
