//! What a Lambda's `main.rs` stands on: the environment, the clients, the logs, the metrics, the loop.
//!
//! Everything is built once, before the first event is asked for. Logs are JSON lines of one level
//! deep with the request's id; nothing of an event's content is ever in them. Once a minute, and
//! at once after a failure, one line of CloudWatch's embedded metric format tells what [`crate::meter`] counted.

mod logs;

use std::process::ExitCode;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws::{Adapter, Config};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use metrics_cloudwatch_embedded::Collector;
use pipeline::Context;
use pipeline::acks::Acks;
use ports::PortError;
use serde_json::Value;
use tracing::Instrument as _;

use crate::environment::Environment;
pub use crate::environment::Variable;
use crate::failure::Failure;
use crate::wakes::{Received, Wakes};
use crate::{Deadline, meter, partial};

/// For what a handler remembers and changes: events come one at a time, so it is never waited for.
pub use tokio::sync::Mutex;

/// Where CloudWatch keeps our metrics.
const NAMESPACE: &str = "Daywatch";

/// What a function stands on.
pub struct House {
    /// What it was told.
    pub environment: Environment,
    /// What it is connected to.
    pub adapter: Adapter,
    /// What its handler is given.
    pub context: Context,
    function: &'static str,
    metrics: &'static Collector,
    /// When the counts were written down last.
    emitted: std::sync::Mutex<Option<Instant>>,
}

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Environment(#[from] crate::environment::EnvironmentError),
    #[error("{0} is not set: this program is a Lambda function, which AWS starts")]
    NoLambda(&'static str),
    #[error(transparent)]
    Connect(#[from] PortError),
    #[error("metrics: {0}")]
    Metrics(String),
    #[error("the runtime: {0}")]
    Runtime(String),
}

/// Starts a function: what is wrong is told at once, all of it, and ends the process.
pub fn main<F: Future<Output = Result<(), lambda_runtime::Error>>>(
    function: &'static str,
    needed: &[Variable],
    serve: impl FnOnce(House) -> F,
) -> ExitCode {
    logs::start(variable("AWS_LAMBDA_LOG_LEVEL").as_deref());
    let served = || {
        // A function has less than one core until 1.8 GB: a second thread would only be waited for.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| StartError::Runtime(error.to_string()))?.block_on(async {
            let house = House::open(function, needed).await?;
            serve(house).await.map_err(|error| StartError::Runtime(error.to_string()))
        })
    };
    match served() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(function, "{error}");
            ExitCode::FAILURE
        }
    }
}

impl House {
    async fn open(function: &'static str, needed: &[Variable]) -> Result<Self, StartError> {
        let environment = Environment::read(function, needed, variable)?;
        // The runtime would end in a panic.
        for name in ["AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] {
            variable(name).ok_or(StartError::NoLambda(name))?;
        }
        let adapter = aws::connect(&config(&environment)).await?;
        let mut context = Context::new(meter::metered(adapter.ports.clone()), environment.settings())
            .with_rollups_kept(environment.rollups_kept());
        // An ack a batch would cost as much as the batches.
        context.acks = Acks::WhenCompacted;
        if let Some(bucket) = environment.get(Variable::DownloadsBucket) {
            context = context.with_downloads(adapter.bucket(bucket));
        }
        let name = variable("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
        let metrics = metrics_cloudwatch_embedded::Builder::new()
            .cloudwatch_namespace(NAMESPACE)
            .with_dimension("FunctionName", name)
            .init()
            .map_err(|error| StartError::Metrics(error.to_string()))?;
        Ok(Self { environment, adapter, context, function, metrics, emitted: std::sync::Mutex::default() })
    }

    /// Takes events one after the other, for as long as AWS lets the process live.
    pub async fn serve(
        &self,
        handle: impl AsyncFn(Deadline, Value) -> Result<Value, Failure>,
    ) -> Result<(), lambda_runtime::Error> {
        // An emulator ignores what is handed back in part and loses it; a failure it gives again.
        let whole = variable("AWS_ENDPOINT_URL").is_some();
        lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| self.one(&handle, event, whole))).await
    }

    /// Whether the counts are written down now. What a process has counted when it ends is lost with it:
    /// a minute of what comes all the time, and nothing that somebody waits for.
    fn emits(&self, failed: bool) -> bool {
        let every = Duration::from_millis(meter::EMIT_EVERY_MS.unsigned_abs());
        let mut emitted = self.emitted.lock().unwrap_or_else(PoisonError::into_inner);
        let urgent = meter::is_urgent() || failed;
        if !urgent && emitted.is_some_and(|at| at.elapsed() < every) {
            return false;
        }
        *emitted = Some(now());
        true
    }

    async fn one(
        &self,
        handle: &impl AsyncFn(Deadline, Value) -> Result<Value, Failure>,
        event: LambdaEvent<Value>,
        whole: bool,
    ) -> Result<Value, Diagnostic> {
        let (event, invocation) = event.into_parts();
        let span = tracing::info_span!(
            "invocation",
            function = self.function,
            request_id = invocation.request_id,
            tenant = tracing::field::Empty
        );
        let answer = handle(Deadline::of(remaining(invocation.deadline)), event).instrument(span.clone()).await;
        let answer = answer.and_then(|answer| match partial::handed_back(&answer) {
            records if records > 0 && whole => Err(Failure::HandedBack { records }),
            _ => Ok(answer),
        });
        if let Err(failure) = &answer {
            metrics::counter!("InvocationsFailed").increment(1);
            span.in_scope(|| tracing::error!(kind = failure.kind(), "{failure}"));
        }
        if self.emits(answer.is_err())
            && let Err(error) = self.metrics.set_property("RequestId", invocation.request_id).flush(std::io::stdout())
        {
            tracing::warn!("metrics were not written: {error}");
        }
        answer
            .map_err(|failure| Diagnostic { error_type: failure.kind().to_owned(), error_message: failure.to_string() })
    }
}

fn config(environment: &Environment) -> Config {
    let given = |variable| environment.get(variable).map(str::to_owned);
    Config {
        table: given(Variable::Table),
        manifest_table: given(Variable::ManifestTable),
        stream: given(Variable::Stream),
        blobs_bucket: given(Variable::BlobsBucket),
        pager_topic_arn: given(Variable::PagerTopicArn),
        mail_topic_arn: given(Variable::MailTopicArn),
        timer_queue_url: given(Variable::TimerQueueUrl),
        websocket_endpoint: given(Variable::WebsocketApiEndpoint),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place of the functions that reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "how long an event took is measured here")]
fn now() -> Instant {
    Instant::now()
}

/// What is left until the deadline, which AWS gives as a time of day.
#[expect(clippy::disallowed_methods, reason = "the deadline is a time of day")]
fn remaining(deadline_ms: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(deadline_ms).saturating_sub(now)
}

/// Wake-ups by the queue.
#[async_trait]
impl Wakes for aws::Timers {
    async fn received(&self, body: &str) -> Result<Received, PortError> {
        Ok(match aws::Timers::received(self, body).await? {
            aws::Received::Due(wake) => Received::Due(wake),
            aws::Received::SentAgain => Received::Settled,
        })
    }
}
