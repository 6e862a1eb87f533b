//! Thrift's compact protocol, as far as Parquet's metadata need it: a writer of structs, and a reader
//! that looks for some numbers and skips what it does not know.

use wire::columns::{Reader, put_varint, put_zigzag};

use super::ParquetError;

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;
/// Structs inside of structs that the reader follows.
const DEPTH_MAX: u8 = 16;

/// What a list holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Element {
    Bool = TRUE as isize,
    I32 = I32 as isize,
    I64 = I64 as isize,
    Binary = BINARY as isize,
    Struct = STRUCT as isize,
}

/// Writes one struct and what is in it.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) out: Vec<u8>,
    last: i16,
    outer: Vec<i16>,
}

impl Writer {
    fn field(&mut self, id: i16, kind: u8) {
        let delta = id - self.last;
        if (1..=15).contains(&delta) {
            self.out.push((delta as u8) << 4 | kind);
        } else {
            self.out.push(kind);
            put_zigzag(&mut self.out, i64::from(id));
        }
        self.last = id;
    }

    pub(super) fn bool(&mut self, id: i16, value: bool) {
        self.field(id, if value { TRUE } else { FALSE });
    }

    pub(super) fn i32(&mut self, id: i16, value: i32) {
        self.field(id, I32);
        put_zigzag(&mut self.out, i64::from(value));
    }

    pub(super) fn i64(&mut self, id: i16, value: i64) {
        self.field(id, I64);
        put_zigzag(&mut self.out, value);
    }

    pub(super) fn binary(&mut self, id: i16, value: &[u8]) {
        self.field(id, BINARY);
        self.element_binary(value);
    }

    pub(super) fn list(&mut self, id: i16, element: Element, count: usize) {
        self.field(id, LIST);
        if count < 15 {
            self.out.push((count as u8) << 4 | element as u8);
        } else {
            self.out.push(0xf0 | element as u8);
            put_varint(&mut self.out, count as u64);
        }
    }

    pub(super) fn element_bool(&mut self, value: bool) {
        self.out.push(if value { TRUE } else { FALSE });
    }

    pub(super) fn element_number(&mut self, value: i64) {
        put_zigzag(&mut self.out, value);
    }

    pub(super) fn element_binary(&mut self, value: &[u8]) {
        put_varint(&mut self.out, value.len() as u64);
        self.out.extend_from_slice(value);
    }

    /// A struct as a field.
    pub(super) fn structure(&mut self, id: i16, write: impl FnOnce(&mut Self)) {
        self.field(id, STRUCT);
        self.element_struct(write);
    }

    /// A struct as a list's element.
    pub(super) fn element_struct(&mut self, write: impl FnOnce(&mut Self)) {
        self.outer.push(self.last);
        self.last = 0;
        write(self);
        self.stop();
        self.last = self.outer.pop().unwrap_or(0);
    }

    /// Ends the struct.
    pub(super) fn stop(&mut self) {
        self.out.push(0);
    }
}

/// What a page's header says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub(super) plain_bytes: usize,
    pub(super) packed_bytes: usize,
    pub(super) values: usize,
    pub(super) encoding: i64,
}

/// Reads a data page's header off the front of `bytes`, and says what is left.
pub(super) fn page_header(bytes: &[u8]) -> Result<(PageHeader, &[u8]), ParquetError> {
    let mut reader = Reader::new(bytes);
    let mut header = PageHeader::default();
    fields(&mut reader, &mut |reader, id, kind| {
        match (id, kind) {
            (2, I32) => header.plain_bytes = size(reader)?,
            (3, I32) => header.packed_bytes = size(reader)?,
            (5, STRUCT) => fields(reader, &mut |reader, id, kind| {
                match (id, kind) {
                    (1, I32) => header.values = size(reader)?,
                    (2, I32) => header.encoding = reader.zigzag().map_err(early)?,
                    _ => skip(reader, kind, 0)?,
                }
                Ok(())
            })?,
            _ => skip(reader, kind, 0)?,
        }
        Ok(())
    })?;
    Ok((header, reader.rest()))
}

/// Calls `read` for each field of a struct with its number and type; `read` takes its value.
fn fields<'a>(
    reader: &mut Reader<'a>,
    read: &mut impl FnMut(&mut Reader<'a>, i64, u8) -> Result<(), ParquetError>,
) -> Result<(), ParquetError> {
    let mut id = 0_i64;
    loop {
        let head = reader.byte().map_err(early)?;
        if head == 0 {
            return Ok(());
        }
        let delta = i64::from(head >> 4);
        id = if delta == 0 { reader.zigzag().map_err(early)? } else { id.saturating_add(delta) };
        read(reader, id, head & 0x0f)?;
    }
}

fn skip(reader: &mut Reader<'_>, kind: u8, depth: u8) -> Result<(), ParquetError> {
    if depth > DEPTH_MAX {
        return Err(ParquetError::Invalid { what: "a page's header", why: "structs inside of structs without end" });
    }
    match kind {
        TRUE | FALSE => {}
        BYTE => _ = reader.byte().map_err(early)?,
        I16 | I32 | I64 => _ = reader.varint().map_err(early)?,
        DOUBLE => _ = reader.take(8).map_err(early)?,
        BINARY => {
            let length = reader.varint().map_err(early)?;
            reader.take(usize::try_from(length).unwrap_or(usize::MAX)).map_err(early)?;
        }
        STRUCT => fields(reader, &mut |reader, _, kind| skip(reader, kind, depth + 1))?,
        // Our pages have no lists, sets or maps in their headers.
        _ => return Err(ParquetError::Invalid { what: "a page's header", why: "a field of an unknown type" }),
    }
    Ok(())
}

fn size(reader: &mut Reader<'_>) -> Result<usize, ParquetError> {
    usize::try_from(reader.zigzag().map_err(early)?)
        .map_err(|_| ParquetError::Invalid { what: "a page's header", why: "a size below zero" })
}

fn early(_: wire::columns::ColumnError) -> ParquetError {
    ParquetError::Truncated { what: "a page's header" }
}
