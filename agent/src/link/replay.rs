//! Which batch is sent next. Pure.
//!
//! What was in the buffer when the connection came up is backlog; what came since is live. While
//! both wait, three live batches go for one of the backlog; without live ones the backlog goes at
//! full speed, as fast as its acks come. A batch without an ack is sent again after a while.

use std::collections::VecDeque;

use series::Epoch;
use wire::SeqRange;

use crate::store::{Stretch, View};

/// Live batches for one of the backlog.
pub const LIVE_PER_BACKLOG: u32 = 3;
/// Batches of the backlog on their way; it bounds what a live batch has to wait behind.
pub const BACKLOG_IN_FLIGHT_MAX: usize = 8;
/// Live batches on their way. AWS acknowledges a window of ten minutes at once.
pub const LIVE_IN_FLIGHT_MAX: usize = 2_048;
/// After this long a batch that asked for its ack is sent again, ms.
pub const ACK_WAIT_MS: u64 = 30_000;
/// The same for live batches, until the server has shown that it acknowledges at once, ms; more
/// where it says that its acks take longer.
pub const SLOW_ACK_WAIT_MS: u64 = 25 * 60_000;
/// The longest delay that a server may say, ms: what is lost on the way is sent again one day.
pub const ACK_DELAY_MAX_MS: u64 = 2 * 3_600_000;
/// A server that acknowledges within this time does so at once, ms.
const PROMPT_MS: u64 = 10_000;

/// Whether a batch is new or from before the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Made since the connection is up.
    Live,
    /// Older, or sent again: its ack is asked for.
    Backlog,
}

/// What to send: the first batch of a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// Where it is.
    pub stretch: Stretch,
    /// What it counts as.
    pub class: Class,
}

#[derive(Debug, Clone, Copy)]
struct InFlight {
    epoch: Epoch,
    seq: u64,
    class: Class,
    sent_ms: u64,
}

/// What was sent on the present connection, and what is left.
#[derive(Debug, Default)]
pub struct Replay {
    /// Everything from here on is live, for each log.
    boundaries: Vec<Cursor>,
    in_flight: VecDeque<InFlight>,
    /// To be sent again.
    again: VecDeque<(Epoch, u64)>,
    live_in_a_row: u32,
    prompt: bool,
    /// How long acks take, as the server says, ms.
    ack_delay_ms: u64,
}

/// How far one log was sent.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    epoch: Epoch,
    backlog: u64,
    backlog_end: u64,
    live: u64,
}

impl Replay {
    /// The server says how long the acks of live batches may take; 0: nothing.
    pub fn ack_delay(&mut self, delay_ms: u64) {
        self.ack_delay_ms = delay_ms.min(ACK_DELAY_MAX_MS);
    }

    /// Whether an ack within [`PROMPT_MS`] tells of the server, and not of the moment.
    fn is_prompt(&self) -> bool {
        self.prompt && self.ack_delay_ms == 0
    }

    /// A new connection is up: everything that waits is backlog. After a `planned` reconnect what
    /// is on its way is believed to have arrived.
    pub fn connected(&mut self, view: &View, planned: bool) {
        if !planned {
            self.in_flight.clear();
            self.again.clear();
        }
        let before = std::mem::take(&mut self.boundaries);
        for log in view.disk.iter().chain([&view.memory]) {
            let sent = before.iter().find(|cursor| planned && cursor.epoch == log.epoch);
            self.boundaries.push(Cursor {
                epoch: log.epoch,
                backlog: sent.map_or(0, |cursor| cursor.backlog),
                backlog_end: sent.map_or(log.sendable_below, |cursor| cursor.backlog_end),
                live: sent.map_or(log.sendable_below, |cursor| cursor.live),
            });
        }
        self.live_in_a_row = 0;
        self.prompt = false;
    }

    /// What to send now, if anything.
    pub fn pick(&mut self, view: &View) -> Option<Pick> {
        self.know(view);
        let backlog_in_flight = self.in_flight.iter().filter(|sent| sent.class == Class::Backlog).count();
        let live = self.live(view).filter(|_| self.in_flight.len() < LIVE_IN_FLIGHT_MAX);
        let backlog = self.backlog().filter(|_| backlog_in_flight < BACKLOG_IN_FLIGHT_MAX);
        match (live, backlog) {
            (Some(live), None) => Some(live),
            (Some(live), Some(_)) if self.live_in_a_row < LIVE_PER_BACKLOG => Some(live),
            (_, backlog) => backlog,
        }
    }

    /// A log that came to life during the connection is live.
    fn know(&mut self, view: &View) {
        for log in view.disk.iter().chain([&view.memory]) {
            if !self.boundaries.iter().any(|cursor| cursor.epoch == log.epoch) {
                self.boundaries.push(Cursor { epoch: log.epoch, backlog: 0, backlog_end: 0, live: 0 });
            }
        }
    }

    fn live(&self, view: &View) -> Option<Pick> {
        let logs = [Some(&view.memory), view.disk.as_ref()];
        logs.into_iter().flatten().find_map(|log| {
            let cursor = self.boundaries.iter().find(|cursor| cursor.epoch == log.epoch)?;
            let stretch = Stretch { epoch: log.epoch, from: cursor.live, below: log.sendable_below };
            (stretch.from < stretch.below).then_some(Pick { stretch, class: Class::Live })
        })
    }

    fn backlog(&self) -> Option<Pick> {
        let again = self.again.front().map(|(epoch, seq)| Stretch { epoch: *epoch, from: *seq, below: *seq + 1 });
        let rest = self.boundaries.iter().find(|cursor| cursor.backlog < cursor.backlog_end).map(|cursor| Stretch {
            epoch: cursor.epoch,
            from: cursor.backlog,
            below: cursor.backlog_end,
        });
        again.or(rest).map(|stretch| Pick { stretch, class: Class::Backlog })
    }

    /// The pick was sent under this seq, or there was nothing left in its stretch.
    pub fn sent(&mut self, pick: Pick, seq: Option<u64>, now_ms: u64) {
        let Pick { stretch, class } = pick;
        let next = seq.map_or(stretch.below, |seq| seq + 1);
        if class == Class::Backlog && self.again.front() == Some(&(stretch.epoch, stretch.from)) {
            self.again.pop_front();
        } else if let Some(cursor) = self.boundaries.iter_mut().find(|cursor| cursor.epoch == stretch.epoch) {
            match class {
                Class::Live => cursor.live = next,
                Class::Backlog => cursor.backlog = next,
            }
        }
        let Some(seq) = seq else { return };
        self.live_in_a_row = if class == Class::Live { self.live_in_a_row.saturating_add(1) } else { 0 };
        self.in_flight.push_back(InFlight { epoch: stretch.epoch, seq, class, sent_ms: now_ms });
    }

    /// Acks came.
    pub fn acked(&mut self, epoch: Epoch, ranges: &[SeqRange], now_ms: u64) {
        let named = |of: Epoch, seq: u64| of == epoch && ranges.iter().any(|r| (r.from..=r.to).contains(&seq));
        let prompt = self
            .in_flight
            .iter()
            .any(|sent| named(sent.epoch, sent.seq) && sent.class == Class::Live && now_ms < sent.sent_ms + PROMPT_MS);
        self.prompt |= prompt;
        self.in_flight.retain(|sent| !named(sent.epoch, sent.seq));
        self.again.retain(|(of, seq)| !named(*of, *seq));
    }

    /// Time has passed: what waited too long for its ack is to be sent again.
    pub fn tick(&mut self, now_ms: u64) {
        let (prompt, slow_ms) = (self.is_prompt(), slow_ms(self.ack_delay_ms));
        let again = &mut self.again;
        self.in_flight.retain(|sent| {
            let late = now_ms >= due(sent, prompt, slow_ms);
            if late {
                again.push_back((sent.epoch, sent.seq));
            }
            !late
        });
    }

    /// When [`Replay::tick`] has something to do.
    #[must_use]
    pub fn wake_ms(&self) -> Option<u64> {
        let slow_ms = slow_ms(self.ack_delay_ms);
        self.in_flight.iter().map(|sent| due(sent, self.is_prompt(), slow_ms)).min()
    }

    /// Batches on their way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }
}

fn due(sent: &InFlight, prompt: bool, slow_ms: u64) -> u64 {
    let wait = if sent.class == Class::Backlog || prompt { ACK_WAIT_MS } else { slow_ms };
    sent.sent_ms + wait
}

/// An ack that has not come this long after it was to be expected was lost.
fn slow_ms(ack_delay_ms: u64) -> u64 {
    SLOW_ACK_WAIT_MS.max(ack_delay_ms + 2 * 60_000)
}

#[cfg(test)]
mod tests {
    use crate::buffer::{Ledger, LogState};

    use super::*;

    fn log(epoch: u64, next_seq: u64) -> LogState {
        LogState {
            epoch: Epoch(epoch),
            next_seq,
            sendable_below: next_seq,
            ledger: Ledger::default(),
            buffered: 0,
            batches: 0,
            bytes: 0,
            oldest: None,
        }
    }

    fn view(next_seq: u64) -> View {
        View { disk: Some(log(1, next_seq)), memory: log(2, 1), over_half: false, memory_only: false }
    }

    /// Sends up to `count` batches, without acks; shows `L` or `B` and the seq.
    fn send(replay: &mut Replay, view: &View, count: usize) -> String {
        let mut shown = Vec::new();
        while shown.len() < count {
            let Some(pick) = replay.pick(view) else { break };
            let seq = Some(pick.stretch.from.max(1)).filter(|seq| *seq < pick.stretch.below);
            replay.sent(pick, seq, 0);
            if let Some(seq) = seq {
                shown.push(format!("{}{seq}", if pick.class == Class::Live { 'L' } else { 'B' }));
            }
        }
        shown.join(" ")
    }

    fn ack_all(replay: &mut Replay) {
        replay.acked(Epoch(1), &[SeqRange { from: 0, to: u64::MAX }], 0);
    }

    #[test]
    fn three_live_for_one_of_the_backlog() {
        let mut replay = Replay::default();
        replay.connected(&view(101), false);
        assert_eq!(send(&mut replay, &view(109), 11), "L101 L102 L103 B1 L104 L105 L106 B2 L107 L108 B3");
    }

    #[test]
    fn the_backlog_goes_at_full_speed_but_is_bounded() {
        let mut replay = Replay::default();
        replay.connected(&view(101), false);
        assert_eq!(send(&mut replay, &view(101), 100), "B1 B2 B3 B4 B5 B6 B7 B8");
        assert_eq!(send(&mut replay, &view(102), 100), "L101");
        replay.acked(Epoch(1), &[SeqRange { from: 1, to: 3 }], 0);
        assert_eq!(send(&mut replay, &view(102), 100), "B9 B10 B11");
    }

    #[test]
    fn live_batches_in_flight_at_the_limit_and_one_past_it() {
        let mut replay = Replay::default();
        replay.connected(&view(1), false);
        let all = view(LIVE_IN_FLIGHT_MAX as u64 + 2);
        let sent = send(&mut replay, &all, usize::MAX);
        assert_eq!(sent.split(' ').count(), LIVE_IN_FLIGHT_MAX);
        ack_all(&mut replay);
        assert_eq!(send(&mut replay, &all, usize::MAX), format!("L{}", LIVE_IN_FLIGHT_MAX + 1));
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_again() {
        let mut replay = Replay::default();
        replay.connected(&view(3), false);
        assert_eq!(send(&mut replay, &view(4), 100), "L3 B1 B2");
        assert_eq!(replay.wake_ms(), Some(ACK_WAIT_MS));
        replay.tick(ACK_WAIT_MS - 1);
        assert_eq!(replay.pick(&view(4)), None);
        replay.tick(ACK_WAIT_MS);
        assert_eq!(send(&mut replay, &view(4), 100), "B1 B2");
        assert_eq!(replay.wake_ms(), Some(ACK_WAIT_MS));
        replay.tick(SLOW_ACK_WAIT_MS);
        assert_eq!(send(&mut replay, &view(4), 100), "B3 B1 B2");
    }

    #[test]
    fn a_server_that_acknowledges_at_once_is_known_to() {
        let mut replay = Replay::default();
        replay.connected(&view(1), false);
        assert_eq!(send(&mut replay, &view(3), 100), "L1 L2");
        replay.acked(Epoch(1), &[SeqRange { from: 1, to: 1 }], 5);
        assert_eq!(replay.wake_ms(), Some(ACK_WAIT_MS));
    }

    #[test]
    fn a_server_that_says_how_long_its_acks_take_is_believed() {
        for (delay_ms, wait_ms) in [(0, ACK_WAIT_MS), (1, SLOW_ACK_WAIT_MS), (23 * 60_000, SLOW_ACK_WAIT_MS)] {
            let mut replay = Replay::default();
            replay.ack_delay(delay_ms);
            replay.connected(&view(1), false);
            assert_eq!(send(&mut replay, &view(3), 100), "L1 L2");
            // The window of the first one closed just now.
            replay.acked(Epoch(1), &[SeqRange { from: 1, to: 1 }], 5);
            assert_eq!(replay.wake_ms(), Some(wait_ms), "{delay_ms}");
        }
        let mut replay = Replay::default();
        replay.connected(&view(1), false);
        assert_eq!(send(&mut replay, &view(2), 100), "L1");
        replay.ack_delay(u64::MAX);
        assert_eq!(replay.wake_ms(), Some(ACK_DELAY_MAX_MS + 2 * 60_000));
    }

    #[test]
    fn after_a_lost_connection_all_is_backlog_and_after_a_planned_one_nothing() {
        let mut replay = Replay::default();
        replay.connected(&view(1), false);
        assert_eq!(send(&mut replay, &view(3), 100), "L1 L2");
        replay.connected(&view(3), true);
        assert_eq!(send(&mut replay, &view(4), 100), "L3");
        replay.connected(&view(4), false);
        assert_eq!(send(&mut replay, &view(4), 100), "B1 B2 B3");
    }

    #[test]
    fn batches_in_memory_go_first() {
        let mut replay = Replay::default();
        replay.connected(&view(1), false);
        let both = View { memory: log(2, 2), ..view(2) };
        assert_eq!(replay.pick(&both).map(|pick| pick.stretch.epoch), Some(Epoch(2)));
        assert_eq!(send(&mut replay, &both, 100), "L1 L1");
    }
}
