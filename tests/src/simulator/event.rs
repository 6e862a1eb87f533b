//! Batches as the JSON that AWS invokes a function with, and batches that were given up as the object
//! that AWS puts into the on-failure bucket.
//!
//! After the Lambda guide: "Process Amazon Kinesis Data Streams records with Lambda" (the event),
//! "Retain discarded batch records" (the invocation record, and the object's name).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ports::Timestamp;
use serde_json::{Value, json};

use super::mapping::{Batch, Discarded};

const STREAM_ARN: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/daywatch";
const TABLE_STREAM_ARN: &str =
    "arn:aws:dynamodb:us-east-1:123456789012:table/daywatch-manifest/stream/2023-11-14T00:00:00.000";
const FUNCTION_ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:daywatch-aggregate";
const MAPPING_ID: &str = "6f2f5a0c-4f67-4d9b-9a52-0f3b6f0f6d11";

/// A Kinesis batch.
#[must_use]
pub fn kinesis(batch: &Batch) -> Value {
    let record = |record: &super::shards::Record| {
        json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": record.key,
                "sequenceNumber": record.sequence.to_string(),
                "data": STANDARD.encode(&record.data),
                "approximateArrivalTimestamp": seconds(record.arrived_at),
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": format!("{}:{}", batch.shard_name, record.sequence),
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::123456789012:role/aggregate",
            "awsRegion": "us-east-1",
            "eventSourceARN": STREAM_ARN,
        })
    };
    json!({ "Records": batch.records.iter().map(record).collect::<Vec<_>>() })
}

/// A batch of a table's change stream, keys only. A record's key is the item's partition, its data
/// the item's place in it.
#[must_use]
pub fn changes(batch: &Batch) -> Value {
    let record = |record: &super::shards::Record| {
        json!({
            "eventID": format!("{:032x}", record.sequence),
            "eventName": "INSERT",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": {
                "ApproximateCreationDateTime": seconds(record.arrived_at),
                "Keys": { "pk": { "S": record.key }, "sk": { "S": String::from_utf8_lossy(&record.data) } },
                "SequenceNumber": record.sequence.to_string(),
                "SizeBytes": record.data.len(),
                "StreamViewType": "KEYS_ONLY",
            },
            "eventSourceARN": TABLE_STREAM_ARN,
        })
    };
    json!({ "Records": batch.records.iter().map(record).collect::<Vec<_>>() })
}

/// A message of the timers' queue, received for the `received`th time.
#[must_use]
pub fn message(id: u64, body: &str, received: u64) -> Value {
    json!({ "Records": [{
        "messageId": format!("00000000-0000-4000-8000-{id:012}"),
        "receiptHandle": format!("handle-{id}-{received}"),
        "body": body,
        "attributes": { "ApproximateReceiveCount": received.to_string() },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:daywatch-timers",
        "awsRegion": "us-east-1",
    }] })
}

/// The minute's schedule.
#[must_use]
pub fn scheduled(at: Timestamp) -> Value {
    json!({
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": instant(at, "%Y-%m-%dT%H:%M:%SZ"),
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/daywatch-tick"],
        "detail": {},
    })
}

/// S3's event by EventBridge: an object was made.
#[must_use]
pub fn object_created(at: Timestamp, name: &str) -> Value {
    json!({
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "123456789012",
        "time": instant(at, "%Y-%m-%dT%H:%M:%SZ"),
        "region": "us-east-1",
        "resources": ["arn:aws:s3:::daywatch-failed"],
        "detail": {
            "version": "0",
            "bucket": { "name": "daywatch-failed" },
            "object": { "key": name, "size": 5, "etag": "b1946ac92492d2347c6235b4d2611184", "sequencer": "617f08299329d189" },
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "lambda.amazonaws.com",
            "reason": "PutObject",
        },
    })
}

/// The object's name in the on-failure bucket, and its bytes.
#[must_use]
pub fn on_failure(discarded: &Discarded, number: u64, now: Timestamp) -> (String, Vec<u8>) {
    let batch = &discarded.batch;
    let (first, last) = (batch.records.first(), batch.records.last());
    let time = |record: Option<&super::shards::Record>| {
        instant(record.map_or(now, |record| record.arrived_at), "%Y-%m-%dT%H:%M:%S%.3fZ")
    };
    let sequence = |record: Option<&super::shards::Record>| record.map(|record| record.sequence.to_string());
    let record = json!({
        "requestContext": {
            "requestId": format!("c9b8fa9f-5a7f-4c1d-af9c-{number:012x}"),
            "functionArn": FUNCTION_ARN,
            "condition": format!("{:?}", discarded.condition),
            "approximateInvokeCount": batch.failures + 1,
        },
        "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
        "version": "1.0",
        "timestamp": instant(now, "%Y-%m-%dT%H:%M:%S%.3fZ"),
        "KinesisBatchInfo": {
            "shardId": batch.shard_name,
            "startSequenceNumber": sequence(first),
            "endSequenceNumber": sequence(last),
            "approximateArrivalOfFirstRecord": time(first),
            "approximateArrivalOfLastRecord": time(last),
            "batchSize": batch.records.len(),
            "streamArn": STREAM_ARN,
        },
        // The whole event, as a text.
        "payload": kinesis(batch).to_string(),
    });
    let name = format!(
        "aws/lambda/{MAPPING_ID}/{}/{}-a1b2c3d4-0000-4000-8000-{number:012x}",
        batch.shard_name,
        instant(now, "%Y/%m/%d/%Y-%m-%dT%H.%M.%S"),
    );
    (name, record.to_string().into_bytes())
}

/// Seconds with a fraction, as AWS writes times in events.
fn seconds(at: Timestamp) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit into a double")]
    let seconds = at.ms() as f64 / 1_000.0;
    json!(seconds)
}

fn instant(at: Timestamp, format: &str) -> String {
    jiff::Timestamp::from_millisecond(at.ms()).unwrap().strftime(format).to_string()
}
