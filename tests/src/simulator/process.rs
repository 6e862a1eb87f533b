//! One function's warm process, and what wakes it. A crash ends the process: the next one remembers
//! nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use broadcast::Broadcaster;
use embedded::{Faults, faulty_ports};
use pipeline::connect::Connection;
use pipeline::http::Request;
use pipeline::keys::Caller;
use pipeline::wire::{AgentFrame, StreamEnvelope};
use pipeline::{Context, DAY_MS, Delivered, Fault, Settings, TenantId, Wake, ingest as pushing};
use ports::Ports;

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
    /// A pulse for every shard.
    Pulse,
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
    Answered(serde_json::Value),
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
    /// What is done wrong on purpose.
    pub wrong: Option<Wrong>,
}

/// A process.
pub struct Process {
    function: Function,
    context: Context,
    broadcaster: Broadcaster,
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
        let context = Context::new(ports, settings());
        let broadcaster = Broadcaster::default();
        Self { function, context, broadcaster, way, faults: Arc::clone(faults), wrong: ground.wrong }
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
            Some(Err(fault)) => Ended::Error(fault.to_string()),
        }
    }

    async fn call(&mut self, call: &Call) -> Result<serde_json::Value, Fault> {
        let context = &self.context;
        match (self.function, call) {
            (Function::Aggregate, Call::Stream(batch)) => {
                let records = delivered(batch);
                match self.wrong {
                    None | Some(Wrong::LastWriterAck) => aggregate::handle(context, &records).await?,
                    Some(how) => wrong::aggregate(context, how, &records).await?,
                }
            }
            (Function::Aggregate, Call::Tick) => aggregate::schedule(context).await?,
            (Function::Aggregate, Call::Object(name)) => {
                let blobs = Arc::clone(&context.ports.blobs);
                pipeline::aggregate::rejoin(context, &*blobs, name, event::records_of).await?;
            }
            (Function::Evaluate, Call::Stream(batch)) => evaluate_alerts::stream(context, &delivered(batch)).await?,
            (Function::Evaluate, Call::Changes(_)) => evaluate_alerts::changes(context, &TenantId::default()).await?,
            (Function::Evaluate, Call::Wake(wake)) => evaluate_alerts::wake(context, wake).await?,
            (Function::Evaluate, Call::Tick) => evaluate_alerts::tick(context).await?,
            (Function::Evaluate, Call::Pulse) => evaluate_alerts::pulse(context).await?,
            (Function::Broadcast, Call::Stream(batch)) => {
                broadcast::handle(context, &mut self.broadcaster, &delivered(batch)).await?;
            }
            (Function::Ingest, Call::Frame(frame)) => match &frame.1 {
                AgentFrame::Heartbeat { epoch, counters } => {
                    pushing::heartbeat(&context.ports, &frame.0, *epoch, counters).await?;
                }
                other => ingest::message(context, &frame.0, other).await?,
            },
            (Function::Ingest, Call::Push(push)) => {
                let pushed = pushing::graphite(context, &push.0, &push.1).await?;
                return Ok(serde_json::to_value(pushed).unwrap_or_default());
            }
            (function, call) => return Err(Fault::Internal(format!("{function:?} is not woken by {call:?}"))),
        }
        Ok(serde_json::Value::Null)
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
