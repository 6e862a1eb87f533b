//! What a planned reconnect costs: every agent opens its next connection, says hello, and ends the old one.

use std::collections::BTreeMap;

use lambda::Deadline;
use pipeline::ConnectionId;
use ports::Clock as _;
use serde_json::{Value, json};

use super::shift::{Stack, begin, ended, socket};
use super::units::{ASSUMED, Unit};

/// The mean minutes of a connection: an agent draws from 90 to 115.
pub(super) const CONNECTION_MINUTES: f64 = 102.5;

const AUTHORIZE: &str = include_str!("../../../functions/ws-connect/fixtures/authorize-agent.json");
const CONNECT: &str = include_str!("../../../functions/ws-connect/fixtures/connect.json");
const DISCONNECT: &str = include_str!("../../../functions/ws-connect/fixtures/disconnect.json");

impl Stack {
    /// Units of one reconnect.
    pub(super) async fn reconnects(&mut self) -> BTreeMap<Unit, f64> {
        let _ = self.meter.take();
        let mut agents = std::mem::take(&mut self.agents);
        for agent in &mut agents {
            let next = format!("{}-next", agent.connection);
            agent.outgoing = self.embedded.connections().register(ConnectionId(next.clone()));
            let mut asks: Value = serde_json::from_str(AUTHORIZE).unwrap();
            asks["headers"]["Authorization"] = json!(format!("Bearer {}", self.key));
            let allowed = self.connection_event(asks).await;
            let mut opens: Value = serde_json::from_str(CONNECT).unwrap();
            opens["requestContext"]["connectionId"] = json!(next);
            opens["requestContext"]["authorizer"] = allowed["context"].clone();
            assert_eq!(self.connection_event(opens).await["statusCode"], 200);
            self.meter.add(Unit::MessagesIn, 1);
            assert_eq!(self.connection_event(socket(&next, "hello", &agent.hello())).await["statusCode"], 200);
            let mut ends: Value = serde_json::from_str(DISCONNECT).unwrap();
            ends["requestContext"]["connectionId"] = json!(agent.connection);
            self.connection_event(ends).await;
            agent.connection = next;
        }
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let one = |count: u64| count as f64 / agents.len() as f64;
        let units = self.meter.take().into_iter().map(|(unit, count)| (unit, one(count))).collect();
        self.agents = agents;
        units
    }

    async fn connection_event(&mut self, event: Value) -> Value {
        let before = begin(&self.meter);
        // An event that finds no warm process is seldom, and what it waits for is in the assumed milliseconds.
        let (context, known) = (&self.connect.contexts[0], &self.known[2]);
        let answer = ws_connect::event::answer(context, known, Deadline::never(), event).await.unwrap();
        let now = self.clock.now();
        ended(&self.meter, &mut self.connect, 0, before, now);
        self.meter.add(Unit::LogBytes, ASSUMED.connection_line_bytes);
        answer
    }
}
