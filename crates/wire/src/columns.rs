//! Columns: the bytes of one series' timestamps, and of its values. Batches and blocks share them.
//!
//! A varint is a `u64` in groups of seven bits, least significant first, the top bit of a byte
//! saying that another follows (protobuf's). `zz(x)` is the zigzag form of a signed number:
//! 0, −1, 1, −2 … become 0, 1, 2, 3 …. Differences wrap at 64 bits, so every sequence can be written.
//!
//! ```text
//! timestamps  varint n | zz(t0) | zz(t1 − t0) | zz((t2 − t1) − (t1 − t0)) | …      (as varints)
//! values      u8 encoding | …                                            (n is the timestamps')
//!   0 raw      n × u64 little endian, the bits
//!   1 xor      n × (u8 control | bytes): x = bits ^ the bits before (0 at first). Control 0: x = 0.
//!              Else its low half is the number of bytes (1 to 8), its high half how many zero bytes
//!              x has below them; then those bytes of x, least significant first.
//!   2 decimal  u8 scale (0 to 15) | zz(d0) | zz(d1 − d0) | …   with value = d / 10^scale as f64
//! ```
//!
//! The writer takes the shortest of the three; decimal only where `d as f64 / 10^scale` gives back
//! the very bits, so every `f64` (−0.0, infinities, each NaN) comes out as it went in. Reading is
//! total, and allocates no more than a few bytes for each byte read.

use series::{Sample, Timestamp};

/// Digits after the point that the decimal form tries.
pub const DECIMAL_SCALE_MAX: u8 = 15;
/// Whole numbers up to here are exact in an `f64`.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
/// From here on every `f64` is a whole number.
const WHOLE_FROM: f64 = EXACT_MAX / 2.0;

const RAW: u8 = 0;
const XOR: u8 = 1;
const DECIMAL: u8 = 2;

const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Why a column could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    #[error("the column ends in the middle of a number")]
    Truncated,
    #[error("a number has more than 64 bits")]
    VarintTooLong,
    #[error("{bytes} bytes are left over after the last number")]
    LeftOver { bytes: usize },
    #[error("value encoding {encoding} is not known")]
    UnknownEncoding { encoding: u8 },
    #[error("decimal scale {scale} is above {DECIMAL_SCALE_MAX}")]
    Scale { scale: u8 },
    #[error("control byte {control:#04x} of a value is not valid")]
    Control { control: u8 },
    #[error("the column says {count} numbers, more than the {max} that it may hold")]
    Count { count: u64, max: usize },
}

/// Appends `value` as a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` as a varint of its zigzag form.
pub fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Reads numbers off the front of a slice.
#[derive(Debug, Clone)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What is not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, ColumnError> {
        let (first, rest) = self.0.split_first().ok_or(ColumnError::Truncated)?;
        self.0 = rest;
        Ok(*first)
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], ColumnError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(ColumnError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next varint.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, ColumnError> {
        // Most numbers are short.
        if let Some((first, rest)) = self.0.split_first()
            && *first < 0x80
        {
            self.0 = rest;
            return Ok(u64::from(*first));
        }
        if let [a, b, rest @ ..] = self.0
            && *b < 0x80
        {
            self.0 = rest;
            return Ok(u64::from(*a & 0x7f) | u64::from(*b) << 7);
        }
        if let [a, b, c, rest @ ..] = self.0
            && *c < 0x80
        {
            self.0 = rest;
            return Ok(u64::from(*a & 0x7f) | u64::from(*b & 0x7f) << 7 | u64::from(*c) << 14);
        }
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(ColumnError::VarintTooLong);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ColumnError::VarintTooLong)
    }

    /// The next zigzag varint.
    pub fn zigzag(&mut self) -> Result<i64, ColumnError> {
        let raw = self.varint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Fails where something is left.
    pub fn finish(self) -> Result<(), ColumnError> {
        if self.0.is_empty() { Ok(()) } else { Err(ColumnError::LeftOver { bytes: self.0.len() }) }
    }
}

/// Appends a timestamp column.
pub fn encode_timestamps(out: &mut Vec<u8>, timestamps: impl ExactSizeIterator<Item = Timestamp>) {
    put_varint(out, timestamps.len() as u64);
    let (mut last, mut step) = (0_i64, 0_i64);
    for (index, at) in timestamps.enumerate() {
        let delta = at.0.wrapping_sub(last);
        match index {
            0 => put_zigzag(out, at.0),
            1 => put_zigzag(out, delta),
            _ => put_zigzag(out, delta.wrapping_sub(step)),
        }
        step = if index == 0 { 0 } else { delta };
        last = at.0;
    }
}

/// How many timestamps a column says it has; never more than its bytes could hold.
pub fn timestamp_count(bytes: &[u8]) -> Result<usize, ColumnError> {
    let mut reader = Reader::new(bytes);
    let count = reader.varint()?;
    let max = reader.rest().len();
    usize::try_from(count).ok().filter(|n| *n <= max).ok_or(ColumnError::Count { count, max })
}

/// Reads a timestamp column that fills `bytes` exactly.
pub fn decode_timestamps(bytes: &[u8]) -> Result<Vec<Timestamp>, ColumnError> {
    let count = timestamp_count(bytes)?;
    let mut reader = Reader::new(bytes);
    reader.varint()?;
    let mut timestamps = Vec::with_capacity(count);
    let (mut last, mut step) = (0_i64, 0_i64);
    for index in 0..count {
        let number = reader.zigzag()?;
        step = match index {
            0 => 0,
            1 => number,
            _ => step.wrapping_add(number),
        };
        last = if index == 0 { number } else { last.wrapping_add(step) };
        timestamps.push(Timestamp(last));
    }
    reader.finish()?;
    Ok(timestamps)
}

/// Appends a value column in its shortest form.
pub fn encode_values(out: &mut Vec<u8>, values: &[f64]) {
    let start = out.len();
    let is_decimal = encode_decimal(out, values);
    let decimal_bytes = if is_decimal { out.len() - start } else { usize::MAX };
    if decimal_bytes <= 2 + values.len() {
        return; // One byte a value: no other form is shorter.
    }
    let (xor_bytes, raw_bytes) = (xor_bytes(values), 1 + values.len() * 8);
    if decimal_bytes <= xor_bytes.min(raw_bytes) {
        return;
    }
    out.truncate(start);
    if raw_bytes < xor_bytes {
        out.push(RAW);
        out.extend(values.iter().flat_map(|value| value.to_bits().to_le_bytes()));
    } else {
        encode_xor(out, values);
    }
}

/// Bytes of [`encode_xor`].
fn xor_bytes(values: &[f64]) -> usize {
    let mut last = 0_u64;
    1 + values.iter().map(|value| 1 + xored_bytes(&mut last, *value)).sum::<usize>()
}

/// Bytes of one value in the form of `xor`, its control byte apart; `last` has the bits before.
#[inline]
fn xored_bytes(last: &mut u64, value: f64) -> usize {
    let x = value.to_bits() ^ *last;
    *last = value.to_bits();
    if x == 0 { 0 } else { (8 - x.leading_zeros() / 8 - x.trailing_zeros() / 8) as usize }
}

/// Whether these are the very bytes that [`encode_values`] writes of the `count` values in them. Not where they
/// cannot be read.
#[must_use]
pub fn is_shortest(bytes: &[u8], count: usize) -> bool {
    is_shortest_decimal(bytes, count)
        || decode_values(bytes, count).is_ok_and(|values| {
            let mut shortest = Vec::with_capacity(bytes.len());
            encode_values(&mut shortest, &values);
            shortest == bytes
        })
}

/// Decimals up to here, below 2^50, are told apart by `f64`s with room to spare: `d / 10^scale` times `10^scale` is
/// less than a half away from `d`, and no other decimal of this scale or a smaller one has the same `f64`. So each is exact
/// at its scale, and the smallest scale of them all is this one where a last digit is not 0.
const DECIMAL_SURE_BELOW: u64 = 1 << 50;

/// As [`is_shortest`] of a column of such decimals; false where it is no such column.
fn is_shortest_decimal(bytes: &[u8], count: usize) -> bool {
    let [DECIMAL, scale, rest @ ..] = bytes else { return false };
    let Some(power) = POWERS.get(usize::from(*scale)) else { return false };
    // One byte a value is shorter than any other form.
    let compares = bytes.len() > 2 + count;
    let (mut reader, mut last, mut needs_scale) = (Reader::new(rest), 0_i64, *scale == 0);
    let (mut xor_bytes, mut bits) = (1 + count, 0);
    for _ in 0..count {
        let before = reader.rest();
        let Ok(change) = reader.zigzag() else { return false };
        let written = before.len() - reader.rest().len();
        last = last.wrapping_add(change);
        // A number may be written with zeros at its end.
        if (written > 1 && before.get(written - 1) == Some(&0)) || last.unsigned_abs() >= DECIMAL_SURE_BELOW {
            return false;
        }
        needs_scale = needs_scale || last % 10 != 0;
        if compares {
            xor_bytes += xored_bytes(&mut bits, last as f64 / power);
        }
    }
    needs_scale && reader.rest().is_empty() && (!compares || bytes.len() <= xor_bytes.min(1 + count * 8))
}

/// Appends nothing and answers false where a value has no exact decimal form.
fn encode_decimal(out: &mut Vec<u8>, values: &[f64]) -> bool {
    let start = out.len();
    let (mut scale, mut exact_before) = (0_u8, 0);
    // The scale grows where a value needs it, and then all is written anew: mostly at the first value.
    'scales: loop {
        out.truncate(start);
        out.reserve(values.len() * 3 + 2);
        out.extend_from_slice(&[DECIMAL, scale]);
        let mut last = 0_i64;
        for (index, value) in values.iter().enumerate() {
            if let Some(number) = decimal(*value, scale) {
                put_zigzag(out, number - last);
                last = number;
                continue;
            }
            // A value that was exact at a smaller scale may be too large at this one.
            let larger = (scale + 1..=DECIMAL_SCALE_MAX).find(|scale| decimal(*value, *scale).is_some());
            match larger.filter(|_| index >= exact_before) {
                Some(larger) => (scale, exact_before) = (larger, index),
                None => {
                    out.truncate(start);
                    return false;
                }
            }
            continue 'scales;
        }
        return true;
    }
}

/// The `d` with `d / 10^scale` = `value`, bit by bit; `None` where there is none, or the scale is above
/// [`DECIMAL_SCALE_MAX`].
#[must_use]
pub fn decimal(value: f64, scale: u8) -> Option<i64> {
    let power = *POWERS.get(usize::from(scale))?;
    let scaled = value * power;
    // Rounded as `f64::round` does, which is a call of the C library; from `WHOLE_FROM` on there is no fraction.
    let whole = if scaled.abs() < WHOLE_FROM { scaled + 0.5_f64.copysign(scaled) } else { scaled };
    let exact = scaled.abs() <= EXACT_MAX && ((whole as i64) as f64 / power).to_bits() == value.to_bits();
    exact.then_some(whole as i64)
}

/// 10^scale, by which a decimal is divided; `None` above [`DECIMAL_SCALE_MAX`].
#[must_use]
pub fn power_of_ten(scale: u8) -> Option<f64> {
    POWERS.get(usize::from(scale)).copied()
}

fn encode_xor(out: &mut Vec<u8>, values: &[f64]) {
    out.push(XOR);
    let mut last = 0_u64;
    for value in values {
        put_xor(out, &mut last, *value);
    }
}

/// Appends one value in the form of `xor`; `last` has the bits before.
#[inline]
pub(crate) fn put_xor(out: &mut Vec<u8>, last: &mut u64, value: f64) {
    let bits = value.to_bits();
    let x = bits ^ *last;
    *last = bits;
    if x == 0 {
        out.push(0);
        return;
    }
    let below = x.trailing_zeros() / 8;
    let count = 8 - x.leading_zeros() / 8 - below;
    out.push((below << 4 | count) as u8);
    out.extend_from_slice(&(x >> (below * 8)).to_le_bytes()[..count as usize]);
}

/// Reads one value in the form of `xor`.
#[inline]
pub(crate) fn xor(reader: &mut Reader<'_>, last: &mut u64) -> Result<f64, ColumnError> {
    let control = reader.byte()?;
    let (below, bytes) = (control >> 4, control & 0x0f);
    if below + bytes > 8 || (bytes == 0 && below != 0) {
        return Err(ColumnError::Control { control });
    }
    if bytes > 0 {
        *last ^= little_endian(reader.take(usize::from(bytes))?) << (below * 8);
    }
    Ok(f64::from_bits(*last))
}

/// Reads a value column of `count` values that fills `bytes` exactly.
pub fn decode_values(bytes: &[u8], count: usize) -> Result<Vec<f64>, ColumnError> {
    let mut values = Vec::with_capacity(count.min(bytes.len()));
    each_value(bytes, count, |value| values.push(value))?;
    Ok(values)
}

/// As [`decode_values`], beside the times that the values are of.
pub fn decode_samples(bytes: &[u8], times: &[Timestamp]) -> Result<Vec<Sample>, ColumnError> {
    let mut samples = Vec::with_capacity(times.len());
    let mut next = times.iter();
    each_value(bytes, times.len(), |value| {
        samples.extend(next.next().map(|at| Sample { at: *at, value }));
    })?;
    Ok(samples)
}

/// Whether [`decode_samples`] would read it, without keeping a value.
pub fn check_values(bytes: &[u8], count: usize) -> Result<(), ColumnError> {
    each_value(bytes, count, |_| {})
}

/// As [`decode_values`], each value to `take` in turn. Of a column that is not good, some may come before the error.
#[inline]
pub fn each_value(bytes: &[u8], count: usize, mut take: impl FnMut(f64)) -> Result<(), ColumnError> {
    let mut reader = Reader::new(bytes);
    let encoding = reader.byte()?;
    if count > reader.rest().len() {
        return Err(ColumnError::Count { count: count as u64, max: reader.rest().len() });
    }
    match encoding {
        RAW => {
            for _ in 0..count {
                take(f64::from_bits(little_endian(reader.take(8)?)));
            }
        }
        XOR => {
            let mut last = 0_u64;
            for _ in 0..count {
                take(xor(&mut reader, &mut last)?);
            }
        }
        DECIMAL => {
            let scale = reader.byte()?;
            let power = POWERS.get(usize::from(scale)).ok_or(ColumnError::Scale { scale })?;
            let mut last = 0_i64;
            for _ in 0..count {
                last = last.wrapping_add(reader.zigzag()?);
                take(last as f64 / power);
            }
        }
        encoding => return Err(ColumnError::UnknownEncoding { encoding }),
    }
    reader.finish()
}

/// Up to eight bytes as a number.
fn little_endian(bytes: &[u8]) -> u64 {
    let mut all = [0; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(all)
}

#[cfg(test)]
mod tests;
