//! `evaluate-alerts`: check states and newest samples straight from the stream, rules with history
//! when the manifest changes or a timer wakes, and what is owed to receivers.

use pipeline::{Context, Delivered, Fault, TenantId, Wake, evaluate, progress};

/// One shard's batch.
pub async fn stream(context: &Context, records: &[Delivered]) -> Result<(), Fault> {
    evaluate::stream(context, records).await
}

/// A tenant's manifest has changed.
pub async fn changes(context: &Context, tenant: &TenantId) -> Result<(), Fault> {
    evaluate::changes(context, tenant).await
}

/// A timer is due.
pub async fn wake(context: &Context, wake: &Wake) -> Result<(), Fault> {
    evaluate::wake(context, wake).await
}

/// The one-minute tick: repairs what a lost timer or a crash left.
pub async fn tick(context: &Context) -> Result<(), Fault> {
    evaluate::tick(context).await
}

/// Proves that the pipeline is current.
pub async fn pulse(context: &Context) -> Result<(), Fault> {
    progress::pulse(&context.ports).await
}

#[cfg(feature = "event")]
pub mod event;
