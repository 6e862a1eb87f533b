//! Graphite's pickle protocol, TCP: what carbon relays and bulk senders speak.

use std::net::SocketAddr;

use formats::pickle::{self, Frames, TooLong};

use super::give;
use crate::config::{Graphite, listen_text};
use crate::inputs::listen::{Door, Limits, Stream};
use crate::inputs::{Listener, now};
use crate::intake::Intake;

/// What the listener is called in logs.
const WHAT: &str = "Graphite pickles";

/// The door of the pickle protocol.
pub(in crate::inputs) fn door(graphite: &Graphite, intake: &Intake) -> Door {
    let address = listen_text(&graphite.pickle_listen);
    Door::new(WHAT, address, graphite.allowed(), Limits::of(graphite.gateway), intake)
}

/// The listener behind it.
pub(in crate::inputs) fn listener(door: Door) -> Listener {
    let work = Box::pin(async move { door.tcp(|peer| Pickles::new(peer, &door.intake)).await });
    Listener { name: "graphite pickle".to_owned(), work }
}

/// One connection.
pub(super) struct Pickles {
    frames: Frames,
    peer: SocketAddr,
    intake: Intake,
}

impl Pickles {
    pub(super) fn new(peer: SocketAddr, intake: &Intake) -> Self {
        Self { frames: Frames::new(), peer, intake: intake.clone() }
    }
}

impl Stream for Pickles {
    fn read(&mut self, bytes: &[u8]) -> bool {
        let (peer, intake) = (self.peer, &self.intake);
        let read = self.frames.push(bytes, |pickle| give(pickle::parse(pickle, now()), peer, intake));
        if let Err(error) = &read {
            intake.reject(TooLong::REASON, 1, &format!("{WHAT} from {peer}: {error}"));
        }
        read.is_ok()
    }

    fn end(&mut self) {
        if self.frames.is_within() {
            self.intake.reject(pickle::Fault::CutOff.reason(), 1, &format!("{WHAT} from {}", self.peer));
        }
    }
}
