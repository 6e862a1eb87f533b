//! Who may do what: no star but where AWS knows no finer, one role a function, TLS only.

use serde_json::Value;

use super::stack::{Stack, list, named};

/// Statements that may carry a star, each with the reason.
const STARS: &[(&str, &str)] = &[
    // In a key's own policy `*` means this key; there is no other way to write it. Without all rights
    // for the account's root a key whose policy has a mistake could never be repaired.
    ("TopicKey.AccountOwnsTheKey", "kms:* on the key itself, for the account's root"),
    ("TopicKey.AlarmsPublish", "on the key itself"),
];

/// Where a star at the end is part of a name, not of a right: objects of one bucket, connections of
/// one stage. Anything else ends without one.
fn is_inside_one(resource: &Value) -> bool {
    let Some(text) = resource["Fn::Sub"].as_str() else { return false };
    let objects = text.strip_suffix(".Arn}/*").is_some_and(|start| start.starts_with("${"));
    objects || text.ends_with("${WebsocketApi}/live/*/@connections/*")
}

pub(super) fn no_star_is_allowed(stack: &Stack) -> Vec<String> {
    let mut complaints = Vec::new();
    for (place, statement) in stack.statements() {
        if statement["Effect"] != "Allow" {
            continue;
        }
        let excused = STARS.iter().any(|(known, _)| *known == place);
        for action in list(&statement["Action"]) {
            if !excused && action.as_str().is_none_or(|action| action.contains('*')) {
                complaints.push(format!("{place}: action {action}"));
            }
        }
        for resource in list(&statement["Resource"]) {
            let text = resource.as_str().or(resource["Fn::Sub"].as_str()).unwrap_or_default();
            if !excused && text.contains('*') && !is_inside_one(resource) {
                complaints.push(format!("{place}: resource {text}"));
            }
        }
        if statement["Principal"] == "*" || list(&statement["Principal"]["AWS"]).iter().any(|each| *each == "*") {
            complaints.push(format!("{place}: anybody"));
        }
        for forbidden in ["NotAction", "NotResource", "NotPrincipal"] {
            if !statement[forbidden].is_null() {
                complaints.push(format!("{place}: {forbidden} allows whatever comes later"));
            }
        }
    }
    complaints
}

/// A service that is let in from outside is let in for one source of ours.
pub(super) fn services_come_from_this_account(stack: &Stack) -> Vec<String> {
    let from_policies = stack
        .statements()
        .into_iter()
        .filter(|(_, statement)| statement["Effect"] == "Allow" && !statement["Principal"]["Service"].is_null())
        .filter(|(_, statement)| {
            let condition = statement["Condition"].to_string();
            !condition.contains("aws:SourceArn") && !condition.contains("aws:SourceAccount")
        })
        .map(|(place, _)| format!("{place}: a service without a source"));
    let from_permissions = stack
        .of("AWS::Lambda::Permission")
        .filter(|permission| permission.at("/SourceArn").is_null())
        .map(|permission| format!("{}: may be called from every account", permission.id));
    from_policies.chain(from_permissions).collect()
}

pub(super) fn each_function_has_its_own_role(stack: &Stack) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut used = Vec::new();
    for function in stack.functions() {
        match named(function.at("/Role")) {
            Some(role) if used.contains(&role) => complaints.push(format!("{}: shares {role}", function.id)),
            Some(role) if stack.kind(role) == "AWS::IAM::Role" => used.push(role),
            _ => complaints.push(format!("{}: no role of this template", function.id)),
        }
        for sam in ["Policies", "Events", "FunctionUrlConfig"] {
            if !function.at(&format!("/{sam}")).is_null() {
                complaints.push(format!("{}: {sam} is left to SAM; write the resource", function.id));
            }
        }
    }
    for role in stack.of("AWS::IAM::Role") {
        if !used.contains(&role.id) {
            complaints.push(format!("{}: no function's role", role.id));
        }
        if !role.at("/ManagedPolicyArns").is_null() {
            complaints.push(format!("{}: somebody else's policy", role.id));
        }
    }
    complaints
}

/// What a function is told to use is what its role lets it use, and the other way round.
pub(super) fn roles_fit_what_functions_are_told(stack: &Stack) -> Vec<String> {
    // Variable, resource, a right that it stands for. The streams are read by mappings, so only
    // writing is a matter of the environment.
    const RIGHTS: &[(&str, &str, &str)] = &[
        ("DAYWATCH_TABLE", "Table", "dynamodb:PutItem"),
        ("DAYWATCH_MANIFEST_TABLE", "ManifestTable", "dynamodb:Query"),
        ("DAYWATCH_STREAM", "Stream", "kinesis:PutRecords"),
        ("DAYWATCH_BLOBS_BUCKET", "Blobs", "s3:GetObject"),
        ("DAYWATCH_FAILED_BUCKET", "Failed", "s3:GetObject"),
        ("DAYWATCH_DOWNLOADS_BUCKET", "Downloads", "s3:GetObject"),
        ("DAYWATCH_PAGER_TOPIC_ARN", "PagerTopic", "sns:Publish"),
        ("DAYWATCH_MAIL_TOPIC_ARN", "MailTopic", "sns:Publish"),
        ("DAYWATCH_TIMER_QUEUE_URL", "Timers", "sqs:SendMessage"),
        ("DAYWATCH_WEBSOCKET_API_ENDPOINT", "WebsocketApi", "execute-api:ManageConnections"),
    ];
    let mut complaints = Vec::new();
    for function in stack.functions() {
        let role = named(function.at("/Role")).unwrap_or_default();
        let granted = |resource: &str, right: &str| {
            let policies = list(&stack.properties(role)["Policies"]);
            policies.into_iter().flat_map(|policy| list(&policy["PolicyDocument"]["Statement"])).any(|statement| {
                list(&statement["Action"]).iter().any(|action| *action == right)
                    && list(&statement["Resource"]).iter().any(|each| named(each) == Some(resource))
            })
        };
        for (variable, resource, right) in RIGHTS {
            let told = !function.at(&format!("/Environment/Variables/{variable}")).is_null();
            match (told, granted(resource, right)) {
                (true, false) => complaints.push(format!("{}: {variable} without {right}", function.id)),
                (false, true) => complaints.push(format!("{}: {right} without {variable}", function.id)),
                _ => {}
            }
        }
    }
    complaints
}

pub(super) fn everything_is_reached_by_tls_only(stack: &Stack) -> Vec<String> {
    const KINDS: &[(&str, &str, &str)] = &[
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "s3:*"),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "sqs:*"),
        ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "sns:Publish"),
    ];
    let of_kind = |(kind, policy, action): &(&'static str, &'static str, &'static str)| {
        stack
            .of(kind)
            .filter(|resource| !stack.is_tls_only(policy, resource.id, action) || !attached(stack, policy, resource.id))
            .map(|resource| format!("{}: can be reached without TLS", resource.id))
            .collect::<Vec<_>>()
    };
    KINDS.iter().flat_map(of_kind).collect()
}

/// A policy that is written for a resource also has to be put on it.
fn attached(stack: &Stack, policy: &str, id: &str) -> bool {
    stack.of(policy).any(|policy| {
        ["/Bucket", "/Queues", "/Topics"]
            .iter()
            .any(|at| list(policy.at(at)).iter().any(|each| named(each) == Some(id)))
    })
}
