//! Numbers as Prometheus prints them.

/// The shortest decimal text that reads back as `value`: `1.5`, `NaN`, `+Inf`, `-Inf`; with an
/// exponent (`1e+21`, `1e-07`) from 1e21 upwards and below 1e-6, as in Prometheus's HTTP API.
#[must_use]
pub fn format_value(value: f64) -> String {
    let size = value.abs();
    if size.is_finite() && size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format_plain(value)
}

/// The same without an exponent ever, as label values are printed by `count_values`.
pub(crate) fn format_plain(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        // Where two texts are as short and as near, the even one, as Go has it; the standard library takes the other.
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        if text.contains('e') { value.to_string() } else { text.strip_suffix(".0").unwrap_or(text).to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_printed_as_prometheus_prints_them() {
        for (value, expected) in [
            (1.5, "1.5"),
            (0.0, "0"),
            (-0.0, "-0"),
            (100.0, "100"),
            (-2_007_504_750_323_471.2, "-2007504750323471.2"),
            (0.000_01, "0.00001"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (1e21, "1e+21"),
            (-1.25e21, "-1.25e+21"),
            (999_999_999_999_999_900_000.0, "999999999999999900000"),
            (1e-6, "0.000001"),
            (9.9e-7, "9.9e-07"),
            (1e-300, "1e-300"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1_700_000_000.123, "1700000000.123"),
        ] {
            assert_eq!(format_value(value), expected);
        }
    }

    proptest! {
        #[test]
        fn every_number_reads_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let back: f64 = format_value(value).parse().unwrap();
            prop_assert!(back.to_bits() == bits || (back.is_nan() && value.is_nan()));
        }
    }
}
