//! The blob port on S3.
//!
//! A name has one content, so a put is simply repeated, by the SDK or by whoever asks again.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use ports::{BLOB_BYTES_MAX, Blobs, PortError, part_of};

use crate::errors::Call;

/// Bytes of a name (S3: 1,024; the other adapter's folders take less).
pub(crate) const NAME_BYTES_MAX: usize = 512;
/// Pages of a list, 1,000 names each.
const PAGES_MAX: usize = 10_000;
/// How long a body may take to arrive: the SDK's own limit ends with the headers.
const BODY_TIMEOUT: Duration = Duration::from_secs(45);
/// How long a link may be good (S3: 7 days; with a role's credentials, as long as these are).
pub(crate) const LINK_MS_MAX: i64 = 7 * 24 * 3_600_000;
const PORT: &str = "blobs";
const PUT: Call = Call { port: PORT, service: "S3", operation: "PutObject" };
const GET: Call = Call { port: PORT, service: "S3", operation: "GetObject" };
const HEAD: Call = Call { port: PORT, service: "S3", operation: "HeadObject" };
const DELETE: Call = Call { port: PORT, service: "S3", operation: "DeleteObject" };
const LIST: Call = Call { port: PORT, service: "S3", operation: "ListObjectsV2" };

/// The objects of one bucket.
pub(crate) struct Bucket {
    client: Client,
    name: String,
}

impl Bucket {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }
}

/// Relative, of `[a-zA-Z0-9._-]` segments: what every adapter can hold.
fn check_name(name: &str) -> Result<(), PortError> {
    let good_segment = |segment: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        !segment.is_empty() && segment != "." && segment != ".." && segment.chars().all(allowed)
    };
    if name.len() > NAME_BYTES_MAX {
        let what = format!("a name of {} bytes, at most {NAME_BYTES_MAX} are allowed", name.len());
        return Err(PortError::permanent(PORT, what));
    }
    if !name.split('/').all(good_segment) {
        return Err(PortError::permanent(PORT, format!("{name:?} is not a name of an object")));
    }
    Ok(())
}

/// The whole body, or nothing of it.
async fn body_of(answer: GetObjectOutput) -> Result<Bytes, PortError> {
    let bytes = answer.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    if bytes > BLOB_BYTES_MAX {
        let what = format!("an object of {bytes} bytes, at most {BLOB_BYTES_MAX} are read");
        return Err(PortError::permanent(PORT, what));
    }
    match tokio::time::timeout(BODY_TIMEOUT, answer.body.collect()).await {
        Ok(Ok(body)) => Ok(body.into_bytes()),
        Ok(Err(error)) => Err(PortError::transient(PORT, format!("{GET} broke off: {error}"))),
        Err(_) => Err(PortError::transient(PORT, format!("{GET} took longer than {} s", BODY_TIMEOUT.as_secs()))),
    }
}

#[async_trait]
impl Blobs for Bucket {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), PortError> {
        check_name(name)?;
        if bytes.len() > BLOB_BYTES_MAX {
            let what = format!("an object of {} bytes, at most {BLOB_BYTES_MAX} are allowed", bytes.len());
            return Err(PortError::permanent(PORT, what));
        }
        let request = self.client.put_object().bucket(&self.name).key(name).body(ByteStream::from(bytes));
        request.send().await.map(drop).map_err(|error| PUT.error(&error))
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, PortError> {
        check_name(name)?;
        match self.client.get_object().bucket(&self.name).key(name).send().await {
            Ok(answer) => body_of(answer).await.map(Some),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => Ok(None),
            Err(error) => Err(GET.error(&error)),
        }
    }

    async fn get_range(&self, name: &str, offset: u64, length: u64) -> Result<Option<Bytes>, PortError> {
        check_name(name)?;
        if length == 0 {
            // No header says so, and S3 answers a bad one with the whole object.
            return Ok(self.length(name).await?.map(|_| Bytes::new()));
        }
        let range = format!("bytes={offset}-{}", offset.saturating_add(length - 1));
        let request = self.client.get_object().bucket(&self.name).key(name).range(range);
        match request.send().await {
            Ok(answer) if answer.content_range().is_some() => body_of(answer).await.map(Some),
            // Whoever does not know ranges sends it all.
            Ok(answer) => body_of(answer).await.map(|all| Some(part_of(&all, offset, length))),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => Ok(None),
            // It ends before the offset.
            Err(error) if error.code() == Some("InvalidRange") => Ok(Some(Bytes::new())),
            Err(error) => Err(GET.error(&error)),
        }
    }

    async fn length(&self, name: &str) -> Result<Option<u64>, PortError> {
        check_name(name)?;
        match self.client.head_object().bucket(&self.name).key(name).send().await {
            Ok(answer) => Ok(Some(answer.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or(0))),
            // An answer without a body cannot say whether it is the bucket that is missing.
            Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => Ok(None),
            Err(error) => Err(HEAD.error(&error)),
        }
    }

    async fn delete(&self, name: &str) -> Result<(), PortError> {
        check_name(name)?;
        let request = self.client.delete_object().bucket(&self.name).key(name);
        request.send().await.map(drop).map_err(|error| DELETE.error(&error))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError> {
        let mut names = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let request = self.client.list_objects_v2().bucket(&self.name).prefix(prefix);
            let page = request.set_continuation_token(token).send().await.map_err(|error| LIST.error(&error))?;
            names.extend(page.contents().iter().filter_map(|object| object.key().map(ToOwned::to_owned)));
            token = page.next_continuation_token().filter(|_| page.is_truncated() == Some(true)).map(ToOwned::to_owned);
            if token.is_none() {
                names.sort();
                return Ok(names);
            }
        }
        Err(PortError::permanent(PORT, format!("more than {PAGES_MAX} pages of names start with {prefix:?}")))
    }

    async fn link(&self, name: &str, valid_ms: i64) -> Result<Option<String>, PortError> {
        check_name(name)?;
        let ms = u64::try_from(valid_ms).unwrap_or_default();
        if ms < 1_000 || valid_ms > LINK_MS_MAX {
            let what = format!("a link cannot be good for {valid_ms} ms, only for 1 s to 7 days");
            return Err(PortError::permanent(PORT, what));
        }
        let presigning = PresigningConfig::expires_in(Duration::from_millis(ms))
            .map_err(|error| PortError::permanent(PORT, error))?;
        let request = self.client.get_object().bucket(&self.name).key(name);
        let signed = request.presigned(presigning).await.map_err(|error| GET.error(&error))?;
        Ok(Some(signed.uri().to_owned()))
    }
}

#[cfg(test)]
#[path = "blobs_tests.rs"]
mod tests;
