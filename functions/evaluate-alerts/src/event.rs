//! What wakes `evaluate-alerts` on AWS: the stream, the manifest's changes, wake-ups, and the tick.
//!
//! A failure that may pass is given again. One that cannot pass is kept aside and counted: alerts
//! of everything else must not wait behind it.

use std::collections::BTreeSet;

use lambda::pace::Pace;
use lambda::wakes::{Received, Wakes};
use lambda::{Change, Deadline, Event, Failure, Message, meter, partial};
use pipeline::evaluate::set_aside;
use pipeline::{Context, Fault, TenantId, Timestamp, Wake, documents, presence, wishes};
use serde_json::{Value, json};

/// Pulses prove that the pipeline is current. The tick comes each minute: between two, a wake-up of
/// this name makes the next one.
pub const WAKE_PULSE: &str = "pulse";
/// How often.
pub const PULSE_EVERY_MS: i64 = 10_000;

/// How soon a wake-up whose handling failed in a way that may pass is tried again.
pub const WAKE_AGAIN_MS: i64 = 2_000;

/// One event, and its answer. `pace` is remembered between events.
pub async fn answer(
    context: &Context,
    wakes: &dyn Wakes,
    pace: &Pace,
    deadline: Deadline,
    event: Value,
) -> Result<Value, Failure> {
    match Event::read(event)? {
        Event::Kinesis(records) => {
            let progress = pace.work(&records, deadline, |part| crate::stream(context, part)).await;
            progress.told("evaluate-alerts", records.len());
            Ok(partial::kinesis(progress.first_undone.as_deref()))
        }
        Event::Changes(batch) => Ok(changes(context, deadline, &batch).await),
        Event::Messages(messages) => Ok(woken(context, wakes, deadline, &messages).await),
        Event::Tick => {
            deadline.within(tick(context)).await.ok_or(Failure::Late { what: "the tick" })??;
            Ok(json!({}))
        }
        other => Err(other.not_for("evaluate-alerts").into()),
    }
}

/// Each tenant once, however many changes tell of it; all up to the first one that is not done are.
async fn changes(context: &Context, deadline: Deadline, batch: &[Change]) -> Value {
    let mut done: BTreeSet<&TenantId> = BTreeSet::new();
    for change in batch {
        let Some(tenant) = &change.tenant else { continue };
        if done.contains(tenant) {
            continue;
        }
        let work = async { set_aside(context, tenant, "changes", crate::changes(context, tenant).await).await };
        match deadline.within(work).await {
            Some(Ok(())) => drop(done.insert(tenant)),
            Some(Err(fault)) => {
                meter::failed("evaluate-alerts", &fault);
                return partial::dynamodb(Some(&change.sequence));
            }
            None => {
                meter::failed("evaluate-alerts", &"the manifest's changes were not looked at in time");
                return partial::dynamodb(Some(&change.sequence));
            }
        }
    }
    partial::dynamodb(None)
}

/// Each message by itself.
async fn woken(context: &Context, wakes: &dyn Wakes, deadline: Deadline, messages: &[Message]) -> Value {
    let mut undone = Vec::new();
    for message in messages {
        match deadline.within(one_wake(context, wakes, message)).await {
            Some(Ok(())) => {}
            Some(Err(fault)) => {
                meter::failed("evaluate-alerts", &fault);
                undone.push(message.id.as_str());
            }
            None => undone.push(message.id.as_str()),
        }
    }
    partial::sqs(undone)
}

async fn one_wake(context: &Context, wakes: &dyn Wakes, message: &Message) -> Result<(), Fault> {
    let wake = match wakes.received(&message.body).await.map_err(Fault::from) {
        Ok(Received::Due(wake)) => wake,
        Ok(Received::Settled) => return Ok(()),
        Err(fault) => return set_aside(context, &TenantId::default(), &message.body, Err(fault)).await,
    };
    if wake.what == WAKE_PULSE {
        // The next one first: a pulse that fails must not end the chain.
        next_pulse(context, wake.at.max(context.ports.clock.now())).await?;
        return crate::pulse(context).await;
    }
    match set_aside(context, &wake.tenant, &wake.what, crate::wake(context, &wake).await).await {
        Err(fault) => soon_again(context, wake, fault).await,
        Ok(()) => Ok(()),
    }
}

/// The queue would give it again after its visibility timeout, which is minutes. Where not even the
/// timer answers, it is left to that.
async fn soon_again(context: &Context, wake: Wake, fault: Fault) -> Result<(), Fault> {
    let at = context.ports.clock.now().plus_ms(WAKE_AGAIN_MS);
    match context.ports.timer.wake(Wake { at, ..wake }).await {
        Ok(()) => {
            meter::failed("evaluate-alerts", &fault);
            Ok(())
        }
        Err(_) => Err(fault),
    }
}

/// The wake-up of the next full 10 s: every chain asks for the same one, so chains do not multiply.
async fn next_pulse(context: &Context, now: Timestamp) -> Result<(), Fault> {
    let at = Timestamp((now.ms().div_euclid(PULSE_EVERY_MS) + 1) * PULSE_EVERY_MS);
    let wake = Wake { at, tenant: TenantId::default(), what: WAKE_PULSE.to_owned() };
    Ok(context.ports.timer.wake(wake).await?)
}

/// What `serve` does by its ticks. What fails for one does not stop the others.
async fn tick(context: &Context) -> Result<(), Fault> {
    let mut outcome = crate::pulse(context).await;
    outcome = outcome.and(next_pulse(context, context.ports.clock.now()).await);
    for tenant in documents::tenants(&context.ports).await? {
        outcome = outcome.and(presence::note(context, &tenant).await);
        outcome = outcome.and(wishes::for_rules(context, &tenant).await);
    }
    crate::tick(context).await.and(outcome)
}

#[cfg(test)]
mod tests;
