//! Load whose ledger the test keeps itself: lines pushed over HTTP, batches on an agent's
//! websocket. Whatever was not acknowledged is sent again, unchanged, until it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use series::{Epoch, Labels, Sample, SourceName, Timestamp};
use tests::wait::now_ms;
use tests::{AgentSocket, Place};
use wire::{AgentFrame, Batch, Counters, SeriesColumn, ServerFrame};

/// Lines of one push.
const LINES: u64 = 10;
/// Series and samples of one batch.
const SERIES: u64 = 5;
const SAMPLES: i64 = 4;
/// Batches on their way at the same time.
const IN_FLIGHT_MAX: usize = 8;
/// Pause before a server that is away is tried again.
const RETRY: Duration = Duration::from_millis(30);

/// What a sender knows.
#[derive(Default)]
pub(crate) struct Sent {
    samples: AtomicU64,
    sum: AtomicU64,
    acks: AtomicU64,
    stop: AtomicBool,
}

impl Sent {
    fn acknowledged(&self, samples: u64, sum: u64) {
        self.samples.fetch_add(samples, Ordering::SeqCst);
        self.sum.fetch_add(sum, Ordering::SeqCst);
        self.acks.fetch_add(1, Ordering::SeqCst);
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// No more is to be begun.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Pushes or batches that were acknowledged.
    pub(crate) fn acks(&self) -> u64 {
        self.acks.load(Ordering::SeqCst)
    }

    /// Samples that were acknowledged and the sum of their values, both far below 2^53.
    pub(crate) fn totals(&self) -> (f64, f64) {
        (self.samples.load(Ordering::SeqCst) as f64, self.sum.load(Ordering::SeqCst) as f64)
    }
}

/// Pushes lines, one body after the other, until it is stopped; the last one is acknowledged too.
pub(crate) async fn push_lines(place: Place, sent: Arc<Sent>) {
    let mut value = 0;
    let mut at = now_ms();
    while !sent.stops() {
        // No identity twice: a push later than the one before it.
        at = now_ms().max(at + 1);
        let (mut body, mut sum) = (String::new(), 0);
        for line in 0..LINES {
            value += 1;
            sum += value;
            writeln!(body, "kill.push;line={line} {value} {at}").expect("text can be written");
        }
        loop {
            match place.push(body.clone()).await {
                Ok((200, _)) => break,
                Ok((status, answer)) => assert!(status >= 500, "{status}: {answer}"),
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
        sent.acknowledged(LINES, sum);
    }
}

/// Sends batches as an agent named `source`, until it is stopped and all are acknowledged.
pub(crate) async fn send_batches(place: Place, source: String, sent: Arc<Sent>) {
    let epoch = Epoch(now_ms().unsigned_abs());
    let mut maker = Maker { source, epoch, seq: 0, at: now_ms(), value: 0 };
    let mut waiting: BTreeMap<u64, Made> = BTreeMap::new();
    while !sent.stops() || !waiting.is_empty() {
        match AgentSocket::welcomed(&place, &maker.source, epoch).await {
            Some(socket) => talk(socket, &mut maker, &mut waiting, &sent).await,
            None => tokio::time::sleep(RETRY).await,
        }
    }
}

/// One connection, to its end or until nothing is left to do.
async fn talk(mut socket: AgentSocket, maker: &mut Maker, waiting: &mut BTreeMap<u64, Made>, sent: &Sent) {
    for made in waiting.values() {
        if socket.send(&made.frame).await.is_none() {
            return;
        }
    }
    loop {
        while waiting.len() < IN_FLIGHT_MAX && !sent.stops() {
            let made = maker.next();
            let frame = made.frame.clone();
            waiting.insert(maker.seq, made);
            if socket.send(&frame).await.is_none() {
                return;
            }
        }
        if waiting.is_empty() {
            return;
        }
        let Some(frame) = socket.next().await else { return };
        let ServerFrame::Ack { epoch, ranges, rejected } = frame else { continue };
        assert_eq!((epoch, rejected.len()), (maker.epoch, 0), "{rejected:?}");
        for seq in ranges.iter().flat_map(|range| range.from..=range.to) {
            // A batch that was sent twice is acknowledged twice.
            if let Some(made) = waiting.remove(&seq) {
                sent.acknowledged(made.samples, made.sum);
            }
        }
    }
}

struct Made {
    frame: AgentFrame,
    samples: u64,
    sum: u64,
}

struct Maker {
    source: String,
    epoch: Epoch,
    seq: u64,
    at: i64,
    value: u64,
}

impl Maker {
    fn next(&mut self) -> Made {
        self.seq += 1;
        self.at = now_ms().max(self.at + SAMPLES);
        let mut sum = 0;
        let mut series = Vec::new();
        for number in 0..SERIES {
            let number = number.to_string();
            let pairs = [("__name__", "kill_batch"), ("series", number.as_str()), ("source", self.source.as_str())];
            let mut samples = Vec::new();
            for step in (0..SAMPLES).rev() {
                self.value += 1;
                sum += self.value;
                samples.push(Sample { at: Timestamp(self.at - step), value: self.value as f64 });
            }
            series.push(SeriesColumn { labels: Labels::from_pairs(pairs).expect("labels"), samples });
        }
        let each = SERIES * SAMPLES.unsigned_abs();
        let batch = Batch {
            source: SourceName::new(&self.source).expect("a name"),
            epoch: self.epoch,
            seq: self.seq,
            created_at: Timestamp(self.at),
            ack_now: true,
            series,
            checks: Vec::new(),
            logs: Vec::new(),
            metadata: Vec::new(),
            counters: Counters { generated: self.seq * each, ..Counters::default() },
        };
        let frame = AgentFrame::Batch { payload: batch.to_payload(), epoch: Some(self.epoch), seq: Some(self.seq) };
        Made { frame, samples: each, sum }
    }
}
