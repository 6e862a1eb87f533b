use ports::{Condition, Partition, Table, TenantId};
use serde_json::json;

use super::super::tests::{attributes, documents, key, others_id};
use super::*;
use crate::stub::{Answer, Stub};

fn delete(sort: &str) -> Write {
    Write::Delete { key: key(sort), condition: Condition::Always }
}

#[tokio::test]
async fn what_was_not_read_is_a_value() {
    let manifest = Key::new(Partition::Manifest(TenantId::default()), "m");
    let left = |pk: &str, sk: &str| json!({ "Keys": [{ "pk": { "S": pk }, "sk": { "S": sk } }] });
    let stub = Stub::script([Answer::ok(json!({
        "Responses": { "main": [attributes("a", 1, &others_id(), None)] },
        "UnprocessedKeys": { "main": left("config/default", "/b"), "manifest": left("manifest/default", "/m") },
    }))]);
    let mut got = documents(&stub).await.get_many(&[key("a"), key("b"), manifest.clone()]).await.unwrap();
    got.unprocessed.sort();
    assert_eq!(got.unprocessed, [key("b"), manifest]);
    assert_eq!(got.items[0].0, key("a"));
    let body = stub.seen()[0].json();
    assert!(
        body["RequestItems"]["main"]["ConsistentRead"] == true
            && body["RequestItems"]["manifest"]["ConsistentRead"] == true
    );
}

#[tokio::test]
async fn what_was_not_written_is_a_value() {
    let unprocessed = json!([{ "DeleteRequest": { "Key": { "pk": { "S": "config/default" }, "sk": { "S": "/b" } } } }]);
    let stub = Stub::script([Answer::ok(json!({ "UnprocessedItems": { "main": unprocessed } }))]);
    let left = documents(&stub).await.write_many(vec![delete("a"), delete("b")]).await.unwrap();
    assert_eq!(left, [delete("b")]);
}

#[tokio::test]
async fn a_put_that_the_table_cannot_take_now_is_a_value() {
    let stub = Stub::new(|seen| match seen.json()["Key"]["sk"]["S"].as_str() {
        Some("/b") => Answer::error(400, "ProvisionedThroughputExceededException"),
        _ => Answer::ok(json!({ "Attributes": { "ver": { "N": "9" } } })),
    });
    let put = |sort: &str| Write::put(key(sort), "x", Condition::Always);
    let left = documents(&stub).await.write_many(vec![put("a"), put("b"), put("c")]).await.unwrap();
    assert_eq!(left, [put("b")]);
    let stub = Stub::new(|_| Answer::error(400, "ValidationException"));
    assert!(!documents(&stub).await.write_many(vec![put("a")]).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn deletes_go_in_calls_that_dynamodb_takes() {
    for (count, calls) in [(DELETES_PER_CALL_MAX, 1), (DELETES_PER_CALL_MAX + 1, 2)] {
        let stub = Stub::new(|_| Answer::ok(json!({ "UnprocessedItems": {} })));
        let writes = (0..count).map(|n| delete(&n.to_string())).collect();
        assert_eq!(documents(&stub).await.write_many(writes).await, Ok(vec![]));
        assert_eq!(stub.seen().len(), calls);
    }
}
