use ports::{Condition, ErrorClass, Table};
use serde_json::{Value, json};

use super::super::tests::{NOW, attributes, documents, key, others_id};
use super::*;
use crate::stub::{Answer, Stub};

fn cancelled(reasons: Value) -> Answer {
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled",
        "CancellationReasons": reasons,
    });
    Answer::Http(400, body.to_string())
}

fn writes() -> Vec<Write> {
    vec![
        Write::put(key("a"), "x", Condition::Version(1)),
        Write::put(key("b"), "x", Condition::Absent),
        Write::Delete { key: key("c"), condition: Condition::Always },
    ]
}

async fn write(answers: impl IntoIterator<Item = Answer>) -> (Result<WrittenAll, PortError>, Stub) {
    let stub = Stub::script(answers);
    let written = documents(&stub).await.write_all(writes()).await;
    (written, stub)
}

#[tokio::test]
async fn a_failed_condition_is_told_by_index_with_its_item() {
    let failed = |item: Value| json!({ "Code": "ConditionalCheckFailed", "Message": "no", "Item": item });
    let none = json!({ "Code": "None" });
    let item = attributes("b", 4, &others_id(), None);
    let (written, _) = write([cancelled(json!([none, failed(item), none]))]).await;
    let Ok(WrittenAll::ConditionFailed { index: 1, current: Some(item) }) = written else { panic!("{written:?}") };
    assert_eq!((item.sort.as_str(), item.version), ("b", 4));

    let expired = attributes("a", 4, &others_id(), Some(NOW));
    let (written, _) = write([cancelled(json!([failed(expired), failed(json!({})), none]))]).await;
    assert_eq!(written, Ok(WrittenAll::ConditionFailed { index: 0, current: None }), "the first, and expired");
    let (written, _) = write([cancelled(json!([none, { "Code": "ConditionalCheckFailed" }, none]))]).await;
    assert_eq!(written, Ok(WrittenAll::ConditionFailed { index: 1, current: None }));
}

#[tokio::test]
async fn others_at_the_same_items_are_waited_out_under_one_token() {
    let busy = || cancelled(json!([{ "Code": "None" }, { "Code": "TransactionConflict" }, { "Code": "None" }]));
    let (written, stub) = write([busy(), busy(), Answer::Lost, Answer::ok(json!({}))]).await;
    assert_eq!(written, Ok(WrittenAll::Done));
    let seen = stub.seen();
    assert!(seen.windows(2).all(|pair| pair[0].body == pair[1].body), "the same token and the same items");
    // A failed condition counts more than a conflict beside it: asking again could not help.
    let both =
        cancelled(json!([{ "Code": "TransactionConflict" }, { "Code": "ConditionalCheckFailed" }, { "Code": "None" }]));
    let (written, _) = write([both]).await;
    assert_eq!(written, Ok(WrittenAll::ConditionFailed { index: 1, current: None }));
}

#[tokio::test]
async fn other_reasons_are_errors_with_their_class_and_place() {
    for (code, class) in [
        ("ThrottlingError", ErrorClass::Transient),
        ("ProvisionedThroughputExceeded", ErrorClass::Transient),
        ("ValidationError", ErrorClass::Permanent),
        ("ItemCollectionSizeLimitExceeded", ErrorClass::Transient),
    ] {
        let (written, _) = write([cancelled(json!([{ "Code": "None" }, { "Code": code }, { "Code": "None" }]))]).await;
        let error = written.unwrap_err();
        assert_eq!(error.class, class, "{error}");
        assert!(error.what.contains(code) && error.what.ends_with("; it is write 1 of 3"), "{error}");
    }
    let (written, _) = write([cancelled(json!([]))]).await;
    assert!(written.unwrap_err().is_transient());
    let (written, _) = write([Answer::error(400, "IdempotentParameterMismatchException")]).await;
    assert_eq!(written.unwrap_err().class, ErrorClass::Permanent);
}

/// The emulator refuses so many bytes, DynamoDB does not.
#[tokio::test]
async fn as_many_bytes_as_the_port_allows_are_sent_and_no_more() {
    let stub = Stub::new(|_| Answer::ok(json!({})));
    let documents = documents(&stub).await;
    let puts = |bytes: usize| {
        let put = |n: usize| Write::put(key(&n.to_string()), vec![1; bytes], Condition::Always);
        (0..20).map(put).collect::<Vec<_>>()
    };
    assert_eq!(documents.write_all(puts(ports::WRITE_ALL_BYTES_MAX / 20)).await, Ok(WrittenAll::Done));
    let error = documents.write_all(puts(ports::WRITE_ALL_BYTES_MAX / 20 + 1)).await.unwrap_err();
    assert_eq!((error.class, stub.seen().len()), (ErrorClass::Permanent, 1));
}

#[tokio::test]
async fn nothing_to_write_is_done() {
    let stub = Stub::script([]);
    assert_eq!(documents(&stub).await.write_all(vec![]).await, Ok(WrittenAll::Done));
}
