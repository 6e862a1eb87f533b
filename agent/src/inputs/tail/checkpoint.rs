//! The checkpoint: how far each file was read, and the counters up to there.
//!
//! One file, replaced as a whole (written aside, synced, renamed), so that places and counters
//! always belong together, whenever the agent or the host dies.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::counts::FileCounts;
use super::file::{FileId, Fingerprint};

/// The form of the file. A later one is read as if there were none.
const VERSION: u32 = 1;
/// Bytes of a checkpoint that is read.
const CHECKPOINT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    version: u32,
    /// Patterns that were followed: files found by a new one are not new themselves.
    pub(super) patterns: Vec<String>,
    pub(super) files: Vec<Place>,
    /// Counters by the path of the file.
    pub(super) counts: BTreeMap<String, FileCounts>,
}

/// How far one file was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) id: FileId,
    /// The path by which its counters go.
    pub(super) label: String,
    pub(super) fingerprint: Fingerprint,
    /// Everything before this byte is counted.
    pub(super) at: u64,
}

impl Checkpoint {
    pub(super) fn new(patterns: Vec<String>, files: Vec<Place>, counts: BTreeMap<String, FileCounts>) -> Self {
        Self { version: VERSION, patterns, files, counts }
    }

    /// Reads the one at `path`. `None` where there is none yet; an error, for a person, where it
    /// cannot be used.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(told(&error)),
        };
        if metadata.len() > CHECKPOINT_BYTES_MAX {
            return Err(told(&format!("has {} bytes, more than {CHECKPOINT_BYTES_MAX}", metadata.len())));
        }
        let bytes = std::fs::read(path).map_err(|error| told(&error))?;
        let checkpoint: Self = serde_json::from_slice(&bytes).map_err(|error| told(&error))?;
        match checkpoint.version {
            VERSION => Ok(Some(checkpoint)),
            other => Err(told(&format!("is of version {other}, this agent reads {VERSION}"))),
        }
    }

    /// Replaces the one at `path`, durably.
    pub(super) fn save(&self, path: &Path) -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let aside = path.with_extension("new");
        let mut file = File::create(&aside)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        std::fs::rename(&aside, path)?;
        File::open(folder)?.sync_all()
    }
}

/// Where the checkpoint of a `[[log]]` section lives: named by its job and first path, so that
/// the order of sections does not matter.
pub(super) fn checkpoint_path(data_dir: &Path, job: &str, first_pattern: &str) -> PathBuf {
    let hash = xxhash_rust::xxh3::xxh3_64(format!("{job}\n{first_pattern}").as_bytes());
    data_dir.join("logs").join(format!("{hash:016x}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_as_it_was() {
        let folder = tempfile::tempdir().expect("folder");
        let path = checkpoint_path(folder.path(), "log", "/var/log/*.log");
        assert_eq!(Checkpoint::load(&path), Ok(None));
        let counts = BTreeMap::from([("/a".to_owned(), FileCounts::default())]);
        let checkpoint = Checkpoint::new(vec!["/var/log/*.log".to_owned()], Vec::new(), counts);
        checkpoint.save(&path).expect("saved");
        assert_eq!(Checkpoint::load(&path), Ok(Some(checkpoint)));
        assert_eq!(std::fs::read_dir(folder.path().join("logs")).expect("folder").count(), 1);
    }

    #[test]
    fn one_that_cannot_be_used_says_why() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("x.json");
        for (text, expected) in [
            ("", "EOF while parsing"),
            ("{\"version\":1", "EOF while parsing"),
            ("{\"version\":2,\"patterns\":[],\"files\":[],\"counts\":{}}", "is of version 2"),
        ] {
            std::fs::write(&path, text).expect("written");
            let error = Checkpoint::load(&path).expect_err("unusable");
            assert!(error.contains(expected) && error.starts_with(&path.display().to_string()), "{error}");
        }
    }
}
