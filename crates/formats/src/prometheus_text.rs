//! Prometheus's text format (0.0.4, and 1.0.0 with its quoted names) and OpenMetrics.
//!
//! [`Exposition`] walks a body line by line and borrows from it; the labels of a sample are built
//! only where somebody asks for them, so that who meets the same series again and again can know
//! it by its text. Histograms and summaries are the classic series that they are written as,
//! `_created` among them; exemplars are skipped.
//!
//! Against Prometheus, which gives up a whole scrape at its first bad line, a bad line is a rejection
//! and its neighbours stay, and blank lines, indentation and `\r\n` do no harm in OpenMetrics either.
//! Never reads a clock.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

mod series_text;

use std::borrow::Cow;

use memchr::memchr;
use series::{LabelError, Labels, Sample, Timestamp};

use crate::openmetrics;
use crate::parsed::{Parsed, Reject};

/// What Prometheus makes of `NaN`, so that it is never taken for a stale marker.
pub const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// The kinds that a `# TYPE` line may name, of both dialects.
const KINDS: [&str; 9] =
    ["counter", "gauge", "histogram", "summary", "untyped", "unknown", "gaugehistogram", "stateset", "info"];

/// Which of the two formats a body is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Prometheus's own: timestamps in milliseconds, no end mark.
    Text,
    /// OpenMetrics: timestamps in seconds, exemplars, `# UNIT`, `# EOF` at the end.
    OpenMetrics,
}

impl Dialect {
    /// What an answer's `Content-Type` says; whatever does not name OpenMetrics is taken as text.
    #[must_use]
    pub fn of_content_type(content_type: &str) -> Self {
        let media = content_type.split(';').next().unwrap_or_default().trim();
        if media.eq_ignore_ascii_case("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }
}

/// Why a line was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the line is not UTF-8")]
    NotUtf8,
    #[error("the metric's name is not one; names with other characters stand quoted in the braces")]
    NameInvalid,
    #[error("the metric's name is given twice")]
    NameTwice,
    #[error("a label's name is not one; names with other characters are quoted")]
    LabelNameInvalid,
    #[error("the labels are not of the form {{name=\"value\",…}}")]
    LabelsMalformed,
    #[error("the braces or a quote are not closed")]
    LabelsUnclosed,
    #[error("there is no value")]
    ValueMissing,
    #[error("the value is not a number")]
    ValueNotANumber,
    #[error("the value does not fit into an f64")]
    ValueOutOfRange,
    #[error("the timestamp is not a number of this format")]
    TimestampNotANumber,
    #[error("there is more than a series, a value and a timestamp")]
    TooManyFields,
    #[error("a `# TYPE`, `# HELP` or `# UNIT` line names no metric or nothing of it")]
    MetadataMalformed,
    #[error("the type is none of the known ones")]
    TypeUnknown,
    #[error("the line stands after `# EOF`")]
    AfterEof,
    #[error("there is no `# EOF` at the end: the body may have been cut off")]
    EofMissing,
    #[error(transparent)]
    Labels(#[from] LabelError),
}

impl Fault {
    /// The name under which it is counted.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotUtf8 => "not_utf8",
            Self::NameInvalid => "name_invalid",
            Self::NameTwice => "name_twice",
            Self::LabelNameInvalid => "label_name_invalid",
            Self::LabelsMalformed => "labels_malformed",
            Self::LabelsUnclosed => "labels_unclosed",
            Self::ValueMissing => "value_missing",
            Self::ValueNotANumber => "value_not_a_number",
            Self::ValueOutOfRange => "value_out_of_range",
            Self::TimestampNotANumber => "timestamp_not_a_number",
            Self::TooManyFields => "too_many_fields",
            Self::MetadataMalformed => "metadata_malformed",
            Self::TypeUnknown => "type_unknown",
            Self::AfterEof => "after_eof",
            Self::EofMissing => "eof_missing",
            Self::Labels(error) => error.reason(),
        }
    }
}

/// A fault, and the byte of the line at which it stands.
pub(crate) type At<T> = Result<T, (Fault, usize)>;

/// One line, understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry<'a> {
    /// A sample.
    Sample(Reading<'a>),
    /// `# TYPE`.
    Type { metric: Cow<'a, str>, kind: &'a str },
    /// `# HELP`.
    Help { metric: Cow<'a, str>, text: Cow<'a, str> },
    /// `# UNIT`, in OpenMetrics.
    Unit { metric: Cow<'a, str>, unit: &'a str },
    /// Any other comment.
    Comment,
    /// `# EOF`, in OpenMetrics.
    End,
    /// A line that was refused.
    Bad(Reject),
}

/// A sample as it stands in the body.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The name and the labels as written. The same text is always the same series.
    pub series: &'a str,
    /// The value.
    pub value: f64,
    /// The time, where the line names one.
    pub at: Option<Timestamp>,
    line: &'a str,
    number: u64,
    series_at: usize,
}

impl PartialEq for Reading<'_> {
    /// Values bit by bit, so that NaN equals itself.
    fn eq(&self, other: &Self) -> bool {
        (self.line, self.number, self.value.to_bits()) == (other.line, other.number, other.value.to_bits())
    }
}

impl Reading<'_> {
    /// The series' labels with its name, or why it cannot be one.
    pub fn labels(&self) -> Result<Labels, Reject> {
        series_text::labels(self.series)
            .map_err(|(fault, at)| reject(&fault, self.series_at + at, self.line.as_bytes(), self.number))
    }

    /// A rejection of this line under a reason of the caller's.
    #[must_use]
    pub fn refused(&self, reason: &'static str) -> Reject {
        let before = &self.line[..self.series_at];
        Reject::new(reason, self.number, before.chars().count() as u64 + 1, self.line.as_bytes())
    }
}

/// A body, line by line. Blank lines are passed over.
#[derive(Debug, Clone)]
pub struct Exposition<'a> {
    rest: &'a [u8],
    dialect: Dialect,
    number: u64,
    /// Whether `# EOF` was seen, or its absence told.
    ended: bool,
}

impl<'a> Exposition<'a> {
    /// The lines of `body`.
    #[must_use]
    pub fn new(body: &'a [u8], dialect: Dialect) -> Self {
        Self { rest: body, dialect, number: 0, ended: false }
    }

    fn entry(&mut self, text: &'a str) -> At<Entry<'a>> {
        let start = text.len() - text.trim_start_matches(BLANK).len();
        if self.ended {
            return Err((Fault::AfterEof, start));
        }
        if let Some(comment) = text[start..].strip_prefix('#') {
            let entry = comment_line(comment, self.dialect).map_err(|(fault, at)| (fault, start + 1 + at))?;
            self.ended = entry == Entry::End;
            return Ok(entry);
        }
        let end = series_text::end(text, start)?;
        let mut fields = Fields { text, at: end };
        let (value_at, value) = fields.next().ok_or((Fault::ValueMissing, text.trim_end_matches(BLANK).len()))?;
        let value = number(value).map_err(|fault| (fault, value_at))?;
        let at = match fields.next_but_exemplar(self.dialect) {
            None => None,
            Some((at, time)) => Some(timestamp(time, self.dialect).ok_or((Fault::TimestampNotANumber, at))?),
        };
        if let Some((at, _)) = fields.next_but_exemplar(self.dialect) {
            return Err((Fault::TooManyFields, at));
        }
        let series = &text[start..end];
        Ok(Entry::Sample(Reading { series, value, at, line: text, number: self.number, series_at: start }))
    }
}

impl<'a> Iterator for Exposition<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        while !self.rest.is_empty() {
            self.number += 1;
            let end = memchr(b'\n', self.rest);
            let line = &self.rest[..end.unwrap_or(self.rest.len())];
            self.rest = end.map_or(&[], |at| &self.rest[at + 1..]);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
                continue;
            }
            let text = std::str::from_utf8(line).map_err(|error| (Fault::NotUtf8, error.valid_up_to()));
            let entry = text.and_then(|text| self.entry(text));
            return Some(entry.unwrap_or_else(|(fault, at)| Entry::Bad(reject(&fault, at, line, self.number))));
        }
        if self.dialect == Dialect::OpenMetrics && !self.ended {
            self.ended = true;
            return Some(Entry::Bad(reject(&Fault::EofMissing, 0, b"", self.number + 1)));
        }
        None
    }
}

/// Parses a whole body; samples without a time of their own get `now`.
#[must_use]
pub fn parse_body(body: &[u8], dialect: Dialect, now: Timestamp) -> Parsed {
    let mut out = Parsed::default();
    for entry in Exposition::new(body, dialect) {
        match entry {
            Entry::Sample(reading) => match reading.labels() {
                Ok(labels) => {
                    out.samples.push((labels, Sample { at: reading.at.unwrap_or(now), value: reading.value }));
                }
                Err(reject) => out.rejected.push(reject),
            },
            Entry::Bad(reject) => out.rejected.push(reject),
            entry => out.described.take(&entry),
        }
    }
    out
}

/// What stands after the `#`.
fn comment_line(comment: &str, dialect: Dialect) -> At<Entry<'_>> {
    let mut fields = Fields { text: comment, at: 0 };
    let Some((_, word)) = fields.next() else { return Ok(Entry::Comment) };
    let open_metrics = dialect == Dialect::OpenMetrics;
    match word {
        "EOF" if open_metrics && fields.next().is_none() => return Ok(Entry::End),
        "TYPE" | "HELP" => {}
        "UNIT" if open_metrics => {}
        _ => return Ok(Entry::Comment),
    }
    let after = fields.at;
    let start = after + (comment[after..].len() - comment[after..].trim_start_matches(BLANK).len());
    let (metric, end) = series_text::metric(comment, start)?;
    let rest = comment[end..].trim_matches(BLANK);
    match word {
        "TYPE" => match KINDS.contains(&rest) {
            true => Ok(Entry::Type { metric, kind: rest }),
            false if rest.is_empty() => Err((Fault::MetadataMalformed, end)),
            false => Err((Fault::TypeUnknown, comment.trim_end_matches(BLANK).len() - rest.len())),
        },
        "UNIT" => Ok(Entry::Unit { metric, unit: rest }),
        _ => Ok(Entry::Help { metric, text: series_text::unescaped(rest) }),
    }
}

fn reject(fault: &Fault, at: usize, line: &[u8], number: u64) -> Reject {
    let column = String::from_utf8_lossy(&line[..at.min(line.len())]).chars().count() as u64 + 1;
    Reject::new(fault.reason(), number, column, line)
}

/// A number, an infinity spelled out, or NaN in Prometheus's form. What overflows is refused.
fn number(text: &str) -> Result<f64, Fault> {
    match text.parse::<f64>() {
        Ok(value) if value.is_nan() => Ok(f64::from_bits(NORMAL_NAN_BITS)),
        Ok(value) if value.is_infinite() && text.bytes().any(|b| b.is_ascii_digit()) => Err(Fault::ValueOutOfRange),
        Ok(value) => Ok(value),
        Err(_) => Err(Fault::ValueNotANumber),
    }
}

fn timestamp(text: &str, dialect: Dialect) -> Option<Timestamp> {
    match dialect {
        Dialect::Text => text.parse().ok().map(Timestamp),
        Dialect::OpenMetrics => openmetrics::timestamp(text),
    }
}

/// What separates the fields of a line.
pub(crate) const BLANK: [char; 2] = [' ', '\t'];

/// The fields of a line with the byte at which each begins.
struct Fields<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Fields<'a> {
    /// The next field; where an exemplar begins the line is at its end.
    fn next_but_exemplar(&mut self, dialect: Dialect) -> Option<(usize, &'a str)> {
        let field = self.next()?;
        let exemplar = dialect == Dialect::OpenMetrics && openmetrics::is_exemplar(&self.text[field.0..]);
        if exemplar {
            self.at = self.text.len();
        }
        (!exemplar).then_some(field)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.text[self.at..];
        let start = self.at + rest.find(|c| !BLANK.contains(&c))?;
        let end = self.text[start..].find(BLANK).map_or(self.text.len(), |length| start + length);
        self.at = end;
        Some((start, &self.text[start..end]))
    }
}

#[cfg(test)]
mod tests;
