//! One followed file: reads on where it left off, splits lines, joins records.
//!
//! A file is known by device and inode, and by a fingerprint of its first bytes, because inodes
//! are used again. It was truncated where it is shorter than what was read, or where its first
//! bytes have changed; then it is read from the beginning.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::SystemTime;

use memchr::memchr;
use series::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use super::joiner::{Joiner, Record};

/// Bytes of one line that are kept; what follows up to the line's end is left out.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024;
/// Bytes read from one file before the others get their turn.
pub(super) const BYTES_PER_TURN_MAX: u64 = 4 * 1024 * 1024;
/// Bytes of a file's beginning that its fingerprint covers.
pub(super) const FINGERPRINT_BYTES_MAX: usize = 1_024;
/// A record waits this long for lines that continue it, ms.
pub(super) const QUIET_MS: i64 = 1_000;

/// Device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl From<&Metadata> for FileId {
    fn from(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// Hash of a file's first bytes, and how many they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Fingerprint {
    pub(super) bytes: usize,
    hash: u64,
}

impl Fingerprint {
    fn of(file: &File, bytes: usize) -> io::Result<Self> {
        let mut head = vec![0; bytes.min(FINGERPRINT_BYTES_MAX)];
        let mut filled = 0;
        while filled < head.len() {
            match file.read_at(&mut head[filled..], filled as u64)? {
                0 => break,
                length => filled += length,
            }
        }
        Ok(Self { bytes: filled, hash: xxh3_64(&head[..filled]) })
    }

    /// Whether `file` begins with the bytes that this one covers.
    pub(super) fn fits(self, file: &File) -> bool {
        Self::of(file, self.bytes).is_ok_and(|own| own == self)
    }
}

/// Where to begin in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Beginning,
    End,
    At(u64),
}

/// A file that is being followed.
#[derive(Debug)]
pub(super) struct FollowedFile {
    file: File,
    /// The path by which its counters go.
    pub(super) label: String,
    pub(super) fingerprint: Fingerprint,
    /// Where the next bytes are read.
    read_at: u64,
    /// The line that no line feed has ended yet: its beginning in the file, and its head.
    line_start: u64,
    line: Vec<u8>,
    joiner: Joiner,
    /// When the last line came.
    line_came_at: Timestamp,
    /// What was seen at the last look, so that a file that did not change costs one call.
    seen: Option<(u64, SystemTime)>,
    /// Since when no path leads to it.
    pub(super) gone_since: Option<Timestamp>,
}

impl FollowedFile {
    /// Follows the file at `path`.
    pub(super) fn open(path: &Path, label: String, start: Start) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let read_at = match start {
            Start::Beginning => 0,
            Start::End => size,
            Start::At(at) => at.min(size),
        };
        Ok(Self {
            fingerprint: Fingerprint::of(&file, FINGERPRINT_BYTES_MAX)?,
            file,
            label,
            read_at,
            line_start: read_at,
            line: Vec::new(),
            joiner: Joiner::default(),
            line_came_at: Timestamp(i64::MIN),
            seen: None,
            gone_since: None,
        })
    }

    /// Where to go on after a restart: everything before it is in finished records.
    pub(super) fn kept_at(&self) -> u64 {
        self.joiner.pending_start().unwrap_or(self.line_start)
    }

    /// Reads what is new. Answers whether there is more than one turn's worth.
    pub(super) fn read(&mut self, now: Timestamp, chunk: &mut [u8], mut each: impl FnMut(Record)) -> io::Result<bool> {
        let metadata = self.file.metadata()?;
        let seen = (metadata.len(), metadata.modified()?);
        if self.seen == Some(seen) {
            return Ok(false);
        }
        if seen.0 < self.read_at || !self.fingerprint.fits(&self.file) {
            self.finish(&mut each);
            (self.read_at, self.line_start) = (0, 0);
            self.fingerprint = Fingerprint::of(&self.file, 0)?;
        }
        let turn_end = self.read_at.saturating_add(BYTES_PER_TURN_MAX);
        while self.read_at < turn_end {
            let length = self.file.read_at(chunk, self.read_at)?;
            if length == 0 {
                self.remember(seen)?;
                return Ok(false);
            }
            self.feed(&chunk[..length], now, &mut each);
        }
        self.remember(seen)?;
        // Not all of it is read, so the next turn must look again.
        self.seen = None;
        Ok(true)
    }

    fn remember(&mut self, seen: (u64, SystemTime)) -> io::Result<()> {
        if self.fingerprint.bytes < FINGERPRINT_BYTES_MAX && self.read_at > self.fingerprint.bytes as u64 {
            self.fingerprint = Fingerprint::of(&self.file, FINGERPRINT_BYTES_MAX)?;
        }
        // A line that came after `metadata` was asked is read already, but the size differs then.
        self.seen = Some(seen);
        Ok(())
    }

    fn feed(&mut self, mut bytes: &[u8], now: Timestamp, each: &mut impl FnMut(Record)) {
        while let Some(at) = memchr(b'\n', bytes) {
            let (head, rest) = (&bytes[..at], &bytes[at + 1..]);
            self.read_at += at as u64 + 1;
            if self.line.is_empty() {
                self.end_line(&head[..head.len().min(LINE_BYTES_MAX)], now, each);
            } else {
                self.hold(head);
                let line = std::mem::take(&mut self.line);
                self.end_line(&line, now, each);
            }
            bytes = rest;
        }
        self.read_at += bytes.len() as u64;
        self.hold(bytes);
    }

    fn hold(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self, line: &[u8], now: Timestamp, each: &mut impl FnMut(Record)) {
        let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        // Who truncates a file under a writer that does not append leaves a hole of NULs.
        let ended = self.joiner.push(text.trim_start_matches('\0'), self.line_start);
        self.line_start = self.read_at;
        self.line_came_at = now;
        if let Some(record) = ended {
            each(record);
        }
    }

    /// Ends a record to which nothing was added for a while.
    pub(super) fn end_quiet_record(&mut self, now: Timestamp, mut each: impl FnMut(Record)) {
        // Likewise where the clock was set back.
        let quiet = !(0..QUIET_MS).contains(&now.ms().saturating_sub(self.line_came_at.ms()));
        if quiet && let Some(record) = self.joiner.flush() {
            each(record);
        }
    }

    /// Nothing will come any more: what waits is a line and a record.
    pub(super) fn finish(&mut self, mut each: impl FnMut(Record)) {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.end_line(&line, Timestamp(i64::MIN), &mut each);
        }
        if let Some(record) = self.joiner.flush() {
            each(record);
        }
    }

    /// Whether nothing came since `since`.
    pub(super) fn idle_since(&self, since: Timestamp) -> bool {
        self.line_came_at < since
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use super::*;

    struct Log {
        _folder: tempfile::TempDir,
        path: PathBuf,
    }

    impl Log {
        fn new(text: &[u8]) -> Self {
            let folder = tempfile::tempdir().expect("folder");
            let path = folder.path().join("app.log");
            std::fs::write(&path, text).expect("written");
            Self { _folder: folder, path }
        }

        fn append(&self, text: &[u8]) {
            let mut file = File::options().append(true).open(&self.path).expect("opened");
            file.write_all(text).expect("written");
        }

        fn open(&self, start: Start) -> FollowedFile {
            FollowedFile::open(&self.path, "app.log".to_owned(), start).expect("opened")
        }
    }

    fn read(file: &mut FollowedFile) -> Vec<String> {
        let mut texts = Vec::new();
        while file.read(Timestamp(0), &mut [0; 16], |record| texts.push(record.text)).expect("read") {}
        texts
    }

    fn rest(file: &mut FollowedFile) -> Vec<String> {
        let mut texts = Vec::new();
        file.finish(|record| texts.push(record.text));
        texts
    }

    #[test]
    fn lines_cut_by_reads_and_a_line_without_an_end() {
        let log = Log::new(b"first line, longer than a chunk\r\nsecond \xff\nthi");
        let mut file = log.open(Start::Beginning);
        assert_eq!(read(&mut file), ["first line, longer than a chunk"]);
        assert_eq!(file.kept_at(), 33, "the second line waits for a continuation");
        log.append(b"rd\nfourth\n");
        assert_eq!(read(&mut file), ["second \u{fffd}", "third"]);
        assert_eq!(rest(&mut file), ["fourth"]);
    }

    #[test]
    fn the_end_and_a_place() {
        let log = Log::new(b"old\nnew\n");
        let mut file = log.open(Start::At(4));
        assert_eq!((read(&mut file), rest(&mut file)), (vec![], vec!["new".to_owned()]));
        let mut file = log.open(Start::End);
        log.append(b"later\n");
        assert_eq!((read(&mut file), rest(&mut file)), (vec![], vec!["later".to_owned()]));
    }

    #[test]
    fn a_truncated_file_is_read_from_its_beginning() {
        let log = Log::new(b"one\ntwo\n");
        let mut file = log.open(Start::Beginning);
        read(&mut file);
        std::fs::write(&log.path, b"x\n").expect("truncated");
        assert_eq!(read(&mut file), ["two"]);
        assert_eq!((rest(&mut file), file.kept_at()), (vec!["x".to_owned()], 2));
    }

    #[test]
    fn a_truncated_file_that_has_grown_past_its_old_size_is_noticed() {
        let log = Log::new(b"one\ntwo\n");
        let mut file = log.open(Start::Beginning);
        read(&mut file);
        std::fs::write(&log.path, b"another beginning\nlonger than before\n").expect("rewritten");
        assert_eq!(read(&mut file), ["two", "another beginning"]);
    }

    #[test]
    fn a_line_at_the_limit_and_one_byte_past_it() {
        for (bytes, kept) in [(LINE_BYTES_MAX, LINE_BYTES_MAX), (LINE_BYTES_MAX + 1, LINE_BYTES_MAX)] {
            let log = Log::new(format!("{}\nnext\n", "x".repeat(bytes)).as_bytes());
            let mut file = log.open(Start::Beginning);
            let texts = read(&mut file);
            assert_eq!(texts[0].len(), kept);
            assert_eq!(rest(&mut file), ["next"]);
            assert_eq!(file.kept_at(), bytes as u64 + 6);
        }
    }

    #[test]
    fn a_turn_ends_at_its_limit() {
        let line = format!("{}\n", "x".repeat(1_023));
        let lines = BYTES_PER_TURN_MAX as usize / line.len();
        let log = Log::new(line.repeat(lines + 1).as_bytes());
        let mut file = log.open(Start::Beginning);
        let mut count = 0;
        let mut chunk = vec![0; 64 * 1024];
        assert!(file.read(Timestamp(0), &mut chunk, |_| count += 1).expect("read"));
        assert_eq!(count, lines - 1);
        assert!(!file.read(Timestamp(0), &mut chunk, |_| count += 1).expect("read"));
        assert_eq!(count, lines);
    }

    #[test]
    fn a_record_ends_when_it_was_quiet() {
        let log = Log::new(b"head\n\tat x\n");
        let mut file = log.open(Start::Beginning);
        read(&mut file);
        let mut ended = Vec::new();
        file.end_quiet_record(Timestamp(QUIET_MS - 1), |record| ended.push(record.lines));
        assert!(ended.is_empty());
        file.end_quiet_record(Timestamp(QUIET_MS), |record| ended.push(record.lines));
        assert_eq!(ended, [2]);
    }
}
