//! StatsD and DogStatsD on one address, UDP and TCP (`job="statsd"`).
//!
//! Values are gathered by `aggregate.rs` and become samples at each flush, on the step. An event is
//! kept as a log record, a service check as a check result. A bad value is counted with its place.
//! When the agent ends, what was gathered is flushed first.

mod aggregate;
mod dog;
mod spread;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use formats::statsd::{Item, parse_datagram, parse_line};
use formats::{Line, LineSplitter, Reject, Rejects};
use series::{LabelError, Labels, Sample, Timestamp};

use super::listen::{Door, Limits, Stream};
use super::{Listener, now};
use crate::config::Statsd;
use crate::intake::Intake;
use crate::schedule::Steps;
use aggregate::Aggregate;
use dog::Dog;

/// What the listener is called in logs.
const WHAT: &str = "StatsD";
/// Samples given to the intake at once; between two of these it may ask to wait.
const SAMPLES_AT_ONCE: usize = 1_000;

/// The listener, both transports, and its flush.
pub(super) fn listener(statsd: &Statsd, intake: &Intake) -> Result<Listener, LabelError> {
    let intake = if statsd.gateway { intake.for_other_hosts() } else { intake.clone() };
    let gathered = Gathered::new(statsd, &intake)?;
    let door = Door::new(WHAT, statsd.address(), statsd.allowed(), Limits::of(statsd.gateway), &intake);
    let step = statsd.flush.ms();
    let work = Box::pin(async move {
        let last = LastFlush(&gathered);
        tokio::join!(
            door.tcp(|peer| Lines { lines: LineSplitter::new(), peer, gathered: gathered.clone() }),
            door.udp(|datagram, peer| gathered.datagram(datagram, peer)),
            gathered.flush_for_ever(step),
        );
        drop(last);
    });
    Ok(Listener { name: "statsd".to_owned(), work })
}

/// What came in since the last flush. Cloning shares it.
#[derive(Clone)]
struct Gathered {
    shared: Arc<Mutex<Shared>>,
    intake: Intake,
}

struct Shared {
    aggregate: Aggregate,
    dog: Dog,
}

impl Gathered {
    fn new(statsd: &Statsd, intake: &Intake) -> Result<Self, LabelError> {
        let base = intake.base("statsd")?;
        let aggregate = Aggregate::new(base, statsd.gauge_deltas, statsd.flush.ms(), statsd.expire.ms());
        let shared = Arc::new(Mutex::new(Shared { aggregate, dog: Dog::default() }));
        Ok(Self { shared, intake: intake.clone() })
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // A value is added whole or not at all.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn datagram(&self, datagram: &[u8], peer: SocketAddr) {
        let mut rejected = Rejects::default();
        let mut shared = self.shared();
        parse_datagram(datagram, &mut rejected, |item| shared.take(item, &self.intake));
        drop(shared);
        self.refuse(&rejected, peer);
    }

    fn refuse(&self, rejected: &Rejects, peer: SocketAddr) {
        let shown = |reject: &Reject| format!("{WHAT} from {peer}, {reject}");
        for (reason, count) in rejected.by_reason() {
            let first = rejected.iter().find(|reject| reject.reason == *reason);
            self.intake.reject(reason, *count, &first.map(shown).unwrap_or_default());
        }
    }

    async fn flush_for_ever(&self, step_ms: u64) {
        let mut steps = Steps::new(i64::try_from(step_ms).unwrap_or(i64::MAX), None);
        loop {
            tokio::time::sleep(Duration::from_millis(steps.wait_ms(now()))).await;
            let at = steps.stamp(now());
            let mut samples = self.flushed(at).into_iter().peekable();
            let described = self.shared().aggregate.described();
            self.intake.described(at, &described);
            while samples.peek().is_some() {
                self.intake.room().await;
                self.intake.labeled(samples.by_ref().take(SAMPLES_AT_ONCE));
            }
        }
    }

    fn flushed(&self, at: Timestamp) -> Vec<(Labels, Sample)> {
        let mut samples = Vec::new();
        self.shared().aggregate.flush(at, |labels, sample| samples.push((labels, sample)));
        samples
    }
}

impl Shared {
    fn take(&mut self, item: Item<'_>, intake: &Intake) -> Result<(), &'static str> {
        match item {
            Item::Metric(metric) => self.aggregate.add(&metric),
            Item::Event(event) => dog::event(&event, now(), intake),
            Item::ServiceCheck(check) => self.dog.service_check(&check, now(), intake),
        }
    }
}

/// Flushes when it is dropped, which is when the agent ends.
struct LastFlush<'a>(&'a Gathered);

impl Drop for LastFlush<'_> {
    fn drop(&mut self) {
        self.0.intake.labeled(self.0.flushed(now()));
    }
}

/// One connection.
struct Lines {
    lines: LineSplitter,
    peer: SocketAddr,
    gathered: Gathered,
}

impl Lines {
    fn parsed(&mut self, split: impl FnOnce(&mut LineSplitter, &mut dyn FnMut(u64, Line<'_>))) {
        let mut rejected = Rejects::default();
        let Gathered { intake, .. } = &self.gathered;
        let mut shared = self.gathered.shared();
        split(&mut self.lines, &mut |number, line| {
            let line = match line {
                Line::Whole(line) => line,
                Line::TooLong { head, .. } => {
                    let reason = formats::statsd::Fault::LineTooLong.reason();
                    return rejected.push(Reject::new(reason, number, 1, head));
                }
            };
            parse_line(line, number, &mut rejected, &mut |item| shared.take(item, intake));
        });
        drop(shared);
        self.gathered.refuse(&rejected, self.peer);
    }
}

impl Stream for Lines {
    fn read(&mut self, bytes: &[u8]) -> bool {
        self.parsed(|lines, each| lines.push(bytes, each));
        true
    }

    fn end(&mut self) {
        self.parsed(|lines, each| lines.finish(each));
    }
}

#[cfg(test)]
mod tests;
