//! `[[scrape]]`: a target that speaks Prometheus's text format or OpenMetrics.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hyper::Uri;
use serde::Deserialize;
use toml::Spanned;

use super::error::{ConfigError, Place};
use super::{LABELS_MAX, Period};
use crate::net::Address;

/// `[[scrape]]` sections of one agent.
pub const SCRAPES_MAX: usize = 100;
/// Samples of one scrape where nothing is said.
pub const SAMPLE_LIMIT_DEFAULT: usize = 20_000;
/// The greatest `sample_limit`.
pub const SAMPLE_LIMIT_MAX: usize = 200_000;
/// The path where the URL has none, as in Prometheus.
const PATH_DEFAULT: &str = "/metrics";

/// One target.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scrape {
    /// Where it is; without a path, `/metrics`.
    pub url: Spanned<String>,
    /// The `job` label of its samples.
    #[serde(default = "Scrape::default_job", alias = "name")]
    pub job: String,
    /// How often.
    #[serde(default = "Scrape::default_interval")]
    pub interval: Period,
    /// When a scrape has failed; at most the interval, which is also the default up to 10 s.
    #[serde(default)]
    pub timeout: Option<Spanned<Period>>,
    /// Added to its samples; what the target says itself wins.
    #[serde(default)]
    pub labels: BTreeMap<Spanned<String>, String>,
    /// A scrape with more samples has failed.
    #[serde(default)]
    pub sample_limit: Option<Spanned<usize>>,
    /// Name and password to send.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// A file that holds a bearer token; read at each scrape.
    #[serde(default)]
    pub bearer_token_file: Option<Spanned<PathBuf>>,
}

/// `basic_auth = { username = "…", password_file = "…" }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The name.
    pub username: String,
    /// A file that holds the password; read at each scrape.
    pub password_file: PathBuf,
}

impl Scrape {
    fn default_job() -> String {
        "scrape".to_owned()
    }

    fn default_interval() -> Period {
        Period::seconds(15)
    }

    /// When a scrape has failed.
    #[must_use]
    pub fn timeout(&self) -> Period {
        self.timeout.as_ref().map_or_else(|| self.interval.min(Period::seconds(10)), |timeout| *timeout.get_ref())
    }

    /// How many samples it may bring.
    #[must_use]
    pub fn sample_limit(&self) -> usize {
        self.sample_limit.as_ref().map_or(SAMPLE_LIMIT_DEFAULT, |limit| *limit.get_ref())
    }

    /// The URL with its path, or what is wrong with it.
    pub fn uri(&self) -> Result<Uri, String> {
        let text = self.url.get_ref();
        let uri: Uri = text.parse().map_err(|_| format!("{text:?} is not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(format!("`url` must start with http:// or https:// and name a host, not {text:?}"));
        }
        Address::of(&uri).map_err(|error| error.to_string())?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("`url` holds a name or a password: set `basic_auth` instead".to_owned());
        }
        let bare = !text.splitn(4, '/').skip(3).any(|path| !path.is_empty()) && uri.query().is_none();
        if !bare {
            return Ok(uri);
        }
        let mut parts = uri.into_parts();
        parts.path_and_query = Some(hyper::http::uri::PathAndQuery::from_static(PATH_DEFAULT));
        Uri::from_parts(parts).map_err(|error| format!("{text:?}: {error}"))
    }

    /// Paths that are relative to the configuration's folder, made whole.
    pub(super) fn in_folder(mut self, folder: &Path) -> Self {
        if let Some(auth) = &mut self.basic_auth {
            auth.password_file = folder.join(&auth.password_file);
        }
        if let Some(file) = &mut self.bearer_token_file {
            let path = folder.join(file.get_ref());
            *file.get_mut() = path;
        }
        self
    }
}

/// Holds the sections to their rules.
pub(super) fn check(place: &Place<'_>, scrapes: &[Scrape]) -> Result<(), ConfigError> {
    if scrapes.len() > SCRAPES_MAX {
        let text = format!("{} [[scrape]] sections, at most {SCRAPES_MAX} are allowed", scrapes.len());
        return Err(place.whole(text));
    }
    for (index, scrape) in scrapes.iter().enumerate() {
        let fail = |text: String| Err(place.at(scrape.url.span(), text));
        if let Err(text) = scrape.uri() {
            return fail(text);
        }
        let same = |other: &&Scrape| other.url == scrape.url && other.job == scrape.job;
        if let Some(first) = scrapes[..index].iter().find(same) {
            let line = place.line_column(first.url.span().start).0;
            return fail(format!("this URL is already scraped for job {:?}, see line {line}", scrape.job));
        }
        if scrape.labels.len() > LABELS_MAX {
            return fail(format!("{} labels, at most {LABELS_MAX} are allowed", scrape.labels.len()));
        }
        let own = scrape.labels.iter().map(|(name, value)| (name.span(), name.get_ref().as_str(), value.as_str()));
        for (span, name, value) in own.chain([(scrape.url.span(), "job", scrape.job.as_str())]) {
            let good = series::Labels::from_pairs([(name, value)]);
            good.map_err(|error| place.at(span.clone(), error.to_string()))?;
            if name == series::METRIC_NAME {
                return Err(place.at(span, format!("`{name}` is the metric's name and cannot be set")));
            }
        }
        if let Some(timeout) = scrape.timeout.as_ref().filter(|timeout| *timeout.get_ref() > scrape.interval) {
            let text = format!("`timeout` is {}, longer than the interval of {}", timeout.get_ref(), scrape.interval);
            return Err(place.at(timeout.span(), text));
        }
        if let Some(limit) = &scrape.sample_limit
            && !(1..=SAMPLE_LIMIT_MAX).contains(limit.get_ref())
        {
            let text = format!("`sample_limit` is {}, not 1 to {SAMPLE_LIMIT_MAX}", limit.get_ref());
            return Err(place.at(limit.span(), text));
        }
        if let (Some(_), Some(file)) = (&scrape.basic_auth, &scrape.bearer_token_file) {
            return Err(place.at(file.span(), "there is both a `basic_auth` and a `bearer_token_file`".to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::tests::parse;

    fn at(text: &str) -> String {
        parse(&format!("url = \"http://h:1\"\nkey_file = \"k\"\n[[scrape]]\n{text}")).unwrap_err().to_string()
    }

    #[test]
    fn urls() {
        let uri = |url: &str| {
            let text = format!("url = \"http://h:1\"\nkey_file = \"k\"\n[[scrape]]\nurl = \"{url}\"\n");
            parse(&text).unwrap().scrapes[0].uri().unwrap().to_string()
        };
        assert_eq!(uri("http://h:9100"), "http://h:9100/metrics");
        assert_eq!(uri("http://h:9100/"), "http://h:9100/metrics");
        assert_eq!(uri("https://h/a?b=c"), "https://h/a?b=c");
        assert_eq!(uri("http://h/?b=c"), "http://h/?b=c");
    }

    #[test]
    fn faults_name_their_place() {
        assert!(at("").contains("missing field `url`"));
        assert!(at("url = \"h:9100\"\n").contains("agent.toml:4:7: `url` must start with"));
        assert!(at("url = \"http://u:p@h:9100\"\n").contains("4:7: `url` holds a name"));
        assert!(at("url = \"http://h\"\ninterval = \"5s\"\ntimeout = \"6s\"\n").contains("6:11: `timeout` is 6s"));
        assert!(at("url = \"http://h\"\nintervall = \"5s\"\n").contains("hint: did you mean `interval`?"));
        assert!(at("url = \"http://h\"\nsample_limit = 0\n").contains("5:16: `sample_limit` is 0"));
        assert!(at("url = \"http://h\"\nlabels = { __name__ = \"x\" }\n").contains("5:12: `__name__`"));
        assert!(
            at("url = \"http://h\"\n[[scrape]]\nurl = \"http://h\"\n").contains("6:7: this URL is already scraped")
        );
        let both =
            "url = \"http://h\"\nbearer_token_file = \"t\"\nbasic_auth = { username = \"u\", password_file = \"p\" }\n";
        assert!(at(both).contains("5:21: there is both"));
    }

    #[test]
    fn limits_at_the_limit_and_one_past_it() {
        let scrapes = |count: usize| {
            let all: String = (0..count).map(|n| format!("[[scrape]]\nurl = \"http://h/{n}\"\n")).collect();
            parse(&format!("url = \"http://h:1\"\nkey_file = \"k\"\n{all}"))
        };
        assert!(scrapes(super::SCRAPES_MAX).is_ok());
        assert!(scrapes(super::SCRAPES_MAX + 1).is_err());
        let limit = |samples: usize| {
            parse(&format!(
                "url = \"http://h:1\"\nkey_file = \"k\"\n[[scrape]]\nurl = \"http://h\"\nsample_limit = {samples}\n"
            ))
        };
        assert!(limit(super::SAMPLE_LIMIT_MAX).is_ok());
        assert!(limit(super::SAMPLE_LIMIT_MAX + 1).is_err());
    }
}
