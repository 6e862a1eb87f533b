//! A Graphite path with its tags, as labels.
//!
//! Two spellings: carbon's `name;key=value;…` and OpenMetrics' `name{key="value",…}`. In both, a
//! key is not empty and holds none of `;`, `!`, `^`, `=`; a value is not empty, holds no `;` and
//! does not begin with `~`. A key given twice counts as given last. The tag `name` is the metric's
//! own, so one that is written out is ignored. The name loses the `~`s at its beginning. Beyond
//! that names are taken as they are: braces, brackets, `*` and empty segments mean something to
//! Graphite's globs, which Daywatch does not have.
//!
//! Knows nothing of values and times.

use series::{Labels, METRIC_NAME};

use super::Fault;

/// Why a path was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    #[error("the path has no name")]
    NameEmpty,
    #[error("a tag has no `=`")]
    TagWithoutValue,
    #[error("a tag's key is empty")]
    TagKeyEmpty,
    #[error("the character {0:?} cannot stand in a tag's key")]
    TagKeyCharacter(char),
    #[error("the tag `{METRIC_NAME}` is the metric's name and cannot be set")]
    TagKeyReserved,
    #[error("a tag's value is empty")]
    TagValueEmpty,
    #[error("a tag's value cannot begin with `~`")]
    TagValueTilde,
    #[error("a tag's value cannot hold `;`")]
    TagValueSemicolon,
    #[error("the tags are not of the form {{key=\"value\",…}}")]
    TagsMalformed,
}

impl TagError {
    /// The name under which it is counted.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NameEmpty => "name_empty",
            Self::TagWithoutValue => "tag_without_value",
            Self::TagKeyEmpty => "tag_key_empty",
            Self::TagKeyCharacter(_) => "tag_key_character",
            Self::TagKeyReserved => "tag_key_reserved",
            Self::TagValueEmpty => "tag_value_empty",
            Self::TagValueTilde => "tag_value_tilde",
            Self::TagValueSemicolon => "tag_value_semicolon",
            Self::TagsMalformed => "tags_malformed",
        }
    }
}

/// The byte of the path at which a fault stands.
type At<T> = Result<T, (TagError, usize)>;

/// Labels of a path, or what is wrong at which byte of it.
pub(super) fn labels(path: &str) -> Result<Labels, (Fault, usize)> {
    if path.contains(';') {
        let (name, tags) = carbon(path).map_err(in_path)?;
        build(name, tags)
    } else if let Some((name, inside)) = path.strip_suffix('}').and_then(|p| p.split_once('{')) {
        let tags = open_metrics(inside, name.len() + 1).map_err(in_path)?;
        build(name, tags)
    } else {
        // Most lines: no tag, nothing to collect.
        let name = name_of(path).map_err(in_path)?;
        Labels::from_pairs([(METRIC_NAME, name)]).map_err(|error| (error.into(), 0))
    }
}

fn in_path((error, at): (TagError, usize)) -> (Fault, usize) {
    (error.into(), at)
}

fn build<V: AsRef<str>>(name: &str, mut tags: Vec<(&str, V)>) -> Result<Labels, (Fault, usize)> {
    let name = name_of(name).map_err(in_path)?;
    // Sorted by key, a key's last value first; the others of that key go.
    tags.reverse();
    tags.sort_by(|a, b| a.0.cmp(b.0));
    tags.dedup_by(|later, first| later.0 == first.0);
    tags.retain(|(key, _)| *key != "name");
    let pairs = tags.iter().map(|(key, value)| (*key, value.as_ref())).chain([(METRIC_NAME, name)]);
    Labels::from_pairs(pairs).map_err(|error| (error.into(), 0))
}

fn name_of(name: &str) -> At<&str> {
    match name.trim_start_matches('~') {
        "" => Err((TagError::NameEmpty, 0)),
        name => Ok(name),
    }
}

/// `name;key=value;key=value`. Each part is split at its first `=`, so a value may hold more.
fn carbon(path: &str) -> At<(&str, Vec<(&str, &str)>)> {
    let mut parts = path.split(';');
    let name = parts.next().unwrap_or_default();
    let mut at = name.len() + 1;
    let mut tags = Vec::new();
    for part in parts {
        let (key, value) = part.split_once('=').ok_or((TagError::TagWithoutValue, at))?;
        check_key(key, at)?;
        check_value(value, at + key.len() + 1)?;
        tags.push((key, value));
        at += part.len() + 1;
    }
    Ok((name, tags))
}

/// The inside of `{key="value",…}`; `offset` is where it begins in the path. In a value `\"` is a
/// quote and `\\` a backslash; a comma may follow the last tag.
fn open_metrics(inside: &str, offset: usize) -> At<Vec<(&str, String)>> {
    let mut tags = Vec::new();
    let mut rest = inside;
    while !rest.is_empty() {
        let at = offset + inside.len() - rest.len();
        let (key, after) = rest.split_once("=\"").ok_or((TagError::TagsMalformed, at))?;
        check_key(key, at)?;
        let value_at = at + key.len() + 2;
        let (value, after) = quoted(after).ok_or((TagError::TagsMalformed, value_at))?;
        check_value(&value, value_at)?;
        tags.push((key, value));
        rest = match after.strip_prefix(',') {
            Some(next) => next,
            None if after.is_empty() => after,
            None => return Err((TagError::TagsMalformed, offset + inside.len() - after.len())),
        };
    }
    Ok(tags)
}

/// The value up to its closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                c @ ('"' | '\\') => value.push(c),
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    None
}

fn check_key(key: &str, at: usize) -> At<()> {
    if key.is_empty() {
        return Err((TagError::TagKeyEmpty, at));
    }
    if key == METRIC_NAME {
        return Err((TagError::TagKeyReserved, at));
    }
    match key.char_indices().find(|(_, c)| matches!(c, ';' | '!' | '^' | '=')) {
        Some((byte, c)) => Err((TagError::TagKeyCharacter(c), at + byte)),
        None => Ok(()),
    }
}

fn check_value(value: &str, at: usize) -> At<()> {
    match value.chars().next() {
        None => Err((TagError::TagValueEmpty, at)),
        Some('~') => Err((TagError::TagValueTilde, at)),
        Some(_) if value.contains(';') => Err((TagError::TagValueSemicolon, at)),
        Some(_) => Ok(()),
    }
}
