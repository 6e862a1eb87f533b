//! When a job runs: pure arithmetic on wall time, from which the runner takes how long to wait.

use series::{Timestamp, Window};

/// First runs are spread over this long, so that an agent has something to show soon.
pub const FIRST_RUN_SPREAD_MS: i64 = 3_000;
/// Timestamps of runs out of step are cut to this.
const FINE_STEP_MS: i64 = 1_000;

/// The steps of one job: multiples of its interval since 1970, plus a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    interval_ms: i64,
    phase_ms: i64,
    last: Option<Timestamp>,
}

impl Steps {
    /// `random` gives the phase of a job whose runs are spread; whole seconds where they fit.
    #[must_use]
    pub fn new(interval_ms: i64, random: Option<u64>) -> Self {
        let interval_ms = interval_ms.max(1);
        let fine_ms = FINE_STEP_MS.min(interval_ms);
        let phases = (interval_ms / fine_ms).max(1) as u64;
        let phase_ms = random.map_or(0, |random| (random % phases) as i64 * fine_ms);
        Self { interval_ms, phase_ms, last: None }
    }

    /// How long after the start the first run is, ms: it does not wait for its step.
    #[must_use]
    pub fn first_delay_ms(&self) -> u64 {
        (self.phase_ms % FIRST_RUN_SPREAD_MS.min(self.interval_ms)) as u64
    }

    /// The timestamp of a run that starts now. On its step it is the step itself, however late
    /// the run starts; else the whole second. It never repeats while the clock goes forward.
    pub fn stamp(&mut self, now: Timestamp) -> Timestamp {
        let half = now.plus_ms(self.interval_ms / 2);
        let nearest = self.step_before(half);
        let off_ms = (now.ms() - nearest.ms()).abs();
        let on_step = off_ms < FINE_STEP_MS && off_ms * 4 <= self.interval_ms;
        let fine = Window::around(now, FINE_STEP_MS.min(self.interval_ms)).start;
        let mut at = if on_step { nearest } else { fine };
        if let Some(last) = self.last
            && at == last
        {
            at = now.max(last.plus_ms(1));
        }
        self.last = Some(at);
        at
    }

    /// How long to wait from `now` to the next step, ms: more than nothing, at most one and a
    /// half intervals, whatever the wall clock does.
    #[must_use]
    pub fn wait_ms(&self, now: Timestamp) -> u64 {
        let step = self.step_before(now).plus_ms(self.interval_ms);
        let mut wait = step.ms().saturating_sub(now.ms()).clamp(1, self.interval_ms);
        // The timer may have rung a little before the step that was just stamped.
        if self.last.is_some_and(|last| last >= step) {
            wait = wait.saturating_add(self.interval_ms).min(self.interval_ms * 3 / 2);
        }
        wait as u64
    }

    fn step_before(&self, at: Timestamp) -> Timestamp {
        Window::around(at.plus_ms(-self.phase_ms), self.interval_ms).start.plus_ms(self.phase_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs at these times get these stamps.
    fn check(interval_ms: i64, random: Option<u64>, runs: &[(i64, i64)]) {
        let mut steps = Steps::new(interval_ms, random);
        for (now, expected) in runs {
            assert_eq!(steps.stamp(Timestamp(*now)), Timestamp(*expected), "at {now} of every {interval_ms}");
        }
    }

    #[test]
    fn runs_are_stamped_with_their_step() {
        check(10_000, None, &[(20_003, 20_000), (30_100, 30_000), (39_999, 40_000), (50_900, 50_000)]);
        check(1_000, None, &[(1_002, 1_000), (2_100, 2_000)]);
        check(100, None, &[(102, 100), (201, 200)]);
    }

    #[test]
    fn a_phase_moves_the_steps() {
        check(10_000, Some(3), &[(23_003, 23_000), (33_000, 33_000)]);
        check(10_000, Some(13), &[(23_003, 23_000)]);
    }

    #[test]
    fn the_first_run_and_retries_have_the_second() {
        check(10_000, None, &[(17_654, 17_000), (20_000, 20_000), (24_321, 24_000)]);
    }

    #[test]
    fn a_stamp_never_repeats() {
        check(10_000, None, &[(20_000, 20_000), (20_400, 20_400), (30_000, 30_000)]);
    }

    #[test]
    fn waits_go_to_the_next_step_and_are_bounded() {
        let mut steps = Steps::new(10_000, None);
        assert_eq!(steps.wait_ms(Timestamp(20_001)), 9_999);
        assert_eq!(steps.wait_ms(Timestamp(20_000)), 10_000);
        steps.stamp(Timestamp(29_999));
        assert_eq!(steps.wait_ms(Timestamp(29_999)), 10_001);
        // The clock jumps far back, or far ahead.
        assert!(steps.wait_ms(Timestamp(5)) <= 15_000);
        assert!(steps.wait_ms(Timestamp(i64::MAX)) >= 1);
        assert!(Steps::new(0, Some(7)).wait_ms(Timestamp(0)) >= 1);
    }

    #[test]
    fn first_runs_are_soon() {
        for random in 0..1_000 {
            assert!(Steps::new(3_600_000, Some(random)).first_delay_ms() < FIRST_RUN_SPREAD_MS as u64);
        }
        assert_eq!(Steps::new(10_000, None).first_delay_ms(), 0);
    }
}
