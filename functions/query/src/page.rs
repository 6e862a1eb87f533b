//! The page's files, with the headers that keep it safe.

use bytes::Bytes;
use pipeline::Fault;
use pipeline::http::{Request, Response};

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Scripts and styles from our own origin and nothing else; websockets to wherever they are.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self' ws: wss:; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Shown where the page was not built.
const NOT_BUILT: &str = "Daywatch is running, but its page was not built into this binary.\n\
    Build it with `make page`, then build Daywatch again.\n";

/// A file of the page; `/` is `index.html`.
pub(crate) fn asset(request: &Request) -> Result<Response, Fault> {
    let read = matches!(request.method.as_str(), "GET" | "HEAD");
    let name = match request.path.trim_start_matches('/') {
        "" => "index.html",
        name => name,
    };
    let Some((_, content)) = ASSETS.iter().find(|(asset, _)| *asset == name) else {
        if name == "index.html" && read {
            return Ok(Response::new(503, "text/plain; charset=utf-8", NOT_BUILT));
        }
        return Err(match name {
            "index.html" => Fault::Method(request.method.clone()),
            _ => Fault::NotFound(format!("there is nothing at {}", request.path)),
        });
    };
    if !read {
        return Err(Fault::Method(request.method.clone()));
    }
    let mut response = Response::new(200, content_type(name), Bytes::from_static(content));
    // Vite names what stands in `assets/` by its content.
    let cache = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    for (header, value) in [
        ("cache-control", cache),
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        response.headers.push((header.to_owned(), value.to_owned()));
    }
    Ok(response)
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "json" | "webmanifest" => "application/json",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Result<Response, Fault> {
        asset(&Request { method: "GET".to_owned(), path: path.to_owned(), ..Request::default() })
    }

    #[test]
    fn the_page_comes_with_its_policy_or_says_that_it_is_not_built() {
        let response = get("/").unwrap();
        if ASSETS.is_empty() {
            assert_eq!(response.status, 503);
        } else {
            assert!(response.headers.iter().any(|(name, _)| name == "content-security-policy"));
        }
    }

    #[test]
    fn paths_cannot_leave_the_table() {
        for path in ["/../Cargo.toml", "/assets/../index.html", "//etc/passwd", "/index.html/"] {
            assert_eq!(get(path).unwrap_err().status(), 404, "{path}");
        }
    }
}
