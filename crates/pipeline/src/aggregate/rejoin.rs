//! What a mapping gave up comes back: the records of an invocation that failed until its retries or
//! its records' age ran out lie as one object in the on-failure bucket, and are joined like any
//! other. The join is idempotent, so the event that tells of the object may come twice, late, or
//! again after a crash; the object goes when its records are stored, and only then.

use ports::{Blobs, Delivered, TenantId};

use super::{quarantine, store_all};
use crate::Context;
use crate::error::Fault;

/// What became of an object of the on-failure bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejoined {
    /// Its records are stored, and it is deleted.
    Joined {
        /// How many.
        records: usize,
    },
    /// It is not there: an earlier event has told of it.
    Gone,
    /// It is no record of an invocation. Its bytes are in the quarantine, and it stays where it is.
    Unreadable,
}

/// Joins the records of the object `name` of the bucket `failed`. `read` is the adapter's: it knows
/// what an invocation record looks like, or says why this is none.
///
/// A pulse among the records is no proof any more: its shard has gone on without them.
pub async fn rejoin<E: std::fmt::Display>(
    context: &Context,
    failed: &dyn Blobs,
    name: &str,
    read: impl FnOnce(&[u8]) -> Result<Vec<Delivered>, E>,
) -> Result<Rejoined, Fault> {
    let Some(bytes) = failed.get(name).await? else { return Ok(Rejoined::Gone) };
    let records = match read(&bytes) {
        Ok(records) => records,
        Err(error) => {
            tracing::error!(name, "an object of the on-failure bucket cannot be read: {error}");
            quarantine(&context.ports, &TenantId::default(), &bytes, "no_invocation_record").await?;
            return Ok(Rejoined::Unreadable);
        }
    };
    store_all(context, &records).await?;
    failed.delete(name).await?;
    tracing::info!(name, records = records.len(), "what a mapping gave up is stored");
    Ok(Rejoined::Joined { records: records.len() })
}
