//! Wake-ups by a queue's `DelaySeconds`.
//!
//! A message waits in the queue for the whole seconds until it is due; who receives it waits for the
//! rest, and for what the clocks of two functions differ by. What lies further ahead than the queue can delay is received early and sent again.
//!
//! Asking twice wakes once by a note in the main table: look for it → send → note it. The note is
//! removed before the wake-up is handled, so that an asking during the handling sends again. A crash
//! between two of the steps sends once too often, never once too few.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client as Dynamo;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::Client as Sqs;
use ports::{Clock, PortError, Timer, Timestamp, Wake};

use crate::config::Config;
use crate::errors::Call;
use crate::keys::{Spelled, spell_wake};
use crate::missing;
use crate::table::seconds_up;

/// What a queue can delay.
pub(crate) const DELAY_SECONDS_MAX: i64 = 900;
/// What is waited for by who receives a message: less than the second that a queue cannot count, and
/// as much again for a clock that differs from the sender's.
pub(crate) const WAIT_MS_MAX: i64 = 2_000;
/// Bytes of [`Wake::what`].
pub(crate) const WHAT_BYTES_MAX: usize = 1_000;
/// A note outlives its wake-up by this, so that a message that was lost can be asked for again.
pub(crate) const NOTE_LIFE_MS: i64 = 5 * 60_000;
const PORT: &str = "timer";
const SEND: Call = Call { port: PORT, service: "SQS", operation: "SendMessage" };
const LOOK: Call = Call { port: PORT, service: "DynamoDB", operation: "GetItem" };
const NOTE: Call = Call { port: PORT, service: "DynamoDB", operation: "PutItem" };
const REMOVE: Call = Call { port: PORT, service: "DynamoDB", operation: "DeleteItem" };

/// The timer port, and its way out. Clones are the same timers.
#[derive(Clone)]
pub struct Timers {
    sqs: Sqs,
    dynamo: Dynamo,
    queue_url: Option<String>,
    table: Option<String>,
    clock: Arc<dyn Clock>,
}

/// What became of a received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// It is due: handle it.
    Due(Wake),
    /// It lies further ahead than a queue can delay, and was sent again. Nothing is to be done.
    SentAgain,
}

impl Timers {
    pub(crate) fn new(sqs: Sqs, dynamo: Dynamo, config: &Config, clock: Arc<dyn Clock>) -> Self {
        Self { sqs, dynamo, queue_url: config.timer_queue_url.clone(), table: config.table.clone(), clock }
    }

    /// Reads a message's body, waits for the moment (below 2 s) until it is due, and takes its note
    /// away. A body that is no wake-up is a permanent error. An error means that the message shall
    /// come again.
    pub async fn received(&self, body: &str) -> Result<Received, PortError> {
        let wake = read(body)?;
        let ahead_ms = wake.at.ms().saturating_sub(self.clock.now().ms());
        if ahead_ms >= WAIT_MS_MAX {
            self.send(&wake).await?;
            return Ok(Received::SentAgain);
        }
        if ahead_ms > 0 {
            tokio::time::sleep(Duration::from_millis(ahead_ms.unsigned_abs())).await;
        }
        self.begin(&wake).await?;
        Ok(Received::Due(wake))
    }

    /// From here on, asking for the same sends again.
    pub(crate) async fn begin(&self, wake: &Wake) -> Result<(), PortError> {
        let Spelled { pk, sk, .. } = note_of(wake);
        let request = self.dynamo.delete_item().table_name(self.table()?);
        let request = request.key("pk", AttributeValue::S(pk)).key("sk", AttributeValue::S(sk));
        request.send().await.map(|_| ()).map_err(|error| REMOVE.error(&error))
    }

    async fn send(&self, wake: &Wake) -> Result<(), PortError> {
        let queue = self.queue_url.as_deref().ok_or_else(|| missing::TIMER.error())?;
        let body = serde_json::to_string(wake).map_err(|error| PortError::permanent(PORT, error))?;
        let delay = delay_seconds(wake.at, self.clock.now());
        let request = self.sqs.send_message().queue_url(queue).message_body(body).delay_seconds(delay);
        request.send().await.map(|_| ()).map_err(|error| SEND.error(&error))
    }

    async fn is_noted(&self, wake: &Wake) -> Result<bool, PortError> {
        let Spelled { pk, sk, .. } = note_of(wake);
        let request = self.dynamo.get_item().table_name(self.table()?).consistent_read(true);
        let request = request.key("pk", AttributeValue::S(pk)).key("sk", AttributeValue::S(sk));
        let found = request.send().await.map_err(|error| LOOK.error(&error))?.item;
        let ends_ms = found.as_ref().and_then(|item| item.get("xms")?.as_n().ok()?.parse::<i64>().ok());
        Ok(ends_ms.is_some_and(|ends_ms| ends_ms > self.clock.now().ms()))
    }

    async fn note(&self, wake: &Wake) -> Result<(), PortError> {
        let Spelled { pk, sk, .. } = note_of(wake);
        let ends_ms = wake.at.ms().max(self.clock.now().ms()).saturating_add(NOTE_LIFE_MS);
        let request = self.dynamo.put_item().table_name(self.table()?);
        let request = request.item("pk", AttributeValue::S(pk)).item("sk", AttributeValue::S(sk));
        let request = request.item("xms", AttributeValue::N(ends_ms.to_string()));
        let request = request.item("exp", AttributeValue::N(seconds_up(ends_ms).to_string()));
        request.send().await.map(|_| ()).map_err(|error| NOTE.error(&error))
    }

    fn table(&self) -> Result<&str, PortError> {
        self.table.as_deref().ok_or_else(|| missing::TABLE.error())
    }
}

/// Whole seconds, rounded down: the rest is waited for by who receives it.
fn delay_seconds(at: Timestamp, now: Timestamp) -> i32 {
    let seconds = at.ms().saturating_sub(now.ms()).div_euclid(1_000).clamp(0, DELAY_SECONDS_MAX);
    i32::try_from(seconds).unwrap_or_default()
}

fn note_of(wake: &Wake) -> Spelled {
    spell_wake(&wake.tenant, wake.at, &wake.what)
}

fn read(body: &str) -> Result<Wake, PortError> {
    serde_json::from_str(body).map_err(|error| {
        PortError::permanent(PORT, format!("a message of {} bytes is no wake-up: {error}", body.len()))
    })
}

#[async_trait]
impl Timer for Timers {
    async fn wake(&self, wake: Wake) -> Result<(), PortError> {
        if wake.what.len() > WHAT_BYTES_MAX {
            let what = format!("a purpose of {} bytes, at most {WHAT_BYTES_MAX} are allowed", wake.what.len());
            return Err(PortError::permanent(PORT, what));
        }
        if self.queue_url.is_none() {
            return Err(missing::TIMER.error());
        }
        if self.is_noted(&wake).await? {
            return Ok(());
        }
        self.send(&wake).await?;
        self.note(&wake).await
    }
}

#[cfg(test)]
#[path = "timer_tests.rs"]
mod tests;
