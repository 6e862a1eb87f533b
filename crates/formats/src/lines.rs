//! Lines out of a stream of bytes, however the network cut it.
//!
//! Memory is bounded by [`LINE_BYTES_MAX`]: a longer line is dropped while it passes, and reported
//! once with its head and its length. Knows no protocol.

use memchr::memchr;

/// Bytes of one line, its end not counted: the longest label set and room for numbers.
pub const LINE_BYTES_MAX: usize = 20_480;

/// One line of the stream, without its line feed and a carriage return before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line within the limit.
    Whole(&'a [u8]),
    /// A line past the limit: what stood at its head, and how many bytes it had.
    TooLong { head: &'a [u8], bytes: u64 },
}

/// Takes chunks and gives lines with their numbers, from 1.
#[derive(Debug, Default)]
pub struct LineSplitter {
    /// The head of the line that no line feed has ended yet.
    held: Vec<u8>,
    /// Bytes of that line past the limit; they were dropped.
    dropped_bytes: u64,
    /// Lines ended so far.
    ended: u64,
}

impl LineSplitter {
    /// A splitter at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes; calls `each` for every line that they end.
    pub fn push(&mut self, mut chunk: &[u8], mut each: impl FnMut(u64, Line<'_>)) {
        while let Some(at) = memchr(b'\n', chunk) {
            let (line, rest) = (&chunk[..at], &chunk[at + 1..]);
            if self.held.is_empty() {
                self.ended += 1;
                each(self.ended, classify(line, 0));
            } else {
                self.hold(line);
                self.end_held(&mut each);
            }
            chunk = rest;
        }
        self.hold(chunk);
    }

    /// The stream ended: gives the last line, if no line feed ended it.
    pub fn finish(&mut self, mut each: impl FnMut(u64, Line<'_>)) {
        if !self.held.is_empty() {
            self.end_held(&mut each);
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        // One byte more than the limit is held, because it may be the carriage return.
        let room = (LINE_BYTES_MAX + 1).saturating_sub(self.held.len());
        let kept = bytes.len().min(room);
        self.held.extend_from_slice(&bytes[..kept]);
        self.dropped_bytes += (bytes.len() - kept) as u64;
    }

    fn end_held(&mut self, each: &mut impl FnMut(u64, Line<'_>)) {
        self.ended += 1;
        each(self.ended, classify(&self.held, self.dropped_bytes));
        self.held.clear();
        self.dropped_bytes = 0;
    }
}

fn classify(line: &[u8], dropped_bytes: u64) -> Line<'_> {
    let whole = line.strip_suffix(b"\r").filter(|_| dropped_bytes == 0).unwrap_or(line);
    if whole.len() <= LINE_BYTES_MAX {
        Line::Whole(whole)
    } else {
        Line::TooLong { head: &whole[..LINE_BYTES_MAX], bytes: whole.len() as u64 + dropped_bytes }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<(u64, String)> {
        let mut splitter = LineSplitter::new();
        let mut seen = Vec::new();
        let mut each = |number: u64, line: Line<'_>| {
            seen.push(match line {
                Line::Whole(bytes) => (number, String::from_utf8_lossy(bytes).into_owned()),
                Line::TooLong { head, bytes } => (number, format!("{} of {bytes}", head.len())),
            });
        };
        for chunk in chunks {
            splitter.push(chunk, &mut each);
        }
        splitter.finish(&mut each);
        seen
    }

    fn check(chunks: &[&str], expected: &[&str]) {
        let chunks: Vec<&[u8]> = chunks.iter().map(|c| c.as_bytes()).collect();
        let seen: Vec<String> = lines(&chunks).into_iter().map(|(n, line)| format!("{n}:{line}")).collect();
        assert_eq!(seen, expected, "{chunks:?}");
    }

    #[test]
    fn lines_come_out_however_they_were_cut() {
        check(&[], &[]);
        check(&["a 1\nb 2\n"], &["1:a 1", "2:b 2"]);
        check(&["a", " 1", "\n", "b 2\n"], &["1:a 1", "2:b 2"]);
        check(&["a 1\r", "\nb 2\r\n"], &["1:a 1", "2:b 2"]);
        check(&["a 1\nb 2"], &["1:a 1", "2:b 2"]);
        check(&["a 1\n\n", "b 2"], &["1:a 1", "2:", "3:b 2"]);
        check(&["", "\n", ""], &["1:"]);
    }

    #[test]
    fn a_line_at_the_limit_and_one_past_it() {
        let at = "x".repeat(LINE_BYTES_MAX);
        let past = "x".repeat(LINE_BYTES_MAX + 1);
        let far = "x".repeat(3 * LINE_BYTES_MAX);
        for end in ["\n", "\r\n"] {
            check(&[&at, end, "b 2"], &[&format!("1:{at}"), "2:b 2"]);
            check(&[&format!("{at}{end}b 2")], &[&format!("1:{at}"), "2:b 2"]);
        }
        let told = |bytes: usize| format!("1:{LINE_BYTES_MAX} of {bytes}");
        check(&[&past, "\nb 2"], &[&told(past.len()), "2:b 2"]);
        check(&[&format!("{past}\nb 2")], &[&told(past.len()), "2:b 2"]);
        check(&[&far, &far, "\nb 2"], &[&told(2 * far.len()), "2:b 2"]);
        check(&[&far], &[&told(far.len())]);
    }

    #[test]
    fn memory_stays_within_the_limit() {
        let mut splitter = LineSplitter::new();
        for _ in 0..100 {
            splitter.push(&[b'x'; 65_536], |_, _| {});
        }
        assert!(splitter.held.len() <= LINE_BYTES_MAX + 1);
    }

    proptest! {
        #[test]
        fn cutting_never_changes_the_lines(text in "[ab\r\n]{0,60}", cuts in proptest::collection::vec(0usize..60, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(lines(&chunks), lines(&[bytes]));
        }
    }
}
