//! The websocket API's events: may it be opened, was it opened, what was said, has it ended.
//!
//! Who opens is looked at once, by the authorizer of `$connect`; its answer's context comes back
//! with every later event of the connection. The context's values are texts there, whatever they
//! were.

use aws_lambda_events::apigw::{
    ApiGatewayCustomAuthorizerRequestTypeRequest, ApiGatewayCustomAuthorizerResponse, ApiGatewayWebsocketProxyRequest,
};
use aws_lambda_events::iam::{IamPolicyEffect, IamPolicyStatement};
use pipeline::keys::{Caller, KeyKind};
use pipeline::{ConnectionId, Request, TenantId};
use serde_json::{Value, json};

use crate::failure::BadEvent;

/// May it be opened?
#[derive(Debug)]
pub struct Authorize {
    /// The opening request: headers and query.
    pub request: Request,
    /// What is asked for, as the answer must name it.
    pub method_arn: String,
}

/// Who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// By key or ticket.
    pub caller: Caller,
    /// Whether a browser opened it, with a ticket.
    pub page: bool,
}

/// Something happened on a connection.
#[derive(Debug)]
pub struct Socket {
    /// Which connection.
    pub id: ConnectionId,
    /// Whom the authorizer let in; `None` where none was asked.
    pub admitted: Option<Admitted>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug)]
pub enum What {
    /// It is being opened, by this request.
    Connect(Request),
    /// A frame.
    Frame(String),
    /// A frame that is no text.
    Binary,
    /// It has ended.
    Disconnect,
}

pub(crate) fn authorize(event: ApiGatewayCustomAuthorizerRequestTypeRequest) -> Result<Authorize, BadEvent> {
    let method_arn = event.method_arn.unwrap_or_default();
    Ok(Authorize {
        request: opening(header_texts(event.headers.iter()), event.query_string_parameters.iter()),
        method_arn,
    })
}

pub(crate) fn socket(event: ApiGatewayWebsocketProxyRequest) -> Result<Socket, BadEvent> {
    const NAME: &str = "the websocket API";
    let context = event.request_context;
    let missing = |field: &str| BadEvent::malformed(NAME, format!("requestContext.{field} is missing"));
    let id = context.connection_id.filter(|id| !id.is_empty()).ok_or_else(|| missing("connectionId"))?;
    let what = match context.event_type.as_deref() {
        Some("CONNECT") => {
            What::Connect(opening(header_texts(event.headers.iter()), event.query_string_parameters.iter()))
        }
        Some("MESSAGE") if event.is_base64_encoded => What::Binary,
        Some("MESSAGE") => What::Frame(event.body.unwrap_or_default()),
        Some("DISCONNECT") => What::Disconnect,
        Some(other) => return Err(BadEvent::malformed(NAME, format!("requestContext.eventType is {other:?}"))),
        None => return Err(missing("eventType")),
    };
    let fields = &context.authorizer.fields;
    let text = |name: &str| match fields.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Bool(value)) => Some(value.to_string()),
        _ => None,
    };
    Ok(Socket { id: ConnectionId(id), admitted: admitted(text)?, what })
}

fn opening<'a>(headers: Vec<(String, String)>, query: impl Iterator<Item = (&'a str, &'a str)>) -> Request {
    Request {
        method: "GET".to_owned(),
        path: "/ws".to_owned(),
        parameters: query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        headers,
        body: bytes::Bytes::new(),
    }
}

/// A header map's names are in lower case, whatever the gateway wrote.
fn header_texts<'a, N: AsRef<str> + 'a, V: AsRef<[u8]> + 'a>(
    headers: impl Iterator<Item = (&'a N, &'a V)>,
) -> Vec<(String, String)> {
    let text = |value: &V| String::from_utf8_lossy(value.as_ref()).into_owned();
    headers.map(|(name, value)| (name.as_ref().to_owned(), text(value))).collect()
}

/// All of it or nothing: half of a caller is no caller.
fn admitted(text: impl Fn(&str) -> Option<String>) -> Result<Option<Admitted>, BadEvent> {
    let Some(key_id) = text("keyId") else { return Ok(None) };
    let needed = |name: &str| {
        text(name).ok_or_else(|| BadEvent::malformed("the authorizer", format!("its context has no {name:?}")))
    };
    let bad = |error: String| BadEvent::malformed("the authorizer", error);
    let kind: KeyKind = needed("kind")?.parse().map_err(|fault: pipeline::Fault| bad(fault.to_string()))?;
    let tenant = TenantId::new(&needed("tenant")?).map_err(|error| bad(error.to_string()))?;
    let caller = Caller { key_id, kind, tenant, name: needed("name")? };
    Ok(Some(Admitted { caller, page: needed("page")? == "true" }))
}

/// Lets in. What the context says comes back with every event of the connection.
#[must_use]
pub fn allow(method_arn: &str, admitted: &Admitted) -> Value {
    let Admitted { caller, page } = admitted;
    answer(
        IamPolicyEffect::Allow,
        method_arn,
        &caller.key_id,
        json!({
            "keyId": caller.key_id,
            "kind": caller.kind.as_str(),
            "tenant": caller.tenant.as_str(),
            "name": caller.name,
            "page": page,
        }),
    )
}

/// Refuses: the gateway answers 403.
#[must_use]
pub fn deny(method_arn: &str) -> Value {
    answer(IamPolicyEffect::Deny, method_arn, "nobody", json!({}))
}

fn answer(effect: IamPolicyEffect, method_arn: &str, principal: &str, context: Value) -> Value {
    let mut statement = IamPolicyStatement::default();
    statement.action = vec!["execute-api:Invoke".to_owned()];
    statement.effect = effect;
    statement.resource = vec![method_arn.to_owned()];
    let mut answer = ApiGatewayCustomAuthorizerResponse::<Value>::default();
    answer.principal_id = Some(principal.to_owned());
    answer.policy_document.version = Some("2012-10-17".to_owned());
    answer.policy_document.statement = vec![statement];
    answer.context = context;
    let mut value = serde_json::to_value(&answer).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        // There are no usage plans here, and a null is not a missing one.
        fields.remove("usageIdentifierKey");
    }
    value
}

/// What a websocket's route answers: only the status counts.
#[must_use]
pub fn status(code: u16) -> Value {
    json!({ "statusCode": code })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    const ARN: &str = "arn:aws:execute-api:eu-west-1:123456789012:w1x2y3z4a5/live/$connect";

    fn agent() -> Admitted {
        let caller = Caller {
            key_id: "k1".to_owned(),
            kind: KeyKind::Agent,
            tenant: TenantId::default(),
            name: "web-1".to_owned(),
        };
        Admitted { caller, page: false }
    }

    #[test]
    fn what_the_gateway_reads() {
        assert_eq!(
            allow(ARN, &agent()),
            json!({
                "principalId": "k1",
                "policyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [{ "Action": ["execute-api:Invoke"], "Effect": "Allow", "Resource": [ARN] }],
                },
                "context": { "keyId": "k1", "kind": "agent", "tenant": "default", "name": "web-1", "page": false },
            })
        );
        assert_eq!(
            deny(ARN),
            json!({
                "principalId": "nobody",
                "policyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [{ "Action": ["execute-api:Invoke"], "Effect": "Deny", "Resource": [ARN] }],
                },
                "context": {},
            })
        );
        assert_eq!(status(200).to_string(), r#"{"statusCode":200}"#);
    }

    fn event(kind: &str, authorizer: Value) -> Value {
        json!({
            "requestContext": {
                "routeKey": "$default", "eventType": kind, "connectionId": "TWegAcC4EowCHnA=", "stage": "live",
                "connectedAt": 1_795_359_600_000_i64, "requestTimeEpoch": 1_795_359_600_001_i64,
                "requestId": "TWegBE", "apiId": "w1x2y3z4a5", "authorizer": authorizer,
            },
            "headers": { "Authorization": "Bearer k" },
            "queryStringParameters": { "ticket": "t" },
            "body": "{\"action\":\"bye\"}",
            "isBase64Encoded": false,
        })
    }

    fn read(event: Value) -> Result<Socket, BadEvent> {
        match Event::read(event)? {
            Event::Socket(socket) => Ok(socket),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_context_comes_back_as_texts() {
        let mut context = allow(ARN, &agent())["context"].clone();
        for value in context.as_object_mut().unwrap().values_mut() {
            *value = Value::String(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        let socket = read(event("MESSAGE", context)).unwrap();
        assert_eq!(socket.admitted, Some(agent()));
        let What::Frame(text) = socket.what else { panic!("{:?}", socket.what) };
        assert_eq!(text, "{\"action\":\"bye\"}");
        assert_eq!(socket.id.0, "TWegAcC4EowCHnA=");
    }

    #[test]
    fn without_an_authorizer_nobody_is_admitted() {
        let socket = read(event("CONNECT", Value::Null)).unwrap();
        assert_eq!(socket.admitted, None);
        let What::Connect(request) = socket.what else { panic!("{:?}", socket.what) };
        assert_eq!(request.header("authorization"), Some("Bearer k"));
        assert_eq!(request.parameter("ticket"), Some("t"));
    }

    #[test]
    fn half_a_caller_is_none() {
        for (context, what) in [
            (json!({ "keyId": "k" }), "no \"kind\""),
            (json!({ "keyId": "k", "kind": "king", "tenant": "t", "name": "n", "page": "true" }), "king"),
            (json!({ "keyId": "k", "kind": "read", "tenant": "a/b", "name": "n", "page": "true" }), "tenant"),
        ] {
            let error = read(event("MESSAGE", context)).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        let error = read(event("PING", Value::Null)).unwrap_err().to_string();
        assert!(error.contains("eventType is \"PING\""), "{error}");
    }
}
