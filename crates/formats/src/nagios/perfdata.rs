//! Performance data: `'label'=value[UOM];[warn];[crit];[min];[max]`, items apart by white space.
//!
//! A bad item is refused as a whole and its neighbours stay. What is refused, beyond text that is
//! no item: a number with a decimal comma, an infinity, a label with a stray quote. What is kept
//! although part of it makes no sense is noted: a threshold that starts after its end, or two
//! ranges joined by a comma, is dropped; of two items with one label the last one counts; a `|`
//! between items counts as white space.
//!
//! An unquoted label ends at the last `=` of its word, so `a=b=1` is `a=b`; inside quotes anything
//! may stand, and two quotes are one. Units are kept as written, see `units.rs`.

use std::collections::HashMap;

use series::limits::LABEL_VALUE_BYTES_MAX;

use super::range::{Range, RangeError, whole_number};
use crate::parsed::{Reject, Rejects};

/// Items of one output; those after that are refused.
pub const PERF_ITEMS_MAX: usize = 10_000;
/// Characters of a unit.
pub const UNIT_CHARS_MAX: usize = 32;

/// One item.
#[derive(Debug, Clone, PartialEq)]
pub struct PerfItem {
    /// Its label, without quotes.
    pub label: String,
    /// Its value; `None` where the plugin wrote `U`, could not determine it. That is no sample, and not 0.
    pub value: Option<f64>,
    /// The unit as written, empty where there is none. `c` marks a counter.
    pub unit: String,
    /// The warning threshold.
    pub warn: Option<Threshold>,
    /// The critical threshold.
    pub crit: Option<Threshold>,
    /// The least possible value.
    pub min: Option<f64>,
    /// The greatest possible value.
    pub max: Option<f64>,
}

/// A threshold as it was written, and as a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// As written.
    pub text: String,
    /// As a range; `None` where it was dropped because it makes no sense.
    pub range: Option<Range>,
}

impl Threshold {
    /// The bound, where the threshold is a plain number such as `90`.
    #[must_use]
    pub fn plain(&self) -> Option<f64> {
        whole_number(&self.text).ok()
    }
}

/// All items of one output.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Perfdata {
    /// The items, in the plugin's order.
    pub items: Vec<PerfItem>,
    /// What was refused.
    pub rejected: Rejects,
    /// What was kept although a part of it was dropped.
    pub notes: Rejects,
}

/// Why an item was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ItemFault {
    #[error("there is no `=` after the label")]
    EqualsMissing,
    #[error("the label is empty")]
    LabelEmpty,
    #[error("the label holds a quote that does not enclose it")]
    LabelQuote,
    #[error("the label's quote is never closed")]
    QuoteNotClosed,
    #[error("the label has more than {LABEL_VALUE_BYTES_MAX} bytes")]
    LabelTooLong,
    #[error("the label holds a NUL")]
    LabelNul,
    #[error("there is no white space before the next item")]
    SpaceMissing,
    #[error("there is no value")]
    ValueEmpty,
    #[error("the value is not a number")]
    ValueNotANumber,
    #[error("the value does not fit into an f64")]
    ValueOutOfRange,
    #[error("the unit has more than {UNIT_CHARS_MAX} characters or one that no unit has")]
    UnitInvalid,
    #[error("the warning threshold is not a range")]
    WarnInvalid,
    #[error("the critical threshold is not a range")]
    CritInvalid,
    #[error("the minimum is not a number")]
    MinInvalid,
    #[error("the maximum is not a number")]
    MaxInvalid,
    #[error("there is more after the maximum")]
    TooManyFields,
    #[error("there are more than {PERF_ITEMS_MAX} items")]
    TooManyItems,
    #[error("the output was cut off inside the item")]
    CutOff,
}

impl ItemFault {
    /// The name under which it is counted.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::EqualsMissing => "equals_missing",
            Self::LabelEmpty => "label_empty",
            Self::LabelQuote => "label_quote",
            Self::QuoteNotClosed => "quote_not_closed",
            Self::LabelTooLong => "label_too_long",
            Self::LabelNul => "label_nul",
            Self::SpaceMissing => "space_missing",
            Self::ValueEmpty => "value_empty",
            Self::ValueNotANumber => "value_not_a_number",
            Self::ValueOutOfRange => "value_out_of_range",
            Self::UnitInvalid => "unit_invalid",
            Self::WarnInvalid => "warn_invalid",
            Self::CritInvalid => "crit_invalid",
            Self::MinInvalid => "min_invalid",
            Self::MaxInvalid => "max_invalid",
            Self::TooManyFields => "too_many_fields",
            Self::TooManyItems => "too_many_items",
            Self::CutOff => "output_cut_off",
        }
    }
}

/// What is wrong, and at which byte of the item.
type At<T> = Result<T, (ItemFault, usize)>;

/// Parses performance data by itself, without a plugin's text before it.
#[must_use]
pub fn parse(text: &str) -> Perfdata {
    let mut reader = Reader::default();
    for (number, line) in (1..).zip(text.lines()) {
        reader.line(line, number, 1, false);
    }
    reader.finish()
}

/// Gathers items line by line.
#[derive(Default)]
pub(super) struct Reader {
    out: Perfdata,
    /// Where each label's item stands.
    places: HashMap<String, usize>,
}

impl Reader {
    /// Reads a line, or the part of one that begins at character `first_column`. `cut_off` says
    /// that the output was cut at its end, so that the last item cannot be trusted.
    pub(super) fn line(&mut self, line: &str, number: u64, first_column: u64, cut_off: bool) {
        // The column is carried along, because counting it anew for each item would be quadratic.
        let (mut at, mut column) = (0, first_column);
        while let Some(c) = line[at..].chars().next() {
            if c == '|' {
                self.out.notes.push(Reject::new("pipe_between_items", number, column, b"|"));
            }
            if c == '|' || blank(c) {
                (at, column) = (at + 1, column + 1);
                continue;
            }
            let (length, result) = item(&line[at..]);
            let text = &line[at..at + length];
            let result = if cut_off && at + length == line.len() { Err((ItemFault::CutOff, length)) } else { result };
            match result {
                Ok((item, notes)) => self.add(item, notes, number, column, text),
                Err((fault, byte)) => self.refuse(fault, number, column + chars(&text[..byte]), text),
            }
            (at, column) = (at + length, column + chars(text));
        }
    }

    pub(super) fn finish(self) -> Perfdata {
        self.out
    }

    fn refuse(&mut self, fault: ItemFault, line: u64, column: u64, text: &str) {
        self.out.rejected.push(Reject::new(fault.reason(), line, column, text.as_bytes()));
    }

    fn add(&mut self, item: PerfItem, notes: Vec<Note>, line: u64, column: u64, text: &str) {
        let place = self.places.get(&item.label).copied();
        if place.is_none() && self.out.items.len() == PERF_ITEMS_MAX {
            return self.refuse(ItemFault::TooManyItems, line, column, text);
        }
        for (reason, byte) in notes {
            let column = column + chars(&text[..byte]);
            self.out.notes.push(Reject::new(reason, line, column, text.as_bytes()));
        }
        match place.and_then(|place| self.out.items.get_mut(place)) {
            Some(earlier) => {
                *earlier = item;
                self.out.notes.push(Reject::new("label_twice", line, column, text.as_bytes()));
            }
            None => {
                self.places.insert(item.label.clone(), self.out.items.len());
                self.out.items.push(item);
            }
        }
    }
}

fn chars(text: &str) -> u64 {
    text.chars().count() as u64
}

fn blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}

/// What was dropped from a kept item, and at which byte of it.
type Note = (&'static str, usize);

/// The item at the beginning of `text`, and how many bytes it takes up.
fn item(text: &str) -> (usize, At<(PerfItem, Vec<Note>)>) {
    let word_end = |from: usize| text[from..].find(|c| blank(c) || c == '|').map_or(text.len(), |at| from + at);
    if let Some(quoted) = text.strip_prefix('\'') {
        let Some((label, taken)) = unquote(quoted) else { return (text.len(), Err((ItemFault::QuoteNotClosed, 0))) };
        let after = 1 + taken;
        let end = word_end(after);
        let Some(rest) = text[after..end].strip_prefix('=') else {
            return (end, Err((ItemFault::EqualsMissing, after)));
        };
        return (end, fields(label, rest, after + 1));
    }
    let end = word_end(0);
    let word = &text[..end];
    let Some(equals) = word.rfind('=') else { return (end, Err((ItemFault::EqualsMissing, end))) };
    let label = &word[..equals];
    if let Some(at) = label.find('\'') {
        return (end, Err((ItemFault::LabelQuote, at)));
    }
    // `a=1;2/b=3`: the next item begins somewhere before this `=`, but where is a guess.
    if label.contains('=') && label.contains(';') {
        return (end, Err((ItemFault::SpaceMissing, equals)));
    }
    (end, fields(label.to_owned(), &word[equals + 1..], equals + 1))
}

/// The label up to its closing quote, and the bytes up to and with that quote.
fn unquote(text: &str) -> Option<(String, usize)> {
    let mut label = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '\'' {
            label.push(c);
        } else if chars.next_if(|(_, next)| *next == '\'').is_some() {
            label.push('\'');
        } else {
            return Some((label, at + 1));
        }
    }
    None
}

/// The item with this label and these fields; `text` begins at byte `offset` of the item.
fn fields(label: String, text: &str, offset: usize) -> At<(PerfItem, Vec<Note>)> {
    if label.is_empty() {
        return Err((ItemFault::LabelEmpty, 0));
    }
    if label.len() > LABEL_VALUE_BYTES_MAX {
        return Err((ItemFault::LabelTooLong, 0));
    }
    if label.contains('\0') {
        return Err((ItemFault::LabelNul, 0));
    }
    let mut notes = Vec::new();
    let mut at = offset;
    let mut fields = text.split(';').map(|field| {
        let here = at;
        at += field.len() + 1;
        (here, field)
    });
    let (value_at, value) = fields.next().unwrap_or((offset, ""));
    let (value, unit) = value_and_unit(value).map_err(|(fault, byte)| (fault, value_at + byte))?;
    let mut item = PerfItem { label, value, unit: unit.to_owned(), warn: None, crit: None, min: None, max: None };
    for (index, (at, field)) in fields.enumerate() {
        if field.is_empty() {
            continue;
        }
        match index {
            0 => item.warn = Some(threshold(field, at, &mut notes).ok_or((ItemFault::WarnInvalid, at))?),
            1 => item.crit = Some(threshold(field, at, &mut notes).ok_or((ItemFault::CritInvalid, at))?),
            2 => item.min = Some(whole_number(field).map_err(|_| (ItemFault::MinInvalid, at))?),
            3 => item.max = Some(whole_number(field).map_err(|_| (ItemFault::MaxInvalid, at))?),
            _ => return Err((ItemFault::TooManyFields, at)),
        }
    }
    Ok((item, notes))
}

fn value_and_unit(text: &str) -> At<(Option<f64>, &str)> {
    if text.is_empty() {
        return Err((ItemFault::ValueEmpty, 0));
    }
    if text == "U" {
        return Ok((None, ""));
    }
    let (value, length) = number_prefix(text).ok_or((ItemFault::ValueNotANumber, 0))?;
    if !value.is_finite() {
        return Err((ItemFault::ValueOutOfRange, 0));
    }
    let unit = &text[length..];
    // What goes on like a number is a number written wrongly, not a unit.
    if unit.starts_with(|c: char| c.is_numeric() || ",._'+-:".contains(c)) {
        return Err((ItemFault::ValueNotANumber, length));
    }
    if unit.chars().count() > UNIT_CHARS_MAX || unit.contains(|c: char| c.is_control() || c == '\'' || c == ',') {
        return Err((ItemFault::UnitInvalid, length));
    }
    Ok((Some(value), unit))
}

/// `None` where a number in it is broken, so that the item's fields cannot be trusted.
fn threshold(text: &str, at: usize, notes: &mut Vec<Note>) -> Option<Threshold> {
    let range = match text.parse::<Range>() {
        Ok(range) => Some(range),
        Err(RangeError::StartAfterEnd { .. }) => {
            notes.push(("threshold_start_after_end", at));
            None
        }
        Err(_) if joined_ranges(text) => {
            notes.push(("threshold_of_many_ranges", at));
            None
        }
        Err(_) => return None,
    };
    Some(Threshold { text: text.to_owned(), range })
}

/// Whether these are ranges joined by commas (`@1:3,@10:50000`), and not a number with a decimal comma.
fn joined_ranges(text: &str) -> bool {
    text.contains(',') && text.contains(['@', ':']) && text.split(',').all(|part| part.parse::<Range>().is_ok())
}

/// The number at the beginning of `text`, `[-+]?digits[.digits][e±n]` with digits on at least one
/// side of the point, and its length in bytes. Infinite where it overflows.
pub(super) fn number_prefix(text: &str) -> Option<(f64, usize)> {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let sign = |from: usize| usize::from(matches!(bytes.get(from), Some(b'+' | b'-')));
    let mut at = sign(0);
    let whole = digits(at);
    at += whole;
    let mut fraction = 0;
    if bytes.get(at) == Some(&b'.') {
        fraction = digits(at + 1);
        at += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let first = at + 1 + sign(at + 1);
        // Without digits it is a unit: `5EB`.
        match digits(first) {
            0 => {}
            exponent => at = first + exponent,
        }
    }
    text[..at].parse().ok().map(|value| (value, at))
}
