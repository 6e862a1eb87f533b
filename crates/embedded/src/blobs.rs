//! The blob port: one file an object, written aside and renamed, so that a name is there whole or
//! not at all. It must not know what is in an object.
//!
//! An object's name is its path below `blobs/`. Unlike in S3, `a` and `a/b` cannot both exist;
//! the names that the pipeline makes never ask for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use ports::{BLOB_BYTES_MAX, Blobs, PortError};

use crate::disk::{Disk, parent_of};

/// Bytes of a name.
pub(crate) const NAME_BYTES_MAX: usize = 512;
/// Bytes of one of a name's segments: file systems take 255.
const SEGMENT_BYTES_MAX: usize = 200;
/// Folders that a listing goes down.
const DEPTH_MAX: usize = 32;
const PORT: &str = "blobs";

/// The blob port. Clones are the same folder.
#[derive(Clone)]
pub struct FileBlobs(Arc<Folder>);

struct Folder {
    disk: Arc<dyn Disk>,
    dir: String,
    temporary_dir: String,
    next_temporary: AtomicU64,
}

impl FileBlobs {
    /// Objects below `dir`; `temporary_dir` is emptied, because what stands there was never
    /// finished.
    pub(crate) fn open(disk: Arc<dyn Disk>, dir: &str, temporary_dir: &str) -> io::Result<Self> {
        disk.create_dir_all(dir)?;
        disk.create_dir_all(temporary_dir)?;
        for entry in disk.list(temporary_dir)? {
            disk.remove(&format!("{temporary_dir}/{}", entry.name))?;
        }
        let (dir, temporary_dir) = (dir.to_owned(), temporary_dir.to_owned());
        Ok(Self(Arc::new(Folder { disk, dir, temporary_dir, next_temporary: AtomicU64::new(0) })))
    }

    fn path(&self, name: &str) -> Result<String, PortError> {
        check_name(name)?;
        Ok(format!("{}/{name}", self.0.dir))
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> io::Result<T> + Send + 'static,
    ) -> Result<T, PortError> {
        let folder = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || work(&folder)).await {
            Ok(result) => result.map_err(|error| PortError::transient(PORT, error)),
            Err(_) => Err(PortError::transient(PORT, "the process is shutting down")),
        }
    }
}

impl Folder {
    fn put_now(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = format!("{}/{number}", self.temporary_dir);
        self.disk.create_dir_all(parent_of(path))?;
        let written = self.disk.write_atomic(path, &temporary, bytes);
        if written.is_err() {
            // What stays behind is removed at the next start.
            let _ = self.disk.remove(&temporary);
        }
        written
    }

    fn list_now(&self, prefix: &str) -> io::Result<Vec<String>> {
        // Only folders that can hold such a name are looked into.
        let mut folders = vec![(parent_of(prefix).to_owned(), 0)];
        let mut names = Vec::new();
        while let Some((folder, depth)) = folders.pop() {
            let below = if folder.is_empty() { self.dir.clone() } else { format!("{}/{folder}", self.dir) };
            for entry in self.disk.list(&below)? {
                let name = if folder.is_empty() { entry.name } else { format!("{folder}/{}", entry.name) };
                if !name.starts_with(prefix) {
                    continue;
                }
                match entry.is_dir {
                    true if depth < DEPTH_MAX => folders.push((name, depth + 1)),
                    true => return Err(io::Error::other(format!("folders below {name} are too deep"))),
                    false => names.push(name),
                }
            }
        }
        names.sort();
        Ok(names)
    }
}

/// Relative, `[a-zA-Z0-9._-]` segments, and no way out of the folder.
fn check_name(name: &str) -> Result<(), PortError> {
    let good_segment = |segment: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let length_is_good = !segment.is_empty() && segment.len() <= SEGMENT_BYTES_MAX;
        length_is_good && segment != "." && segment != ".." && segment.chars().all(allowed)
    };
    if name.len() > NAME_BYTES_MAX {
        let what = format!("a name of {} bytes, at most {NAME_BYTES_MAX} are allowed", name.len());
        return Err(PortError::permanent(PORT, what));
    }
    if !name.split('/').all(good_segment) || name.split('/').count() > DEPTH_MAX {
        return Err(PortError::permanent(PORT, format!("{name:?} is not a name of an object")));
    }
    Ok(())
}

#[async_trait]
impl Blobs for FileBlobs {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), PortError> {
        let path = self.path(name)?;
        if bytes.len() > BLOB_BYTES_MAX {
            let what = format!("an object of {} bytes, at most {BLOB_BYTES_MAX} are allowed", bytes.len());
            return Err(PortError::permanent(PORT, what));
        }
        self.off_thread(move |folder| folder.put_now(&path, &bytes)).await
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, PortError> {
        let path = self.path(name)?;
        self.off_thread(move |folder| if_there(folder.disk.read(&path)).map(|read| read.map(Bytes::from))).await
    }

    async fn get_range(&self, name: &str, offset: u64, length: u64) -> Result<Option<Bytes>, PortError> {
        let path = self.path(name)?;
        let read = move |folder: &Folder| if_there(folder.disk.read_part(&path, offset, length));
        Ok(self.off_thread(read).await?.map(Bytes::from))
    }

    async fn length(&self, name: &str) -> Result<Option<u64>, PortError> {
        let path = self.path(name)?;
        self.off_thread(move |folder| if_there(folder.disk.length(&path))).await
    }

    async fn delete(&self, name: &str) -> Result<(), PortError> {
        let path = self.path(name)?;
        let delete = move |folder: &Folder| match folder.disk.remove(&path) {
            Ok(()) => folder.disk.sync_dir(parent_of(&path)),
            Err(error) => Err(error),
        };
        let deleted = move |folder: &Folder| match delete(folder) {
            Err(error) if is_absence(&error) => Ok(()),
            other => other,
        };
        self.off_thread(deleted).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError> {
        let prefix = prefix.to_owned();
        self.off_thread(move |folder| folder.list_now(&prefix)).await
    }
}

/// That there is nothing is an answer.
fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory)
}

#[cfg(test)]
#[path = "blobs_tests.rs"]
mod tests;
