//! `query`: everything that is read over HTTP, and the configuration that is written over it.

mod admin;
#[cfg(feature = "event")]
pub mod event;
mod house;
mod install;
mod page;
mod parameters;
mod prometheus;

use pipeline::http::{Request, Response};
use pipeline::{Context, Fault, keys};

/// One request.
pub async fn handle(context: &Context, request: &Request) -> Response {
    answer(context, request).await.into()
}

async fn answer(context: &Context, request: &Request) -> Result<Response, Fault> {
    let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    // What needs no key: the page itself, where websockets are, and what a new host fetches.
    match path.as_slice() {
        ["api", "v1", "endpoints"] => return house::endpoints(context, request),
        ["install.sh"] => return install::script(request),
        ["download", name] => return install::download(context, request, name).await,
        ["api", ..] => {}
        _ => return page::asset(request),
    }
    let caller = keys::authenticate(&context.ports, request).await?;
    let get = matches!(request.method.as_str(), "GET" | "HEAD");
    let read = get || request.method == "POST";
    match path.as_slice() {
        ["api", "v1", "config", ..] | ["api", "v1", "keys", ..] | ["api", "v1", "notify", ..] => {
            admin::answer(context, &caller, request, &path[2..]).await
        }
        ["api", "v1", "ticket"] => house::ticket(context, &caller, request).await,
        ["api", "v1", rest @ ..] if read => {
            caller.may_read()?;
            match rest {
                ["sources" | "checks" | "status", ..] => house::answer(context, &caller, request, rest).await,
                _ => prometheus::answer(context, &caller, request, rest).await,
            }
        }
        ["api", "v1", ..] => Err(Fault::Method(request.method.clone())),
        _ => Err(Fault::NotFound(format!("there is nothing at {}", request.path))),
    }
}

#[cfg(test)]
mod tests;
