//! The buffer's own thread: an fsync may take long, and nothing else shall wait for it. Commands
//! go in by a bounded queue; where the buffer stands is published after each of them.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use series::{Epoch, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use wire::SeqRange;

use crate::buffer::{Buffer, Disk, Draft, LogState, Settings};
use crate::figures::Figures;
use crate::surroundings::Surroundings;

/// Commands that may wait for the thread; whoever has one more waits.
pub const COMMANDS_MAX: usize = 64;
/// Bytes of the thread's stack.
const STACK_BYTES: usize = 256 << 10;

/// Where the buffer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The log on disk, if the disk was ever usable.
    pub disk: Option<LogState>,
    /// The log in memory.
    pub memory: LogState,
    /// Whether more than half of the room is taken.
    pub over_half: bool,
    /// Whether batches go to memory now.
    pub memory_only: bool,
}

impl View {
    /// The log that the agent goes by: the disk's where there is one.
    #[must_use]
    pub fn main(&self) -> &LogState {
        self.disk.as_ref().unwrap_or(&self.memory)
    }

    /// Batches that are not acknowledged.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.memory.batches + self.disk.as_ref().map_or(0, |disk| disk.batches)
    }
}

/// A stretch of batches, and the first of them that is not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Of which log.
    pub epoch: Epoch,
    /// From this seq on.
    pub from: u64,
    /// Below this seq.
    pub below: u64,
}

enum Command {
    Put(Vec<Draft>, oneshot::Sender<()>),
    Ack(Epoch, Vec<SeqRange>),
    Next(Stretch, oneshot::Sender<Option<(u64, Vec<u8>)>>),
}

/// The handle. The thread ends when the last one is gone.
#[derive(Clone)]
pub struct Store {
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<View>,
}

impl Store {
    /// Opens the buffer on a thread of its own. `sync_every` is the period of fsyncs where they
    /// are not made for each batch.
    pub fn start<D: Disk + 'static>(
        settings: Settings,
        sync_every: Option<Duration>,
        surroundings: Surroundings,
        figures: Arc<Figures>,
        open: impl FnMut() -> io::Result<D> + Send + 'static,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        figures.buffer_bytes_max.set(settings.bytes_max);
        let buffer = Buffer::open(settings, (surroundings.clock)(), surroundings.random, open);
        let (commands, queue) = mpsc::channel(COMMANDS_MAX);
        let (publish, view) = watch::channel(view_of(&buffer));
        let keeper = Keeper { buffer, publish, figures };
        keeper.publish();
        let thread = std::thread::Builder::new()
            .name("buffer".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || keeper.run(queue, sync_every))?;
        Ok((Self { commands, view }, thread))
    }

    /// Puts drafts into the buffer; returns when they are as safe as they can be made.
    pub async fn put(&self, drafts: Vec<Draft>) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Put(drafts, done)).await.is_ok() {
            let _ = wait.await;
        }
    }

    /// Forgets batches.
    pub async fn ack(&self, epoch: Epoch, ranges: Vec<SeqRange>) {
        let _ = self.commands.send(Command::Ack(epoch, ranges)).await;
    }

    /// The first batch of a stretch that is not acknowledged, with its bytes.
    pub async fn next(&self, stretch: Stretch) -> Option<(u64, Vec<u8>)> {
        let (answer, wait) = oneshot::channel();
        self.commands.send(Command::Next(stretch, answer)).await.ok()?;
        wait.await.ok()?
    }

    /// Where the buffer stands, now and whenever it changes.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<View> {
        self.view.clone()
    }
}

struct Keeper<D> {
    buffer: Buffer<D>,
    publish: watch::Sender<View>,
    figures: Arc<Figures>,
}

impl<D: Disk> Keeper<D> {
    fn run(mut self, mut queue: mpsc::Receiver<Command>, sync_every: Option<Duration>) {
        // A runtime of its own, only to wait for a command with a timeout.
        let Ok(waiting) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
        let mut synced_at = Instant::now();
        loop {
            let received = match sync_every {
                None => Ok(queue.blocking_recv()),
                Some(period) => waiting.block_on(async { timeout_at(synced_at + period, queue.recv()).await }),
            };
            match received {
                Ok(Some(command)) => self.carry_out(command),
                Ok(None) => break,
                Err(_) => {}
            }
            if sync_every.is_some_and(|period| synced_at.elapsed() >= period) {
                self.buffer.sync();
                synced_at = Instant::now();
                self.publish();
            }
        }
        self.buffer.sync();
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Put(drafts, done) => {
                drafts.into_iter().for_each(|draft| self.buffer.put(draft));
                self.publish();
                let _ = done.send(());
            }
            Command::Ack(epoch, ranges) => {
                self.buffer.ack(epoch, &ranges);
                self.publish();
            }
            Command::Next(stretch, answer) => {
                let seq = self.buffer.next_unacked(stretch.epoch, stretch.from).filter(|seq| *seq < stretch.below);
                let found = seq.and_then(|seq| Some((seq, self.buffer.read(stretch.epoch, seq)?)));
                let _ = answer.send(found);
            }
        }
    }

    fn publish(&self) {
        let view = view_of(&self.buffer);
        let (disk, memory) = (view.disk.as_ref(), &view.memory);
        let sum = |of: fn(&LogState) -> u64| disk.map_or(0, of) + of(memory);
        let rejected = |log: &LogState| log.ledger.rejected.values().sum::<u64>();
        let figures = &self.figures;
        figures.buffer_bytes.set(sum(|log| log.bytes));
        figures.buffer_batches.set(sum(|log| log.batches));
        figures.buffer_samples.set(sum(|log| log.buffered));
        figures.generated_total.set(sum(|log| log.counters().generated));
        figures.evicted_total.set(sum(|log| log.ledger.evicted));
        figures.rejected_total.set(sum(rejected));
        figures.disk_errors_total.set(self.buffer.disk_errors());
        figures.memory_only.set(view.memory_only);
        let oldest = [disk.and_then(|log| log.oldest), memory.oldest].into_iter().flatten().min();
        figures.buffer_oldest_ms.set(oldest.map_or(0, |at: Timestamp| at.ms().max(0) as u64));
        self.publish.send_replace(view);
    }
}

fn view_of<D: Disk>(buffer: &Buffer<D>) -> View {
    View {
        disk: buffer.disk_state(),
        memory: buffer.memory_state(),
        over_half: buffer.over_half(),
        memory_only: buffer.memory_only(),
    }
}
