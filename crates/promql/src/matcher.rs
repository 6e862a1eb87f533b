//! One condition on one label. Regular expressions are anchored at both ends and `.` matches
//! newlines, as in Prometheus 3. A label that a series does not have counts as empty.

use std::fmt;

use promql_parser::label::{MatchOp as ParsedOp, Matcher as Parsed};
use regex::Regex;
use series::{Labels, METRIC_NAME};

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl fmt::Display for MatchOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        })
    }
}

/// A compiled matcher.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// Compiles a matcher. Fails only for a bad regular expression.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Self, regex::Error> {
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(Regex::new(&format!("^(?s:{value})$"))?),
        };
        Ok(Self { name: name.to_owned(), op, value: value.to_owned(), regex })
    }

    /// `__name__="metric"`.
    #[must_use]
    pub fn metric(name: &str) -> Self {
        Self { name: METRIC_NAME.to_owned(), op: MatchOp::Equal, value: name.to_owned(), regex: None }
    }

    /// Takes over a parsed matcher with its (already checked) regular expression.
    pub(crate) fn from_parsed(parsed: &Parsed) -> Self {
        // The parser escapes braces that Go's dialect takes literally, so its own text is kept.
        let dotall = |regex: &Regex| Regex::new(&format!("(?s){}", regex.as_str())).unwrap_or_else(|_| regex.clone());
        let (op, regex) = match &parsed.op {
            ParsedOp::Equal => (MatchOp::Equal, None),
            ParsedOp::NotEqual => (MatchOp::NotEqual, None),
            ParsedOp::Re(regex) => (MatchOp::Regex, Some(dotall(regex))),
            ParsedOp::NotRe(regex) => (MatchOp::NotRegex, Some(dotall(regex))),
        };
        Self { name: parsed.name.clone(), op, value: parsed.value.clone(), regex }
    }

    /// The label's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it compares.
    #[must_use]
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The text or regular expression, as written.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label of this value passes; a missing label is the empty string.
    #[must_use]
    pub fn matches_value(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => self.value == value,
            (MatchOp::NotEqual, _) => self.value != value,
            (MatchOp::Regex, Some(regex)) => regex.is_match(value),
            (MatchOp::NotRegex, Some(regex)) => !regex.is_match(value),
            (MatchOp::Regex | MatchOp::NotRegex, None) => false,
        }
    }

    /// Whether this set's label passes.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_value(labels.get(&self.name).unwrap_or(""))
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (self.op, &self.name, &self.value) == (other.op, &other.name, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op, self.value)
    }
}

/// Whether every matcher passes.
#[must_use]
pub fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_labels_are_empty_and_expressions_are_anchored() {
        let labels = Labels::from_pairs([("__name__", "up"), ("job", "node\nx")]).unwrap();
        for (name, op, value, expected) in [
            ("job", MatchOp::Regex, "node.x", true),
            ("job", MatchOp::Regex, "node", false),
            ("job", MatchOp::NotRegex, "node", true),
            ("gone", MatchOp::Equal, "", true),
            ("gone", MatchOp::NotEqual, "x", true),
            ("gone", MatchOp::Regex, ".+", false),
            ("gone", MatchOp::Regex, ".*", true),
            ("__name__", MatchOp::Regex, "u|up", true),
            ("__name__", MatchOp::Regex, "(?i)UP", true),
        ] {
            let matcher = Matcher::new(name, op, value).unwrap();
            assert_eq!(matcher.matches(&labels), expected, "{matcher}");
        }
        assert!(Matcher::new("a", MatchOp::Regex, "(").is_err());
    }
}
