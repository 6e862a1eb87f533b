//! A label set in canonical form: sorted by name, names unique, no empty values.
//!
//! The whole set lives in one shared buffer, `u16 length, name, u16 length, value` for each
//! label in order (little endian), behind the identity that is hashed from them: whoever finds or joins
//! series asks for it again and again. Two label sets are equal exactly when their buffers are.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::ids::SeriesId;
use crate::limits::{
    LABEL_NAME_BYTES_MAX, LABEL_SET_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_PER_SERIES_MAX, METRIC_NAME_BYTES_MAX,
};

/// The label that holds the metric's name.
pub const METRIC_NAME: &str = "__name__";

/// Why a label set was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    #[error("a label name is empty")]
    EmptyName,
    #[error("label name {name:?} has {bytes} bytes, at most {LABEL_NAME_BYTES_MAX} are allowed")]
    NameTooLong { name: String, bytes: usize },
    #[error("the value of label {name:?} has {bytes} bytes, at most {max} are allowed")]
    ValueTooLong { name: String, bytes: usize, max: usize },
    #[error("label {name:?} is given twice")]
    Duplicate { name: String },
    #[error("label {name:?} holds a NUL or another control character")]
    ControlCharacter { name: String },
    #[error("the series has {count} labels, at most {LABELS_PER_SERIES_MAX} are allowed")]
    TooMany { count: usize },
    #[error("the label set has {bytes} bytes, at most {LABEL_SET_BYTES_MAX} are allowed")]
    SetTooLong { bytes: usize },
    #[error("the series has no metric name")]
    NoMetricName,
}

impl LabelError {
    /// The reason under which a rejection is counted in the ledger.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::EmptyName => "label_name_empty",
            Self::NameTooLong { .. } => "label_name_too_long",
            Self::ValueTooLong { .. } => "label_value_too_long",
            Self::Duplicate { .. } => "label_duplicate",
            Self::ControlCharacter { .. } => "label_control_character",
            Self::TooMany { .. } => "too_many_labels",
            Self::SetTooLong { .. } => "label_set_too_long",
            Self::NoMetricName => "no_metric_name",
        }
    }
}

/// Bytes of the identity before the canonical form.
const ID_BYTES: usize = 16;

/// A validated label set. Cloning shares the buffer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<[u8]>);

impl Labels {
    /// The set without any label (PromQL results have it; a stored series never does).
    #[must_use]
    pub fn empty() -> Self {
        Self::sealed(&mut [0; ID_BYTES])
    }

    /// The set of a canonical form that stands behind room for its identity.
    fn sealed(bytes: &mut [u8]) -> Self {
        if let Some((id, canonical)) = bytes.split_first_chunk_mut::<ID_BYTES>() {
            *id = xxhash_rust::xxh3::xxh3_128(canonical).to_le_bytes();
        }
        Self((&*bytes).into())
    }

    /// Builds a set from pairs in any order. Labels with an empty value are dropped, as in
    /// Prometheus; a name given twice is an error.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, LabelError>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let pairs: Vec<(N, V)> = pairs.into_iter().collect();
        let mut sorted: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(LabelError::Duplicate { name: pair[0].0.to_owned() });
        }
        Self::encode(sorted.into_iter().filter(|(_, value)| !value.is_empty()))
    }

    /// As [`Labels::from_pairs`] followed by [`Labels::require_metric_name`], for pairs in canonical order and without anything
    /// unusual, in the memory of `scratch`: what a batch holds a hundred times. `None`: build it the
    /// other way, which knows what is wrong, if anything is.
    #[must_use]
    pub fn from_canonical<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        scratch: &mut Vec<u8>,
    ) -> Option<Self> {
        scratch.clear();
        scratch.extend_from_slice(&[0; ID_BYTES]);
        let (mut before, mut count, mut named) = ("", 0, false);
        for (name, value) in pairs {
            let max = if name == METRIC_NAME { METRIC_NAME_BYTES_MAX } else { LABEL_VALUE_BYTES_MAX };
            let usual = name > before
                && name.len() <= LABEL_NAME_BYTES_MAX
                && name.bytes().all(|b| b.is_ascii_graphic())
                && (1..=max).contains(&value.len())
                && !value.as_bytes().contains(&0);
            if !usual {
                return None;
            }
            for text in [name, value] {
                scratch.extend_from_slice(&(text.len() as u16).to_le_bytes());
                scratch.extend_from_slice(text.as_bytes());
            }
            (before, count, named) = (name, count + 1, named || name == METRIC_NAME);
        }
        let fits = count <= LABELS_PER_SERIES_MAX && scratch.len() - ID_BYTES <= LABEL_SET_BYTES_MAX;
        (named && fits).then(|| Self::sealed(scratch))
    }

    fn encode<'a>(sorted: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, LabelError> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&[0; ID_BYTES]);
        let mut count = 0;
        for (name, value) in sorted {
            check_pair(name, value)?;
            count += 1;
            for text in [name, value] {
                // Both limits are below 2^16, so the length always fits.
                bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
        }
        if count > LABELS_PER_SERIES_MAX {
            return Err(LabelError::TooMany { count });
        }
        let length = bytes.len() - ID_BYTES;
        if length > LABEL_SET_BYTES_MAX {
            return Err(LabelError::SetTooLong { bytes: length });
        }
        Ok(Self::sealed(&mut bytes))
    }

    /// The value of `name`, or `None`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut rest = self.iter();
        while let (Some(found), Some(value)) = (rest.bytes(), rest.bytes()) {
            if found == name.as_bytes() {
                return std::str::from_utf8(value).ok();
            }
        }
        None
    }

    /// The metric's name, where there is one.
    #[must_use]
    pub fn metric_name(&self) -> Option<&str> {
        self.get(METRIC_NAME)
    }

    /// Fails where a stored series would have no metric name.
    pub fn require_metric_name(self) -> Result<Self, LabelError> {
        if self.metric_name().is_some() { Ok(self) } else { Err(LabelError::NoMetricName) }
    }

    /// All labels, sorted by name (byte order).
    #[must_use]
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter(self.canonical())
    }

    /// Names and values in turn, as bytes: for whoever copies them, and need not know that they are text.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.iter();
        std::iter::from_fn(move || rest.bytes())
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.canonical().is_empty()
    }

    /// The identity: XXH3-128 of the canonical form.
    #[must_use]
    pub fn id(&self) -> SeriesId {
        SeriesId(self.0.first_chunk().map_or(0, |id| u128::from_le_bytes(*id)))
    }

    /// The canonical bytes.
    #[must_use]
    pub fn canonical(&self) -> &[u8] {
        self.0.get(ID_BYTES..).unwrap_or_default()
    }

    /// A builder that starts from these labels.
    #[must_use]
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder { pairs: self.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }

    /// The same set without the labels for which `drop` answers true.
    #[must_use]
    pub fn without(&self, drop: impl Fn(&str) -> bool) -> Self {
        self.keep(|name| !drop(name))
    }

    /// The same set with only the labels for which `keep` answers true.
    #[must_use]
    pub fn keep(&self, keep: impl Fn(&str) -> bool) -> Self {
        let mut bytes = Vec::with_capacity(self.0.len());
        bytes.extend_from_slice(&[0; ID_BYTES]);
        let mut rest = self.canonical();
        while !rest.is_empty() {
            let mut ends = LabelsIter(rest);
            let Some((name, _)) = ends.next() else { break };
            let taken = rest.len() - ends.0.len();
            if keep(name) {
                bytes.extend_from_slice(&rest[..taken]);
            }
            rest = &rest[taken..];
        }
        Self::sealed(&mut bytes)
    }
}

fn check_pair(name: &str, value: &str) -> Result<(), LabelError> {
    if name.is_empty() {
        return Err(LabelError::EmptyName);
    }
    if name.len() > LABEL_NAME_BYTES_MAX {
        let shown = name.chars().take(32).collect();
        return Err(LabelError::NameTooLong { name: shown, bytes: name.len() });
    }
    let max = if name == METRIC_NAME { METRIC_NAME_BYTES_MAX } else { LABEL_VALUE_BYTES_MAX };
    if value.len() > max {
        return Err(LabelError::ValueTooLong { name: name.to_owned(), bytes: value.len(), max });
    }
    let control = |text: &str| text.bytes().any(|b| b == 0);
    if control(value) || name.chars().any(char::is_control) {
        return Err(LabelError::ControlCharacter { name: name.escape_debug().to_string() });
    }
    Ok(())
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    /// Label by label, name before value, as Prometheus sorts series.
    fn cmp(&self, other: &Self) -> Ordering {
        // UTF-8 sorts by bytes as it does by characters, so nothing has to be read as text. Sets of one metric
        // begin alike: the texts before the first byte that differs need no comparing one by one.
        let (left, right) = (self.canonical(), other.canonical());
        let (ours, theirs) = (left.as_chunks::<8>().0, right.as_chunks::<8>().0);
        let alike = ours.iter().zip(theirs).take_while(|(a, b)| u64::from_ne_bytes(**a) == u64::from_ne_bytes(**b));
        let alike = alike.count() * 8;
        let (mut a, mut b) = (LabelsIter(left), LabelsIter(right));
        while a.skip_within(&mut b, left.len().saturating_sub(alike)) {}
        loop {
            match (a.bytes(), b.bytes()) {
                (Some(x), Some(y)) if x == y => {}
                (None, None) => return Ordering::Equal,
                (x, y) => return x.cmp(&y),
            }
        }
    }
}

impl fmt::Display for Labels {
    /// Prometheus's notation, `name{label="value"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |name: &str| {
            name.bytes()
                .enumerate()
                .all(|(i, b)| b.is_ascii_alphabetic() || b == b'_' || b == b':' || (i > 0 && b.is_ascii_digit()))
        };
        let mut inside = String::new();
        for (name, value) in self.iter() {
            let shown_outside = name == METRIC_NAME && plain(value);
            if shown_outside {
                f.write_str(value)?;
                continue;
            }
            if !inside.is_empty() {
                inside.push_str(", ");
            }
            if plain(name) {
                inside.push_str(name);
            } else {
                inside.push_str(&format!("{name:?}"));
            }
            inside.push_str(&format!("={value:?}"));
        }
        if inside.is_empty() && !self.is_empty() { Ok(()) } else { write!(f, "{{{inside}}}") }
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Labels({self})")
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = LabelsIter<'a>;
    fn into_iter(self) -> LabelsIter<'a> {
        self.iter()
    }
}

/// Walks the canonical form.
#[derive(Debug, Clone)]
pub struct LabelsIter<'a>(&'a [u8]);

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.text()?, self.text()?))
    }
}

impl<'a> LabelsIter<'a> {
    fn text(&mut self) -> Option<&'a str> {
        // Only `encode` fills the buffer, and only from `str`.
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// Skips a text of both, where all of it lies before the last `differing` bytes of this one.
    fn skip_within(&mut self, other: &mut Self, differing: usize) -> bool {
        let Some((length, rest)) = self.0.split_first_chunk::<2>() else { return false };
        let length = usize::from(u16::from_le_bytes(*length));
        if length + differing > rest.len() {
            return false;
        }
        self.0 = &rest[length..];
        other.0 = other.0.get(2 + length..).unwrap_or_default();
        true
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        self.0 = rest;
        Some(text)
    }
}

/// Collects labels; a name set again replaces the earlier value.
#[derive(Debug, Clone, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `name`, replacing what it had. An empty value removes the label.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        let (name, value) = (name.into(), value.into());
        match self.pairs.iter_mut().find(|(n, _)| *n == name) {
            Some(pair) => pair.1 = value,
            None => self.pairs.push((name, value)),
        }
        self
    }

    /// Sets `name` only where it is absent or empty: a sender's own label wins over ours.
    pub fn set_default(&mut self, name: &str, value: &str) -> &mut Self {
        if self.get(name).is_none_or(str::is_empty) {
            self.set(name, value);
        }
        self
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.pairs.retain(|(n, _)| n != name);
        self
    }

    /// The value that `name` has so far.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Validates and encodes.
    pub fn build(&self) -> Result<Labels, LabelError> {
        Labels::from_pairs(self.pairs.iter().map(|(n, v)| (n, v)))
    }
}

#[cfg(test)]
mod tests;
