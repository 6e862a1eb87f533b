//! `broadcast` as a Lambda function: new samples, to open pages.

use std::process::ExitCode;

use broadcast::Broadcaster;
use broadcast::event::answer;
use lambda::runtime::{Mutex, Variable, main as start};

/// What it is told by its environment.
const NEEDED: &[Variable] = &[Variable::Table, Variable::WebsocketApiEndpoint];

fn main() -> ExitCode {
    start("broadcast", NEEDED, async |house| {
        let broadcaster = Mutex::new(Broadcaster::default());
        house
            .serve(async |deadline, event| {
                answer(&house.context, &mut *broadcaster.lock().await, deadline, event).await
            })
            .await
    })
}
