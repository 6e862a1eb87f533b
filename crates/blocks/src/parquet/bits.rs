//! Bits: packed numbers of any width, and runs of one value (Parquet's RLE).

use wire::columns::{ColumnError, Reader, put_varint};

/// Numbers of one miniblock.
pub(super) const MINIBLOCK: usize = 32;

/// How many bits `value` needs.
pub(super) fn width(value: u64) -> usize {
    (u64::BITS - value.leading_zeros()) as usize
}

/// Appends 32 numbers of `width` bits each: 4 × `width` bytes, least significant bit first.
pub(super) fn pack(out: &mut Vec<u8>, numbers: &[u64; MINIBLOCK], width: usize) {
    let (mut waiting, mut bits) = (0_u128, 0_usize);
    for number in numbers {
        waiting |= u128::from(*number) << bits;
        bits += width;
        while bits >= 32 {
            out.extend_from_slice(&(waiting as u32).to_le_bytes());
            waiting >>= 32;
            bits -= 32;
        }
    }
}

/// The 32 numbers of `width` (0 to 64) bits in the first 4 × `width` of `bytes`.
pub(super) fn unpack(bytes: &[u8], width: usize, numbers: &mut [u64; MINIBLOCK]) {
    // Room to read eight bytes anywhere, and sixteen for the wide ones.
    let mut padded = [0_u8; 4 * 64 + 16];
    let packed = (4 * width).min(bytes.len());
    padded[..packed].copy_from_slice(&bytes[..packed]);
    if width <= 56 {
        let mask = (1_u64 << width) - 1;
        for (index, number) in numbers.iter_mut().enumerate() {
            let bit = index * width;
            let mut eight = [0; 8];
            eight.copy_from_slice(&padded[bit >> 3..(bit >> 3) + 8]);
            *number = (u64::from_le_bytes(eight) >> (bit & 7)) & mask;
        }
    } else {
        let mask = u64::MAX >> (64 - width.min(64));
        for (index, number) in numbers.iter_mut().enumerate() {
            let bit = index * width;
            let mut sixteen = [0; 16];
            sixteen.copy_from_slice(&padded[bit >> 3..(bit >> 3) + 16]);
            *number = (u128::from_le_bytes(sixteen) >> (bit & 7)) as u64 & mask;
        }
    }
}

/// Appends a run: `count` times the value, which has `width` bits.
pub(super) fn put_run(out: &mut Vec<u8>, count: usize, value: u32, width: usize) {
    put_varint(out, (count as u64) << 1);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8)]);
}

/// Walks runs and packed groups of one-bit values: `visit(value, how many)`, for `count` values in all.
pub(super) fn walk_levels(bytes: &[u8], count: usize, mut visit: impl FnMut(bool, usize)) -> Result<(), ColumnError> {
    let mut reader = Reader::new(bytes);
    let mut left = count;
    while left > 0 {
        let head = reader.varint()?;
        let length = usize::try_from(head >> 1).unwrap_or(usize::MAX);
        if head & 1 == 0 {
            let taken = length.min(left);
            let value = reader.byte()? & 1 == 1;
            if taken == 0 {
                return Err(ColumnError::Truncated);
            }
            visit(value, taken);
            left -= taken;
        } else {
            let groups = reader.take(length)?;
            if groups.is_empty() {
                return Err(ColumnError::Truncated);
            }
            for bit in 0..groups.len().saturating_mul(8).min(left) {
                visit(groups[bit / 8] >> (bit % 8) & 1 == 1, 1);
                left -= 1;
            }
        }
    }
    Ok(())
}
