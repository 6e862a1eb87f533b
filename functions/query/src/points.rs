//! Points of a series, `[seconds,"value"],…`, many at a time: the same text as [`crate::number`] gives, built
//! in a line of fixed length, since half a million calls that copy some bytes each would take most of an answer's time.

use pipeline::Sample;

use crate::number;

/// The longest point: `,[`, a time of 12 digits, a point and three decimals, `,"`, a value of 25 characters, `"]`; and
/// room for what is copied in whole words.
const LINE: usize = 64;
/// Points are gathered in so many bytes, and these copied at once.
const GATHERED: usize = 8 * 1024;
/// The longest time's digits without the last four.
const HEAD: usize = 8;
/// Seconds that differ only below this have the digits before in common.
const COMMON: u64 = 10_000;
/// Times up to here, in milliseconds, take the short way.
const TIME_MS_MAX: u64 = 1_000_000_000_000_000;
/// Values with so many decimals at most are written as whole numbers with a point in them.
const THOUSAND: f64 = 1_000.0;
/// Fifteen digits: two of so many never stand for one value, so the digits found are the shortest ones.
const EXACT_MAX: f64 = 1e15;
/// Below this, `zmij` writes an exponent.
const PLAIN_MIN: f64 = 1e-5;
/// Two digits of each number below a hundred.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

/// Appends `[[seconds,"value"],…]`.
pub(crate) fn array(out: &mut Vec<u8>, samples: &[Sample]) {
    out.push(b'[');
    let mut times = Times { common: 0, head: [0; HEAD], digits: 0 };
    let mut gathered = [0; GATHERED];
    let mut end = 0;
    let (first, rest) = samples.split_at(samples.len().min(1));
    first.iter().for_each(|sample| point(out, sample));
    for sample in rest {
        if end + LINE > GATHERED {
            out.extend_from_slice(&gathered[..end]);
            end = 0;
        }
        let line = gathered.get_mut(end..).and_then(|rest| rest.first_chunk_mut::<LINE>());
        match line.and_then(|line| usual_point(line, &mut times, sample)) {
            Some(bytes) => end += bytes,
            None => {
                out.extend_from_slice(&gathered[..end]);
                end = 0;
                out.push(b',');
                point(out, sample);
            }
        }
    }
    out.extend_from_slice(&gathered[..end]);
    out.push(b']');
}

/// Appends `[seconds,"value"]`.
pub(crate) fn point(out: &mut Vec<u8>, sample: &Sample) {
    out.push(b'[');
    number::seconds(out, sample.at.ms());
    out.extend_from_slice(b",\"");
    number::value(out, sample.value);
    out.extend_from_slice(b"\"]");
}

/// The first digits of the seconds, which many neighbours have in common.
struct Times {
    common: u64,
    head: [u8; HEAD],
    digits: usize,
}

/// Writes a point with a comma before it, and answers how long it is; `None` for an unusual one.
#[inline]
fn usual_point(line: &mut [u8; LINE], times: &mut Times, sample: &Sample) -> Option<usize> {
    let ms = u64::try_from(sample.at.ms()).ok().filter(|ms| *ms < TIME_MS_MAX)?;
    let (seconds, rest) = (ms / 1_000, (ms % 1_000) as usize);
    let (common, last) = (seconds / COMMON, (seconds % COMMON) as usize);
    if common == 0 {
        return None;
    }
    if times.common != common {
        let mut text = [0; LINE];
        times.digits = put_digits(&mut text, 0, common);
        times.head.copy_from_slice(&text[..HEAD]);
        times.common = common;
    }
    put_two(line, 0, *b",[");
    if let Some(place) = line.get_mut(2..).and_then(|line| line.first_chunk_mut::<HEAD>()) {
        *place = times.head;
    }
    let mut at = 2 + times.digits.min(HEAD);
    put_two(line, at, PAIRS[last / 100]);
    put_two(line, at + 2, PAIRS[last % 100]);
    at += 4;
    if rest != 0 {
        put_decimals(line, at, rest);
        at += 4;
    }
    put_two(line, at, *b",\"");
    at = put_value(line, at + 2, sample.value)?;
    put_two(line, at, *b"\"]");
    Some(at + 2)
}

/// Writes a value at `at` and answers where it ends; `None` for an unusual one.
#[inline]
fn put_value(line: &mut [u8; LINE], mut at: usize, value: f64) -> Option<usize> {
    let whole = value as i64;
    if whole.unsigned_abs() < 1 << 53 && (whole as f64).to_bits() == value.to_bits() {
        if whole < 0 {
            line[at] = b'-';
            at += 1;
        }
        return Some(put_digits(line, at, whole.unsigned_abs()));
    }
    let scaled = value * THOUSAND;
    if scaled.abs() < EXACT_MAX {
        let scaled = (scaled + 0.5_f64.copysign(scaled)) as i64;
        if (scaled as f64 / THOUSAND).to_bits() == value.to_bits() {
            if scaled < 0 {
                line[at] = b'-';
                at += 1;
            }
            let scaled = scaled.unsigned_abs();
            at = put_digits(line, at, scaled / 1_000);
            let decimals = (scaled % 1_000) as usize;
            put_decimals(line, at, decimals);
            let zeros = usize::from(decimals.is_multiple_of(10)) + usize::from(decimals.is_multiple_of(100));
            return Some(at + 4 - zeros);
        }
    }
    if !(PLAIN_MIN..EXACT_MAX).contains(&value.abs()) {
        return None;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    line.get_mut(at..at + text.len())?.copy_from_slice(text);
    Some(at + text.len())
}

/// `.` and three digits.
#[inline]
fn put_decimals(line: &mut [u8; LINE], at: usize, decimals: usize) {
    line[at] = b'.';
    line[at + 1] = b'0' + (decimals / 100) as u8;
    put_two(line, at + 2, PAIRS[decimals % 100]);
}

/// Two bytes, one by one: a copy of so few must not become a call.
#[inline(always)]
fn put_two(line: &mut [u8; LINE], at: usize, two: [u8; 2]) {
    line[at] = two[0];
    line[at + 1] = two[1];
}

/// Writes a number's digits at `at` and answers where they end.
#[inline]
fn put_digits(line: &mut [u8; LINE], at: usize, number: u64) -> usize {
    let count = number.checked_ilog10().map_or(1, |more| more as usize + 1);
    let end = at + count;
    let mut place = end;
    let mut number = number;
    while number >= 100 {
        place -= 2;
        put_two(line, place, PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if number >= 10 {
        put_two(line, at, PAIRS[number as usize]);
    } else {
        line[at] = b'0' + number as u8;
    }
    end
}

#[cfg(test)]
mod tests {
    use pipeline::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn check(samples: &[(i64, f64)]) {
        let samples: Vec<Sample> =
            samples.iter().map(|(ms, value)| Sample { at: Timestamp(*ms), value: *value }).collect();
        let (mut fast, mut slow) = (Vec::new(), Vec::new());
        array(&mut fast, &samples);
        slow.push(b'[');
        for (n, sample) in samples.iter().enumerate() {
            slow.extend_from_slice(if n > 0 { b"," } else { b"" });
            point(&mut slow, sample);
        }
        slow.push(b']');
        assert_eq!(String::from_utf8(fast), String::from_utf8(slow));
    }

    #[test]
    fn every_kind_of_point() {
        check(&[]);
        let unusual = [-0.0, f64::NAN, f64::INFINITY, 1e300, 1e-300, f64::MIN_POSITIVE, 1e-5, 9.99e-6, 1e15, 1e16];
        let usual = [0.0, 1.0, -1.0, 0.5, -0.001, 0.0001, 12.345, 12.34, 12.3, 99.995, 1e14 + 0.5, 1.0 / 3.0];
        for value in unusual.into_iter().chain(usual) {
            check(&[(1_795_219_210_000, value)]);
            check(&[(1_795_219_210_000, value), (1_795_219_220_000, -value), (1_795_219_220_001, 1.0)]);
            check(&[(1_795_219_210_000, 7.0), (-5, value), (0, value), (1_795_299_999_999, value)]);
        }
        let at_the_limit = TIME_MS_MAX as i64;
        check(&[(at_the_limit - 1, -1e14 - 0.5), (at_the_limit, 1.5), (9_999_000, 1.5), (10_000_000, 2.5), (7, 1.0)]);
    }

    proptest! {
        #[test]
        fn the_same_text_as_one_by_one(
            points in proptest::collection::vec(
                (prop_oneof![0_i64..100_000_000, 1_795_000_000_000_i64..1_796_000_000_000, any::<i64>()],
                 prop_oneof![
                    any::<u64>().prop_map(f64::from_bits),
                    (-1_000_000_000_i64..1_000_000_000, 0_i32..9).prop_map(|(n, scale)| n as f64 / 10_f64.powi(scale)),
                    -1e18_f64..1e18,
                 ]), 0..20),
        ) {
            check(&points);
        }
    }
}
