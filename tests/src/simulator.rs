//! What AWS does to our functions and an emulator does not: event source mappings, resharding,
//! crashes at any port call, partial puts, redelivery, by seed and on a clock that stands.
//!
//! * `shards`: a Kinesis stream; `mapping` and `answer`: an event source mapping, rule by rule;
//!   `event`: its JSON, and the object that it leaves in an on-failure bucket;
//! * `probe`: ports that are watched and on which an invocation can be killed; `truth`: what was seen;
//! * `process`: the real functions, warm or cold; `agents`: senders that know what was acknowledged;
//! * `plan`: what a seed chooses; `closing`: late data and compactions; `world` and `accidents`: a schedule as it runs; `invariants`: what must hold;
//! * `wrong`: ways to do it wrong, which the same invariants must catch.
//!
//! A failing seed is told with the line that runs it again.

mod accidents;
pub mod agents;
pub mod answer;
mod closing;
pub mod event;
pub mod happened;
mod invariants;
pub mod mapping;
pub mod plan;
pub mod probe;
pub mod process;
pub mod shards;
pub mod truth;
pub mod world;
pub mod wrong;

pub use happened::Happened;
pub use plan::{ALL_WRONG, Plan, Wrong};
pub use world::run;

/// A schedule that did not end as it must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}: {what}\n  again: cargo run -p tests --example simulate -- --seed {seed}{}", again(*.wrong))]
pub struct Violation {
    /// Which.
    pub seed: u64,
    /// What was done wrong on purpose.
    pub wrong: Option<Wrong>,
    /// What did not hold.
    pub what: String,
}

fn again(wrong: Option<Wrong>) -> String {
    wrong.map(|wrong| format!(" --wrong {wrong:?}")).unwrap_or_default()
}

/// Runs the schedule of one seed on this thread.
pub fn run_seed(seed: u64, wrong: Option<Wrong>) -> Result<Happened, Violation> {
    let plan = wrong.map_or_else(|| Plan::of(seed), |wrong| Plan::wrong(seed, wrong));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(run(plan)).map_err(|what| Violation { seed, wrong, what })
}
