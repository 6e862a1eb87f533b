//! Reads a YAML map field by field: every field that is not known is refused by name, every value
//! of a wrong kind is a problem with its place.

use crate::duration;
use crate::problem::Problems;
use crate::yaml::{Kind, Node};

/// The fields of one map.
#[derive(Debug)]
pub(crate) struct Fields<'n> {
    what: &'static str,
    pub(crate) node: &'n Node,
    pairs: &'n [(Node, Node)],
}

impl<'n> Fields<'n> {
    /// Takes a map apart. `refusal` words why a field outside of `allowed` is refused.
    pub(crate) fn read(
        node: &'n Node,
        what: &'static str,
        allowed: &[&str],
        refusal: impl Fn(&str) -> String,
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        let Kind::Map(pairs) = &node.kind else {
            problems.add(node.place, format!("{what} must be a map, this is {}", node.what()));
            return None;
        };
        for (key, _) in pairs {
            match key.text() {
                Some(name) if allowed.contains(&name) => {}
                Some(name) => problems.add(key.place, refusal(name)),
                None => problems.add(key.place, format!("the name of a field of {what} must be a text")),
            }
        }
        Some(Self { what, node, pairs })
    }

    /// The field's value, where it is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&'n Node> {
        self.pairs.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value).filter(|v| !v.is_null())
    }

    /// The field's key, where it is there: for messages about the field as a whole.
    pub(crate) fn key(&self, name: &str) -> Option<&'n Node> {
        self.pairs.iter().map(|(key, _)| key).find(|key| key.text() == Some(name))
    }

    pub(crate) fn text(&self, name: &str, problems: &mut Problems<'_>) -> Option<(&'n str, &'n Node)> {
        let node = self.get(name)?;
        let text = node.text();
        if text.is_none() {
            problems.add(node.place, format!("{name} must be a text, this is {}", node.what()));
        }
        text.map(|text| (text, node))
    }

    /// A text that must be there and hold something.
    pub(crate) fn required(&self, name: &str, problems: &mut Problems<'_>) -> Option<(&'n str, &'n Node)> {
        if self.get(name).is_none() {
            problems.add(self.node.place, format!("{} has no {name}", self.what));
            return None;
        }
        let (text, node) = self.text(name, problems)?;
        if text.trim().is_empty() {
            problems.add(node.place, format!("{name} is empty"));
            return None;
        }
        Some((text, node))
    }

    pub(crate) fn duration_ms(&self, name: &str, problems: &mut Problems<'_>) -> Option<i64> {
        let (text, node) = self.text(name, problems)?;
        duration::parse_ms(text).map_err(|message| problems.add(node.place, format!("{name}: {message}"))).ok()
    }

    pub(crate) fn number(&self, name: &str, problems: &mut Problems<'_>) -> Option<usize> {
        let (text, node) = self.text(name, problems)?;
        let number = text.parse();
        if number.is_err() {
            problems.add(node.place, format!("{name} must be a whole number, not {text:?}"));
        }
        number.ok()
    }

    pub(crate) fn boolean(&self, name: &str, problems: &mut Problems<'_>) -> Option<bool> {
        let (text, node) = self.text(name, problems)?;
        match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                problems.add(node.place, format!("{name} must be true or false, not {text:?}"));
                None
            }
        }
    }

    pub(crate) fn list(&self, name: &str, problems: &mut Problems<'_>) -> &'n [Node] {
        match self.get(name).map(|node| (node, &node.kind)) {
            None => &[],
            Some((_, Kind::List(items))) => items,
            Some((node, _)) => {
                problems.add(node.place, format!("{name} must be a list, this is {}", node.what()));
                &[]
            }
        }
    }

    /// A map of texts to texts, in the order of the file.
    pub(crate) fn texts(&self, name: &str, problems: &mut Problems<'_>) -> Vec<(&'n Node, &'n str, &'n Node)> {
        let pairs = match self.get(name).map(|node| (node, &node.kind)) {
            None => return Vec::new(),
            Some((_, Kind::Map(pairs))) => pairs,
            Some((node, _)) => {
                problems.add(node.place, format!("{name} must be a map, this is {}", node.what()));
                return Vec::new();
            }
        };
        let mut found = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            match (value.text(), value.is_null()) {
                (Some(text), _) => found.push((key, text, value)),
                (None, true) => found.push((key, "", value)),
                (None, false) => {
                    let hint = "; a text that begins with {{ needs quotes around it";
                    let hint = if matches!(value.kind, Kind::Map(_)) { hint } else { "" };
                    let label = key.text().unwrap_or_default();
                    problems.add(value.place, format!("{name}.{label} must be a text, this is {}{hint}", value.what()));
                }
            }
        }
        found
    }
}
