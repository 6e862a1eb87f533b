//! What a sending agent has made, sent and had acknowledged. Pure: the time is an argument.

use std::collections::VecDeque;

use series::{Epoch, SourceName, Timestamp};
use wire::{AgentFrame, Batch, Contents, Counters, PAYLOAD_BYTES_MAX, SeqRange, chunk};

use wire::imagined::Host;

/// Batches that wait for their acks; beyond, the oldest is evicted and counted, as by an agent.
pub(super) const WAITING_MAX: usize = 1_000;
/// Steps of one outage that are made up for; as many batches would be evicted again.
const STEPS_LATE_MAX: i64 = WAITING_MAX as i64;

/// One agent's data.
pub(super) struct Sender {
    source: SourceName,
    epoch: Epoch,
    host: Host,
    step_ms: i64,
    /// How long after a step's time it is collected: agents do not all send at the same moment.
    phase_ms: i64,
    next_step: Option<i64>,
    next_seq: u64,
    waiting: VecDeque<Waiting>,
    counters: Counters,
}

struct Waiting {
    batch: Batch,
    sent_at: Option<Timestamp>,
    /// It goes out for the second time.
    again: bool,
}

/// What an ack settled.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) batches: u64,
    pub(super) samples: u64,
    /// From sending to the ack, of batches that went out once, ms.
    pub(super) waits_ms: Vec<u64>,
}

impl Sender {
    /// `series` each `step_ms`, collected `phase_ms` after each step.
    pub(super) fn new(source: SourceName, epoch: Epoch, (series, step_ms, phase_ms): (u32, i64, i64)) -> Self {
        let host = Host::new(&source, series, epoch.0);
        Self {
            source,
            epoch,
            host,
            step_ms,
            phase_ms,
            next_step: None,
            next_seq: 1,
            waiting: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// When [`Sender::collect`] has something to do.
    pub(super) fn due(&self, now: Timestamp) -> Timestamp {
        let step = self.next_step.unwrap_or_else(|| now.ms().div_euclid(self.step_ms) + 1);
        Timestamp(step * self.step_ms + self.phase_ms)
    }

    /// Makes the batches of every step that is due. Answers the samples that were made and those
    /// that fell out of the full buffer.
    pub(super) fn collect(&mut self, now: Timestamp) -> (u64, u64) {
        let newest = (now.ms() - self.phase_ms).div_euclid(self.step_ms);
        let first = self.next_step.unwrap_or_else(|| now.ms().div_euclid(self.step_ms) + 1);
        let first = first.max(newest - STEPS_LATE_MAX);
        let before = (self.counters.generated, self.counters.evicted);
        for step in first..=newest {
            let series = self.host.collect(Timestamp(step * self.step_ms));
            let contents = Contents { series, ..Contents::default() };
            for part in chunk(contents, &self.source, PAYLOAD_BYTES_MAX).parts {
                self.keep(part, now);
            }
        }
        self.next_step = Some(first.max(newest + 1));
        (self.counters.generated - before.0, self.counters.evicted - before.1)
    }

    fn keep(&mut self, part: Contents, now: Timestamp) {
        if self.waiting.len() >= WAITING_MAX
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.counters.evicted += oldest.batch.samples();
        }
        self.counters.generated += part.samples() as u64;
        let mut batch = part.into_batch(self.source.clone(), self.epoch, self.next_seq, now);
        self.next_seq += 1;
        let waiting: u64 = self.waiting.iter().map(|one| one.batch.samples()).sum();
        batch.counters = Counters { buffered: waiting + batch.samples(), ..self.counters.clone() };
        self.waiting.push_back(Waiting { batch, sent_at: None, again: false });
    }

    /// The next batch that is to be sent on this connection, and whether it was sent before.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<(AgentFrame, bool)> {
        let one = self.waiting.iter_mut().find(|one| one.sent_at.is_none())?;
        one.sent_at = Some(now);
        // Only what comes late needs its ack at once.
        one.batch.ack_now = one.again;
        let (epoch, seq) = (Some(one.batch.epoch), Some(one.batch.seq));
        Some((AgentFrame::Batch { payload: one.batch.to_payload(), epoch, seq }, one.again))
    }

    /// What was sent and has no ack goes out once more: on a new connection, or at the end.
    pub(super) fn send_again(&mut self) {
        for one in self.waiting.iter_mut().filter(|one| one.sent_at.is_some()) {
            (one.sent_at, one.again) = (None, true);
        }
    }

    /// An ack came.
    pub(super) fn acked(&mut self, epoch: Epoch, ranges: &[SeqRange], now: Timestamp) -> Settled {
        let mut settled = Settled::default();
        if epoch != self.epoch {
            return settled;
        }
        self.waiting.retain(|one| {
            let seq = one.batch.seq;
            let acked = ranges.iter().any(|range| (range.from..=range.to).contains(&seq));
            if acked {
                settled.batches += 1;
                settled.samples += one.batch.samples();
                let waited = one.sent_at.filter(|_| !one.again).map(|sent| now.ms() - sent.ms());
                settled.waits_ms.extend(waited.and_then(|ms| u64::try_from(ms).ok()));
            }
            !acked
        });
        settled
    }

    /// Samples that wait for their acks.
    pub(super) fn buffered(&self) -> u64 {
        self.waiting.iter().map(|one| one.batch.samples()).sum()
    }

    /// The ledger.
    pub(super) fn counters(&self) -> Counters {
        Counters { buffered: self.buffered(), ..self.counters.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender() -> Sender {
        Sender::new(SourceName::new("load-1").unwrap(), Epoch(7), (10, 1_000, 300))
    }

    fn sent(sender: &mut Sender) -> Vec<(u64, bool)> {
        std::iter::from_fn(|| sender.next(Timestamp(5_000)))
            .map(|(frame, again)| {
                let AgentFrame::Batch { payload, seq, .. } = frame else { panic!("{frame:?}") };
                assert_eq!(Batch::from_payload(&payload).unwrap().batch.ack_now, again);
                (seq.unwrap(), again)
            })
            .collect()
    }

    #[test]
    fn one_batch_a_step_on_the_step_after_its_phase() {
        let mut sender = sender();
        assert_eq!(sender.due(Timestamp(1_500)), Timestamp(2_300));
        assert_eq!(sender.collect(Timestamp(1_500)), (0, 0));
        assert_eq!(sender.collect(Timestamp(2_299)), (0, 0));
        assert_eq!(sender.collect(Timestamp(2_300)), (10, 0));
        assert_eq!(sender.collect(Timestamp(2_300)), (0, 0));
        assert_eq!(sender.due(Timestamp(2_300)), Timestamp(3_300));
        // What an outage made late is made up for.
        assert_eq!(sender.collect(Timestamp(5_299)), (20, 0));
        assert_eq!(sent(&mut sender), [(1, false), (2, false), (3, false)]);
        assert_eq!(sender.waiting[2].batch.series[0].samples[0].at, Timestamp(4_000));
        let counters = &sender.waiting[2].batch.counters;
        assert_eq!((counters.generated, counters.buffered), (30, 30));
    }

    #[test]
    fn what_has_no_ack_is_sent_again_and_settles_once() {
        let mut sender = sender();
        sender.collect(Timestamp(0));
        sender.collect(Timestamp(3_300));
        assert_eq!(sent(&mut sender), [(1, false), (2, false), (3, false)]);
        let range = |from, to| [SeqRange { from, to }];
        let settled = sender.acked(Epoch(7), &range(1, 2), Timestamp(5_040));
        assert_eq!(settled, Settled { batches: 2, samples: 20, waits_ms: vec![40, 40] });
        assert_eq!(sender.acked(Epoch(8), &range(3, 3), Timestamp(5_040)), Settled::default(), "another epoch");
        sender.send_again();
        assert_eq!(sent(&mut sender), [(3, true)]);
        let settled = sender.acked(Epoch(7), &range(1, 3), Timestamp(5_040));
        assert_eq!(settled, Settled { batches: 1, samples: 10, waits_ms: Vec::new() });
        assert_eq!((sender.buffered(), sender.counters().generated), (0, 30));
    }

    #[test]
    fn the_buffer_at_its_limit_and_one_past_it() {
        let mut sender = sender();
        sender.collect(Timestamp(0));
        let steps = WAITING_MAX as i64;
        assert_eq!(sender.collect(Timestamp(steps * 1_000 + 300)), (steps as u64 * 10, 0));
        assert_eq!(sender.collect(Timestamp((steps + 1) * 1_000 + 300)), (10, 10));
        assert_eq!(sender.waiting[0].batch.seq, 2);
        assert_eq!(sender.buffered() + sender.counters().evicted, sender.counters().generated);
    }
}
