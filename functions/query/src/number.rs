//! Numbers as Prometheus's API writes them, straight into the answer's bytes: an answer may hold
//! a million of them.

/// A value's text without quotes: `1.5`, `NaN`, `+Inf`; with an exponent (`1e+21`, `1e-07`) from
/// 1e21 upwards and below 1e-6. The same text as [`pipeline::promql::format_value`] gives.
pub(crate) fn value(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        let name: &[u8] = if value.is_nan() { b"NaN" } else { [&b"-Inf"[..], b"+Inf"][usize::from(value > 0.0)] };
        return out.extend_from_slice(name);
    }
    // Most values are whole: a counter, a size, a state. `-0` is none of them.
    let whole = value as i64;
    if whole.unsigned_abs() < 1 << 53 && (whole as f64).to_bits() == value.to_bits() {
        return out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    match text.split_once('e') {
        None => out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes()),
        Some((digits, exponent)) => with_exponent(out, digits, exponent.parse().unwrap_or_default()),
    }
}

/// `digits` × 10^`exponent`, written out unless it is very large or very small.
fn with_exponent(out: &mut Vec<u8>, digits: &str, exponent: i32) {
    let digits = digits.strip_suffix(".0").unwrap_or(digits);
    if !(-6..21).contains(&exponent) {
        out.extend_from_slice(digits.as_bytes());
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        if exponent.unsigned_abs() < 10 {
            out.push(b'0');
        }
        return out.extend_from_slice(itoa::Buffer::new().format(exponent.unsigned_abs()).as_bytes());
    }
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    out.extend_from_slice(sign.as_bytes());
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    let all: Vec<u8> = before.bytes().chain(after.bytes()).collect();
    // Where the point is among the digits.
    let point = before.len() as i32 + exponent;
    if point <= 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + point.unsigned_abs() as usize, b'0');
        return out.extend_from_slice(&all);
    }
    let point = point.unsigned_abs() as usize;
    let split = point.min(all.len());
    out.extend_from_slice(&all[..split]);
    out.resize(out.len() + (point - split), b'0');
    if split < all.len() {
        out.push(b'.');
        out.extend_from_slice(&all[split..]);
    }
}

/// Milliseconds as seconds, with three decimals where they are not whole.
pub(crate) fn seconds(out: &mut Vec<u8>, ms: i64) {
    if ms < 0 {
        out.push(b'-');
    }
    let ms = ms.unsigned_abs();
    out.extend_from_slice(itoa::Buffer::new().format(ms / 1_000).as_bytes());
    let rest = ms % 1_000;
    if rest != 0 {
        let digit = |n: u64| b'0' + (n % 10) as u8;
        out.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest)]);
    }
}

#[cfg(test)]
mod tests {
    use pipeline::promql::format_value;
    use proptest::prelude::*;

    use super::*;

    fn shown(number: f64) -> String {
        let mut out = Vec::new();
        value(&mut out, number);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_same_text_as_everywhere_else() {
        for number in [
            0.0,
            -0.0,
            1.5,
            -1.5,
            100.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            1e21,
            -1.25e21,
            999_999_999_999_999_900_000.0,
            1e-6,
            1.25e-6,
            9.9e-7,
            1e-300,
            f64::MIN_POSITIVE,
            f64::MAX,
            0.1 + 0.2,
            1_700_000_000.123,
            9_007_199_254_740_992.0,
            9.007_199_254_740_993e18,
            123_456_789_012_345_680.0,
            0.000_012_345,
            -2_007_504_750_323_471.2,
        ] {
            assert_eq!(shown(number), format_value(number));
        }
    }

    #[test]
    fn times() {
        for (ms, expected) in [
            (0, "0"),
            (1, "0.001"),
            (1_500, "1.500"),
            (60_000, "60"),
            (-1_001, "-1.001"),
            (1_435_781_451_781, "1435781451.781"),
        ] {
            let mut out = Vec::new();
            seconds(&mut out, ms);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn any_number_has_the_same_text(bits in any::<u64>(), whole in -1_000_000_i64..1_000_000, decimals in 0_i32..9) {
            let number = f64::from_bits(bits);
            prop_assert_eq!(shown(number), format_value(number));
            let short = whole as f64 / 10_f64.powi(decimals);
            prop_assert_eq!(shown(short), format_value(short));
        }
    }
}
