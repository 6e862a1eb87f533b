//! `query` as a Lambda function: everything that is read over HTTP, and the configuration that is written over it.

use std::process::ExitCode;

use lambda::runtime::{Variable, main as start};
use query::event::answer;

/// What it is told by its environment.
const NEEDED: &[Variable] = &[
    Variable::Table,
    Variable::ManifestTable,
    Variable::BlobsBucket,
    Variable::DownloadsBucket,
    Variable::PagerTopicArn,
    Variable::MailTopicArn,
    Variable::TimerQueueUrl,
    Variable::WebsocketApiEndpoint,
    Variable::WebsocketUrl,
    Variable::ExternalUrl,
];

fn main() -> ExitCode {
    start("query", NEEDED, async |house| {
        house.serve(async |deadline, event| answer(&house.context, deadline, event).await).await
    })
}
