//! Compressing answers, as the caller's `Accept-Encoding` allows it (RFC 9110, section 12.5.3).
//! The same for `serve` and on AWS.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Request, Response};

/// Smaller bodies are not worth compressing: they fit one packet.
pub const COMPRESSED_BYTES_MIN: usize = 1_400;
/// zstd's fastest level but for those that it calls negative: 200 MB/s of JSON, to a fifth.
const ZSTD_LEVEL: i32 = 1;

/// How a body may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Encoding {
    /// What the caller likes best; of two that it likes the same, the one that is made faster.
    #[must_use]
    pub fn accepted(request: &Request) -> Self {
        let wishes = request.header("accept-encoding").unwrap_or_default();
        let weight = |name: &str| {
            let mut all = None;
            for (wish, weight) in wishes.split(',').filter_map(wish) {
                if wish.eq_ignore_ascii_case(name) {
                    return weight;
                }
                if wish == "*" {
                    all = Some(weight);
                }
            }
            all.unwrap_or(0.0)
        };
        let (gzip, zstd) = (weight("gzip"), weight("zstd"));
        match zstd.max(gzip) {
            best if best <= 0.0 => Self::Identity,
            best if zstd >= best => Self::Zstd,
            _ => Self::Gzip,
        }
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    fn compress(self, body: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Identity => Ok(body.to_vec()),
            Self::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
                encoder.write_all(body)?;
                encoder.finish()
            }
        }
    }
}

/// `gzip;q=0.5` → its name and its weight; one whose weight is no number has none.
fn wish(member: &str) -> Option<(&str, f32)> {
    let mut parts = member.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    Some((name, weight.map_or(1.0, |text| text.parse().unwrap_or(0.0))))
}

impl Response {
    /// The same, compressed where that is worth while: text of [`COMPRESSED_BYTES_MIN`] bytes or more.
    #[must_use]
    pub fn encoded(self, encoding: Encoding) -> Self {
        let header =
            |wanted: &str| self.headers.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value.as_str());
        let Some(name) = encoding.name() else { return self };
        let skip = !is_text(header("content-type")) || !header("content-encoding").is_empty();
        if skip || self.body.len() < COMPRESSED_BYTES_MIN {
            return self;
        }
        // Writing to memory does not fail; if it did, the plain body is as good.
        let Ok(body) = encoding.compress(&self.body) else { return self };
        let Self { status, mut headers, .. } = self;
        headers.push(("content-encoding".to_owned(), name.to_owned()));
        headers.push(("vary".to_owned(), "accept-encoding".to_owned()));
        Self { status, headers, body: body.into() }
    }
}

/// Programs, pictures and fonts are compressed already, or too large to be compressed each time.
fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.starts_with("text/") || matches!(kind, "application/json" | "application/yaml" | "image/svg+xml")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn accepted(header: &str) -> Encoding {
        let headers = vec![("accept-encoding".to_owned(), header.to_owned())];
        Encoding::accepted(&Request { headers, ..Request::default() })
    }

    #[test]
    fn wishes_and_their_weights() {
        for (header, expected) in [
            ("", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("GZip;q=1", Encoding::Gzip),
            ("gzip, deflate, br, zstd", Encoding::Zstd),
            ("zstd;q=0.5, gzip;q=0.8", Encoding::Gzip),
            ("zstd;q=0, gzip", Encoding::Gzip),
            ("gzip;q=0", Encoding::Identity),
            ("gzip;q=much", Encoding::Identity),
            ("br", Encoding::Identity),
            ("*", Encoding::Zstd),
            ("*;q=0.1, zstd;q=0", Encoding::Gzip),
            ("identity, *;q=0", Encoding::Identity),
            (" , ;q=1,,", Encoding::Identity),
        ] {
            assert_eq!(accepted(header), expected, "{header}");
        }
        assert_eq!(Encoding::accepted(&Request::default()), Encoding::Identity);
    }

    #[test]
    fn a_body_of_the_least_bytes_and_of_one_less() {
        let of = |bytes: usize, kind: &str, encoding| {
            let response = Response::new(200, kind, vec![b'x'; bytes]).encoded(encoding);
            let encoding = response.headers.iter().find(|(name, _)| name == "content-encoding");
            (encoding.map(|(_, value)| value.clone()), response.body)
        };
        let (name, body) = of(COMPRESSED_BYTES_MIN, "application/json", Encoding::Gzip);
        assert_eq!(name.as_deref(), Some("gzip"));
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, vec![b'x'; COMPRESSED_BYTES_MIN]);
        let (name, body) = of(COMPRESSED_BYTES_MIN, "text/plain; charset=utf-8", Encoding::Zstd);
        assert_eq!(name.as_deref(), Some("zstd"));
        assert_eq!(zstd::bulk::decompress(&body, 10_000).unwrap(), vec![b'x'; COMPRESSED_BYTES_MIN]);
        for (bytes, kind, encoding) in [
            (COMPRESSED_BYTES_MIN - 1, "application/json", Encoding::Zstd),
            (COMPRESSED_BYTES_MIN, "application/octet-stream", Encoding::Zstd),
            (COMPRESSED_BYTES_MIN, "application/json", Encoding::Identity),
        ] {
            assert_eq!(of(bytes, kind, encoding), (None, vec![b'x'; bytes].into()));
        }
    }
}
