//! `aggregate`: records of the stream become blocks with a manifest entry; closed windows are
//! compacted.

use pipeline::{Context, Delivered, Fault, aggregate};

/// One shard's batch. An error means that none of it counts as done: it will be delivered again,
/// and the join by identity makes that harmless.
pub async fn handle(context: &Context, records: &[Delivered]) -> Result<(), Fault> {
    aggregate::stream(context, records).await
}

/// The schedule: joins the blocks of windows that have closed, and sweeps what is replaced.
pub async fn schedule(context: &Context) -> Result<(), Fault> {
    aggregate::compact(context).await
}

#[cfg(feature = "event")]
pub mod event;
