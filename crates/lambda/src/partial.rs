//! Answers to a batch: what of it is to be given again.
//!
//! An empty list is success. For a stream (Kinesis, DynamoDB) the lowest number is the checkpoint
//! and everything from there is given again, so only the first undone record is named; for a queue
//! every undone message is. A key that AWS does not know means that *all* failed, and a null that none
//! did, which is why the answers are the typed ones and their JSON is pinned.

use aws_lambda_events::streams::{
    DynamoDbBatchItemFailure, DynamoDbEventResponse, KinesisEventResponse, SqsBatchItemFailure, SqsEventResponse,
};
use serde::Serialize;
use serde_json::{Value, json};

/// Kinesis: the first undone record.
#[must_use]
pub fn kinesis(first_undone: Option<&str>) -> Value {
    let mut answer = KinesisEventResponse::default();
    answer.set_failures(first_undone);
    json(&answer)
}

/// DynamoDB: the first undone change.
#[must_use]
pub fn dynamodb(first_undone: Option<&str>) -> Value {
    let mut answer = DynamoDbEventResponse::default();
    answer.batch_item_failures.extend(first_undone.map(|undone| {
        let mut failure = DynamoDbBatchItemFailure::default();
        failure.item_identifier = Some(undone.to_owned());
        failure
    }));
    json(&answer)
}

/// SQS: every undone message.
#[must_use]
pub fn sqs<'a>(undone: impl IntoIterator<Item = &'a str>) -> Value {
    let mut answer = SqsEventResponse::default();
    answer.batch_item_failures.extend(undone.into_iter().map(|undone| {
        let mut failure = SqsBatchItemFailure::default();
        failure.item_identifier = Some(undone.to_owned());
        failure
    }));
    json(&answer)
}

/// How many records an answer hands back.
#[must_use]
pub fn handed_back(answer: &Value) -> usize {
    answer.get("batchItemFailures").and_then(Value::as_array).map_or(0, Vec::len)
}

fn json(answer: &impl Serialize) -> Value {
    // A list of texts is always JSON. If it were not: an empty name means that the whole batch
    // failed, where a null would mean that it did not.
    serde_json::to_value(answer).unwrap_or_else(|_| json!({ "batchItemFailures": [{ "itemIdentifier": "" }] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_reads() {
        assert_eq!(kinesis(None).to_string(), r#"{"batchItemFailures":[]}"#);
        assert_eq!(kinesis(Some("495")).to_string(), r#"{"batchItemFailures":[{"itemIdentifier":"495"}]}"#);
        assert_eq!(dynamodb(None).to_string(), r#"{"batchItemFailures":[]}"#);
        assert_eq!(dynamodb(Some("140")).to_string(), r#"{"batchItemFailures":[{"itemIdentifier":"140"}]}"#);
        assert_eq!(sqs([]).to_string(), r#"{"batchItemFailures":[]}"#);
        assert_eq!(
            sqs(["a", "b"]).to_string(),
            r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"b"}]}"#
        );
        assert_eq!([handed_back(&kinesis(None)), handed_back(&sqs(["a", "b"]))], [0, 2]);
    }
}
