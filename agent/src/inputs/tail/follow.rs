//! The files of one `[[log]]` section: found by pattern, followed through rotation, counted.
//!
//! A file that is renamed is followed on under the path at which it was found, so that its
//! counters go on and nothing of it is counted twice; the file that takes its place is new. A
//! file found when a pattern is followed for the very first time begins at its end, every later
//! one at its beginning. Knows no clock, no thread and no intake.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use series::Timestamp;
use wire::LogRecord;

use super::checkpoint::{Checkpoint, Place};
use super::counts::{FileCounts, Rules};
use super::file::{FileId, FollowedFile, Start};
use super::joiner::Record;
use super::level::Level;
use crate::config::RecordsKept;
use crate::inputs::sheet::Sheet;

/// Files that one section follows at a time.
pub(super) const FILES_MAX: usize = 256;
/// Paths that one pattern may find; what is beyond is not looked at.
pub(super) const PATHS_MAX: usize = 10_000;
/// Files whose counters are kept although they are not followed any more.
pub(super) const COUNTED_FILES_MAX: usize = 1_000;
/// A file without a path to it is let go when nothing came for this long, ms. Until then its
/// writer may not have noticed the rotation.
pub(super) const GONE_IDLE_MS: i64 = 60_000;
/// Bytes of records that wait for the next report; further ones are counted and not sent.
pub(super) const RECORD_BYTES_WAITING_MAX: usize = 512 * 1024;
/// Bytes read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// A new file that begins like a followed one with at least so many bytes is its copy.
const COPY_BYTES_MIN: usize = 256;
/// Ends of the names of files that are not text any more.
const PACKED: [&str; 5] = ["gz", "xz", "zst", "bz2", "zip"];

/// The files of one section.
pub(super) struct Follower {
    patterns: Vec<String>,
    /// Patterns that no checkpoint knows: what they find first begins at its end.
    new_patterns: HashSet<String>,
    /// Whether the patterns were looked at since the start.
    scanned: bool,
    /// Places of the checkpoint that no file has claimed yet.
    places: HashMap<FileId, Place>,
    files: HashMap<FileId, FollowedFile>,
    counts: BTreeMap<String, FileCounts>,
    rules: Rules,
    kept: RecordsKept,
    records: Vec<LogRecord>,
    record_bytes: usize,
    records_left_out: u64,
    not_numbers: u64,
    noted: HashSet<String>,
    notes: Vec<String>,
    changed: bool,
    chunk: Vec<u8>,
}

impl Follower {
    /// Goes on from `checkpoint`, or begins.
    pub(super) fn new(patterns: Vec<String>, rules: Rules, kept: RecordsKept, checkpoint: Option<Checkpoint>) -> Self {
        let (known, places, counts) = match checkpoint {
            Some(checkpoint) => (checkpoint.patterns, checkpoint.files, checkpoint.counts),
            None => (Vec::new(), Vec::new(), BTreeMap::new()),
        };
        Self {
            new_patterns: patterns.iter().filter(|pattern| !known.contains(pattern)).cloned().collect(),
            patterns,
            scanned: false,
            places: places.into_iter().map(|place| (place.id, place)).collect(),
            files: HashMap::new(),
            counts,
            rules,
            kept,
            records: Vec::new(),
            record_bytes: 0,
            records_left_out: 0,
            not_numbers: 0,
            noted: HashSet::new(),
            notes: Vec::new(),
            changed: true,
            chunk: vec![0; CHUNK_BYTES],
        }
    }

    /// Looks for files that came, went or were renamed.
    pub(super) fn scan(&mut self, now: Timestamp) {
        let mut found = HashSet::new();
        for pattern in self.patterns.clone() {
            let paths = match glob::glob(&pattern) {
                Ok(paths) => paths,
                Err(error) => {
                    self.note(&pattern, format!("pattern {pattern:?}: {error}"));
                    continue;
                }
            };
            let begins_at_end = !self.scanned && self.new_patterns.contains(&pattern);
            for (number, path) in paths.flatten().enumerate() {
                if number >= PATHS_MAX {
                    self.note(&pattern, format!("pattern {pattern:?} finds more than {PATHS_MAX} paths"));
                    break;
                }
                self.meet(&path, begins_at_end, &mut found);
            }
        }
        if !self.scanned {
            self.scanned = true;
            self.find_renamed(&mut found);
        }
        for (id, file) in &mut self.files {
            file.gone_since = if found.contains(id) { None } else { file.gone_since.or(Some(now)) };
        }
        self.let_go(now);
    }

    fn meet(&mut self, path: &Path, begins_at_end: bool, found: &mut HashSet<FileId>) {
        if path.extension().is_some_and(|end| PACKED.iter().any(|packed| end == *packed)) {
            return;
        }
        let Ok(metadata) = std::fs::metadata(path) else { return };
        let id = FileId::from(&metadata);
        if !metadata.is_file() || !found.insert(id) || self.files.contains_key(&id) {
            return;
        }
        let (label, start) = match self.places.remove(&id) {
            Some(place) if File::open(path).is_ok_and(|file| place.fingerprint.fits(&file)) => {
                (place.label, Start::At(place.at))
            }
            _ if begins_at_end => (path.display().to_string(), Start::End),
            _ if self.is_copy(path) => (path.display().to_string(), Start::End),
            _ => (path.display().to_string(), Start::Beginning),
        };
        self.follow(id, path, label, start);
    }

    fn follow(&mut self, id: FileId, path: &Path, label: String, start: Start) {
        if self.files.len() >= FILES_MAX {
            self.note("files", format!("{}: over {FILES_MAX} files; further ones are not followed", path.display()));
            return;
        }
        match FollowedFile::open(path, label, start) {
            Ok(file) => {
                self.counts.entry(file.label.clone()).or_default();
                self.files.insert(id, file);
                self.changed = true;
            }
            Err(error) => self.note(&path.display().to_string(), format!("{}: {error}", path.display())),
        }
    }

    /// Whether a file is what `copytruncate` leaves: `app.log.1`, which begins as `app.log` does.
    fn is_copy(&self, path: &Path) -> bool {
        let name = path.display().to_string();
        let Ok(file) = File::open(path) else { return false };
        self.files.values().any(|followed| {
            let print = followed.fingerprint;
            name.len() > followed.label.len()
                && name.starts_with(&followed.label)
                && print.bytes >= COPY_BYTES_MIN
                && print.fits(&file)
        })
    }

    /// Finds files that were renamed out of the patterns while the agent was away: by their
    /// inode, in the folder where they were.
    fn find_renamed(&mut self, found: &mut HashSet<FileId>) {
        for (id, place) in std::mem::take(&mut self.places) {
            let folder = Path::new(&place.label).parent().unwrap_or(Path::new("."));
            let paths = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
            let renamed = paths.into_iter().find(|path| {
                std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && FileId::from(&metadata) == id)
                    && File::open(path).is_ok_and(|file| place.fingerprint.fits(&file))
            });
            match renamed {
                Some(path) => {
                    self.follow(id, &path, place.label, Start::At(place.at));
                    found.remove(&id);
                }
                None => self.note(&place.label, format!("{}: the file of the last run is gone", place.label)),
            }
        }
    }

    /// Lets go of files that no path leads to and that are quiet.
    fn let_go(&mut self, now: Timestamp) {
        let over = now.plus_ms(-GONE_IDLE_MS);
        let gone = |file: &FollowedFile| file.gone_since.is_some_and(|since| since <= over) && file.idle_since(over);
        let ids: Vec<FileId> = self.files.iter().filter(|(_, file)| gone(file)).map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(mut file) = self.files.remove(&id) {
                let mut ended = Vec::new();
                file.finish(|record| ended.push(record));
                for record in ended {
                    self.count(&file.label, record, now);
                }
                self.changed = true;
            }
        }
        let labels: HashSet<&str> = self.files.values().map(|file| file.label.as_str()).collect();
        let spare = self.counts.len().saturating_sub(COUNTED_FILES_MAX);
        let unused = self.counts.keys().filter(|label| !labels.contains(label.as_str())).take(spare);
        for label in unused.cloned().collect::<Vec<_>>() {
            self.counts.remove(&label);
        }
    }

    /// Reads what is new. Answers whether there is more.
    pub(super) fn read(&mut self, now: Timestamp) -> bool {
        let mut more = false;
        let mut files = std::mem::take(&mut self.files);
        let mut chunk = std::mem::take(&mut self.chunk);
        for file in files.values_mut() {
            let before = file.kept_at();
            let mut ended = Vec::new();
            let read = file.read(now, &mut chunk, |record| ended.push(record));
            file.end_quiet_record(now, |record| ended.push(record));
            self.changed |= file.kept_at() != before || !ended.is_empty();
            for record in ended {
                self.count(&file.label, record, now);
            }
            match read {
                Ok(rest) => more |= rest,
                Err(error) => self.note(&file.label, format!("{}: {error}", file.label)),
            }
        }
        self.files = files;
        self.chunk = chunk;
        more
    }

    fn count(&mut self, label: &str, record: Record, now: Timestamp) {
        let counts = self.counts.entry(label.to_owned()).or_default();
        let counted = counts.add(&record, &self.rules);
        self.not_numbers += counted.not_numbers;
        let troubled = matches!(counted.level, Level::Error | Level::Warn) || counted.exception;
        if self.kept == RecordsKept::All || (self.kept == RecordsKept::Errors && troubled) {
            if self.record_bytes + record.text.len() > RECORD_BYTES_WAITING_MAX {
                self.records_left_out += 1;
                return;
            }
            self.record_bytes += record.text.len();
            let level = if counted.level == Level::Unknown { "" } else { counted.level.name() };
            self.records.push(LogRecord {
                at: now,
                file: label.to_owned(),
                level: level.to_owned(),
                text: record.text,
            });
        }
    }

    /// Writes the counters of the files that are followed.
    pub(super) fn samples(&mut self, sheet: &mut Sheet) {
        let labels: HashSet<&str> = self.files.values().map(|file| file.label.as_str()).collect();
        for (label, counts) in self.counts.iter_mut().filter(|(label, _)| labels.contains(label.as_str())) {
            counts.samples(label, &self.rules, sheet);
        }
    }

    /// Records since the last call, and how many more were left out for want of room.
    pub(super) fn take_records(&mut self) -> (Vec<LogRecord>, u64) {
        self.record_bytes = 0;
        (std::mem::take(&mut self.records), std::mem::take(&mut self.records_left_out))
    }

    /// Numbers since the last call that were none.
    pub(super) fn take_not_numbers(&mut self) -> u64 {
        std::mem::take(&mut self.not_numbers)
    }

    /// What a person should know, since the last call.
    pub(super) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// The checkpoint of this moment, where it differs from the last one that was asked for.
    pub(super) fn checkpoint(&mut self) -> Option<Checkpoint> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let place = |(id, file): (&FileId, &FollowedFile)| Place {
            id: *id,
            label: file.label.clone(),
            fingerprint: file.fingerprint,
            at: file.kept_at(),
        };
        let mut files: Vec<Place> = self.files.iter().map(place).collect();
        files.sort_by_key(|place| place.id);
        Some(Checkpoint::new(self.patterns.clone(), files, self.counts.clone()))
    }

    /// Folders in which something may change.
    pub(super) fn folders(&self) -> HashSet<PathBuf> {
        let fixed = self.patterns.iter().filter_map(|pattern| {
            let path = Path::new(pattern);
            let plain = |part: &Path| !part.to_string_lossy().contains(['*', '?', '[']);
            path.ancestors().skip(1).find(|part| plain(part)).map(Path::to_owned)
        });
        let of_files = self.files.values().filter_map(|file| Some(Path::new(&file.label).parent()?.to_owned()));
        fixed.chain(of_files).collect()
    }

    fn note(&mut self, subject: &str, text: String) {
        if self.noted.insert(subject.to_owned()) {
            self.notes.push(text);
        }
    }
}

#[cfg(test)]
mod tests;
