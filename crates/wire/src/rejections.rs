//! Adds rejections up by reason.

use std::collections::BTreeMap;

use crate::batch::Rejection;
use crate::limits::{REASONS_MAX, REJECTION_TEXT_BYTES_MAX};

/// What takes the place of reasons beyond [`REASONS_MAX`].
const OTHER: &str = "other";

/// Rejections by reason, with the first example of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejections(BTreeMap<String, Rejection>);

impl Rejections {
    /// Counts `count` more for `reason`. `first` is asked only where the reason is new.
    pub fn add(&mut self, reason: &str, count: u64, first: impl FnOnce() -> String) {
        let known = self.0.contains_key(reason) || self.0.len() < REASONS_MAX;
        let reason = if known { reason } else { OTHER };
        match self.0.get_mut(reason) {
            Some(rejection) => rejection.count = rejection.count.saturating_add(count),
            None => {
                let mut first = first();
                truncate_text(&mut first, REJECTION_TEXT_BYTES_MAX);
                self.0.insert(reason.to_owned(), Rejection { reason: reason.to_owned(), count, first });
            }
        }
    }

    /// Counts all of `others`.
    pub fn extend(&mut self, others: impl IntoIterator<Item = Rejection>) {
        for other in others {
            self.add(&other.reason, other.count, || other.first);
        }
    }

    /// Whether nothing was rejected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.values().map(|rejection| rejection.count).fold(0, u64::saturating_add)
    }

    /// Sorted by reason.
    #[must_use]
    pub fn into_vec(self) -> Vec<Rejection> {
        self.0.into_values().collect()
    }
}

/// Cuts `text` to at most `bytes_max` bytes, between two characters.
pub(crate) fn truncate_text(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_example_stays_and_counts_add_up() {
        let mut rejections = Rejections::default();
        rejections.add("b", 2, || "one".to_owned());
        rejections.add("b", 3, || "two".to_owned());
        rejections.extend([Rejection { reason: "a".to_owned(), count: 1, first: String::new() }]);
        assert_eq!(rejections.count(), 6);
        let listed = rejections.into_vec();
        assert_eq!(listed[1], Rejection { reason: "b".to_owned(), count: 5, first: "one".to_owned() });
        assert_eq!(listed[0].reason, "a");
    }

    #[test]
    fn reasons_at_the_limit_and_one_past_it() {
        let mut rejections = Rejections::default();
        for number in 0..REASONS_MAX {
            rejections.add(&format!("r{number:02}"), 1, String::new);
        }
        assert!(!rejections.0.contains_key(OTHER));
        rejections.add("one_more", 1, String::new);
        assert_eq!(rejections.0.get(OTHER).map(|rejection| rejection.count), Some(1));
    }

    #[test]
    fn an_example_at_its_limit_and_one_past_it() {
        let example = |bytes: usize| {
            let mut rejections = Rejections::default();
            rejections.add("r", 1, || "x".repeat(bytes));
            rejections.into_vec()[0].first.len()
        };
        assert_eq!(example(REJECTION_TEXT_BYTES_MAX), REJECTION_TEXT_BYTES_MAX);
        assert_eq!(example(REJECTION_TEXT_BYTES_MAX + 1), REJECTION_TEXT_BYTES_MAX);
        let mut text = "é".repeat(3);
        truncate_text(&mut text, 5);
        assert_eq!(text, "éé");
    }
}
