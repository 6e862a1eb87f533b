//! One HTTP GET of a target's metrics: what is accepted, how much, and how far redirects go.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use flate2::read::MultiGzDecoder;
use formats::prometheus_text::Dialect;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;

use crate::net::{Address, Dialer, NetError};

/// Bytes of an answer's body, as sent and as unpacked.
pub(super) const SCRAPE_BYTES_MAX: usize = 16 << 20;
/// Redirects that are followed, as many as Prometheus follows.
pub(super) const REDIRECTS_MAX: usize = 10;
/// Bytes of a file with a password or a token.
const SECRET_BYTES_MAX: usize = 64 << 10;
/// What Prometheus asks for, but for protobuf.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
    application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
    text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";

/// Where to ask.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) uri: Uri,
    pub(super) credentials: Credentials,
    /// Told to the target, so that it does not work for nobody.
    pub(super) timeout: Duration,
}

/// What the target wants to see. Files are read at each scrape.
#[derive(Debug)]
pub(super) enum Credentials {
    None,
    Basic { name: String, file: PathBuf },
    Bearer { file: PathBuf },
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{path}: {what}")]
    Secret { path: String, what: String },
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("more than {REDIRECTS_MAX} redirects")]
    Redirects,
    #[error("the answer redirects to {0:?}")]
    Redirect(String),
    #[error("the answer has more than {SCRAPE_BYTES_MAX} bytes")]
    TooLong,
    #[error("the answer breaks off: {0}")]
    Broken(String),
    #[error("the answer is packed as {0:?}, which was not asked for")]
    Encoding(String),
}

/// What a target answered.
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    pub(super) dialect: Dialect,
}

/// Asks once, and again where the answer leads elsewhere.
pub(super) async fn fetch(dialer: &mut Dialer, target: &Target) -> Result<Answer, FetchError> {
    let credentials = header_of(&target.credentials)?;
    let mut uri = target.uri.clone();
    for _ in 0..=REDIRECTS_MAX {
        // Credentials go to the host that they are for, and to no other one.
        let own = uri.authority() == target.uri.authority() && uri.scheme() == target.uri.scheme();
        match get(dialer, &uri, credentials.as_deref().filter(|_| own), target.timeout).await? {
            Got::Answer(answer) => return Ok(answer),
            Got::Elsewhere(location) => uri = resolved(&uri, &location).ok_or(FetchError::Redirect(location))?,
        }
    }
    Err(FetchError::Redirects)
}

enum Got {
    Answer(Answer),
    Elsewhere(String),
}

async fn get(dialer: &mut Dialer, uri: &Uri, credentials: Option<&str>, timeout: Duration) -> Result<Got, FetchError> {
    let wire = dialer.dial(&Address::of(uri)?).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(wire)).await?;
    let mut request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, uri.authority().map_or("", |authority| authority.as_str()))
        .header(header::ACCEPT, ACCEPT)
        .header(header::ACCEPT_ENCODING, "gzip")
        .header(header::USER_AGENT, concat!("daywatch-agent/", env!("CARGO_PKG_VERSION")))
        .header("x-prometheus-scrape-timeout-seconds", timeout.as_secs_f64().to_string());
    if let Some(credentials) = credentials {
        request = request.header(header::AUTHORIZATION, credentials);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| FetchError::Broken(error.to_string()))?;
    let ask = async {
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let named = |name| text(&head.headers, name);
        match head.status.as_u16() {
            200 => {}
            301 | 302 | 303 | 307 | 308 => return Ok(Got::Elsewhere(named(header::LOCATION).to_owned())),
            status => return Err(FetchError::Status(status)),
        }
        let dialect = Dialect::of_content_type(named(header::CONTENT_TYPE));
        let body = match Limited::new(body, SCRAPE_BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => return Err(FetchError::TooLong),
            Err(error) => return Err(FetchError::Broken(error.to_string())),
        };
        let body = match named(header::CONTENT_ENCODING) {
            "" | "identity" => body.into(),
            "gzip" => unpacked(&body)?,
            other => return Err(FetchError::Encoding(other.to_owned())),
        };
        Ok(Got::Answer(Answer { body, dialect }))
    };
    // The connection works only while it is polled, and ends when the sender is gone.
    tokio::pin!(ask);
    tokio::select! {
        got = &mut ask => got,
        ended = connection => {
            ended?;
            ask.await
        }
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Unpacks gzip, up to the limit.
fn unpacked(body: &[u8]) -> Result<Vec<u8>, FetchError> {
    let mut plain = Vec::new();
    let read = MultiGzDecoder::new(body).take(SCRAPE_BYTES_MAX as u64 + 1).read_to_end(&mut plain);
    read.map_err(|error| FetchError::Broken(error.to_string()))?;
    if plain.len() > SCRAPE_BYTES_MAX { Err(FetchError::TooLong) } else { Ok(plain) }
}

/// Where a `Location` leads: a whole URL, a path, or a name beside the present one.
fn resolved(from: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let scheme = from.scheme_str()?;
    let uri: Uri = if location.contains("://") {
        location.parse().ok()?
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}").parse().ok()?
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = match location.as_bytes().first()? {
            b'/' => location.to_owned(),
            b'?' => format!("{}{location}", from.path()),
            _ => format!("{folder}/{location}"),
        };
        format!("{scheme}://{}{path}", from.authority()?).parse().ok()?
    };
    matches!(uri.scheme_str(), Some("http" | "https")).then_some(uri).filter(|uri| uri.host().is_some())
}

fn header_of(credentials: &Credentials) -> Result<Option<String>, FetchError> {
    Ok(match credentials {
        Credentials::None => None,
        Credentials::Bearer { file } => Some(format!("Bearer {}", secret(file)?)),
        Credentials::Basic { name, file } => {
            let pair = format!("{name}:{}", secret(file)?);
            Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
        }
    })
}

fn secret(path: &Path) -> Result<String, FetchError> {
    let failed = |what: String| FetchError::Secret { path: path.display().to_string(), what };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    if text.len() > SECRET_BYTES_MAX {
        return Err(failed(format!("it has more than {SECRET_BYTES_MAX} bytes")));
    }
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn where_a_redirect_leads() {
        let check = |location: &str, expected: &str| {
            let from = "http://h:9100/a/metrics?x=1".parse().unwrap();
            let found = resolved(&from, location).map(|uri| uri.to_string()).unwrap_or_default();
            assert_eq!(found, expected, "{location}");
        };
        check("/m", "http://h:9100/m");
        check("m?y", "http://h:9100/a/m?y");
        check("?y", "http://h:9100/a/metrics?y");
        check("https://other/m#x", "https://other/m");
        check("//other/m", "http://other/m");
        check("ftp://other/m", "");
        check("", "");
    }

    #[test]
    fn packed_bodies_at_the_limit_and_one_past_it() {
        let packed = |bytes: usize| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&vec![b'#'; bytes]).unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(unpacked(&packed(SCRAPE_BYTES_MAX)).unwrap().len(), SCRAPE_BYTES_MAX);
        assert!(matches!(unpacked(&packed(SCRAPE_BYTES_MAX + 1)), Err(FetchError::TooLong)));
        assert!(matches!(unpacked(&packed(9)[..20]), Err(FetchError::Broken(_))));
    }

    #[test]
    fn credentials() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "open sesame\n").unwrap();
        let bearer = header_of(&Credentials::Bearer { file: file.clone() }).unwrap();
        assert_eq!(bearer.as_deref(), Some("Bearer open sesame"));
        let basic = header_of(&Credentials::Basic { name: "Aladdin".into(), file: file.clone() }).unwrap();
        assert_eq!(basic.as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        std::fs::write(&file, "x".repeat(SECRET_BYTES_MAX + 1)).unwrap();
        assert!(header_of(&Credentials::Bearer { file: file.clone() }).is_err());
        std::fs::write(&file, "x".repeat(SECRET_BYTES_MAX)).unwrap();
        assert!(header_of(&Credentials::Bearer { file }).is_ok());
        assert!(header_of(&Credentials::Bearer { file: "absent".into() }).is_err());
    }
}
