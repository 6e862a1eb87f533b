//! Rule files in Prometheus's format: groups of alerting and recording rules.
//!
//! A file is taken as a whole or not at all; every problem in it is reported with its place.
//! This file knows nothing of states and notifications: it ends with a checked [`RuleFile`].

use std::collections::BTreeSet;

use promql::{Direct, Expr};
use series::METRIC_NAME;

use crate::fields::Fields;
use crate::problem::{Place, Problem, Problems};
use crate::template::Template;
use crate::yaml::{self, Node};

/// Groups of one file.
pub const GROUPS_MAX: usize = 500;
/// Rules of one group.
pub const RULES_PER_GROUP_MAX: usize = 500;
/// Labels, or annotations, of one rule.
pub const LABELS_PER_RULE_MAX: usize = 32;
/// Milliseconds of the shortest interval of a group.
pub const INTERVAL_MS_MIN: i64 = 1_000;
/// A group that names no interval is evaluated as often as in Prometheus.
pub const INTERVAL_MS_DEFAULT: i64 = 60_000;

/// A file that was read without a problem.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleFile {
    /// The name under which it was loaded.
    pub name: String,
    /// Its groups, in order.
    pub groups: Vec<Group>,
}

/// Rules that are evaluated together, one after the other, at the same instants.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The file that it is in: two files may have groups of one name.
    pub file: String,
    /// Its name.
    pub name: String,
    /// How often it is evaluated, ms.
    pub interval_ms: i64,
    /// How far before the evaluation's instant the data is looked at, ms.
    pub query_offset_ms: i64,
    /// The most alerts or series that one of its rules may give; 0 is no limit of its own.
    pub limit: usize,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

impl Group {
    /// Names the group among all files, and is a part of storage keys: no `/` in it.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{};{}", without_slash(&self.file), without_slash(&self.name))
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Names it within its group, stable while name and labels stay the same.
    pub id: String,
    /// The alert's name, or the recorded series'.
    pub name: String,
    /// What it does.
    pub kind: RuleKind,
    /// What it evaluates.
    pub expr: Expr,
    /// The threshold on newest samples that it is, where it is one: then it is also evaluated
    /// straight from the stream.
    pub direct: Option<Direct>,
    /// Labels that it adds; the group's are among them.
    pub labels: Vec<(String, Template)>,
    /// Where it starts in the file.
    pub place: Place,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleKind {
    /// Alerts.
    Alert(AlertRule),
    /// Writes its result as new series.
    Record,
}

/// What only alerting rules have.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlertRule {
    /// How long the expression must hold before the alert fires, ms.
    pub for_ms: i64,
    /// How long it goes on firing after the expression has ceased to hold, ms.
    pub keep_firing_for_ms: i64,
    /// Texts for people.
    pub annotations: Vec<(String, Template)>,
}

impl Rule {
    /// The alert part, where it alerts.
    #[must_use]
    pub fn alert(&self) -> Option<&AlertRule> {
        match &self.kind {
            RuleKind::Alert(alert) => Some(alert),
            RuleKind::Record => None,
        }
    }
}

/// Reads a file; `name` is used in messages and in [`Group::id`].
pub fn parse(name: &str, text: &str) -> Result<RuleFile, Vec<Problem>> {
    let mut problems = Problems::new(name, text);
    let root = yaml::parse(&mut problems);
    let groups = root.map(|root| read_groups(name, &root, &mut problems)).unwrap_or_default();
    problems.into_result(RuleFile { name: name.to_owned(), groups })
}

fn read_groups(file: &str, root: &Node, problems: &mut Problems<'_>) -> Vec<Group> {
    let Some(top) = Fields::read(root, "a rule file", &["groups"], unknown("a rule file", "groups"), problems) else {
        return Vec::new();
    };
    let nodes = top.list("groups", problems);
    if nodes.len() > GROUPS_MAX {
        problems.add(root.place, format!("{} groups; at most {GROUPS_MAX} are allowed in a file", nodes.len()));
        return Vec::new();
    }
    let mut names = BTreeSet::new();
    let mut groups = Vec::new();
    for node in nodes {
        let Some(group) = read_group(file, node, problems) else { continue };
        if !names.insert(group.name.clone()) {
            problems.add(node.place, format!("the group {:?} is there twice in this file", group.name));
        }
        groups.push(group);
    }
    groups
}

const GROUP_FIELDS: &[&str] = &["name", "interval", "query_offset", "limit", "labels", "rules"];
const RULE_FIELDS: &[&str] = &["record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"];

fn unknown(what: &'static str, takes: &'static str) -> impl Fn(&str) -> String {
    move |name| format!("unknown field {name:?} in {what}; it takes {takes}")
}

fn read_group(file: &str, node: &Node, problems: &mut Problems<'_>) -> Option<Group> {
    let refusal = unknown("a group", "name, interval, query_offset, limit, labels, rules");
    let fields = Fields::read(node, "a group", GROUP_FIELDS, refusal, problems)?;
    let name = fields.required("name", problems).map(|(text, _)| text.to_owned());
    let interval_ms = match fields.duration_ms("interval", problems) {
        None | Some(0) => INTERVAL_MS_DEFAULT,
        Some(ms) => ms,
    };
    if interval_ms < INTERVAL_MS_MIN
        && let Some(interval) = fields.get("interval")
    {
        problems.add(interval.place, "interval: the shortest is 1s".to_owned());
    }
    let group_labels = read_labels(&fields, problems);
    let nodes = fields.list("rules", problems);
    if nodes.len() > RULES_PER_GROUP_MAX {
        let message = format!("{} rules; at most {RULES_PER_GROUP_MAX} are allowed in a group", nodes.len());
        problems.add(node.place, message);
        return None;
    }
    let mut rules: Vec<Rule> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some(rule) = read_rule(node, &group_labels, problems) else { continue };
        let same = |known: &&Rule| known.name == rule.name && known.labels == rule.labels && known.expr == rule.expr;
        if let Some(first) = rules.iter().find(same) {
            let message = format!("the rule {:?} is there twice, first in line {}", rule.name, first.place.line);
            problems.add(rule.place, message);
        }
        rules.push(rule);
    }
    give_ids(&mut rules);
    Some(Group {
        file: file.to_owned(),
        name: name?,
        interval_ms,
        query_offset_ms: fields.duration_ms("query_offset", problems).unwrap_or(0),
        limit: fields.number("limit", problems).unwrap_or(0),
        rules,
    })
}

fn read_rule(node: &Node, group_labels: &[(String, Template)], problems: &mut Problems<'_>) -> Option<Rule> {
    let refusal = unknown("a rule", "alert or record, expr, for, keep_firing_for, labels, annotations");
    let fields = Fields::read(node, "a rule", RULE_FIELDS, refusal, problems)?;
    let alert = fields.text("alert", problems);
    let record = fields.text("record", problems);
    let is_alert = match (alert, record) {
        (Some(_), None) => Some(true),
        (None, Some(_)) => Some(false),
        (Some(_), Some((_, record))) => {
            problems.add(record.place, "a rule has either alert or record, not both".to_owned());
            None
        }
        (None, None) => {
            problems.add(node.place, "a rule needs alert or record".to_owned());
            None
        }
    };
    let name = alert.or(record).map(|(text, place)| (text.to_owned(), place));
    if let Some((name, place)) = &name {
        check_name(name, place, is_alert, problems);
    }
    let expr = read_expr(&fields, problems);
    let own = read_labels(&fields, problems);
    let mut labels: Vec<(String, Template)> =
        group_labels.iter().filter(|(name, _)| !own.iter().any(|(n, _)| n == name)).cloned().collect();
    labels.extend(own);
    let for_ms = fields.duration_ms("for", problems).unwrap_or(0);
    let keep_firing_for_ms = fields.duration_ms("keep_firing_for", problems).unwrap_or(0);
    let annotations = read_templates(&fields, "annotations", problems);
    let kind = if is_alert? {
        RuleKind::Alert(AlertRule { for_ms, keep_firing_for_ms, annotations })
    } else {
        for field in ["for", "keep_firing_for", "annotations"] {
            if let Some(key) = fields.key(field) {
                problems.add(key.place, format!("a recording rule has no {field}"));
            }
        }
        RuleKind::Record
    };
    let expr = expr?;
    let direct = promql::direct_threshold(&expr);
    Some(Rule { id: String::new(), name: name?.0, kind, direct, expr, labels, place: node.place })
}

fn check_name(name: &str, node: &Node, is_alert: Option<bool>, problems: &mut Problems<'_>) {
    if name.trim().is_empty() {
        problems.add(node.place, "the rule's name is empty".to_owned());
    } else if name.len() > series::limits::METRIC_NAME_BYTES_MAX {
        problems.add(node.place, format!("the rule's name has {} bytes", name.len()));
    } else if is_alert == Some(false) && !is_metric_name(name) {
        problems.add(node.place, format!("{name:?} is not a metric name"));
    }
}

fn read_expr(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Option<Expr> {
    let (text, node) = fields.required("expr", problems)?;
    match promql::parse(text) {
        Ok(expr) => Some(expr),
        Err(error) => {
            let place = node.place_inside(problems.text(), error.line, error.column);
            problems.add(place, format!("expr: {}", error.message));
            None
        }
    }
}

fn read_labels(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Vec<(String, Template)> {
    let labels = read_templates(fields, "labels", problems);
    for (name, _) in &labels {
        let place = fields.get("labels").map_or(fields.node.place, |node| node.place);
        if name == METRIC_NAME {
            problems.add(place, "labels: __name__ cannot be set".to_owned());
        }
    }
    labels
}

fn read_templates(fields: &Fields<'_>, which: &'static str, problems: &mut Problems<'_>) -> Vec<(String, Template)> {
    let texts = fields.texts(which, problems);
    if texts.len() > LABELS_PER_RULE_MAX {
        problems.add(fields.node.place, format!("{} {which}; at most {LABELS_PER_RULE_MAX} are allowed", texts.len()));
        return Vec::new();
    }
    let mut found = Vec::with_capacity(texts.len());
    for (key, text, value) in texts {
        let name = key.text().unwrap_or_default();
        if !is_label_name(name) {
            problems.add(key.place, format!("{which}: {name:?} is not a label name"));
            continue;
        }
        match Template::parse(text) {
            Ok(template) => found.push((name.to_owned(), template)),
            Err(error) => {
                let place = value.place_inside(problems.text(), error.line, error.column);
                problems.add(place, format!("{which}.{name}: {}", error.message));
            }
        }
    }
    found
}

/// Rules of one name and one set of labels are told apart by their order.
fn give_ids(rules: &mut [Rule]) {
    let mut taken = BTreeSet::new();
    for rule in rules {
        let mut text = String::new();
        for (name, template) in &rule.labels {
            text.push_str(&format!("{}:{name}{}:{}", name.len(), template.source().len(), template.source()));
        }
        let hash = xxhash_rust::xxh3::xxh3_64(text.as_bytes()) as u32;
        let base = format!("{}-{hash:08x}", without_slash(&rule.name));
        let mut id = base.clone();
        let mut number = 2;
        while !taken.insert(id.clone()) {
            id = format!("{base}-{number}");
            number += 1;
        }
        rule.id = id;
    }
}

fn without_slash(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F").replace(';', "%3B")
}

fn is_label_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_metric_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'))
}

#[cfg(test)]
mod tests;
