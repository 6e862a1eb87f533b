//! Prometheus's durations: `1h30m`, `90s`, `0`. Units in falling order, each at most once:
//! `y` (365 d), `w`, `d`, `h`, `m`, `s`, `ms`.

/// Unit and its milliseconds, in the order in which they must appear.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The duration in milliseconds, or why it is none.
pub fn parse_ms(text: &str) -> Result<i64, String> {
    let bad = || format!("{text:?} is not a duration; write for example 30s, 5m or 1h30m");
    if text == "0" {
        return Ok(0);
    }
    if text.is_empty() {
        return Err("the duration is empty; write for example 30s, 5m or 1h30m".to_owned());
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        if digits == 0 || letters == 0 {
            return Err(bad());
        }
        let Some((_, unit_ms)) = units.find(|(name, _)| *name == unit) else { return Err(bad()) };
        let number: i64 = number.parse().map_err(|_| format!("the duration {text:?} is too long"))?;
        total = number
            .checked_mul(*unit_ms)
            .and_then(|ms| total.checked_add(ms))
            .ok_or_else(|| format!("the duration {text:?} is too long"))?;
        rest = tail;
    }
    Ok(total)
}

/// The shortest text that [`parse_ms`] reads back: `1h30m`.
#[must_use]
pub fn show_ms(ms: i64) -> String {
    if ms <= 0 {
        return "0s".to_owned();
    }
    let mut rest = ms;
    let mut text = String::new();
    for (unit, unit_ms) in UNITS {
        // As in Prometheus: years and weeks only where they come out even.
        if matches!(unit, "y" | "w") && rest % unit_ms != 0 {
            continue;
        }
        let count = rest / unit_ms;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
            rest %= unit_ms;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("0m", 0),
            ("1ms", 1),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("1w", 604_800_000),
            ("1d12h", 129_600_000),
            ("1y", 31_536_000_000),
            ("1m500ms", 60_500),
        ] {
            assert_eq!(parse_ms(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", "1", "s", "-1s", "1.5h", "1m1h", "1s1s", " 1s", "1 s", "1min", "5µs"] {
            assert!(parse_ms(text).is_err(), "{text:?}");
        }
        assert!(parse_ms("999999999999999999999s").unwrap_err().contains("too long"));
        assert!(parse_ms("9999999999999y").unwrap_err().contains("too long"));
    }

    proptest! {
        #[test]
        fn shown_durations_are_read_back(ms in 0i64..400_000_000_000) {
            prop_assert_eq!(parse_ms(&show_ms(ms)), Ok(ms));
        }
    }
}
