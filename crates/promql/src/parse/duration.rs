//! Durations that are computed: `[5m * 2]`, `offset (1h - step())`, `[min(range(), 10m)]`. The grammar's
//! crate knows plain durations alone, so these are read here, from the same tokens.
//!
//! Precedence is PromQL's: `^` to the right, then signs, `* / %`, `+ -`. After `offset` a literal with its
//! sign ends the duration (`x offset -2^2` is `(x offset -2)^2`); only parentheses hold arithmetic there.

use crate::grid::seconds;
use crate::scan::{Kind, Token};

/// How deeply signs and parentheses nest.
pub(super) const DURATION_DEPTH_MAX: usize = 100;

/// A computed duration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DurationExpr {
    /// Seconds.
    Number(f64),
    /// The query's step; 0 at an instant.
    Step,
    /// From the query's start to its end.
    Range,
    Negative(Box<Self>),
    Both(Operation, Box<Self>, Box<Self>),
}

/// What is done with two durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
    Least,
    Greatest,
}

/// What computed durations may hang on, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryTimes {
    pub(crate) step: f64,
    pub(crate) range: f64,
}

impl QueryTimes {
    /// Of a query from `whole.0` to `whole.1` in milliseconds; an instant has the step 0.
    pub(crate) fn new(whole: (i64, i64), step_ms: i64) -> Self {
        Self { step: seconds(step_ms), range: seconds(whole.1.saturating_sub(whole.0)) }
    }
}

impl DurationExpr {
    /// Whether it is the same for every query.
    pub(super) fn is_constant(&self) -> bool {
        match self {
            Self::Number(_) => true,
            Self::Step | Self::Range => false,
            Self::Negative(inner) => inner.is_constant(),
            Self::Both(_, a, b) => a.is_constant() && b.is_constant(),
        }
    }

    /// The duration in seconds.
    pub(crate) fn seconds(&self, times: QueryTimes) -> Result<f64, &'static str> {
        Ok(match self {
            Self::Number(seconds) => *seconds,
            Self::Step => times.step,
            Self::Range => times.range,
            Self::Negative(inner) => -inner.seconds(times)?,
            Self::Both(operation, a, b) => {
                let (a, b) = (a.seconds(times)?, b.seconds(times)?);
                match operation {
                    Operation::Add => a + b,
                    Operation::Subtract => a - b,
                    Operation::Multiply => a * b,
                    Operation::Divide if b == 0.0 => return Err("division by zero"),
                    Operation::Divide => a / b,
                    Operation::Remainder if b == 0.0 => return Err("modulo by zero"),
                    Operation::Remainder => a % b,
                    Operation::Power => a.powf(b),
                    Operation::Least => a.min(b),
                    Operation::Greatest => a.max(b),
                }
            }
        })
    }
}

/// Reads durations from tokens. `None` where there is none; the place is then of no use.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) tokens: &'a [Token],
    pub(super) at: usize,
}

impl Reader<'_> {
    pub(super) fn word(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.of(self.text))
    }

    fn take(&mut self, word: &str) -> Option<()> {
        (self.word(0) == word).then(|| self.at += 1)
    }

    /// What may stand in brackets.
    pub(super) fn arithmetic(&mut self) -> Option<DurationExpr> {
        self.operations(0, DURATION_DEPTH_MAX)
    }

    /// What may stand behind `offset`.
    pub(super) fn offset(&mut self) -> Option<DurationExpr> {
        if self.word(0) != "(" {
            return self.signed(DURATION_DEPTH_MAX, false);
        }
        let first = self.operand(DURATION_DEPTH_MAX)?;
        self.more_operations(first, 0, DURATION_DEPTH_MAX)
    }

    fn operations(&mut self, least: u8, depth: usize) -> Option<DurationExpr> {
        let first = self.signed(depth.checked_sub(1)?, true)?;
        self.more_operations(first, least, depth.checked_sub(1)?)
    }

    /// Goes on behind an operand while operators bind at least as tightly as `least`.
    fn more_operations(&mut self, first: DurationExpr, least: u8, depth: usize) -> Option<DurationExpr> {
        let mut left = first;
        loop {
            let (operation, binds) = match self.word(0) {
                "+" => (Operation::Add, 1),
                "-" => (Operation::Subtract, 1),
                "*" => (Operation::Multiply, 2),
                "/" => (Operation::Divide, 2),
                "%" => (Operation::Remainder, 2),
                "^" => (Operation::Power, 3),
                _ => return Some(left),
            };
            if binds < least {
                return Some(left);
            }
            let before = self.at;
            self.at += 1;
            let tighter = if operation == Operation::Power { binds } else { binds + 1 };
            let Some(right) = self.operations(tighter, depth) else {
                // The operator belongs to what is around the selector.
                self.at = before;
                return Some(left);
            };
            left = DurationExpr::Both(operation, Box::new(left), Box::new(right));
        }
    }

    /// A sign binds less tightly than `^`, where powers are allowed at all.
    fn signed(&mut self, depth: usize, powers: bool) -> Option<DurationExpr> {
        let negative = match self.word(0) {
            "-" => true,
            "+" => false,
            _ => return self.operand(depth),
        };
        self.at += 1;
        let inner = if powers { self.operations(3, depth.checked_sub(1)?)? } else { self.operand(depth)? };
        Some(if negative { DurationExpr::Negative(Box::new(inner)) } else { inner })
    }

    fn operand(&mut self, depth: usize) -> Option<DurationExpr> {
        let token = *self.tokens.get(self.at)?;
        let word = token.of(self.text).to_ascii_lowercase();
        self.at += 1;
        if token.kind == Kind::Number {
            return number_seconds(&word).map(DurationExpr::Number);
        }
        if word != "(" {
            self.take("(")?;
        }
        let found = match word.as_str() {
            "(" => self.operations(0, depth)?,
            "step" => DurationExpr::Step,
            "range" => DurationExpr::Range,
            "min" | "min_of" | "max" | "max_of" => {
                let operation = if word.starts_with("min") { Operation::Least } else { Operation::Greatest };
                let a = self.operations(0, depth)?;
                self.take(",")?;
                DurationExpr::Both(operation, Box::new(a), Box::new(self.operations(0, depth)?))
            }
            _ => return None,
        };
        self.take(")")?;
        Some(found)
    }
}

/// A number or a duration literal (`1h30m`) in seconds; units from the longest to the shortest, each once.
pub(super) fn number_seconds(word: &str) -> Option<f64> {
    let plain = word.replace('_', "");
    let number = match plain.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(|n| n as f64),
        None => plain.parse::<f64>().ok(),
    };
    if number.is_some() {
        return number.filter(|number| number.is_finite());
    }
    const UNITS: [(&str, f64); 7] = [
        ("y", 31_536_000.0),
        ("w", 604_800.0),
        ("d", 86_400.0),
        ("h", 3_600.0),
        ("m", 60.0),
        ("s", 1.0),
        ("ms", 0.001),
    ];
    let (mut rest, mut total, mut next) = (word, 0.0, 0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?;
        let count: f64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let letters = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let place = UNITS[next..].iter().position(|(name, _)| *name == &unit[..letters])? + next;
        total += count * UNITS[place].1;
        next = place + 1;
        rest = &unit[letters..];
    }
    (next > 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::scan;

    /// The seconds, and the tokens that are left.
    fn check(text: &str, in_brackets: bool, expected: Option<(f64, &str)>) {
        let tokens = scan(text);
        let mut reader = Reader { text, tokens: &tokens, at: 0 };
        let found = if in_brackets { reader.arithmetic() } else { reader.offset() };
        let times = QueryTimes { step: 30.0, range: 600.0 };
        let left = tokens.get(reader.at).map_or("", |token| &text[token.start..]);
        let shown = found.map(|found| (found.seconds(times).unwrap_or(f64::NAN), left));
        assert_eq!(shown.map(|(s, _)| s.to_bits()), expected.map(|(s, _)| s.to_bits()), "{text}: {shown:?}");
        if expected.is_some() {
            assert_eq!(shown.map(|(_, left)| left), expected.map(|(_, left)| left), "{text}");
        }
    }

    #[test]
    fn durations_are_computed_as_numbers_are() {
        check("5m*2", true, Some((600.0, "")));
        check("1h30m+1", true, Some((5_401.0, "")));
        check("2^3^2", true, Some((512.0, "")));
        check("-2^2", true, Some((-4.0, "")));
        check("10-2*3+-1", true, Some((3.0, "")));
        check("(10-2)*3%5", true, Some((4.0, "")));
        check("step()+min(range(),1m)", true, Some((90.0, "")));
        check("MAX_OF(step(), 1)", true, Some((30.0, "")));
        check("1/0", true, Some((f64::NAN, "")));
        check("5m + x", true, Some((300.0, "+ x")));
        for wrong in ["", "x", "step", "min(1)", "(1", "1m1h", "5q", "step(1)"] {
            check(wrong, true, None);
        }
    }

    #[test]
    fn behind_offset_a_literal_ends_the_duration() {
        check("-2^2", false, Some((-2.0, "^2")));
        check("1m+1m", false, Some((60.0, "+1m")));
        check("step() + 1", false, Some((30.0, "+ 1")));
        check("(1m+1m)*2 + 1", false, Some((241.0, "")));
        check("-(1m)", false, Some((-60.0, "")));
        check("(1m) - x", false, Some((60.0, "- x")));
    }

    #[test]
    fn depth_is_limited() {
        let nested = |n: usize| format!("{}1{}", "(".repeat(n), ")".repeat(n));
        check(&nested(20), true, Some((1.0, "")));
        check(&nested(DURATION_DEPTH_MAX + 1), true, None);
        check(&format!("{}1", "-".repeat(10_000)), true, None);
    }
}
