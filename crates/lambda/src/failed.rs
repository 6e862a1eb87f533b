//! What a Kinesis mapping writes into its on-failure bucket: the record of an invocation, whose
//! `payload` is the whole event, as a text.

use pipeline::Delivered;
use serde_json::Value;

use crate::event::Event;
use crate::failure::BadEvent;

/// The records of a batch that was given up.
pub fn records(object: &[u8]) -> Result<Vec<Delivered>, BadEvent> {
    const NAME: &str = "the on-failure bucket";
    let object: Value = serde_json::from_slice(object).map_err(|error| BadEvent::malformed(NAME, error))?;
    let event = match object.get("payload") {
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|error| BadEvent::malformed(NAME, format!("payload: {error}")))?
        }
        // Not what is documented today, and just as clear.
        Some(event @ Value::Object(_)) => event.clone(),
        _ => return Err(BadEvent::malformed(NAME, "payload is missing: was the destination a queue?")),
    };
    match Event::read(event)? {
        Event::Kinesis(records) => Ok(records),
        other => Err(BadEvent::malformed(NAME, format!("its payload is of {}", other.source_name()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = include_str!("../fixtures/on-failure.json");

    #[test]
    fn a_given_up_batch_is_read() {
        let records = records(OBJECT.as_bytes()).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].shard, "shardId-000000000006");
        assert_eq!(&records[0].data[..], b"Hello, this is a test.");
    }

    #[test]
    fn what_is_none_says_why() {
        let object: Value = serde_json::from_str(OBJECT).unwrap();
        let with = |payload: Value| {
            let mut object = object.clone();
            object["payload"] = payload;
            records(object.to_string().as_bytes()).unwrap_err().to_string()
        };
        assert!(with(Value::Null).contains("payload is missing"));
        assert!(with("{".into()).contains("payload: "));
        assert!(with("{}".into()).contains("no known source"));
        let tick = r#"{"detail-type":"Scheduled Event","source":"aws.events","detail":{}}"#;
        assert!(with(tick.into()).contains("its payload is of the schedule"));
        assert!(records(b"").unwrap_err().to_string().contains("on-failure bucket"));
    }
}
