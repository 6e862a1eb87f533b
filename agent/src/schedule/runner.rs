//! Carries jobs out: a task each, so that a slow job delays no other, and a loop in each task, so
//! that a job never overlaps itself.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use series::Timestamp;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::steps::Steps;
use super::{Job, NextRun};
use crate::surroundings::Surroundings;

/// Starts every job. They run until the set is dropped or aborted.
#[must_use]
pub fn start(
    jobs: Vec<Box<dyn Job>>,
    surroundings: &Surroundings,
    figures: &Arc<crate::figures::Figures>,
) -> JoinSet<()> {
    let mut running = JoinSet::new();
    for job in jobs {
        let random = (surroundings.random)();
        running.spawn(repeat(job, random, surroundings.clock, figures.clone()));
    }
    running
}

async fn repeat(mut job: Box<dyn Job>, random: u64, clock: fn() -> Timestamp, figures: Arc<crate::figures::Figures>) {
    let timing = job.timing();
    let interval_ms = timing.interval.as_millis() as i64;
    let mut steps = Steps::new(interval_ms, timing.spread.then_some(random));
    tokio::time::sleep(Duration::from_millis(steps.first_delay_ms())).await;
    loop {
        let started = Instant::now();
        let at = steps.stamp(clock());
        // A job that panics has a bug, but the others and its next run shall not suffer for it.
        let next = AssertUnwindSafe(job.run(at)).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(job = job.name(), "the job panicked; it runs again on its next step");
            NextRun::OnTheStep
        });
        let missed = started.elapsed().as_millis() as i64 / interval_ms.max(1);
        if missed > 0 {
            figures.job_overruns_total.add(missed as u64);
            tracing::warn!(job = job.name(), missed, "a run took longer than the job's interval");
        }
        let step = Duration::from_millis(steps.wait_ms(clock()));
        tokio::time::sleep(match next {
            NextRun::OnTheStep => step,
            NextRun::After(sooner) => sooner.min(step),
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::future::BoxFuture;

    use super::*;
    use crate::schedule::Timing;

    struct Recorder {
        name: &'static str,
        takes: Duration,
        runs: Arc<Mutex<Vec<(&'static str, Instant)>>>,
    }

    impl Job for Recorder {
        fn name(&self) -> &str {
            self.name
        }

        fn timing(&self) -> Timing {
            Timing { interval: Duration::from_secs(1), spread: false }
        }

        fn run<'a>(&'a mut self, _at: Timestamp) -> BoxFuture<'a, NextRun> {
            Box::pin(async {
                self.runs.lock().unwrap().push((self.name, Instant::now()));
                tokio::time::sleep(self.takes).await;
                assert_ne!(self.name, "broken");
                NextRun::OnTheStep
            })
        }
    }

    /// The paused clock of tokio as wall time.
    fn clock() -> Timestamp {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        Timestamp(START.get_or_init(Instant::now).elapsed().as_millis() as i64)
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_job_neither_overlaps_nor_delays_another() {
        let runs = Arc::default();
        let job = |name, takes| -> Box<dyn Job> {
            Box::new(Recorder { name, takes: Duration::from_millis(takes), runs: Arc::clone(&runs) })
        };
        let surroundings = Surroundings { clock, random: || 0 };
        let figures = Arc::default();
        let running = start(vec![job("slow", 2_500), job("quick", 1), job("broken", 1)], &surroundings, &figures);
        tokio::time::sleep(Duration::from_millis(10_100)).await;
        drop(running);
        let runs = runs.lock().unwrap();
        let of = |name| runs.iter().filter(|(n, _)| *n == name).map(|(_, at)| *at).collect::<Vec<_>>();
        let quick = of("quick");
        assert!(quick.len() >= 10, "{}", quick.len());
        assert!(quick.windows(2).all(|pair| pair[1] - pair[0] <= Duration::from_millis(1_002)));
        assert!(of("slow").windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(2_500)));
        assert!(of("slow").len() >= 3);
        assert!(of("broken").len() >= 10, "a panic ended the job");
        assert!(figures.job_overruns_total.get() >= 3);
    }
}
