//! One function's warm process, and what wakes it. A crash ends the process: the next one remembers
//! nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use broadcast::Broadcaster;
use embedded::{Faults, faulty_ports};
use lambda::Deadline;
use lambda::pace::Pace;
use lambda::wakes::PlainWakes;
use pipeline::connect::Connection;
use pipeline::http::Request;
use pipeline::ingest::limits::Limits;
use pipeline::keys::Caller;
use pipeline::wire::{AgentFrame, StreamEnvelope};
use pipeline::{Context, DAY_MS, Delivered, Settings, Wake, ingest as pushing};
use ports::{Blobs, PortError, Ports};
use serde_json::Value;

use super::event;
use super::mapping::Batch;
use super::plan::Wrong;
use super::probe::{Death, Watch, Way, probed};
use super::wrong;

/// The six functions, but for `query`, which is asked at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// Agents' batches and pushes.
    Ingest,
    /// Records become blocks.
    Aggregate,
    /// States and pages.
    Evaluate,
    /// News for open pages.
    Broadcast,
}

/// What wakes a function.
#[derive(Debug, Clone)]
pub enum Call {
    /// A shard's batch.
    Stream(Batch),
    /// A batch of the manifest's changes.
    Changes(Batch),
    /// A timer.
    Wake(Wake),
    /// The minute's schedule.
    Tick,
    /// An object of the on-failure bucket.
    Object(String),
    /// An agent's frame.
    Frame(Box<(Connection, AgentFrame)>),
    /// Pushed lines.
    Push(Box<(Caller, Request)>),
}

/// What came of an invocation.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// The function answered.
    Answered(Value),
    /// It said that it failed.
    Error(String),
    /// It crashed, or took too long.
    Crashed,
}

/// What a process is made of.
pub struct Ground {
    /// The real ports, faults aside.
    pub ports: Ports,
    /// What is seen of them.
    pub watch: Arc<Watch>,
    /// What processes are started with.
    pub limits: Limits,
    /// What is done wrong on purpose.
    pub wrong: Option<Wrong>,
}

/// A process.
pub struct Process {
    function: Function,
    context: Context,
    broadcaster: Broadcaster,
    pace: Pace,
    way: Way,
    faults: Arc<Faults>,
    wrong: Option<Wrong>,
}

/// As the template sets them.
#[must_use]
pub fn settings() -> Settings {
    Settings {
        raw_retention_ms: 30 * DAY_MS,
        external_url: "http://daywatch.invalid".to_owned(),
        websocket_url: "ws://daywatch.invalid/ws".to_owned(),
    }
}

impl Process {
    /// A cold one.
    #[must_use]
    pub fn start(ground: &Ground, function: Function, faults: &Arc<Faults>) -> Self {
        let way = Way::new(&ground.watch);
        let mut ports = faulty_ports(&probed(&ground.ports, &way), faults);
        if function == Function::Ingest && ground.wrong == Some(Wrong::LastWriterAck) {
            ports.stream = Arc::new(wrong::LastAnswers(ports.stream));
        }
        let mut context = Context::new(ports, settings());
        context.limits = ground.limits;
        let broadcaster = Broadcaster::default();
        Self {
            function,
            context,
            broadcaster,
            pace: Pace::default(),
            way,
            faults: Arc::clone(faults),
            wrong: ground.wrong,
        }
    }

    /// A cold one in the place of this one.
    #[must_use]
    pub fn restarted(self, ground: &Ground) -> Self {
        Self::start(ground, self.function, &self.faults)
    }

    /// One invocation. Whoever gets [`Ended::Crashed`] throws the process away.
    pub async fn invoke(&mut self, call: &Call, death: Option<Death>) -> Ended {
        self.way.life.begin(death);
        self.way.invocation.store(self.way.watch.invocation(), Ordering::SeqCst);
        let life = Arc::clone(&self.way.life);
        match life.live(self.call(call)).await {
            None => Ended::Crashed,
            // It was to be killed at a call that it never made: then after its last one.
            Some(_) if death.is_some() => Ended::Crashed,
            Some(Ok(answer)) => Ended::Answered(answer),
            Some(Err(what)) => Ended::Error(what),
        }
    }

    async fn call(&mut self, call: &Call) -> Result<Value, String> {
        let context = &self.context;
        let now = context.ports.clock.now();
        let event = match call {
            Call::Stream(batch) => event::kinesis(batch),
            Call::Changes(batch) => event::changes(batch),
            Call::Wake(wake) => event::message(1, &serde_json::to_string(wake).map_err(|e| e.to_string())?, 1),
            Call::Tick => event::scheduled(now),
            Call::Object(name) => event::object_created(now, name),
            Call::Frame(_) | Call::Push(_) => Value::Null,
        };
        let never = Deadline::never();
        match (self.function, call) {
            (Function::Aggregate, Call::Stream(batch)) if wrong::replaces_aggregate(self.wrong) => {
                wrong::aggregate(context, self.wrong, &delivered(batch)).await.map_err(|fault| fault.to_string())?;
                Ok(Value::Null)
            }
            (Function::Aggregate, _) => {
                let bucket = &*context.ports.blobs;
                let failed = Prefixed(bucket);
                told(aggregate::event::answer(context, &failed, &self.pace, never, event).await)
            }
            (Function::Evaluate, _) => {
                told(evaluate_alerts::event::answer(context, &PlainWakes, &self.pace, never, event).await)
            }
            (Function::Broadcast, _) => {
                told(broadcast::event::answer(context, &mut self.broadcaster, never, event).await)
            }
            (Function::Ingest, Call::Frame(frame)) => {
                let (connection, frame) = &**frame;
                let sent = match frame {
                    AgentFrame::Heartbeat { epoch, counters } => {
                        pushing::heartbeat(&context.ports, connection, *epoch, counters).await
                    }
                    other => ingest::message(context, connection, other).await,
                };
                sent.map(|()| Value::Null).map_err(|fault| fault.to_string())
            }
            (Function::Ingest, Call::Push(push)) => {
                let pushed = pushing::graphite(context, &push.0, &push.1).await.map_err(|fault| fault.to_string())?;
                serde_json::to_value(pushed).map_err(|error| error.to_string())
            }
            (Function::Ingest, call) => Err(format!("ingest is not woken by {call:?}")),
        }
    }
}

fn told(answer: Result<Value, lambda::Failure>) -> Result<Value, String> {
    answer.map_err(|failure| failure.to_string())
}

/// The on-failure bucket: the memory ports have one store of objects, and this is a part of it.
struct Prefixed<'a>(&'a dyn Blobs);

#[async_trait]
impl Blobs for Prefixed<'_> {
    async fn put(&self, name: &str, bytes: bytes::Bytes) -> Result<(), PortError> {
        self.0.put(name, bytes).await
    }

    async fn get(&self, name: &str) -> Result<Option<bytes::Bytes>, PortError> {
        self.0.get(name).await
    }

    async fn delete(&self, name: &str) -> Result<(), PortError> {
        self.0.delete(name).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError> {
        self.0.list(&format!("aws/lambda/{prefix}")).await
    }
}

/// A batch as the pipeline reads it.
#[must_use]
pub fn delivered(batch: &Batch) -> Vec<Delivered> {
    let one = |record: &super::shards::Record| Delivered {
        shard: batch.shard_name.clone(),
        sequence: record.sequence.to_string(),
        arrived_at: record.arrived_at,
        data: record.data.clone(),
    };
    batch.records.iter().map(one).collect()
}

/// Whether a record can be read as far as its batch.
#[must_use]
pub fn is_readable(data: &bytes::Bytes) -> bool {
    StreamEnvelope::decode(data.clone())
        .is_ok_and(|envelope| envelope.batch().is_none_or(|(_, _, bytes)| pipeline::wire::Batch::decode(bytes).is_ok()))
}
