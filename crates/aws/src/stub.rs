//! Answers of the SDK's services, scripted, for what an emulator gets wrong: the clients are the
//! real ones, with their signing, retries and parsing; only the network is not there.

use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::{Credentials, Region};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;

use crate::connect::loader;

/// What a service was sent.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) uri: String,
    /// `X-Amz-Target`'s operation, where the protocol has one.
    pub(crate) operation: String,
    /// `Range`, empty where there is none.
    pub(crate) range: String,
    pub(crate) body: String,
}

impl Seen {
    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What it answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Status and body.
    Http(u16, String),
    /// Status, one header, and body.
    With(u16, (&'static str, String), String),
    /// The connection breaks before the answer, whatever was done.
    Lost,
}

impl Answer {
    pub(crate) fn ok(body: impl ToString) -> Self {
        Self::Http(200, body.to_string())
    }

    /// An error as the JSON protocols spell it.
    pub(crate) fn error(status: u16, code: &str) -> Self {
        let body = serde_json::json!({ "__type": format!("com.amazonaws#{code}"), "message": "secret-payload" });
        Self::Http(status, body.to_string())
    }
}

type Respond = Box<dyn FnMut(&Seen) -> Answer + Send>;

/// A service, and what it has seen.
#[derive(Clone)]
pub(crate) struct Stub(Arc<Mutex<Inner>>);

struct Inner {
    respond: Respond,
    seen: Vec<Seen>,
}

impl Stub {
    /// Answers by a function.
    pub(crate) fn new(respond: impl FnMut(&Seen) -> Answer + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Inner { respond: Box::new(respond), seen: Vec::new() })))
    }

    /// Answers one after another; a further request is a failure of the test.
    pub(crate) fn script(answers: impl IntoIterator<Item = Answer>) -> Self {
        let mut answers = answers.into_iter().collect::<Vec<_>>().into_iter();
        Self::new(move |seen| match answers.next() {
            Some(answer) => answer,
            None => panic!("one more request than the script has: {seen:?}"),
        })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).seen.clone()
    }

    /// The operations that were asked for, in order.
    pub(crate) fn operations(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.operation).collect()
    }

    pub(crate) async fn config(&self) -> SdkConfig {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret-credential", None, None, "tests");
        loader(SharedHttpClient::new(self.clone()))
            .region(Region::new("eu-central-1"))
            .credentials_provider(credentials)
            .load()
            .await
    }
}

impl std::fmt::Debug for Stub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stub")
    }
}

impl HttpClient for Stub {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Stub {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let body = request.body().bytes().unwrap_or_default();
        let seen = Seen {
            method: request.method().to_owned(),
            uri: request.uri().to_owned(),
            operation: target.rsplit('.').next().unwrap_or_default().to_owned(),
            range: request.headers().get("range").unwrap_or_default().to_owned(),
            body: String::from_utf8_lossy(body).into_owned(),
        };
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = (inner.respond)(&seen);
        inner.seen.push(seen);
        HttpConnectorFuture::ready(match answer {
            Answer::Http(status, body) => {
                let mut response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body));
                response.headers_mut().insert("x-amzn-requestid", "req-1");
                Ok(response)
            }
            Answer::With(status, (name, value), body) => {
                let mut response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body));
                response.headers_mut().insert(name, value);
                Ok(response)
            }
            Answer::Lost => Err(ConnectorError::io("the connection was reset".into())),
        })
    }
}
