//! One process a data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// Held while the data folder is in use; the operating system gives it back, even after kill -9.
#[derive(Debug)]
pub(crate) struct FolderLock(#[expect(dead_code, reason = "closing the file is what unlocks")] File);

/// Why the folder could not be locked.
#[derive(Debug)]
pub(crate) enum LockError {
    /// By the process of this number, as it wrote itself.
    Taken { by: String },
    /// The file could not be made.
    Io(io::Error),
}

impl FolderLock {
    /// Takes the lock of `dir`, or says who has it.
    pub(crate) fn take(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join("lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = opened.map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut by = String::new();
                // Whoever has it may be about to write its number.
                let _ = file.read_to_string(&mut by);
                return Err(LockError::Taken { by: by.trim().to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(LockError::Io)?;
        Ok(Self(file))
    }
}
