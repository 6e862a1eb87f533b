//! How many records of a batch are worked on at once.
//!
//! All of them, as a rule. Where that does not end before the deadline, it would not the next time
//! either: the part is halved until one is done in time, and what is done is not given again. A
//! warm process remembers, and doubles again after each part that was done.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::counter;
use pipeline::{Delivered, Fault};

use crate::{Deadline, meter};

/// Records of one part, remembered between invocations.
#[derive(Debug)]
pub struct Pace(AtomicUsize);

impl Default for Pace {
    fn default() -> Self {
        Self(AtomicUsize::new(usize::MAX))
    }
}

/// How far a batch came.
#[derive(Debug)]
pub struct Progress {
    /// The sequence number of the first record that is not done. Everything before it is.
    pub first_undone: Option<String>,
    /// Why: `None` with an undone record means that the time was up.
    pub fault: Option<Fault>,
}

impl Pace {
    /// Gives the records to `work`, part by part and in order, until all are done, one part fails,
    /// or the time is up.
    pub async fn work<'a, F>(
        &self,
        records: &'a [Delivered],
        deadline: Deadline,
        mut work: impl FnMut(&'a [Delivered]) -> F,
    ) -> Progress
    where
        F: Future<Output = Result<(), Fault>>,
    {
        let mut rest = records;
        while let Some(first) = rest.first() {
            let undone = |fault| Progress { first_undone: Some(first.sequence.clone()), fault };
            let size = self.0.load(Ordering::Relaxed).min(rest.len()).max(1);
            let (part, later) = rest.split_at(size);
            match deadline.within(work(part)).await {
                None => {
                    self.0.store((size / 2).max(1), Ordering::Relaxed);
                    return undone(None);
                }
                Some(Err(fault)) => return undone(Some(fault)),
                Some(Ok(())) => self.0.store(self.0.load(Ordering::Relaxed).saturating_mul(2), Ordering::Relaxed),
            }
            rest = later;
        }
        Progress { first_undone: None, fault: None }
    }
}

impl Progress {
    /// Counts and logs what was not done; it is given again.
    pub fn told(&self, function: &'static str, records: usize) {
        match (&self.first_undone, &self.fault) {
            (None, _) => {}
            (Some(_), Some(fault)) => meter::failed(function, fault),
            (Some(first), None) => {
                counter!("Late").increment(1);
                meter::urgent();
                tracing::warn!(function, records, first_undone = first, "not done in time; the rest is handed back");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pipeline::Timestamp;

    use super::*;

    fn records(count: usize) -> Vec<Delivered> {
        let one = |n: usize| Delivered {
            shard: "s".to_owned(),
            sequence: n.to_string(),
            arrived_at: Timestamp(0),
            data: bytes::Bytes::new(),
        };
        (0..count).map(one).collect()
    }

    /// Never done where there are more than three records.
    async fn slow(part: &[Delivered]) -> Result<(), Fault> {
        if part.len() > 3 {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_batch_that_takes_too_long_is_done_in_the_end() {
        let (pace, all) = (Pace::default(), records(100));
        let (mut from, mut invocations) = (0, 0);
        while from < all.len() {
            let deadline = Deadline::of(Duration::from_millis(2));
            let progress = pace.work(&all[from..], deadline, slow).await;
            assert!(progress.fault.is_none());
            from = progress.first_undone.map_or(all.len(), |sequence| sequence.parse().unwrap());
            invocations += 1;
            assert!(invocations < 200, "{from} of {} records after {invocations} invocations", all.len());
        }
    }

    #[tokio::test]
    async fn what_is_fast_is_one_part() {
        let mut parts = Vec::new();
        let all = records(10_000);
        let progress = Pace::default()
            .work(&all, Deadline::never(), |part| {
                parts.push(part.len());
                std::future::ready(Ok(()))
            })
            .await;
        assert!(progress.first_undone.is_none());
        assert_eq!(parts, [10_000]);
    }

    #[tokio::test]
    async fn a_failed_part_is_named_by_its_first_record() {
        let pace = Pace(AtomicUsize::new(2));
        let all = records(7);
        let fail_from = |part: &[Delivered]| match part[0].sequence.as_str() {
            "0" => Ok(()),
            _ => Err(Fault::Internal("no".to_owned())),
        };
        let progress = pace.work(&all, Deadline::never(), |part| std::future::ready(fail_from(part))).await;
        assert_eq!(progress.first_undone.as_deref(), Some("2"));
        assert_eq!(progress.fault.unwrap().to_string(), "no");
    }
}
