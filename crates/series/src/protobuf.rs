//! Protobuf without messages: the fields of a slice, borrowed, and label sets as protobuf writes them.
//!
//! For the paths on which a string a label would be too dear (remote write, packed batches). Reading
//! is total and allocates nothing; lengths are held against what is there. Groups are refused: no
//! message that is read here has one. Source: <https://protobuf.dev/programming-guides/encoding/>.
//!
//! The *text* of a label set is `repeated Label labels = 1` with `Label { name = 1; value = 2 }`, as in
//! remote write's `TimeSeries`. Its plain form, which [`put_labels`] writes, is sorted by name, holds no
//! empty value and no other field.

use crate::labels::{LabelError, Labels};

/// Why bytes are not protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    #[error("the message ends in the middle of a field")]
    Truncated,
    #[error("a number has more than 64 bits")]
    VarintTooLong,
    #[error("wire type {0} is not known")]
    WireType(u8),
    #[error("a field has number 0")]
    FieldZero,
}

/// The content of one field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2: text, bytes, a message, packed numbers.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// Walks the fields of a message.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
    failed: bool,
}

impl<'a> Fields<'a> {
    /// Starts at the front of `message`.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message, failed: false }
    }

    /// What is not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), ProtobufError> {
        let key = varint(&mut self.rest)?;
        let number = u32::try_from(key >> 3).map_err(|_| ProtobufError::VarintTooLong)?;
        if number == 0 {
            return Err(ProtobufError::FieldZero);
        }
        let value = match (key & 7) as u8 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => Value::Fixed64(u64::from_le_bytes(*chunk(&mut self.rest)?)),
            2 => Value::Bytes(bytes(&mut self.rest)?),
            5 => Value::Fixed32(u32::from_le_bytes(*chunk(&mut self.rest)?)),
            other => return Err(ProtobufError::WireType(other)),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), ProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() || self.failed {
            return None;
        }
        let field = self.field();
        self.failed = field.is_err();
        Some(field)
    }
}

/// Reads a varint off the front.
#[inline]
pub fn varint(rest: &mut &[u8]) -> Result<u64, ProtobufError> {
    let mut value = 0_u64;
    for (index, byte) in rest.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            return Err(ProtobufError::VarintTooLong);
        }
        value |= bits << (7 * index);
        if byte < &0x80 {
            *rest = &rest[index + 1..];
            return Ok(value);
        }
    }
    Err(if rest.len() < 10 { ProtobufError::Truncated } else { ProtobufError::VarintTooLong })
}

/// Reads a length and that many bytes off the front.
#[inline]
pub fn bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], ProtobufError> {
    let length = usize::try_from(varint(rest)?).map_err(|_| ProtobufError::Truncated)?;
    let (taken, after) = rest.split_at_checked(length).ok_or(ProtobufError::Truncated)?;
    *rest = after;
    Ok(taken)
}

fn chunk<'a, const N: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; N], ProtobufError> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(ProtobufError::Truncated)?;
    *rest = after;
    Ok(taken)
}

/// Appends `value` as a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes that a varint takes.
fn varint_bytes(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Appends the plain text of `labels`.
pub fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    for (name, value) in labels {
        let length = 2 + varint_bytes(name.len()) + name.len() + varint_bytes(value.len()) + value.len();
        out.push(0x0a);
        put_varint(out, length as u64);
        for (tag, text) in [(0x0a, name), (0x12, value)] {
            out.push(tag);
            put_varint(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// Why a label set's text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelTextError {
    #[error("the labels are not protobuf: {0}")]
    Protobuf(#[from] ProtobufError),
    #[error("label {0:?} is not UTF-8")]
    NotUtf8(String),
    #[error(transparent)]
    Labels(#[from] LabelError),
}

impl LabelTextError {
    /// The reason under which a rejection is counted in the ledger.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Protobuf(_) => "not_protobuf",
            Self::NotUtf8(_) => "label_not_utf8",
            Self::Labels(error) => error.reason(),
        }
    }
}

/// Reads a label set with a metric name from its text; labels may come in any order, other fields are
/// skipped.
pub fn labels(text: &[u8]) -> Result<Labels, LabelTextError> {
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(16);
    for field in Fields::new(text) {
        let (1, Value::Bytes(label)) = field? else { continue };
        let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
        for field in Fields::new(label) {
            match field? {
                (1, Value::Bytes(bytes)) => name = bytes,
                (2, Value::Bytes(bytes)) => value = bytes,
                _ => {}
            }
        }
        let shown = || String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned();
        let read = |bytes| std::str::from_utf8(bytes).map_err(|_| LabelTextError::NotUtf8(shown()));
        pairs.push((read(name)?, read(value)?));
    }
    Ok(Labels::from_pairs(pairs)?.require_metric_name()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_their_limit_and_one_past_it() {
        let mut out = Vec::new();
        put_varint(&mut out, u64::MAX);
        assert_eq!((varint(&mut out.as_slice()), varint_bytes(300)), (Ok(u64::MAX), 2));
        out[9] = 2;
        assert_eq!(varint(&mut out.as_slice()), Err(ProtobufError::VarintTooLong));
        assert_eq!(varint(&mut &[0x80; 3][..]), Err(ProtobufError::Truncated));
        assert_eq!(varint(&mut &[0x80; 11][..]), Err(ProtobufError::VarintTooLong));
    }

    #[test]
    fn fields_of_each_wire_type_and_what_is_none() {
        let message = [0x08, 7, 0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0x1a, 1, b'x', 0x25, 2, 0, 0, 0];
        let fields: Vec<_> = Fields::new(&message).map(Result::unwrap).collect();
        let expected = [(1, Value::Varint(7)), (2, Value::Fixed64(1)), (3, Value::Bytes(b"x")), (4, Value::Fixed32(2))];
        assert_eq!(fields, expected);
        for (bad, error) in [
            (&[0x0a, 5, 1][..], ProtobufError::Truncated),
            (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], ProtobufError::Truncated),
            (&[0x0b], ProtobufError::WireType(3)),
            (&[0x00], ProtobufError::FieldZero),
        ] {
            assert_eq!(Fields::new(bad).collect::<Vec<_>>(), [Err(error)]);
        }
    }

    #[test]
    fn a_label_set_and_its_text() {
        let set = Labels::from_pairs([("__name__", "up"), ("job", "x".repeat(200).as_str())]).unwrap();
        let mut text = Vec::new();
        put_labels(&mut text, &set);
        assert_eq!(labels(&text), Ok(set));
        for (text, reason) in [
            (&b"\x0a\x07\x0a\x01a\x12\x02b"[..], "not_protobuf"),
            (b"\x0a\x06\x0a\x01a\x12\x01\xff", "label_not_utf8"),
            (b"\x0a\x06\x0a\x01a\x12\x01b", "no_metric_name"),
            (b"\x0a\x06\x0a\x01a\x12\x01b\x0a\x06\x0a\x01a\x12\x01c", "label_duplicate"),
            (b"\x0a\x03\x12\x01b", "label_name_empty"),
        ] {
            assert_eq!(labels(text).unwrap_err().reason(), reason);
        }
    }
}
