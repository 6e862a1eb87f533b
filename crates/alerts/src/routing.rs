//! Where notifications go: a file in Alertmanager's format, as far as it is supported, and the
//! rule that sorts alerts between the pager's topic and the mail's.
//!
//! Supported now: `route.receiver`, `route.group_wait`, and receivers with `webhook_configs[]` of
//! `url` and `send_resolved`. Every other field is refused by its name: a routing file that is
//! half understood would leave somebody asleep.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use series::Labels;

use crate::fields::Fields;
use crate::problem::{Problem, Problems};
use crate::yaml::{self, Node};

/// Receivers of one file.
pub const RECEIVERS_MAX: usize = 100;
/// Webhooks of one receiver: what is owed to all of them is written at once.
pub const WEBHOOKS_MAX: usize = 5;
/// How long a new group waits for further alerts, ms (Alertmanager's default).
pub const GROUP_WAIT_MS_DEFAULT: i64 = 30_000;
/// The longest such wait, ms.
pub const GROUP_WAIT_MS_MAX: i64 = 10 * 60_000;
/// Bytes of a webhook's address.
const URL_BYTES_MAX: usize = 2_048;

/// A routing file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// Who gets everything: a name in `receivers`.
    pub receiver: String,
    /// How long changes are collected before they are sent, ms.
    pub group_wait_ms: i64,
    /// All receivers.
    pub receivers: Vec<Receiver>,
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// Its webhooks; each gets every notification.
    pub webhooks: Vec<Webhook>,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where it is posted.
    pub url: String,
    /// Whether it is told that alerts ended.
    pub send_resolved: bool,
}

/// One way out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The topic that wakes people.
    Pager,
    /// The topic that tells people.
    Mail,
    /// A webhook.
    Webhook {
        /// Where.
        url: String,
        /// Whether it is told that alerts ended.
        send_resolved: bool,
    },
}

impl Routing {
    /// The ways out for every alert: the chosen receiver's webhooks.
    #[must_use]
    pub fn channels(&self) -> Vec<Channel> {
        self.channels_of(&self.receiver)
    }

    /// The webhooks of the receiver of this name.
    #[must_use]
    pub fn channels_of(&self, name: &str) -> Vec<Channel> {
        let receiver = self.receivers.iter().find(|receiver| receiver.name == name);
        let webhooks = receiver.map(|receiver| receiver.webhooks.as_slice()).unwrap_or_default();
        webhooks.iter().map(|w| Channel::Webhook { url: w.url.clone(), send_resolved: w.send_resolved }).collect()
    }
}

/// The topics for an alert: `severity: page` goes to both, everything else to mail only, and
/// `env: staging` never to the pager.
#[must_use]
pub fn topics(labels: &Labels) -> Vec<Channel> {
    let pages = labels.get("severity") == Some("page") && labels.get("env") != Some("staging");
    if pages { vec![Channel::Pager, Channel::Mail] } else { vec![Channel::Mail] }
}

fn refused(name: &str) -> String {
    format!("the field {name:?} is not supported yet")
}

/// Reads a routing file.
pub fn parse(name: &str, text: &str) -> Result<Routing, Vec<Problem>> {
    let mut problems = Problems::new(name, text);
    let routing = match yaml::parse(&mut problems) {
        Some(root) => read(&root, &mut problems),
        None => {
            problems
                .add(crate::problem::Place { line: 1, column: 1 }, "the file is empty; it needs route and receivers");
            None
        }
    };
    let empty = Routing { receiver: String::new(), group_wait_ms: 0, receivers: Vec::new() };
    problems.into_result(routing.unwrap_or(empty))
}

fn read(root: &Node, problems: &mut Problems<'_>) -> Option<Routing> {
    let top = Fields::read(root, "a routing file", &["route", "receivers"], refused, problems)?;
    let receivers = read_receivers(&top, problems);
    let Some(route) = top.get("route") else {
        problems.add(root.place, "there is no route");
        return None;
    };
    let route = Fields::read(route, "route", &["receiver", "group_wait"], refused, problems)?;
    let (receiver, node) = route.required("receiver", problems)?;
    if !receivers.iter().any(|known| known.name == receiver) {
        problems.add(node.place, format!("there is no receiver {receiver:?}"));
    }
    let group_wait_ms = route.duration_ms("group_wait", problems).unwrap_or(GROUP_WAIT_MS_DEFAULT);
    if group_wait_ms > GROUP_WAIT_MS_MAX
        && let Some(node) = route.get("group_wait")
    {
        problems.add(node.place, "group_wait: the longest is 10m");
    }
    Some(Routing { receiver: receiver.to_owned(), group_wait_ms, receivers })
}

fn read_receivers(top: &Fields<'_>, problems: &mut Problems<'_>) -> Vec<Receiver> {
    let nodes = top.list("receivers", problems);
    if nodes.len() > RECEIVERS_MAX {
        problems.add(top.node.place, format!("{} receivers; at most {RECEIVERS_MAX} are allowed", nodes.len()));
        return Vec::new();
    }
    let mut names = BTreeSet::new();
    let mut receivers = Vec::new();
    for node in nodes {
        let Some(fields) = Fields::read(node, "a receiver", &["name", "webhook_configs"], refused, problems) else {
            continue;
        };
        let Some((name, place)) = fields.required("name", problems) else { continue };
        if !names.insert(name) {
            problems.add(place.place, format!("the receiver {name:?} is there twice"));
        }
        let hooks = fields.list("webhook_configs", problems);
        if hooks.len() > WEBHOOKS_MAX {
            problems.add(node.place, format!("{} webhooks; at most {WEBHOOKS_MAX} are allowed", hooks.len()));
            continue;
        }
        let webhooks = hooks.iter().filter_map(|hook| read_webhook(hook, problems)).collect();
        receivers.push(Receiver { name: name.to_owned(), webhooks });
    }
    receivers
}

fn read_webhook(node: &Node, problems: &mut Problems<'_>) -> Option<Webhook> {
    let fields = Fields::read(node, "a webhook", &["url", "send_resolved"], refused, problems)?;
    let (url, place) = fields.required("url", problems)?;
    let after_scheme = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match after_scheme {
        None => problems.add(place.place, format!("url: {url:?} does not start with http:// or https://")),
        Some(rest) if rest.is_empty() || rest.starts_with('/') || url.contains(char::is_whitespace) => {
            problems.add(place.place, format!("url: {url:?} names no host"));
        }
        Some(_) if url.len() > URL_BYTES_MAX => {
            problems.add(place.place, format!("url: {} bytes; at most {URL_BYTES_MAX} are allowed", url.len()));
        }
        Some(_) => {}
    }
    let send_resolved = fields.boolean("send_resolved", problems).unwrap_or(true);
    Some(Webhook { url: url.to_owned(), send_resolved })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::problem::render;

    #[test]
    fn a_whole_file_is_read() {
        let text = "route:\n  receiver: pager\n  group_wait: 0s\nreceivers:\n- name: pager\n  webhook_configs:\n  - url: http://127.0.0.1:9/x\n  - {url: 'https://p.example/', send_resolved: false}\n- name: nobody\n";
        let routing = parse("a.yml", text).unwrap();
        assert_eq!(routing.group_wait_ms, 0);
        assert_eq!(routing.receivers.len(), 2);
        let url = |url: &str, send_resolved| Channel::Webhook { url: url.to_owned(), send_resolved };
        assert_eq!(routing.channels(), [url("http://127.0.0.1:9/x", true), url("https://p.example/", false)]);
        let plain = parse("a.yml", "route: {receiver: a}\nreceivers: [{name: a}]").unwrap();
        assert_eq!((plain.group_wait_ms, plain.channels().len()), (GROUP_WAIT_MS_DEFAULT, 0));
    }

    fn check_problems(text: &str, expected: Expect) {
        expected.assert_eq(&render(&parse("a.yml", text).unwrap_err()));
    }

    #[test]
    fn every_other_field_is_refused_by_name() {
        check_problems(
            r"global:
  resolve_timeout: 5m
route:
  receiver: a
  group_by: [alertname]
  repeat_interval: 1h
  routes:
  - match: {severity: page}
inhibit_rules: []
receivers:
- name: a
  email_configs:
  - to: x@example.org
  webhook_configs:
  - url: http://h/
    max_alerts: 3
",
            expect![[r#"
                a.yml:1:1: the field "global" is not supported yet
                  | global:
                  | ^
                a.yml:5:3: the field "group_by" is not supported yet
                  |   group_by: [alertname]
                  |   ^
                a.yml:6:3: the field "repeat_interval" is not supported yet
                  |   repeat_interval: 1h
                  |   ^
                a.yml:7:3: the field "routes" is not supported yet
                  |   routes:
                  |   ^
                a.yml:9:1: the field "inhibit_rules" is not supported yet
                  | inhibit_rules: []
                  | ^
                a.yml:12:3: the field "email_configs" is not supported yet
                  |   email_configs:
                  |   ^
                a.yml:16:5: the field "max_alerts" is not supported yet
                  |     max_alerts: 3
                  |     ^"#]],
        );
    }

    #[test]
    fn what_is_wrong_says_where() {
        check_problems(
            "route:\n  receiver: b\n  group_wait: soon\nreceivers:\n- name: a\n  webhook_configs:\n  - url: ftp://x\n  - url: http:///x\n  - {}\n- name: a\n- webhook_configs: x\n",
            expect![[r#"
                a.yml:2:13: there is no receiver "b"
                  |   receiver: b
                  |             ^
                a.yml:3:15: group_wait: "soon" is not a duration; write for example 30s, 5m or 1h30m
                  |   group_wait: soon
                  |               ^
                a.yml:7:10: url: "ftp://x" does not start with http:// or https://
                  |   - url: ftp://x
                  |          ^
                a.yml:8:10: url: "http:///x" names no host
                  |   - url: http:///x
                  |          ^
                a.yml:9:5: a webhook has no url
                  |   - {}
                  |     ^
                a.yml:10:9: the receiver "a" is there twice
                  | - name: a
                  |         ^
                a.yml:11:3: a receiver has no name
                  | - webhook_configs: x
                  |   ^"#]],
        );
        check_problems("", expect!["a.yml:1:1: the file is empty; it needs route and receivers"]);
        check_problems(
            "receivers: []\n",
            expect![[r#"
            a.yml:1:1: there is no route
              | receivers: []
              | ^"#]],
        );
    }

    #[test]
    fn limits_at_the_limit_and_one_past_it() {
        let receivers = |n: usize| {
            let names: String = (0..n).map(|i| format!("- name: r{i}\n")).collect();
            parse("a.yml", &format!("route: {{receiver: r0}}\nreceivers:\n{names}"))
        };
        assert!(receivers(RECEIVERS_MAX).is_ok());
        assert!(render(&receivers(RECEIVERS_MAX + 1).unwrap_err()).contains("101 receivers"));
        let hooks = |n: usize| {
            let hooks = vec!["{url: 'http://h/'}"; n].join(", ");
            parse("a.yml", &format!("route: {{receiver: a}}\nreceivers: [{{name: a, webhook_configs: [{hooks}]}}]"))
        };
        assert!(hooks(WEBHOOKS_MAX).is_ok());
        assert!(render(&hooks(WEBHOOKS_MAX + 1).unwrap_err()).contains("6 webhooks"));
        let wait = |text: &str| {
            parse("a.yml", &format!("route: {{receiver: a, group_wait: {text}}}\nreceivers: [{{name: a}}]"))
        };
        assert_eq!(wait("10m").unwrap().group_wait_ms, GROUP_WAIT_MS_MAX);
        assert!(wait("10m1ms").is_err());
        let url = |bytes: usize| {
            let url = format!("http://h/{}", "x".repeat(bytes - 9));
            parse(
                "a.yml",
                &format!("route: {{receiver: a}}\nreceivers: [{{name: a, webhook_configs: [{{url: '{url}'}}]}}]"),
            )
        };
        assert!(url(URL_BYTES_MAX).is_ok());
        assert!(url(URL_BYTES_MAX + 1).is_err());
    }

    #[test]
    fn which_topics_an_alert_goes_to() {
        let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied()).unwrap();
        let both = [Channel::Pager, Channel::Mail];
        assert_eq!(topics(&labels(&[("severity", "page")])), both);
        assert_eq!(topics(&labels(&[("severity", "page"), ("env", "prod")])), both);
        assert_eq!(topics(&labels(&[("severity", "page"), ("env", "staging")])), [Channel::Mail]);
        assert_eq!(topics(&labels(&[("severity", "mail")])), [Channel::Mail]);
        assert_eq!(topics(&Labels::empty()), [Channel::Mail]);
    }
}
