//! AWS's events, told by their own shape and turned into the pipeline's types.
//!
//! One function has several sources (`aggregate`: a stream, a schedule, objects of failed batches),
//! and AWS gives each its own JSON without saying which. A part of an event that is not as AWS
//! documents it is an error that names the place: nothing is guessed.

use aws_lambda_events::dynamodb;
use aws_lambda_events::kinesis::{KinesisEvent, KinesisEventRecord};
use aws_lambda_events::s3::S3Event;
use aws_lambda_events::sqs::SqsEvent;
use pipeline::{Delivered, Request, TenantId, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::BadEvent;
use crate::websocket::{Authorize, Socket};
use crate::{http, websocket};

/// Something that wakes a function.
#[derive(Debug)]
pub enum Event {
    /// A shard's batch.
    Kinesis(Vec<Delivered>),
    /// A batch of a table's change stream.
    Changes(Vec<Change>),
    /// A batch of a queue.
    Messages(Vec<Message>),
    /// Names of objects that were put into a bucket.
    Objects(Vec<String>),
    /// The schedule.
    Tick,
    /// A request over HTTP; an error where it cannot be one of ours (too large, not UTF-8).
    Http(Result<Request, pipeline::Fault>),
    /// May this websocket be opened?
    Authorize(Authorize),
    /// Something happened on a websocket.
    Socket(Socket),
}

/// A changed item of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name for partial failure.
    pub sequence: String,
    /// Whose manifest. `None` for an item that is no manifest's.
    pub tenant: Option<TenantId>,
}

/// A message of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its name for partial failure.
    pub id: String,
    /// What it says.
    pub body: String,
}

impl Event {
    /// Reads an event.
    pub fn read(event: Value) -> Result<Self, BadEvent> {
        if let Some(record) = event.get("Records").and_then(|records| records.get(0)) {
            return match record.get("eventSource").and_then(Value::as_str).unwrap_or_default() {
                "aws:kinesis" => {
                    let arrived = arrivals(&event);
                    kinesis(&typed("Kinesis", event)?, &arrived).map(Self::Kinesis)
                }
                "aws:dynamodb" => changes(typed("DynamoDB", event)?).map(Self::Changes),
                "aws:sqs" => messages(typed("SQS", event)?).map(Self::Messages),
                "aws:s3" => objects(typed("S3", event)?).map(Self::Objects),
                other => Err(BadEvent::malformed("a batch", format!("eventSource is {other:?}"))),
            };
        }
        match (event.get("detail-type").and_then(Value::as_str), event.get("source").and_then(Value::as_str)) {
            (Some("Scheduled Event"), _) | (_, Some("aws.scheduler")) => return Ok(Self::Tick),
            (Some("Object Created"), Some("aws.s3")) => return object_created(&event).map(Self::Objects),
            _ => {}
        }
        if event.get("methodArn").is_some() {
            return websocket::authorize(typed("the authorizer", event)?).map(Self::Authorize);
        }
        match event.get("requestContext") {
            Some(context) if context.get("http").is_some() => {
                Ok(Self::Http(http::request(typed("the HTTP API", event)?)))
            }
            Some(context) if context.get("connectionId").is_some() => {
                websocket::socket(typed("the websocket API", event)?).map(Self::Socket)
            }
            _ => {
                let fields = event.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>().join(", "));
                Err(BadEvent::Unknown { fields: fields.filter(|f| !f.is_empty()).unwrap_or("(none)".to_owned()) })
            }
        }
    }

    /// Where it is from, for messages.
    #[must_use]
    pub fn source_name(&self) -> &'static str {
        match self {
            Self::Kinesis(_) => "Kinesis",
            Self::Changes(_) => "DynamoDB",
            Self::Messages(_) => "SQS",
            Self::Objects(_) => "S3",
            Self::Tick => "the schedule",
            Self::Http(_) => "the HTTP API",
            Self::Authorize(_) => "the authorizer",
            Self::Socket(_) => "the websocket API",
        }
    }

    /// For a function that has no such source.
    #[must_use]
    pub fn not_for(&self, function: &'static str) -> BadEvent {
        BadEvent::NotMine { function, source_name: self.source_name() }
    }
}

fn typed<T: DeserializeOwned>(source_name: &'static str, event: Value) -> Result<T, BadEvent> {
    serde_json::from_value(event).map_err(|error| BadEvent::malformed(source_name, error))
}

/// When each record arrived. Read here, because the typed event takes `.25` for 25 ms.
fn arrivals(event: &Value) -> Vec<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "rounded to whole milliseconds; what is out of range is cut")]
    let one = |record: &Value| {
        let seconds = record.pointer("/kinesis/approximateArrivalTimestamp").and_then(Value::as_f64);
        Timestamp((seconds.unwrap_or_default() * 1_000.0).round() as i64)
    };
    event.get("Records").and_then(Value::as_array).into_iter().flatten().map(one).collect()
}

fn kinesis(event: &KinesisEvent, arrived: &[Timestamp]) -> Result<Vec<Delivered>, BadEvent> {
    let named = |(n, (record, at)): (usize, (&KinesisEventRecord, &Timestamp))| {
        delivered(record, *at).map_err(|what| BadEvent::malformed("Kinesis", format!("Records[{n}].{what}")))
    };
    event.records.iter().zip(arrived).enumerate().map(named).collect()
}

/// The `eventID` is `shardId-000000000006:<sequence number>`.
fn delivered(record: &KinesisEventRecord, arrived_at: Timestamp) -> Result<Delivered, String> {
    let id = record.event_id.as_deref().unwrap_or_default();
    let shard = id.split_once(':').map(|(shard, _)| shard).filter(|shard| !shard.is_empty());
    let kinesis = &record.kinesis;
    if kinesis.sequence_number.is_empty() {
        return Err("kinesis.sequenceNumber is missing".to_owned());
    }
    Ok(Delivered {
        shard: shard.ok_or_else(|| format!("eventID is {id:?}, not SHARD:SEQUENCE"))?.to_owned(),
        sequence: kinesis.sequence_number.clone(),
        arrived_at,
        data: kinesis.data.0.clone().into(),
    })
}

fn changes(event: dynamodb::Event) -> Result<Vec<Change>, BadEvent> {
    let named = |(n, record): (usize, dynamodb::EventRecord)| {
        let sequence = record.change.sequence_number.ok_or_else(|| {
            BadEvent::malformed("DynamoDB", format!("Records[{n}].dynamodb.SequenceNumber is missing"))
        })?;
        let partition = partition(&record.change.keys)
            .ok_or_else(|| BadEvent::malformed("DynamoDB", format!("Records[{n}].dynamodb.Keys.pk.S is missing")))?;
        Ok(Change { sequence, tenant: aws::keys::manifest_of(&partition) })
    };
    event.records.into_iter().enumerate().map(named).collect()
}

/// The key's attribute `pk`, a text.
fn partition(keys: &impl serde::Serialize) -> Option<String> {
    let keys = serde_json::to_value(keys).ok()?;
    keys.pointer("/pk/S").and_then(Value::as_str).map(str::to_owned)
}

fn messages(event: SqsEvent) -> Result<Vec<Message>, BadEvent> {
    let named = |(n, message): (usize, aws_lambda_events::sqs::SqsMessage)| {
        let id = message.message_id.filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| BadEvent::malformed("SQS", format!("Records[{n}].messageId is missing")))?;
        Ok(Message { id, body: message.body.unwrap_or_default() })
    };
    event.records.into_iter().enumerate().map(named).collect()
}

/// Keys come as in a form: `+` for a space, `%XX` for the rest.
fn objects(event: S3Event) -> Result<Vec<String>, BadEvent> {
    let named = |(n, record): (usize, aws_lambda_events::s3::S3EventRecord)| {
        let key = record.s3.object.key.filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| BadEvent::malformed("S3", format!("Records[{n}].s3.object.key is missing")))?;
        percent_encoding::percent_decode_str(&key.replace('+', " "))
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| BadEvent::malformed("S3", format!("Records[{n}].s3.object.key is not UTF-8")))
    };
    event.records.into_iter().enumerate().map(named).collect()
}

/// S3's own event by EventBridge; the key is plain there.
fn object_created(event: &Value) -> Result<Vec<String>, BadEvent> {
    let key = event.pointer("/detail/object/key").and_then(Value::as_str).filter(|key| !key.is_empty());
    Ok(vec![key.ok_or_else(|| BadEvent::malformed("S3", "detail.object.key is missing"))?.to_owned()])
}

impl Message {
    /// The objects that a message of S3 tells of, where a bucket notifies through a queue. S3's
    /// test message, sent when the notification is set up, tells of none.
    pub fn objects(&self) -> Result<Vec<String>, BadEvent> {
        let body: Value = serde_json::from_str(&self.body)
            .map_err(|error| BadEvent::malformed("SQS", format!("message {}: {error}", self.id)))?;
        if body.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
            return Ok(Vec::new());
        }
        match Event::read(body)? {
            Event::Objects(names) => Ok(names),
            other => {
                Err(BadEvent::malformed("SQS", format!("message {} is of {}, not of S3", self.id, other.source_name())))
            }
        }
    }
}

#[cfg(test)]
mod tests;
