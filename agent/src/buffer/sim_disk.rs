//! A disk in memory that forgets, at a crash, what was not fsynced: bytes of files, and which
//! files there are. It fails when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use super::disk::Disk;

/// Cloning shares the disk, as a process that starts again finds the same one.
#[derive(Clone, Default)]
pub(super) struct SimDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// What the process sees: the file's number on the disk.
    names: BTreeMap<String, usize>,
    /// What a crash leaves.
    durable_names: BTreeMap<String, usize>,
    files: Vec<File>,
    /// Bytes that may still be written; then the disk is full.
    room: Option<usize>,
    syncs_fail: bool,
}

#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    durable: Vec<u8>,
}

impl SimDisk {
    /// Everything unsynced is lost, except for what the disk happened to write: names whose bit
    /// in `keep` is set, and that many thousandths of the unsynced end of each file.
    pub(super) fn crash(&self, keep: u64) {
        let mut state = self.0.lock().unwrap();
        let (seen, durable) = (state.names.clone(), state.durable_names.clone());
        let all: BTreeSet<&String> = seen.keys().chain(durable.keys()).collect();
        let mut names = BTreeMap::new();
        for (bit, name) in all.into_iter().enumerate() {
            let source = if keep >> (bit % 48) & 1 == 1 { &seen } else { &durable };
            if let Some(file) = source.get(name) {
                names.insert(name.clone(), *file);
            }
        }
        for file in &mut state.files {
            let mut left = file.durable.clone();
            if let Some(end) = file.bytes.get(file.durable.len()..) {
                left.extend_from_slice(&end[..end.len() * (keep >> 48) as usize % 1000 / 1000]);
            }
            file.durable = left.clone();
            file.bytes = left;
        }
        state.durable_names = names.clone();
        state.names = names;
    }

    /// From now on that many bytes can be written.
    pub(super) fn set_room(&self, room: Option<usize>) {
        self.0.lock().unwrap().room = room;
    }

    /// Whether every fsync fails from now on.
    pub(super) fn fail_syncs(&self, fail: bool) {
        self.0.lock().unwrap().syncs_fail = fail;
    }

    /// Changes a file's bytes behind everybody's back.
    pub(super) fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock().unwrap();
        let file = state.names[name];
        change(&mut state.files[file].bytes);
        state.files[file].durable = state.files[file].bytes.clone();
    }
}

impl State {
    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        let number = *self.names.get(name).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(&mut self.files[number])
    }

    fn may_sync(&self) -> io::Result<()> {
        if self.syncs_fail { Err(io::Error::other("input/output error")) } else { Ok(()) }
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.0.lock().unwrap().file(name)?.bytes.clone())
    }

    fn read_at(&mut self, name: &str, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut state = self.0.lock().unwrap();
        let found = state.file(name)?.bytes.get(at as usize..at as usize + bytes).map(<[u8]>::to_vec);
        found.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if !state.names.contains_key(name) {
            let number = state.files.len();
            state.files.push(File::default());
            state.names.insert(name.to_owned(), number);
        }
        let taken = state.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        state.room = state.room.map(|room| room - taken);
        let file = state.file(name)?;
        assert_eq!(file.bytes.len(), at as usize, "{name} is written at another place than its end");
        file.bytes.extend_from_slice(&bytes[..taken]);
        if taken < bytes.len() { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.may_sync()?;
        let file = state.file(name)?;
        file.durable = file.bytes.clone();
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.may_sync()?;
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn truncate(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        self.0.lock().unwrap().file(name)?.bytes.truncate(bytes as usize);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.names.remove(name).map(drop).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let file = state.names.remove(from).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        state.names.insert(to.to_owned(), file);
        Ok(())
    }
}
