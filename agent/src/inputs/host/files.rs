//! Reads files of `/proc` and `/sys` into one reused buffer. A file that is missing (a container,
//! an old kernel) is noted once, not each time.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Bytes read of one file; the rest is left out. `/proc/stat` of a machine with 512 CPUs has
/// about 60 KiB.
pub(super) const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes read of a file of one short line.
const LINE_BYTES: usize = 512;

/// A folder that holds `proc` and `sys`: `/`, or a test's folder.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    buffer: Vec<u8>,
    noted: HashSet<String>,
    notes: Vec<String>,
}

impl Files {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), buffer: Vec::new(), noted: HashSet::new(), notes: Vec::new() }
    }

    /// The text of `path` (relative to the root); invalid UTF-8 is replaced. `None` where it
    /// cannot be read.
    pub(super) fn read(&mut self, path: &str) -> Option<Cow<'_, str>> {
        match self.fill(path) {
            Ok(()) => Some(String::from_utf8_lossy(&self.buffer)),
            Err(error) => {
                // Where PSI or conntrack is switched off, opening works and reading does not.
                let absent = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported);
                let reason = if absent { "is not there".to_owned() } else { error.to_string() };
                self.note(path, &format!("/{path}: {reason}; what it would tell is left out"));
                None
            }
        }
    }

    /// The text of `path`, where its absence means nothing worth a note.
    pub(super) fn read_optional(&mut self, path: &str) -> Option<Cow<'_, str>> {
        self.fill(path).ok()?;
        Some(String::from_utf8_lossy(&self.buffer))
    }

    /// The first bytes of a file of one short line, by a single call; its absence means nothing
    /// worth a note.
    pub(super) fn read_line(&mut self, path: &str) -> Option<Cow<'_, str>> {
        self.buffer.resize(LINE_BYTES, 0);
        let length = File::open(self.root.join(path)).and_then(|mut file| file.read(&mut self.buffer)).ok()?;
        self.buffer.truncate(length);
        Some(String::from_utf8_lossy(&self.buffer))
    }

    /// Notes `text` about `subject`, the first time only.
    pub(super) fn note(&mut self, subject: &str, text: &str) {
        if self.noted.insert(subject.to_owned()) {
            self.notes.push(text.to_owned());
        }
    }

    /// Notes since the last call.
    pub(super) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn fill(&mut self, path: &str) -> std::io::Result<()> {
        self.buffer.clear();
        let file = File::open(self.root.join(path))?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut self.buffer)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_noted_once() {
        let folder = tempfile::tempdir().expect("folder");
        let mut files = Files::new(folder.path());
        assert!(files.read("proc/stat").is_none());
        assert!(files.read("proc/stat").is_none());
        assert_eq!(files.take_notes(), ["/proc/stat: is not there; what it would tell is left out"]);
        assert!(files.read("proc/stat").is_none());
        assert!(files.take_notes().is_empty());
    }

    #[test]
    fn a_file_at_the_limit_and_one_byte_past_it() {
        let folder = tempfile::tempdir().expect("folder");
        let mut files = Files::new(folder.path());
        let limit = FILE_BYTES_MAX as usize;
        for length in [limit, limit + 1] {
            std::fs::write(folder.path().join("f"), vec![b'x'; length]).expect("written");
            assert_eq!(files.read("f").map(|text| text.len()), Some(limit));
        }
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("f"), b"a\xffb").expect("written");
        assert_eq!(Files::new(folder.path()).read("f").as_deref(), Some("a\u{fffd}b"));
    }
}
