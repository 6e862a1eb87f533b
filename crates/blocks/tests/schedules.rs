//! Schedules of the pure parts, a bounded number: `examples/schedules` runs them by the hundred thousand.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "../examples/schedules/model.rs"]
mod model;

use model::{ALL_WRONG, Happened, run};

/// Schedules here; without optimisation.
const SCHEDULES: u64 = 100;
/// Schedules in which each wrong way may show.
const SCHEDULES_OF_WRONG: u64 = 40;

#[test]
fn any_order_duplication_batching_and_workers_end_in_the_same_bytes_through_all_levels() {
    let mut all = Happened::default();
    for seed in 0..SCHEDULES {
        all = all.with(run(seed, None).unwrap_or_else(|what| panic!("seed {seed}: {what}")));
    }
    println!("{all:?}");
    let least = all.late.min(all.flips).min(all.crashes).min(all.days);
    assert!(
        least >= SCHEDULES && all.deliveries > all.batches,
        "schedules in which nothing happens show nothing: {all:?}"
    );
}

#[test]
fn each_wrong_way_is_caught_by_its_name() {
    for wrong in ALL_WRONG {
        let caught: Vec<String> = (0..SCHEDULES_OF_WRONG).filter_map(|seed| run(seed, Some(wrong)).err()).collect();
        println!("{wrong:?}: {} of {SCHEDULES_OF_WRONG}: {:?}", caught.len(), caught.first());
        assert!(!caught.is_empty(), "{wrong:?} passed {SCHEDULES_OF_WRONG} schedules");
    }
}
