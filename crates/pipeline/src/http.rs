//! Requests and responses without a server: what API Gateway's event and axum's request both
//! become before a function sees them.

mod encoding;

use bytes::Bytes;
use serde::Serialize;

use crate::error::Fault;

pub use encoding::{COMPRESSED_BYTES_MIN, Encoding};

/// Bytes of a request's body (API Gateway and Lambda: 6 MB, base64-coded).
pub const BODY_BYTES_MAX: usize = 4_400_000;

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`, `POST`, ….
    pub method: String,
    /// The path, percent-decoded, without the query.
    pub path: String,
    /// The parameters of a form body, and those of the query after them, in order.
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
        text(&self.body)
    }
}

/// A body, decompressed or not, as text.
pub(crate) fn text(body: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(body)
        .map_err(|e| Fault::bad(format!("the body is not UTF-8: the first bad byte is number {}", e.valid_up_to() + 1)))
}

/// A request as a gateway has it, before anything is decoded.
#[derive(Debug, Clone, Default)]
pub struct RawRequest<'a> {
    /// `GET`, `POST`, ….
    pub method: &'a str,
    /// The path as it was sent, without the query.
    pub path: &'a str,
    /// What follows the `?`, as it was sent.
    pub query: &'a str,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl RawRequest<'_> {
    /// Decodes the path once, and takes the parameters of the query and of a form body. A body of
    /// more than [`BODY_BYTES_MAX`] is refused.
    pub fn decode(self) -> Result<Request, Fault> {
        let Self { method, path, query, headers, body } = self;
        if body.len() > BODY_BYTES_MAX {
            return Err(Fault::TooLarge { bytes: body.len(), max: BODY_BYTES_MAX, limit: "body_bytes_max" });
        }
        let mut parameters = Vec::new();
        let is_form = |(name, value): &(String, String)| {
            name == "content-type" && value.starts_with("application/x-www-form-urlencoded")
        };
        if headers.iter().any(is_form) {
            let text = std::str::from_utf8(&body).map_err(|_| Fault::bad("the form body is not UTF-8"))?;
            parameters.extend(form(text));
        }
        // What the body says goes first, as in Go's servers.
        parameters.extend(form(query));
        Ok(Request { method: method.to_owned(), path: percent_decoded(path)?, parameters, headers, body })
    }
}

/// `application/x-www-form-urlencoded`: names and values in order, repeated names kept.
#[must_use]
pub fn form(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

fn percent_decoded(text: &str) -> Result<String, Fault> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| Fault::bad("the path is not UTF-8"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once() {
        assert_eq!(percent_decoded("/api/v1/label/a%2eb/values").unwrap(), "/api/v1/label/a.b/values");
        assert_eq!(percent_decoded("/a+b").unwrap(), "/a+b");
        assert!(percent_decoded("/%ff").is_err());
    }

    #[test]
    fn forms_keep_the_order_and_repeated_names() {
        let expected = [("match[]", "up"), ("match[]", "a b"), ("x", "")];
        assert_eq!(form("match[]=up&match%5B%5D=a+b&x"), expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn a_form_body_gives_parameters_and_other_bodies_none() {
        let request = |content_type: &str, body: &'static [u8]| RawRequest {
            method: "POST",
            path: "/api/v1/query",
            query: "time=1",
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: Bytes::from_static(body),
        };
        let form = request("application/x-www-form-urlencoded; charset=utf-8", b"query=up&time=2").decode().unwrap();
        assert_eq!(form.required("query").unwrap(), "up");
        assert_eq!(form.all("time").collect::<Vec<_>>(), ["2", "1"]);
        assert_eq!(request("text/plain", b"query=up").decode().unwrap().parameter("query"), None);
        let refused = request("application/x-www-form-urlencoded", b"query=\xff").decode();
        assert_eq!(refused.unwrap_err().to_string(), "the form body is not UTF-8");
    }

    #[test]
    fn a_body_at_the_limit_and_one_past_it() {
        let of = |bytes: usize| RawRequest { body: vec![b'x'; bytes].into(), ..RawRequest::default() }.decode();
        assert_eq!(of(BODY_BYTES_MAX).unwrap().body.len(), BODY_BYTES_MAX);
        let refused = of(BODY_BYTES_MAX + 1).unwrap_err();
        assert_eq!(refused.status(), 413);
        assert!(refused.to_string().contains("body_bytes_max"), "{refused}");
    }
}
