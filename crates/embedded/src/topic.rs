//! The topic port: webhooks by HTTP, and a topic that only remembers, for tests.
//!
//! SNS topics do not exist on one machine: the pager and mail destinations are refused. It must
//! not know what a notification says.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
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
                Err(PortError::permanent(PORT, "no SNS in serve: use a webhook receiver"))
            }
        }
    }
}

/// Remembers what was published and answers as it was told.
#[derive(Debug, Default)]
pub struct MemoryTopic(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    published: Vec<Message>,
    answers: VecDeque<Result<(), PortError>>,
}

impl MemoryTopic {
    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next calls get these answers, in order; afterwards everything is delivered.
    pub fn answer_with(&self, answers: impl IntoIterator<Item = Result<(), PortError>>) {
        self.remembered().answers.extend(answers);
    }

    /// What was delivered so far.
    #[must_use]
    pub fn published(&self) -> Vec<Message> {
        self.remembered().published.clone()
    }

    /// What was delivered since the last call of this.
    #[must_use]
    pub fn take_published(&self) -> Vec<Message> {
        std::mem::take(&mut self.remembered().published)
    }
}

#[async_trait]
impl Topic for MemoryTopic {
    async fn publish(&self, message: &Message) -> Result<Delivery, PortError> {
        let mut remembered = self.remembered();
        remembered.answers.pop_front().unwrap_or(Ok(()))?;
        remembered.published.push(message.clone());
        let to = match &message.destination {
            Destination::Pager => "pager".to_owned(),
            Destination::Mail => "mail".to_owned(),
            Destination::Webhook { url } => Url::parse(url).map_or_else(|_| "webhook".to_owned(), |url| shown(&url)),
        };
        Ok(Delivery { to, delivered: true, answer: "200 OK in 0 ms".to_owned() })
    }
}

#[cfg(test)]
#[path = "topic_tests.rs"]
mod tests;
