//! The push port on API Gateway's management of connections. It must not know what is sent.

use async_trait::async_trait;
use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_apigatewaymanagement::primitives::Blob;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use ports::{ConnectionId, PUSH_BYTES_MAX, PortError, Push, Pushed};

use crate::errors::Call;

const PORT: &str = "push";
const POST: Call = Call { port: PORT, service: "API Gateway", operation: "PostToConnection" };
const DELETE: Call = Call { port: PORT, service: "API Gateway", operation: "DeleteConnection" };

/// The push port.
pub(crate) struct Gateway {
    client: Client,
}

impl Gateway {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }
}

/// What an answer means for a connection; `None` where it is an error.
fn outcome(code: Option<&str>, status: u16) -> Option<Pushed> {
    match (code, status) {
        (Some("GoneException"), _) | (_, 410) => Some(Pushed::Gone),
        // The gateway calls an id that it has never given bad, and what we send is always well formed.
        (Some("BadRequestException"), _) => Some(Pushed::Gone),
        (Some("PayloadTooLargeException"), _) | (_, 413) => Some(Pushed::TooLarge),
        (Some("LimitExceededException"), _) | (_, 429) => Some(Pushed::Throttled),
        _ => None,
    }
}

fn judged<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<Pushed> {
    let status = error.raw_response().map(|response| response.status().as_u16()).unwrap_or_default();
    outcome(error.as_service_error().and_then(ProvideErrorMetadata::code), status)
}

#[async_trait]
impl Push for Gateway {
    async fn post(&self, connection: &ConnectionId, text: String) -> Result<Pushed, PortError> {
        if text.len() > PUSH_BYTES_MAX {
            return Ok(Pushed::TooLarge);
        }
        let request = self.client.post_to_connection().connection_id(&connection.0);
        match request.data(Blob::new(text.into_bytes())).send().await {
            Ok(_) => Ok(Pushed::Sent),
            Err(error) => judged(&error).ok_or_else(|| POST.error(&error)),
        }
    }

    async fn disconnect(&self, connection: &ConnectionId) -> Result<(), PortError> {
        match self.client.delete_connection().connection_id(&connection.0).send().await {
            Ok(_) => Ok(()),
            Err(error) if judged(&error) == Some(Pushed::Gone) => Ok(()),
            Err(error) => Err(DELETE.error(&error)),
        }
    }
}

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
