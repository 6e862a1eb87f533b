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

/// Marks the queue as idle even if a run panics, or nothing would ever run again.
struct Running<J: Send + 'static>(Arc<GroupCommit<J>>);

impl<J: Send + 'static> Drop for Running<J> {
    fn drop(&mut self) {
        self.0.queue().running = false;
        self.0.idle.notify_waiters();
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
        let running = Running(Arc::clone(self));
        let run = run();
        tokio::task::spawn_blocking(move || {
            loop {
                let mut queue = running.0.queue();
                if queue.waiting.is_empty() {
                    // Under the same lock, so that no job can slip in unseen.
                    queue.running = false;
                    break;
                }
                let count = queue.waiting.len().min(running.0.jobs_max);
                let group: Vec<J> = queue.waiting.drain(..count).collect();
                drop(queue);
                run(group);
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
