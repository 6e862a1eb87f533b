//! A scenario's text, read.

use pipeline::{Labels, alerts, promql};

/// A scenario.
#[derive(Debug, Default)]
pub(crate) struct Scenario {
    pub(super) rules: String,
    pub(super) routing: String,
    /// There are topics for pager and mail.
    pub(super) topics: bool,
    pub(super) samples: Vec<(i64, Labels, f64)>,
    pub(super) checks: Vec<Check>,
    pub(super) spans: Vec<(Span, i64, i64)>,
    pub(super) redeliver_at: Vec<i64>,
    pub(super) refuse_at: Vec<i64>,
    pub(super) remove_rules_at: Vec<i64>,
    /// What is done and expected, each with its line's number.
    pub(super) lines: Vec<(usize, Line)>,
}

#[derive(Debug)]
pub(super) struct Check {
    pub(super) second: i64,
    pub(super) source: String,
    pub(super) check: String,
    pub(super) status: u8,
    pub(super) hard: bool,
    pub(super) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    BlobsFail,
    ReceiverFails,
    AggregateStands,
    TableFlaky,
}

#[derive(Debug)]
pub(super) enum Line {
    At(i64),
    Active(String),
    Sent(String),
}

impl Scenario {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut scenario = Self::default();
        let mut block: Option<fn(&mut Self) -> &mut String> = None;
        for (index, line) in text.lines().enumerate() {
            if line.starts_with(' ') || (line.is_empty() && block.is_some()) {
                let into = block.ok_or_else(|| format!("{}: an indented line outside of a block", index + 1))?;
                into(&mut scenario).push_str(&format!("{line}\n"));
                continue;
            }
            block = match line {
                "rules:" => Some(|scenario| &mut scenario.rules),
                "routing:" => Some(|scenario| &mut scenario.routing),
                _ => None,
            };
            if block.is_none() && !line.is_empty() && !line.starts_with('#') {
                scenario.line(index + 1, line).ok_or_else(|| format!("{}: what is {line:?}?", index + 1))?;
            }
        }
        Ok(scenario)
    }

    fn line(&mut self, number: usize, line: &str) -> Option<()> {
        if line == "topics" {
            self.topics = true;
        } else if let Some(rest) = line.strip_prefix("at ") {
            self.lines.push((number, Line::At(seconds(rest)?)));
        } else if let Some(rest) = line.strip_prefix("active: ") {
            self.lines.push((number, Line::Active(rest.to_owned())));
        } else if let Some(rest) = line.strip_prefix("sent: ") {
            self.lines.push((number, Line::Sent(rest.to_owned())));
        } else if let Some(rest) = line.strip_prefix("series ") {
            self.series(rest)?;
        } else if let Some(rest) = line.strip_prefix("check ") {
            self.check(rest, true)?;
        } else if let Some(rest) = line.strip_prefix("soft ") {
            self.check(rest, false)?;
        } else if let Some(rest) = line.strip_prefix("redeliver at ") {
            self.redeliver_at.push(seconds(rest)?);
        } else if let Some(rest) = line.strip_prefix("remove rules at ") {
            self.remove_rules_at.push(seconds(rest)?);
        } else if let Some(rest) = line.strip_prefix("receiver refuses at ") {
            self.refuse_at.push(seconds(rest)?);
        } else {
            let (what, rest) = line.split_once(" from ")?;
            let (from, until) = rest.split_once(" until ")?;
            let span = match what {
                "blobs fail" => Span::BlobsFail,
                "receiver fails" => Span::ReceiverFails,
                "aggregate stands" => Span::AggregateStands,
                "table flaky" => Span::TableFlaky,
                _ => return None,
            };
            self.spans.push((span, seconds(from)?, seconds(until)?));
        }
        Some(())
    }

    fn series(&mut self, rest: &str) -> Option<()> {
        let (selector, rest) = rest.split_once(" every ")?;
        let (every, values) = rest.split_once(": ")?;
        let matchers = promql::parse_selector(selector).ok()?;
        let labels = Labels::from_pairs(matchers.iter().map(|m| (m.name(), m.value()))).ok()?;
        let every = seconds(every)?;
        let mut second = 0;
        for word in values.split_whitespace() {
            let (value, times) = word.split_once('x').unwrap_or((word, "1"));
            for _ in 0..times.parse::<usize>().ok()? {
                second += every;
                if value != "_" {
                    self.samples.push((second, labels.clone(), value.parse().ok()?));
                }
            }
        }
        Some(())
    }

    fn check(&mut self, rest: &str, hard: bool) -> Option<()> {
        let (who, rest) = rest.split_once(" at ")?;
        let (source, check) = who.split_once(' ')?;
        let (second, result) = rest.split_once(": ")?;
        let (status, text) = result.split_once(' ').unwrap_or((result, ""));
        self.checks.push(Check {
            second: seconds(second)?,
            source: source.to_owned(),
            check: check.to_owned(),
            status: status.parse().ok()?,
            hard,
            text: text.to_owned(),
        });
        Some(())
    }

    pub(super) fn during(&self, span: Span, second: i64) -> bool {
        self.spans.iter().any(|(what, from, until)| *what == span && (*from..*until).contains(&second))
    }
}

fn seconds(text: &str) -> Option<i64> {
    alerts::duration::parse_ms(text).ok().map(|ms| ms / 1_000)
}
