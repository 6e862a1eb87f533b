use ports::{Table, TenantId};
use serde_json::{Value, json};

use super::super::tests::{NOW, attributes, documents, others_id};
use super::*;
use crate::stub::{Answer, Stub};

fn page(sorts: &[&str], next: Option<&str>) -> Page {
    let item =
        |sort: &&str| Item { sort: (*sort).to_owned(), value: bytes::Bytes::new(), version: 1, expires_at: None };
    Page { items: sorts.iter().map(item).collect(), next: next.map(ToOwned::to_owned) }
}

#[test]
fn parts_merge_up_to_where_the_first_ended() {
    let merge = |parts: Vec<Page>| {
        let merged = merged(parts);
        (merged.items.into_iter().map(|item| item.sort).collect::<Vec<_>>().join(" "), merged.next)
    };
    assert_eq!(merge(vec![page(&[], None)]), (String::new(), None));
    assert_eq!(merge(vec![page(&["b", "d"], None), page(&["a", "c"], None)]), ("a b c d".to_owned(), None));
    let parts = vec![page(&["b", "d"], Some("d")), page(&["a", "c", "e"], None), page(&["f"], Some("f"))];
    assert_eq!(merge(parts), ("a b c d".to_owned(), Some("d".to_owned())));
    // A part whose items have all expired may end without any.
    assert_eq!(merge(vec![page(&[], Some("b")), page(&["a", "c"], None)]), ("a".to_owned(), Some("b".to_owned())));
}

fn config() -> Partition {
    Partition::Config(TenantId::default())
}

fn answer(items: Vec<Value>, next: Option<&str>) -> Answer {
    let mut body = json!({ "Items": items, "Count": items.len() });
    if let Some(sk) = next {
        body["LastEvaluatedKey"] = json!({ "pk": { "S": "config/default" }, "sk": { "S": sk } });
    }
    Answer::ok(body)
}

#[tokio::test]
async fn a_stretch_is_half_open_and_leaves_out_what_has_expired() {
    let item = |sort: &str, expires_ms| attributes(sort, 1, &others_id(), expires_ms);
    let items = vec![item("a", None), item("b", Some(NOW)), item("c", Some(NOW + 1)), item("d", None)];
    let stub = Stub::script([answer(items, Some("/d"))]);
    let found = documents(&stub).await.query(&config(), "a", "d", Some("Z")).await.unwrap();
    let sorts: Vec<_> = found.items.iter().map(|item| item.sort.as_str()).collect();
    assert_eq!((sorts, found.next.as_deref()), (vec!["a", "c"], Some("d")));
    let body = stub.seen()[0].json();
    assert_eq!(body["KeyConditionExpression"], "pk = :pk AND sk BETWEEN :from AND :to");
    assert_eq!(body["ConsistentRead"], true);
    assert!(body.get("ExclusiveStartKey").is_none(), "what lies before the stretch skips nothing: {body}");
}

#[tokio::test]
async fn a_further_page_starts_after_the_last() {
    let stub = Stub::script([answer(vec![], None)]);
    documents(&stub).await.query(&config(), "a", "", Some("c")).await.unwrap();
    let body = stub.seen()[0].json();
    assert_eq!(body["ExclusiveStartKey"], json!({ "pk": { "S": "config/default" }, "sk": { "S": "/c" } }));
    assert_eq!(body["KeyConditionExpression"], "pk = :pk AND sk >= :from");
}

#[tokio::test]
async fn an_empty_stretch_asks_nobody() {
    let stub = Stub::script([]);
    let documents = documents(&stub).await;
    for (from, to, after) in [("b", "b", None), ("c", "b", None), ("a", "b", Some("b"))] {
        assert_eq!(documents.query(&config(), from, to, after).await, Ok(Page::default()));
    }
}

#[tokio::test]
async fn a_key_of_somebody_else_is_named() {
    let stub = Stub::script([answer(vec![], Some("no slash"))]);
    let error = documents(&stub).await.query(&config(), "", "", None).await.unwrap_err();
    assert!(error.what.contains("config/default holds a key that Daywatch did not write"), "{error}");
}
