//! DELTA_BINARY_PACKED: whole numbers as differences, in blocks of 128 with four bit widths each.
//!
//! ```text
//! varint 128 | varint 4 | varint count | zz(first) | blocks × (zz(least difference) | 4 × u8 width | miniblocks)
//! ```
//! Source: the Parquet format's `Encodings.md`. Differences wrap, so every sequence can be written.

use wire::columns::{ColumnError, Reader, put_varint, put_zigzag};

use super::bits::{MINIBLOCK, pack, unpack, width};

const BLOCK: usize = 128;
const MINIBLOCKS: usize = BLOCK / MINIBLOCK;

/// Appends `numbers`.
pub(super) fn encode(out: &mut Vec<u8>, numbers: &[i64]) {
    put_varint(out, BLOCK as u64);
    put_varint(out, MINIBLOCKS as u64);
    put_varint(out, numbers.len() as u64);
    let Some(first) = numbers.first() else {
        put_zigzag(out, 0);
        return;
    };
    put_zigzag(out, *first);
    let mut deltas = [0_i64; BLOCK];
    let mut last = *first;
    for block in numbers[1..].chunks(BLOCK) {
        let mut least = i64::MAX;
        for (delta, number) in deltas.iter_mut().zip(block) {
            *delta = number.wrapping_sub(last);
            least = least.min(*delta);
            last = *number;
        }
        put_zigzag(out, least);
        let widths_at = out.len();
        out.extend_from_slice(&[0; MINIBLOCKS]);
        for (index, mini) in deltas[..block.len()].chunks(MINIBLOCK).enumerate() {
            let mut above = [0_u64; MINIBLOCK];
            let mut all = 0;
            for (above, delta) in above.iter_mut().zip(mini) {
                *above = delta.wrapping_sub(least) as u64;
                all |= *above;
            }
            let width = width(all);
            out[widths_at + index] = width as u8;
            pack(out, &above, width);
        }
    }
}

/// Reads exactly `count` numbers and gives each to `take` in turn.
pub(super) fn decode(bytes: &[u8], count: usize, mut take: impl FnMut(i64)) -> Result<(), ColumnError> {
    let mut reader = Reader::new(bytes);
    let [block, minis, total] = [reader.varint()?, reader.varint()?, reader.varint()?];
    if (block, minis) != (BLOCK as u64, MINIBLOCKS as u64) || total != count as u64 {
        return Err(ColumnError::Count { count: total, max: count });
    }
    let mut last = reader.zigzag()?;
    if count == 0 {
        return Ok(());
    }
    take(last);
    let mut left = count - 1;
    let mut above = [0_u64; MINIBLOCK];
    while left > 0 {
        let least = reader.zigzag()?;
        let widths = reader.take(MINIBLOCKS)?;
        for width in widths {
            let width = usize::from(*width);
            if width > 64 {
                return Err(ColumnError::Control { control: width as u8 });
            }
            if left == 0 {
                break;
            }
            let taken = left.min(MINIBLOCK);
            if width == 0 {
                for _ in 0..taken {
                    last = last.wrapping_add(least);
                    take(last);
                }
            } else {
                unpack(reader.take(4 * width)?, width, &mut above);
                for above in &above[..taken] {
                    last = last.wrapping_add(least).wrapping_add(*above as i64);
                    take(last);
                }
            }
            left -= taken;
        }
    }
    Ok(())
}

/// The most numbers that `bytes` bytes can hold.
pub(super) fn count_max(bytes: usize) -> usize {
    // A block of equal differences: one byte for the difference, four for the widths.
    (bytes / (1 + MINIBLOCKS) + 1).saturating_mul(BLOCK)
}
