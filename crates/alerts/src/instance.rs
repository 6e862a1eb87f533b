//! From what an expression found to observations of alert instances, and to recorded samples.
//!
//! The newest sample of one series ([`newest`]) and the result of a whole evaluation
//! ([`found`]) name an instance in the same way, so that both sides of `evaluate-alerts` speak
//! of the same alert.

use std::collections::{BTreeMap, BTreeSet};

use promql::{Value, all_match};
use series::{LabelError, Labels, METRIC_NAME, Sample, Timestamp, is_stale};

use crate::rules::Rule;
use crate::state::{InstanceKey, Observation};
use crate::template::Context;

/// The label that holds an alert's name.
pub const ALERT_NAME: &str = "alertname";

/// What is the same for all rules of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct External {
    /// Where people reach the page, without a slash at its end.
    pub url: String,
    /// Labels of the whole server, for templates.
    pub labels: BTreeMap<String, String>,
}

/// Why a rule's result cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResultError {
    #[error("the expression gives a {kind}; an instant vector or a scalar is needed")]
    Kind { kind: &'static str },
    #[error("two results have the same labels {labels}")]
    Duplicate { labels: String },
    #[error("labels: {0}")]
    Labels(#[from] LabelError),
    #[error("{count} series; the group's limit is {limit}")]
    TooMany { count: usize, limit: usize },
}

/// What the newest sample of `series` says of a direct rule; `None` where the rule is not direct
/// or does not select the series. A stale marker means that the expression holds no more.
pub fn newest(
    rule: &Rule,
    series: &Labels,
    sample: Sample,
    external: &External,
) -> Option<Result<Observation, ResultError>> {
    let direct = rule.direct.as_ref()?;
    if !all_match(&direct.matchers, series) {
        return None;
    }
    let active = !is_stale(sample.value) && direct.op.holds(sample.value, direct.bound);
    Some(observation(rule, series, sample, active, external))
}

/// What the result of an evaluation at `at` says: the instances that are active.
pub fn found(rule: &Rule, value: &Value, at: Timestamp, external: &External) -> Result<Vec<Observation>, ResultError> {
    let samples = vector(value)?;
    let mut keys = BTreeSet::new();
    let mut alerts = BTreeSet::new();
    let mut observations = Vec::with_capacity(samples.len());
    for (labels, sample) in samples {
        let seen = observation(rule, labels, Sample { at, value: sample.value }, true, external)?;
        if !keys.insert(seen.key) || !alerts.insert(seen.labels.clone()) {
            return Err(ResultError::Duplicate { labels: labels.to_string() });
        }
        observations.push(seen);
    }
    Ok(observations)
}

/// The samples that a recording rule writes.
pub fn recorded(rule: &Rule, value: &Value, at: Timestamp, limit: usize) -> Result<Vec<(Labels, Sample)>, ResultError> {
    let samples = vector(value)?;
    if limit > 0 && samples.len() > limit {
        return Err(ResultError::TooMany { count: samples.len(), limit });
    }
    let mut known = BTreeSet::new();
    let mut recorded = Vec::with_capacity(samples.len());
    for (labels, sample) in samples {
        let mut builder = labels.to_builder();
        for (name, template) in &rule.labels {
            builder.set(name, template.source());
        }
        let labels = builder.set(METRIC_NAME, &rule.name).build()?;
        if !known.insert(labels.clone()) {
            return Err(ResultError::Duplicate { labels: labels.to_string() });
        }
        recorded.push((labels, Sample { at, value: sample.value }));
    }
    Ok(recorded)
}

/// The rule's annotations for one alert.
#[must_use]
pub fn annotations(rule: &Rule, labels: &Labels, value: f64, external: &External) -> BTreeMap<String, String> {
    let context = context(labels, value, external);
    let annotations = rule.alert().map(|alert| alert.annotations.as_slice()).unwrap_or_default();
    annotations.iter().map(|(name, template)| (name.clone(), template.expand(&context))).collect()
}

fn vector(value: &Value) -> Result<Vec<(&Labels, Sample)>, ResultError> {
    match value {
        Value::Vector(samples) => Ok(samples.iter().map(|(labels, sample)| (labels, *sample)).collect()),
        // As in Prometheus, a scalar is a vector of one series without labels.
        Value::Scalar(sample) => Ok(vec![(no_labels(), *sample)]),
        other => Err(ResultError::Kind { kind: other.kind() }),
    }
}

fn no_labels() -> &'static Labels {
    static EMPTY: std::sync::LazyLock<Labels> = std::sync::LazyLock::new(Labels::empty);
    &EMPTY
}

fn observation(
    rule: &Rule,
    series: &Labels,
    sample: Sample,
    active: bool,
    external: &External,
) -> Result<Observation, ResultError> {
    let plain = series.without(|name| name == METRIC_NAME);
    let key = InstanceKey(plain.id());
    let mut builder = plain.to_builder();
    let context = context(&plain, sample.value, external);
    for (name, template) in &rule.labels {
        builder.set(name, template.expand(&context));
    }
    let labels = builder.set(ALERT_NAME, &rule.name).build()?;
    Ok(Observation { key, labels, at: sample.at, active, value: sample.value, note: String::new() })
}

fn context<'a>(labels: &'a Labels, value: f64, external: &'a External) -> Context<'a> {
    Context { labels: Some(labels), value, external_labels: external.labels.clone(), external_url: &external.url }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        let text = format!("groups:\n- name: g\n  rules:\n  - {}\n", text.replace('\n', "\n    "));
        crate::rules::parse("r.yml", &text).unwrap().groups.remove(0).rules.remove(0)
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).unwrap()
    }

    fn sample(value: f64) -> Sample {
        Sample { at: Timestamp(5), value }
    }

    const CHECK: &str = "alert: CheckCritical\nexpr: check_status == 2\nlabels: {severity: page, what: '{{ $labels.check }}={{ $value }}'}";

    #[test]
    fn a_newest_sample_is_an_observation_of_a_direct_rule() {
        let rule = rule(CHECK);
        let series = labels(&[("__name__", "check_status"), ("check", "disk"), ("instance", "web-1")]);
        let seen = newest(&rule, &series, sample(2.0), &External::default()).unwrap().unwrap();
        assert!(seen.active);
        assert_eq!(
            seen.labels,
            labels(&[
                ("alertname", "CheckCritical"),
                ("check", "disk"),
                ("instance", "web-1"),
                ("severity", "page"),
                ("what", "disk=2")
            ])
        );
        assert!(!newest(&rule, &series, sample(0.0), &External::default()).unwrap().unwrap().active);
        let stale = sample(series::stale_marker());
        assert!(!newest(&rule, &series, stale, &External::default()).unwrap().unwrap().active);
        assert!(newest(&rule, &labels(&[("__name__", "up")]), sample(2.0), &External::default()).is_none());
    }

    #[test]
    fn both_sides_name_the_same_instance() {
        let rule = rule(CHECK);
        let series = labels(&[("__name__", "check_status"), ("check", "disk")]);
        let stream = newest(&rule, &series, sample(2.0), &External::default()).unwrap().unwrap();
        let value = Value::Vector(vec![(series, sample(2.0))]);
        let storage = found(&rule, &value, Timestamp(5), &External::default()).unwrap().remove(0);
        assert_eq!(stream, storage);
    }

    #[test]
    fn results_of_a_wrong_kind_or_with_equal_labels_are_refused() {
        let rule = rule("alert: A\nexpr: up > 1");
        let at = Timestamp(5);
        let none = External::default();
        let twice = vec![(labels(&[("__name__", "a")]), sample(1.0)), (labels(&[("__name__", "b")]), sample(1.0))];
        assert!(matches!(found(&rule, &Value::Vector(twice), at, &none), Err(ResultError::Duplicate { .. })));
        let rewritten = self::rule("alert: A\nexpr: up > 1\nlabels: {instance: all}");
        let two = vec![(labels(&[("instance", "a")]), sample(1.0)), (labels(&[("instance", "b")]), sample(1.0))];
        assert!(matches!(found(&rewritten, &Value::Vector(two), at, &none), Err(ResultError::Duplicate { .. })));
        let text = Value::String("x".to_owned());
        assert_eq!(found(&rule, &text, at, &none), Err(ResultError::Kind { kind: "string" }));
        let scalar = found(&rule, &Value::Scalar(sample(1.0)), at, &none).unwrap();
        assert_eq!(scalar[0].labels, labels(&[("alertname", "A")]));
    }

    #[test]
    fn recorded_series_get_the_rules_name_and_labels() {
        let rule = rule("record: job:up:sum\nexpr: sum by (job) (up)\nlabels: {env: prod}");
        let value = Value::Vector(vec![(labels(&[("job", "node")]), sample(3.0))]);
        let written = recorded(&rule, &value, Timestamp(9), 1).unwrap();
        assert_eq!(written[0].0, labels(&[("__name__", "job:up:sum"), ("env", "prod"), ("job", "node")]));
        assert_eq!(written[0].1, Sample { at: Timestamp(9), value: 3.0 });
        let two = Value::Vector(vec![(labels(&[("a", "1")]), sample(1.0)), (labels(&[("a", "2")]), sample(1.0))]);
        assert!(recorded(&rule, &two, Timestamp(9), 2).is_ok());
        assert_eq!(recorded(&rule, &two, Timestamp(9), 1), Err(ResultError::TooMany { count: 2, limit: 1 }));
    }

    #[test]
    fn annotations_are_expanded() {
        let rule = rule("alert: A\nexpr: up == 0\nannotations: {summary: '{{ $labels.instance }} at {{ $value }}'}");
        let texts = annotations(&rule, &labels(&[("instance", "web-1")]), 0.0, &External::default());
        assert_eq!(texts["summary"], "web-1 at 0");
    }
}
