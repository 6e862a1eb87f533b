//! What a Nagios plugin printed, and how it ended.
//!
//! The first line is text, after a `|` comes performance data; the lines after it are long text,
//! up to a second `|`, after which everything is performance data. Performance data of two lines
//! is never glued together.
//!
//! Nothing here runs a plugin: the agent does, and hands over bytes and an [`Ended`]. Limits:
//! [`OUTPUT_BYTES_MAX`] of output, [`perfdata::PERF_ITEMS_MAX`] items.

pub mod perfdata;
mod range;
mod samples;
mod units;

use crate::parsed::Rejects;
pub use perfdata::{PerfItem, Perfdata, Threshold};
pub use range::{Range, RangeError};
pub use samples::samples;
pub use units::normalised;

/// Bytes of output that are looked at; the head is kept. 512 KiB.
pub const OUTPUT_BYTES_MAX: usize = 512 * 1_024;

/// A check's state, by Nagios's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// 0
    Ok,
    /// 1
    Warning,
    /// 2
    Critical,
    /// 3
    Unknown,
}

impl State {
    /// The state that an exit code stands for; every code but 0 to 3 is unknown.
    #[must_use]
    pub fn from_exit_code(code: i32) -> Self {
        match code {
            0 => Self::Ok,
            1 => Self::Warning,
            2 => Self::Critical,
            _ => Self::Unknown,
        }
    }

    /// 0 to 3.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// How a plugin's run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// It was killed because it took longer than this, ms.
    TimedOut { after_ms: u64 },
    /// It could not be started.
    NotStarted { why: String },
}

impl Ended {
    /// The state that this end stands for.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Self::Code(code) => State::from_exit_code(*code),
            Self::Signal(_) | Self::TimedOut { .. } | Self::NotStarted { .. } => State::Unknown,
        }
    }

    /// The exit code as it was, and for a signal what a shell would say, 128 + its number.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(*code),
            Self::Signal(signal) => Some(signal.saturating_add(128)),
            Self::TimedOut { .. } | Self::NotStarted { .. } => None,
        }
    }

    /// What a reader must be told beside the plugin's own text; `None` after codes 0 to 3.
    fn told(&self) -> Option<String> {
        match self {
            Self::Code(0..=3) => None,
            Self::Code(code) => Some(format!("exit code {code}")),
            Self::Signal(signal) => Some(format!("killed by signal {signal}")),
            Self::TimedOut { after_ms } => Some(format!("timed out after {}s", *after_ms as f64 / 1_000.0)),
            Self::NotStarted { why } => Some(format!("could not be started: {why}")),
        }
    }
}

/// A plugin's output, understood.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    /// The first line, up to the performance data.
    pub text: String,
    /// The lines after it, up to the performance data.
    pub long_text: String,
    /// The performance data.
    pub perf: Vec<PerfItem>,
    /// Items that were refused.
    pub rejected: Rejects,
    /// Items that were kept although a part of them was dropped.
    pub notes: Rejects,
    /// Whether the output was longer than [`OUTPUT_BYTES_MAX`].
    pub truncated: bool,
    /// Sequences that were no UTF-8, and NULs; each was replaced by U+FFFD.
    pub replaced: u64,
}

/// Parses what a plugin printed.
#[must_use]
pub fn parse(output: &[u8]) -> Output {
    let (output, truncated) = head(output);
    let (text, replaced) = readable(output);
    let mut out = Output { truncated, replaced, ..Output::default() };
    let mut perf = perfdata::Reader::default();
    let mut long_text: Vec<&str> = Vec::new();
    let mut in_perfdata = false;
    let mut lines = (1u64..).zip(text.lines()).peekable();
    while let Some((number, line)) = lines.next() {
        let cut_off = truncated && lines.peek().is_none() && !text.ends_with('\n');
        if in_perfdata {
            perf.line(line, number, 1, cut_off);
            continue;
        }
        let (before, after) = match line.split_once('|') {
            Some((before, after)) => (before, Some(after)),
            None => (line, None),
        };
        // `\|` is how a shell's quoting leaks into the output.
        let words = if after.is_some() { before.strip_suffix('\\').unwrap_or(before) } else { before };
        if number == 1 {
            words.trim().clone_into(&mut out.text);
        } else if after.is_none() || !words.trim().is_empty() {
            long_text.push(words.trim_end());
            in_perfdata = after.is_some();
        } else {
            in_perfdata = true;
        }
        if let Some(after) = after {
            perf.line(after, number, before.chars().count() as u64 + 2, cut_off);
        }
    }
    out.long_text = long_text.join("\n").trim_end().to_owned();
    let Perfdata { items, rejected, notes } = perf.finish();
    Output { perf: items, rejected, notes, ..out }
}

/// One run of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The state that its end stands for.
    pub state: State,
    /// The exit code as it was, see [`Ended::exit_code`].
    pub exit_code: Option<i32>,
    /// What it printed. The text is never empty: without output it says how the run ended.
    pub output: Output,
}

/// Joins what a plugin printed with how it ended. After an end other than the codes 0 to 3 the text
/// begins with that end, and what stood on the standard error is part of the long text.
#[must_use]
pub fn parse_run(stdout: &[u8], stderr: &[u8], ended: &Ended) -> Run {
    let mut output = parse(stdout);
    let (stderr_head, stderr_cut) = head(stderr);
    let errors = readable(stderr_head).0;
    let silent = output.text.is_empty() && output.long_text.is_empty();
    let told = ended.told();
    if silent || told.is_some() {
        let mut lines = errors.trim().lines();
        if output.text.is_empty() {
            lines.next().unwrap_or_default().trim_end().clone_into(&mut output.text);
        }
        let rest: Vec<&str> = lines.map(str::trim_end).collect();
        if !rest.is_empty() {
            if !output.long_text.is_empty() {
                output.long_text.push('\n');
            }
            output.long_text.push_str(&rest.join("\n"));
        }
        output.truncated |= stderr_cut;
    }
    output.text = match (told, output.text.is_empty()) {
        (None, false) => output.text,
        (None, true) => {
            let what = if silent && output.perf.is_empty() { "output" } else { "text" };
            format!("no {what}, exit code {}", ended.exit_code().unwrap_or_default())
        }
        (Some(told), true) => told,
        (Some(told), false) => format!("{told}: {}", output.text),
    };
    Run { state: ended.state(), exit_code: ended.exit_code(), output }
}

/// The first [`OUTPUT_BYTES_MAX`] bytes, not cut inside a character, and whether there were more.
fn head(output: &[u8]) -> (&[u8], bool) {
    if output.len() <= OUTPUT_BYTES_MAX {
        return (output, false);
    }
    let continues = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    let back = (0..4).find(|back| !continues(output[OUTPUT_BYTES_MAX - back])).unwrap_or(0);
    (&output[..OUTPUT_BYTES_MAX - back], true)
}

/// As text, with what cannot be shown replaced and counted.
fn readable(bytes: &[u8]) -> (String, u64) {
    let mut text = String::with_capacity(bytes.len());
    let mut replaced = 0;
    for chunk in bytes.utf8_chunks() {
        for (index, part) in chunk.valid().split('\0').enumerate() {
            if index > 0 {
                text.push(char::REPLACEMENT_CHARACTER);
                replaced += 1;
            }
            text.push_str(part);
        }
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            replaced += 1;
        }
    }
    (text, replaced)
}

#[cfg(test)]
mod tests;
