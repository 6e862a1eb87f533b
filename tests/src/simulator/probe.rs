//! Ports that are watched, and on which an invocation can be killed at any call.
//!
//! A [`Probe`] stands next to the real port, below the injected faults: what it has seen was done.
//! A call is done before anything else goes on, and functions that run at the same time take turns, so
//! that a seed gives one history. At the call that a [`Life`] is
//! told to end with, before it or after it, the invocation goes no further: whoever waits for it
//! drops it, and everything that it remembered.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use ports::{
    Accepted, Blobs, ConnectionId, Delivery, GotMany, Item, Key, Message, Page, Partition, PortError, Ports, Push,
    Pushed, Stream, StreamRecord, Table, Timer, Topic, Wake, Write, Written, WrittenAll,
};
use tokio::sync::Notify;

use super::truth::Truth;

/// When an invocation is to be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// At its how manyth port call, from 0.
    pub call: u64,
    /// The call was done, its answer is lost with everything else.
    pub after: bool,
}

/// One function's process, as far as its ports know.
#[derive(Default)]
pub struct Life {
    calls: AtomicU64,
    death: Mutex<Option<Death>>,
    ended: Notify,
}

impl Life {
    /// Counts from 0 again, and ends there.
    pub fn begin(&self, death: Option<Death>) {
        self.calls.store(0, Ordering::SeqCst);
        *self.death.lock().unwrap_or_else(PoisonError::into_inner) = death;
    }

    /// Calls since it began.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Runs until it is done, or dead.
    pub async fn live<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.ended.notified() => None,
        }
    }

    async fn passes(&self, call: u64, after: bool) {
        let dies = *self.death.lock().unwrap_or_else(PoisonError::into_inner) == Some(Death { call, after });
        if dies {
            self.ended.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

/// What all probes of a world share.
pub struct Watch {
    /// What was done.
    pub truth: Mutex<Truth>,
    invocations: AtomicU64,
}

impl Watch {
    /// Over nothing yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let truth = Mutex::new(Truth::default());
        Arc::new(Self { truth, invocations: AtomicU64::new(1) })
    }

    /// A number for one more invocation.
    #[must_use]
    pub fn invocation(&self) -> u64 {
        self.invocations.fetch_add(1, Ordering::SeqCst)
    }

    /// What was done.
    pub fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One function's way to the ports.
#[derive(Clone)]
pub struct Way {
    /// What is seen.
    pub watch: Arc<Watch>,
    /// The process.
    pub life: Arc<Life>,
    /// The invocation that runs in it now.
    pub invocation: Arc<AtomicU64>,
}

impl Way {
    /// A new process.
    #[must_use]
    pub fn new(watch: &Arc<Watch>) -> Self {
        Self { watch: Arc::clone(watch), life: Arc::default(), invocation: Arc::default() }
    }

    async fn call<T>(&self, work: impl Future<Output = T>, see: impl FnOnce(&mut Truth, u64, &T)) -> T {
        let call = self.life.calls.fetch_add(1, Ordering::SeqCst);
        self.life.passes(call, false).await;
        // Functions that run at the same time take turns, call by call.
        tokio::task::yield_now().await;
        let done = at_once(work);
        see(&mut self.watch.truth(), self.invocation.load(Ordering::SeqCst), &done);
        self.life.passes(call, true).await;
        done
    }
}

/// Waits for a call on this very thread. The memory ports work on threads of their own: how long these
/// take must not decide who comes next.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::task::Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = std::task::Context::from_waker(&waker);
    let mut work = std::pin::pin!(work);
    loop {
        match work.as_mut().poll(&mut context) {
            std::task::Poll::Ready(done) => return done,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

/// A port that is watched.
pub struct Probe<P: ?Sized> {
    inner: Arc<P>,
    way: Way,
}

/// All ports but clock and entropy.
#[must_use]
pub fn probed(ports: &Ports, way: &Way) -> Ports {
    fn wrap<P: ?Sized>(port: &Arc<P>, way: &Way) -> Arc<Probe<P>> {
        Arc::new(Probe { inner: Arc::clone(port), way: way.clone() })
    }
    Ports {
        stream: wrap(&ports.stream, way),
        table: wrap(&ports.table, way),
        blobs: wrap(&ports.blobs, way),
        topic: wrap(&ports.topic, way),
        push: wrap(&ports.push, way),
        timer: wrap(&ports.timer, way),
        clock: Arc::clone(&ports.clock),
        entropy: Arc::clone(&ports.entropy),
    }
}

fn unseen<T>(_: &mut Truth, _: u64, _: &T) {}

#[async_trait]
impl<P: Stream + ?Sized> Stream for Probe<P> {
    async fn put(&self, records: Vec<StreamRecord>) -> Result<Vec<Accepted>, PortError> {
        self.way.call(self.inner.put(records), unseen).await
    }

    async fn put_on_every_shard(&self, data: Bytes) -> Result<BTreeSet<String>, PortError> {
        self.way.call(self.inner.put_on_every_shard(data), unseen).await
    }
}

#[async_trait]
impl<P: Table + ?Sized> Table for Probe<P> {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        self.way.call(self.inner.get(key), unseen).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<GotMany, PortError> {
        self.way.call(self.inner.get_many(keys), unseen).await
    }

    async fn query(&self, partition: &Partition, from: &str, to: &str, after: Option<&str>) -> Result<Page, PortError> {
        self.way.call(self.inner.query(partition, from, to, after), unseen).await
    }

    async fn write(&self, write: Write) -> Result<Written, PortError> {
        let seen = write.clone();
        let see = move |truth: &mut Truth, by: u64, done: &Result<Written, PortError>| {
            if matches!(done, Ok(Written::Done(_))) {
                truth.written(by, &seen);
            }
        };
        self.way.call(self.inner.write(write), see).await
    }

    async fn write_all(&self, writes: Vec<Write>) -> Result<WrittenAll, PortError> {
        let seen = writes.clone();
        let see = move |truth: &mut Truth, by: u64, done: &Result<WrittenAll, PortError>| {
            if matches!(done, Ok(WrittenAll::Done)) {
                seen.iter().for_each(|write| truth.written(by, write));
            }
        };
        self.way.call(self.inner.write_all(writes), see).await
    }

    async fn write_many(&self, writes: Vec<Write>) -> Result<Vec<Write>, PortError> {
        self.way.call(self.inner.write_many(writes), unseen).await
    }
}

#[async_trait]
impl<P: Blobs + ?Sized> Blobs for Probe<P> {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), PortError> {
        self.way.call(self.inner.put(name, bytes), unseen).await
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, PortError> {
        self.way.call(self.inner.get(name), unseen).await
    }

    async fn get_range(&self, name: &str, offset: u64, length: u64) -> Result<Option<Bytes>, PortError> {
        self.way.call(self.inner.get_range(name, offset, length), unseen).await
    }

    async fn length(&self, name: &str) -> Result<Option<u64>, PortError> {
        self.way.call(self.inner.length(name), unseen).await
    }

    async fn delete(&self, name: &str) -> Result<(), PortError> {
        self.way.call(self.inner.delete(name), unseen).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError> {
        self.way.call(self.inner.list(prefix), unseen).await
    }
}

#[async_trait]
impl<P: Push + ?Sized> Push for Probe<P> {
    async fn post(&self, connection: &ConnectionId, text: String) -> Result<Pushed, PortError> {
        self.way.call(self.inner.post(connection, text), unseen).await
    }

    async fn disconnect(&self, connection: &ConnectionId) -> Result<(), PortError> {
        self.way.call(self.inner.disconnect(connection), unseen).await
    }
}

#[async_trait]
impl<P: Topic + ?Sized> Topic for Probe<P> {
    async fn publish(&self, message: &Message) -> Result<Delivery, PortError> {
        let see = |truth: &mut Truth, by: u64, done: &Result<Delivery, PortError>| {
            if done.is_ok() {
                truth.published(by, message);
            }
        };
        self.way.call(self.inner.publish(message), see).await
    }
}

#[async_trait]
impl<P: Timer + ?Sized> Timer for Probe<P> {
    async fn wake(&self, wake: Wake) -> Result<(), PortError> {
        self.way.call(self.inner.wake(wake), unseen).await
    }
}
