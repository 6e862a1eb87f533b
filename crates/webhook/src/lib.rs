//! Posting notifications to webhook receivers, the same from one machine and from AWS.
//!
//! The topic port as far as it is HTTP: the pager and mail destinations are refused, whoever has
//! topics answers them before it asks here. It must not know what a notification says.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use ports::{Delivery, Destination, Message, PortError, Topic};
use reqwest::{StatusCode, Url};

/// How long a receiver may take, from connecting to its status line.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
const PORT: &str = "topic";

/// Posts notifications to webhook receivers.
#[derive(Debug, Clone)]
pub struct WebhookTopic {
    client: reqwest::Client,
}

impl WebhookTopic {
    /// With one client for all receivers. Redirects are not followed.
    pub fn new() -> Result<Self, PortError> {
        Self::with_timeout(WEBHOOK_TIMEOUT)
    }

    fn with_timeout(timeout: Duration) -> Result<Self, PortError> {
        // An error says that this process has chosen a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .timeout(timeout)
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("daywatch/", env!("CARGO_PKG_VERSION")))
        };
        let client = builder().build().or_else(|error| {
            // A host without CA certificates can still send to receivers by plain HTTP.
            tracing::warn!(%error, "no CA certificates: https receivers will not be reached");
            let config = rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty());
            builder().tls_backend_preconfigured(config.with_no_client_auth()).build()
        });
        let client =
            client.map_err(|error| PortError::permanent(PORT, format!("cannot make an HTTP client: {error}")))?;
        Ok(Self { client })
    }

    #[expect(clippy::disallowed_methods, reason = "this adapter measures how long a receiver takes")]
    async fn post(&self, url: &str, body: &str) -> Result<Delivery, PortError> {
        let target = Url::parse(url).map_err(|error| PortError::permanent(PORT, format!("webhook URL: {error}")))?;
        let to = shown(&target);
        let request = self.client.post(target).header("content-type", "application/json").body(body.to_owned());
        let started = Instant::now();
        match request.send().await {
            Ok(response) => {
                let status = response.status();
                let answer = format!("{status} in {} ms", started.elapsed().as_millis());
                judge(status, to, answer)
            }
            Err(error) => Err(PortError::transient(PORT, format!("{to}: {}", failure(&error)))),
        }
    }
}

/// 2xx is delivered; what the receiver will never take is permanent; the rest is worth a retry.
fn judge(status: StatusCode, to: String, answer: String) -> Result<Delivery, PortError> {
    let retry_later = status == StatusCode::REQUEST_TIMEOUT || status == StatusCode::TOO_MANY_REQUESTS;
    if status.is_success() {
        Ok(Delivery { to, delivered: true, answer })
    } else if status.is_client_error() && !retry_later {
        Err(PortError::permanent(PORT, format!("{to}: {answer}")))
    } else {
        Err(PortError::transient(PORT, format!("{to}: {answer}")))
    }
}

/// The innermost cause, without the URL, which may hold a secret.
fn failure(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", WEBHOOK_TIMEOUT.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if std::ptr::addr_eq(cause, error) { "the request failed".to_owned() } else { cause.to_string() }
}

/// A URL fit for logs and pages: no user, no password, no query, no fragment.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

#[async_trait]
impl Topic for WebhookTopic {
    async fn publish(&self, message: &Message) -> Result<Delivery, PortError> {
        match &message.destination {
            Destination::Webhook { url } => self.post(url, &message.default).await,
            Destination::Pager | Destination::Mail => {
                Err(PortError::permanent(PORT, "no topics here: use a webhook receiver"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
