//! Requests and responses without a server: what API Gateway's event and axum's request both
//! become before a function sees them.

use bytes::Bytes;
use serde::Serialize;

use crate::error::Fault;

/// Bytes of a request's body (API Gateway and Lambda: 6 MB, base64-coded).
pub const BODY_BYTES_MAX: usize = 4_400_000;

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`, `POST`, ….
    pub method: String,
    /// The path, percent-decoded, without the query.
    pub path: String,
    /// The query's parameters, and those of a form body, in order.
    pub parameters: Vec<(String, String)>,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// The first value of a header, its name given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The first value of a parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The parameter, or an error that names it.
    pub fn required(&self, name: &'static str) -> Result<&str, Fault> {
        self.parameter(name).ok_or_else(|| Fault::bad(format!("parameter {name:?} is missing")))
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.parameters.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> Result<&str, Fault> {
        std::str::from_utf8(&self.body).map_err(|e| {
            Fault::bad(format!("the body is not UTF-8: the first bad byte is number {}", e.valid_up_to() + 1))
        })
    }
}

/// A response.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// A body of the given type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![("content-type".to_owned(), content_type.to_owned())], body: body.into() }
    }

    /// `{"status":"success","data":…}`.
    pub fn success(data: impl Serialize) -> Self {
        Self::json(200, &Success { status: "success", data })
    }

    /// Any JSON.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::new(status, "application/json", body),
            Err(error) => Self::of(&Fault::Internal(format!("the answer cannot be written as JSON: {error}"))),
        }
    }

    /// `{"status":"error","errorType":…,"error":…}` with the fault's status code.
    #[must_use]
    pub fn of(fault: &Fault) -> Self {
        let body = Failure { status: "error", error_type: fault.error_type(), error: fault.to_string() };
        let mut response = match serde_json::to_vec(&body) {
            Ok(body) => Self::new(fault.status(), "application/json", body),
            Err(_) => Self::new(fault.status(), "text/plain; charset=utf-8", fault.to_string()),
        };
        if let Some(seconds) = fault.retry_after_seconds() {
            response.headers.push(("retry-after".to_owned(), seconds.to_string()));
        }
        if fault.status() == 401 {
            response.headers.push(("www-authenticate".to_owned(), "Bearer, Basic realm=\"daywatch\"".to_owned()));
        }
        response
    }

    /// No content.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }
}

impl From<Result<Response, Fault>> for Response {
    fn from(result: Result<Response, Fault>) -> Self {
        result.unwrap_or_else(|fault| Response::of(&fault))
    }
}

#[derive(Serialize)]
struct Success<T> {
    status: &'static str,
    data: T,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    status: &'static str,
    error_type: &'static str,
    error: String,
}
