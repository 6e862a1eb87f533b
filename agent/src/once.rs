//! `--once`: one collection as text, in Prometheus's text format, for a person or a script.

use std::collections::BTreeMap;
use std::fmt::Write;

use series::{Labels, METRIC_NAME, Sample};

use crate::intake::Pending;

/// What was taken, sorted by metric. Check results and refusals are told as comments.
#[must_use]
pub fn text(pending: &Pending) -> String {
    let mut by_name: BTreeMap<(&str, &Labels), &[Sample]> = BTreeMap::new();
    for (labels, samples) in &pending.series {
        by_name.insert((labels.metric_name().unwrap_or_default(), labels), samples);
    }
    let mut out = String::new();
    for ((name, labels), samples) in by_name {
        for sample in samples {
            write_sample(&mut out, name, labels, sample);
        }
    }
    for check in &pending.checks {
        let first_line = check.text.lines().next().unwrap_or_default();
        let _ = writeln!(out, "# check {}: {:?}: {first_line}", check.check, check.state);
    }
    for record in &pending.logs {
        let _ = writeln!(out, "# log {}: {}", record.file, record.text.lines().next().unwrap_or_default());
    }
    for (reason, count) in &pending.rejected {
        let _ = writeln!(out, "# rejected {count} as {reason}");
    }
    out
}

fn write_sample(out: &mut String, name: &str, labels: &Labels, sample: &Sample) {
    let legacy = |text: &str, colon: bool| {
        text.bytes().enumerate().all(|(at, byte)| {
            byte.is_ascii_alphabetic() || byte == b'_' || (colon && byte == b':') || (at > 0 && byte.is_ascii_digit())
        })
    };
    let mut inside = String::new();
    // Names with dots are quoted inside of the braces, as the text format has it for UTF-8 names.
    if legacy(name, true) {
        out.push_str(name);
    } else {
        let _ = write!(inside, "\"{}\"", escape(name));
    }
    for (label, value) in labels.iter().filter(|(label, _)| *label != METRIC_NAME) {
        if !inside.is_empty() {
            inside.push(',');
        }
        let quoted = if legacy(label, false) { label.to_owned() } else { format!("\"{}\"", escape(label)) };
        let _ = write!(inside, "{quoted}=\"{}\"", escape(value));
    }
    if !inside.is_empty() {
        let _ = write!(out, "{{{inside}}}");
    }
    let _ = writeln!(out, " {} {}", value(sample.value), sample.at);
}

fn value(value: f64) -> String {
    match value {
        v if v.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        v => v.to_string(),
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use series::Timestamp;

    use super::*;

    fn check(pairs: &[(&str, &str)], value: f64, expected: &str) {
        let labels = Labels::from_pairs(pairs.iter().copied()).unwrap();
        let mut pending = Pending::default();
        pending.series.insert(labels, vec![Sample { at: Timestamp(1_000), value }]);
        assert_eq!(text(&pending), expected);
    }

    #[test]
    fn samples_as_text() {
        check(&[("__name__", "up")], 1.0, "up 1 1000\n");
        check(
            &[("__name__", "x:y"), ("b", "q\"\\\n"), ("a", "1")],
            f64::NAN,
            "x:y{a=\"1\",b=\"q\\\"\\\\\\n\"} NaN 1000\n",
        );
        check(&[("__name__", "a.b"), ("c", "d")], f64::INFINITY, "{\"a.b\",c=\"d\"} +Inf 1000\n");
    }
}
