//! One HTTP client for all services, made when the first request needs it.
//!
//! The SDK's own client loads the host's certificates once for each service while it is being
//! built. Here that happens once, and not at all before the first request, which keeps it out of a
//! function's cold start where the function ends up needing nothing.

use std::sync::OnceLock;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// A connection that was idle for longer is not used again. A function is frozen between its events,
/// and meanwhile the other end closes: a request on such a connection fails, and not all are retried.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// All services connect with the same settings (`connect.rs`), so one connector serves them all.
#[derive(Debug, Default)]
pub(crate) struct LazyClient {
    connector: OnceLock<SharedHttpConnector>,
}

impl HttpClient for LazyClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let build = || {
            let mut builder = Connector::builder().connector_settings(settings.clone()).pool_idle_timeout(IDLE_MAX);
            builder.set_sleep_impl(components.sleep_impl());
            SharedHttpConnector::new(builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).build())
        };
        self.connector.get_or_init(build).clone()
    }
}
