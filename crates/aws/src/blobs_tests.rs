use ports::ErrorClass;

use super::*;
use crate::stub::{Answer, Stub};

async fn bucket(stub: &Stub) -> Bucket {
    Bucket::new(Client::new(&stub.config().await), "blobs".to_owned())
}

fn s3_error(status: u16, code: &str) -> Answer {
    Answer::Http(status, format!("<Error><Code>{code}</Code><Message>why</Message></Error>"))
}

#[tokio::test]
async fn a_missing_object_is_a_value_and_a_missing_bucket_an_error() {
    let get = async |answer: Answer| bucket(&Stub::new(move |_| answer.clone())).await.get("a/b").await;
    assert_eq!(get(s3_error(404, "NoSuchKey")).await, Ok(None));
    assert_eq!(get(Answer::Http(200, "bytes".to_owned())).await, Ok(Some(Bytes::from_static(b"bytes"))));
    let error = get(s3_error(404, "NoSuchBucket")).await.unwrap_err();
    assert!(error.is_transient() && error.what.contains("does not exist"), "{error}");
    let error = get(s3_error(403, "AccessDenied")).await.unwrap_err();
    assert!(
        error.what.contains("S3 GetObject: AccessDenied (status 403); the role or user lacks this right"),
        "{error}"
    );
    let error = get(s3_error(301, "PermanentRedirect")).await.unwrap_err();
    assert!(error.what.contains("another region"), "{error}");
    let error = get(s3_error(503, "SlowDown")).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_put_is_repeated_where_its_answer_was_lost() {
    let stub = Stub::script([Answer::Lost, s3_error(503, "SlowDown"), Answer::Http(200, String::new())]);
    bucket(&stub).await.put("a", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(stub.seen().len(), 3);
}

#[tokio::test]
async fn names_and_sizes_are_judged_before_anything_is_sent() {
    let stub = Stub::new(|_| Answer::Http(200, String::new()));
    let bucket = bucket(&stub).await;
    let refused = |answer: Result<(), PortError>| answer.map_err(|error| error.class) == Err(ErrorClass::Permanent);
    assert!(refused(bucket.put(&"n".repeat(NAME_BYTES_MAX + 1), Bytes::new()).await));
    assert!(refused(bucket.put("../a", Bytes::new()).await));
    assert!(refused(bucket.put("a", Bytes::from(vec![0; BLOB_BYTES_MAX + 1])).await));
    assert_eq!(stub.seen().len(), 0);
    bucket.put(&"n".repeat(NAME_BYTES_MAX), Bytes::new()).await.unwrap();
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn a_list_has_all_pages_in_order() {
    let page = |names: &[&str], next: Option<&str>| {
        let contents: String = names.iter().map(|name| format!("<Contents><Key>{name}</Key></Contents>")).collect();
        let next = next.map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>"));
        let truncated = next.is_some();
        let next = next.unwrap_or_default();
        Answer::Http(
            200,
            format!("<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{next}{contents}</ListBucketResult>"),
        )
    };
    let stub = Stub::script([page(&["b", "c"], Some("t1")), page(&["a"], None)]);
    assert_eq!(bucket(&stub).await.list("").await.unwrap(), ["a", "b", "c"]);
    assert!(stub.seen()[1].uri.contains("continuation-token=t1"));
}

#[tokio::test]
async fn a_link_is_signed_here_and_ends() {
    let stub = Stub::new(|_| Answer::Lost);
    let bucket = bucket(&stub).await;
    let link = bucket.link("default/b3", 60_000).await.unwrap().unwrap();
    assert!(link.contains("default/b3?") && link.contains("X-Amz-Expires=60&"), "{link}");
    assert!(!link.contains("secret-credential"));
    assert_eq!(stub.seen().len(), 0);
    for (valid_ms, good) in
        [(0, false), (-1, false), (999, false), (1_000, true), (LINK_MS_MAX, true), (LINK_MS_MAX + 1, false)]
    {
        assert_eq!(bucket.link("a", valid_ms).await.is_ok(), good, "{valid_ms} ms");
    }
}

#[tokio::test]
async fn a_part_is_asked_for_by_its_first_and_last_byte() {
    let part =
        |range: &str, body: &str| Answer::With(206, ("content-range", format!("bytes {range}")), body.to_owned());
    let stub = Stub::script([part("4-6/100", "efg")]);
    assert_eq!(bucket(&stub).await.get_range("a", 4, 3).await, Ok(Some(Bytes::from_static(b"efg"))));
    assert_eq!(stub.seen()[0].range, "bytes=4-6");

    // Past the end, and of an object without a byte, there is nothing; no object is something else.
    let get =
        async |answer: Answer| bucket(&Stub::new(move |_| answer.clone())).await.get_range("a", 4, u64::MAX).await;
    assert_eq!(get(s3_error(416, "InvalidRange")).await, Ok(Some(Bytes::new())));
    assert_eq!(get(s3_error(404, "NoSuchKey")).await, Ok(None));
    assert!(get(s3_error(404, "NoSuchBucket")).await.unwrap_err().is_transient());
    assert!(get(s3_error(503, "SlowDown")).await.unwrap_err().is_transient());
    // A store that does not know ranges answers with everything.
    assert_eq!(get(Answer::Http(200, "abcdef".to_owned())).await, Ok(Some(Bytes::from_static(b"ef"))));
}

#[tokio::test]
async fn a_length_is_read_without_the_object() {
    let answer = |status, bytes: u64| Answer::With(status, ("content-length", bytes.to_string()), String::new());
    let stub = Stub::script([answer(200, 12_345), answer(404, 0), answer(200, 7), answer(404, 0), answer(403, 0)]);
    let bucket = bucket(&stub).await;
    assert_eq!(bucket.length("a").await, Ok(Some(12_345)));
    assert_eq!(bucket.length("a").await, Ok(None));
    // No range can say "nothing": only whether the object is there is asked.
    assert_eq!(bucket.get_range("a", 3, 0).await, Ok(Some(Bytes::new())));
    assert_eq!(bucket.get_range("a", 3, 0).await, Ok(None));
    assert!(bucket.length("a").await.is_err());
    assert!(stub.seen().iter().all(|seen| seen.method == "HEAD" && seen.range.is_empty()));
}
