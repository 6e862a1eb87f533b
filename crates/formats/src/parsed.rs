//! What every parser answers with: samples, and what was refused and where.
//!
//! Knows no protocol. Reasons are plain names that the protocols choose, because the ledger and
//! `/api/v1/sources` show them as they are.

use std::collections::BTreeMap;
use std::fmt;

use series::{Labels, Sample};

use crate::described::Descriptions;

/// Characters of the refused text that a [`Reject`] keeps.
pub const REJECT_TEXT_CHARS_MAX: usize = 400;
/// Rejections kept in full by one [`Rejects`]; of the ones after that only the first of each reason is.
pub const REJECTS_SHOWN_MAX: usize = 1_000;

/// The outcome of parsing one body, datagram or read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parsed {
    /// What was understood, in the input's order.
    pub samples: Vec<(Labels, Sample)>,
    /// What was refused.
    pub rejected: Rejects,
    /// What the input says of its metrics, where its format has a way to.
    pub described: Descriptions,
    /// What was accepted but changed on the way, by name (`timestamp_in_ms`), with its count.
    pub notes: BTreeMap<&'static str, u64>,
}

impl Parsed {
    /// Takes over all of another one; its rejections keep the lines of their own input.
    pub fn append(&mut self, other: Self) {
        self.samples.extend(other.samples);
        self.rejected.append(other.rejected);
        for (name, count) in other.notes {
            *self.notes.entry(name).or_default() += count;
        }
    }

    /// Counts one more note.
    pub fn note(&mut self, name: &'static str) {
        *self.notes.entry(name).or_default() += 1;
    }
}

/// One refused line or item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Why, as a short name under which it is counted.
    pub reason: &'static str,
    /// The line, from 1.
    pub line: u64,
    /// The character in that line at which the fault stands, from 1.
    pub column: u64,
    /// The refused line or item, its first [`REJECT_TEXT_CHARS_MAX`] characters; bytes that are not UTF-8 are
    /// replaced.
    pub text: String,
}

impl Reject {
    /// A rejection of `text`, which is cut to the limit.
    #[must_use]
    pub fn new(reason: &'static str, line: u64, column: u64, text: &[u8]) -> Self {
        // No character takes more than four bytes, so the cut below never looks at more.
        let head = &text[..text.len().min(REJECT_TEXT_CHARS_MAX * 4)];
        let text = String::from_utf8_lossy(head).chars().take(REJECT_TEXT_CHARS_MAX).collect();
        Self { reason, line, column, text }
    }

    /// The line of `input` that is meant, with a caret under the place.
    #[must_use]
    pub fn caret(&self, input: &str) -> String {
        let nth = usize::try_from(self.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let line = input.lines().nth(nth).unwrap_or_default();
        // Tabs stay tabs, so that the caret stands where a terminal shows the character.
        let before = usize::try_from(self.column.saturating_sub(1)).unwrap_or(usize::MAX);
        let indent: String = line.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        format!("{line}\n{indent}^ {}", self.reason)
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {} in {:?}", self.line, self.column, self.reason, self.text)
    }
}

/// Refused parts: the first [`REJECTS_SHOWN_MAX`] in full and at least one of each reason, all of
/// them counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejects {
    shown: Vec<Reject>,
    by_reason: BTreeMap<&'static str, u64>,
}

impl Rejects {
    /// Adds one.
    pub fn push(&mut self, reject: Reject) {
        let count = self.by_reason.entry(reject.reason).or_default();
        *count += 1;
        if *count == 1 || self.shown.len() < REJECTS_SHOWN_MAX {
            self.shown.push(reject);
        }
    }

    /// Takes over all of another one, within the same limit.
    pub fn append(&mut self, other: Self) {
        for reject in other.shown {
            if !self.by_reason.contains_key(reject.reason) || self.shown.len() < REJECTS_SHOWN_MAX {
                // From now on this reason has its example; the count follows below.
                self.by_reason.entry(reject.reason).or_default();
                self.shown.push(reject);
            }
        }
        for (reason, count) in other.by_reason {
            *self.by_reason.entry(reason).or_default() += count;
        }
    }

    /// The ones kept in full, in the input's order.
    pub fn iter(&self) -> std::slice::Iter<'_, Reject> {
        self.shown.iter()
    }

    /// How many there were, those not kept in full included.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.by_reason.values().sum()
    }

    /// How many there were of each reason, those not kept in full included.
    #[must_use]
    pub fn by_reason(&self) -> &BTreeMap<&'static str, u64> {
        &self.by_reason
    }

    /// Whether nothing was refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_reason.is_empty()
    }
}

impl<'a> IntoIterator for &'a Rejects {
    type Item = &'a Reject;
    type IntoIter = std::slice::Iter<'a, Reject>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_cut_at_the_limit() {
        let text = |chars: usize| Reject::new("r", 1, 1, "ж".repeat(chars).as_bytes()).text.chars().count();
        assert_eq!(text(REJECT_TEXT_CHARS_MAX), REJECT_TEXT_CHARS_MAX);
        assert_eq!(text(REJECT_TEXT_CHARS_MAX + 1), REJECT_TEXT_CHARS_MAX);
        assert_eq!(Reject::new("r", 1, 1, b"a\xffb").text, "a\u{fffd}b");
    }

    #[test]
    fn beyond_the_limit_rejections_are_still_counted() {
        let mut rejects = Rejects::default();
        for n in 0..=REJECTS_SHOWN_MAX as u64 {
            rejects.push(Reject::new("r", n + 1, 1, b"x"));
        }
        assert_eq!(rejects.iter().len(), REJECTS_SHOWN_MAX);
        assert_eq!(rejects.count(), REJECTS_SHOWN_MAX as u64 + 1);
        assert_eq!(rejects.by_reason().get("r"), Some(&(REJECTS_SHOWN_MAX as u64 + 1)));

        rejects.push(Reject::new("another", 1, 1, b"x"));
        assert_eq!(rejects.iter().last().map(|r| r.reason), Some("another"), "each reason has an example");
    }

    #[test]
    fn two_outcomes_become_one_and_nothing_is_lost() {
        let mut one = Parsed::default();
        one.rejected.push(Reject::new("a", 1, 1, b"x"));
        one.note("n");
        let mut other = Parsed::default();
        for line in 0..=REJECTS_SHOWN_MAX as u64 {
            other.rejected.push(Reject::new("b", line, 1, b"y"));
        }
        other.note("n");
        one.append(other);
        assert_eq!(one.rejected.iter().len(), REJECTS_SHOWN_MAX);
        assert_eq!(one.rejected.count(), REJECTS_SHOWN_MAX as u64 + 2);
        assert!(one.rejected.iter().any(|reject| reject.reason == "b"));
        assert_eq!(one.notes.get("n"), Some(&2));
    }

    #[test]
    fn the_caret_stands_under_the_place() {
        let reject = Reject::new("value_not_a_number", 2, 3, b"b\tx 1");
        assert_eq!(reject.caret("a 1\nb\tx 1"), "b\tx 1\n \t^ value_not_a_number");
        assert_eq!(reject.caret(""), "\n^ value_not_a_number");
        assert_eq!(reject.to_string(), r#"line 2, column 3: value_not_a_number in "b\tx 1""#);
    }
}
