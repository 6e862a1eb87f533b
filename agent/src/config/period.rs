//! A stretch of time as people write it: a number and `ms`, `s`, `m`, `h` or `d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The shortest period, so that a typing error never makes a busy loop.
pub const PERIOD_MIN: Duration = Duration::from_millis(100);
/// The longest.
pub const PERIOD_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// A stretch of time between [`PERIOD_MIN`] and [`PERIOD_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Period(Duration);

impl Period {
    /// That many seconds; at least one.
    pub(crate) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(if seconds == 0 { 1 } else { seconds }))
    }

    /// The duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }

    /// In milliseconds.
    #[must_use]
    pub fn ms(self) -> u64 {
        self.0.as_millis() as u64
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a period: write a number and ms, s, m, h or d, as in \"10s\"");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let period = Duration::from_millis(number.saturating_mul(unit_ms));
        if period < PERIOD_MIN || period > PERIOD_MAX {
            return Err(format!("{text:?} is not between 100ms and 7d"));
        }
        Ok(Self(period))
    }
}

impl TryFrom<String> for Period {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ms() {
            ms if ms % 1_000 == 0 => write!(f, "{}s", ms / 1_000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<u64, &str>) {
        let found: Result<Period, String> = text.parse();
        match (found, expected) {
            (Ok(period), Ok(ms)) => assert_eq!(period.ms(), ms, "{text}"),
            (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
            (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn periods() {
        check("10s", Ok(10_000));
        check("1500ms", Ok(1_500));
        check("5m", Ok(300_000));
        check("2h", Ok(7_200_000));
        check("100ms", Ok(100));
        check("99ms", Err("between"));
        check("7d", Ok(604_800_000));
        check("604800001ms", Err("between"));
        check("99999999999999999999s", Err("not a period"));
        check("18446744073709551615d", Err("between"));
        for wrong in ["", "s", "10", "10 s", "-1s", "1.5s", "10S"] {
            check(wrong, Err("not a period"));
        }
    }
}
