//! What is wrong with a file that a person wrote, and where: file, line, column, the line itself
//! and a caret below the place. All problems of a file are reported, not only the first.

use std::fmt;

/// Characters of a source line that are shown.
const SHOWN_CHARS_MAX: usize = 160;

/// A place in a text: line and column from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name as it was given.
    pub file: String,
    /// Where.
    pub place: Place,
    /// What is wrong, for a person.
    pub message: String,
    /// The line at `place`, as it is in the file.
    pub source_line: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(f, "{}:{line}:{column}: {}", self.file, self.message)?;
        if self.source_line.trim().is_empty() {
            return Ok(());
        }
        // A caret far to the right of a long line would be cut off, so the line moves left.
        let skipped = column.saturating_sub(SHOWN_CHARS_MAX / 2);
        let skipped = if self.source_line.chars().count() <= SHOWN_CHARS_MAX { 0 } else { skipped };
        let shown: String = self.source_line.chars().skip(skipped).take(SHOWN_CHARS_MAX).collect();
        let before: String = shown.chars().take(column.saturating_sub(1 + skipped)).map(blank).collect();
        write!(f, "\n  | {shown}\n  | {before}^")
    }
}

/// A tab stays a tab, so that the caret stands below its character in any terminal.
fn blank(c: char) -> char {
    if c == '\t' { '\t' } else { ' ' }
}

/// Collects the problems of one file.
#[derive(Debug)]
pub struct Problems<'a> {
    file: &'a str,
    text: &'a str,
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    /// None yet.
    #[must_use]
    pub fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, found: Vec::new() }
    }

    /// Notes one.
    pub fn add(&mut self, place: Place, message: impl Into<String>) {
        let source_line = self.text.lines().nth(place.line.saturating_sub(1)).unwrap_or_default().to_owned();
        self.found.push(Problem { file: self.file.to_owned(), place, message: message.into(), source_line });
    }

    /// The text that is judged.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// `value` where nothing was noted, else everything that was, in the order of the file.
    pub fn into_result<T>(mut self, value: T) -> Result<T, Vec<Problem>> {
        if self.found.is_empty() {
            return Ok(value);
        }
        self.found.sort_by_key(|problem| problem.place);
        Err(self.found)
    }
}

/// All problems as one text.
#[must_use]
pub fn render(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str, line: usize, column: usize) -> String {
        let mut problems = Problems::new("r.yml", text);
        problems.add(Place { line, column }, "bad");
        render(&problems.into_result(()).unwrap_err())
    }

    #[test]
    fn the_caret_stands_below_the_character() {
        assert_eq!(one("a: b\nc: dé f", 2, 7), "r.yml:2:7: bad\n  | c: dé f\n  |       ^");
        assert_eq!(one("\ta: b", 1, 5), "r.yml:1:5: bad\n  | \ta: b\n  | \t   ^");
    }

    #[test]
    fn a_long_line_is_shown_around_the_caret() {
        let text = format!("{}X{}", "a".repeat(300), "b".repeat(300));
        let shown = one(&text, 1, 301);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1].chars().nth(lines[2].chars().count() - 1), Some('X'));
        assert!(lines[1].chars().count() <= SHOWN_CHARS_MAX + 4);
    }

    #[test]
    fn a_place_outside_of_the_text_shows_no_line() {
        assert_eq!(one("a", 9, 1), "r.yml:9:1: bad");
    }

    #[test]
    fn problems_come_in_the_order_of_the_file() {
        let mut problems = Problems::new("f", "x\ny");
        problems.add(Place { line: 2, column: 1 }, "second");
        problems.add(Place { line: 1, column: 1 }, "first");
        let found = problems.into_result(()).unwrap_err();
        assert_eq!(found[0].message, "first");
    }
}
