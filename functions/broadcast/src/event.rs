//! What wakes `broadcast` on AWS: the stream.

use std::time::Duration;

use lambda::{Deadline, Event, Failure, meter, partial};
use pipeline::Context;
use pipeline::broadcast::MESSAGE_EVERY_MS;
use serde_json::Value;

use crate::Broadcaster;

/// One event, and its answer. What pages were sent when is remembered between events.
///
/// Lossy by design: what fails or comes too late is counted and logged, and never given again.
pub async fn answer(
    context: &Context,
    broadcaster: &mut Broadcaster,
    deadline: Deadline,
    event: Value,
) -> Result<Value, Failure> {
    let records = match Event::read(event)? {
        Event::Kinesis(records) => records,
        other => return Err(other.not_for("broadcast").into()),
    };
    let told = async {
        crate::handle(context, broadcaster, &records).await?;
        // A page that got its message of this second just before gets the rest when it is over, and
        // not with whatever comes next.
        let Some(due) = broadcaster.next_flush() else { return Ok(()) };
        let wait_ms = due.ms().saturating_sub(context.ports.clock.now().ms()).clamp(0, MESSAGE_EVERY_MS);
        deadline.pause(Duration::from_millis(wait_ms.unsigned_abs())).await;
        broadcaster.flush(context).await
    };
    match deadline.within(told).await {
        Some(Ok(())) => {}
        Some(Err(fault)) => meter::failed("broadcast", &fault),
        None => meter::failed("broadcast", &"pages were not told in time"),
    }
    Ok(partial::kinesis(None))
}

#[cfg(test)]
mod tests;
