//! Nagios threshold ranges, `[@]start:end`.
//!
//! `10` is 0 to 10, `10:` is from 10 up, `~:10` is up to 10, `10:20` is both. A value outside
//! alerts; after `@`, a value inside does. Both ends belong to the range. Infinities and NaN
//! cannot be written, and a comma is no decimal point.

use std::fmt;
use std::str::FromStr;

use super::perfdata::number_prefix;

/// A range of values, and on which side of it an alert is due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The least value inside; may be −∞.
    pub start: f64,
    /// The greatest value inside; may be +∞.
    pub end: f64,
    /// Whether values inside alert (`@`), and not those outside.
    pub alert_inside: bool,
}

/// Why a text is no range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RangeError {
    #[error("the range has neither a start nor an end")]
    Empty,
    #[error("{0:?} is not a number")]
    NotANumber(String),
    #[error("the range has more than one `:`")]
    TooManyColons,
    #[error("the range starts at {start}, after its end at {end}")]
    StartAfterEnd { start: f64, end: f64 },
}

impl Range {
    /// Whether `value` lies inside, the ends included.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        self.start <= value && value <= self.end
    }

    /// Whether `value` is a reason to alert. NaN lies nowhere, so it alerts unless the range has an `@`.
    #[must_use]
    pub fn alerts(&self, value: f64) -> bool {
        self.contains(value) == self.alert_inside
    }
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (alert_inside, bounds) = match text.strip_prefix('@') {
            Some(bounds) => (true, bounds),
            None => (false, text),
        };
        let (start, end) = match bounds.split_once(':') {
            None if bounds.is_empty() => return Err(RangeError::Empty),
            None => (0.0, whole_number(bounds)?),
            Some(("", "")) => return Err(RangeError::Empty),
            Some((_, end)) if end.contains(':') => return Err(RangeError::TooManyColons),
            Some((start, end)) => {
                let start = match start {
                    "" => 0.0,
                    "~" => f64::NEG_INFINITY,
                    start => whole_number(start)?,
                };
                (start, if end.is_empty() { f64::INFINITY } else { whole_number(end)? })
            }
        };
        if start > end {
            return Err(RangeError::StartAfterEnd { start, end });
        }
        Ok(Self { start, end, alert_inside })
    }
}

impl fmt::Display for Range {
    /// The shortest way to write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.alert_inside {
            f.write_str("@")?;
        }
        match (self.start, self.end) {
            (f64::NEG_INFINITY, f64::INFINITY) => f.write_str("~:"),
            (f64::NEG_INFINITY, end) => write!(f, "~:{end}"),
            (start, f64::INFINITY) => write!(f, "{start}:"),
            (0.0, end) => write!(f, "{end}"),
            (start, end) => write!(f, "{start}:{end}"),
        }
    }
}

/// The number that `text` is from end to end.
pub(super) fn whole_number(text: &str) -> Result<f64, RangeError> {
    match number_prefix(text) {
        Some((value, length)) if length == text.len() && value.is_finite() => Ok(value),
        _ => Err(RangeError::NotANumber(text.chars().take(40).collect())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values that alert, out of −1, 0, 9, 10, 15, 20, 21.
    fn check(text: &str, shown: &str, alerting: &[i32]) {
        let range: Range = text.parse().unwrap();
        assert_eq!(range.to_string(), shown, "{text}");
        let seen: Vec<i32> = [-1, 0, 9, 10, 15, 20, 21].into_iter().filter(|v| range.alerts(f64::from(*v))).collect();
        assert_eq!(seen, alerting, "{text}");
    }

    #[test]
    fn ranges_of_the_guidelines() {
        check("10", "10", &[-1, 15, 20, 21]);
        check("10:", "10:", &[-1, 0, 9]);
        check("~:10", "~:10", &[15, 20, 21]);
        check("10:20", "10:20", &[-1, 0, 9, 21]);
        check("@10:20", "@10:20", &[10, 15, 20]);
        check("@10", "@10", &[0, 9, 10]);
        check(":10", "10", &[-1, 15, 20, 21]);
        check("0:10", "10", &[-1, 15, 20, 21]);
        check("0:", "0:", &[-1]);
        check("~:", "~:", &[]);
        check("@~:", "@~:", &[-1, 0, 9, 10, 15, 20, 21]);
        check("-5:-0.5", "-5:-0.5", &[0, 9, 10, 15, 20, 21]);
        check("10:10", "10:10", &[-1, 0, 9, 15, 20, 21]);
        check("1e1:+2E1", "10:20", &[-1, 0, 9, 21]);
        check(".5:20.", "0.5:20", &[-1, 0, 21]);
    }

    #[test]
    fn what_is_no_range() {
        let bad = |text: &str| text.parse::<Range>().unwrap_err();
        assert_eq!(bad(""), RangeError::Empty);
        assert_eq!(bad("@"), RangeError::Empty);
        assert_eq!(bad(":"), RangeError::Empty);
        assert_eq!(bad("@:"), RangeError::Empty);
        assert_eq!(bad("10:20:30"), RangeError::TooManyColons);
        assert_eq!(bad("::"), RangeError::TooManyColons);
        assert_eq!(bad("20:10"), RangeError::StartAfterEnd { start: 20.0, end: 10.0 });
        assert_eq!(bad("-1"), RangeError::StartAfterEnd { start: 0.0, end: -1.0 });
        for (text, part) in [
            ("10:~", "~"),
            ("~", "~"),
            ("1,5:2", "1,5"),
            ("inf:", "inf"),
            ("~:nan", "nan"),
            ("10 :20", "10 "),
            ("1e999", "1e999"),
            ("@@1", "@1"),
            ("0x1", "0x1"),
        ] {
            assert_eq!(bad(text), RangeError::NotANumber(part.to_owned()), "{text}");
        }
    }

    #[test]
    fn nan_lies_in_no_range() {
        assert!("10".parse::<Range>().unwrap().alerts(f64::NAN));
        assert!(!"@10".parse::<Range>().unwrap().alerts(f64::NAN));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_shown_is_read_back(text in r"[@~:,\-+.e0-9ж ]{0,12}") {
            if let Ok(range) = text.parse::<Range>() {
                prop_assert_eq!(range.to_string().parse::<Range>(), Ok(range));
            }
        }
    }
}
