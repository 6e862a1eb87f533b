//! `POST /v1/metrics`: OpenTelemetry metrics over HTTP, protobuf and JSON.
//!
//! The answer is in the request's encoding, as OTLP demands: 200 with `partialSuccess` where something was
//! refused (senders do not repeat such a request), a `google.rpc.Status` where the request as a whole was.
//! One whose points were all above a limit of a minute gets 429: it comes again, and identity makes it count once.

use formats::otlp::{self, answer};
use series::{Labels, Sample};

use super::pack::{Body, gather};
use super::{Pushed, limits, metadata, plain_body};
use crate::Context;
use crate::error::Fault;
use crate::http::{Request, Response};
use crate::keys::Caller;

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    fn of(request: &Request) -> Result<Self, Fault> {
        let content_type = request.header("content-type").unwrap_or_default().to_ascii_lowercase();
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/x-protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            other => Err(Fault::Media(format!(
                "Content-Type {other:?}: application/x-protobuf and application/json are taken here"
            ))),
        }
    }

    fn response(self, status: u16, protobuf: Vec<u8>, json: Vec<u8>) -> Response {
        match self {
            Self::Protobuf => Response::new(status, "application/x-protobuf", protobuf),
            Self::Json => Response::new(status, "application/json", json),
        }
    }
}

/// Takes a request. What is refused is named; what is good is stored.
pub async fn receive(context: &Context, caller: &Caller, request: &Request) -> Result<Response, Fault> {
    caller.may_push()?;
    let encoding = Encoding::of(request)?;
    let bytes = plain_body(request)?;
    let (mut metrics, mut read) = (Vec::new(), Ok(()));
    let batches = gather(context, caller, |body| {
        let mut reader = Reader { body, metrics: &mut metrics };
        read = match encoding {
            Encoding::Protobuf => otlp::read_protobuf(&bytes, &mut reader),
            Encoding::Json => otlp::read_json(&bytes, &mut reader),
        };
        if let Err(error) = &read {
            reader.body.refuse("not_otlp", 1, || error.to_string());
        }
    });
    let Pushed { accepted, rejected } = batches.put(context, caller).await?;
    let known = metrics.iter().map(|(name, metadata): &(String, metadata::Metadata)| (name.as_str(), metadata.clone()));
    metadata::note(context, &caller.tenant, known).await?;
    let count: u64 = rejected.iter().map(|rejection| rejection.count).sum();
    let first = rejected.first().map(|first| format!("{}: {}", first.reason, first.first)).unwrap_or_default();
    let said = format!("{accepted} samples accepted, {count} rejected; first {first}");
    match read {
        Err(otlp::OtlpError::TooLong { bytes }) => {
            Err(Fault::TooLarge { bytes, max: otlp::JSON_BYTES_MAX, limit: "otlp_json_bytes_max" })
        }
        Err(error) => Err(Fault::Bad(format!("{error}; {said}"))),
        Ok(()) if accepted == 0 && rejected.iter().any(|rejection| rejection.reason == limits::NEW_SERIES) => {
            Err(Fault::TooMany(said))
        }
        Ok(()) => {
            let protobuf = answer::response_protobuf(count, &said);
            Ok(encoding.response(200, protobuf, answer::response_json(count, &said)))
        }
    }
}

/// What answers a request that failed.
#[must_use]
pub fn fault(request: &Request, fault: &Fault) -> Response {
    let mut response = Response::of(fault);
    let Ok(encoding) = Encoding::of(request) else { return response };
    // Codes of gRPC.
    let code = match fault.status() {
        401 => 16,
        403 => 7,
        404 | 405 => 12,
        429 => 8,
        503 => 14,
        500 => 13,
        _ => 3,
    };
    let text = fault.to_string();
    let body = encoding.response(0, answer::status_protobuf(code, &text), answer::status_json(code, &text));
    response.headers.retain(|(name, _)| name != "content-type");
    response.headers.extend(body.headers);
    Response { body: body.body, ..response }
}

struct Reader<'r, 'e, 'b> {
    body: &'r mut Body<'e, 'b>,
    metrics: &'r mut Vec<(String, metadata::Metadata)>,
}

impl otlp::Sink for Reader<'_, '_, '_> {
    fn sample(&mut self, labels: &Labels, sample: Sample) {
        self.body.sample(labels, sample);
    }

    fn metadata(&mut self, name: &str, kind: &'static str, help: &str, unit: &str) {
        // A request repeats a metric for each resource.
        if self.metrics.last().is_some_and(|(last, _)| last == name) {
            return;
        }
        let metadata = metadata::Metadata { kind: kind.to_owned(), help: help.to_owned(), unit: unit.to_owned() };
        self.metrics.push((name.to_owned(), metadata));
    }

    fn refused(&mut self, reason: &'static str, count: u64, first: String) {
        self.body.refuse(reason, count, || first);
    }
}
