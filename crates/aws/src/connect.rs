//! Builds every client once. Nothing is asked of AWS here: names are believed until first used, and
//! credentials are fetched with the first request.

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_apigatewaymanagement::config::retry::RetryConfig;
use aws_sdk_apigatewaymanagement::config::timeout::TimeoutConfig;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use ports::{Blobs, Clock, PortError, Ports, Push, Stream};

use crate::blobs::Bucket;
use crate::clock::{OsEntropy, SystemClock};
use crate::config::Config;
use crate::http::LazyClient;
use crate::missing;
use crate::push::Gateway;
use crate::stream::Kinesis;
use crate::table::Documents;
use crate::timer::Timers;
use crate::topic::Topics;

/// To a host in the same region a connection takes a millisecond or two.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// One try of a small request, and all tries of it: well below a function's shortest time limit.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(12);
/// The same for an object, which may be large.
const OBJECT_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
const OBJECT_OPERATION_TIMEOUT: Duration = Duration::from_secs(45);
/// Tries of a request. A second try may apply a write twice: see `table/write.rs`.
const ATTEMPTS_MAX: u32 = 4;
/// The wait before the second try is random below this, and doubles.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// The ports, and what is the adapter's own.
#[derive(Clone)]
pub struct Adapter {
    /// For the pipeline.
    pub ports: Ports,
    /// The way out of the timer port.
    pub timers: Timers,
    s3: aws_sdk_s3::Client,
}

impl Adapter {
    /// The objects of another bucket, by the same port: the agent's binaries, or what a mapping put
    /// aside as failed.
    #[must_use]
    pub fn bucket(&self, name: &str) -> Arc<dyn Blobs> {
        Arc::new(Bucket::new(self.s3.clone(), name.to_owned()))
    }
}

/// The SDK's clients by the environment's region, credentials and endpoint.
pub async fn connect(config: &Config) -> Result<Adapter, PortError> {
    connect_in(config, None).await
}

/// The same in a region that is known already, as a stack's is.
pub async fn connect_in(config: &Config, region: Option<&str>) -> Result<Adapter, PortError> {
    Ok(adapter(&load(region).await?, config, Arc::new(SystemClock::default())))
}

/// Region, credentials and endpoint by the SDK's own rules; no region is an error.
pub(crate) async fn load(region: Option<&str>) -> Result<SdkConfig, PortError> {
    let loader = loader(SharedHttpClient::new(LazyClient::default()));
    let shared = match region {
        Some(name) => loader.region(Region::new(name.to_owned())).load().await,
        None => loader.load().await,
    };
    if shared.region().is_none() {
        let what = "no AWS region is set: set AWS_REGION, or a region in the profile that AWS_PROFILE names";
        return Err(PortError::permanent("aws", what));
    }
    Ok(shared)
}

/// What all clients share but for where they call.
pub(crate) fn loader(http: SharedHttpClient) -> ConfigLoader {
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS_MAX)
        .with_initial_backoff(INITIAL_BACKOFF)
        .with_max_backoff(BACKOFF_MAX);
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(retries)
        .timeout_config(timeouts(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT))
}

fn timeouts(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation)
        .build()
}

/// All ports on one configuration of the SDK.
pub(crate) fn adapter(shared: &SdkConfig, config: &Config, clock: Arc<dyn Clock>) -> Adapter {
    let dynamo = aws_sdk_dynamodb::Client::new(shared);
    let s3 = s3_client(shared);
    let sqs = aws_sdk_sqs::Client::new(shared);
    let stream: Arc<dyn Stream> = match &config.stream {
        Some(name) => Arc::new(Kinesis::new(aws_sdk_kinesis::Client::new(shared), name.clone())),
        None => Arc::new(missing::STREAM),
    };
    let blobs: Arc<dyn Blobs> = match &config.blobs_bucket {
        Some(name) => Arc::new(Bucket::new(s3.clone(), name.clone())),
        None => Arc::new(missing::BLOBS),
    };
    let push: Arc<dyn Push> = match &config.websocket_endpoint {
        Some(endpoint) => Arc::new(Gateway::new(gateway_client(shared, endpoint))),
        None => Arc::new(missing::PUSH),
    };
    let timers = Timers::new(sqs, dynamo.clone(), config, Arc::clone(&clock));
    let ports = Ports {
        stream,
        table: Arc::new(Documents::new(dynamo, config, Arc::clone(&clock))),
        blobs,
        topic: Arc::new(Topics::new(sns_client(shared), config)),
        push,
        timer: Arc::new(timers.clone()),
        clock,
        entropy: Arc::new(OsEntropy),
    };
    Adapter { ports, timers, s3 }
}

fn s3_client(shared: &SdkConfig) -> aws_sdk_s3::Client {
    let builder = aws_sdk_s3::config::Builder::from(shared)
        .timeout_config(timeouts(OBJECT_ATTEMPT_TIMEOUT, OBJECT_OPERATION_TIMEOUT));
    // An endpoint of one's own has no name for each bucket.
    let builder = if shared.endpoint_url().is_some() { builder.force_path_style(true) } else { builder };
    aws_sdk_s3::Client::from_conf(builder.build())
}

/// A publish that is tried twice may page twice: who publishes decides.
pub(crate) fn sns_client(shared: &SdkConfig) -> aws_sdk_sns::Client {
    let builder = aws_sdk_sns::config::Builder::from(shared).retry_config(RetryConfig::disabled());
    aws_sdk_sns::Client::from_conf(builder.build())
}

/// Posting is lossy by design, and who is throttled wants to know it at once.
fn gateway_client(shared: &SdkConfig, endpoint: &str) -> aws_sdk_apigatewaymanagement::Client {
    let builder = aws_sdk_apigatewaymanagement::config::Builder::from(shared)
        .endpoint_url(endpoint.trim_end_matches('/'))
        .retry_config(RetryConfig::disabled());
    aws_sdk_apigatewaymanagement::Client::from_conf(builder.build())
}
