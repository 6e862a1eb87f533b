//! What keeps data: encrypted, private, recoverable, and not deleted with the stack.

use serde_json::{Value, json};

use super::stack::{Resource, Stack, list, named};

/// The bucket that may go with the stack: agents' binaries can be put there again.
const GOES_WITH_THE_STACK: &[&str] = &["Downloads"];

fn expect(complaints: &mut Vec<String>, resource: &Resource<'_>, path: &str, wanted: &Value) {
    let found = resource.at(path);
    if found != wanted {
        complaints.push(format!("{}{path}: {found}, not {wanted}", resource.id));
    }
}

fn is_kept(complaints: &mut Vec<String>, resource: &Resource<'_>) {
    // The second keeps it as well, but for a stack that could not be made at all.
    let kept = ["Retain", "RetainExceptOnCreate"].iter().any(|policy| resource.body["DeletionPolicy"] == *policy);
    if !kept || resource.body["UpdateReplacePolicy"] != "Retain" {
        complaints.push(format!("{}: is deleted with the stack", resource.id));
    }
}

pub(super) fn tables_are_kept_and_recoverable(stack: &Stack) -> Vec<String> {
    let mut complaints = Vec::new();
    for table in stack.of("AWS::DynamoDB::Table") {
        is_kept(&mut complaints, &table);
        expect(&mut complaints, &table, "/PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled", &json!(true));
        expect(&mut complaints, &table, "/SSESpecification/SSEEnabled", &json!(true));
        expect(&mut complaints, &table, "/BillingMode", &json!("PAY_PER_REQUEST"));
        expect(
            &mut complaints,
            &table,
            "/KeySchema",
            &json!([{ "AttributeName": "pk", "KeyType": "HASH" }, { "AttributeName": "sk", "KeyType": "RANGE" }]),
        );
    }
    for (id, path, wanted) in [
        ("Table", "/TimeToLiveSpecification", json!({ "AttributeName": "exp", "Enabled": true })),
        ("Table", "/StreamSpecification", Value::Null),
        ("ManifestTable", "/StreamSpecification", json!({ "StreamViewType": "KEYS_ONLY" })),
    ] {
        let body = &stack.0["Resources"][id];
        expect(&mut complaints, &Resource { id, kind: "", body }, path, &wanted);
    }
    complaints
}

pub(super) fn buckets_are_private_and_kept(stack: &Stack) -> Vec<String> {
    let mut complaints = Vec::new();
    for bucket in stack.of("AWS::S3::Bucket") {
        for block in ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"] {
            expect(&mut complaints, &bucket, &format!("/PublicAccessBlockConfiguration/{block}"), &json!(true));
        }
        expect(
            &mut complaints,
            &bucket,
            "/BucketEncryption/ServerSideEncryptionConfiguration/0/ServerSideEncryptionByDefault/SSEAlgorithm",
            &json!("AES256"),
        );
        expect(&mut complaints, &bucket, "/OwnershipControls/Rules/0/ObjectOwnership", &json!("BucketOwnerEnforced"));
        if !GOES_WITH_THE_STACK.contains(&bucket.id) {
            is_kept(&mut complaints, &bucket);
        }
        // An expiry would delete data that somebody was told is stored.
        for rule in list(bucket.at("/LifecycleConfiguration/Rules")) {
            if ["ExpirationInDays", "ExpirationDate"].iter().any(|expiry| !rule[expiry].is_null()) {
                complaints.push(format!("{}: objects expire", bucket.id));
            }
        }
    }
    complaints
}

pub(super) fn the_stream_is_encrypted_and_long(stack: &Stack) -> Vec<String> {
    let mut complaints = Vec::new();
    for stream in stack.of("AWS::Kinesis::Stream") {
        expect(&mut complaints, &stream, "/StreamEncryption/EncryptionType", &json!("KMS"));
        expect(&mut complaints, &stream, "/RetentionPeriodHours", &json!(24));
        expect(&mut complaints, &stream, "/ShardCount", &json!({ "Ref": "ShardCount" }));
    }
    complaints
}

pub(super) fn topics_are_signed_and_encrypted(stack: &Stack) -> Vec<String> {
    let mut complaints = Vec::new();
    for topic in stack.of("AWS::SNS::Topic") {
        expect(&mut complaints, &topic, "/SignatureVersion", &json!("2"));
        // AWS's own key would refuse CloudWatch's alarms.
        expect(&mut complaints, &topic, "/KmsMasterKeyId", &json!({ "Ref": "TopicKey" }));
    }
    for key in stack.of("AWS::KMS::Key") {
        expect(&mut complaints, &key, "/EnableKeyRotation", &json!(true));
    }
    for log in stack.of("AWS::Logs::LogGroup") {
        if !log.at("/RetentionInDays").is_i64() {
            complaints.push(format!("{}: is kept for ever", log.id));
        }
    }
    complaints
}

/// Where queues are named as the end of something that failed.
fn dead_letter_targets(stack: &Stack) -> Vec<&str> {
    let mut found = Vec::new();
    for resource in stack.resources() {
        let targets = list(resource.at("/Targets"));
        found.extend(targets.into_iter().filter_map(|target| named(&target["DeadLetterConfig"]["Arn"])));
        for path in ["/RedrivePolicy/deadLetterTargetArn", "/DestinationConfig/OnFailure/Destination"] {
            found.extend(named(resource.at(path)));
        }
    }
    found
}

pub(super) fn every_queue_has_an_end(stack: &Stack) -> Vec<String> {
    let mut complaints = Vec::new();
    let dead = dead_letter_targets(stack);
    for queue in stack.of("AWS::SQS::Queue") {
        expect(&mut complaints, &queue, "/SqsManagedSseEnabled", &json!(true));
        let redriven = named(queue.at("/RedrivePolicy/deadLetterTargetArn"));
        if redriven.is_none() && !dead.contains(&queue.id) {
            complaints.push(format!("{}: has no dead letter queue, and is none", queue.id));
        }
        let watched = stack.of("AWS::CloudWatch::Alarm").any(|alarm| {
            alarm.at("/MetricName") == "ApproximateNumberOfMessagesVisible"
                && named(alarm.at("/Dimensions/0/Value")) == Some(queue.id)
        });
        if dead.contains(&queue.id) && !watched {
            complaints.push(format!("{}: dead letters that nobody hears of", queue.id));
        }
    }
    for subscription in stack.of("AWS::SNS::Subscription") {
        if named(subscription.at("/RedrivePolicy/deadLetterTargetArn")).is_none() {
            complaints.push(format!("{}: what is not taken is gone", subscription.id));
        }
    }
    complaints
}
