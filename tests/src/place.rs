//! A Daywatch as its users reach it: an address and keys. Knows nothing of where it runs.

use std::collections::BTreeMap;

use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::disk::Blocks;

/// One Daywatch.
#[derive(Clone)]
pub struct Place {
    /// Without a slash at its end.
    pub base_url: String,
    /// Pushes.
    pub agent_key: String,
    /// Reads.
    pub read_key: String,
    /// Configures.
    pub admin_key: String,
    /// Its blocks, where they can be looked at without it.
    pub data: Option<Blocks>,
    http: reqwest::Client,
}

/// A client over HTTP.
pub(crate) fn http() -> reqwest::Client {
    // A second installation is refused, and the first one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(std::time::Duration::from_secs(20)).build();
    client.expect("an HTTP client")
}

/// One series of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its labels, `__name__` among them.
    pub labels: BTreeMap<String, String>,
    /// Its points: ms and value.
    pub points: Vec<(i64, f64)>,
}

impl Place {
    /// Makes an agent key and a read key named `name` with the admin's key.
    pub async fn open(base_url: &str, admin_key: &str, name: &str) -> Self {
        let mut place = Self::known(base_url, "");
        place.admin_key = admin_key.trim().to_owned();
        place.agent_key = place.new_key("agent", name).await;
        place.read_key = place.new_key("read", name).await;
        place
    }

    /// One of which an agent key is all that is known.
    #[must_use]
    pub fn known(base_url: &str, agent_key: &str) -> Self {
        Self {
            base_url: base_url.trim_end_matches('/').to_owned(),
            agent_key: agent_key.to_owned(),
            read_key: String::new(),
            admin_key: String::new(),
            data: None,
            http: http(),
        }
    }

    /// Makes a key.
    pub async fn new_key(&self, kind: &str, name: &str) -> String {
        let body = json!({ "kind": kind, "name": name }).to_string();
        let (status, answer) = self.ask(Method::POST, "/api/v1/keys", &[], &self.admin_key, body).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        answer["data"]["key"].as_str().expect("a key").to_owned()
    }

    /// One request; an error where nothing answers.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, &str)],
        key: &str,
        body: impl Into<reqwest::Body>,
    ) -> Result<(u16, Value), reqwest::Error> {
        let mut url = Url::parse(&format!("{}{path}", self.base_url)).expect("an address");
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        let answer = self.http.request(method, url).bearer_auth(key).body(body).send().await?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await?;
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_else(|_| text())))
    }

    /// `data` of a successful answer to a GET; `None` while there is none.
    pub async fn data(&self, path: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        let (status, mut answer) = self.ask(Method::GET, path, parameters, &self.read_key, "").await.ok()?;
        if status >= 500 {
            return None;
        }
        assert_eq!(status, 200, "{path} {parameters:?}: {answer}");
        Some(answer["data"].take())
    }

    /// An instant query: a vector's or a matrix's series.
    pub async fn query(&self, expr: &str) -> Option<Vec<Found>> {
        let data = self.data("/api/v1/query", &[("query", expr)]).await?;
        Some(data["result"].as_array()?.iter().map(found).collect())
    }

    /// The value of a query that finds one series.
    pub async fn number(&self, expr: &str) -> Option<f64> {
        let series = self.query(expr).await?;
        assert!(series.len() <= 1, "{expr}: {series:?}");
        Some(series.first()?.points.first()?.1)
    }

    /// How many samples of a source can be read, without `up`, which Daywatch makes under the same label.
    pub async fn readable(&self, source: &str) -> Option<u64> {
        let series = self.query(&format!("{{source=\"{source}\",__name__!=\"up\"}}[6h]")).await?;
        Some(series.iter().map(|series| series.points.len() as u64).sum())
    }

    /// Pushes Graphite lines; the status and the answer.
    pub async fn push(&self, lines: String) -> Result<(u16, Value), reqwest::Error> {
        self.ask(Method::POST, "/graphite", &[], &self.agent_key, lines).await
    }

    /// Stores a configuration document; the status and the answer.
    pub async fn put(&self, kind: &str, name: &str, text: &str) -> (u16, Value) {
        let path = format!("/api/v1/config/{kind}/{name}");
        self.ask(Method::PUT, &path, &[], &self.admin_key, text.to_owned()).await.expect("an answer")
    }

    /// The text of a configuration document, where there is one.
    pub async fn document(&self, kind: &str, name: &str) -> Option<String> {
        let path = format!("/api/v1/config/{kind}/{name}");
        let (status, answer) = self.ask(Method::GET, &path, &[], &self.admin_key, "").await.expect("an answer");
        assert!(matches!(status, 200 | 404), "{answer}");
        answer.as_str().filter(|_| status == 200).map(str::to_owned)
    }

    /// Removes a configuration document.
    pub async fn remove(&self, kind: &str, name: &str) {
        let path = format!("/api/v1/config/{kind}/{name}");
        let (status, answer) = self.ask(Method::DELETE, &path, &[], &self.admin_key, "").await.expect("an answer");
        assert!(matches!(status, 200 | 404), "{answer}");
    }

    /// One source, as `/api/v1/sources` shows it.
    pub async fn source(&self, name: &str) -> Option<Value> {
        let all = self.data("/api/v1/sources", &[]).await?;
        all.as_array()?.iter().find(|source| source["name"] == name).cloned()
    }

    /// The ledger of one source.
    pub async fn ledger(&self, name: &str) -> Option<Ledger> {
        Some(Ledger::of(&self.source(name).await?["counters"]))
    }

    /// One check, as `/api/v1/checks` shows it.
    pub async fn check(&self, source: &str, check: &str) -> Option<Value> {
        let all = self.data("/api/v1/checks", &[]).await?;
        all.as_array()?.iter().find(|one| one["source"] == source && one["check"] == check).cloned()
    }

    /// Where websockets are opened.
    pub async fn websocket_url(&self) -> Option<String> {
        let (_, answer) = self.ask(Method::GET, "/api/v1/endpoints", &[], &self.agent_key, "").await.ok()?;
        Some(answer["websocket"].as_str()?.to_owned())
    }
}

fn found(series: &Value) -> Found {
    let labels = series["metric"].as_object().into_iter().flatten();
    let labels = labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    let points = match series["values"].as_array() {
        Some(values) => values.iter().map(point).collect(),
        None => vec![point(&series["value"])],
    };
    Found { labels, points }
}

fn point(point: &Value) -> (i64, f64) {
    let ms = (point[0].as_f64().expect("a time") * 1_000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "rounded, and far below 2^53")]
    let ms = ms as i64;
    (ms, point[1].as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("a value: {point}")))
}

/// A source's counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Came into being.
    pub generated: u64,
    /// Are in the store.
    pub stored: u64,
    /// Lost to another one of the same identity.
    pub superseded: u64,
    /// Are still with the source.
    pub buffered: u64,
    /// Fell out of its full buffer.
    pub evicted: u64,
    /// Were acknowledged and are not known.
    pub missing: u64,
    /// Were refused, by reason.
    pub rejected: BTreeMap<String, u64>,
}

impl Ledger {
    fn of(counters: &Value) -> Self {
        let number = |name: &str| counters[name].as_u64().unwrap_or_else(|| panic!("{name} in {counters}"));
        let rejected = counters["rejected"].as_object().into_iter().flatten();
        Self {
            generated: number("generated"),
            stored: number("stored"),
            superseded: number("superseded"),
            buffered: number("buffered"),
            evicted: number("evicted"),
            missing: number("missing"),
            rejected: rejected.map(|(reason, count)| (reason.clone(), count.as_u64().unwrap_or(0))).collect(),
        }
    }

    /// The conservation law: nothing appears and nothing is gone.
    #[must_use]
    pub fn balances(&self) -> bool {
        let rejected: u64 = self.rejected.values().sum();
        self.missing == 0 && self.generated == self.stored + self.superseded + rejected + self.evicted + self.buffered
    }
}
