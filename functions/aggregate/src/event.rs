//! What wakes `aggregate` on AWS: the stream, the minute's schedule, and what its mapping gave up.

use lambda::pace::Pace;
use lambda::{BadEvent, Deadline, Event, Failure, failed, partial};
use pipeline::aggregate::rejoin;
use pipeline::{Blobs, Context, Delivered, Fault};
use serde_json::{Value, json};

/// Objects of the on-failure bucket that one tick joins again; the next one goes on.
pub const OBJECTS_PER_TICK_MAX: usize = 100;

/// One event, and its answer. `pace` is remembered between events.
pub async fn answer(
    context: &Context,
    failed: &dyn Blobs,
    pace: &Pace,
    deadline: Deadline,
    event: Value,
) -> Result<Value, Failure> {
    match Event::read(event)? {
        Event::Kinesis(records) => Ok(stream(context, pace, deadline, &records).await),
        Event::Tick => {
            let work = async {
                // Acknowledged data first: whatever keeps windows from being compacted can wait.
                let rejoined = rejoin_all(context, failed).await;
                rejoined.and(crate::schedule(context).await)
            };
            deadline.within(work).await.ok_or(Failure::Late { what: "the schedule" })??;
            Ok(json!({}))
        }
        Event::Objects(names) => {
            let work = async {
                for name in &names {
                    rejoin(context, failed, name, failed::records).await?;
                }
                Ok::<(), Fault>(())
            };
            deadline.within(work).await.ok_or(Failure::Late { what: "a batch that was given up" })??;
            Ok(json!({}))
        }
        Event::Messages(messages) => {
            // A bucket that notifies through a queue.
            let mut undone = Vec::new();
            for message in &messages {
                let work = async {
                    for name in message.objects()? {
                        rejoin(context, failed, &name, failed::records).await?;
                    }
                    Ok::<(), Failure>(())
                };
                match deadline.within(work).await {
                    Some(Ok(())) => {}
                    Some(Err(failure)) => {
                        tracing::error!(message = message.id, "{failure}; it comes again");
                        undone.push(message.id.as_str());
                    }
                    None => undone.push(message.id.as_str()),
                }
            }
            Ok(partial::sqs(undone))
        }
        other => Err(other.not_for("aggregate").into()),
    }
}

async fn stream(context: &Context, pace: &Pace, deadline: Deadline, records: &[Delivered]) -> Value {
    let progress = pace.work(records, deadline, |part| crate::handle(context, part)).await;
    progress.told("aggregate", records.len());
    partial::kinesis(progress.first_undone.as_deref())
}

/// What a mapping gave up lies there until it is joined, whoever tells of it or does not.
async fn rejoin_all(context: &Context, failed: &dyn Blobs) -> Result<(), Fault> {
    let mut outcome = Ok(());
    for name in failed.list("").await?.into_iter().take(OBJECTS_PER_TICK_MAX) {
        // One that fails does not stop the others.
        outcome = outcome.and(rejoin(context, failed, &name, failed::records).await.map(drop));
    }
    outcome
}

/// For who reads the objects by itself.
pub fn records_of(object: &[u8]) -> Result<Vec<Delivered>, BadEvent> {
    failed::records(object)
}

#[cfg(test)]
mod tests;
