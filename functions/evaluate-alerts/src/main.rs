//! `evaluate-alerts` as a Lambda function: states and samples, to notifications.

use std::process::ExitCode;

use evaluate_alerts::event::answer;
use lambda::pace::Pace;
use lambda::runtime::{Variable, main as start};

/// What it is told by its environment.
const NEEDED: &[Variable] = &[
    Variable::Table,
    Variable::ManifestTable,
    Variable::Stream,
    Variable::BlobsBucket,
    Variable::PagerTopicArn,
    Variable::MailTopicArn,
    Variable::TimerQueueUrl,
    Variable::WebsocketApiEndpoint,
    Variable::ExternalUrl,
];

fn main() -> ExitCode {
    start("evaluate-alerts", NEEDED, async |house| {
        let (wakes, pace) = (house.adapter.timers.clone(), Pace::default());
        house.serve(async |deadline, event| answer(&house.context, &wakes, &pace, deadline, event).await).await
    })
}
