//! Requests as the gateway gives them, and responses as it takes them.

use std::io::Read as _;

use serde_json::json;

use super::*;
use crate::Event;

/// A request of the shape that API Gateway documents, with these fields instead.
fn read(changed: Value) -> Result<Request, Fault> {
    let mut event: Value = serde_json::from_str(include_str!("../../fixtures/http.json")).unwrap();
    for (name, value) in changed.as_object().unwrap() {
        match name.as_str() {
            "stage" => event["requestContext"]["stage"] = value.clone(),
            "method" => event["requestContext"]["http"]["method"] = value.clone(),
            _ => event[name] = value.clone(),
        }
    }
    match Event::read(event).unwrap() {
        Event::Http(request) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_is_read() {
    let request = read(json!({})).unwrap();
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/api/v1/query range"));
    assert_eq!(request.all("match[]").collect::<Vec<_>>(), ["up", "a b"]);
    assert_eq!(request.header("authorization"), Some("Bearer dw_read_x_y"));
    assert_eq!(request.header("accept"), Some("text/html,application/json"));
    assert_eq!(request.header("cookie"), Some("one=1; two=2"));
    assert!(request.body.is_empty());
}

#[test]
fn a_stage_is_no_part_of_the_path() {
    let table = [
        ("$default", "/prod/x", "/prod/x"),
        ("prod", "/prod/x", "/x"),
        ("prod", "/prod", "/"),
        ("prod", "/product", "/product"),
        ("prod", "/", "/"),
        ("", "//x", "//x"),
        ("$default", "/100%25/ü", "/100%/ü"),
        ("$default", "/a%2525", "/a%25"),
    ];
    for (stage, path, expected) in table {
        assert_eq!(read(json!({ "stage": stage, "rawPath": path })).unwrap().path, expected, "{stage} {path}");
    }
}

#[test]
fn bodies_come_as_text_or_base64() {
    let text = read(json!({ "body": "a.b 1\n", "isBase64Encoded": false })).unwrap();
    assert_eq!(&text.body[..], b"a.b 1\n");
    let bytes = read(json!({ "body": "AP8=", "isBase64Encoded": true })).unwrap();
    assert_eq!(&bytes.body[..], [0, 255]);
    let broken = read(json!({ "body": "A!", "isBase64Encoded": true })).unwrap_err();
    assert_eq!(broken.status(), 400);
}

#[test]
fn a_form_body_gives_parameters() {
    let request = read(json!({
        "method": "POST",
        "headers": { "content-type": "application/x-www-form-urlencoded" },
        "rawQueryString": "",
        "body": STANDARD.encode("query=up&time=1"),
        "isBase64Encoded": true,
    }));
    assert_eq!(request.unwrap().required("query").unwrap(), "up");
}

#[test]
fn a_body_above_the_limit_is_refused_by_name() {
    let of = |bytes: usize| read(json!({ "body": STANDARD.encode(vec![0; bytes]), "isBase64Encoded": true }));
    assert!(of(pipeline::http::BODY_BYTES_MAX).is_ok());
    let refused = of(pipeline::http::BODY_BYTES_MAX + 1).unwrap_err();
    assert_eq!(refused.status(), 413);
    assert!(refused.to_string().contains("body_bytes_max"), "{refused}");
}

fn asked(accept_encoding: &str) -> Asked {
    let headers = vec![("accept-encoding".to_owned(), accept_encoding.to_owned())];
    Asked::of(&Request { headers, ..Request::default() })
}

#[test]
fn a_response_as_the_gateway_takes_it() {
    let mut answer = Response::new(401, "application/json", r#"{"status":"error"}"#);
    for (name, value) in [("vary", "a"), ("vary", "b"), ("set-cookie", "c=1"), ("set-cookie", "d=2")] {
        answer.headers.push((name.to_owned(), value.to_owned()));
    }
    assert_eq!(
        response(answer, Asked::unknown()),
        json!({
            "statusCode": 401,
            "headers": { "content-type": "application/json", "vary": "a, b" },
            "body": r#"{"status":"error"}"#,
            "isBase64Encoded": false,
            "cookies": ["c=1", "d=2"],
        })
    );
    let binary = response(Response::new(200, "font/woff2", vec![0u8, 255]), Asked::unknown());
    assert_eq!((&binary["body"], &binary["isBase64Encoded"]), (&json!("AP8="), &json!(true)));
    let head = Asked::of(&Request { method: "HEAD".to_owned(), ..Request::default() });
    assert_eq!(response(Response::new(200, "text/plain", "x"), head)["body"], json!(""));
}

#[test]
fn what_is_accepted_is_compressed() {
    let text = "daywatch ".repeat(1_000);
    let answer = response(Response::new(200, "text/plain", text.clone()), asked("br, gzip"));
    assert_eq!(answer["headers"]["content-encoding"], "gzip");
    let bytes = STANDARD.decode(answer["body"].as_str().unwrap()).unwrap();
    let mut plain = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut plain).unwrap();
    assert_eq!(plain, text);
    let answer = response(Response::new(200, "text/plain", text.clone()), asked("gzip, zstd"));
    assert_eq!((&answer["headers"]["content-encoding"], &answer["isBase64Encoded"]), (&json!("zstd"), &json!(true)));
    for (accepts, body) in [("", text.as_str()), ("br", &text), ("gzip;q=0", &text), ("gzip", "short")] {
        let answer = response(Response::new(200, "text/plain", body.to_owned()), asked(accepts));
        assert_eq!(answer["body"].as_str(), Some(body), "{accepts}");
    }
}

#[test]
fn a_response_at_the_limit_and_one_past_it() {
    // Each quote is two bytes in Lambda's JSON.
    let of = |quotes: usize, accepts: &str| {
        response(Response::new(200, "text/plain", "\"".repeat(quotes)), asked(accepts))["statusCode"].clone()
    };
    assert_eq!(of(RESPONSE_BYTES_MAX / 2, ""), 200);
    assert_eq!(of(RESPONSE_BYTES_MAX / 2 + 1, ""), 422);
    assert_eq!(of(RESPONSE_BYTES_MAX, "gzip"), 200);
    let refused = response(Response::new(200, "text/plain", "\"".repeat(RESPONSE_BYTES_MAX)), Asked::unknown());
    assert!(refused["body"].as_str().unwrap().contains("response_bytes_max"), "{refused}");
    let whole = response(Response::new(200, "text/plain", "\"".repeat(RESPONSE_BYTES_MAX / 2)), Asked::unknown());
    assert!(whole.to_string().len() < 6_291_556);
}
