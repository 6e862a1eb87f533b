//! Graphite's plaintext protocol: `path value [timestamp]`, a line each.
//!
//! What carbon does is kept: fields stand apart by any white space, `-1` means now, fractions of a
//! second are floored, NaN is dropped. Beyond it, the timestamp may be missing or `N` (now), and
//! 13 digits are taken as milliseconds (noted as `timestamp_in_ms`). Against it, `1_000` is no
//! number, and neither is a value too great for an f64. The path is the metric's name, dots and
//! all (`{__name__="load.load.shortterm"}`); tags become labels, see `tags.rs`.
//!
//! Empty lines are skipped; every other line is a sample or a rejection. Never reads a clock:
//! "now" is an argument and is taken as it is, to the millisecond.

mod tags;

use memchr::memchr;
use series::{LabelError, Labels, Sample, Timestamp};

use crate::lines::{LINE_BYTES_MAX, Line, LineSplitter};
use crate::parsed::{Parsed, Reject};
pub use tags::TagError;

/// The greatest timestamp taken as seconds: eleven digits, in the year 5138.
pub const TIMESTAMP_SECONDS_MAX: f64 = 99_999_999_999.0;
/// The least timestamp taken as milliseconds, the least number of 13 digits: in the year 2001.
pub const TIMESTAMP_MS_MIN: f64 = 1_000_000_000_000.0;
/// The greatest timestamp taken as milliseconds, the greatest number of 13 digits: in the year 2286.
pub const TIMESTAMP_MS_MAX: f64 = 9_999_999_999_999.0;

/// Why a line was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the line has more than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    #[error("the line is not UTF-8")]
    NotUtf8,
    #[error("there is a path, but no value")]
    ValueMissing,
    #[error("there is more than a path, a value and a timestamp")]
    TooManyFields,
    #[error("the value is not a number")]
    ValueNotANumber,
    #[error("the value is NaN, which Graphite drops")]
    ValueNan,
    #[error("the value does not fit into an f64")]
    ValueOutOfRange,
    #[error("the timestamp is not a number")]
    TimestampNotANumber,
    #[error("the timestamp is neither in seconds up to the year 5138 nor in milliseconds")]
    TimestampOutOfRange,
    #[error(transparent)]
    Tags(#[from] TagError),
    #[error(transparent)]
    Labels(#[from] LabelError),
}

impl Fault {
    /// The name under which it is counted.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::LineTooLong => "line_too_long",
            Self::NotUtf8 => "not_utf8",
            Self::ValueMissing => "value_missing",
            Self::TooManyFields => "too_many_fields",
            Self::ValueNotANumber => "value_not_a_number",
            Self::ValueNan => "value_nan",
            Self::ValueOutOfRange => "value_out_of_range",
            Self::TimestampNotANumber => "timestamp_not_a_number",
            Self::TimestampOutOfRange => "timestamp_out_of_range",
            Self::Tags(error) => error.reason(),
            Self::Labels(error) => error.reason(),
        }
    }
}

/// One line, understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Name and tags.
    pub labels: Labels,
    /// Value and time.
    pub sample: Sample,
    /// Whether the timestamp was written in milliseconds.
    pub in_ms: bool,
}

/// Parses one line (without its line feed), or says what is wrong at which byte of it. An empty
/// line, or one of white space alone, is `None`.
pub fn parse_line(line: &[u8], now: Timestamp) -> Result<Option<Point>, (Fault, usize)> {
    if line.len() > LINE_BYTES_MAX {
        return Err((Fault::LineTooLong, LINE_BYTES_MAX));
    }
    let text = std::str::from_utf8(line).map_err(|error| (Fault::NotUtf8, error.valid_up_to()))?;
    let mut fields = Fields { text, at: 0 };
    let Some((path_at, path)) = fields.next() else { return Ok(None) };
    let Some((value_at, value)) = fields.next() else { return Err((Fault::ValueMissing, text.trim_ascii_end().len())) };
    let time = fields.next();
    if let Some((at, _)) = fields.next() {
        return Err((Fault::TooManyFields, at));
    }
    let value = number(value, Fault::ValueNotANumber, Fault::ValueOutOfRange).map_err(|fault| (fault, value_at))?;
    if value.is_nan() {
        return Err((Fault::ValueNan, value_at));
    }
    let (at, in_ms) = match time {
        None => (now, false),
        Some((time_at, time)) => timestamp(time, now).map_err(|fault| (fault, time_at))?,
    };
    let labels = tags::labels(path).map_err(|(fault, at)| (fault, path_at + at))?;
    Ok(Some(Point { labels, sample: Sample { at, value }, in_ms }))
}

/// Parses a whole body or datagram.
#[must_use]
pub fn parse_body(body: &[u8], now: Timestamp) -> Parsed {
    let mut out = Parsed::default();
    let (mut rest, mut number) = (body, 0);
    while !rest.is_empty() {
        number += 1;
        let end = memchr(b'\n', rest);
        let line = &rest[..end.unwrap_or(rest.len())];
        add_line(line, number, now, &mut out);
        rest = end.map_or(&[], |at| &rest[at + 1..]);
    }
    out
}

/// One connection's lines, however TCP cut them.
#[derive(Debug, Default)]
pub struct Connection {
    lines: LineSplitter,
}

impl Connection {
    /// A connection that has not sent anything yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses the lines that `chunk` ends, and keeps its tail for the next call.
    pub fn read(&mut self, chunk: &[u8], now: Timestamp, out: &mut Parsed) {
        self.lines.push(chunk, |number, line| add_split(line, number, now, out));
    }

    /// The peer closed: parses a last line that no line feed ended.
    pub fn close(&mut self, now: Timestamp, out: &mut Parsed) {
        self.lines.finish(|number, line| add_split(line, number, now, out));
    }
}

fn add_split(line: Line<'_>, number: u64, now: Timestamp, out: &mut Parsed) {
    match line {
        Line::Whole(line) => add_line(line, number, now, out),
        Line::TooLong { head, .. } => {
            out.rejected.push(Reject::new(Fault::LineTooLong.reason(), number, column(head, LINE_BYTES_MAX), head));
        }
    }
}

fn add_line(line: &[u8], number: u64, now: Timestamp, out: &mut Parsed) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match parse_line(line, now) {
        Ok(None) => {}
        Ok(Some(point)) => {
            if point.in_ms {
                out.note("timestamp_in_ms");
            }
            out.samples.push((point.labels, point.sample));
        }
        Err((fault, at)) => out.rejected.push(Reject::new(fault.reason(), number, column(line, at), line)),
    }
}

/// The labels of a path that stands alone.
pub(crate) fn labels(path: &str) -> Result<Labels, Fault> {
    tags::labels(path).map_err(|(fault, _)| fault)
}

/// The character, from 1, at byte `at` of the line.
fn column(line: &[u8], at: usize) -> u64 {
    String::from_utf8_lossy(&line[..at.min(line.len())]).chars().count() as u64 + 1
}

/// A finite number, an infinity spelled out, or NaN. What overflows is refused.
fn number(text: &str, not_a_number: Fault, out_of_range: Fault) -> Result<f64, Fault> {
    match text.parse::<f64>() {
        Ok(value) if value.is_infinite() && text.bytes().any(|b| b.is_ascii_digit()) => Err(out_of_range),
        Ok(value) => Ok(value),
        Err(_) => Err(not_a_number),
    }
}

/// The time, and whether it was written in milliseconds.
fn timestamp(text: &str, now: Timestamp) -> Result<(Timestamp, bool), Fault> {
    if text == "N" {
        return Ok((now, false));
    }
    time_of(number(text, Fault::TimestampNotANumber, Fault::TimestampOutOfRange)?, now)
}

/// The same of a time that is a number already.
pub(crate) fn time_of(time: f64, now: Timestamp) -> Result<(Timestamp, bool), Fault> {
    if time.is_nan() {
        return Err(Fault::TimestampNotANumber);
    }
    let whole = time.floor();
    if time == -1.0 {
        Ok((now, false))
    } else if (0.0..=TIMESTAMP_SECONDS_MAX).contains(&whole) {
        Ok((Timestamp::from_seconds(whole), false))
    } else if (TIMESTAMP_MS_MIN..=TIMESTAMP_MS_MAX).contains(&whole) {
        // Below 2^53, so the cast is exact.
        Ok((Timestamp(whole as i64), true))
    } else {
        Err(Fault::TimestampOutOfRange)
    }
}

/// The fields of a line with the byte at which each begins.
struct Fields<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        // What Python's `bytes.split` takes as white space.
        let blank = |b: &u8| b.is_ascii_whitespace() || *b == 0x0b;
        let bytes = self.text.as_bytes();
        let start = self.at + bytes[self.at..].iter().position(|b| !blank(b))?;
        let length = bytes[start..].iter().position(blank).unwrap_or(bytes.len() - start);
        self.at = start + length;
        Some((start, &self.text[start..self.at]))
    }
}

#[cfg(test)]
mod tests;
