//! `ws-connect` as a Lambda function: who may open a websocket, and what is said on it.

use std::process::ExitCode;

use lambda::connections::Connections;
use lambda::runtime::{Variable, main as start};
use ws_connect::event::answer;

/// What it is told by its environment.
const NEEDED: &[Variable] =
    &[Variable::Table, Variable::ManifestTable, Variable::Stream, Variable::WebsocketApiEndpoint];

fn main() -> ExitCode {
    start("ws-connect", NEEDED, async |house| {
        let connections = Connections::default();
        house.serve(async |deadline, event| answer(&house.context, &connections, deadline, event).await).await
    })
}
