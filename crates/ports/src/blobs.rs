//! Large immutable objects, named by their content.

use async_trait::async_trait;
use bytes::Bytes;

use crate::PortError;

/// Bytes of one object.
pub const BLOB_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Objects by name. A name is written with one content only, so a put may be repeated freely.
/// Names are relative paths of `[a-zA-Z0-9._-]` segments joined by `/`.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Stores; durable when it returns.
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), PortError>;

    /// The whole object, or `None`.
    async fn get(&self, name: &str) -> Result<Option<Bytes>, PortError>;

    /// The `length` bytes from `offset` on: fewer, or none, where the object ends before; `None`
    /// where there is no such object.
    async fn get_range(&self, name: &str, offset: u64, length: u64) -> Result<Option<Bytes>, PortError> {
        Ok(self.get(name).await?.map(|bytes| part_of(&bytes, offset, length)))
    }

    /// How many bytes the object has, or `None`.
    async fn length(&self, name: &str) -> Result<Option<u64>, PortError> {
        Ok(self.get(name).await?.map(|bytes| bytes.len() as u64))
    }

    /// Removes; a name that is not there is a success.
    async fn delete(&self, name: &str) -> Result<(), PortError>;

    /// Names that start with `prefix`, sorted.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError>;

    /// An address at which anybody may fetch the object for a while, where the store gives such
    /// ones: what is too large for an answer (Lambda: 6 MB) is fetched from there.
    async fn link(&self, _name: &str, _valid_ms: i64) -> Result<Option<String>, PortError> {
        Ok(None)
    }
}

/// What [`Blobs::get_range`] answers, of an object that is at hand.
#[must_use]
pub fn part_of(bytes: &Bytes, offset: u64, length: u64) -> Bytes {
    let all = bytes.len() as u64;
    let (start, end) = (offset.min(all), offset.saturating_add(length).min(all));
    bytes.slice(start as usize..end as usize)
}
