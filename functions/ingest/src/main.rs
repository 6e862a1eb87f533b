//! `ingest` as a Lambda function: agents' batches and pushes over HTTP, to the stream.

use std::process::ExitCode;

use ingest::event::answer;
use lambda::connections::Connections;
use lambda::runtime::{Variable, main as start};

/// What it is told by its environment.
const NEEDED: &[Variable] =
    &[Variable::Table, Variable::Stream, Variable::WebsocketApiEndpoint, Variable::RawRetentionDays];

fn main() -> ExitCode {
    start("ingest", NEEDED, async |house| {
        let connections = Connections::default();
        house.serve(async |deadline, event| answer(&house.context, &connections, deadline, event).await).await
    })
}
