//! What only an admin key may: configuration documents, keys, test notifications.

use pipeline::documents::{self, Kind};
use pipeline::http::{Request, Response};
use pipeline::keys::{self, Caller, KeyKind};
use pipeline::{Context, Fault, TenantId, connect, outbox};
use serde::Deserialize;
use serde_json::json;

/// Answers below `/api/v1/`.
pub(crate) async fn answer(
    context: &Context,
    caller: &Caller,
    request: &Request,
    path: &[&str],
) -> Result<Response, Fault> {
    let method = request.method.as_str();
    if let (["config", ..], "GET" | "HEAD") = (path, method) {
        caller.may_read()?;
    } else {
        caller.may_administer()?;
    }
    match (path, method) {
        (["config", kind, name], _) => document(context, caller, request, Kind::from_path(kind)?, name).await,
        (["config", kind], "GET" | "HEAD") => {
            let found = documents::all(&context.ports, &caller.tenant, Kind::from_path(kind)?).await?;
            Ok(Response::success(found))
        }
        (["config"], "POST") => apply(context, caller, request).await,
        (["keys"], "GET" | "HEAD") => Ok(Response::success(keys::list(&context.ports, &caller.tenant).await?)),
        (["keys"], "POST") => create_key(context, caller, request).await,
        (["keys", id], "DELETE") => {
            let was_valid = keys::revoke(&context.ports, &caller.tenant, id).await?;
            connect::disconnect_key(&context.ports, id).await?;
            Ok(Response::success(json!({ "id": id, "was_valid": was_valid })))
        }
        (["notify", "test"], "POST") => {
            Ok(Response::success(outbox::send_test(context, &caller.tenant, request.parameter("receiver")).await?))
        }
        (["notify", "test"], "GET") => {
            let id = request.parameter("id").ok_or_else(|| Fault::bad("the parameter \"id\" is missing"))?;
            let receiver = request.parameter("receiver");
            Ok(Response::success(outbox::test_answers(context, &caller.tenant, id, receiver).await?))
        }
        (["config" | "keys" | "notify", ..], _) => Err(Fault::Method(request.method.clone())),
        _ => Err(Fault::NotFound(format!("there is nothing at {}", request.path))),
    }
}

async fn document(
    context: &Context,
    caller: &Caller,
    request: &Request,
    kind: Kind,
    name: &str,
) -> Result<Response, Fault> {
    let ports = &context.ports;
    let tenant = &caller.tenant;
    let missing = || Fault::NotFound(format!("there is no {} document named {name:?}", kind.as_str()));
    match request.method.as_str() {
        "GET" | "HEAD" => match documents::get(ports, tenant, kind, name).await? {
            Some(document) => Ok(Response::new(200, "application/yaml", document.text)),
            None => Err(missing()),
        },
        "PUT" => {
            let text = request.text()?.to_owned();
            documents::put_all(ports, tenant, &[(kind, name.to_owned(), text)]).await?;
            Ok(Response::success(json!({ "kind": kind, "name": name })))
        }
        "DELETE" => match documents::delete(ports, tenant, kind, name).await? {
            true => Ok(Response::success(json!({ "kind": kind, "name": name }))),
            false => Err(missing()),
        },
        other => Err(Fault::Method(other.to_owned())),
    }
}

#[derive(Deserialize)]
struct Given {
    kind: String,
    name: String,
    text: String,
}

/// `POST /api/v1/config`: several documents, all or none.
async fn apply(context: &Context, caller: &Caller, request: &Request) -> Result<Response, Fault> {
    let given: Vec<Given> = serde_json::from_str(request.text()?)
        .map_err(|e| Fault::bad(format!("line {}, column {}: {e}", e.line(), e.column())))?;
    let mut list = Vec::with_capacity(given.len());
    for Given { kind, name, text } in given {
        list.push((Kind::from_path(&kind)?, name, text));
    }
    documents::put_all(&context.ports, &caller.tenant, &list).await?;
    let stored: Vec<_> = list.iter().map(|(kind, name, _)| json!({ "kind": kind, "name": name })).collect();
    Ok(Response::success(stored))
}

#[derive(Deserialize)]
struct Wanted {
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    tenant: Option<String>,
}

async fn create_key(context: &Context, caller: &Caller, request: &Request) -> Result<Response, Fault> {
    let wanted: Wanted = serde_json::from_str(request.text()?)
        .map_err(|e| Fault::bad(format!("line {}, column {}: {e}", e.line(), e.column())))?;
    let kind: KeyKind = wanted.kind.parse()?;
    // One key, one tenant: an admin makes keys of its own. The first tenant's admin founds others.
    let tenant = match wanted.tenant.as_deref() {
        None => caller.tenant.clone(),
        Some(text) => TenantId::new(text).map_err(|e| Fault::bad(format!("tenant: {e}")))?,
    };
    if tenant != caller.tenant && caller.tenant != TenantId::default() {
        return Err(Fault::Forbidden("keys of another tenant are made with the default tenant's admin key".to_owned()));
    }
    let key = keys::create(&context.ports, tenant, kind, &wanted.name).await?;
    Ok(Response::success(json!({ "key": key })))
}
