//! What all agents of the load saw together: who is connected, outages and how long everybody took
//! to be back, and the ledger.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value as Json, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::sender::Settled;

/// Different errors that are told; further ones are counted together.
const ERRORS_MAX: usize = 20;

/// One tally for all.
#[derive(Clone)]
pub(super) struct Shared(Arc<(Mutex<Tally>, Notify)>);

struct Tally {
    agents: usize,
    up: usize,
    opened: u64,
    lost: u64,
    failed: u64,
    connect_ms: Vec<u64>,
    ack_ms: Vec<u64>,
    outage: Option<Outage>,
    outages: Vec<Json>,
    generated: u64,
    acknowledged: u64,
    evicted: u64,
    batches: u64,
    sent_again: u64,
    heartbeats: u64,
    rejected: BTreeMap<String, u64>,
    errors: BTreeMap<String, u64>,
}

/// From the first loss until all are back.
struct Outage {
    began: Instant,
    lost: u64,
    back_ms: Vec<u64>,
}

impl Shared {
    pub(super) fn new(agents: usize) -> Self {
        let tally = Tally {
            agents,
            up: 0,
            opened: 0,
            lost: 0,
            failed: 0,
            connect_ms: Vec::new(),
            ack_ms: Vec::new(),
            outage: None,
            outages: Vec::new(),
            generated: 0,
            acknowledged: 0,
            evicted: 0,
            batches: 0,
            sent_again: 0,
            heartbeats: 0,
            rejected: BTreeMap::new(),
            errors: BTreeMap::new(),
        };
        Self(Arc::new((Mutex::new(tally), Notify::new())))
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until every agent is connected.
    pub(super) async fn all_up(&self) {
        loop {
            let changed = self.0.1.notified();
            if self.up() == self.tally().agents {
                return;
            }
            changed.await;
        }
    }

    /// How many are connected.
    pub(super) fn up(&self) -> usize {
        self.tally().up
    }

    /// An agent is welcome, after `took_ms` of connecting.
    pub(super) fn welcomed(&self, took_ms: u64) {
        let mut tally = self.tally();
        tally.up += 1;
        tally.opened += 1;
        tally.connect_ms.push(took_ms);
        let all = tally.up == tally.agents;
        if let Some(outage) = &mut tally.outage {
            outage.back_ms.push(outage.began.elapsed().as_millis() as u64);
        }
        if all && let Some(outage) = tally.outage.take() {
            let times = spread(outage.back_ms);
            tracing::info!(lost = outage.lost, "all agents are back: {times}");
            tally.outages.push(json!({ "lost": outage.lost, "back_after_ms": times }));
        }
        drop(tally);
        self.0.1.notify_waiters();
    }

    /// A connection that was up has ended.
    pub(super) fn lost(&self, why: &str) {
        let mut tally = self.tally();
        tally.up -= 1;
        tally.lost += 1;
        let outage = tally.outage.get_or_insert_with(|| Outage { began: Instant::now(), lost: 0, back_ms: Vec::new() });
        outage.lost += 1;
        tally.error(why);
    }

    /// A connection could not be made.
    pub(super) fn failed(&self, why: &str) {
        let mut tally = self.tally();
        tally.failed += 1;
        tally.error(why);
    }

    /// An agent has ended as it was asked to.
    pub(super) fn ended(&self) {
        self.tally().up -= 1;
    }

    /// Samples came into being, and some fell out of a full buffer.
    pub(super) fn made(&self, (generated, evicted): (u64, u64)) {
        let mut tally = self.tally();
        tally.generated += generated;
        tally.evicted += evicted;
    }

    /// A batch went out.
    pub(super) fn sent(&self, again: bool) {
        let mut tally = self.tally();
        tally.batches += 1;
        tally.sent_again += u64::from(again);
    }

    /// A heartbeat went out.
    pub(super) fn heartbeat(&self) {
        self.tally().heartbeats += 1;
    }

    /// An ack came, and what it says was refused.
    pub(super) fn acked(&self, settled: Settled, rejected: &[wire::Rejection]) {
        let mut tally = self.tally();
        tally.acknowledged += settled.samples;
        tally.ack_ms.extend(settled.waits_ms);
        for rejection in rejected {
            *tally.rejected.entry(rejection.reason.clone()).or_default() += rejection.count;
        }
    }

    /// The server complains.
    pub(super) fn error(&self, why: &str) {
        self.tally().error(why);
    }

    /// What went wrong, and how often.
    pub(super) fn errors(&self) -> Json {
        json!(self.tally().errors)
    }

    /// One line in the log.
    pub(super) fn tell(&self) {
        let tally = self.tally();
        let (up, made, acked) = (tally.up, tally.generated, tally.acknowledged);
        tracing::info!(up, agents = tally.agents, generated = made, acknowledged = acked, "load");
    }

    /// Everything, for the JSON result.
    pub(super) fn result(&self) -> Json {
        let mut tally = self.tally();
        let (connect_ms, ack_ms) = (std::mem::take(&mut tally.connect_ms), std::mem::take(&mut tally.ack_ms));
        json!({
            "connections": {
                "opened": tally.opened, "lost": tally.lost, "failed": tally.failed, "connect_ms": spread(connect_ms),
            },
            "outages": tally.outages,
            "ledger": {
                "generated": tally.generated,
                "acknowledged": tally.acknowledged,
                "evicted": tally.evicted,
                "unacknowledged": tally.generated - tally.acknowledged - tally.evicted,
                "rejected": tally.rejected,
                "batches": tally.batches,
                "sent_again": tally.sent_again,
                "heartbeats": tally.heartbeats,
            },
            "ack_ms": spread(ack_ms),
            "errors": tally.errors,
        })
    }
}

impl Tally {
    fn error(&mut self, why: &str) {
        let known = self.errors.contains_key(why) || self.errors.len() < ERRORS_MAX;
        let why = if known { why } else { "other errors" };
        *self.errors.entry(why.to_owned()).or_default() += 1;
    }
}

/// p50, p99 and the greatest; by nearest rank.
fn spread(mut times: Vec<u64>) -> Json {
    times.sort_unstable();
    let rank = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    json!({ "p50": rank(50), "p99": rank(99), "last": times.last() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_lasts_from_the_first_loss_until_all_are_back() {
        let tally = Shared::new(3);
        for _ in 0..3 {
            tally.welcomed(5);
        }
        tally.all_up().await;
        tally.lost("cut");
        tokio::time::advance(std::time::Duration::from_millis(100)).await;
        tally.lost("cut");
        tally.welcomed(5);
        tokio::time::advance(std::time::Duration::from_millis(100)).await;
        tally.welcomed(5);
        let result = tally.result();
        assert_eq!(result["outages"], json!([{ "lost": 2, "back_after_ms": { "p50": 100, "p99": 200, "last": 200 } }]));
        assert_eq!(result["errors"], json!({ "cut": 2 }));
        assert_eq!(result["connections"]["opened"], 5);
    }

    #[test]
    fn ranks_are_nearest() {
        assert_eq!(spread((1..=100).collect()), json!({ "p50": 50, "p99": 99, "last": 100 }));
        assert_eq!(spread(Vec::new()), json!({ "p50": null, "p99": null, "last": null }));
    }

    #[test]
    fn errors_at_their_limit_and_one_past_it() {
        let tally = Shared::new(1);
        for number in 0..=ERRORS_MAX {
            tally.error(&format!("{number:02}"));
            tally.error("00");
        }
        let errors = tally.errors();
        assert_eq!(errors["other errors"], 1);
        assert_eq!(errors.as_object().map(serde_json::Map::len), Some(ERRORS_MAX + 1));
    }
}
