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
