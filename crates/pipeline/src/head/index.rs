//! Which series have which label: name → value → numbers of series, ascending.
//!
//! A matcher is asked once for each distinct value and never for each series.

use std::collections::HashMap;

use promql::{MatchOp, Matcher};
use series::Labels;

#[derive(Debug, Default)]
pub(super) struct Index {
    names: HashMap<Box<str>, HashMap<Box<str>, Vec<u32>>>,
    /// Series so far; their numbers are all below.
    count: u32,
}

impl Index {
    /// Gives these labels the next number.
    pub(super) fn add(&mut self, labels: &Labels) -> u32 {
        let number = self.count;
        for (name, value) in labels {
            if !self.names.contains_key(name) {
                self.names.insert(name.into(), HashMap::new());
            }
            let Some(values) = self.names.get_mut(name) else { continue };
            match values.get_mut(value) {
                Some(numbers) => numbers.push(number),
                None => drop(values.insert(value.into(), vec![number])),
            }
        }
        self.count += 1;
        number
    }

    /// The series that all matchers match, ascending.
    pub(super) fn select(&self, matchers: &[Matcher]) -> Vec<u32> {
        let mut found: Option<Vec<u32>> = None;
        // Those that a series without the label cannot pass narrow; the fewest first.
        let (narrowing, others): (Vec<_>, Vec<_>) = matchers.iter().partition(|matcher| !matcher.matches_value(""));
        let mut lists: Vec<Vec<u32>> = narrowing.into_iter().map(|matcher| self.matching(matcher)).collect();
        lists.sort_by_key(Vec::len);
        for list in lists {
            found = Some(match found {
                Some(so_far) => common(&so_far, &list),
                None => list,
            });
        }
        let mut found = found.unwrap_or_else(|| (0..self.count).collect());
        for matcher in others {
            if found.is_empty() {
                break;
            }
            let refused = self.refused(matcher);
            if !refused.is_empty() {
                found.retain(|number| refused.binary_search(number).is_err());
            }
        }
        found
    }

    /// Series whose label passes.
    fn matching(&self, matcher: &Matcher) -> Vec<u32> {
        let Some(values) = self.names.get(matcher.name()) else { return Vec::new() };
        if matcher.op() == MatchOp::Equal {
            return values.get(matcher.value()).cloned().unwrap_or_default();
        }
        merged(values.iter().filter(|(value, _)| matcher.matches_value(value)).map(|(_, numbers)| numbers))
    }

    /// Series that have the label and do not pass.
    fn refused(&self, matcher: &Matcher) -> Vec<u32> {
        let Some(values) = self.names.get(matcher.name()) else { return Vec::new() };
        merged(values.iter().filter(|(value, _)| !matcher.matches_value(value)).map(|(_, numbers)| numbers))
    }

    /// About the bytes that it takes.
    pub(super) fn heap_bytes(&self) -> usize {
        const ENTRY_BYTES: usize = 80;
        let values = self.names.values().flatten();
        values.map(|(value, numbers)| value.len() + numbers.capacity() * size_of::<u32>() + ENTRY_BYTES).sum()
    }
}

/// A series has one value of a name, so the lists have nothing in common.
fn merged<'a>(lists: impl Iterator<Item = &'a Vec<u32>>) -> Vec<u32> {
    let mut all: Vec<u32> = lists.flatten().copied().collect();
    all.sort_unstable();
    all
}

/// What both have; `few` is the shorter one.
fn common(few: &[u32], many: &[u32]) -> Vec<u32> {
    if many.len() / 16 > few.len() {
        return few.iter().copied().filter(|number| many.binary_search(number).is_ok()).collect();
    }
    let mut rest = many.iter().copied().peekable();
    let mut both = Vec::with_capacity(few.len());
    for number in few {
        while rest.next_if(|other| other < number).is_some() {}
        if rest.peek() == Some(number) {
            both.push(*number);
        }
    }
    both
}

#[cfg(test)]
mod tests;
