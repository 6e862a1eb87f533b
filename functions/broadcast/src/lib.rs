//! `broadcast`: new samples and check results to the pages that watch them. Lossy by design.

pub use pipeline::broadcast::Broadcaster;
use pipeline::{Context, Delivered, Fault};

/// One shard's batch.
pub async fn handle(context: &Context, broadcaster: &mut Broadcaster, records: &[Delivered]) -> Result<(), Fault> {
    broadcaster.deliver(context, records).await
}

#[cfg(feature = "event")]
pub mod event;
