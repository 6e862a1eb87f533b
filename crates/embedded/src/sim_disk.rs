//! A disk in memory that forgets what was not synced, and fails when told to.
//!
//! It keeps two states: what programs see, and what would be there after a power cut. A file's
//! bytes move to the second by [`DiskFile::sync`], names by [`Disk::sync_dir`]. [`SimDisk::crash`]
//! throws the first away; files opened before a crash answer with errors, as the handles of a
//! killed process would be gone.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{DirEntry, Disk, DiskFile, parent_of};
use crate::random::SeededRandom;

/// What a crash leaves of the writes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashKind {
    /// None of them.
    DropAll,
    /// Some, chosen by this seed, the last one perhaps in part: a disk may write back what it
    /// likes, in any order.
    KeepSome(u64),
}

/// When operations fail. Only operations that change something are counted, from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskFaults {
    /// From this operation on, everything fails until [`SimDisk::crash`]: the moment of a power cut.
    pub halt_at: Option<u64>,
    /// This one operation fails, and a write among them is written half.
    pub fail_at: Option<u64>,
    /// So many operations in a thousand fail, writes half written.
    pub fail_per_mille: u16,
    /// Syncs answer that all is well and do nothing, to see that a test would notice.
    pub ignore_syncs: bool,
    /// The bytes that all files may have together; beyond, writes fail as on a full disk.
    pub bytes_max: Option<u64>,
}

/// The disk. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    files: BTreeMap<u64, FileState>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    // Folders are durable at once, as `create_dir_all` promises.
    dirs: BTreeSet<String>,
    next_file: u64,
    // Rises with each crash, so that files opened earlier can be told.
    life: u64,
    operations: u64,
    halted: bool,
    faults: DiskFaults,
    random: SeededRandom,
}

#[derive(Debug, Default)]
struct FileState {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

impl SimDisk {
    /// An empty disk whose random faults follow `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            dirs: BTreeSet::from([String::new()]),
            next_file: 0,
            life: 0,
            operations: 0,
            halted: false,
            faults: DiskFaults::default(),
            random: SeededRandom::new(seed),
        })))
    }

    /// From now on these faults, instead of the earlier ones.
    pub fn set_faults(&self, faults: DiskFaults) {
        self.state().faults = faults;
    }

    /// Operations so far that changed something, failed ones included.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Whether `halt_at` was reached.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.state().halted
    }

    /// A power cut and a new start: what was not synced is lost, faults are switched off.
    pub fn crash(&self, kind: CrashKind) {
        let state = &mut *self.state();
        state.life += 1;
        state.halted = false;
        state.faults = DiskFaults::default();
        let mut chooser = match kind {
            CrashKind::DropAll => None,
            CrashKind::KeepSome(seed) => Some(SeededRandom::new(seed)),
        };
        for file in state.files.values_mut() {
            let unsynced = std::mem::take(&mut file.unsynced);
            if let Some(random) = &mut chooser {
                keep_some(&mut file.durable, unsynced, random);
            }
            file.seen.clone_from(&file.durable);
        }
        if let Some(random) = &mut chooser {
            let changed: BTreeSet<String> =
                state.names.keys().chain(state.durable_names.keys()).cloned().collect::<BTreeSet<_>>();
            for path in changed {
                if random.chance(500) {
                    set_name(&mut state.durable_names, &path, state.names.get(&path).copied());
                }
            }
        }
        state.names.clone_from(&state.durable_names);
        let named: BTreeSet<u64> = state.names.values().copied().collect();
        state.files.retain(|id, _| named.contains(id));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn set_name(names: &mut BTreeMap<String, u64>, path: &str, file: Option<u64>) {
    match file {
        Some(id) => names.insert(path.to_owned(), id),
        None => names.remove(path),
    };
}

fn keep_some(durable: &mut Vec<u8>, unsynced: Vec<Change>, random: &mut SeededRandom) {
    for change in unsynced {
        match change {
            Change::Write(offset, mut bytes) if random.chance(500) => {
                if random.chance(200) {
                    bytes.truncate(random.below(bytes.len() as u64) as usize);
                }
                write_into(durable, offset, &bytes);
            }
            Change::SetLen(len) if random.chance(500) => durable.resize(len as usize, 0),
            Change::Write(..) | Change::SetLen(_) => {}
        }
    }
}

fn write_into(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (start, end) = (offset as usize, offset as usize + bytes.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(bytes);
}

fn missing(path: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{path} is not there"))
}

/// What the next operation shall do.
enum Fate {
    Succeed,
    Fail(io::Error),
}

impl State {
    /// Counts a changing operation and decides its fate.
    fn next_operation(&mut self) -> Fate {
        self.operations += 1;
        if self.halted || self.faults.halt_at.is_some_and(|at| self.operations >= at) {
            self.halted = true;
            return Fate::Fail(io::Error::other("the disk has halted"));
        }
        let random = self.faults.fail_per_mille > 0 && self.random.chance(self.faults.fail_per_mille);
        if random || self.faults.fail_at == Some(self.operations) {
            return Fate::Fail(io::Error::other("injected fault"));
        }
        Fate::Succeed
    }

    fn change(&mut self) -> io::Result<()> {
        match self.next_operation() {
            Fate::Succeed => Ok(()),
            Fate::Fail(error) => Err(error),
        }
    }

    fn has_room(&self, more: u64) -> io::Result<()> {
        let Some(max) = self.faults.bytes_max else { return Ok(()) };
        let used: u64 = self.files.values().map(|file| file.seen.len() as u64).sum();
        if used + more > max { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
    }

    fn require_dir(&self, path: &str) -> io::Result<()> {
        let parent = parent_of(path);
        if self.dirs.contains(parent) { Ok(()) } else { Err(missing(parent)) }
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: u64,
    life: u64,
}

impl SimFile {
    fn with<T>(&self, act: impl FnOnce(&mut State, u64) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state();
        if state.life != self.life {
            return Err(io::Error::other("opened before a crash"));
        }
        act(&mut state, self.file)
    }
}

impl State {
    fn file(&mut self, id: u64) -> io::Result<&mut FileState> {
        self.files.get_mut(&id).ok_or_else(|| missing("the file"))
    }

    fn apply(&mut self, id: u64, change: Change) -> io::Result<()> {
        let file = self.file(id)?;
        match &change {
            Change::Write(offset, bytes) => write_into(&mut file.seen, *offset, bytes),
            Change::SetLen(len) => file.seen.resize(*len as usize, 0),
        }
        file.unsynced.push(change);
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|state, id| Ok(state.file(id)?.seen.len() as u64))
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|state, id| {
            let content = &state.file(id)?.seen;
            let wanted = content.get(offset as usize..offset as usize + out.len());
            out.copy_from_slice(wanted.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
            Ok(())
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|state, id| {
            let end = offset + bytes.len() as u64;
            let grows = end.saturating_sub(state.file(id)?.seen.len() as u64);
            if grows > 0 {
                state.has_room(grows)?;
            }
            match state.next_operation() {
                Fate::Succeed => state.apply(id, Change::Write(offset, bytes.to_vec())),
                Fate::Fail(error) => {
                    state.apply(id, Change::Write(offset, bytes[..bytes.len() / 2].to_vec()))?;
                    Err(error)
                }
            }
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|state, id| {
            let grows = len.saturating_sub(state.file(id)?.seen.len() as u64);
            if grows > 0 {
                state.has_room(grows)?;
            }
            state.change()?;
            state.apply(id, Change::SetLen(len))
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state, id| {
            state.change()?;
            if state.faults.ignore_syncs {
                return Ok(());
            }
            let file = state.file(id)?;
            for change in std::mem::take(&mut file.unsynced) {
                match change {
                    Change::Write(offset, bytes) => write_into(&mut file.durable, offset, &bytes),
                    Change::SetLen(len) => file.durable.resize(len as usize, 0),
                }
            }
            Ok(())
        })
    }
}

impl Disk for SimDisk {
    fn create_dir_all(&self, dir: &str) -> io::Result<()> {
        let mut state = self.state();
        if !state.dirs.contains(dir) {
            state.change()?;
        }
        for (at, _) in dir.match_indices('/') {
            state.dirs.insert(dir[..at].to_owned());
        }
        state.dirs.insert(dir.to_owned());
        Ok(())
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.require_dir(path)?;
        let file = match state.names.get(path) {
            Some(file) => *file,
            None => {
                if state.dirs.contains(path) {
                    return Err(io::Error::from(io::ErrorKind::IsADirectory));
                }
                state.change()?;
                state.next_file += 1;
                let id = state.next_file;
                state.files.insert(id, FileState::default());
                state.names.insert(path.to_owned(), id);
                id
            }
        };
        Ok(Arc::new(SimFile { disk: self.clone(), file, life: state.life }))
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        let state = self.state();
        Ok(state.names.contains_key(path) || state.dirs.contains(path))
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        let id = *state.names.get(path).ok_or_else(|| missing(path))?;
        Ok(state.file(id)?.seen.clone())
    }

    fn read_part(&self, path: &str, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let bytes = self.read(path)?.into();
        Ok(ports::part_of(&bytes, offset, length).to_vec())
    }

    fn length(&self, path: &str) -> io::Result<u64> {
        Ok(self.read(path)?.len() as u64)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<DirEntry>> {
        let state = self.state();
        let below = |path: &&String| !path.is_empty() && parent_of(path) == dir;
        let entry = |path: &String, is_dir| DirEntry {
            name: path.rsplit_once('/').map_or(path.as_str(), |(_, name)| name).to_owned(),
            is_dir,
        };
        let mut found: Vec<DirEntry> = state.names.keys().filter(below).map(|path| entry(path, false)).collect();
        found.extend(state.dirs.iter().filter(below).map(|path| entry(path, true)));
        found.sort();
        Ok(found)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.require_dir(to)?;
        state.change()?;
        let id = state.names.remove(from).ok_or_else(|| missing(from))?;
        state.names.insert(to.to_owned(), id);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        state.names.remove(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        let state = &mut *state;
        state.durable_names.retain(|path, _| parent_of(path) != dir);
        for (path, id) in state.names.iter().filter(|(path, _)| parent_of(path) == dir) {
            state.durable_names.insert(path.clone(), *id);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "sim_disk_tests.rs"]
mod tests;
