//! The agent's binaries that `serve` offers to hosts: files of one folder, read when they are asked
//! for. Knows no HTTP.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use pipeline::{Blobs, PortError};
use sha2::{Digest as _, Sha256};

/// What a binary is called, before the machine that it is for.
const BINARY: &str = "daywatch-agent-linux-";
/// In errors.
const PORT: &str = "downloads";
/// Where `query` looks for it.
const PREFIX: &str = "downloads/";

/// The folder.
pub(super) struct Downloads {
    folder: PathBuf,
}

impl Downloads {
    /// Files of `chosen`; where nothing is chosen, of the folder that this very program is in.
    pub(super) fn new(chosen: Option<PathBuf>) -> std::io::Result<Self> {
        let folder = match chosen {
            Some(folder) if folder.is_dir() => folder,
            Some(folder) => return Err(std::io::Error::new(ErrorKind::NotADirectory, folder.display().to_string())),
            None => std::env::current_exe()?.parent().unwrap_or(Path::new("/")).to_owned(),
        };
        Ok(Self { folder })
    }

    /// The file of a name such as `downloads/daywatch-agent-linux-x86_64`. A build leaves the agent
    /// of this very machine under its plain name.
    fn file(&self, name: &str) -> Option<PathBuf> {
        let name = name.strip_prefix(PREFIX)?;
        let machine = name.strip_prefix(BINARY)?;
        let plain = self.folder.join("daywatch-agent");
        let files = [Some(self.folder.join(name)), (machine == std::env::consts::ARCH).then_some(plain)];
        files.into_iter().flatten().find(|file| file.is_file())
    }

    async fn read(&self, name: &str) -> Result<Option<Bytes>, PortError> {
        let Some(file) = self.file(name) else { return Ok(None) };
        match tokio::fs::read(&file).await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PortError::permanent(PORT, format!("{} cannot be read: {error}", file.display()))),
        }
    }
}

#[async_trait]
impl Blobs for Downloads {
    async fn put(&self, name: &str, _: Bytes) -> Result<(), PortError> {
        Err(PortError::permanent(PORT, format!("{name}: downloads are only read")))
    }

    /// A binary, or its checksum, computed from the file that is there now.
    async fn get(&self, name: &str) -> Result<Option<Bytes>, PortError> {
        let Some(binary) = name.strip_suffix(".sha256") else { return self.read(name).await };
        let Some(bytes) = self.read(binary).await? else { return Ok(None) };
        let file = binary.strip_prefix(PREFIX).unwrap_or(binary);
        Ok(Some(format!("{:x}  {file}\n", Sha256::digest(&bytes)).into()))
    }

    async fn delete(&self, name: &str) -> Result<(), PortError> {
        Err(PortError::permanent(PORT, format!("{name}: downloads are only read")))
    }

    /// `prefix` is a whole name here: nobody asks for more.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError> {
        let binary = prefix.strip_suffix(".sha256").unwrap_or(prefix);
        Ok(self.file(binary).map(|_| prefix.to_owned()).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_offers_its_binaries_with_checksums() {
        let folder = tempfile::tempdir().unwrap();
        let downloads = Downloads::new(Some(folder.path().to_owned())).unwrap();
        let own = format!("downloads/daywatch-agent-linux-{}", std::env::consts::ARCH);
        assert_eq!(downloads.get(&own).await.unwrap(), None);
        assert!(downloads.list(&own).await.unwrap().is_empty());
        std::fs::write(folder.path().join("daywatch-agent"), "abc").unwrap();
        assert_eq!(downloads.get(&own).await.unwrap().unwrap(), "abc");
        let sum = format!("{own}.sha256");
        assert_eq!(downloads.list(&sum).await.unwrap(), std::slice::from_ref(&sum));
        let text = downloads.get(&sum).await.unwrap().unwrap();
        // FIPS 180-4's example.
        assert!(text.starts_with(b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  daywatch-agent-"));
        // Only this machine's own goes by the plain name, and nothing else of the folder is offered.
        for name in ["downloads/daywatch-agent-linux-riscv64", "downloads/daywatch-agent", "daywatch-agent", "x"] {
            assert_eq!(downloads.get(name).await.unwrap(), None, "{name}");
        }
        std::fs::write(folder.path().join("daywatch-agent-linux-riscv64"), "x").unwrap();
        assert!(downloads.get("downloads/daywatch-agent-linux-riscv64").await.unwrap().is_some());
        assert!(Downloads::new(Some(folder.path().join("missing"))).is_err());
    }
}
