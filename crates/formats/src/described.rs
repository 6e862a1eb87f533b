//! What a body in Prometheus's text format says of its metrics: `# TYPE`, `# HELP` and `# UNIT`, gathered by
//! metric. Knows no samples: whether a described metric has one is not looked at.

use std::collections::BTreeMap;

use crate::prometheus_text::Entry;

/// Metrics of one body that are described; what further ones are is passed over.
pub const DESCRIBED_METRICS_MAX: usize = 10_000;

/// What one metric is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Description {
    /// Prometheus's word, `untyped` as `unknown`; empty where the body does not say.
    pub kind: String,
    /// The help text.
    pub help: String,
    /// The unit, in OpenMetrics.
    pub unit: String,
}

/// All descriptions of a body, by metric. Of two lines that say different things the later counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Descriptions(BTreeMap<String, Description>);

impl Descriptions {
    /// Takes what a line says. Lines of other kinds change nothing.
    pub fn take(&mut self, entry: &Entry<'_>) {
        match entry {
            Entry::Type { metric, kind } => {
                let kind = if *kind == "untyped" { "unknown" } else { kind };
                self.of(metric, |description| kind.clone_into(&mut description.kind));
            }
            Entry::Help { metric, text } => self.of(metric, |description| description.help = text.to_string()),
            Entry::Unit { metric, unit } => self.of(metric, |description| (*unit).clone_into(&mut description.unit)),
            Entry::Sample(_) | Entry::Comment | Entry::End | Entry::Bad(_) => {}
        }
    }

    /// Says what `metric` is, in place of what was said before.
    pub fn set(&mut self, metric: &str, is: Description) {
        self.of(metric, |description| *description = is);
    }

    fn of(&mut self, metric: &str, change: impl FnOnce(&mut Description)) {
        if let Some(description) = self.0.get_mut(metric) {
            change(description);
        } else if self.0.len() < DESCRIBED_METRICS_MAX {
            change(self.0.entry(metric.to_owned()).or_default());
        }
    }

    /// Metric by metric, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Description)> {
        self.0.iter().map(|(metric, description)| (metric.as_str(), description))
    }
}

#[cfg(test)]
mod tests {
    use crate::prometheus_text::{Dialect, Exposition};

    use super::*;

    fn check(body: &str, dialect: Dialect, expected: &[&str]) {
        let mut descriptions = Descriptions::default();
        Exposition::new(body.as_bytes(), dialect).for_each(|entry| descriptions.take(&entry));
        let shown: Vec<String> = descriptions
            .iter()
            .map(|(metric, Description { kind, help, unit })| format!("{metric}|{kind}|{help}|{unit}"))
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn lines_of_one_metric_come_together() {
        check(
            "# HELP b Bytes\\nof b.\n# TYPE b counter\nb 1\n# TYPE a untyped\n# nothing\n# TYPE c odd\n",
            Dialect::Text,
            &["a|unknown||", "b|counter|Bytes\nof b.|"],
        );
        check(
            "# TYPE t_seconds summary\n# UNIT t_seconds seconds\n# HELP t_seconds Time.\n# TYPE \"x.y\" info\n# EOF\n",
            Dialect::OpenMetrics,
            &["t_seconds|summary|Time.|seconds", "x.y|info||"],
        );
    }

    #[test]
    fn described_metrics_at_the_limit_and_one_past_it() {
        let body = |count: usize| (0..count).map(|n| format!("# TYPE m{n} gauge\n")).collect::<String>();
        for (count, kept) in
            [(DESCRIBED_METRICS_MAX, DESCRIBED_METRICS_MAX), (DESCRIBED_METRICS_MAX + 1, DESCRIBED_METRICS_MAX)]
        {
            let mut descriptions = Descriptions::default();
            Exposition::new(body(count).as_bytes(), Dialect::Text).for_each(|entry| descriptions.take(&entry));
            assert_eq!(descriptions.iter().count(), kept);
        }
    }
}
