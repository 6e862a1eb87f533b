//! `rules`: what is evaluated, picked by the parameters that Prometheus has for it.

use std::collections::BTreeSet;

use pipeline::http::{Request, Response};
use pipeline::keys::Caller;
use pipeline::promql::{Matcher, all_match};
use pipeline::{Context, Fault, Labels, evaluate};
use serde_json::{Value as Json, json};

use crate::parameters::{self, given, invalid};

/// Which rules are asked for.
struct Wanted<'a> {
    /// `alerting` or `recording`, where only these.
    kind: Option<&'static str>,
    names: BTreeSet<&'a str>,
    groups: BTreeSet<&'a str>,
    files: BTreeSet<&'a str>,
    selectors: Vec<Vec<Matcher>>,
    without_alerts: bool,
}

impl<'a> Wanted<'a> {
    fn of(request: &'a Request) -> Result<Self, Fault> {
        let kind = match given(request, "type").map(str::to_ascii_lowercase).as_deref() {
            None => None,
            Some("alert") => Some("alerting"),
            Some("record") => Some("recording"),
            Some(other) => return Err(invalid("type", format!("not supported value {other:?}"))),
        };
        let without_alerts = match given(request, "exclude_alerts").map(str::to_ascii_lowercase).as_deref() {
            None | Some("0" | "f" | "false") => false,
            Some("1" | "t" | "true") => true,
            Some(other) => return Err(invalid("exclude_alerts", format!("{other:?} is neither true nor false"))),
        };
        let all = |name| request.all(name).collect();
        let selectors = parameters::selectors(request)?;
        Ok(Self {
            kind,
            names: all("rule_name[]"),
            groups: all("rule_group[]"),
            files: all("file[]"),
            selectors,
            without_alerts,
        })
    }

    fn all(&self) -> bool {
        self.kind.is_none() && self.names.is_empty() && self.selectors.is_empty()
    }

    fn takes_group(&self, group: &Json) -> bool {
        let is_in = |set: &BTreeSet<&str>, field: &str| {
            set.is_empty() || group[field].as_str().is_some_and(|text| set.contains(text))
        };
        is_in(&self.groups, "name") && is_in(&self.files, "file")
    }

    fn takes(&self, rule: &Json) -> bool {
        let is_named = |name: &str| self.names.is_empty() || self.names.contains(name);
        self.kind.is_none_or(|kind| rule["type"] == kind)
            && rule["name"].as_str().is_some_and(is_named)
            && (self.selectors.is_empty() || self.selectors.iter().any(|one| all_match(one, &labels_of(rule))))
    }
}

/// The rule's own labels; those whose template is no label's value cannot be matched.
fn labels_of(rule: &Json) -> Labels {
    let pairs = rule["labels"].as_object().into_iter().flatten();
    Labels::from_pairs(pairs.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))))
        .unwrap_or_else(|_| Labels::empty())
}

/// Where a page ends that is followed by another.
fn token(group: &Json) -> String {
    let text = |field: &str| group[field].as_str().unwrap_or_default().to_owned();
    let bytes = format!("{};{}", text("file"), text("name"));
    bytes.bytes().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) async fn answer(context: &Context, caller: &Caller, request: &Request) -> Result<Response, Fault> {
    let wanted = Wanted::of(request)?;
    let groups_max = given(request, "group_limit")
        .map(|text| {
            text.parse::<usize>()
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| invalid("group_limit", "a whole number more than 0 is needed"))
        })
        .transpose()?;
    let after = given(request, "group_next_token");
    if after.is_some() && groups_max.is_none() {
        let what = "group_limit needs to be present in order to paginate over the groups";
        return Err(invalid("group_next_token", what));
    }
    let mut all = evaluate::rules(context, &caller.tenant).await?;
    let mut groups = match all["groups"].take() {
        Json::Array(groups) => groups,
        _ => Vec::new(),
    };
    if groups_max.is_some() {
        let place =
            |group: &Json| (group["file"].as_str().map(str::to_owned), group["name"].as_str().map(str::to_owned));
        groups.sort_by_key(place);
    }
    if let Some(after) = after {
        let Some(place) = groups.iter().position(|group| token(group) == after) else {
            return Err(invalid(
                "group_next_token",
                format!("invalid group_next_token '{after}'. were rule groups changed?"),
            ));
        };
        groups.drain(..place);
    }
    let mut shown = Vec::new();
    let mut next = None;
    for mut group in groups {
        if !wanted.takes_group(&group) {
            continue;
        }
        if let Some(rules) = group["rules"].as_array_mut() {
            rules.retain(|rule| wanted.takes(rule));
            if rules.is_empty() && !wanted.all() {
                continue;
            }
            let alerting = rules.iter_mut().filter(|rule| wanted.without_alerts && rule["type"] == "alerting");
            alerting.for_each(|rule| rule["alerts"] = json!([]));
        }
        if groups_max.is_some_and(|max| shown.len() >= max) {
            next = Some(token(&group));
            break;
        }
        shown.push(group);
    }
    let mut data = json!({ "groups": shown });
    if let Some(next) = next {
        data["groupNextToken"] = json!(next);
    }
    Ok(Response::success(data))
}
