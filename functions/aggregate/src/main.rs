//! `aggregate` as a Lambda function: the stream, to blocks.

use std::process::ExitCode;

use aggregate::event::answer;
use lambda::pace::Pace;
use lambda::runtime::{Variable, main as start};

/// What it is told by its environment.
const NEEDED: &[Variable] = &[
    Variable::Table,
    Variable::ManifestTable,
    Variable::BlobsBucket,
    Variable::FailedBucket,
    Variable::RawRetentionDays,
    Variable::FiveMinutesRetentionDays,
    Variable::HoursRetentionDays,
];

fn main() -> ExitCode {
    start("aggregate", NEEDED, async |house| {
        let failed = house.adapter.bucket(&house.environment.text(Variable::FailedBucket));
        let pace = Pace::default();
        house.serve(async |deadline, event| answer(&house.context, &*failed, &pace, deadline, event).await).await
    })
}
