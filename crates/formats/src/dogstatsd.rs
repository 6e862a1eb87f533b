//! What DogStatsD adds beside metrics: events, `_e{5,4}:title|text|…`, and service checks,
//! `_sc|name|status|…|m:message`. Unknown fields are passed over. The metrics are in `statsd.rs`.
//!
//! Source: <https://docs.datadoghq.com/developers/dogstatsd/datagram_shell/>.

use std::borrow::Cow;

use series::Timestamp;

use crate::nagios::State;
use crate::statsd::{At, Fault};

/// The greatest time that a field may name, seconds: the year 5138.
const SECONDS_MAX: i64 = 99_999_999_999;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its title.
    pub title: Cow<'a, str>,
    /// Its text.
    pub text: Cow<'a, str>,
    /// When it happened, where it says.
    pub at: Option<Timestamp>,
    /// The host that it names.
    pub host: &'a str,
    /// `error`, `warning`, `info` or `success`; empty where it does not say.
    pub alert: &'a str,
    /// `key:value,tag`, as written.
    pub tags: &'a str,
}

/// A service check: a passive check result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCheck<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its state.
    pub state: State,
    /// When, where it says.
    pub at: Option<Timestamp>,
    /// The host that it names.
    pub host: &'a str,
    /// `key:value,tag`, as written.
    pub tags: &'a str,
    /// What it says.
    pub message: Cow<'a, str>,
}

/// Reads a line that begins with `_e{`.
pub(crate) fn event(line: &str) -> At<Event<'_>> {
    let malformed = |at| (Fault::EventMalformed, at);
    let (lengths, rest) = line[3..].split_once("}:").ok_or(malformed(3))?;
    let start = line.len() - rest.len();
    let (title_bytes, text_bytes) = lengths.split_once(',').ok_or(malformed(3))?;
    let length = |text: &str| text.trim().parse::<usize>().map_err(|_| malformed(3));
    let (title_bytes, text_bytes) = (length(title_bytes)?, length(text_bytes)?);
    let wrong = (Fault::EventLength, start);
    let (title, rest) = rest.split_at_checked(title_bytes).ok_or(wrong)?;
    let rest = rest.strip_prefix('|').ok_or(wrong)?;
    let (text, rest) = rest.split_at_checked(text_bytes).ok_or(wrong)?;
    if title.is_empty() || !(rest.is_empty() || rest.starts_with('|')) {
        return Err(wrong);
    }
    let mut event = Event { title: lines(title), text: lines(text), at: None, host: "", alert: "", tags: "" };
    for field in rest.split('|').skip(1) {
        match split(field) {
            ("d", seconds) => event.at = time(seconds),
            ("h", host) => event.host = host,
            ("t", alert) => event.alert = alert,
            ("#", tags) => event.tags = tags,
            _ => {}
        }
    }
    Ok(event)
}

/// Reads a line that begins with `_sc|`.
pub(crate) fn service_check(line: &str) -> At<ServiceCheck<'_>> {
    let (name, rest) = line[4..].split_once('|').ok_or((Fault::ServiceCheckMalformed, line.len()))?;
    if name.is_empty() {
        return Err((Fault::ServiceCheckMalformed, 4));
    }
    let (status, mut rest) = rest.split_once('|').unwrap_or((rest, ""));
    let state = match status {
        "0" => State::Ok,
        "1" => State::Warning,
        "2" => State::Critical,
        "3" => State::Unknown,
        _ => return Err((Fault::StatusInvalid, 4 + name.len() + 1)),
    };
    let mut check = ServiceCheck { name, state, at: None, host: "", tags: "", message: Cow::Borrowed("") };
    while !rest.is_empty() {
        // The message is the last field, whatever it holds.
        if let Some(message) = rest.strip_prefix("m:") {
            check.message = lines(message);
            break;
        }
        let (field, after) = rest.split_once('|').unwrap_or((rest, ""));
        match split(field) {
            ("d", seconds) => check.at = time(seconds),
            ("h", host) => check.host = host,
            ("#", tags) => check.tags = tags,
            _ => {}
        }
        rest = after;
    }
    Ok(check)
}

/// A field's key and the rest of it; `#` is the key of tags.
fn split(field: &str) -> (&str, &str) {
    match field.strip_prefix('#') {
        Some(tags) => ("#", tags),
        None => field.split_once(':').unwrap_or(("", field)),
    }
}

fn time(seconds: &str) -> Option<Timestamp> {
    let seconds: i64 = seconds.parse().ok()?;
    (0..=SECONDS_MAX).contains(&seconds).then(|| Timestamp(seconds * 1_000))
}

/// `\n` in two characters is a line feed.
fn lines(text: &str) -> Cow<'_, str> {
    if text.contains("\\n") { Cow::Owned(text.replace("\\n", "\n")) } else { Cow::Borrowed(text) }
}
