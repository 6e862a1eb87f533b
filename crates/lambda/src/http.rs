//! The HTTP API's events (payload format 2.0) as requests, and responses back.
//!
//! Lambda takes and gives at most 6 MB a call, as JSON. What a response becomes there (a text with
//! its quotes escaped, or base64) is measured, not guessed: one that does not fit is compressed
//! where the caller takes it, and else refused by name.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use pipeline::http::{Encoding, RawRequest, Response};
use pipeline::{Fault, Request};
use serde_json::Value;

/// Bytes of a response as Lambda takes it (6,291,556), less what stands around the body.
pub const RESPONSE_BYTES_MAX: usize = 6_200_000;

/// The request.
pub fn request(event: ApiGatewayV2httpRequest) -> Result<Request, Fault> {
    let context = &event.request_context;
    // The gateway decodes the path but for `%25`, so decoding it again is right, and right for who
    // gives it as it was sent.
    let raw_path = event.raw_path.as_deref().unwrap_or("/");
    let path = without_stage(raw_path, context.stage.as_deref().unwrap_or_default());
    let mut headers: Vec<(String, String)> = event
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    // The gateway takes cookies out of the headers.
    if let Some(cookies) = event.cookies.filter(|cookies| !cookies.is_empty()) {
        headers.push(("cookie".to_owned(), cookies.join("; ")));
    }
    let body = body(event.body.unwrap_or_default(), event.is_base64_encoded)?;
    let query = event.raw_query_string.as_deref().unwrap_or_default();
    RawRequest { method: context.http.method.as_str(), path, query, headers, body }.decode()
}

fn body(text: String, is_base64: bool) -> Result<Bytes, Fault> {
    if !is_base64 {
        return Ok(Bytes::from(text));
    }
    let bytes = STANDARD.decode(text.as_bytes());
    bytes.map(Bytes::from).map_err(|error| Fault::bad(format!("the gateway's base64 of the body: {error}")))
}

/// Without a domain of its own, a stage that has a name stands before the path.
fn without_stage<'a>(path: &'a str, stage: &str) -> &'a str {
    let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(stage));
    match rest {
        Some("") if !stage.is_empty() => "/",
        Some(rest) if rest.starts_with('/') && !stage.is_empty() => rest,
        _ => path,
    }
}

/// What the answer needs of the request after it was handled.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    encoding: Encoding,
    head: bool,
}

impl Asked {
    /// By a request.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        Self { encoding: Encoding::accepted(request), head: request.method == "HEAD" }
    }

    /// By who could not be understood.
    #[must_use]
    pub fn unknown() -> Self {
        Self { encoding: Encoding::Identity, head: false }
    }
}

/// The response as the gateway takes it.
#[must_use]
pub fn response(response: Response, asked: Asked) -> Value {
    let mut response = response;
    if asked.head {
        response.body = Bytes::new();
    }
    response = response.encoded(asked.encoding);
    let bytes = carried_bytes(&response.body);
    if bytes > RESPONSE_BYTES_MAX {
        let encoded = asked.encoding != Encoding::Identity;
        let hint = if encoded { "" } else { ", or send `Accept-Encoding: gzip`" };
        response = Response::of(&Fault::Unprocessable(format!(
            "the answer has {bytes} bytes, at most {RESPONSE_BYTES_MAX} can be given (response_bytes_max): \
             ask for a shorter time, fewer series or a longer step{hint}"
        )));
    }
    event(response)
}

/// Bytes of the body within the JSON that Lambda takes.
fn carried_bytes(body: &[u8]) -> usize {
    match std::str::from_utf8(body) {
        Err(_) => body.len().div_ceil(3) * 4,
        Ok(text) => text.bytes().map(escaped_bytes).sum(),
    }
}

fn escaped_bytes(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

fn event(response: Response) -> Value {
    let mut event = ApiGatewayV2httpResponse::default();
    event.status_code = i64::from(response.status);
    let mut joined: Vec<(String, String)> = Vec::new();
    for (name, value) in response.headers {
        if name == "set-cookie" {
            event.cookies.push(value);
        } else if let Some((_, before)) = joined.iter_mut().find(|(known, _)| *known == name) {
            // In this format a header has one value; a list is joined, as HTTP allows.
            before.push_str(", ");
            before.push_str(&value);
        } else {
            joined.push((name, value));
        }
    }
    let body = response.body;
    match String::from_utf8(body.to_vec()) {
        Ok(text) => event.body = Some(Body::Text(text)),
        Err(binary) => {
            event.is_base64_encoded = true;
            event.body = Some(Body::Text(STANDARD.encode(binary.as_bytes())));
        }
    }
    let mut value = serde_json::to_value(&event).unwrap_or_default();
    // By the names of the pipeline, which are in lower case and valid already.
    value["headers"] = joined.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    if let Some(fields) = value.as_object_mut() {
        // A field of the older format.
        fields.remove("multiValueHeaders");
    }
    value
}

#[cfg(test)]
mod tests;
