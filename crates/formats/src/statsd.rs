//! StatsD's lines, `name:value|type|@rate|#tags`, with what DogStatsD adds to them; its events and
//! service checks are in `dogstatsd.rs`.
//!
//! Both spellings of many values are taken: `a:1|c:2|c` (StatsD) and `a:1:2|c` (DogStatsD). Each
//! value is an item or a rejection of its own; a fault of the type or the rate costs the values that
//! share it. As in StatsD, a type that nobody knows is a counter, a number may be hexadecimal, and a
//! rate may be above 1. The field after the type that is neither a rate nor tags nor looks like a
//! field of a later version (`c:…`, `T…`, `key:…`) is a bad rate; any other unknown field is
//! passed over.
//!
//! Items borrow from the datagram. Knows no sums, no flush and no clock.

use memchr::memchr;
use series::{LabelError, Labels, METRIC_NAME};

use crate::dogstatsd::{self, Event, ServiceCheck};
use crate::lines::LINE_BYTES_MAX;
use crate::parsed::{Reject, Rejects};

/// Why a line or a value was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the line has more than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    #[error("the line is not UTF-8")]
    NotUtf8,
    #[error("there is no name before the colon")]
    NameEmpty,
    #[error("there is no value")]
    ValueMissing,
    #[error("there is no type")]
    TypeMissing,
    #[error("the value is not a number")]
    ValueNotANumber,
    #[error("the value does not fit into an f64")]
    ValueOutOfRange,
    #[error("a time is negative")]
    TimeNegative,
    #[error("the sample rate is not `@` and a number above 0")]
    RateInvalid,
    #[error("the event is not of the form _e{{title bytes,text bytes}}:title|text")]
    EventMalformed,
    #[error("the event's lengths are not those of its title and text")]
    EventLength,
    #[error("the service check is not of the form _sc|name|status")]
    ServiceCheckMalformed,
    #[error("the service check's status is not 0 to 3")]
    StatusInvalid,
}

impl Fault {
    /// The name under which it is counted.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::LineTooLong => "line_too_long",
            Self::NotUtf8 => "not_utf8",
            Self::NameEmpty => "name_empty",
            Self::ValueMissing => "value_missing",
            Self::TypeMissing => "type_missing",
            Self::ValueNotANumber => "value_not_a_number",
            Self::ValueOutOfRange => "value_out_of_range",
            Self::TimeNegative => "time_negative",
            Self::RateInvalid => "rate_invalid",
            Self::EventMalformed => "event_malformed",
            Self::EventLength => "event_length",
            Self::ServiceCheckMalformed => "service_check_malformed",
            Self::StatusInvalid => "status_invalid",
        }
    }
}

/// A fault, and the byte of the line at which it stands.
pub(crate) type At<T> = Result<T, (Fault, usize)>;

/// What a metric's type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `c`, and every type that nobody knows.
    Counter,
    /// `g`
    Gauge,
    /// `ms`
    Timer,
    /// `h`
    Histogram,
    /// `d`
    Distribution,
    /// `s`
    Set,
}

/// A metric's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A finite number. `signed` where it was written with `+` or `-`: a gauge's change, in StatsD.
    Number { value: f64, signed: bool },
    /// A member of a set.
    Member(&'a str),
}

/// One value of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric<'a> {
    /// The name as written; [`labels`] makes a series of it.
    pub name: &'a str,
    /// Its type.
    pub kind: Kind,
    /// The value.
    pub value: Value<'a>,
    /// The part of all events that was sent, above 0: the value stands for `1 / rate` of them.
    pub rate: f64,
    /// `key:value,tag`, as written, without the `#`.
    pub tags: &'a str,
}

/// What a line holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Item<'a> {
    /// A metric's value.
    Metric(Metric<'a>),
    /// An event of DogStatsD.
    Event(Event<'a>),
    /// A service check of DogStatsD.
    ServiceCheck(ServiceCheck<'a>),
}

/// Reads a datagram's lines, or those of a chunk of a stream that ends with a line's end. `each` may
/// refuse an item with a reason of its own.
pub fn parse_datagram(
    datagram: &[u8],
    rejected: &mut Rejects,
    mut each: impl FnMut(Item<'_>) -> Result<(), &'static str>,
) {
    let (mut rest, mut number) = (datagram, 0);
    while !rest.is_empty() {
        number += 1;
        let end = memchr(b'\n', rest);
        parse_line(&rest[..end.unwrap_or(rest.len())], number, rejected, &mut each);
        rest = end.map_or(&[], |at| &rest[at + 1..]);
    }
}

/// Reads one line, without its line feed. An empty one is passed over.
pub fn parse_line(
    line: &[u8],
    number: u64,
    rejected: &mut Rejects,
    each: &mut impl FnMut(Item<'_>) -> Result<(), &'static str>,
) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return;
    }
    let mut refuse = |reason: &'static str, at: usize| {
        let column = String::from_utf8_lossy(&line[..at.min(line.len())]).chars().count() as u64 + 1;
        rejected.push(Reject::new(reason, number, column, line));
    };
    if line.len() > LINE_BYTES_MAX {
        return refuse(Fault::LineTooLong.reason(), LINE_BYTES_MAX);
    }
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => return refuse(Fault::NotUtf8.reason(), error.valid_up_to()),
    };
    let mut take = |item: At<Item<'_>>| match item {
        Ok(item) => {
            if let Err(reason) = each(item) {
                refuse(reason, 0);
            }
        }
        Err((fault, at)) => refuse(fault.reason(), at),
    };
    if text.starts_with("_e{") {
        take(dogstatsd::event(text).map(Item::Event));
    } else if text.starts_with("_sc|") {
        take(dogstatsd::service_check(text).map(Item::ServiceCheck));
    } else {
        metrics(text, &mut |metric| take(metric.map(Item::Metric)));
    }
}

fn metrics<'a>(line: &'a str, take: &mut impl FnMut(At<Metric<'a>>)) {
    let Some((name, values)) = line.split_once(':') else { return take(Err((Fault::ValueMissing, line.len()))) };
    if name.is_empty() {
        return take(Err((Fault::NameEmpty, 0)));
    }
    let mut rest = Some(values);
    while let Some(group) = rest {
        let at = line.len() - group.len();
        rest = match Group::read(group) {
            Ok((group, next)) => {
                group.values(at, name, take);
                next
            }
            Err((fault, offset, next)) => {
                take(Err((fault, at + offset)));
                next
            }
        };
    }
}

/// Values that share a type: `1:2|c|@0.5|#tags`.
struct Group<'a> {
    values: &'a str,
    kind: Kind,
    rate: f64,
    tags: &'a str,
}

impl<'a> Group<'a> {
    /// A group, and the text of the next one; or a fault, its byte, and the next one.
    #[expect(clippy::type_complexity, reason = "both ways out lead on to the next group")]
    fn read(text: &'a str) -> Result<(Self, Option<&'a str>), (Fault, usize, Option<&'a str>)> {
        let Some((values, after)) = text.split_once('|') else { return Err((Fault::TypeMissing, text.len(), None)) };
        let type_end = after.find(['|', ':']).unwrap_or(after.len());
        let mut group = Self { values, kind: kind(&after[..type_end]), rate: 1.0, tags: "" };
        let mut fault = (type_end == 0).then_some((Fault::TypeMissing, values.len() + 1));
        let (mut rest, mut first) = (&after[type_end..], true);
        while let Some(field) = rest.strip_prefix('|') {
            let at = text.len() - field.len();
            // Tags and later fields hold colons of their own; a rate does not.
            let end = if field.starts_with('@') { field.find(['|', ':']) } else { field.find('|') };
            let (field, after) = field.split_at(end.unwrap_or(field.len()));
            match field.as_bytes().first() {
                Some(b'@') => match number(&field[1..]).ok().filter(|rate| *rate > 0.0) {
                    Some(rate) => group.rate = rate,
                    None => fault = fault.or(Some((Fault::RateInvalid, at))),
                },
                Some(b'#') => group.tags = &field[1..],
                _ if first && !is_later_field(field) => fault = fault.or(Some((Fault::RateInvalid, at))),
                _ => {}
            }
            (rest, first) = (after, false);
        }
        let next = rest.strip_prefix(':');
        match fault {
            Some((fault, at)) => Err((fault, at, next)),
            None => Ok((group, next)),
        }
    }

    fn values(&self, at: usize, name: &'a str, take: &mut impl FnMut(At<Metric<'a>>)) {
        let metric = |value| Metric { name, kind: self.kind, value, rate: self.rate, tags: self.tags };
        if self.kind == Kind::Set {
            return take(match self.values {
                "" => Err((Fault::ValueMissing, at)),
                member => Ok(metric(Value::Member(member))),
            });
        }
        let mut offset = at;
        for text in self.values.split(':') {
            let signed = text.trim_ascii().starts_with(['+', '-']);
            take(match number(text) {
                Ok(value) if self.kind == Kind::Timer && value < 0.0 => Err((Fault::TimeNegative, offset)),
                Ok(value) => Ok(metric(Value::Number { value, signed })),
                Err(fault) => Err((fault, offset)),
            });
            offset += text.len() + 1;
        }
    }
}

fn kind(text: &str) -> Kind {
    match text.trim_ascii() {
        "g" => Kind::Gauge,
        "ms" => Kind::Timer,
        "h" => Kind::Histogram,
        "d" => Kind::Distribution,
        "s" => Kind::Set,
        _ => Kind::Counter,
    }
}

/// Whether it looks like a field of DogStatsD's later versions: `T1656581400`, `c:…`, `card:…`.
fn is_later_field(field: &str) -> bool {
    let timestamp = field.strip_prefix('T').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let keyed = field.split_once(':').is_some_and(|(key, _)| !key.is_empty());
    (timestamp && field.len() > 1) || keyed
}

/// A finite number, decimal or hexadecimal.
fn number(text: &str) -> Result<f64, Fault> {
    let text = text.trim_ascii();
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
        let value = u64::from_str_radix(digits, 16).ok().filter(|_| plain);
        return value.map(|value| value as f64).ok_or(Fault::ValueNotANumber);
    }
    // Words such as `inf` and `nan` are no values.
    if !text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E')) {
        return Err(Fault::ValueNotANumber);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(Fault::ValueOutOfRange),
        Err(_) => Err(Fault::ValueNotANumber),
    }
}

/// The labels of a metric, without the ones that the receiver adds.
///
/// The name is cleaned as StatsD does it: white space becomes `_`, `/` becomes `-`, anything else but
/// letters, digits, `_`, `-` and `.` goes; `;key=value` after it are tags, as Graphite has them. A tag
/// without a value is `true`. A key given twice counts as given last.
pub fn labels(name: &str, tags: &str) -> Result<Labels, LabelError> {
    let mut parts = name.split(';');
    let name = clean(parts.next().unwrap_or_default());
    let in_name = parts.filter_map(|part| part.split_once('='));
    let tagged = tags.split(',').map(|tag| tag.split_once(':').unwrap_or((tag, "true")));
    let mut pairs: Vec<(&str, &str)> =
        in_name.chain(tagged).filter(|(key, _)| !key.is_empty() && *key != METRIC_NAME).collect();
    pairs.reverse();
    pairs.sort_by(|a, b| a.0.cmp(b.0));
    pairs.dedup_by(|later, first| later.0 == first.0);
    Labels::from_pairs(pairs.into_iter().chain([(METRIC_NAME, name.as_str())]))?.require_metric_name()
}

fn clean(name: &str) -> String {
    let mut clean = String::with_capacity(name.len());
    let mut in_space = false;
    for c in name.chars() {
        let space = c.is_whitespace();
        match c {
            _ if space && !in_space => clean.push('_'),
            '/' => clean.push('-'),
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') => clean.push(c),
            _ => {}
        }
        in_space = space;
    }
    clean
}

#[cfg(test)]
mod tests;
