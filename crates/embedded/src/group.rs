//! Group commit: whatever is waiting when the disk is free is done by one run, and so by one sync.
//!
//! Nothing waits on purpose: the first job runs at once, and those that come while it runs go
//! together into the next run. A caller that stops waiting does not stop its job. It must not know
//! what a job is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Collects jobs and runs them by groups, one group at a time, off the async threads.
pub(crate) struct GroupCommit<J> {
    queue: Mutex<Queue<J>>,
    idle: Notify,
    jobs_max: usize,
}

struct Queue<J> {
    waiting: VecDeque<J>,
    running: bool,
}

/// The right to run. Were it lost in a panic, nothing would ever run again, so it is given back,
/// and the jobs that wait are dropped, which tells their callers.
struct Running<J: Send + 'static> {
    group: Arc<GroupCommit<J>>,
    finished: bool,
}

impl<J: Send + 'static> Running<J> {
    /// What waits, or nothing, and then the right to run is given back under the same lock, so
    /// that no job can slip in unseen.
    fn next_group(&mut self) -> Option<Vec<J>> {
        let mut queue = self.group.queue();
        if queue.waiting.is_empty() {
            queue.running = false;
            self.finished = true;
            return None;
        }
        let count = queue.waiting.len().min(self.group.jobs_max);
        Some(queue.waiting.drain(..count).collect())
    }
}

impl<J: Send + 'static> Drop for Running<J> {
    fn drop(&mut self) {
        if !self.finished {
            let mut queue = self.group.queue();
            queue.running = false;
            queue.waiting.clear();
        }
        self.group.idle.notify_waiters();
    }
}

impl<J: Send + 'static> GroupCommit<J> {
    /// At most `jobs_max` jobs a run.
    pub(crate) fn new(jobs_max: usize) -> Arc<Self> {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), running: false });
        Arc::new(Self { queue, idle: Notify::new(), jobs_max })
    }

    /// Hands a job over; `run` is given each group. Must be called within a tokio runtime.
    pub(crate) fn submit<R>(self: &Arc<Self>, job: J, run: impl FnOnce() -> R)
    where
        R: Fn(Vec<J>) + Send + 'static,
    {
        let mut queue = self.queue();
        queue.waiting.push_back(job);
        if queue.running {
            return;
        }
        queue.running = true;
        drop(queue);
        let mut running = Running { group: Arc::clone(self), finished: false };
        let run = run();
        tokio::task::spawn_blocking(move || {
            while let Some(jobs) = running.next_group() {
                run(jobs);
            }
        });
    }

    /// Returns when nothing waits and nothing runs.
    pub(crate) async fn settled(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            {
                let queue = self.queue();
                if queue.waiting.is_empty() && !queue.running {
                    return;
                }
            }
            idle.await;
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<J>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn jobs_run_once_in_order_and_one_group_at_a_time() {
        const JOBS: usize = 20_000;
        let group = GroupCommit::new(7);
        let (seen, running) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        for job in 0..JOBS {
            let (seen, running) = (Arc::clone(&seen), Arc::clone(&running));
            group.submit(job, || {
                move |jobs: Vec<usize>| {
                    assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two groups at once");
                    assert!(jobs.len() <= 7);
                    seen.lock().unwrap().extend(jobs);
                    running.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
        group.settled().await;
        assert!(*seen.lock().unwrap() == (0..JOBS).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_panic_drops_its_neighbours_and_not_the_queue() {
        let group = GroupCommit::new(1);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let run = || |jobs: Vec<Option<tokio::sync::oneshot::Sender<()>>>| assert!(jobs[0].is_some(), "as ordered");
        group.submit(None, run);
        group.settled().await;
        group.submit(Some(sender), run);
        assert!(receiver.await.is_err(), "the sender was dropped after its run");
        group.settled().await;
    }
}
