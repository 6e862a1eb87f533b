//! A series as it is written: `name{label="value",…}`, or `{"name", "label"="value",…}` where the
//! name has characters that stand only in quotes. In quotes `\\`, `\"` and `\n` are escapes; any
//! other backslash is one. Knows nothing of values and times.

use std::borrow::Cow;

use series::{Labels, METRIC_NAME};

use super::{At, BLANK, Fault};

/// The byte at which the series that begins at `start` ends, its braces closed. Looks no further
/// into the labels: [`labels`] does.
pub(super) fn end(line: &str, start: usize) -> At<usize> {
    let bytes = line.as_bytes();
    let name_end =
        start + bytes[start..].iter().position(|b| matches!(b, b'{' | b' ' | b'\t')).unwrap_or(bytes.len() - start);
    let Some(open) = bytes[name_end..].iter().position(|b| !matches!(b, b' ' | b'\t')).map(|at| name_end + at) else {
        return Ok(name_end);
    };
    if bytes[open] != b'{' {
        return Ok(name_end);
    }
    let (mut at, mut quoted) = (open + 1, false);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Ok(at + 1),
            _ => {}
        }
        at += 1;
    }
    Err((Fault::LabelsUnclosed, open))
}

/// The labels of a series, its name among them.
pub(super) fn labels(series: &str) -> At<Labels> {
    let name_end = series.find(['{', ' ', '\t']).unwrap_or(series.len());
    let name = &series[..name_end];
    if !name.is_empty() && !is_name(name, true) {
        return Err((Fault::NameInvalid, 0));
    }
    let inside_at = series.find('{').map_or(series.len(), |at| at + 1);
    let mut pairs = Vec::with_capacity(8);
    if !name.is_empty() {
        pairs.push((Cow::Borrowed(METRIC_NAME), Cow::Borrowed(name)));
    }
    let mut reader = Reader { text: series, at: inside_at };
    while reader.more()? {
        let at = reader.at;
        let (key, key_quoted) = reader.key()?;
        match reader.byte() {
            Some(b'=') => {
                reader.at += 1;
                reader.skip_blanks();
                let value = reader.quoted()?;
                pairs.push((key, value));
            }
            _ if !key_quoted => return Err((Fault::LabelsMalformed, reader.at)),
            _ if pairs.iter().any(|(name, _)| name == METRIC_NAME) => return Err((Fault::NameTwice, at)),
            _ => pairs.push((Cow::Borrowed(METRIC_NAME), key)),
        }
        reader.comma()?;
    }
    let labels = Labels::from_pairs(pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
    labels.and_then(Labels::require_metric_name).map_err(|error| (error.into(), 0))
}

/// The metric that a `# TYPE` line is about, quoted or not, and where its name ends.
pub(super) fn metric(text: &str, start: usize) -> At<(Cow<'_, str>, usize)> {
    if text[start..].starts_with('"') {
        let mut reader = Reader { text, at: start };
        let name = reader.quoted().map_err(|_| (Fault::MetadataMalformed, start))?;
        return Ok((name, reader.at));
    }
    let end = text[start..].find(BLANK).map_or(text.len(), |length| start + length);
    let name = &text[start..end];
    match name.is_empty() {
        true => Err((Fault::MetadataMalformed, start)),
        false if !is_name(name, true) => Err((Fault::NameInvalid, start)),
        false => Ok((Cow::Borrowed(name), end)),
    }
}

/// The text with its escapes resolved.
pub(super) fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some(escaped @ ('\\' | '"' | 'n'))) => {
                chars.next();
                plain.push(if escaped == 'n' { '\n' } else { escaped });
            }
            _ => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

/// Whether it may stand without quotes; a metric's name may hold colons.
fn is_name(text: &str, colon: bool) -> bool {
    let starts = |b: u8| b.is_ascii_alphabetic() || b == b'_' || (colon && b == b':');
    text.bytes().enumerate().all(|(at, b)| starts(b) || (at > 0 && b.is_ascii_digit())) && !text.is_empty()
}

/// Reads the inside of the braces.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Whether a label follows, rather than the end.
    fn more(&mut self) -> At<bool> {
        self.skip_blanks();
        match self.byte() {
            None => Ok(false),
            Some(b'}') if self.at + 1 == self.text.len() => Ok(false),
            Some(b'}' | b',' | b'=') => Err((Fault::LabelsMalformed, self.at)),
            Some(_) => Ok(true),
        }
    }

    /// A label's name, or the metric's in quotes, and whether it was quoted.
    fn key(&mut self) -> At<(Cow<'a, str>, bool)> {
        let at = self.at;
        let key = if self.byte() == Some(b'"') {
            (self.quoted()?, true)
        } else {
            let length = self.text[at..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            self.at = length.map_or(self.text.len(), |length| at + length);
            let name = &self.text[at..self.at];
            if !is_name(name, false) {
                return Err((Fault::LabelNameInvalid, at));
            }
            (Cow::Borrowed(name), false)
        };
        self.skip_blanks();
        Ok(key)
    }

    /// A text in quotes.
    fn quoted(&mut self) -> At<Cow<'a, str>> {
        if self.byte() != Some(b'"') {
            return Err((Fault::LabelsMalformed, self.at));
        }
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut at = start;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'\\' => at += 2,
                b'"' => {
                    self.at = at + 1;
                    return Ok(unescaped(&self.text[start..at]));
                }
                _ => at += 1,
            }
        }
        Err((Fault::LabelsUnclosed, self.at))
    }

    /// The comma after a label, or the end.
    fn comma(&mut self) -> At<()> {
        self.skip_blanks();
        match self.byte() {
            Some(b',') => self.at += 1,
            Some(b'}') => {}
            _ => return Err((Fault::LabelsMalformed, self.at)),
        }
        Ok(())
    }
}
