//! What a sender is answered, in the encoding of its request.

use series::protobuf::put_varint;

/// `ExportMetricsServiceResponse` as protobuf; where something was refused, with `partial_success`.
#[must_use]
pub fn response_protobuf(rejected: u64, message: &str) -> Vec<u8> {
    if rejected == 0 {
        return Vec::new();
    }
    let mut partial = vec![0x08];
    put_varint(&mut partial, rejected);
    put_text(&mut partial, 0x12, message.as_bytes());
    let mut out = Vec::new();
    put_text(&mut out, 0x0a, &partial);
    out
}

/// `ExportMetricsServiceResponse` as JSON.
#[must_use]
pub fn response_json(rejected: u64, message: &str) -> Vec<u8> {
    let response = if rejected == 0 {
        serde_json::json!({})
    } else {
        serde_json::json!({"partialSuccess": {"rejectedDataPoints": rejected.to_string(), "errorMessage": message}})
    };
    response.to_string().into_bytes()
}

/// `google.rpc.Status` as protobuf, which answers a request that failed.
#[must_use]
pub fn status_protobuf(code: u8, message: &str) -> Vec<u8> {
    let mut out = vec![0x08, code];
    put_text(&mut out, 0x12, message.as_bytes());
    out
}

/// `google.rpc.Status` as JSON.
#[must_use]
pub fn status_json(code: u8, message: &str) -> Vec<u8> {
    serde_json::json!({"code": code, "message": message}).to_string().into_bytes()
}

fn put_text(out: &mut Vec<u8>, tag: u8, text: &[u8]) {
    out.push(tag);
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_in_both_encodings() {
        assert_eq!((response_protobuf(0, "x"), response_json(0, "x")), (vec![], b"{}".to_vec()));
        assert_eq!(response_protobuf(300, "no"), b"\x0a\x07\x08\xac\x02\x12\x02no");
        let json = String::from_utf8(response_json(2, "no")).unwrap();
        assert_eq!(json, r#"{"partialSuccess":{"errorMessage":"no","rejectedDataPoints":"2"}}"#);
        assert_eq!(status_protobuf(3, "no"), b"\x08\x03\x12\x02no");
        assert_eq!(status_json(3, "no"), br#"{"code":3,"message":"no"}"#);
    }
}
