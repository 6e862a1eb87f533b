//! One notification in all its forms: Alertmanager's webhook JSON (version "4") with what
//! PagerDuty's SNS endpoint needs, a mail, a text message, a subject.
//!
//! PagerDuty drops an SNS message silently unless its Subject starts with `ALARM: ` or `OK: ` and
//! the body's `NewStateValue` agrees, so both are made from one flag here.

use std::collections::BTreeMap;

use serde::Serialize;
use series::{Labels, Timestamp};

use crate::instance::{ALERT_NAME, External};
use crate::notify::{Alert, Group, group_key, source};
use crate::template::{cut_to, percent_encoded};

/// Bytes of all parts of a message together, as they travel (SNS: 256 KB).
pub const MESSAGE_BYTES_MAX: usize = 250_000;
/// Characters of a subject (SNS: fewer than 100, ASCII).
pub const SUBJECT_CHARS_MAX: usize = 99;
/// Characters of a text message.
pub const SMS_CHARS_MAX: usize = 140;
/// Bytes of an expression in a link, as it is encoded there. An alert must always find room in its
/// group, however long its rule's expression is.
pub const GENERATOR_EXPR_BYTES_MAX: usize = 8_000;
/// Bytes of one attribute's value.
const ATTRIBUTE_BYTES_MAX: usize = 256;
/// Alerts that a mail shows in full.
const MAIL_ALERTS_MAX: usize = 20;
/// Before further lines of a value in a mail.
const MAIL_INDENT: &str = "\n             ";
/// Alertmanager's way to say that an alert has not ended.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// A notification, rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// ASCII, at most [`SUBJECT_CHARS_MAX`] characters.
    pub subject: String,
    /// `severity`, `env`, `rule`, `status`.
    pub attributes: Vec<(String, String)>,
    /// Alertmanager's webhook JSON.
    pub default: String,
    /// Plain text for mail.
    pub email: String,
    /// At most [`SMS_CHARS_MAX`] characters.
    pub sms: String,
}

impl Rendered {
    /// The bytes of all parts, as `MessageStructure: json` sends them: each part is once more
    /// quoted. An attribute counts with its name and its type.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let attribute = |(name, value): &(String, String)| name.len() + "String".len() + value.len();
        let attributes: usize = self.attributes.iter().map(attribute).sum();
        let parts: usize = [&self.default, &self.email, &self.sms].into_iter().map(|text| quoted_bytes(text)).sum();
        r#"{"default":,"email":,"sms":}"#.len() + parts + self.subject.len() + attributes
    }
}

/// What a text takes in JSON.
pub(crate) fn quoted_bytes(text: &str) -> usize {
    let bytes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    });
    2 + bytes.sum::<usize>()
}

/// Renders what a group has to tell now.
#[must_use]
pub fn render(group: &Group, external: &External) -> Rendered {
    let alerts = group.next_alerts();
    let mut shown = alerts.len();
    loop {
        let rendered = render_first(group, &alerts, shown, external);
        if rendered.bytes() <= MESSAGE_BYTES_MAX || shown == 0 {
            return rendered;
        }
        // Proportionally fewer, and at least one fewer. Without any the rest is small.
        let fitting = shown.saturating_mul(MESSAGE_BYTES_MAX) / rendered.bytes().max(1);
        shown = fitting.min(shown - 1);
    }
}

#[derive(Serialize)]
struct WebhookJson<'a> {
    version: &'static str,
    #[serde(rename = "groupKey")]
    group_key: String,
    #[serde(rename = "truncatedAlerts")]
    truncated_alerts: u64,
    status: &'static str,
    receiver: &'a str,
    #[serde(rename = "groupLabels")]
    group_labels: &'a BTreeMap<String, String>,
    #[serde(rename = "commonLabels")]
    common_labels: BTreeMap<&'a str, &'a str>,
    #[serde(rename = "commonAnnotations")]
    common_annotations: BTreeMap<&'a str, &'a str>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    alerts: Vec<AlertJson<'a>>,
    transition_id: String,
    #[serde(rename = "AlarmName")]
    alarm_name: String,
    #[serde(rename = "NewStateValue")]
    new_state_value: &'static str,
    #[serde(rename = "NewStateReason")]
    new_state_reason: String,
    #[serde(rename = "StateChangeTime")]
    state_change_time: String,
}

#[derive(Serialize)]
struct AlertJson<'a> {
    status: &'static str,
    labels: BTreeMap<&'a str, &'a str>,
    annotations: &'a BTreeMap<String, String>,
    #[serde(rename = "startsAt")]
    starts_at: String,
    #[serde(rename = "endsAt")]
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: String,
}

fn render_first(group: &Group, all: &[&Alert], shown: usize, external: &External) -> Rendered {
    let alerts = &all[..shown.min(all.len())];
    let cut = (all.len() - alerts.len()) as u64 + group.dropped;
    let fires = all.iter().any(|alert| alert.fires());
    let name = alarm_name(group, all);
    let shown_name = printable(&name);
    // Where not one alert found room, what is common to them finds none either.
    let shared = if alerts.is_empty() { &[] } else { all };
    let reason = all.first().map(|first| reason(first)).unwrap_or_default();
    let more = if all.len() > 1 { format!(" (and {} more)", all.len() - 1) } else { String::new() };
    let changed_at = all.iter().map(|alert| alert.changed_at()).max().unwrap_or_default();
    let common_labels = common(all.iter().map(|alert| alert.labels.iter().collect()));
    let attribute = |label: &str| (*common_labels.get(label).unwrap_or(&"none")).to_owned();
    // Whoever subscribed to pages only must not miss one because it came with something milder.
    let pages = all.iter().any(|alert| alert.labels.get("severity") == Some("page"));
    let attributes = [
        ("severity", if pages { "page".to_owned() } else { attribute("severity") }),
        ("env", attribute("env")),
        ("rule", attribute(ALERT_NAME)),
        ("status", status(fires).to_owned()),
    ];
    let json = WebhookJson {
        version: "4",
        group_key: group_key(&group.labels),
        truncated_alerts: cut,
        status: status(fires),
        receiver: &group.receiver,
        group_labels: &group.labels,
        common_annotations: common(
            shared.iter().map(|a| a.annotations.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()),
        ),
        external_url: &external.url,
        alerts: alerts.iter().map(|alert| alert_json(alert)).collect(),
        transition_id: group.next_transition_id(),
        alarm_name: name.clone(),
        new_state_value: if fires { "ALARM" } else { "OK" },
        new_state_reason: format!("{reason}{more}"),
        state_change_time: cloudwatch_time(changed_at),
        common_labels: if shared.is_empty() { BTreeMap::new() } else { common_labels.clone() },
    };
    Rendered {
        subject: subject(fires, &name),
        attributes: attributes
            .map(|(name, value)| (name.to_owned(), cut_bytes(printable(&value), ATTRIBUTE_BYTES_MAX)))
            .to_vec(),
        // Maps with text keys and numbers only: this cannot fail, and an empty body would say so.
        default: serde_json::to_string(&json).unwrap_or_default(),
        email: email(alerts, fires, &shown_name, cut, external),
        sms: sms(fires, &shown_name, &reason, changed_at),
    }
}

fn alert_json(alert: &Alert) -> AlertJson<'_> {
    AlertJson {
        status: status(alert.fires()),
        labels: alert.labels.iter().collect(),
        annotations: &alert.annotations,
        starts_at: rfc3339(alert.starts_at),
        ends_at: alert.ends_at.map_or_else(|| NO_TIME.to_owned(), rfc3339),
        generator_url: &alert.generator_url,
        fingerprint: alert.fingerprint(),
    }
}

fn status(fires: bool) -> &'static str {
    if fires { "firing" } else { "resolved" }
}

/// Alert name and source; what PagerDuty joins an alarm and its end by.
fn alarm_name(group: &Group, alerts: &[&Alert]) -> String {
    let of_alert = |name: &str| alerts.first().and_then(|alert| alert.labels.get(name)).map(str::to_owned);
    let name =
        group.labels.get(ALERT_NAME).cloned().or_else(|| of_alert(ALERT_NAME)).unwrap_or_else(|| "alert".to_owned());
    let from = group.labels.get("instance").or_else(|| group.labels.get("source")).cloned();
    match from.or_else(|| alerts.first().and_then(|alert| source(&alert.labels)).map(str::to_owned)) {
        Some(from) => format!("{name} {from}"),
        None => name,
    }
}

fn subject(fires: bool, name: &str) -> String {
    let prefix = if fires { "ALARM: " } else { "OK: " };
    let ascii = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let text: String = prefix.chars().chain(name.chars().map(ascii)).take(SUBJECT_CHARS_MAX).collect();
    text.trim_end().to_owned()
}

/// One line: what, where it is known, value and bound.
fn reason(alert: &Alert) -> String {
    let what = alert.annotations.get("summary").map(|text| one_line(text)).unwrap_or_default();
    let value = promql::format_value(alert.value);
    let last = if alert.fires() { "" } else { "last " };
    let measured = format!("{last}value {value}, alerts when {}", one_line(&alert.bound));
    let said = if alert.note.is_empty() { String::new() } else { format!("; {}", one_line(&alert.note)) };
    let ended = if alert.fires() { "" } else { "no longer: " };
    let what = if what.is_empty() { String::new() } else { format!("{what} - ") };
    cut_bytes(format!("{ended}{what}{measured}{said}"), 1_000)
}

fn email(alerts: &[&Alert], fires: bool, name: &str, cut: u64, external: &External) -> String {
    let mut text = format!("{}: {name}\n", if fires { "ALARM" } else { "OK" });
    for alert in alerts.iter().take(MAIL_ALERTS_MAX) {
        text.push('\n');
        mail_part(&mut text, alert, external);
    }
    let hidden = cut + alerts.len().saturating_sub(MAIL_ALERTS_MAX) as u64;
    if hidden > 0 {
        text.push_str(&format!("\n{hidden} more alert(s) are on the page: {}\n", external.url));
    }
    text
}

fn mail_part(text: &mut String, alert: &Alert, external: &External) {
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let lines: Vec<String> = value.trim().lines().map(printable).collect();
            let value = lines.join(MAIL_INDENT);
            text.push_str(&format!("{name:<12} {value}\n"));
        }
    };
    let annotation = |name: &str| alert.annotations.get(name).map(String::as_str).unwrap_or_default();
    let name = alert.labels.get(ALERT_NAME).unwrap_or_default();
    line("What:", if annotation("summary").is_empty() { name } else { annotation("summary") });
    line("", annotation("description"));
    line("Where:", &where_of(&alert.labels));
    let last = if alert.fires() { "" } else { "last " };
    line("Value:", &format!("{last}{} (alerts when {})", promql::format_value(alert.value), alert.bound));
    line("Check said:", &alert.note);
    line("Since:", &rfc3339(alert.active_at));
    if let Some(ended) = alert.ends_at {
        line("Ended:", &rfc3339(ended));
    }
    let runbook = ["runbook_url", "runbook"].into_iter().map(annotation).find(|text| !text.is_empty());
    line("Runbook:", runbook.unwrap_or_default());
    let page = format!("{}/#/alerts/{}", external.url, alert.fingerprint());
    let at = alert.changed_at().0;
    line("Page:", &format!("{page}?at={at}"));
    if alert.fires() {
        line("Acknowledge:", &format!("{page}?do=acknowledge"));
        line("Silence:", &format!("{page}?do=silence"));
    }
}

/// The labels that tell where, the alert's name and severity left out.
fn where_of(labels: &Labels) -> String {
    let told: Vec<String> = labels
        .iter()
        .filter(|(name, _)| !matches!(*name, ALERT_NAME | "severity"))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    told.join(", ")
}

fn sms(fires: bool, name: &str, reason: &str, at: Timestamp) -> String {
    let state = if fires { "ALARM" } else { "OK" };
    // Hours and minutes, so that an old text message is seen to be old.
    let at = rfc3339(at);
    let minute = at.get(11..16).unwrap_or_default();
    printable(&format!("{state} {minute}Z {name}: {reason}")).chars().take(SMS_CHARS_MAX).collect()
}

/// What all of them have, with the same value.
fn common<'a>(all: impl Iterator<Item = BTreeMap<&'a str, &'a str>>) -> BTreeMap<&'a str, &'a str> {
    all.reduce(|mut left, right| {
        left.retain(|name, value| right.get(name) == Some(value));
        left
    })
    .unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One line without control characters, which mail programs, phones and SNS's attributes refuse.
fn printable(text: &str) -> String {
    let seen = |c: char| if c.is_control() && !c.is_whitespace() { '?' } else { c };
    one_line(&text.chars().map(seen).collect::<String>())
}

fn cut_bytes(mut text: String, bytes: usize) -> String {
    cut_to(&mut text, bytes);
    text
}

/// `2026-11-22T12:00:00.500Z`.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| NO_TIME.to_owned(), |at| format!("{at:.3}"))
}

/// As CloudWatch writes it: `2026-11-22T12:00:00.500+0000`.
fn cloudwatch_time(at: Timestamp) -> String {
    rfc3339(at).replace('Z', "+0000")
}

/// The expression on the page, as Prometheus links it; one too long for a link is left out.
#[must_use]
pub fn generator_url(external: &External, expr: &str) -> String {
    match percent_encoded(expr) {
        expr if expr.len() <= GENERATOR_EXPR_BYTES_MAX => format!("{}/graph?g0.expr={expr}&g0.tab=1", external.url),
        _ => format!("{}/graph", external.url),
    }
}

/// What a mail's "value … (alerts when …)" ends with: the comparison where the rule is one.
#[must_use]
pub fn bound(rule: &crate::rules::Rule) -> String {
    let Some(direct) = &rule.direct else { return cut_bytes(one_line(rule.expr.text()), 200) };
    let op = match direct.op {
        promql::Comparison::Equal => "==",
        promql::Comparison::NotEqual => "!=",
        promql::Comparison::Greater => ">",
        promql::Comparison::GreaterOrEqual => ">=",
        promql::Comparison::Less => "<",
        promql::Comparison::LessOrEqual => "<=",
    };
    format!("{op} {}", promql::format_value(direct.bound))
}

#[cfg(test)]
mod tests;
