//! Files as everything in this crate sees them: a flat tree of names below one folder.
//!
//! Nothing else in this crate touches `std::fs`, so the stream, the table and the blobs run
//! unchanged over [`RealDisk`] and over [`crate::SimDisk`], which loses whatever was not synced.
//! Two things must be synced apart, and a user of this trait has to do both: a file's bytes
//! ([`DiskFile::sync`]) and the names in a folder ([`Disk::sync_dir`]).
//! It must not know what is in the files.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The last segment of its path.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// An open file.
pub trait DiskFile: Send + Sync + Debug {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether it holds nothing.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `out` from `offset`; [`io::ErrorKind::UnexpectedEof`] where the file is shorter.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, lengthening the file where needed. After an error any
    /// part may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts, or lengthens by zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes every earlier write of this file durable.
    fn sync(&self) -> io::Result<()>;
}

/// A tree of files. Paths are relative, segments joined by `/`; the empty path is the root.
pub trait Disk: Send + Sync + Debug {
    /// Makes a folder and its parents, durably.
    fn create_dir_all(&self, dir: &str) -> io::Result<()>;

    /// Opens for reading and writing, creating an empty file where there is none. The new name is
    /// durable only after [`Disk::sync_dir`].
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Whether a file or folder of this name exists.
    fn exists(&self, path: &str) -> io::Result<bool>;

    /// A whole file; [`io::ErrorKind::NotFound`] where there is none.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;

    /// Up to `length` bytes of a file from `offset` on, fewer where it ends before;
    /// [`io::ErrorKind::NotFound`] where there is none.
    fn read_part(&self, path: &str, offset: u64, length: u64) -> io::Result<Vec<u8>>;

    /// A file's length in bytes; [`io::ErrorKind::NotFound`] where there is none.
    fn length(&self, path: &str) -> io::Result<u64>;

    /// What is in a folder, sorted by name; nothing where there is no such folder.
    fn list(&self, dir: &str) -> io::Result<Vec<DirEntry>>;

    /// Renames a file, replacing `to`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; one that is not there is a success.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Makes creations, renames and removals in this folder durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// Replaces a file's content, all or nothing, durable when it returns. `temporary` is a path
    /// on the same disk that nobody else uses meanwhile.
    fn write_atomic(&self, path: &str, temporary: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.open(temporary)?;
        file.set_len(0)?;
        file.write_at(0, bytes)?;
        file.sync()?;
        self.rename(temporary, path)?;
        self.sync_dir(parent_of(path))?;
        if parent_of(temporary) != parent_of(path) { self.sync_dir(parent_of(temporary)) } else { Ok(()) }
    }
}

/// The folder that a path stands in; empty for the root.
#[must_use]
pub(crate) fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Files of the operating system, below one folder. New files are readable by their owner only.
#[derive(Debug, Clone)]
pub struct RealDisk {
    root: PathBuf,
}

/// Mode of new files: what is stored here is nobody else's business.
const FILE_MODE: u32 = 0o600;

impl RealDisk {
    /// The tree below `root`, which is made where it is missing.
    pub fn new(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self { root: root.to_owned() })
    }

    fn at(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync writes the length as well, because reading the data back needs it.
        self.0.sync_data()
    }
}

impl Disk for RealDisk {
    fn create_dir_all(&self, dir: &str) -> io::Result<()> {
        let mut made = String::new();
        for segment in dir.split('/').filter(|segment| !segment.is_empty()) {
            let parent = made.clone();
            if !made.is_empty() {
                made.push('/');
            }
            made.push_str(segment);
            match fs::create_dir(self.at(&made)) {
                Ok(()) => self.sync_dir(&parent)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.at(&made).is_dir() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(self.at(path))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        self.at(path).try_exists()
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(self.at(path))
    }

    fn read_part(&self, path: &str, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let file = File::open(self.at(path))?;
        let all = file.metadata()?;
        if all.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        let mut bytes = vec![0; all.len().saturating_sub(offset).min(length) as usize];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn length(&self, path: &str) -> io::Result<u64> {
        let found = fs::metadata(self.at(path))?;
        if found.is_dir() { Err(io::Error::from(io::ErrorKind::IsADirectory)) } else { Ok(found.len()) }
    }

    fn list(&self, dir: &str) -> io::Result<Vec<DirEntry>> {
        let entries = match fs::read_dir(self.at(dir)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            // A name that is not UTF-8 was not made by us.
            if let Ok(name) = entry.file_name().into_string() {
                found.push(DirEntry { name, is_dir: entry.file_type()?.is_dir() });
            }
        }
        found.sort();
        Ok(found)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        match fs::remove_file(self.at(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::open(self.at(dir))?.sync_all()
    }
}
