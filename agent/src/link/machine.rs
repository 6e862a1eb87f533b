//! The life of the connection: when to connect, greet, send a heartbeat, come again, stop. Pure:
//! events go in with the time, actions come out; the loop in `link.rs` carries them out.
//!
//! ```text
//! Waiting ─▶ Connecting ─▶ Greeting ─▶ Up ─▶ Waiting …        Stop from anywhere ─▶ Stopping ─▶ Stopped
//! ```

// A load generator stands in for many agents, so these are not the agent's alone.
pub use wire::reconnect::{BACKOFF_LOCAL_MAX_MS, BACKOFF_MAX_MS, BACKOFF_MIN_MS, GOOD_AFTER_MS, HEARTBEAT_AFTER_MS};
use wire::reconnect::{Jitter, backoff_ms};

use super::wishes::Wishes;

/// Least backoff after a refused key or a taken name, ms.
pub const BACKOFF_REFUSED_MIN_MS: u64 = 10_000;
/// The same for a server on the same host, ms.
pub const BACKOFF_REFUSED_LOCAL_MIN_MS: u64 = 1_000;
/// Time for the addresses, TCP, TLS and the websocket's handshake, ms.
pub const CONNECT_WAIT_MS: u64 = 20_000;
/// Time for the welcome, ms.
pub const WELCOME_WAIT_MS: u64 = 10_000;
/// Reconnect after this long where the server says nothing usable, ms; up to a fifth is taken off
/// at random.
pub const RECONNECT_AFTER_MS: u64 = 115 * 60_000;
/// The least that a server may say, ms.
pub const RECONNECT_AFTER_MIN_MS: u64 = 1_000;
/// Time for the last acks at the end, ms.
pub const STOP_WAIT_MS: u64 = 5_000;
/// The longest wait that a server's `bye` may ask for, ms.
pub const RETRY_AFTER_MAX_MS: u64 = 600_000;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The websocket is open.
    Connected,
    /// The server greets back.
    Welcome {
        /// The server wants a new connection after this long, ms.
        reconnect_after_ms: u64,
        /// The server's clock.
        server_time_ms: i64,
    },
    /// The server wishes samples sooner.
    Wish {
        /// The longest that a sample may wait, ms.
        flush_every_ms: u64,
        /// Until then, by the server's clock.
        expires_at_ms: i64,
    },
    /// The server ends the connection.
    Bye {
        /// `drain`, `name_taken`, ….
        reason: String,
        /// Not sooner than this, ms.
        retry_after_ms: u64,
    },
    /// The connection could not be made, or ended.
    Lost(Loss),
    /// A frame was sent.
    Sent,
    /// The program shall end.
    Stop,
    /// Nothing is left to be sent or acknowledged.
    Drained,
    /// Time has passed.
    Tick,
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The server does not take the key: 401 or 403.
    KeyRefused,
    /// Anything else.
    Other,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Begin to connect.
    Connect,
    /// Send `hello`.
    SendHello,
    /// Batches may be sent from now on.
    Begin {
        /// Whether the connection before was ended by plan.
        planned: bool,
    },
    /// Send `heartbeat`.
    SendHeartbeat,
    /// Send `bye`.
    SendBye,
    /// Close the socket, or give up connecting.
    Close,
    /// The flush interval is this from now on; `None` is the default.
    FlushEvery(Option<u64>),
    /// The end.
    Finish,
}

/// Where the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting { until_ms: u64 },
    Connecting { deadline_ms: u64 },
    Greeting { deadline_ms: u64 },
    Up { since_ms: u64, reconnect_ms: u64 },
    Stopping { deadline_ms: u64 },
    Stopped,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    state: State,
    /// Whether the server is on the same host.
    local: bool,
    /// Connections in a row that did not do well.
    failures: u32,
    /// Whether the connection before was ended by plan.
    planned: bool,
    last_sent_ms: u64,
    /// The server's clock minus ours, ms.
    clock_offset_ms: i64,
    /// What the server wishes at present.
    wishes: Wishes,
    random: Jitter,
}

impl Machine {
    /// A machine that connects at once. `seed` makes its jitter.
    #[must_use]
    pub fn new(seed: u64, local: bool) -> Self {
        Self {
            state: State::Waiting { until_ms: 0 },
            local,
            failures: 0,
            planned: false,
            last_sent_ms: 0,
            clock_offset_ms: 0,
            wishes: Wishes::default(),
            random: Jitter::new(seed),
        }
    }

    /// Whether batches may be sent.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. } | State::Stopping { .. })
    }

    /// The state's name, for `status`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.state {
            State::Waiting { .. } => "waiting",
            State::Connecting { .. } => "connecting",
            State::Greeting { .. } => "greeting",
            State::Up { .. } => "up",
            State::Stopping { .. } => "stopping",
            State::Stopped => "stopped",
        }
    }

    /// When to call with [`Event::Tick`] at the latest.
    #[must_use]
    pub fn wake_ms(&self) -> Option<u64> {
        let own = match self.state {
            State::Waiting { until_ms } => until_ms,
            State::Connecting { deadline_ms } | State::Greeting { deadline_ms } | State::Stopping { deadline_ms } => {
                deadline_ms
            }
            State::Up { reconnect_ms, .. } => reconnect_ms.min(self.last_sent_ms + HEARTBEAT_AFTER_MS),
            State::Stopped => return None,
        };
        Some(self.wishes.next_end_ms().map_or(own, |wish| wish.min(own)))
    }

    /// One event.
    pub fn step(&mut self, now_ms: u64, event: Event) -> Vec<Action> {
        match (self.state, event) {
            (State::Stopped, _) => Vec::new(),
            (State::Stopping { .. }, Event::Drained) => self.stop(vec![Action::SendBye, Action::Close]),
            (State::Stopping { .. }, Event::Lost(_) | Event::Bye { .. }) => self.stop(vec![Action::Close]),
            (State::Up { .. }, Event::Stop) => {
                self.state = State::Stopping { deadline_ms: now_ms + STOP_WAIT_MS };
                Vec::new()
            }
            (State::Stopping { .. }, Event::Stop) => Vec::new(),
            (_, Event::Stop) => self.stop(vec![Action::Close]),
            (_, Event::Drained) => Vec::new(),
            (_, Event::Sent) => {
                self.last_sent_ms = now_ms;
                Vec::new()
            }
            (State::Connecting { .. }, Event::Connected) => {
                self.state = State::Greeting { deadline_ms: now_ms + WELCOME_WAIT_MS };
                vec![Action::SendHello]
            }
            (State::Greeting { .. }, Event::Welcome { reconnect_after_ms, server_time_ms }) => {
                self.welcome(now_ms, reconnect_after_ms, server_time_ms)
            }
            (_, Event::Connected | Event::Welcome { .. }) => Vec::new(),
            (_, Event::Wish { flush_every_ms, expires_at_ms }) => self.wish(now_ms, flush_every_ms, expires_at_ms),
            (State::Waiting { .. }, Event::Lost(_) | Event::Bye { .. }) => Vec::new(),
            (_, Event::Lost(loss)) => {
                self.planned = false;
                let least_ms = if loss == Loss::KeyRefused { self.refused_min_ms() } else { 0 };
                self.wait(now_ms, least_ms)
            }
            (_, Event::Bye { reason, retry_after_ms }) => {
                self.planned = reason == "drain";
                let least_ms = if reason == "drain" { 0 } else { self.refused_min_ms() };
                self.wait(now_ms, least_ms.max(retry_after_ms.min(RETRY_AFTER_MAX_MS)))
            }
            (_, Event::Tick) => self.tick(now_ms),
        }
    }

    fn welcome(&mut self, now_ms: u64, reconnect_after_ms: u64, server_time_ms: i64) -> Vec<Action> {
        let most = if reconnect_after_ms == 0 { RECONNECT_AFTER_MS } else { reconnect_after_ms };
        let most = most.clamp(RECONNECT_AFTER_MIN_MS, RECONNECT_AFTER_MS);
        let reconnect_ms = now_ms + most - self.random.below(most / 5);
        self.state = State::Up { since_ms: now_ms, reconnect_ms };
        self.clock_offset_ms = server_time_ms.saturating_sub(now_ms as i64);
        self.last_sent_ms = now_ms;
        vec![Action::Begin { planned: std::mem::take(&mut self.planned) }]
    }

    fn wish(&mut self, now_ms: u64, flush_every_ms: u64, expires_at_ms: i64) -> Vec<Action> {
        let left = expires_at_ms.saturating_sub(self.clock_offset_ms).saturating_sub(now_ms as i64);
        if left <= 0 {
            self.wishes.clear();
        } else {
            self.wishes.add(flush_every_ms, now_ms.saturating_add(left as u64));
        }
        vec![Action::FlushEvery(self.wishes.shortest_ms())]
    }

    fn tick(&mut self, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.wishes.end(now_ms) {
            actions.push(Action::FlushEvery(self.wishes.shortest_ms()));
        }
        match self.state {
            State::Waiting { until_ms } if until_ms <= now_ms => {
                self.state = State::Connecting { deadline_ms: now_ms + CONNECT_WAIT_MS };
                actions.push(Action::Connect);
            }
            State::Connecting { deadline_ms } | State::Greeting { deadline_ms } if deadline_ms <= now_ms => {
                actions.extend(self.wait(now_ms, 0));
            }
            State::Up { reconnect_ms, .. } if reconnect_ms <= now_ms => {
                self.planned = true;
                self.failures = 0;
                self.state = State::Waiting { until_ms: now_ms };
                actions.extend([Action::SendBye, Action::Close]);
            }
            State::Up { .. } if self.last_sent_ms + HEARTBEAT_AFTER_MS <= now_ms => {
                self.last_sent_ms = now_ms;
                actions.push(Action::SendHeartbeat);
            }
            State::Stopping { deadline_ms } if deadline_ms <= now_ms => {
                actions.extend(self.stop(vec![Action::SendBye, Action::Close]));
            }
            _ => {}
        }
        actions
    }

    fn wait(&mut self, now_ms: u64, least_ms: u64) -> Vec<Action> {
        if let State::Up { since_ms, .. } = self.state
            && now_ms >= since_ms + GOOD_AFTER_MS
        {
            self.failures = 0;
        }
        let backoff = backoff_ms(self.failures, self.local);
        self.failures = self.failures.saturating_add(1);
        let until_ms = now_ms + least_ms + self.random.below(backoff);
        self.state = State::Waiting { until_ms };
        vec![Action::Close]
    }

    fn refused_min_ms(&self) -> u64 {
        if self.local { BACKOFF_REFUSED_LOCAL_MIN_MS } else { BACKOFF_REFUSED_MIN_MS }
    }

    fn stop(&mut self, mut actions: Vec<Action>) -> Vec<Action> {
        self.state = State::Stopped;
        actions.push(Action::Finish);
        actions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn welcome() -> Event {
        Event::Welcome { reconnect_after_ms: 3_600_000, server_time_ms: 1_000_000 }
    }

    /// A machine that is up at time 0.
    fn up() -> Machine {
        let mut machine = Machine::new(1, false);
        assert_eq!(machine.step(0, Event::Tick), [Action::Connect]);
        assert_eq!(machine.step(0, Event::Connected), [Action::SendHello]);
        assert_eq!(machine.step(0, welcome()), [Action::Begin { planned: false }]);
        assert!(machine.is_up());
        machine
    }

    #[test]
    fn silence_is_broken_by_heartbeats() {
        let mut machine = up();
        assert_eq!(machine.wake_ms(), Some(HEARTBEAT_AFTER_MS));
        assert_eq!(machine.step(HEARTBEAT_AFTER_MS - 1, Event::Tick), []);
        machine.step(HEARTBEAT_AFTER_MS - 1, Event::Sent);
        assert_eq!(machine.step(HEARTBEAT_AFTER_MS, Event::Tick), []);
        assert_eq!(machine.step(2 * HEARTBEAT_AFTER_MS - 1, Event::Tick), [Action::SendHeartbeat]);
        assert_eq!(machine.step(2 * HEARTBEAT_AFTER_MS, Event::Tick), []);
    }

    #[test]
    fn the_backoff_grows_with_full_jitter_up_to_its_limit() {
        for (local, most) in [(false, BACKOFF_MAX_MS), (true, BACKOFF_LOCAL_MAX_MS)] {
            let mut longest = 0;
            for seed in 0..50 {
                let mut machine = Machine::new(seed, local);
                for failures in 0..30 {
                    assert_eq!(machine.step(0, Event::Tick), [Action::Connect]);
                    assert_eq!(machine.step(0, Event::Lost(Loss::Other)), [Action::Close]);
                    let wait = machine.wake_ms().unwrap();
                    assert!(wait <= (BACKOFF_MIN_MS << failures).min(most), "{failures}: {wait}");
                    longest = longest.max(wait);
                    machine.state = State::Waiting { until_ms: 0 };
                }
            }
            assert!(longest > most * 9 / 10, "{longest}");
        }
    }

    #[test]
    fn a_good_connection_starts_the_backoff_anew() {
        for (lived_ms, failures) in [(GOOD_AFTER_MS - 1, 6), (GOOD_AFTER_MS, 1)] {
            let mut machine = up();
            machine.failures = 5;
            machine.step(lived_ms, Event::Lost(Loss::Other));
            assert_eq!(machine.failures, failures);
        }
    }

    #[test]
    fn a_refused_key_and_a_taken_name_wait_longer_and_never_end() {
        let mut machine = Machine::new(1, false);
        for _ in 0..100 {
            machine.step(u64::MAX / 2, Event::Tick);
            machine.step(u64::MAX / 2, Event::Lost(Loss::KeyRefused));
            assert!(machine.wake_ms().unwrap() >= u64::MAX / 2 + BACKOFF_REFUSED_MIN_MS);
            machine.state = State::Waiting { until_ms: 0 };
        }
        let mut machine = up();
        let bye = |reason: &str, retry_after_ms| Event::Bye { reason: reason.into(), retry_after_ms };
        assert_eq!(machine.step(5, bye("name_taken", 0)), [Action::Close]);
        assert!(machine.wake_ms().unwrap() >= 5 + BACKOFF_REFUSED_MIN_MS);
        let mut machine = up();
        machine.step(5, bye("name_taken", u64::MAX));
        assert!(machine.wake_ms().unwrap() <= 5 + RETRY_AFTER_MAX_MS + BACKOFF_MIN_MS);
    }

    #[test]
    fn a_planned_reconnect_is_random_within_the_last_fifth_and_told() {
        for seed in 0..100 {
            let mut machine = Machine::new(seed, false);
            machine.step(0, Event::Tick);
            machine.step(0, Event::Connected);
            machine.step(0, welcome());
            let State::Up { reconnect_ms, .. } = machine.state else { panic!("not up") };
            assert!((2_880_000..=3_600_000).contains(&reconnect_ms), "{reconnect_ms}");
            assert_eq!(machine.step(reconnect_ms, Event::Tick), [Action::SendBye, Action::Close]);
            assert_eq!(machine.step(reconnect_ms, Event::Tick), [Action::Connect]);
            machine.step(reconnect_ms, Event::Connected);
            assert_eq!(machine.step(reconnect_ms, welcome()), [Action::Begin { planned: true }]);
        }
    }

    #[test]
    fn hanging_servers_are_given_up() {
        let mut machine = Machine::new(1, false);
        machine.step(0, Event::Tick);
        assert_eq!(machine.step(CONNECT_WAIT_MS - 1, Event::Tick), []);
        assert_eq!(machine.step(CONNECT_WAIT_MS, Event::Tick), [Action::Close]);
        machine.state = State::Waiting { until_ms: 0 };
        machine.step(0, Event::Tick);
        machine.step(0, Event::Connected);
        assert_eq!(machine.step(WELCOME_WAIT_MS, Event::Tick), [Action::Close]);
    }

    #[test]
    fn a_wish_ends_by_the_servers_clock() {
        let mut machine = up();
        let wish = |expires_at_ms| Event::Wish { flush_every_ms: 1_000, expires_at_ms };
        // The server's clock said 1,000,000 at 0.
        assert_eq!(machine.step(10, wish(1_000_500)), [Action::FlushEvery(Some(1_000))]);
        assert_eq!(machine.wake_ms(), Some(500));
        assert_eq!(machine.step(499, Event::Tick), []);
        assert_eq!(machine.step(500, Event::Tick), [Action::FlushEvery(None)]);
        assert_eq!(machine.step(600, wish(1_000_600)), [Action::FlushEvery(None)]);
        assert_eq!(machine.step(600, wish(i64::MIN)), [Action::FlushEvery(None)]);
        assert_eq!(machine.step(600, wish(i64::MAX)), [Action::FlushEvery(Some(1_000))]);
    }

    #[test]
    fn the_shortest_wish_counts_and_the_longer_one_is_there_when_it_ends() {
        let mut machine = up();
        let wish = |flush_every_ms, expires_at_ms| Event::Wish { flush_every_ms, expires_at_ms };
        assert_eq!(machine.step(0, wish(15_000, 1_009_000)), [Action::FlushEvery(Some(15_000))]);
        assert_eq!(machine.step(0, wish(1_000, 1_000_500)), [Action::FlushEvery(Some(1_000))]);
        assert_eq!(machine.step(500, Event::Tick), [Action::FlushEvery(Some(15_000))]);
        assert_eq!(machine.step(9_000, Event::Tick), [Action::FlushEvery(None)]);
    }

    #[test]
    fn stopping_waits_for_the_last_acks_but_not_for_ever() {
        let ended = [Action::SendBye, Action::Close, Action::Finish];
        let mut machine = up();
        assert_eq!(machine.step(10, Event::Stop), []);
        assert!(machine.is_up());
        assert_eq!(machine.step(20, Event::Drained), ended);
        let mut machine = up();
        machine.step(10, Event::Stop);
        assert_eq!(machine.step(10 + STOP_WAIT_MS, Event::Tick), ended);
        assert_eq!(machine.wake_ms(), None);
        let mut machine = Machine::new(1, false);
        assert_eq!(machine.step(0, Event::Stop), [Action::Close, Action::Finish]);
    }
}
