//! A deployed stack's outputs, for commands that are given its name alone.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::types::{Stack as Described, StackStatus};
use ports::PortError;

use crate::Config;
use crate::connect::load;
use crate::errors::Call;

const PORT: &str = "stack";
const DESCRIBE: Call = Call { port: PORT, service: "CloudFormation", operation: "DescribeStacks" };

/// What a stack says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub region: String,
    /// Its outputs by name.
    pub outputs: BTreeMap<String, String>,
}

impl Stack {
    /// One output; where it is missing, the error says of which stack.
    pub fn output(&self, name: &str) -> Result<&str, PortError> {
        self.outputs.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or_else(|| {
            let what = format!(
                "the stack {} in {} has no output {name}: it was not made from this version's infra/template.yaml, or it is not Daywatch's",
                self.name, self.region
            );
            PortError::permanent(PORT, what)
        })
    }

    /// Where its ports lie.
    pub fn config(&self) -> Result<Config, PortError> {
        let output = |name: &str| self.output(name).map(|value| Some(value.to_owned()));
        Ok(Config {
            table: output("TableName")?,
            manifest_table: output("ManifestTableName")?,
            stream: output("StreamName")?,
            blobs_bucket: output("BlobsBucket")?,
            pager_topic_arn: output("PagerTopicArn")?,
            mail_topic_arn: output("MailTopicArn")?,
            timer_queue_url: output("TimerQueueUrl")?,
            websocket_endpoint: Some(management_endpoint(self.output("WebsocketUrl")?)),
        })
    }
}

/// Browsers connect to `wss://HOST/STAGE`, and messages are posted to `https://HOST/STAGE`.
fn management_endpoint(websocket_url: &str) -> String {
    match websocket_url.strip_prefix("ws") {
        Some(rest) => format!("http{rest}"),
        None => websocket_url.to_owned(),
    }
}

/// Looks a stack up in the region and account of the environment.
pub async fn find(name: &str) -> Result<Stack, PortError> {
    find_in(name, None).await
}

/// Looks a stack up in a region, or in the environment's where none is given.
pub async fn find_in(name: &str, region: Option<&str>) -> Result<Stack, PortError> {
    let shared = load(region).await?;
    let region = shared.region().map(ToString::to_string).unwrap_or_default();
    describe(&Client::new(&shared), name, region).await
}

pub(crate) async fn describe(client: &Client, name: &str, region: String) -> Result<Stack, PortError> {
    let missing = || {
        let what =
            format!("there is no stack {name} in {region}; check the name, AWS_REGION and AWS_PROFILE, or deploy it");
        PortError::permanent(PORT, what)
    };
    let answer = match client.describe_stacks().stack_name(name).send().await {
        Ok(answer) => answer,
        Err(error) if is_absence(error.as_service_error()) => return Err(missing()),
        Err(error) => return Err(DESCRIBE.error(&error)),
    };
    let described = answer.stacks().first().ok_or_else(missing)?;
    usable(described, name, &region)?;
    let pair = |output: &aws_sdk_cloudformation::types::Output| {
        Some((output.output_key()?.to_owned(), output.output_value()?.to_owned()))
    };
    let outputs = described.outputs().iter().filter_map(pair).collect();
    Ok(Stack { name: name.to_owned(), region, outputs })
}

/// The service has no code of its own for it.
fn is_absence(error: Option<&impl ProvideErrorMetadata>) -> bool {
    let meta = error.map(ProvideErrorMetadata::meta);
    let says = |text: &str| text.contains("does not exist");
    meta.is_some_and(|meta| meta.code() == Some("ValidationError") && meta.message().is_some_and(says))
}

/// A stack that was never whole is no stack to work with; one that is being changed is.
fn usable(stack: &Described, name: &str, region: &str) -> Result<(), PortError> {
    use StackStatus::{
        CreateComplete, CreateInProgress, ImportComplete, ImportInProgress, ImportRollbackComplete, ReviewInProgress,
        UpdateComplete, UpdateCompleteCleanupInProgress, UpdateFailed, UpdateInProgress, UpdateRollbackComplete,
        UpdateRollbackCompleteCleanupInProgress, UpdateRollbackInProgress,
    };
    let status = stack.stack_status().cloned().unwrap_or_else(|| "UNKNOWN".into());
    let advice = match status {
        CreateComplete
        | ImportComplete
        | ImportInProgress
        | ImportRollbackComplete
        | UpdateComplete
        | UpdateCompleteCleanupInProgress
        | UpdateInProgress
        | UpdateRollbackComplete
        | UpdateRollbackCompleteCleanupInProgress
        | UpdateRollbackInProgress => return Ok(()),
        // Its outputs are those of before the change, and its parts may be of either side.
        UpdateFailed => "its last change failed; deploy again",
        CreateInProgress | ReviewInProgress => {
            let what = format!("the stack {name} in {region} is being made ({status}); wait until it is complete");
            return Err(PortError::transient(PORT, what));
        }
        _ => "it is not whole; look at its events, destroy it and deploy again",
    };
    let reason = stack.stack_status_reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
    Err(PortError::permanent(PORT, format!("the stack {name} in {region} is {status}{reason}: {advice}")))
}

#[cfg(test)]
#[path = "stack_tests.rs"]
mod tests;
