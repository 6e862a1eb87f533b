//! What a host needs to become a source: the install script, and the agent's binary with its
//! checksum. Nothing here needs a key: the script asks for one where it is run.
//!
//! The binaries stand in a store of their own (`Context::downloads`), under [`FOLDER`]. Where that
//! store gives links, a binary is fetched from there: it is larger than an answer may be on AWS.

use pipeline::http::{Request, Response};
use pipeline::{Context, Fault};

/// Where the binaries stand in the store of downloads.
const FOLDER: &str = "downloads/";
/// The names that are offered; each has a `.sha256` beside it.
const BINARIES: [&str; 2] = ["daywatch-agent-linux-x86_64", "daywatch-agent-linux-aarch64"];
/// How long a link is good: a slow host takes minutes for it.
const LINK_VALID_MS: i64 = 15 * 60_000;

/// The script, and the files that it writes.
const SCRIPT: &str = include_str!("../../../packaging/install.sh");
const PARTS: [(&str, &str); 2] = [
    ("@@daywatch-agent.service@@", include_str!("../../../packaging/daywatch-agent.service")),
    ("@@agent.toml@@", include_str!("../../../packaging/agent.toml")),
];

/// `GET /install.sh`.
pub(crate) fn script(request: &Request) -> Result<Response, Fault> {
    read_only(request)?;
    Ok(uncached(Response::new(200, "text/x-shellscript; charset=utf-8", whole_script())))
}

/// The script with its files in it, so that a host fetches one thing and not three.
fn whole_script() -> String {
    PARTS.iter().fold(SCRIPT.to_owned(), |script, (mark, text)| script.replace(mark, text.trim_end()))
}

/// `GET /download/NAME`.
pub(crate) async fn download(context: &Context, request: &Request, name: &str) -> Result<Response, Fault> {
    read_only(request)?;
    let binary = name.strip_suffix(".sha256").unwrap_or(name);
    if !BINARIES.contains(&binary) {
        let known = BINARIES.join(", ");
        return Err(Fault::NotFound(format!("there is no download {name:?}, but {known}, each with .sha256")));
    }
    let store = &context.downloads;
    let stored = format!("{FOLDER}{name}");
    if !store.list(&stored).await?.contains(&stored) {
        return Err(Fault::NotFound(format!(
            "{binary} is not offered here: build it with `make agent-packages`, then run `make deploy`, or start \
             `daywatch serve` with --downloads and the folder that it is in"
        )));
    }
    // A checksum is small and comes from this very address, whatever the link leads to.
    if name == binary
        && let Some(link) = store.link(&stored, LINK_VALID_MS).await?
    {
        let mut response = Response::empty(302);
        response.headers.push(("location".to_owned(), link));
        return Ok(uncached(response));
    }
    let bytes = store.get(&stored).await?.ok_or_else(|| Fault::NotFound(format!("{name} was just removed")))?;
    let content_type = if name == binary { "application/octet-stream" } else { "text/plain; charset=utf-8" };
    Ok(uncached(Response::new(200, content_type, bytes)))
}

fn read_only(request: &Request) -> Result<(), Fault> {
    match request.method.as_str() {
        "GET" | "HEAD" => Ok(()),
        other => Err(Fault::Method(other.to_owned())),
    }
}

/// A proxy on the way must not keep a binary whose checksum is a newer one's.
fn uncached(mut response: Response) -> Response {
    response.headers.push(("cache-control".to_owned(), "no-store".to_owned()));
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use bytes::Bytes;
    use embedded::{Embedded, Memory};
    use pipeline::{Blobs, PortError};

    use super::*;

    /// A store of one binary that may give links.
    struct Store(Option<&'static str>);

    #[async_trait]
    impl Blobs for Store {
        async fn put(&self, _: &str, _: Bytes) -> Result<(), PortError> {
            Ok(())
        }
        async fn get(&self, name: &str) -> Result<Option<Bytes>, PortError> {
            let text = if name.ends_with(".sha256") { "00  x\n" } else { "ELF" };
            Ok(self.list(name).await?.first().map(|_| Bytes::from_static(text.as_bytes())))
        }
        async fn delete(&self, _: &str) -> Result<(), PortError> {
            Ok(())
        }
        async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError> {
            let all = ["downloads/daywatch-agent-linux-x86_64", "downloads/daywatch-agent-linux-x86_64.sha256"];
            Ok(all.iter().filter(|name| name.starts_with(prefix)).map(|name| (*name).to_owned()).collect())
        }
        async fn link(&self, name: &str, _: i64) -> Result<Option<String>, PortError> {
            Ok(self.0.map(|host| format!("{host}/{name}")))
        }
    }

    async fn ask(store: Store, method: &str, path: &str) -> (u16, String, String) {
        let Memory { embedded, .. } = Embedded::memory(1).unwrap();
        let settings = pipeline::Settings {
            raw_retention_ms: pipeline::DAY_MS,
            external_url: String::new(),
            websocket_url: "/ws".to_owned(),
        };
        let context = Context::new(embedded.ports(), settings).with_downloads(Arc::new(store));
        let request = Request { method: method.to_owned(), path: path.to_owned(), ..Request::default() };
        let response = crate::handle(&context, &request).await;
        let location = response.headers.iter().find(|(name, _)| name == "location");
        let location = location.map(|(_, value)| value.clone()).unwrap_or_default();
        (response.status, String::from_utf8(response.body.to_vec()).unwrap(), location)
    }

    #[tokio::test]
    async fn binaries_come_as_bytes_or_by_a_link_and_checksums_as_bytes() {
        let path = "/download/daywatch-agent-linux-x86_64";
        assert_eq!(ask(Store(None), "GET", path).await, (200, "ELF".to_owned(), String::new()));
        let at = "https://b.invalid/downloads/daywatch-agent-linux-x86_64";
        let linked = ask(Store(Some("https://b.invalid")), "GET", path).await;
        assert_eq!(linked, (302, String::new(), at.to_owned()));
        let sum = ask(Store(Some("https://b.invalid")), "GET", &format!("{path}.sha256")).await;
        assert_eq!(sum, (200, "00  x\n".to_owned(), String::new()));
    }

    #[tokio::test]
    async fn what_is_not_offered_says_what_to_do() {
        for (method, path, status, part) in [
            ("GET", "/download/daywatch-agent-linux-aarch64", 404, "make agent-packages"),
            ("GET", "/download/daywatch-agent-linux-aarch64.sha256", 404, "make agent-packages"),
            ("GET", "/download/daywatch-agent-linux-mips", 404, "daywatch-agent-linux-x86_64"),
            ("GET", "/download/../admin.key", 404, "nothing at"),
            ("GET", "/download", 404, "nothing at"),
            ("POST", "/download/daywatch-agent-linux-x86_64", 405, "POST"),
            ("PUT", "/install.sh", 405, "PUT"),
        ] {
            let (got, body, _) = ask(Store(None), method, path).await;
            assert_eq!(got, status, "{path}: {body}");
            assert!(body.contains(part), "{path}: {body}");
        }
    }

    #[tokio::test]
    async fn the_script_comes_whole() {
        let (status, script, _) = ask(Store(None), "GET", "/install.sh").await;
        assert_eq!(status, 200);
        assert!(script.starts_with("#!/bin/sh\n") && script.ends_with("main \"$@\"\n"), "cut off it must do nothing");
        for (mark, text) in PARTS {
            assert!(SCRIPT.contains(mark), "{mark}");
            assert!(!script.contains(mark) && script.contains(text.trim_end()), "{mark}");
        }
    }
}
