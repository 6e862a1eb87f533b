//! Events as AWS documents them, and events that are not.

use serde_json::json;

use super::*;

fn kinesis_event() -> Value {
    json!({ "Records": [{
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": "7",
            "sequenceNumber": "49590338271490256608559692538361571095921575989136588898",
            "data": "AAEC", "approximateArrivalTimestamp": 1795359600.25,
        },
        "eventSource": "aws:kinesis", "eventVersion": "1.0",
        "eventID": "shardId-000000000006:49590338271490256608559692538361571095921575989136588898",
        "eventName": "aws:kinesis:record", "invokeIdentityArn": "arn:aws:iam::123456789012:role/x",
        "awsRegion": "eu-west-1", "eventSourceARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/daywatch",
    }] })
}

fn changes_event() -> Value {
    json!({ "Records": [{
        "eventID": "c81e728d9d4c2f636f067f89cc14862c", "eventName": "INSERT", "eventVersion": "1.1",
        "eventSource": "aws:dynamodb", "awsRegion": "eu-west-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1795359600,
            "Keys": { "pk": { "S": "manifest/default" }, "sk": { "S": "0/0001795359600000/b3" } },
            "SequenceNumber": "140540000000000206328", "SizeBytes": 54, "StreamViewType": "KEYS_ONLY",
        },
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/m/stream/2026-11-22T00:00:00.000",
    }] })
}

fn sqs_event(body: &str) -> Value {
    json!({ "Records": [{
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d", "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS",
        "body": body, "attributes": { "ApproximateReceiveCount": "1", "SentTimestamp": "1795359600000" },
        "messageAttributes": {}, "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3", "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:timers", "awsRegion": "eu-west-1",
    }] })
}

fn s3_event() -> Value {
    json!({ "Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
        "eventTime": "2026-11-22T15:00:00.000Z", "eventName": "ObjectCreated:Put",
        "userIdentity": { "principalId": "AWS:AIDAINPONIXQXHT3IKHL2" },
        "requestParameters": { "sourceIPAddress": "203.0.113.7" },
        "responseElements": { "x-amz-request-id": "C3D13FE58DE4C810" },
        "s3": {
            "s3SchemaVersion": "1.0", "configurationId": "c",
            "bucket": { "name": "failed", "ownerIdentity": { "principalId": "A3I5XTEXAMAI3E" }, "arn": "arn:aws:s3:::failed" },
            "object": { "key": "aws/lambda/a+b%2Bc", "size": 1024, "eTag": "d41d8cd98f00b204e9800998ecf8427e" },
        },
    }] })
}

#[test]
fn a_record_of_a_shard() {
    let Event::Kinesis(records) = Event::read(kinesis_event()).unwrap() else { panic!("another event") };
    let expected = Delivered {
        shard: "shardId-000000000006".to_owned(),
        sequence: "49590338271490256608559692538361571095921575989136588898".to_owned(),
        arrived_at: Timestamp(1_795_359_600_250),
        data: bytes::Bytes::from_static(&[0, 1, 2]),
    };
    assert_eq!(records, [expected]);
}

#[test]
fn a_change_of_a_manifest_and_of_something_else() {
    let Event::Changes(changes) = Event::read(changes_event()).unwrap() else { panic!("another event") };
    let sequence = "140540000000000206328".to_owned();
    assert_eq!(changes, [Change { sequence: sequence.clone(), tenant: Some(TenantId::default()) }]);
    let mut other = changes_event();
    other["Records"][0]["dynamodb"]["Keys"]["pk"]["S"] = json!("checks/default");
    let Event::Changes(changes) = Event::read(other).unwrap() else { panic!("another event") };
    assert_eq!(changes, [Change { sequence, tenant: None }]);
}

#[test]
fn objects_of_a_bucket_come_three_ways() {
    let Event::Objects(names) = Event::read(s3_event()).unwrap() else { panic!("another event") };
    assert_eq!(names, ["aws/lambda/a b+c"]);
    let Event::Messages(messages) = Event::read(sqs_event(&s3_event().to_string())).unwrap() else { panic!("another") };
    assert_eq!(messages[0].objects().unwrap(), ["aws/lambda/a b+c"]);
    let created = json!({
        "version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": "Object Created",
        "source": "aws.s3", "account": "123456789012", "time": "2026-11-22T15:00:00Z", "region": "eu-west-1",
        "resources": ["arn:aws:s3:::failed"],
        "detail": { "version": "0", "bucket": { "name": "failed" }, "object": { "key": "a+b", "size": 5 } },
    });
    let Event::Objects(names) = Event::read(created).unwrap() else { panic!("another event") };
    assert_eq!(names, ["a+b"]);
    let message = |body: &str| Message { id: "m".to_owned(), body: body.to_owned() }.objects();
    assert_eq!(message(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"failed"}"#), Ok(Vec::new()));
    assert!(message("{").unwrap_err().to_string().contains("message m"));
    assert!(message(&kinesis_event().to_string()).unwrap_err().to_string().contains("of Kinesis, not of S3"));
}

#[test]
fn the_schedule_and_a_message() {
    let tick = json!({
        "version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "Scheduled Event",
        "source": "aws.events", "account": "123456789012", "time": "2026-11-22T15:00:00Z", "region": "eu-west-1",
        "resources": ["arn:aws:events:eu-west-1:123456789012:rule/tick"], "detail": {},
    });
    assert!(matches!(Event::read(tick).unwrap(), Event::Tick));
    let Event::Messages(messages) = Event::read(sqs_event("{}")).unwrap() else { panic!("another event") };
    assert_eq!(messages, [Message { id: "059f36b4-87a3-44ab-83d2-661975830a7d".to_owned(), body: "{}".to_owned() }]);
}

/// Sets a value far within an event.
fn with(mut event: Value, pointer: &str, value: Value) -> Value {
    *event.pointer_mut(pointer).unwrap() = value;
    event
}

#[test]
fn what_is_malformed_is_named_with_its_place() {
    let record = "/Records/0";
    let table = [
        (json!({}), "with the fields (none)"),
        (json!([]), "with the fields (none)"),
        (json!(null), "with the fields (none)"),
        (json!({ "Records": [] }), "with the fields Records"),
        (json!({ "secret": "x", "b": 1 }), "with the fields b, secret"),
        (json!({ "Records": [{ "eventSource": "aws:sns" }] }), "eventSource is \"aws:sns\""),
        (json!({ "Records": [{}] }), "eventSource is \"\""),
        (with(kinesis_event(), &format!("{record}/eventID"), json!("shard")), "Records[0].eventID is \"shard\""),
        (with(kinesis_event(), &format!("{record}/eventID"), json!(":1")), "Records[0].eventID is \":1\""),
        (with(kinesis_event(), &format!("{record}/eventID"), json!(null)), "Records[0].eventID is \"\""),
        (with(kinesis_event(), &format!("{record}/kinesis/data"), json!("!")), "an event of Kinesis"),
        (with(kinesis_event(), &format!("{record}/kinesis/sequenceNumber"), json!("")), "sequenceNumber is missing"),
        (with(kinesis_event(), &format!("{record}/kinesis"), json!(7)), "an event of Kinesis"),
        (
            with(changes_event(), &format!("{record}/dynamodb/Keys"), json!({})),
            "Records[0].dynamodb.Keys.pk.S is missing",
        ),
        (with(changes_event(), &format!("{record}/dynamodb/Keys/pk"), json!({ "N": "1" })), "Keys.pk.S is missing"),
        (with(changes_event(), &format!("{record}/dynamodb/SequenceNumber"), json!(null)), "SequenceNumber is missing"),
        (with(sqs_event(""), &format!("{record}/messageId"), json!(null)), "Records[0].messageId is missing"),
        (with(s3_event(), &format!("{record}/s3/object/key"), json!("")), "s3.object.key is missing"),
        (with(s3_event(), &format!("{record}/s3/object/key"), json!("%ff")), "s3.object.key is not UTF-8"),
        (json!({ "detail-type": "Object Created", "source": "aws.s3" }), "detail.object.key is missing"),
        (json!({ "requestContext": { "http": 1 } }), "an event of the HTTP API"),
        (json!({ "requestContext": { "connectionId": "c" } }), "an event of the websocket API"),
        (json!({ "methodArn": "x" }), "an event of the authorizer"),
    ];
    for (event, expected) in table {
        let error = Event::read(event.clone()).unwrap_err().to_string();
        assert!(error.contains(expected), "{event}: {error}");
    }
}

#[test]
fn a_wrong_trigger_is_named() {
    let error = Event::Tick.not_for("query").to_string();
    assert_eq!(error, "query is not woken by the schedule: the trigger is set on the wrong function");
}
