//! What the buffer needs of a folder, and the real one. Names are plain file names.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a file that are read at most when the buffer is opened.
pub const FILE_BYTES_MAX: u64 = 4 << 20;

/// A folder with files that grow at their ends.
pub trait Disk: Send {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// A file's bytes, at most [`FILE_BYTES_MAX`].
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// `bytes` bytes of a file from `at` on.
    fn read_at(&mut self, name: &str, at: u64, bytes: usize) -> io::Result<Vec<u8>>;
    /// Writes at `at`, which is the file's end. The file is made where `at` is 0.
    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes the file's bytes durable.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Makes durable which files there are.
    fn sync_names(&mut self) -> io::Result<()>;
    /// Cuts a file.
    fn truncate(&mut self, name: &str, bytes: u64) -> io::Result<()>;
    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Gives a file another name.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
}

/// A folder of the host.
pub struct RealDisk {
    folder: PathBuf,
    /// The file written last, kept open.
    writing: Option<(String, File)>,
    /// The file read last, kept open.
    reading: Option<(String, File)>,
}

impl RealDisk {
    /// Opens the folder, and makes it where it is missing, readable by its owner alone.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        fs::read_dir(folder)?;
        Ok(Self { folder: folder.to_owned(), writing: None, reading: None })
    }

    /// Opens the folder for looking only; it must be there.
    pub fn open_existing(folder: &Path) -> io::Result<Self> {
        fs::read_dir(folder)?;
        Ok(Self { folder: folder.to_owned(), writing: None, reading: None })
    }

    fn writer(&mut self, name: &str) -> io::Result<&File> {
        if self.writing.as_ref().is_none_or(|(open, _)| open != name) {
            let path = self.folder.join(name);
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
            self.writing = Some((name.to_owned(), file));
        }
        match &self.writing {
            Some((_, file)) => Ok(file),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    fn close(&mut self, name: &str) {
        self.writing.take_if(|(open, _)| open == name);
        self.reading.take_if(|(open, _)| open == name);
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.folder.join(name))?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn read_at(&mut self, name: &str, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        if self.reading.as_ref().is_none_or(|(open, _)| open != name) {
            self.reading = Some((name.to_owned(), File::open(self.folder.join(name))?));
        }
        let mut out = vec![0; bytes];
        if let Some((_, file)) = &mut self.reading {
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut out)?;
        }
        Ok(out)
    }

    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.writer(name)?.write_all_at(bytes, at)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.writer(name)?.sync_data()
    }

    fn sync_names(&mut self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn truncate(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        self.writer(name)?.set_len(bytes)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.close(name);
        fs::remove_file(self.folder.join(name))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.close(from);
        fs::rename(self.folder.join(from), self.folder.join(to))
    }
}
