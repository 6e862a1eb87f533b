//! Graphite's pickle protocol: a length of four bytes, then a pickled `[(path, (timestamp, value)), …]`.
//!
//! The reader of pickles is restricted: lists, tuples, texts, numbers, truth values, `None` and the memo,
//! of protocols 0 to 4. It calls nothing, so an opcode that would (`GLOBAL`, `REDUCE`, …) refuses the
//! whole pickle. An item that is none is refused alone; a number written as a text is no number.
//!
//! In a rejection the line is the item, from 1, and the column the byte of the pickle where it
//! broke off, from 1. Never reads a clock.
//!
//! Sources: CPython's `pickletools`, carbon's `protocols.py`.

mod machine;

use series::{Sample, Timestamp};

use crate::graphite::{self, Fault as LineFault};
use crate::parsed::{Parsed, Reject};
use machine::{Machine, Value};

/// Bytes of one pickle, as in carbon.
pub const PICKLE_BYTES_MAX: usize = 1 << 20;

/// Why a pickle, or an item of one, was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the pickle ends in the middle")]
    CutOff,
    #[error("an opcode is none that a list of points needs")]
    Opcode,
    #[error("the opcodes do not fit together")]
    Malformed,
    #[error("the pickle is no list")]
    NotAList,
    #[error("the item is not (path, (timestamp, value))")]
    ItemMalformed,
}

impl Fault {
    /// The name under which it is counted.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::CutOff => "pickle_cut_off",
            Self::Opcode => "pickle_opcode",
            Self::Malformed => "pickle_malformed",
            Self::NotAList => "pickle_not_a_list",
            Self::ItemMalformed => "pickle_item_malformed",
        }
    }
}

/// Reads one pickle.
#[must_use]
pub fn parse(pickle: &[u8], now: Timestamp) -> Parsed {
    let mut out = Parsed::default();
    let read = Machine::run(pickle);
    let (machine, top) = match read {
        Ok(read) => read,
        Err((fault, at)) => {
            out.rejected.push(Reject::new(fault.reason(), 1, at as u64 + 1, b""));
            return out;
        }
    };
    let Some(items) = machine.items(top) else {
        out.rejected.push(Reject::new(Fault::NotAList.reason(), 1, 1, b""));
        return out;
    };
    for (number, item) in (1..).zip(items) {
        if let Err((reason, text)) = point(&machine, *item, now, &mut out) {
            out.rejected.push(Reject::new(reason, number, 1, text));
        }
    }
    out
}

fn point<'a>(
    machine: &'a Machine<'a>,
    item: usize,
    now: Timestamp,
    out: &mut Parsed,
) -> Result<(), (&'static str, &'a [u8])> {
    let malformed = |text: &'a [u8]| (Fault::ItemMalformed.reason(), text);
    let pair = |value: usize| match machine.items(value)? {
        [first, second] => Some((*first, *second)),
        _ => None,
    };
    let (path, inner) = pair(item).ok_or(malformed(b""))?;
    let path = machine.text(path).ok_or(malformed(b""))?;
    let (time, value) = pair(inner).ok_or(malformed(path))?;
    let failed = |fault: &LineFault| (fault.reason(), path);
    let number = |value: usize| match machine.value(value) {
        Some(Value::Number(number)) => Some(*number),
        _ => None,
    };
    let time = number(time).ok_or(failed(&LineFault::TimestampNotANumber))?;
    let value = number(value).ok_or(failed(&LineFault::ValueNotANumber))?;
    if value.is_nan() {
        return Err(failed(&LineFault::ValueNan));
    }
    let (at, in_ms) = graphite::time_of(time, now).map_err(|fault| failed(&fault))?;
    let text = std::str::from_utf8(path).map_err(|_| failed(&LineFault::NotUtf8))?;
    let labels = graphite::labels(text).map_err(|fault| failed(&fault))?;
    if in_ms {
        out.note("timestamp_in_ms");
    }
    out.samples.push((labels, Sample { at, value }));
    Ok(())
}

/// A pickle was announced with more bytes than are taken; nothing after it can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pickle of {bytes} bytes, at most {PICKLE_BYTES_MAX} are taken")]
pub struct TooLong {
    /// How many were announced.
    pub bytes: u32,
}

impl TooLong {
    /// The name under which it is counted.
    pub const REASON: &str = "pickle_too_long";
}

/// Pickles out of a stream of bytes, however the network cut it. Holds one pickle at most, and no more
/// than came.
#[derive(Debug, Default)]
pub struct Frames {
    held: Vec<u8>,
}

impl Frames {
    /// A stream that has not sent anything yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes; calls `each` for every pickle that they complete.
    pub fn push(&mut self, mut chunk: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), TooLong> {
        loop {
            if let Some(bytes) = self.held.first_chunk::<4>().map(|head| u32::from_be_bytes(*head)) {
                let length = usize::try_from(bytes).unwrap_or(usize::MAX);
                if length > PICKLE_BYTES_MAX {
                    return Err(TooLong { bytes });
                }
                self.hold(&mut chunk, 4 + length);
                if self.held.len() < 4 + length {
                    return Ok(());
                }
                each(&self.held[4..]);
                self.held.clear();
            } else if chunk.is_empty() {
                return Ok(());
            } else {
                self.hold(&mut chunk, 4);
            }
        }
    }

    /// Whether the stream stands in the middle of a pickle.
    #[must_use]
    pub fn is_within(&self) -> bool {
        !self.held.is_empty()
    }

    fn hold(&mut self, chunk: &mut &[u8], wanted: usize) {
        let (taken, rest) = chunk.split_at(chunk.len().min(wanted.saturating_sub(self.held.len())));
        self.held.extend_from_slice(taken);
        *chunk = rest;
    }
}

#[cfg(test)]
mod tests;
