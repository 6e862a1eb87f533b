//! The type of exception that a record tells of.

use std::sync::LazyLock;

use regex::Regex;

use super::counts::compiled;
use super::joiner::{Record, Trace};

/// Characters of a type's name that are kept.
const TYPE_CHARS_MAX: usize = 120;

/// A class name, with its package where there is one, and what follows it.
static CLASS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    // Plain letters: tables for all of Unicode would take a megabyte.
    let package = r"[A-Za-z_$][0-9A-Za-z_$]*[.\\]";
    // `Error` alone is a word; `java.lang.Error` and `TypeError` are classes.
    let name =
        format!(r"(?:(?:{package})+(?:[A-Z][0-9A-Za-z_$]*)?|[A-Z][0-9A-Za-z_$]*)(?:Exception|Error|Throwable|Panic)");
    let pattern = format!(r#"(?:^|[ \t\n:\[("'=])({name})(?:([: \t\n\]),;"'\[])|$)"#);
    compiled(&pattern).ok()
});

/// The type, where the record tells of an exception: the outermost class that it names, or
/// `panic` for Rust and Go.
pub(super) fn exception_type(record: &Record) -> Option<String> {
    let found = match record.trace {
        Trace::Rust | Trace::RustMessage | Trace::Go => return Some("panic".to_owned()),
        Trace::Python | Trace::PythonEnded | Trace::PythonChained => python(&record.text)?,
        Trace::None => single(&record.text)?,
        Trace::Frames | Trace::Node => class(&record.text, |_, _| true).or_else(|| plain_error(&record.text))?,
    };
    Some(found.chars().take(TYPE_CHARS_MAX).collect())
}

/// The last line of the last traceback.
fn python(text: &str) -> Option<&str> {
    let (_, last) = text.rsplit_once("Traceback (most recent call last):")?;
    let line = last.lines().find(|line| !line.is_empty() && !line.starts_with([' ', '\t']))?;
    Some(line.split(':').next().unwrap_or(line).trim())
}

/// In a single line only a class with its package, or one before a colon, is more than a word.
fn single(text: &str) -> Option<&str> {
    class(text, |name, after| name.contains(['.', '\\']) || after == ":")
}

fn class(text: &str, fits: impl Fn(&str, &str) -> bool) -> Option<&str> {
    // Most lines have none of these, and this is cheaper than the expression.
    if !["Exception", "Error", "Throwable", "Panic"].iter().any(|word| text.contains(word)) {
        return None;
    }
    CLASS.as_ref()?.captures_iter(text).find_map(|found| {
        let name = found.get(1)?.as_str();
        fits(name, found.get(2).map_or("", |after| after.as_str())).then_some(name)
    })
}

/// Node's plain `Error: message` above frames.
fn plain_error(text: &str) -> Option<&'static str> {
    let frames = text.lines().any(|line| line.trim_start().starts_with("at "));
    let plain = text.lines().any(|line| line.starts_with("Error:") || line.contains(" Error: "));
    (frames && plain).then_some("Error")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::joiner::Joiner;
    use super::*;

    fn check(text: &str, expected: &[Option<&str>]) {
        let mut joiner = Joiner::default();
        let mut records: Vec<Record> = text.lines().filter_map(|line| joiner.push(line, 0)).collect();
        records.extend(joiner.flush());
        let found: Vec<Option<String>> = records.iter().map(exception_type).collect();
        let found: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn types_of_traces() {
        check(
            "12:00 ERROR failed\njava.lang.IllegalStateException: boom\n\tat a.B.c(B.java:1)\nCaused by: java.io.IOException: x\n\tat d",
            &[Some("java.lang.IllegalStateException")],
        );
        check(
            "Exception in thread \"main\" java.lang.OutOfMemoryError: heap\n\tat A.b(A.java)",
            &[Some("java.lang.OutOfMemoryError")],
        );
        check(
            "Traceback (most recent call last):\n  File \"a\"\n    x\nrequests.exceptions.ConnectionError: no: route\nINFO:x:next",
            &[Some("requests.exceptions.ConnectionError"), None],
        );
        check("Traceback (most recent call last):\n  File \"a\"\nKeyError\n", &[Some("KeyError")]);
        check("Traceback (most recent call last):\n  File \"a\"\n", &[None]);
        check("thread 'main' panicked at src/main.rs:2:5:\nboom\n", &[Some("panic")]);
        check("panic: runtime error: x\n\ngoroutine 1 [running]:\n", &[Some("panic")]);
        check("TypeError: x is not a function\n    at f (a.js:1:2)\n", &[Some("TypeError")]);
        check("Error: boom\n    at f (a.js:1:2)\n", &[Some("Error")]);
        check("/srv/a.js:1\nthrow x\n\nRangeError [ERR_X]: y\n    at z\n", &[Some("RangeError")]);
        check(
            "Unhandled exception. System.NullReferenceException: Object\n   at P.Main()\n",
            &[Some("System.NullReferenceException")],
        );
    }

    #[test]
    fn types_in_single_lines() {
        check("WARN caught java.io.IOException: reset", &[Some("java.io.IOException")]);
        check("ERROR x: java.lang.Error: y", &[Some("java.lang.Error")]);
        check("PHP Fatal error:  Uncaught App\\Db\\QueryException: x", &[Some("App\\Db\\QueryException")]);
        check("ValueError: bad", &[Some("ValueError")]);
        check("the NullPointerException was handled", &[None]);
        check("Unexpected exception causing shutdown", &[None]);
        check("Error: x", &[None]);
    }

    #[test]
    fn a_name_at_the_limit_and_one_character_past_it() {
        for (length, kept) in [(TYPE_CHARS_MAX, TYPE_CHARS_MAX), (TYPE_CHARS_MAX + 1, TYPE_CHARS_MAX)] {
            let name = format!("{}Error", "É".replace('É', "X").repeat(length - 5));
            let mut joiner = Joiner::default();
            joiner.push(&format!("{name}: x"), 0);
            let found = joiner.flush().and_then(|record| exception_type(&record)).map(|name| name.len());
            assert_eq!(found, Some(kept));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(Exception|Error|Traceback \\(most recent call last\\):|\\PC|[.: \n]){0,40}") {
            for trace in [Trace::None, Trace::Frames, Trace::Python, Trace::Go] {
                let record = Record { text: text.clone(), lines: 1, level: super::super::level::Level::Unknown, trace };
                exception_type(&record);
            }
        }
    }
}
