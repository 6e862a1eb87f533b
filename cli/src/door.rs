//! How a command reaches a Daywatch: over HTTP while one answers, else through the store itself.
//!
//! Either way it is the same neutral request to the same functions, so a command cannot tell.

#[cfg(feature = "aws")]
pub(crate) mod stack;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use pipeline::http::{Request, Response};
use serde_json::Value as Json;

use crate::Where;
use crate::serve::House;

/// A request over HTTP takes no longer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a binary says that `make up` built.
#[cfg(not(feature = "aws"))]
pub(crate) const WITHOUT_AWS: &str = "this daywatch was built without AWS: \
    `cargo build --release -p daywatch --features aws` makes one that knows stacks";

/// A way to a Daywatch.
pub(crate) struct Door {
    way: Way,
    key: String,
    /// What to do where the key is not taken.
    key_advice: Option<String>,
}

enum Way {
    Http { base: String, client: reqwest::Client },
    Store(Box<House>),
}

impl Door {
    /// Finds the way: `--url`, else `DIR/url` while it answers, else the store in `DIR`.
    pub(crate) async fn open(place: &Where) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        if let Some(name) = &place.stack {
            return Self::to_stack(name, place.region.as_deref(), client).await;
        }
        if let Some(url) = &place.url {
            let file = place.key_file.as_deref().ok_or_else(|| anyhow!("--url needs --key-file"))?;
            let base = url.trim_end_matches('/').to_owned();
            return Ok(Self { way: Way::Http { base, client }, key: read_key(file)?, key_advice: None });
        }
        if !place.data.is_dir() {
            bail!(
                "there is no data folder {}: start `daywatch serve --data {0}`, or name another with --data or --url",
                place.data.display()
            );
        }
        let key_file = place.key_file.clone().unwrap_or_else(|| place.data.join("admin.key"));
        if let Ok(base) = std::fs::read_to_string(place.data.join("url")) {
            let base = base.trim().trim_end_matches('/').to_owned();
            let alive = client.get(format!("{base}/-/healthy")).timeout(Duration::from_secs(2)).send().await;
            if alive.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(Self { way: Way::Http { base, client }, key: read_key(&key_file)?, key_advice: None });
            }
        }
        let house = House::offline(&place.data)?;
        Ok(Self { way: Way::Store(Box::new(house)), key: read_key(&key_file)?, key_advice: None })
    }

    #[cfg(feature = "aws")]
    async fn to_stack(name: &str, region: Option<&str>, client: reqwest::Client) -> anyhow::Result<Self> {
        let stack::Reached { base, key, key_file } = stack::reach(name, region).await?;
        let key_advice = format!(
            "the key in {} was revoked, or belongs to a stack of this name that is gone: \
             `daywatch stack new-key {name}` makes a new one with your AWS credentials",
            key_file.display()
        );
        Ok(Self { way: Way::Http { base, client }, key, key_advice: Some(key_advice) })
    }

    #[cfg(not(feature = "aws"))]
    async fn to_stack(_: &str, _: Option<&str>, _: reqwest::Client) -> anyhow::Result<Self> {
        bail!(WITHOUT_AWS)
    }

    /// Where it leads, for people.
    pub(crate) fn name(&self) -> String {
        match &self.way {
            Way::Http { base, .. } => base.clone(),
            Way::Store(_) => "the store (no server is running)".to_owned(),
        }
    }

    /// The address, where there is a server.
    pub(crate) fn base(&self) -> Option<&str> {
        match &self.way {
            Way::Http { base, .. } => Some(base),
            Way::Store(_) => None,
        }
    }

    /// Sends what is owed where nobody else does: a server does it by itself.
    pub(crate) async fn send_owed(&self) -> anyhow::Result<()> {
        let Way::Store(house) = &self.way else { return Ok(()) };
        let timers = house.embedded.timers();
        let mut due = timers.due(house.context.ports.clock.now()).await?;
        // The others wait for a server: what they evaluate is not current now.
        due.retain(|due| due.wake.what == pipeline::outbox::WAKE_OUTBOX);
        for one in &due {
            evaluate_alerts::wake(&house.context, &one.wake).await?;
        }
        Ok(timers.done(due).await?)
    }

    /// Sends a request.
    pub(crate) async fn send(&self, mut request: Request) -> anyhow::Result<Response> {
        request.headers.push(("authorization".to_owned(), format!("Bearer {}", self.key)));
        match &self.way {
            Way::Store(house) => Ok(house.request(&request).await),
            Way::Http { base, client } => {
                let mut url = reqwest::Url::parse(base).with_context(|| format!("{base:?} is no address"))?;
                let path = format!("{}{}", url.path().trim_end_matches('/'), request.path);
                url.set_path(&path);
                if !request.parameters.is_empty() {
                    url.query_pairs_mut().extend_pairs(&request.parameters);
                }
                let method: reqwest::Method = request.method.parse()?;
                let mut builder = client.request(method, url).body(request.body);
                for (name, value) in request.headers {
                    builder = builder.header(name, value);
                }
                let answer = builder.send().await.with_context(|| format!("{base} does not answer"))?;
                let status = answer.status().as_u16();
                let kind = answer.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
                Ok(Response::new(status, &kind, answer.bytes().await?))
            }
        }
    }

    /// Sends a request and takes `data` out of the answer; an error answer becomes an error.
    pub(crate) async fn data(&self, request: Request) -> anyhow::Result<Json> {
        Ok(self.answer(request).await?["data"].take())
    }

    /// Sends a request; the whole answer, remarks included. An error answer becomes an error.
    pub(crate) async fn answer(&self, request: Request) -> anyhow::Result<Json> {
        let response = self.send(request).await?;
        if let (401, Some(advice)) = (response.status, &self.key_advice) {
            bail!("{advice}");
        }
        let body: Json = serde_json::from_slice(&response.body).with_context(|| {
            format!("status {}: {}", response.status, String::from_utf8_lossy(&response.body).trim_end())
        })?;
        if response.status >= 300 {
            bail!("{}", body["error"].as_str().unwrap_or("no reason was given"));
        }
        Ok(body)
    }
}

fn read_key(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read the key file {}", file.display()))?;
    Ok(text.trim().to_owned())
}

/// A request without headers.
pub(crate) fn request(method: &str, path: &str, parameters: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Request {
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        parameters: parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        headers: Vec::new(),
        body: body.into(),
    }
}
