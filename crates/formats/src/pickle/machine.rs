//! The stack machine of a pickle, as far as data needs it.
//!
//! Values stand in one row and are named by their place, so that the memo copies nothing and what
//! is built is never larger than the pickle. Nothing is walked in depth: who reads a list looks at its
//! items one by one.

use super::Fault;

/// A value. Texts borrow from the pickle, so escapes of protocol 0's texts stay as written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Number(f64),
    Text(&'a [u8]),
    /// A list or a tuple.
    Items(Vec<usize>),
}

/// A pickle that was read.
#[derive(Debug, Default)]
pub(super) struct Machine<'a> {
    values: Vec<Value<'a>>,
    stack: Vec<usize>,
    /// Where the stack stood at each mark.
    marks: Vec<usize>,
    memo: std::collections::HashMap<u32, usize>,
}

/// The bytes that were not read yet.
struct Bytes<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let taken = self.all.get(self.at..).and_then(|rest| rest.get(..count)).ok_or(Fault::CutOff)?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.take(N)?.try_into().map_err(|_| Fault::CutOff)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>()?[0])
    }

    /// Up to the line's end.
    fn line(&mut self) -> Result<&'a [u8], Fault> {
        let rest = self.all.get(self.at..).unwrap_or_default();
        let length = memchr::memchr(b'\n', rest).ok_or(Fault::CutOff)?;
        self.at += length + 1;
        Ok(rest[..length].strip_suffix(b"\r").unwrap_or(&rest[..length]))
    }

    /// As many bytes as a length of `width` bytes says, the least significant first.
    fn sized(&mut self, width: usize) -> Result<&'a [u8], Fault> {
        let length = self.take(width)?.iter().rev().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
        self.take(usize::try_from(length).map_err(|_| Fault::CutOff)?)
    }
}

impl<'a> Machine<'a> {
    /// Reads up to the end mark: the machine and the place of the value on top, or a fault and its byte.
    pub(super) fn run(pickle: &'a [u8]) -> Result<(Self, usize), (Fault, usize)> {
        let mut machine = Self::default();
        let mut bytes = Bytes { all: pickle, at: 0 };
        loop {
            let at = bytes.at;
            let opcode = bytes.byte().map_err(|fault| (fault, at))?;
            if opcode == b'.' {
                let top = machine.pop().map_err(|fault| (fault, at))?;
                return Ok((machine, top));
            }
            machine.step(opcode, &mut bytes).map_err(|fault| (fault, at))?;
        }
    }

    pub(super) fn value(&self, place: usize) -> Option<&Value<'a>> {
        self.values.get(place)
    }

    /// The items of a list or a tuple.
    pub(super) fn items(&self, place: usize) -> Option<&[usize]> {
        match self.value(place)? {
            Value::Items(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn text(&self, place: usize) -> Option<&'a [u8]> {
        match self.value(place)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn step(&mut self, opcode: u8, bytes: &mut Bytes<'a>) -> Result<(), Fault> {
        match opcode {
            // PROTO, FRAME
            0x80 => bytes.take(1).map(drop)?,
            0x95 => bytes.take(8).map(drop)?,
            b'(' => self.marks.push(self.stack.len()),
            b'0' => self.pop().map(drop)?,
            b'1' => self.since_mark().map(drop)?,
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Number(1.0)),
            0x89 => self.push(Value::Number(0.0)),
            // Whole numbers: in decimal, and of 4, 1, 2 and any number of bytes.
            b'I' | b'L' => self.decimal(bytes.line()?)?,
            b'J' => self.number(f64::from(i32::from_le_bytes(bytes.array()?))),
            b'K' => self.number(f64::from(bytes.byte()?)),
            b'M' => self.number(f64::from(u16::from_le_bytes(bytes.array()?))),
            0x8a => self.long(bytes.sized(1)?),
            0x8b => self.long(bytes.sized(4)?),
            b'F' => self.decimal(bytes.line()?)?,
            b'G' => self.number(f64::from_be_bytes(bytes.array()?)),
            // Texts: quoted, in a line, and after a length of 4, 1 or 8 bytes.
            b'S' => {
                let text = unquoted(bytes.line()?)?;
                self.push(Value::Text(text));
            }
            b'V' => {
                let text = bytes.line()?;
                self.push(Value::Text(text));
            }
            b'T' | b'X' | b'B' => self.text_of(bytes.sized(4)?),
            b'U' | b'C' | 0x8c => self.text_of(bytes.sized(1)?),
            0x8d | 0x8e => self.text_of(bytes.sized(8)?),
            b']' | b')' => self.push(Value::Items(Vec::new())),
            b'l' | b't' => {
                let items = self.since_mark()?;
                self.push(Value::Items(items));
            }
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub(usize::from(opcode - 0x84)).ok_or(Fault::Malformed)?;
                let items = self.above(from)?;
                self.push(Value::Items(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(&[item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.extend(&items)?;
            }
            b'p' => self.remember(key(bytes.line()?)?)?,
            b'q' => self.remember(u32::from(bytes.byte()?))?,
            b'r' => self.remember(u32::from_le_bytes(bytes.array()?))?,
            0x94 => self.remember(u32::try_from(self.memo.len()).map_err(|_| Fault::Malformed)?)?,
            b'g' => self.recall(key(bytes.line()?)?)?,
            b'h' => self.recall(u32::from(bytes.byte()?))?,
            b'j' => self.recall(u32::from_le_bytes(bytes.array()?))?,
            _ => return Err(Fault::Opcode),
        }
        Ok(())
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn number(&mut self, number: f64) {
        self.push(Value::Number(number));
    }

    fn text_of(&mut self, text: &'a [u8]) {
        self.push(Value::Text(text));
    }

    /// A number in a line: `5`, `5L`, `01` (true) or `0.5`.
    fn decimal(&mut self, line: &[u8]) -> Result<(), Fault> {
        let text = std::str::from_utf8(line).map_err(|_| Fault::Malformed)?;
        let number: f64 = text.trim().trim_end_matches('L').parse().map_err(|_| Fault::Malformed)?;
        self.number(number);
        Ok(())
    }

    /// A whole number in two's complement, the least significant byte first.
    fn long(&mut self, bytes: &[u8]) {
        let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
        let magnitude = bytes.iter().rev().fold(0.0, |sum, byte| {
            let byte = if negative { !byte } else { *byte };
            sum * 256.0 + f64::from(byte)
        });
        self.number(if negative { -magnitude - 1.0 } else { magnitude });
    }

    /// Takes the top off; never what stands below the last mark.
    fn pop(&mut self) -> Result<usize, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(Fault::Malformed);
        }
        self.stack.pop().ok_or(Fault::Malformed)
    }

    fn since_mark(&mut self) -> Result<Vec<usize>, Fault> {
        let mark = self.marks.pop().ok_or(Fault::Malformed)?;
        Ok(self.stack.split_off(mark))
    }

    fn above(&mut self, from: usize) -> Result<Vec<usize>, Fault> {
        if from < self.marks.last().copied().unwrap_or(0) {
            return Err(Fault::Malformed);
        }
        Ok(self.stack.split_off(from))
    }

    /// Adds to the list on top.
    fn extend(&mut self, more: &[usize]) -> Result<(), Fault> {
        let list = self.stack.last().copied().ok_or(Fault::Malformed)?;
        match self.values.get_mut(list) {
            Some(Value::Items(items)) => items.extend_from_slice(more),
            _ => return Err(Fault::Malformed),
        }
        Ok(())
    }

    fn remember(&mut self, key: u32) -> Result<(), Fault> {
        let top = self.stack.last().copied().ok_or(Fault::Malformed)?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), Fault> {
        let place = self.memo.get(&key).copied().ok_or(Fault::Malformed)?;
        self.stack.push(place);
        Ok(())
    }
}

fn key(line: &[u8]) -> Result<u32, Fault> {
    std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).ok_or(Fault::Malformed)
}

fn unquoted(line: &[u8]) -> Result<&[u8], Fault> {
    match line {
        [b'\'', text @ .., b'\''] | [b'"', text @ .., b'"'] => Ok(text),
        _ => Err(Fault::Malformed),
    }
}
