//! The configuration: one TOML file, and what the command line and the environment put over it.
//!
//! Relative paths in the file are relative to the file's folder. Unknown keys are refused, with
//! the nearest known one as a hint. Nothing here reads a file, the clock or the environment:
//! `main` hands everything in.

mod error;
mod listen;
mod period;
mod proxy;
mod scrape;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use series::SourceName;
use toml::Spanned;

pub use error::ConfigError;
pub use listen::{ALLOW_MAX, GRAPHITE_DEFAULT, Graphite, Listen, Network, Networks, Statsd, text as listen_text};
pub use period::{PERIOD_MAX, PERIOD_MIN, Period};
pub use proxy::Proxy;
pub use scrape::{BasicAuth, SAMPLE_LIMIT_DEFAULT, SAMPLE_LIMIT_MAX, SCRAPES_MAX, Scrape};

/// Bytes of the file.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;
/// Checks of one agent.
pub const CHECKS_MAX: usize = 500;
/// `[[log]]` sections of one agent.
pub const LOGS_MAX: usize = 100;
/// `[labels]` of one agent.
pub const LABELS_MAX: usize = 32;
/// The buffer's smallest size, bytes.
pub const BUFFER_BYTES_MIN: u64 = 256 << 10;
/// The buffer's greatest size, bytes.
pub const BUFFER_BYTES_MAX: u64 = 16 << 30;
/// The buffer's size where nothing is said, bytes.
pub const BUFFER_BYTES_DEFAULT: u64 = 52_428_800;
/// Attempts of one check.
pub const ATTEMPTS_MAX: u32 = 100;

/// The configuration, complete.
#[derive(Debug, Clone)]
pub struct Config {
    /// The server's HTTP URL, without a slash at the end.
    pub url: String,
    /// Where the key comes from.
    pub key: KeySource,
    /// Authorities in PEM form, trusted beside the host's own.
    pub ca_file: Option<PathBuf>,
    /// The way to the server, where it is not reached directly.
    pub proxy: Option<Proxy>,
    /// The agent's name: `source` and `instance` of what it collects.
    pub name: SourceName,
    /// Where the buffer, the status and the checkpoints live.
    pub data_dir: PathBuf,
    /// Added to everything.
    pub labels: BTreeMap<String, String>,
    /// Host metrics.
    pub host: Host,
    /// Checks.
    pub checks: Vec<Check>,
    /// Graphite listener.
    pub graphite: Graphite,
    /// StatsD listener.
    pub statsd: Statsd,
    /// The buffer.
    pub buffer: Buffer,
    /// Log files.
    pub logs: Vec<Log>,
    /// Targets to scrape.
    pub scrapes: Vec<Scrape>,
}

/// Where the key comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file that holds it. It is read again at each connection, so that a key can be changed.
    File(PathBuf),
    /// The environment.
    Given(String),
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Given(_) => f.write_str("Given(…)"),
        }
    }
}

/// What the command line and the environment say. The command line wins over the environment,
/// and both over the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--url` or `DAYWATCH_URL`.
    pub url: Option<String>,
    /// `--key-file`.
    pub key_file: Option<PathBuf>,
    /// `DAYWATCH_KEY`.
    pub key: Option<String>,
    /// `--data-dir` or `DAYWATCH_DATA_DIR`.
    pub data_dir: Option<PathBuf>,
    /// `HTTPS_PROXY`.
    pub https_proxy: Option<String>,
    /// `HTTP_PROXY`.
    pub http_proxy: Option<String>,
    /// `NO_PROXY`.
    pub no_proxy: Option<String>,
    /// The name where the file gives none.
    pub host_name: String,
}

/// `[host]`: metrics of this host.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// Whether they are collected.
    pub enabled: bool,
    /// How often.
    pub interval: Period,
}

impl Default for Host {
    fn default() -> Self {
        Self { enabled: true, interval: Period::seconds(10) }
    }
}

/// `[[check]]`: a Nagios plugin, or a check that needs none.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its name, unique in the file.
    pub name: Spanned<String>,
    /// The plugin and its arguments. No shell is between.
    #[serde(default)]
    pub command: Vec<String>,
    /// A check that needs no plugin, instead of a command.
    #[serde(default)]
    pub builtin: Option<Builtin>,
    /// What the plugin prints.
    #[serde(default)]
    pub format: CheckFormat,
    /// For built-in checks: the range that is fine, Nagios's notation; WARNING outside of it.
    #[serde(default)]
    pub warn: Option<String>,
    /// For built-in checks: CRITICAL outside of this range.
    #[serde(default)]
    pub crit: Option<String>,
    /// For the built-in check `disk`: one mount point; all of them where it is absent.
    #[serde(default)]
    pub path: Option<String>,
    /// How often it runs.
    #[serde(default = "Check::default_interval")]
    pub interval: Period,
    /// When a run is killed, with its whole process group.
    #[serde(default = "Check::default_timeout")]
    pub timeout: Period,
    /// A state is hard after this many runs.
    #[serde(default = "Check::default_attempts")]
    pub attempts: u32,
    /// How soon a run follows a soft state.
    #[serde(default = "Check::default_timeout")]
    pub retry_interval: Period,
    /// Added to the plugin's environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

impl Check {
    fn default_interval() -> Period {
        Period::seconds(60)
    }

    fn default_timeout() -> Period {
        Period::seconds(10)
    }

    fn default_attempts() -> u32 {
        1
    }
}

/// What a plugin prints. Its state is its exit code in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckFormat {
    /// Text and performance data.
    #[default]
    Nagios,
    /// Metrics in Prometheus's text format.
    Prometheus,
}

/// Checks that need no plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Builtin {
    /// Space and inodes in use, percent.
    Disk,
    /// Load over five minutes per core.
    Load,
    /// Memory in use, percent.
    Memory,
    /// Processes, count.
    Processes,
    /// Offset of the clock as the kernel knows it, seconds.
    Time,
    /// The agent's own buffer, percent of its size.
    Buffer,
}

/// `[buffer]`: what waits for the server, on disk.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Buffer {
    /// The oldest is evicted beyond this.
    pub max_bytes: u64,
    /// When it is made durable.
    pub fsync: Fsync,
    /// How often what was collected is put into it and sent, where the server wishes nothing.
    pub flush: Period,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { max_bytes: BUFFER_BYTES_DEFAULT, fsync: Fsync::Batch, flush: Period::seconds(60) }
    }
}

/// When the buffer is made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Fsync {
    /// Before a batch counts as taken.
    Batch,
    /// Once in a while; a batch is sent only afterwards.
    Every(Period),
}

impl TryFrom<String> for Fsync {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text == "batch" {
            return Ok(Self::Batch);
        }
        text.parse().map(Self::Every).map_err(|error| format!("{error}; or \"batch\""))
    }
}

/// `[[log]]`: log files to follow.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Paths, with `*`, `?`, `[…]` and `**`.
    pub paths: Vec<String>,
    /// The `job` label of its samples.
    #[serde(default = "Log::default_job")]
    pub job: String,
    /// How often its counters become samples.
    #[serde(default = "Log::default_interval")]
    pub interval: Period,
    /// Which records are sent, beside being counted.
    #[serde(default)]
    pub records: RecordsKept,
    /// Named counters: lines that match.
    #[serde(default)]
    pub count: Vec<LogCount>,
    /// A number taken from the lines.
    #[serde(default)]
    pub extract: Vec<LogExtract>,
}

impl Log {
    fn default_job() -> String {
        "log".to_owned()
    }

    fn default_interval() -> Period {
        Period::seconds(10)
    }
}

/// Which log records are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordsKept {
    /// None: only counters.
    None,
    /// Those of level `error` and `warn`, and exceptions.
    #[default]
    Errors,
    /// All.
    All,
}

/// `[[log.count]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogCount {
    /// The counter's metric name.
    pub name: String,
    /// A regular expression; each record that it matches counts.
    pub pattern: String,
}

/// `[[log.extract]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogExtract {
    /// The metric's name.
    pub name: String,
    /// A regular expression; its group `value`, or else its first, is the number.
    pub pattern: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    url: Option<Spanned<String>>,
    #[serde(default)]
    key_file: Option<PathBuf>,
    #[serde(default)]
    ca_file: Option<PathBuf>,
    #[serde(default)]
    proxy: Option<Spanned<String>>,
    #[serde(default)]
    name: Option<Spanned<String>>,
    #[serde(default)]
    data_dir: Option<PathBuf>,
    #[serde(default)]
    labels: BTreeMap<Spanned<String>, String>,
    #[serde(default)]
    host: Host,
    #[serde(default, rename = "check")]
    checks: Vec<Check>,
    #[serde(default)]
    graphite: Graphite,
    #[serde(default)]
    statsd: Statsd,
    #[serde(default)]
    buffer: Option<Spanned<Buffer>>,
    #[serde(default, rename = "log")]
    logs: Vec<Log>,
    #[serde(default, rename = "scrape")]
    scrapes: Vec<Scrape>,
}

impl Config {
    /// Reads `text`, the file that stands at `path`, and puts `overrides` over it.
    pub fn parse(path: &Path, text: &str, overrides: Overrides) -> Result<Self, ConfigError> {
        let place = error::Place { path, text };
        if text.len() > CONFIG_BYTES_MAX {
            return Err(place.whole(format!("has {} bytes, at most {CONFIG_BYTES_MAX} are allowed", text.len())));
        }
        let file: File = toml::from_str(text).map_err(|error| place.toml(&error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        check_checks(&place, &file.checks)?;
        check_rest(&place, &file)?;
        listen::check(&place, &file.graphite, &file.statsd)?;
        scrape::check(&place, &file.scrapes)?;

        let given_proxy = file.proxy.as_ref().map(|proxy| proxy.get_ref().as_str());
        let url_at = file.url.as_ref().map(|url| url.span());
        let url = overrides
            .url
            .clone()
            .or(file.url.map(Spanned::into_inner))
            .ok_or_else(|| place.whole("no `url`: set it in the file, by --url or by DAYWATCH_URL".to_owned()))?;
        let url = url.trim_end_matches('/').to_owned();
        if !["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme)) {
            let text = format!("`url` must start with http:// or https:// and name a host, not {url:?}");
            return Err(url_at.map_or_else(|| place.whole(text.clone()), |span| place.at(span, text.clone())));
        }
        let proxy = Proxy::choose(given_proxy, &overrides, &url).map_err(|text| match &file.proxy {
            Some(proxy) => place.at(proxy.span(), text),
            None => place.whole(format!("HTTPS_PROXY or HTTP_PROXY of the environment: {text}")),
        })?;
        let key = match (overrides.key_file, overrides.key, file.key_file) {
            (Some(path), _, _) => KeySource::File(path),
            (None, Some(key), _) => KeySource::Given(key.trim().to_owned()),
            (None, None, Some(path)) => KeySource::File(folder.join(path)),
            (None, None, None) => {
                return Err(place.whole("no key: set `key_file` in the file, --key-file or DAYWATCH_KEY".to_owned()));
            }
        };
        let name_at = file.name.as_ref().map(Spanned::span);
        let name = file.name.map_or(overrides.host_name, Spanned::into_inner);
        let name = SourceName::new(&name).map_err(|error| match name_at {
            Some(span) => place.at(span, error.to_string()),
            None => place.whole(format!("the host name cannot be the agent's name, set `name`: {error}")),
        })?;
        let data_dir = overrides.data_dir.unwrap_or_else(|| data_dir_of(path, file.data_dir));
        Ok(Self {
            url,
            key,
            ca_file: file.ca_file.map(|path| folder.join(path)),
            proxy,
            name,
            data_dir,
            labels: file.labels.into_iter().map(|(name, value)| (name.into_inner(), value)).collect(),
            host: file.host,
            checks: file.checks,
            graphite: file.graphite,
            statsd: file.statsd,
            buffer: file.buffer.map(Spanned::into_inner).unwrap_or_default(),
            logs: file.logs,
            scrapes: file.scrapes.into_iter().map(|scrape| scrape.in_folder(folder)).collect(),
        })
    }
}

/// Only the data folder, as [`Config::parse`] finds it: `status` needs neither key nor URL.
pub fn data_dir(path: &Path, text: &str, overridden: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    if let Some(dir) = overridden {
        return Ok(dir);
    }
    let file: File = toml::from_str(text).map_err(|error| error::Place { path, text }.toml(&error))?;
    Ok(data_dir_of(path, file.data_dir))
}

fn data_dir_of(path: &Path, configured: Option<PathBuf>) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new(""));
    configured.map_or_else(|| PathBuf::from("/var/lib/daywatch"), |dir| folder.join(dir))
}

fn check_checks(place: &error::Place<'_>, checks: &[Check]) -> Result<(), ConfigError> {
    if checks.len() > CHECKS_MAX {
        return Err(place.whole(format!("{} checks, at most {CHECKS_MAX} are allowed", checks.len())));
    }
    for (index, check) in checks.iter().enumerate() {
        let name = check.name.get_ref();
        let fail = |text: String| Err(place.at(check.name.span(), text));
        if name.is_empty() {
            return fail("a check's `name` is empty".to_owned());
        }
        if let Some(first) = checks[..index].iter().find(|other| other.name.get_ref() == name) {
            let line = place.line_column(first.name.span().start).0;
            return fail(format!("check {name:?} is already defined in line {line}"));
        }
        match (check.command.as_slice(), check.builtin) {
            ([], None) => return fail(format!("check {name:?} needs a `command` or a `builtin`")),
            ([_, ..], Some(_)) => return fail(format!("check {name:?} has both a `command` and a `builtin`")),
            ([], Some(_)) if check.format != CheckFormat::Nagios => {
                return fail(format!("check {name:?}: `format` is for checks with a `command`"));
            }
            _ => {}
        }
        if check.attempts == 0 || check.attempts > ATTEMPTS_MAX {
            return fail(format!("`attempts` of check {name:?} is {}, not 1 to {ATTEMPTS_MAX}", check.attempts));
        }
    }
    Ok(())
}

fn check_rest(place: &error::Place<'_>, file: &File) -> Result<(), ConfigError> {
    if file.logs.len() > LOGS_MAX {
        return Err(place.whole(format!("{} [[log]] sections, at most {LOGS_MAX} are allowed", file.logs.len())));
    }
    if file.labels.len() > LABELS_MAX {
        return Err(place.whole(format!("{} [labels], at most {LABELS_MAX} are allowed", file.labels.len())));
    }
    for (name, value) in &file.labels {
        series::Labels::from_pairs([(name.get_ref(), value)])
            .map_err(|error| place.at(name.span(), error.to_string()))?;
    }
    if let Some(buffer) = &file.buffer {
        let max_bytes = buffer.get_ref().max_bytes;
        if !(BUFFER_BYTES_MIN..=BUFFER_BYTES_MAX).contains(&max_bytes) {
            let text = format!("`max_bytes` is {max_bytes}, not {BUFFER_BYTES_MIN} to {BUFFER_BYTES_MAX}");
            return Err(place.at(buffer.span(), text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
