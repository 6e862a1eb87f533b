//! What must hold for `infra/template.yaml`, whatever is added to it.
//!
//! A rule is a function from the template to complaints. It is asked about the file as it stands and
//! as SAM transforms it, and each rule is shown to refuse broken copies, so that none of them is a
//! rule that cannot fail. The linter's own rules run in `scripts/cloud-lint.sh`.

mod gateway;
mod read;
mod rights;
mod stack;
mod storage;
mod wiring;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use stack::Stack;

type Rule = fn(&Stack) -> Vec<String>;

const RULES: &[(&str, Rule)] = &[
    ("no star is allowed", rights::no_star_is_allowed),
    ("services come from this account", rights::services_come_from_this_account),
    ("each function has its own role", rights::each_function_has_its_own_role),
    ("roles fit what functions are told", rights::roles_fit_what_functions_are_told),
    ("everything is reached by TLS only", rights::everything_is_reached_by_tls_only),
    ("tables are kept and recoverable", storage::tables_are_kept_and_recoverable),
    ("buckets are private and kept", storage::buckets_are_private_and_kept),
    ("the stream is encrypted and long", storage::the_stream_is_encrypted_and_long),
    ("topics are signed and encrypted", storage::topics_are_signed_and_encrypted),
    ("every queue has an end", storage::every_queue_has_an_end),
    ("every mapping says what happens on failure", wiring::every_mapping_says_what_happens_on_failure),
    ("every tick has an end", wiring::every_tick_has_an_end),
    ("routes are those of the contract", wiring::routes_are_those_of_the_contract),
    ("alarms wake people", wiring::alarms_wake_people),
    ("functions are told what they read", wiring::functions_are_told_what_they_read),
    ("names are those of the contract", wiring::names_are_those_of_the_contract),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the repository")
}

fn template() -> Stack {
    let text = std::fs::read_to_string(root().join("infra/template.yaml")).expect("the template is there");
    Stack(read::yaml(&text).expect("the template is YAML without anchors"))
}

fn complaints(stack: &Stack) -> Vec<String> {
    RULES.iter().flat_map(|(name, rule)| rule(stack).into_iter().map(move |each| format!("{name}: {each}"))).collect()
}

#[test]
fn the_template_keeps_every_rule() {
    let complaints = complaints(&template());
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// The folder of the cloud tools, where `scripts/cloud-tools.sh` has put them.
fn tools() -> Option<String> {
    let answer = Command::new(root().join("scripts/cloud-tools.sh")).arg("--check").output().ok()?;
    answer.status.success().then(|| String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}

#[test]
fn what_sam_makes_of_it_keeps_every_rule() {
    let Some(tools) = tools() else {
        eprintln!("skipped: the cloud tools are not installed; scripts/cloud-tools.sh does it");
        return;
    };
    let answer = Command::new(format!("{tools}/python"))
        .arg(root().join("infra/transform.py"))
        .output()
        .expect("Python of the cloud tools");
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let stack = Stack(serde_json::from_slice(&answer.stdout).expect("JSON"));
    assert_eq!(stack.of("AWS::Serverless::Function").count(), 0);
    let complaints = complaints(&stack);
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn the_linter_has_no_complaint() {
    if tools().is_none() {
        eprintln!("skipped: the cloud tools are not installed; scripts/cloud-tools.sh does it");
        return;
    }
    let answer = Command::new(root().join("scripts/cloud-lint.sh")).output().expect("a shell");
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(answer.status.success(), "\n{}{}", told(&answer.stdout), told(&answer.stderr));
}

/// One change of a copy, by JSON pointer below `Resources` unless it starts with `//`; the rule that
/// has to refuse it.
fn breaks() -> Vec<(&'static str, &'static str, Value)> {
    let statement = |action: &str, resource: Value| json!({ "Sid": "New", "Effect": "Allow", "Action": action, "Resource": resource });
    let table = json!({ "Fn::GetAtt": ["Table", "Arn"] });
    let policy = "/QueryRole/Properties/Policies/0/PolicyDocument/Statement/-";
    vec![
        ("no star is allowed", policy, statement("dynamodb:*", table.clone())),
        ("no star is allowed", policy, statement("*", table.clone())),
        ("no star is allowed", policy, statement("dynamodb:Get*", table.clone())),
        ("no star is allowed", policy, statement("sqs:SendMessage", json!("*"))),
        (
            "no star is allowed",
            policy,
            statement("s3:GetObject", json!({ "Fn::Sub": "arn:aws:s3:::${AWS::StackName}-*/*" })),
        ),
        ("no star is allowed", policy, json!({ "Effect": "Allow", "NotAction": "iam:*", "Resource": table })),
        ("no star is allowed", "/BlobsPolicy/Properties/PolicyDocument/Statement/0/Effect", json!("Allow")),
        ("no star is allowed", "/TopicKey/Properties/KeyPolicy/Statement/0/Principal", json!("*")),
        (
            "services come from this account",
            "/PagerTopicPolicy/Properties/PolicyDocument/Statement/1/Condition",
            json!({}),
        ),
        ("services come from this account", "/QueryMay/Properties/SourceArn", Value::Null),
        ("each function has its own role", "/Query/Properties/Role", json!({ "Fn::GetAtt": ["IngestRole", "Arn"] })),
        ("each function has its own role", "/Query/Properties/Policies", json!(["AmazonS3FullAccess"])),
        ("each function has its own role", "/Query/Properties/Events", json!({ "Get": { "Type": "HttpApi" } })),
        (
            "each function has its own role",
            "/QueryRole/Properties/ManagedPolicyArns",
            json!(["arn:aws:iam::aws:policy/x"]),
        ),
        (
            "roles fit what functions are told",
            "/Query/Properties/Environment/Variables/DAYWATCH_STREAM",
            json!({ "Ref": "Stream" }),
        ),
        (
            "roles fit what functions are told",
            policy,
            statement("kinesis:PutRecords", json!({ "Fn::GetAtt": ["Stream", "Arn"] })),
        ),
        (
            "everything is reached by TLS only",
            "/FailedPolicy/Properties/PolicyDocument/Statement/0/Effect",
            json!("Allow"),
        ),
        ("everything is reached by TLS only", "/FailedPolicy/Properties/Bucket", json!({ "Ref": "Blobs" })),
        (
            "everything is reached by TLS only",
            "/MailDeadPolicy/Properties/PolicyDocument/Statement/0/Condition",
            json!({}),
        ),
        (
            "everything is reached by TLS only",
            "/MailTopicPolicy/Properties/PolicyDocument/Statement/0/Principal",
            json!("x"),
        ),
        ("tables are kept and recoverable", "/Table/DeletionPolicy", json!("Delete")),
        ("tables are kept and recoverable", "/ManifestTable/UpdateReplacePolicy", Value::Null),
        ("tables are kept and recoverable", "/Table/Properties/PointInTimeRecoverySpecification", Value::Null),
        ("tables are kept and recoverable", "/ManifestTable/Properties/SSESpecification/SSEEnabled", json!(false)),
        ("tables are kept and recoverable", "/Table/Properties/TimeToLiveSpecification/AttributeName", json!("ttl")),
        ("tables are kept and recoverable", "/ManifestTable/Properties/StreamSpecification", Value::Null),
        ("buckets are private and kept", "/Blobs/DeletionPolicy", json!("Delete")),
        (
            "buckets are private and kept",
            "/Downloads/Properties/PublicAccessBlockConfiguration/BlockPublicPolicy",
            json!(false),
        ),
        ("buckets are private and kept", "/Failed/Properties/BucketEncryption", Value::Null),
        (
            "buckets are private and kept",
            "/Failed/Properties/LifecycleConfiguration/Rules/0/ExpirationInDays",
            json!(7),
        ),
        ("the stream is encrypted and long", "/Stream/Properties/StreamEncryption", Value::Null),
        ("the stream is encrypted and long", "/Stream/Properties/RetentionPeriodHours", json!(12)),
        ("topics are signed and encrypted", "/PagerTopic/Properties/SignatureVersion", json!("1")),
        ("topics are signed and encrypted", "/MailTopic/Properties/KmsMasterKeyId", Value::Null),
        ("topics are signed and encrypted", "/QueryLog/Properties/RetentionInDays", Value::Null),
        ("every queue has an end", "/Timers/Properties/RedrivePolicy", Value::Null),
        ("every queue has an end", "/TicksDead/Properties/SqsManagedSseEnabled", json!(false)),
        ("every queue has an end", "/PagerSubscription/Properties/RedrivePolicy", Value::Null),
        ("every queue has an end", "/MailDeadLetters/Properties/MetricName", json!("NumberOfMessagesSent")),
        (
            "every queue has an end",
            "/New",
            json!({ "Type": "AWS::SQS::Queue", "Properties": { "SqsManagedSseEnabled": true } }),
        ),
        ("every mapping says what happens on failure", "/AggregateStream/Properties/MaximumRetryAttempts", json!(10)),
        (
            "every mapping says what happens on failure",
            "/AggregateStream/Properties/FunctionResponseTypes",
            Value::Null,
        ),
        ("every mapping says what happens on failure", "/AggregateStream/Properties/DestinationConfig", Value::Null),
        (
            "every mapping says what happens on failure",
            "/BroadcastStream/Properties/MaximumRecordAgeInSeconds",
            json!(-1),
        ),
        ("every mapping says what happens on failure", "/EvaluateStream/Properties/StartingPosition", json!("LATEST")),
        ("every mapping says what happens on failure", "/EvaluateChanges", Value::Null),
        ("every mapping says what happens on failure", "/Timers/Properties/VisibilityTimeout", json!(359)),
        (
            "every mapping says what happens on failure",
            "/New",
            json!({ "Type": "AWS::Lambda::EventSourceMapping", "Properties": {
                "EventSourceArn": { "Fn::GetAtt": ["Stream", "Arn"] }, "StartingPosition": "TRIM_HORIZON",
                "FunctionResponseTypes": ["ReportBatchItemFailures"] } }),
        ),
        ("every tick has an end", "/AggregateTick/Properties/Targets/0/DeadLetterConfig", Value::Null),
        ("every tick has an end", "/EvaluateTickFailed/Properties/DestinationConfig", Value::Null),
        (
            "routes are those of the contract",
            "/BatchRoute/Properties/Target",
            json!({ "Fn::Sub": "integrations/${WsConnectIntegration}" }),
        ),
        ("routes are those of the contract", "/ConnectRoute/Properties/AuthorizationType", json!("NONE")),
        (
            "routes are those of the contract",
            "/Authorizer/Properties/IdentitySource",
            json!(["route.request.header.Authorization"]),
        ),
        ("routes are those of the contract", "/HttpStage/Properties/AutoDeploy", json!(false)),
        (
            "routes are those of the contract",
            "/HttpStage/Properties/AccessLogSettings/Fn::If/1/Format",
            json!("$context.queryString"),
        ),
        ("alarms wake people", "/AggregateBehind/Properties/AlarmActions", json!([{ "Ref": "MailTopic" }])),
        ("alarms wake people", "/AggregateFarBehind/Properties/Threshold", json!(600_000)),
        ("alarms wake people", "/QueryErrors", Value::Null),
        ("functions are told what they read", "/Query/Properties/Environment/Variables/DAYWATCH_TABEL", json!("x")),
        (
            "functions are told what they read",
            "/Ingest/Properties/Environment/Variables/DAYWATCH_RAW_RETENTION_DAYS",
            Value::Null,
        ),
        ("functions are told what they read", "/Query/Properties/LoggingConfig", Value::Null),
        ("names are those of the contract", "//Outputs/ApiURL", json!({})),
        ("names are those of the contract", "//Parameters/ShardCount/Default", Value::Null),
        ("names are those of the contract", "/Table/Properties/TableName", json!("daywatch")),
    ]
}

/// Sets, appends (`-` at the end) or, with null, removes.
fn set(stack: &mut Stack, pointer: &str, value: Value) {
    let pointer = pointer
        .strip_prefix('/')
        .filter(|rest| rest.starts_with('/'))
        .map_or_else(|| format!("/Resources{pointer}"), str::to_owned);
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer");
    match stack.0.pointer_mut(parent) {
        Some(Value::Array(list)) if last == "-" => list.push(value),
        Some(Value::Array(list)) => list[last.parse::<usize>().expect("an index")] = value,
        Some(Value::Object(map)) if value.is_null() => assert!(map.remove(last).is_some(), "{pointer} is not there"),
        Some(Value::Object(map)) => drop(map.insert(last.to_owned(), value)),
        _ => panic!("{parent} is not there"),
    }
}

#[test]
fn each_rule_refuses_broken_copies() {
    let whole = template();
    for (name, pointer, value) in breaks() {
        let mut broken = whole.clone();
        set(&mut broken, pointer, value.clone());
        let (_, rule) = RULES.iter().find(|(known, _)| *known == name).expect("a rule of that name");
        assert!(!rule(&broken).is_empty(), "{name} takes {pointer} = {value}");
    }
    let controlled: Vec<&str> = breaks().iter().map(|(name, ..)| *name).collect();
    for (name, _) in RULES {
        assert!(controlled.contains(name), "{name} is shown no broken copy");
    }
}
