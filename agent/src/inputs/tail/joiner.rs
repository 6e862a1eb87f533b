//! Joins the lines of one stack trace to one record.
//!
//! Pure: lines and their places go in, records come out. A line that begins with white space
//! continues the record before it; beyond that, the habits of Java, Python, Rust, Go and Node
//! decide, told by the line that begins a trace. Empty lines outside of a trace are no records.

use super::level::{Level, level};

/// Bytes of one record's text; what follows is left out of the text, but still joined.
pub(super) const RECORD_BYTES_MAX: usize = 64 * 1024;
/// Lines of one record; the next one begins a new record.
pub(super) const RECORD_LINES_MAX: u32 = 1_000;

/// One record: a line, or a trace of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Its lines, joined by line feeds.
    pub(super) text: String,
    /// How many lines it has.
    pub(super) lines: u32,
    /// What its first line says.
    pub(super) level: Level,
    /// What kind of trace it holds.
    pub(super) trace: Trace,
}

/// The kind of trace that a record holds, and how far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trace {
    None,
    /// Frames below a line that names a class: Java, .NET, Node with a message first.
    Frames,
    /// Between `Traceback …` and the line that names the exception.
    Python,
    /// After that line.
    PythonEnded,
    /// Between two chained tracebacks.
    PythonChained,
    /// After `panicked at …:`; the message follows.
    RustMessage,
    Rust,
    Go,
    Node,
}

/// Joins the lines of one file.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    record: Record,
    /// Where its first line begins in the file.
    start: u64,
}

impl Joiner {
    /// Takes the next line, which begins at `start`. Answers with the record that it ends.
    pub(super) fn push(&mut self, line: &str, start: u64) -> Option<Record> {
        if let Some(pending) = &mut self.pending
            && let Some(trace) = continued(&pending.record, line)
        {
            append(&mut pending.record, line);
            pending.record.trace = trace;
            return None;
        }
        let ended = self.flush();
        if !line.trim().is_empty() {
            let text = line[..line.floor_char_boundary(RECORD_BYTES_MAX)].to_owned();
            let record = Record { level: level(line), text, lines: 1, trace: begun(line) };
            self.pending = Some(Pending { record, start });
        }
        ended
    }

    /// The record that waits for more lines, ended now.
    pub(super) fn flush(&mut self) -> Option<Record> {
        self.pending.take().map(|pending| pending.record)
    }

    /// Where the record that waits for more lines begins.
    pub(super) fn pending_start(&self) -> Option<u64> {
        self.pending.as_ref().map(|pending| pending.start)
    }
}

fn append(record: &mut Record, line: &str) {
    record.lines += 1;
    let room = RECORD_BYTES_MAX.saturating_sub(record.text.len() + 1);
    if room > 0 {
        record.text.push('\n');
        record.text.push_str(&line[..line.floor_char_boundary(room)]);
    }
}

/// The trace that a record's first line begins.
fn begun(line: &str) -> Trace {
    if line.contains("Traceback (most recent call last):") {
        Trace::Python
    } else if rust_panic(line) {
        if line.trim_end().ends_with(':') { Trace::RustMessage } else { Trace::Rust }
    } else if line.starts_with("panic: ") || line.starts_with("fatal error: ") || goroutine(line) {
        Trace::Go
    } else if node_place(line) {
        Trace::Node
    } else {
        Trace::None
    }
}

/// Whether `line` belongs to `record`, and how far the trace has come with it.
fn continued(record: &Record, line: &str) -> Option<Trace> {
    if record.lines >= RECORD_LINES_MAX {
        return None;
    }
    let trace = record.trace;
    if line.trim().is_empty() {
        return matches!(trace, Trace::PythonEnded | Trace::PythonChained | Trace::Rust | Trace::Go | Trace::Node)
            .then_some(trace);
    }
    if line.starts_with([' ', '\t']) {
        return Some(match trace {
            Trace::None => Trace::Frames,
            // A message of several lines, or the frames that follow it.
            Trace::RustMessage => Trace::Rust,
            other => other,
        });
    }
    if ["Caused by: ", "Suppressed: ", "Wrapped by: "].iter().any(|cause| line.starts_with(cause)) {
        return Some(Trace::Frames);
    }
    let troubled = matches!(record.level, Level::Error | Level::Warn);
    match trace {
        // What a logger prints after its own line about the trouble.
        Trace::None if record.lines == 1 && troubled && class_first(line) => Some(Trace::Frames),
        Trace::None if record.lines == 1 && troubled && line.starts_with("Traceback (") => Some(Trace::Python),
        Trace::None if goroutine(line) => Some(Trace::Go),
        Trace::None | Trace::Frames => None,
        Trace::Python => python_exception(line).then_some(Trace::PythonEnded),
        Trace::PythonEnded => {
            let chained = ["During handling of the above", "The above exception was"];
            chained.iter().any(|text| line.starts_with(text)).then_some(Trace::PythonChained)
        }
        Trace::PythonChained => line.starts_with("Traceback (").then_some(Trace::Python),
        Trace::RustMessage => Some(Trace::Rust),
        Trace::Rust => (line.starts_with("note: ") || line == "stack backtrace:").then_some(Trace::Rust),
        Trace::Go => go_line(line).then_some(Trace::Go),
        Trace::Node => {
            let source = record.lines == 1;
            let told = line.starts_with("Node.js v") || line == "}" || class_first(line) || line.starts_with("Error");
            (source || told).then_some(Trace::Node)
        }
    }
}

/// `thread 'main' panicked at src/main.rs:2:5:`, with anything before it.
fn rust_panic(line: &str) -> bool {
    line.split_once("thread '").is_some_and(|(_, rest)| rest.contains(" panicked at "))
}

fn goroutine(line: &str) -> bool {
    line.starts_with("goroutine ") && line.ends_with("]:")
}

/// A line that begins with the name of a class of trouble: `java.lang.IllegalStateException: x`.
fn class_first(line: &str) -> bool {
    let line = line.strip_prefix("Uncaught ").unwrap_or(line);
    let end = line.find(|c: char| !(c.is_alphanumeric() || "._$".contains(c))).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let class = ["Exception", "Error", "Throwable", "Failure"]
        .iter()
        .any(|word| name.ends_with(word) && name.len() > word.len());
    class && (rest.is_empty() || rest.starts_with(':') || rest.starts_with(" ["))
}

/// The last line of a traceback: `package.Class: message`, or the class alone.
fn python_exception(line: &str) -> bool {
    let name = line.split_once(':').map_or(line, |(name, _)| name).trim_end();
    let mut letters = name.chars();
    letters.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && letters.all(|c| c.is_alphanumeric() || c == '_' || c == '.')
}

/// Lines between a Go panic and its end that do not begin with white space.
fn go_line(line: &str) -> bool {
    let call = |line: &str| {
        let name = line.split('(').next().unwrap_or_default();
        line.ends_with(')') && name.contains('.') && !name.contains(char::is_whitespace)
    };
    goroutine(line)
        || ["[signal ", "created by ", "exit status ", "runtime stack:"].iter().any(|word| line.starts_with(word))
        || call(line)
}

/// `/srv/app.js:10`, where Node prints an uncaught error.
fn node_place(line: &str) -> bool {
    let place = ["/", "node:", "file://"].iter().any(|start| line.starts_with(start));
    let number = line.rsplit_once(':').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    place && number && !line.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests;
