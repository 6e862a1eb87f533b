//! How bad a log line says it is. Looks at the head of the line only and knows the habits of
//! syslog, Apache, nginx, log4j, Python, Ruby, klog, PostgreSQL, logfmt and JSON.

use std::borrow::Cow;

use serde::Deserialize;

/// Bytes of a line that are searched for its level.
const HEAD_BYTES_MAX: usize = 512;
/// Words of a line among which a bare level word (`ERROR`) is looked for.
const WORDS_MAX: usize = 14;

/// How bad a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    /// It does not say.
    Unknown,
}

impl Level {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Unknown];

    /// The value of the label `level`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Unknown => "unknown",
        }
    }

    /// The level that a word stands for, in any case.
    fn of_word(word: &str) -> Option<Self> {
        let is = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
        if is(&["error", "err", "fatal", "critical", "crit", "severe", "alert", "emerg", "emergency", "panic"]) {
            Some(Self::Error)
        } else if is(&["warn", "warning"]) {
            Some(Self::Warn)
        } else if is(&["info", "information", "notice"]) {
            Some(Self::Info)
        } else if is(&["debug", "trace", "verbose", "fine", "finer", "finest"]) {
            Some(Self::Debug)
        } else {
            None
        }
    }

    /// Severity as syslog numbers it, 0 to 7.
    fn of_severity(number: u64) -> Self {
        match number {
            0..=3 => Self::Error,
            4 => Self::Warn,
            5 | 6 => Self::Info,
            _ => Self::Debug,
        }
    }

    /// Levels as bunyan and pino number them: 30 info, 40 warn, 50 error.
    fn of_number(number: u64) -> Self {
        match number {
            0..=7 => Self::of_severity(number),
            8..=29 => Self::Debug,
            30..=39 => Self::Info,
            40..=49 => Self::Warn,
            _ => Self::Error,
        }
    }
}

/// The level of a record, by its first line.
pub(super) fn level(line: &str) -> Level {
    let line = without_colours(line);
    let head = &line[..line.floor_char_boundary(HEAD_BYTES_MAX)];
    json(&line).or_else(|| prefix(head)).or_else(|| keyed(head)).or_else(|| word(head)).unwrap_or(Level::Unknown)
}

/// The head of a line without terminal colours.
fn without_colours(line: &str) -> Cow<'_, str> {
    if !line[..line.floor_char_boundary(HEAD_BYTES_MAX)].contains('\u{1b}') {
        return Cow::Borrowed(line);
    }
    let mut plain = String::new();
    let mut rest = &line[..line.floor_char_boundary(2 * HEAD_BYTES_MAX)];
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest = rest.strip_prefix(|c: char| c.is_ascii_alphabetic()).unwrap_or(rest);
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

#[derive(Deserialize)]
struct Leveled<'a> {
    #[serde(borrow, default)]
    level: Option<Told<'a>>,
    #[serde(borrow, default)]
    severity: Option<Told<'a>>,
    #[serde(borrow, default)]
    lvl: Option<Told<'a>>,
    #[serde(borrow, default)]
    levelname: Option<Told<'a>>,
    #[serde(borrow, default, rename = "log.level")]
    log_level: Option<Told<'a>>,
    #[serde(borrow, default, rename = "severity_text")]
    severity_text: Option<Told<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Told<'a> {
    Number(u64),
    Word(#[serde(borrow)] Cow<'a, str>),
    Other(serde::de::IgnoredAny),
}

/// A line that is a JSON object.
fn json(line: &str) -> Option<Level> {
    let text = line.trim_start();
    if !text.starts_with('{') {
        return None;
    }
    let told: Leveled<'_> = serde_json::from_str(text).ok()?;
    let told = [told.level, told.severity, told.lvl, told.levelname, told.log_level, told.severity_text];
    told.into_iter().flatten().find_map(|told| match told {
        Told::Number(number) => Some(Level::of_number(number)),
        Told::Word(word) => Level::of_word(&word),
        Told::Other(_) => None,
    })
}

/// Levels at the very start: `<3>` (syslog, kernel), `E0102 12:34:56` (klog), `E, [` (Ruby).
fn prefix(head: &str) -> Option<Level> {
    if let Some((number, _)) = head.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        // Facility times eight plus severity.
        return number
            .parse::<u64>()
            .ok()
            .filter(|priority| *priority < 192)
            .map(|priority| Level::of_severity(priority % 8));
    }
    let letter = match head.as_bytes().first()? {
        b'F' | b'E' => Level::Error,
        b'W' => Level::Warn,
        b'I' => Level::Info,
        b'D' => Level::Debug,
        _ => return None,
    };
    let rest = &head.as_bytes()[1..];
    let klog = rest.len() > 4 && rest[..4].iter().all(u8::is_ascii_digit) && rest[4] == b' ';
    (klog || rest.starts_with(b", [")).then_some(letter)
}

/// `level=warn`, `lvl="error"`, `"severity": "INFO"` anywhere in the head.
fn keyed(head: &str) -> Option<Level> {
    ["level", "lvl", "severity"].into_iter().find_map(|key| {
        head.match_indices(key).find_map(|(at, _)| {
            let rest = head[at + key.len()..].trim_start_matches(['"', '\'', ' ']);
            let rest = rest.strip_prefix(['=', ':'])?.trim_start_matches(['"', '\'', ' ']);
            let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            Level::of_word(&rest[..end])
        })
    })
}

/// A level among the first words: in capitals, in brackets, or before a colon.
fn word(head: &str) -> Option<Level> {
    let mut words = 0;
    let mut at = 0;
    let bytes = head.as_bytes();
    while at < bytes.len() && words < WORDS_MAX {
        if !bytes[at].is_ascii_alphabetic() {
            at += 1;
            continue;
        }
        let length = bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        words += 1;
        let before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
        let after = bytes.get(at + length).copied().unwrap_or(b' ');
        if let Some(level) = word_level(&head[at..at + length], before, after) {
            return Some(level);
        }
        at += length;
    }
    None
}

fn word_level(word: &str, before: u8, after: u8) -> Option<Level> {
    let capitals = word.bytes().all(|b| b.is_ascii_uppercase());
    // PostgreSQL's word for what is worth knowing.
    if word == "LOG" && after == b':' {
        return Some(Level::Info);
    }
    let level = Level::of_word(word)?;
    let apart = matches!(before, b' ' | b'\t' | b'[' | b'(' | b'|' | b':' | b'-' | b'<' | b'"' | b',' | b'.' | b'*');
    let ends = matches!(after, b' ' | b'\t' | b']' | b')' | b'|' | b':' | b'-' | b'>' | b'"' | b',' | b'/' | b'*');
    let bracketed = matches!(before, b'[' | b'(' | b'<') && matches!(after, b']' | b')' | b'>');
    // Apache 2.4 writes `[core:error]`.
    let module = before == b':' && after == b']';
    let said = matches!(before, b' ' | b'\t' | b'[') && after == b':';
    ((capitals && apart && ends) || bracketed || module || said).then_some(level)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(line: &str, expected: Level) {
        assert_eq!(level(line), expected, "{line}");
    }

    #[test]
    fn formats_of_the_field() {
        use Level::{Debug, Error, Info, Unknown, Warn};
        for (line, expected) in [
            ("[Sun Dec 04 04:47:44 2005] [error] mod_jk child in error state 6", Error),
            ("[Sun Dec 04 04:47:44 2005] [notice] jk2_init() Found child", Info),
            ("[Wed Oct 11 14:32:52.123 2000] [core:warn] [pid 35708] AH00098: pid file", Warn),
            ("2024/01/01 12:00:00 [crit] 123#0: *5 open() failed", Error),
            ("081109 203615 148 INFO dfs.DataNode$PacketResponder: terminating", Info),
            ("2015-07-29 17:41:44,747 - WARN  [SendWorker:1@688] - Send worker leaving", Warn),
            ("2024-01-01 12:00:00,123 - app.module - CRITICAL - gone", Error),
            ("ERROR:root:message", Error),
            ("12:00:00.123 [main] DEBUG c.e.App - hi", Debug),
            ("SEVERE: Servlet threw an exception", Error),
            ("2024-01-01T00:00:00Z \u{1b}[33m WARN\u{1b}[0m app: careful", Warn),
            ("[2024-01-01T00:00:00Z ERROR app] gone", Error),
            ("E, [2024-01-01T12:00:00 #1] ERROR -- : x", Error),
            ("I0102 12:34:56.789012   1 main.go:10] started", Info),
            ("W1231 23:59:59.1 1 x.go:1] w", Warn),
            ("<3>Jan  1 00:00:00 host app: x", Error),
            ("<30>app: x", Info),
            ("time=\"2024\" level=warning msg=\"x\"", Warn),
            ("ts=1 lvl=eror msg=x", Unknown),
            ("ts=1 lvl=dbug level=debug", Debug),
            (r#"{"time":"x","level":"ERROR","msg":"INFO"}"#, Error),
            (r#"{"level":40,"msg":"x"}"#, Warn),
            (r#"{"severity":"NOTICE","level":null}"#, Info),
            (r#"{"log.level":"debug"}"#, Debug),
            (r#"2024-01-01 prefix {"severity": "warning", "x": 1"#, Warn),
            ("2024-01-01 00:00:00 UTC [12] FATAL:  the database is starting up", Error),
            ("2024-01-01 00:00:00 UTC [12] LOG:  checkpoint starting", Info),
            ("Dec 10 06:55:46 LabSZ sshd[24200]: error: Received disconnect", Error),
            ("Dec 10 06:55:46 LabSZ sshd[24200]: Invalid user webmaster", Unknown),
            ("PHP Fatal error:  Uncaught Exception", Error),
            ("PHP Warning:  Undefined variable", Warn),
            ("127.0.0.1 - - [10/Oct/2000] \"GET /error HTTP/1.0\" 200 2326", Unknown),
            ("the error happened in the information desk", Unknown),
            ("", Unknown),
            ("{", Unknown),
            ("{}", Unknown),
            ("<>", Unknown),
            ("<999>x", Unknown),
        ] {
            check(line, expected);
        }
    }

    #[test]
    fn a_level_after_the_head_is_not_seen() {
        let padding = "é ".repeat(HEAD_BYTES_MAX);
        check(&format!("{padding} ERROR"), Level::Unknown);
        check(&format!("{} ERROR x", "1 ".repeat(200)), Level::Error);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "(\\PC|\u{1b}\\[[0-9;]{0,4}m|level[=:]|[\\[<{\"]){0,60}") {
            level(&line);
        }
    }
}
