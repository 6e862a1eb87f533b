//! What a function's answer says of its batch (`ReportBatchItemFailures`).
//!
//! After the Lambda developer guide, "Implementing partial batch response with Kinesis and Lambda":
//! a null answer, an empty one, a null or empty list of failures are a complete success; an empty
//! or null `itemIdentifier`, a failure without that key, and what is no answer at all are a complete
//! failure; of several failures the lowest sequence number is the checkpoint. A sequence number
//! that is not the batch's own is a complete failure too (it cannot be a checkpoint of it).

use serde_json::Value;

/// What is to become of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is done.
    Done,
    /// Everything before this index is done. At 0 nothing is, and still the answer has said where to
    /// cut, so that the batch is not halved.
    FailedFrom(usize),
    /// Nothing is done: an error, a crash, a timeout, an answer that means nothing.
    Failed,
}

/// Reads the answer to a batch of these sequence numbers. A mapping without
/// `ReportBatchItemFailures` takes every answer for a success.
#[must_use]
pub fn outcome(answer: &Value, sequences: &[String], report_items: bool) -> Outcome {
    if !report_items || answer.is_null() {
        return Outcome::Done;
    }
    let Some(answer) = answer.as_object() else { return Outcome::Failed };
    let failures = match answer.get("batchItemFailures") {
        None if answer.is_empty() => return Outcome::Done,
        None => return Outcome::Failed,
        Some(Value::Null) => return Outcome::Done,
        Some(Value::Array(failures)) => failures,
        Some(_) => return Outcome::Failed,
    };
    let mut first: Option<usize> = None;
    for failure in failures {
        let named = failure.get("itemIdentifier").and_then(Value::as_str);
        let Some(place) = named.and_then(|named| sequences.iter().position(|sequence| sequence == named)) else {
            return Outcome::Failed;
        };
        first = Some(first.map_or(place, |first| first.min(place)));
    }
    first.map_or(Outcome::Done, Outcome::FailedFrom)
}
