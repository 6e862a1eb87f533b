//! Every error of the SDK gets its class here, by its code, and a text that says what to do.
//!
//! - **Permanent** is only what this very request can never get over: its own form or size. The
//!   caller quarantines a record or gives a notification up for it.
//! - **Conflict**: somebody else was faster.
//! - **Transient** is everything else, also what an operator has to repair (a right, a table, a
//!   credential): then the data waits and alarms ring, where a wrong "permanent" would lose a page
//!   or an acknowledged sample for good.
//! - A code that is not in the table is transient for the same reason, and the text says so.
//!
//! A text holds the service, the operation, the code, and the request's id. AWS's own message is
//! added only for codes whose message names no payload.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use ports::{ErrorClass, PortError};

/// Characters of AWS's own message that are shown.
const MESSAGE_CHARS_MAX: usize = 300;

use Advice::{Plain, Say, SayAndShow};
use ErrorClass::{Conflict, Permanent, Transient};

/// What is added to an error's text.
#[derive(Debug, Clone, Copy)]
enum Advice {
    /// Nothing.
    Plain,
    /// What to do.
    Say(&'static str),
    /// What to do, and AWS's message: it names an ARN, an action or a resource, never a payload.
    SayAndShow(&'static str),
}

const CREDENTIALS: Advice = Say(
    "the credentials have expired; a function gets new ones by itself, on your machine sign in again (aws sso login) or renew AWS_SESSION_TOKEN",
);
const KEY_UNKNOWN: Advice = Say(
    "AWS does not know these credentials; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN or AWS_PROFILE",
);
const CLOCK: Advice = Say("this machine's clock is wrong; set it (timedatectl)");
const DENIED: Advice = SayAndShow("the role or user lacks this right; compare its policy with infra/template.yaml");
const GONE: Advice =
    SayAndShow("it does not exist in this region and account; check the name, AWS_REGION, and that the stack is whole");
const REGION: Advice = SayAndShow("it lies in another region; set AWS_REGION to the stack's region");
const SLOWER: Advice = Say("AWS takes no more at the moment; if it lasts, raise the limit (shards, capacity, quota)");
const KMS: Advice = SayAndShow("the encryption key cannot be used; check its state and its policy");
const FORM: Advice = Say("this request can never be taken");

/// What is known, by code. Services spell the same thing differently.
const CODES: &[(&str, ErrorClass, Advice)] = &[
    // Too much.
    ("BandwidthLimitExceeded", Transient, SLOWER),
    ("KMSThrottlingException", Transient, SLOWER),
    ("KmsThrottled", Transient, SLOWER),
    ("LimitExceededException", Transient, SLOWER),
    ("OverLimit", Transient, SLOWER),
    ("ProvisionedThroughputExceeded", Transient, SLOWER),
    ("ProvisionedThroughputExceededException", Transient, SLOWER),
    ("RequestLimitExceeded", Transient, SLOWER),
    ("RequestThrottled", Transient, SLOWER),
    ("RequestThrottledException", Transient, SLOWER),
    ("SlowDown", Transient, SLOWER),
    ("Throttled", Transient, SLOWER),
    ("ThrottledException", Transient, SLOWER),
    ("Throttling", Transient, SLOWER),
    ("ThrottlingError", Transient, SLOWER),
    ("ThrottlingException", Transient, SLOWER),
    ("TooManyRequestsException", Transient, SLOWER),
    // AWS's own trouble, and requests that were damaged on their way.
    ("BadDigest", Transient, Plain),
    ("IncompleteBody", Transient, Plain),
    ("InternalError", Transient, Plain),
    ("InternalFailure", Transient, Plain),
    ("InternalServerError", Transient, Plain),
    ("InternalServerErrorException", Transient, Plain),
    ("OperationAborted", Transient, Plain),
    ("RequestTimeout", Transient, Plain),
    ("RequestTimeoutException", Transient, Plain),
    ("ServiceUnavailable", Transient, Plain),
    ("ServiceUnavailableException", Transient, Plain),
    ("XAmzContentSHA256Mismatch", Transient, Plain),
    // Others at the same item.
    ("ConditionalRequestConflict", Conflict, Plain),
    ("ReplicatedWriteConflictException", Conflict, Plain),
    ("TransactionConflict", Conflict, Plain),
    ("TransactionConflictException", Conflict, Plain),
    ("TransactionInProgressException", Transient, Plain),
    // Credentials.
    ("ExpiredToken", Transient, CREDENTIALS),
    ("ExpiredTokenException", Transient, CREDENTIALS),
    ("RequestExpired", Transient, CREDENTIALS),
    ("TokenRefreshRequired", Transient, CREDENTIALS),
    ("IncompleteSignature", Transient, KEY_UNKNOWN),
    ("IncompleteSignatureException", Transient, KEY_UNKNOWN),
    ("InvalidAccessKeyId", Transient, KEY_UNKNOWN),
    ("InvalidClientTokenId", Transient, KEY_UNKNOWN),
    ("InvalidSecurity", Transient, KEY_UNKNOWN),
    ("InvalidSignatureException", Transient, KEY_UNKNOWN),
    ("InvalidToken", Transient, KEY_UNKNOWN),
    ("MissingAuthenticationToken", Transient, KEY_UNKNOWN),
    ("MissingAuthenticationTokenException", Transient, KEY_UNKNOWN),
    ("SignatureDoesNotMatch", Transient, KEY_UNKNOWN),
    ("UnrecognizedClientException", Transient, KEY_UNKNOWN),
    ("RequestInTheFuture", Transient, CLOCK),
    ("RequestTimeTooSkewed", Transient, CLOCK),
    // Rights.
    ("AccessDenied", Transient, DENIED),
    ("AccessDeniedException", Transient, DENIED),
    ("AuthorizationError", Transient, DENIED),
    ("AuthorizationErrorException", Transient, DENIED),
    ("Forbidden", Transient, DENIED),
    ("ForbiddenException", Transient, DENIED),
    ("NotAuthorized", Transient, DENIED),
    ("OptInRequired", Transient, DENIED),
    ("UnauthorizedOperation", Transient, DENIED),
    // What is not there.
    ("AWS.SimpleQueueService.NonExistentQueue", Transient, GONE),
    ("AWS.SimpleQueueService.QueueDeletedRecently", Transient, GONE),
    ("NoSuchBucket", Transient, GONE),
    ("NotFound", Transient, GONE),
    ("NotFoundException", Transient, GONE),
    ("QueueDeletedRecently", Transient, GONE),
    ("QueueDoesNotExist", Transient, GONE),
    ("ResourceInUseException", Transient, GONE),
    ("ResourceNotFoundException", Transient, GONE),
    ("TableNotFoundException", Transient, GONE),
    ("AuthorizationHeaderMalformed", Transient, REGION),
    ("IllegalLocationConstraintException", Transient, REGION),
    ("PermanentRedirect", Transient, REGION),
    ("TemporaryRedirect", Transient, REGION),
    // Encryption keys.
    ("KMSAccessDenied", Transient, KMS),
    ("KMSAccessDeniedException", Transient, KMS),
    ("KMSDisabled", Transient, KMS),
    ("KMSDisabledException", Transient, KMS),
    ("KMSInvalidState", Transient, KMS),
    ("KMSInvalidStateException", Transient, KMS),
    ("KMSNotFound", Transient, KMS),
    ("KMSNotFoundException", Transient, KMS),
    ("KMSOptInRequired", Transient, KMS),
    ("KmsAccessDenied", Transient, KMS),
    ("KmsDisabled", Transient, KMS),
    ("KmsInvalidState", Transient, KMS),
    ("KmsNotFound", Transient, KMS),
    ("KmsOptInRequired", Transient, KMS),
    // The request itself.
    ("BadRequestException", Permanent, FORM),
    ("EntityTooLarge", Permanent, FORM),
    ("IdempotentParameterMismatchException", Permanent, FORM),
    ("InvalidArgument", Permanent, FORM),
    ("InvalidArgumentException", Permanent, FORM),
    ("InvalidMessageContents", Permanent, FORM),
    ("InvalidObjectState", Permanent, Say("the object was moved to an archive; restore it before it can be read")),
    ("InvalidParameter", Permanent, FORM),
    ("InvalidParameterCombination", Permanent, FORM),
    ("InvalidParameterException", Permanent, FORM),
    ("InvalidParameterValue", Permanent, FORM),
    ("InvalidParameterValueException", Permanent, FORM),
    ("InvalidRequest", Permanent, FORM),
    ("ItemCollectionSizeLimitExceededException", Permanent, FORM),
    ("KeyTooLongError", Permanent, FORM),
    ("MalformedXML", Permanent, FORM),
    ("MethodNotAllowed", Permanent, FORM),
    ("ParameterValueInvalid", Permanent, FORM),
    ("PayloadTooLargeException", Permanent, FORM),
    ("RequestEntityTooLargeException", Permanent, FORM),
    ("SerializationException", Permanent, FORM),
    ("UnknownOperationException", Permanent, FORM),
    ("UnsupportedOperation", Permanent, FORM),
    ("ValidationError", Permanent, FORM),
    ("ValidationException", Permanent, FORM),
];

/// What was asked of whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// The port whose error it becomes.
    pub(crate) port: &'static str,
    /// `DynamoDB`, `Kinesis`, ….
    pub(crate) service: &'static str,
    /// `PutRecords`, ….
    pub(crate) operation: &'static str,
}

impl Call {
    /// The error of the port.
    pub(crate) fn error<E>(self, error: &SdkError<E, HttpResponse>) -> PortError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let transient = |what: String| PortError::transient(self.port, what);
        match error {
            SdkError::ServiceError(service) => {
                let meta = service.err().meta();
                let status = service.raw().status().as_u16();
                if service.raw().status().is_success() {
                    return transient(unreadable(self, status));
                }
                let request = meta.extra("aws_request_id").unwrap_or_default();
                self.answered(meta.code(), status, meta.message(), request)
            }
            SdkError::TimeoutError(_) => transient(format!("{self} gave no answer in time")),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                transient(format!("{self} could not be reached in time"))
            }
            SdkError::DispatchFailure(failure) => {
                let cause = failure.as_connector_error().map(|error| innermost(error)).unwrap_or_default();
                transient(format!("{self} could not be asked: {}", unreachable(&cause)))
            }
            SdkError::ResponseError(response) => {
                let status = response.raw().status().as_u16();
                transient(unreadable(self, status))
            }
            SdkError::ConstructionFailure(_) => {
                let cause = innermost(error);
                PortError::permanent(self.port, format!("{self} could not be built: {cause}"))
            }
            _ => transient(format!("{self} failed in a way that this version does not know")),
        }
    }

    /// The error for a code, as a service answers it by itself or within an answer about many.
    pub(crate) fn answered(
        self,
        code: Option<&str>,
        status: u16,
        message: Option<&str>,
        request_id: &str,
    ) -> PortError {
        let known = code.and_then(|code| CODES.iter().find(|(known, ..)| *known == code));
        let mut what = format!("{self}: {} (status {status})", code.unwrap_or("an error without a code"));
        let class = match known {
            Some((_, class, advice)) => {
                match advice {
                    Plain => {}
                    Say(advice) => what.push_str(&format!("; {advice}")),
                    SayAndShow(advice) => what.push_str(&format!("; {advice}{}", shown(message))),
                }
                *class
            }
            None => {
                what.push_str("; Daywatch does not know this error, so it counts as one that may pass");
                Transient
            }
        };
        if !request_id.is_empty() {
            what.push_str(&format!("; request {request_id}"));
        }
        PortError { class, port: self.port, what }
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.service, self.operation)
    }
}

fn shown(message: Option<&str>) -> String {
    let message: String = message.unwrap_or_default().chars().take(MESSAGE_CHARS_MAX).collect();
    if message.is_empty() { message } else { format!(" ({message})") }
}

fn unreadable(call: Call, status: u16) -> String {
    format!("{call} gave an answer that cannot be read (status {status})")
}

/// The deepest cause: what is above it says only that something failed.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Missing credentials come as a failure to send as well, with a list of all places of theirs.
fn unreachable(cause: &str) -> String {
    if cause.contains("credential") {
        let advice = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
        return format!("no AWS credentials were found; {advice}");
    }
    let cause = if cause.is_empty() { "no connection" } else { cause };
    format!("{cause}; check the network, AWS_REGION and AWS_ENDPOINT_URL")
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
