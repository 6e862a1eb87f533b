use ports::Lane;
use serde_json::json;

use super::*;
use crate::stub::{Answer, Seen, Stub};

async fn stream(stub: &Stub) -> Kinesis {
    Kinesis::new(Client::new(&stub.config().await), "s".to_owned())
}

fn record(lane: u16, bytes: usize) -> StreamRecord {
    StreamRecord { lane: Lane::new(lane).unwrap(), data: vec![7; bytes].into() }
}

fn taken(shard: &str) -> serde_json::Value {
    json!({ "SequenceNumber": "1", "ShardId": shard })
}

fn refused(code: &str) -> serde_json::Value {
    json!({ "ErrorCode": code, "ErrorMessage": "Rate exceeded for shard in stream of account 1" })
}

fn answers(records: Vec<serde_json::Value>) -> Answer {
    let failed = records.iter().filter(|record| record.get("ErrorCode").is_some()).count();
    Answer::ok(json!({ "FailedRecordCount": failed, "Records": records }))
}

fn keys(seen: &Seen) -> Vec<String> {
    let records = seen.json()["Records"].as_array().unwrap().clone();
    records.iter().map(|record| record["PartitionKey"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn only_what_was_refused_is_tried_again_and_answers_keep_their_index() {
    let stub = Stub::script([
        answers(vec![
            taken("a"),
            refused("ProvisionedThroughputExceededException"),
            taken("a"),
            refused("InternalFailure"),
        ]),
        answers(vec![taken("b"), refused("ProvisionedThroughputExceededException")]),
        answers(vec![taken("c")]),
    ]);
    let put = stream(&stub).await.put((0..4).map(|lane| record(lane, 10)).collect()).await.unwrap();
    assert_eq!(put, vec![Ok(()); 4]);
    let asked: Vec<_> = stub.seen().iter().map(keys).collect();
    assert_eq!(asked, [vec!["0", "1", "2", "3"], vec!["1", "3"], vec!["3"]]);
}

#[tokio::test]
async fn what_is_refused_for_long_is_an_answer_by_index() {
    let stub = Stub::new(|seen| {
        let answer =
            |key: &String| if key == "1" { refused("ProvisionedThroughputExceededException") } else { taken("a") };
        answers(keys(seen).iter().map(answer).collect())
    });
    let put = stream(&stub).await.put((0..3).map(|lane| record(lane, 10)).collect()).await.unwrap();
    assert_eq!((&put[0], &put[2]), (&Ok(()), &Ok(())));
    let error = put[1].as_ref().unwrap_err();
    assert!(error.is_transient() && error.what.contains("ProvisionedThroughputExceededException"), "{error}");
    assert_eq!(stub.seen().len(), TRIES_MAX as usize, "tries have an end");
}

#[tokio::test]
async fn an_oversize_record_is_refused_alone_and_never_sent() {
    let stub = Stub::script([answers(vec![taken("a"), taken("a")])]);
    let records = vec![record(1, 10), record(2, RECORD_BYTES_MAX + 1), record(3, RECORD_BYTES_MAX)];
    let put = stream(&stub).await.put(records).await.unwrap();
    let classes: Vec<_> = put.iter().map(|answer| answer.as_ref().err().map(|error| error.class)).collect();
    assert_eq!(classes, [None, Some(ports::ErrorClass::Permanent), None]);
    assert_eq!(keys(&stub.seen()[0]), ["1", "3"]);
}

#[tokio::test]
async fn a_call_that_fails_takes_no_earlier_success_back() {
    // 6 MB are two calls; the second one fails as a whole, and the SDK has tried it four times.
    let mut calls = 0;
    let stub = Stub::new(move |seen| {
        calls += 1;
        let taken = keys(seen).iter().map(|_| taken("a")).collect();
        if calls == 1 { answers(taken) } else { Answer::error(500, "InternalFailure") }
    });
    let put = stream(&stub).await.put((0..6).map(|lane| record(lane, 999_000)).collect()).await.unwrap();
    let failed: Vec<bool> = put.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, false, false, false, false, true]);
    assert!(put[5].as_ref().unwrap_err().is_transient());
    assert_eq!(stub.seen().len(), 1 + 4);
}

#[tokio::test]
async fn a_missing_answer_is_no_success() {
    let stub =
        Stub::new(|seen| if keys(seen).len() > 1 { answers(vec![taken("a")]) } else { answers(vec![json!({})]) });
    let put = stream(&stub).await.put(vec![record(1, 1), record(2, 1)]).await.unwrap();
    assert_eq!(put[0], Ok(()));
    assert!(put[1].as_ref().unwrap_err().what.contains("named no shard"), "{put:?}");
}

#[test]
fn calls_are_split_at_their_limits() {
    let entry = |bytes: usize| Entry { data: vec![0; bytes].into(), key: "12".to_owned(), hash_key: None };
    let split = |entries: &[Entry]| {
        let owed: Vec<usize> = (0..entries.len()).collect();
        calls(entries, &owed).iter().map(Vec::len).collect::<Vec<_>>()
    };
    assert_eq!(split(&[]), [0; 0]);
    assert_eq!(split(&vec![entry(1); RECORDS_PER_PUT_MAX]), [RECORDS_PER_PUT_MAX]);
    assert_eq!(split(&vec![entry(1); RECORDS_PER_PUT_MAX + 1]), [RECORDS_PER_PUT_MAX, 1]);
    let fifth = CALL_BYTES_MAX / 5 - 2;
    assert_eq!(split(&vec![entry(fifth); 5]), [5], "at the limit, keys included");
    assert_eq!(split(&vec![entry(fifth + 1); 5]), [4, 1]);
}

fn shard(name: &str, start: &str, closed: bool) -> serde_json::Value {
    let mut range = json!({ "StartingSequenceNumber": "1" });
    if closed {
        range["EndingSequenceNumber"] = json!("2");
    }
    json!({
        "ShardId": name,
        "HashKeyRange": { "StartingHashKey": start, "EndingHashKey": "9" },
        "SequenceNumberRange": range,
    })
}

fn names(reached: &BTreeSet<String>) -> Vec<&str> {
    reached.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn a_pulse_goes_to_each_open_shard_of_all_pages() {
    let stub = Stub::script([
        Answer::ok(json!({ "Shards": [shard("s0", "0", true), shard("s1", "0", false)], "NextToken": "more" })),
        Answer::ok(json!({ "Shards": [shard("s2", "5", false)] })),
        answers(vec![taken("s1"), taken("s2")]),
    ]);
    let reached = stream(&stub).await.put_on_every_shard(Bytes::from_static(b"p")).await.unwrap();
    assert_eq!(names(&reached), ["s1", "s2"]);
    let seen = stub.seen();
    assert_eq!(seen[0].json()["ShardFilter"]["Type"], "AT_LATEST");
    assert_eq!(seen[1].json(), json!({ "NextToken": "more" }), "a token goes without the stream's name");
    let hashes: Vec<_> =
        seen[2].json()["Records"].as_array().unwrap().iter().map(|r| r["ExplicitHashKey"].clone()).collect();
    assert_eq!(hashes, ["0", "5"]);
}

#[tokio::test]
async fn a_pulse_follows_a_split() {
    let stub = Stub::script([
        Answer::ok(json!({ "Shards": [shard("s1", "0", false), shard("s2", "5", false)] })),
        // Meanwhile s1 was split into s3 and s4.
        answers(vec![taken("s3"), taken("s2")]),
        Answer::ok(json!({ "Shards": [shard("s2", "5", false), shard("s3", "0", false), shard("s4", "3", false)] })),
        answers(vec![taken("s4")]),
    ]);
    let reached = stream(&stub).await.put_on_every_shard(Bytes::from_static(b"p")).await.unwrap();
    assert_eq!(names(&reached), ["s2", "s3", "s4"]);
    assert_eq!(stub.seen()[3].json()["Records"][0]["ExplicitHashKey"], "3");
}

#[tokio::test]
async fn a_pulse_that_a_shard_refuses_is_an_error() {
    let stub = Stub::new(|seen| match seen.operation.as_str() {
        "ListShards" => Answer::ok(json!({ "Shards": [shard("s1", "0", false)] })),
        _ => answers(vec![refused("ProvisionedThroughputExceededException")]),
    });
    let error = stream(&stub).await.put_on_every_shard(Bytes::from_static(b"p")).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}
