//! What wakes which function and what happens when it fails; routes, alarms, names that others use.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::stack::{Stack, list, named};

/// What a mapping of a stream has to say: (mapping, property, value).
fn failure_options() -> Vec<(&'static str, &'static str, Value)> {
    let to = |target: &str| json!({ "Fn::GetAtt": [target, "Arn"] });
    vec![
        // May never skip what was acknowledged.
        ("AggregateStream", "/MaximumRetryAttempts", json!(-1)),
        ("AggregateStream", "/MaximumRecordAgeInSeconds", json!(64_800)),
        ("AggregateStream", "/BisectBatchOnFunctionError", json!(true)),
        ("AggregateStream", "/MaximumBatchingWindowInSeconds", json!({ "Ref": "FreshnessSeconds" })),
        ("AggregateStream", "/DestinationConfig/OnFailure/Destination", to("Failed")),
        // Lossy by design.
        ("BroadcastStream", "/MaximumRetryAttempts", json!(1)),
        ("BroadcastStream", "/MaximumRecordAgeInSeconds", json!(60)),
        ("BroadcastStream", "/BisectBatchOnFunctionError", json!(false)),
        ("BroadcastStream", "/MaximumBatchingWindowInSeconds", json!(0)),
        ("BroadcastStream", "/DestinationConfig/OnFailure/Destination", Value::Null),
        ("EvaluateStream", "/MaximumRetryAttempts", json!(-1)),
        ("EvaluateStream", "/MaximumRecordAgeInSeconds", json!(3_600)),
        ("EvaluateStream", "/BisectBatchOnFunctionError", json!(true)),
        ("EvaluateStream", "/MaximumBatchingWindowInSeconds", json!(0)),
        ("EvaluateStream", "/DestinationConfig/OnFailure/Destination", to("EvaluateDead")),
        ("EvaluateChanges", "/MaximumRetryAttempts", json!(10)),
        ("EvaluateChanges", "/MaximumRecordAgeInSeconds", json!(3_600)),
        ("EvaluateChanges", "/BisectBatchOnFunctionError", json!(true)),
        ("EvaluateChanges", "/MaximumBatchingWindowInSeconds", json!(0)),
        ("EvaluateChanges", "/DestinationConfig/OnFailure/Destination", to("EvaluateDead")),
    ]
}

pub(super) fn every_mapping_says_what_happens_on_failure(stack: &Stack) -> Vec<String> {
    let mut complaints = Vec::new();
    let options = failure_options();
    for mapping in stack.of("AWS::Lambda::EventSourceMapping") {
        let mut expect = |path: &str, wanted: &Value| {
            let found = mapping.at(path);
            if found != wanted {
                complaints.push(format!("{}{path}: {found}, not {wanted}", mapping.id));
            }
        };
        expect("/FunctionResponseTypes", &json!(["ReportBatchItemFailures"]));
        let known: Vec<_> = options.iter().filter(|(id, ..)| *id == mapping.id).collect();
        for (_, path, wanted) in &known {
            expect(path, wanted);
        }
        if stack.kind(named(mapping.at("/EventSourceArn")).unwrap_or_default()) == "AWS::SQS::Queue" {
            complaints.extend(queue_suits_its_function(
                stack,
                mapping.at("/EventSourceArn"),
                mapping.at("/FunctionName"),
            ));
        } else {
            // The latest misses what is written while the mapping is made.
            expect("/StartingPosition", &json!("TRIM_HORIZON"));
            if known.is_empty() {
                complaints.push(format!("{}: nobody has decided what it does on failure", mapping.id));
            }
        }
    }
    let ids: BTreeSet<&str> = stack.of("AWS::Lambda::EventSourceMapping").map(|each| each.id).collect();
    let missing = options.iter().map(|(id, ..)| *id).filter(|id| !ids.contains(id)).collect::<BTreeSet<_>>();
    complaints.extend(missing.into_iter().map(|id| format!("{id}: is not there")));
    complaints
}

/// A message must not come back while the function still works on it; AWS asks for six timeouts.
fn queue_suits_its_function(stack: &Stack, queue: &Value, function: &Value) -> Option<String> {
    let queue = named(queue)?;
    let seconds = |id: &str, name: &str| stack.properties(id)[name].as_i64().unwrap_or_default();
    let (hidden, timeout) = (seconds(queue, "VisibilityTimeout"), seconds(named(function)?, "Timeout"));
    (hidden < 6 * timeout).then(|| format!("{queue}: hidden for {hidden} s, while its function may run {timeout} s"))
}

pub(super) fn every_tick_has_an_end(stack: &Stack) -> Vec<String> {
    let mut complaints = Vec::new();
    let caught = |function: &str| {
        stack.of("AWS::Lambda::EventInvokeConfig").any(|config| {
            named(config.at("/FunctionName")) == Some(function)
                && named(config.at("/DestinationConfig/OnFailure/Destination")).is_some()
        })
    };
    let mut ticked = BTreeSet::new();
    for rule in stack.of("AWS::Events::Rule") {
        for target in list(rule.at("/Targets")) {
            let function = named(&target["Arn"]).unwrap_or_default();
            ticked.insert(function.to_owned());
            if named(&target["DeadLetterConfig"]["Arn"]).is_none() || target["RetryPolicy"].is_null() {
                complaints.push(format!("{}: a tick that does not arrive is gone", rule.id));
            }
            if !caught(function) {
                complaints.push(format!("{function}: a tick that fails is gone"));
            }
        }
    }
    let wanted = BTreeSet::from(["Aggregate".to_owned(), "EvaluateAlerts".to_owned()]);
    if ticked != wanted {
        complaints.push(format!("ticks go to {ticked:?}, not {wanted:?}"));
    }
    complaints
}

pub(super) fn routes_are_those_of_the_contract(stack: &Stack) -> Vec<String> {
    let wanted: BTreeMap<(&str, &str), &str> = [
        (("WebsocketApi", "$connect"), "WsConnect"),
        (("WebsocketApi", "$disconnect"), "WsConnect"),
        (("WebsocketApi", "$default"), "WsConnect"),
        (("WebsocketApi", "hello"), "WsConnect"),
        (("WebsocketApi", "bye"), "WsConnect"),
        (("WebsocketApi", "subscribe"), "WsConnect"),
        (("WebsocketApi", "unsubscribe"), "WsConnect"),
        (("WebsocketApi", "ping"), "WsConnect"),
        (("WebsocketApi", "batch"), "Ingest"),
        (("WebsocketApi", "heartbeat"), "Ingest"),
        (("HttpApi", "$default"), "Query"),
        (("HttpApi", "POST /graphite"), "Ingest"),
        (("HttpApi", "POST /api/v1/checks"), "Ingest"),
        (("HttpApi", "POST /api/v1/write"), "Ingest"),
        (("HttpApi", "POST /v1/metrics"), "Ingest"),
    ]
    .into();
    let mut complaints = Vec::new();
    let mut found = BTreeMap::new();
    for route in stack.of("AWS::ApiGatewayV2::Route") {
        let key = route.at("/RouteKey").as_str().unwrap_or_default();
        let api = named(route.at("/ApiId")).unwrap_or_default();
        let integration = stack.properties(named(route.at("/Target")).unwrap_or_default());
        found.insert((api, key), named(&integration["IntegrationUri"]).unwrap_or_default());
        // A connection is authorized once, for its life; functions check keys of everything else.
        let authorized = if key == "$connect" { "CUSTOM" } else { "NONE" };
        if route.at("/AuthorizationType") != authorized {
            complaints.push(format!("{key}: authorization is not {authorized}"));
        }
    }
    if found != wanted {
        complaints.push(format!("routes are {found:?}, not {wanted:?}"));
    }
    for authorizer in stack.of("AWS::ApiGatewayV2::Authorizer") {
        if authorizer.at("/IdentitySource") != &json!([]) {
            complaints.push(format!("{}: refuses who shows a key another way", authorizer.id));
        }
    }
    for stage in stack.of("AWS::ApiGatewayV2::Stage") {
        if stage.at("/AutoDeploy") != &json!(true) {
            complaints.push(format!("{}: does not deploy itself", stage.id));
        }
        let logged = stage.at("/AccessLogSettings").to_string();
        if ["query", "$context.authorizer", "$input", "authorization"].iter().any(|word| logged.contains(word)) {
            complaints.push(format!("{}: its log may show tickets or keys", stage.id));
        }
    }
    // No emulator knows them.
    for kind in ["AWS::ApiGatewayV2::Deployment", "AWS::ApiGatewayV2::RouteResponse"] {
        complaints.extend(stack.of(kind).map(|each| format!("{}: {kind}", each.id)));
    }
    complaints
}

pub(super) fn alarms_wake_people(stack: &Stack) -> Vec<String> {
    let mut complaints = Vec::new();
    for alarm in stack.of("AWS::CloudWatch::Alarm") {
        for actions in ["/AlarmActions", "/OKActions"] {
            if !list(alarm.at(actions)).iter().any(|action| named(action) == Some("PagerTopic")) {
                complaints.push(format!("{}{actions}: not the pager's topic", alarm.id));
            }
        }
    }
    let metric = |wanted: &str, of: &str, threshold: Option<i64>| {
        stack.of("AWS::CloudWatch::Alarm").any(|alarm| {
            let plain = alarm.at("/MetricName") == wanted && named(alarm.at("/Dimensions/0/Value")) == Some(of);
            let math = list(alarm.at("/Metrics")).iter().any(|each| {
                let metric = &each["MetricStat"]["Metric"];
                metric["MetricName"] == wanted && named(&metric["Dimensions"][0]["Value"]) == Some(of)
            });
            (plain || math) && threshold.is_none_or(|bound| alarm.at("/Threshold").as_i64() == Some(bound))
        })
    };
    let mut wanted = vec![
        ("IteratorAge", "Aggregate", Some(60_000)),
        ("IteratorAge", "Aggregate", Some(300_000)),
        ("IteratorAge", "EvaluateAlerts", Some(60_000)),
        ("OnFailureDestinationDeliveredEventCount", "AggregateStream", Some(0)),
        ("Invocations", "EvaluateAlerts", Some(1)),
        ("IncomingBytes", "Stream", None),
    ];
    wanted.extend(stack.functions().map(|function| ("Errors", function.id, Some(0))));
    for (name, of, threshold) in wanted {
        if !metric(name, of, threshold) {
            complaints.push(format!("no alarm on {name} of {of}"));
        }
    }
    complaints
}

/// Each function's `main.rs`, where it lists the variables that it reads.
const MAINS: &[(&str, &str)] = &[
    ("Ingest", include_str!("../../../functions/ingest/src/main.rs")),
    ("WsConnect", include_str!("../../../functions/ws-connect/src/main.rs")),
    ("Aggregate", include_str!("../../../functions/aggregate/src/main.rs")),
    ("EvaluateAlerts", include_str!("../../../functions/evaluate-alerts/src/main.rs")),
    ("Broadcast", include_str!("../../../functions/broadcast/src/main.rs")),
    ("Query", include_str!("../../../functions/query/src/main.rs")),
];

/// `Variable::BlobsBucket` in the list `NEEDED` of a `main.rs` is `DAYWATCH_BLOBS_BUCKET`.
fn needed(main: &str) -> BTreeSet<String> {
    let list = main.split("NEEDED: ").nth(1).and_then(|rest| rest.split("];").next()).unwrap_or_default();
    let names = list.split("Variable::").skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next());
    let spelled = |name: &str| {
        name.chars().fold("DAYWATCH".to_owned(), |mut text, c| {
            if c.is_uppercase() {
                text.push('_');
            }
            text.push(c.to_ascii_uppercase());
            text
        })
    };
    names.flatten().map(spelled).collect()
}

pub(super) fn functions_are_told_what_they_read(stack: &Stack) -> Vec<String> {
    let mut complaints = Vec::new();
    for function in stack.functions() {
        let told = function.at("/Environment/Variables").as_object();
        let told: BTreeSet<String> = told.into_iter().flatten().map(|(name, _)| name.clone()).collect();
        match MAINS.iter().find(|(id, _)| *id == function.id) {
            Some((_, main)) if needed(main) == told => {}
            Some((_, main)) => {
                complaints.push(format!("{}: is told {told:?} and reads {:?}", function.id, needed(main)))
            }
            None => complaints.push(format!("{}: none of the six", function.id)),
        }
        let log = named(function.at("/LoggingConfig/LogGroup")).unwrap_or_default();
        if stack.kind(log) != "AWS::Logs::LogGroup" {
            complaints.push(format!("{}: logs where nobody set an end", function.id));
        }
        if function.at("/Timeout").as_i64().is_none_or(|seconds| seconds > 300) {
            complaints.push(format!("{}: may run for more than five minutes", function.id));
        }
    }
    if stack.functions().count() != MAINS.len() {
        complaints.push(format!("{} functions, not {}", stack.functions().count(), MAINS.len()));
    }
    complaints
}

/// Users' scripts say these.
pub(super) fn names_are_those_of_the_contract(stack: &Stack) -> Vec<String> {
    let names = |section: &str| stack.0[section].as_object().map(|map| map.keys().cloned().collect::<BTreeSet<_>>());
    let mut complaints = Vec::new();
    for (section, wanted) in [
        (
            "Parameters",
            vec![
                "PagerUrl",
                "MailAddress",
                "ShardCount",
                "FreshnessSeconds",
                "RawRetentionDays",
                "FiveMinutesRetentionDays",
                "HoursRetentionDays",
                "Architecture",
                "AccessLogs",
                "EmulatorAddress",
            ],
        ),
        (
            "Outputs",
            vec![
                "ApiUrl",
                "WebsocketUrl",
                "PagerTopicArn",
                "MailTopicArn",
                "TableName",
                "ManifestTableName",
                "StreamName",
                "BlobsBucket",
                "FailedBucket",
                "DownloadsBucket",
                "TimerQueueUrl",
                "Tenant",
            ],
        ),
    ] {
        let wanted: BTreeSet<String> = wanted.into_iter().map(str::to_owned).collect();
        if names(section).as_ref() != Some(&wanted) {
            complaints.push(format!("{section}: {:?}, not {wanted:?}", names(section).unwrap_or_default()));
        }
    }
    for (id, parameter) in stack.0["Parameters"].as_object().into_iter().flatten() {
        if parameter["Default"].is_null() || parameter["Description"].is_null() {
            complaints.push(format!("{id}: needs a default and a description"));
        }
    }
    // A name of ours would stand in the way of a second stack, or of this one's next attempt.
    for resource in stack.resources() {
        for name in [
            "FunctionName",
            "TableName",
            "BucketName",
            "QueueName",
            "TopicName",
            "RoleName",
            "AlarmName",
            "LogGroupName",
        ] {
            let chosen = matches!(resource.at(&format!("/{name}")), Value::String(_));
            if chosen {
                complaints.push(format!("{}: has a name of our choosing", resource.id));
            }
        }
    }
    complaints
}
