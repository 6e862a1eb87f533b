use std::sync::atomic::{AtomicI64, Ordering};

use ports::{Condition, ErrorClass, TenantId};
use serde_json::{Value, json};

use super::*;
use crate::stub::{Answer, Seen, Stub};

pub(super) const NOW: i64 = 1_700_000_000_000;

pub(super) struct SetClock(pub(super) AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

pub(super) async fn documents(stub: &Stub) -> Documents {
    let config =
        Config { table: Some("main".to_owned()), manifest_table: Some("manifest".to_owned()), ..Config::default() };
    Documents::new(Client::new(&stub.config().await), &config, Arc::new(SetClock(AtomicI64::new(NOW))))
}

pub(super) fn key(sort: &str) -> Key {
    Key::new(Partition::Config(TenantId::default()), sort)
}

/// `AQID` is base64 of 1, 2, 3.
pub(super) fn attributes(sort: &str, version: u64, write_id: &Value, expires_ms: Option<i64>) -> Value {
    let mut item = json!({
        "pk": { "S": "config/default" }, "sk": { "S": format!("/{sort}") },
        "ver": { "N": version.to_string() }, "val": { "B": "AQID" }, "wid": { "B": write_id },
    });
    if let Some(ms) = expires_ms {
        item["xms"] = json!({ "N": ms.to_string() });
    }
    item
}

pub(super) fn others_id() -> Value {
    json!("AAAAAAAAAAAAAAAAAAAAAA==")
}

fn condition_failed(item: Option<Value>) -> Answer {
    let mut body =
        json!({ "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "message": "no" });
    if let Some(item) = item {
        body["Item"] = item;
    }
    Answer::Http(400, body.to_string())
}

fn write_id(seen: &Seen) -> Value {
    seen.json()["ExpressionAttributeValues"][":wid"]["B"].clone()
}

#[tokio::test]
async fn a_put_that_fails_on_its_own_success_is_a_success() {
    let mut applied = None;
    let stub = Stub::new(move |seen| match &applied {
        // Applied, and its answer lost: the client sends it again.
        None => {
            applied = Some(write_id(seen));
            Answer::Lost
        }
        Some(id) => {
            assert_eq!(*id, write_id(seen), "a repetition has the same id");
            condition_failed(Some(attributes("a", 8, id, None)))
        }
    });
    let write = Write::put(key("a"), "x", Condition::Version(7));
    assert_eq!(documents(&stub).await.write(write).await, Ok(Written::Done(8)));
    assert_eq!(stub.operations(), ["UpdateItem", "UpdateItem"]);
}

#[tokio::test]
async fn a_put_that_somebody_else_was_faster_than_shows_their_item() {
    let stub = Stub::new(|_| condition_failed(Some(attributes("a", 8, &others_id(), None))));
    let put = |condition| Write::put(key("a"), "x", condition);
    let failed = documents(&stub).await.write(put(Condition::Version(7))).await.unwrap();
    let Written::ConditionFailed(Some(item)) = failed else { panic!("{failed:?}") };
    assert_eq!((item.sort.as_str(), &item.value[..], item.version), ("a", &[1, 2, 3][..], 8));
    let body = stub.seen()[0].json();
    assert_eq!(body["ReturnValuesOnConditionCheckFailure"], "ALL_OLD");
    assert_eq!(body["ConditionExpression"], "ver = :is AND (attribute_not_exists(xms) OR xms > :now)");

    let nothing = Stub::new(|_| condition_failed(None));
    let failed = documents(&nothing).await.write(put(Condition::Version(7))).await;
    assert_eq!(failed, Ok(Written::ConditionFailed(None)));
    let expired = Stub::new(|_| condition_failed(Some(attributes("a", 8, &others_id(), Some(NOW)))));
    let failed = documents(&expired).await.write(put(Condition::Version(8))).await;
    assert_eq!(failed, Ok(Written::ConditionFailed(None)), "an expired item is not there");
}

#[tokio::test]
async fn a_conditional_delete_happens_once_by_its_token() {
    let stub = Stub::script([Answer::Lost, Answer::ok(json!({}))]);
    let delete = Write::Delete { key: key("ticket"), condition: Condition::Version(3) };
    assert_eq!(documents(&stub).await.write(delete).await, Ok(Written::Done(0)));
    let tokens: Vec<_> = stub.seen().iter().map(|seen| seen.json()["ClientRequestToken"].clone()).collect();
    assert_eq!(stub.operations(), ["TransactWriteItems", "TransactWriteItems"]);
    assert!(tokens[0] == tokens[1] && tokens[0].as_str().is_some_and(|token| token.len() == 32), "{tokens:?}");
}

#[tokio::test]
async fn unconditional_writes_are_repeated() {
    let done = json!({ "Attributes": { "ver": { "N": "9" } } });
    let stub = Stub::script([Answer::Lost, Answer::ok(done), Answer::Lost, Answer::ok(json!({}))]);
    let documents = documents(&stub).await;
    assert_eq!(documents.write(Write::put(key("a"), "x", Condition::Always)).await, Ok(Written::Done(9)));
    assert!(stub.seen()[1].json().get("ConditionExpression").is_none());
    let delete = Write::Delete { key: key("a"), condition: Condition::Always };
    assert_eq!(documents.write(delete).await, Ok(Written::Done(0)));
    assert_eq!(stub.operations(), ["UpdateItem", "UpdateItem", "DeleteItem", "DeleteItem"]);
}

#[tokio::test]
async fn others_transactions_are_waited_out_and_then_a_conflict() {
    let conflict = || Answer::error(400, "TransactionConflictException");
    let done = Answer::ok(json!({ "Attributes": { "ver": { "N": "9" } } }));
    let put = || Write::put(key("a"), "x", Condition::Always);
    let stub = Stub::script([conflict(), conflict(), done]);
    assert_eq!(documents(&stub).await.write(put()).await, Ok(Written::Done(9)));
    let stub = Stub::new(move |_| conflict());
    let error = documents(&stub).await.write(put()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Conflict, "{error}");
    assert_eq!(stub.seen().len(), conflict::TRIES_MAX as usize);
}

#[tokio::test]
async fn reads_are_consistent_and_leave_out_what_has_expired() {
    let item = |expires_ms| Answer::ok(json!({ "Item": attributes("a", 1, &others_id(), expires_ms) }));
    let stub = Stub::script([item(None), item(Some(NOW + 1)), item(Some(NOW)), Answer::ok(json!({}))]);
    let documents = documents(&stub).await;
    assert!(documents.get(&key("a")).await.unwrap().is_some());
    assert_eq!(documents.get(&key("a")).await.unwrap().unwrap().expires_at, Some(Timestamp(NOW + 1)));
    assert_eq!(documents.get(&key("a")).await, Ok(None), "expired, though DynamoDB has not deleted it");
    assert_eq!(documents.get(&key("a")).await, Ok(None));
    assert!(stub.seen().iter().all(|seen| seen.json()["ConsistentRead"] == true));
}

#[tokio::test]
async fn each_partition_goes_to_its_table_and_a_missing_one_is_named() {
    let stub = Stub::new(|_| Answer::ok(json!({})));
    let mut documents = documents(&stub).await;
    let manifest = Key::new(Partition::Manifest(TenantId::default()), "a");
    documents.get(&manifest).await.unwrap();
    documents.get(&key("a")).await.unwrap();
    let tables: Vec<_> = stub.seen().iter().map(|seen| seen.json()["TableName"].clone()).collect();
    assert_eq!(tables, ["manifest", "main"]);
    documents.manifest_table = None;
    let error = documents.get(&manifest).await.unwrap_err();
    assert!(
        error.class == ErrorClass::Permanent && error.what.contains("DAYWATCH_MANIFEST_TABLE is not set"),
        "{error}"
    );
}
