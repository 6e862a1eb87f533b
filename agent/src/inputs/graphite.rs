//! Graphite's plaintext protocol on one address, TCP and UDP (`job="graphite"`).
//!
//! A bad line is counted with its place, and its connection stays. What a line means is
//! `formats::graphite`'s, which also limits its length; who may send is `listen.rs`'s.
//!
//! As a gateway the agent takes lines of other hosts: their samples carry its name as `source`, but
//! no `instance`, for which host a line is from only the line can say.

mod pickled;

use std::net::SocketAddr;

use formats::graphite::{Connection, parse_body};
use formats::{Parsed, Reject};

use super::listen::{Door, Limits, Stream};
use super::{Listener, health, now};
use crate::config::{Graphite, listen_text};
use crate::intake::Intake;

/// What the listener is called in logs.
const WHAT: &str = "Graphite lines";

/// The listeners of the section: lines, pickles and, for a gateway, its health check.
pub(super) fn listeners(graphite: &Graphite, intake: &Intake) -> Vec<Listener> {
    let intake = if graphite.gateway { intake.for_other_hosts() } else { intake.clone() };
    let limits = Limits::of(graphite.gateway);
    let (mut listeners, mut open) = (Vec::new(), Vec::new());
    if !graphite.address().is_empty() {
        let door = Door::new(WHAT, graphite.address(), graphite.allowed(), limits, &intake);
        open.push(door.open.clone());
        let work = Box::pin(async move {
            tokio::join!(door.tcp(|peer| Lines::new(peer, &door.intake)), udp(&door));
        });
        listeners.push(Listener { name: "graphite".to_owned(), work });
    }
    if !listen_text(&graphite.pickle_listen).is_empty() {
        let door = pickled::door(graphite, &intake);
        open.push(door.open.clone());
        listeners.push(pickled::listener(door));
    }
    let health = listen_text(&graphite.health_listen);
    if !health.is_empty() {
        let door = Door::new(health::WHAT, health, graphite.allowed(), limits, &intake);
        listeners.push(Listener { name: "health".to_owned(), work: Box::pin(health::serve(door, open)) });
    }
    listeners
}

async fn udp(door: &Door) {
    door.udp(|datagram, peer| give(parse_body(datagram, now()), peer, &door.intake)).await;
}

/// One connection.
struct Lines {
    lines: Connection,
    peer: SocketAddr,
    intake: Intake,
}

impl Lines {
    fn new(peer: SocketAddr, intake: &Intake) -> Self {
        Self { lines: Connection::new(), peer, intake: intake.clone() }
    }
}

impl Stream for Lines {
    fn read(&mut self, bytes: &[u8]) -> bool {
        let mut parsed = Parsed::default();
        self.lines.read(bytes, now(), &mut parsed);
        give(parsed, self.peer, &self.intake);
        true
    }

    fn end(&mut self) {
        let mut parsed = Parsed::default();
        self.lines.close(now(), &mut parsed);
        give(parsed, self.peer, &self.intake);
    }
}

fn give(parsed: Parsed, peer: SocketAddr, intake: &Intake) {
    let shown = |reject: &Reject| format!("Graphite from {peer}, {reject}");
    for (reason, count) in parsed.rejected.by_reason() {
        let first = parsed.rejected.iter().find(|reject| reject.reason == *reason);
        intake.reject(reason, *count, &first.map(shown).unwrap_or_default());
    }
    if !parsed.samples.is_empty() {
        intake.samples("graphite", parsed.samples);
    }
}

#[cfg(test)]
mod tests;
