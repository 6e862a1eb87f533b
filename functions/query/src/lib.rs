//! `query`: everything that is read over HTTP, and the configuration that is written over it.

mod admin;
mod answer;
#[cfg(feature = "event")]
pub mod event;
mod house;
mod install;
mod number;
mod page;
mod parameters;
mod points;
mod prometheus;

use pipeline::http::{Request, Response};
use pipeline::{Context, Fault, keys};

/// One request.
pub async fn handle(context: &Context, request: &Request) -> Response {
    let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    let mut response: Response = answer(context, request, &path).await.into();
    if response.status == 405 {
        response.headers.push(("allow".to_owned(), methods(&path).to_owned()));
    }
    if is_open(&path) {
        // A page of another origin may ask, with a key: there are no cookies, so nothing is lent to it.
        response.headers.push(("access-control-allow-origin".to_owned(), "*".to_owned()));
        response.headers.push(("access-control-expose-headers".to_owned(), "Date".to_owned()));
    }
    response
}

/// Whether a path is one of Prometheus's API.
fn is_open(path: &[&str]) -> bool {
    matches!(path, ["api", "v1", rest @ ..] if prometheus::methods(rest).is_some())
}

/// The methods that a path takes.
fn methods(path: &[&str]) -> &'static str {
    match path {
        ["api", "v1", "config"] => "GET, HEAD, POST",
        ["api", "v1", "config", _, _] => "GET, HEAD, PUT, DELETE",
        ["api", "v1", "keys"] | ["api", "v1", "notify", "test"] => "GET, HEAD, POST",
        ["api", "v1", "keys", _] => "DELETE",
        ["api", "v1", "ticket"] => "POST",
        ["api", "v1", rest @ ..] => prometheus::methods(rest).unwrap_or("GET, HEAD"),
        _ => "GET, HEAD",
    }
}

async fn answer(context: &Context, request: &Request, path: &[&str]) -> Result<Response, Fault> {
    if request.method == "OPTIONS" && is_open(path) {
        return Ok(preflight(methods(path)));
    }
    // What needs no key: the page itself, where websockets are, and what a new host fetches.
    match path {
        ["api", "v1", "endpoints"] => return house::endpoints(context, request),
        ["install.sh"] => return install::script(request),
        ["download", name] => return install::download(context, request, name).await,
        ["-", "healthy"] => return alive(request, "Daywatch is healthy.\n"),
        ["-", "ready"] => return alive(request, "Daywatch is ready.\n"),
        ["api", ..] => {}
        _ => return page::asset(request),
    }
    let caller = keys::authenticate(&context.ports, request).await?;
    let get = matches!(request.method.as_str(), "GET" | "HEAD");
    match path {
        ["api", "v1", "config", ..] | ["api", "v1", "keys", ..] | ["api", "v1", "notify", ..] => {
            admin::answer(context, &caller, request, &path[2..]).await
        }
        ["api", "v1", "ticket"] => house::ticket(context, &caller, request).await,
        ["api", "v1", rest @ ..] => {
            caller.may_read()?;
            let known = prometheus::methods(rest);
            let by_form = request.method == "POST" && known.is_some_and(|methods| methods.contains("POST"));
            if !get && !by_form {
                return Err(Fault::Method(request.method.clone()));
            }
            match known {
                Some(_) => prometheus::answer(context, &caller, request, rest).await,
                None => house::answer(context, &caller, request, rest).await,
            }
        }
        _ => Err(Fault::NotFound(format!("there is nothing at {}", request.path))),
    }
}

/// What a browser asks before it asks.
fn preflight(methods: &str) -> Response {
    let mut response = Response::empty(204);
    for (name, value) in [
        ("access-control-allow-methods", methods),
        ("access-control-allow-headers", "Accept, Authorization, Content-Type, Origin"),
        ("access-control-max-age", "86400"),
    ] {
        response.headers.push((name.to_owned(), value.to_owned()));
    }
    response
}

/// Whoever watches over us asks for it, without a key.
fn alive(request: &Request, text: &'static str) -> Result<Response, Fault> {
    match request.method.as_str() {
        "GET" | "HEAD" => Ok(Response::new(200, "text/plain; charset=utf-8", text)),
        other => Err(Fault::Method(other.to_owned())),
    }
}

#[cfg(test)]
mod tests;
