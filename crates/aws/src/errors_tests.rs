use std::collections::BTreeSet;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

use super::*;
use crate::stub::{Answer, Stub};

const CALL: Call = Call { port: "table", service: "DynamoDB", operation: "GetItem" };

fn told(code: &str) -> PortError {
    CALL.answered(Some(code), 400, Some("User: arn:aws:sts::1:assumed-role/x lacks dynamodb:GetItem"), "req-1")
}

#[test]
fn classes_by_code() {
    let cases = [
        ("ProvisionedThroughputExceededException", Transient, "takes no more"),
        ("ThrottlingException", Transient, "takes no more"),
        ("SlowDown", Transient, "takes no more"),
        ("InternalServerError", Transient, "InternalServerError (status 400)"),
        ("TransactionConflictException", Conflict, ""),
        ("ExpiredTokenException", Transient, "credentials have expired"),
        ("UnrecognizedClientException", Transient, "does not know these credentials"),
        ("InvalidClientTokenId", Transient, "does not know these credentials"),
        ("SignatureDoesNotMatch", Transient, "does not know these credentials"),
        ("RequestTimeTooSkewed", Transient, "clock is wrong"),
        ("AccessDeniedException", Transient, "lacks dynamodb:GetItem"),
        ("AuthorizationError", Transient, "compare its policy"),
        ("ResourceNotFoundException", Transient, "does not exist in this region and account"),
        ("NoSuchBucket", Transient, "does not exist in this region and account"),
        ("PermanentRedirect", Transient, "set AWS_REGION to the stack's region"),
        ("KMSAccessDenied", Transient, "encryption key"),
        ("ValidationException", Permanent, "can never be taken"),
        ("InvalidParameter", Permanent, "can never be taken"),
        ("EntityTooLarge", Permanent, "can never be taken"),
        ("InvalidObjectState", Permanent, "archive"),
    ];
    for (code, class, text) in cases {
        let error = told(code);
        assert_eq!(error.class, class, "{code}");
        assert!(error.what.contains(text), "{code}: {:?} lacks {text:?}", error.what);
        assert!(error.what.starts_with(&format!("DynamoDB GetItem: {code} (status 400)")), "{error}");
        assert!(error.what.ends_with("request req-1"), "{error}");
    }
}

#[test]
fn an_unknown_code_may_pass_and_is_named_as_unknown() {
    let error = CALL.answered(Some("QuantumException"), 418, Some("payload"), "");
    assert_eq!(error.class, Transient);
    assert!(error.what.contains("QuantumException (status 418); Daywatch does not know this error"), "{error}");
    assert!(!error.what.contains("payload"));
    let error = CALL.answered(None, 503, None, "");
    assert!(error.is_transient() && error.what.contains("an error without a code (status 503)"), "{error}");
}

#[test]
fn each_code_stands_once() {
    let mut seen = BTreeSet::new();
    for (code, ..) in CODES {
        assert!(seen.insert(code), "{code} stands twice");
    }
}

#[test]
fn a_message_is_shown_only_where_it_names_no_payload() {
    for (code, _, advice) in CODES {
        let shows = CALL.answered(Some(code), 400, Some("secret-payload"), "").what.contains("secret-payload");
        assert_eq!(shows, matches!(advice, SayAndShow(_)), "{code}");
    }
    let long = "x".repeat(10_000);
    assert!(CALL.answered(Some("AccessDenied"), 403, Some(&long), "").what.len() < 600);
}

/// Through the real client, retries included.
async fn asked(answer: Answer) -> (PortError, usize) {
    let stub = Stub::new(move |_| answer.clone());
    let client = aws_sdk_dynamodb::Client::new(&stub.config().await);
    let error = client.list_tables().send().await.unwrap_err();
    (CALL.error(&error), stub.seen().len())
}

#[tokio::test]
async fn what_the_client_gives_up_on_has_a_class() {
    let (error, tries) = asked(Answer::Lost).await;
    assert_eq!((error.class, tries), (Transient, 4), "{error}");
    assert!(error.what.contains("could not be asked: the connection was reset; check the network"), "{error}");
    let (error, tries) = asked(Answer::error(400, "ProvisionedThroughputExceededException")).await;
    assert_eq!((error.class, tries), (Transient, 4), "{error}");
    let (error, tries) = asked(Answer::error(400, "ValidationException")).await;
    assert_eq!((error.class, tries), (Permanent, 1), "{error}");
    let (error, tries) = asked(Answer::Http(200, "no JSON".to_owned())).await;
    assert_eq!(error.class, Transient, "{error} after {tries}");
    assert!(error.what.contains("cannot be read"), "{error}");
    let (error, _) = asked(Answer::error(400, "AccessDeniedException")).await;
    assert!(error.what.contains("request req-1"), "{error}");
}

#[tokio::test]
async fn missing_credentials_are_named() {
    let stub = Stub::new(|_| Answer::Lost);
    let config = stub.config().await.into_builder();
    let nobody = SharedCredentialsProvider::new(Nobody);
    let client = aws_sdk_dynamodb::Client::new(&config.credentials_provider(nobody).build());
    let error = CALL.error(&client.list_tables().send().await.unwrap_err());
    assert!(error.what.contains("no AWS credentials were found; set AWS_PROFILE"), "{error}");
    assert_eq!(stub.seen().len(), 0);
}

#[derive(Debug)]
struct Nobody;

impl ProvideCredentials for Nobody {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded_no_source()))
    }
}
