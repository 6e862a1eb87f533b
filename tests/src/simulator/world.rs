//! One schedule: senders, a stream that is split and merged, mappings, functions that are killed,
//! ports that fail, and a clock that moves only between steps. Everything follows from the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use embedded::{Embedded, FaultRates, Faults, ManualClock, Memory, SeededRandom};
use futures_util::future::join_all;
use pipeline::documents::{self, Kind};
use pipeline::ingest::limits::Limits;
use pipeline::{Context, TenantId};
use ports::{Clock, Timestamp};

use super::agents::{Agent, Identity, Router};
use super::answer::{Outcome, outcome};
use super::event;
use super::happened::Happened;
use super::invariants;
use super::mapping::{Batch, Mapping, Settings};
use super::plan::{Plan, ROUTING, RULES, SPLIT_BETWEEN, STEP_MS};
use super::probe::{Death, Watch};
use super::process::{Call, Ended, Function, Ground, Process, settings};
use super::shards::Shards;
use super::truth::{Page, Transition};

/// The first part of a step: from the samples to the functions.
pub(super) const FLIGHT_MS: i64 = 3_000;
/// Functions that run at the same time, at most.
const JOBS_AT_ONCE_MAX: u64 = 3;
/// The call at which an invocation is killed is below this.
const DEATH_CALLS: u64 = 30;
/// Rounds until everything has settled once nothing goes wrong any more.
const SETTLE_ROUNDS_MAX: u64 = 40;
/// What such a round takes.
const SETTLE_MS: i64 = 17_000;
/// Rounds in which nothing is left to do before it is over: a claim that a crash has left lasts for a
/// minute, a retry for less.
const CALM_ROUNDS: u64 = 4;

/// Where a call came from, and so who is told how it ended.
pub(super) enum Origin {
    Aggregate(Batch),
    Evaluate(Batch),
    Changes(Batch),
    Broadcast(Batch),
    Timer(Box<embedded::Due>),
    Object(String),
    Push,
    Nobody,
}

pub(super) struct Job {
    function: Function,
    call: Call,
    origin: Origin,
}

/// A schedule as it runs.
pub struct World {
    pub(super) plan: Plan,
    pub(super) context: Context,
    pub(super) ground: Ground,
    pub(super) clock: Arc<ManualClock>,
    pub(super) stream: Shards,
    pub(super) agents: Vec<Agent>,
    pub(super) router: Router,
    pub(super) poison: Vec<(Bytes, &'static str)>,
    pub(super) happened: Happened,
    /// What lies in the on-failure bucket.
    pub(super) given_up: BTreeSet<Identity>,
    embedded: Embedded,
    changes: Shards,
    changes_read: u64,
    faults: Arc<Faults>,
    alert_faults: Arc<Faults>,
    idle: BTreeMap<Function, Vec<Process>>,
    aggregate: Mapping,
    evaluate: Mapping,
    changed: Mapping,
    broadcast: Mapping,
    objects: Vec<String>,
    objects_made: u64,
    pub(super) killers: BTreeSet<u128>,
    pub(super) random: SeededRandom,
    chaos: bool,
    step_now: u64,
}

/// Runs a plan. An error tells what did not hold.
pub async fn run(plan: Plan) -> Result<Happened, String> {
    let world = lived(plan).await?;
    Ok(invariants::sum(&world))
}

/// The same, for who wants to see more of it.
pub async fn lived(plan: Plan) -> Result<World, String> {
    let mut world = World::new(plan).await;
    world.chaos(true);
    // The first tick begins the chain of pulses.
    world.tick().await?;
    for step in 0..world.plan.steps {
        world.step(step).await?;
    }
    world.step_now = u64::MAX;
    world.chaos(false);
    world.settle().await?;
    invariants::at_the_end(&world).await?;
    world.compact().await?;
    invariants::after_compaction(&world).await?;
    Ok(world)
}

impl World {
    async fn new(plan: Plan) -> Self {
        let Memory { embedded, clock, .. } = Embedded::memory(plan.seed).unwrap();
        let stream = Shards::new(plan.shards, Arc::clone(&clock) as Arc<dyn Clock>);
        let changes = Shards::new(1, Arc::clone(&clock) as Arc<dyn Clock>);
        let mut ports = embedded.ports();
        ports.stream = Arc::new(stream.clone());
        let context = Context::new(ports.clone(), settings());
        let limits = Limits { split_series_min: plan.split_series_min, ..Limits::default() };
        let ground = Ground { ports, watch: Watch::new(), limits, wrong: plan.wrong };
        let files = [
            (Kind::Rules, "rules".to_owned(), RULES.to_owned()),
            (Kind::Alertmanager, "default".to_owned(), ROUTING.to_owned()),
        ];
        documents::put_all(&context.ports, &TenantId::default(), &files).await.unwrap();
        let mut agents = Vec::new();
        for number in 0..plan.agents {
            agents.push(Agent::new(&context, &embedded, number).await);
        }
        let router = Router::new(&context).await;
        let broadcast =
            Settings { retries: Some(1), record_age_ms: Some(60_000), on_failure: false, ..plan.evaluate.clone() };
        Self {
            aggregate: Mapping::new(plan.aggregate.clone()),
            evaluate: Mapping::new(plan.evaluate.clone()),
            changed: Mapping::new(Settings { parallel: 1, ..plan.evaluate.clone() }),
            broadcast: Mapping::new(broadcast),
            random: SeededRandom::new(plan.seed),
            faults: Faults::new(plan.seed, FaultRates::default()),
            alert_faults: Faults::new(plan.seed + 1, FaultRates::default()),
            plan,
            context,
            ground,
            clock,
            stream,
            agents,
            router,
            poison: Vec::new(),
            happened: Happened::default(),
            given_up: BTreeSet::new(),
            embedded,
            changes,
            changes_read: 0,
            idle: BTreeMap::new(),
            objects: Vec::new(),
            objects_made: 0,
            killers: BTreeSet::new(),
            chaos: false,
            step_now: 0,
        }
    }

    /// The pages that receivers took, each with its transition.
    #[must_use]
    pub fn pages(&self) -> Vec<(Page, Option<Transition>)> {
        let truth = self.ground.watch.truth();
        truth.pages.iter().map(|page| (page.clone(), truth.owed.get(&page.transition).cloned())).collect()
    }

    /// What happened.
    #[must_use]
    pub fn happened(&self) -> Happened {
        invariants::sum(self)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn faults_injected(&self) -> u64 {
        self.faults.injected() + self.alert_faults.injected()
    }

    pub(super) fn chaos(&mut self, on: bool) {
        self.chaos = on;
        let rates = if on { self.plan.rates } else { FaultRates::default() };
        self.faults.set_rates(rates);
        self.alert_faults.set_rates(if self.plan.calm_alerts { FaultRates::default() } else { rates });
        if !on {
            self.killers.clear();
        }
    }

    async fn step(&mut self, step: u64) -> Result<(), String> {
        let now = self.now();
        self.step_now = step;
        for agent in &mut self.agents {
            agent.collect(now, step, &mut self.random);
        }
        self.router.collect(now, &mut self.random);
        self.accidents();
        self.send().await;
        self.clock.advance_ms(FLIGHT_MS);
        for _ in 0..4 + self.random.below(4) {
            self.round().await?;
        }
        if step % 6 == 5 {
            self.tick().await?;
        }
        if self.random.chance(100) {
            invariants::proof(self).await?;
        }
        self.clock.advance_ms(STEP_MS - FLIGHT_MS);
        Ok(())
    }

    /// Every sender sends what waits, each in its order, until something is not taken.
    pub(super) async fn send(&mut self) {
        if let Some(push) = self.router.oldest() {
            self.work(vec![Job { origin: Origin::Push, ..job(Function::Ingest, Call::Push(Box::new(push))) }]).await;
        }
        for number in 0..self.agents.len() {
            while let Some((seq, connection, frame)) = self.agents[number].oldest() {
                self.work(vec![job(Function::Ingest, Call::Frame(Box::new((connection, frame))))]).await;
                let now = self.now();
                self.agents[number].hear(now);
                if self.agents[number].is_waiting_for(seq) {
                    break;
                }
            }
        }
    }

    /// Up to three functions at the same time, of those for which there is something.
    pub(super) async fn round(&mut self) -> Result<bool, String> {
        self.copy_changes().await?;
        let mut jobs = Vec::new();
        for _ in 0..1 + self.random.below(JOBS_AT_ONCE_MAX) {
            let first = self.random.below(6);
            if let Some(job) = self.any(first, &jobs).await? {
                jobs.push(job);
            }
        }
        let any = !jobs.is_empty();
        self.work(jobs).await;
        self.keep_given_up().await?;
        Ok(any)
    }

    /// Something to do, asked for from the `first` kind on.
    async fn any(&mut self, first: u64, taken: &[Job]) -> Result<Option<Job>, String> {
        let now = self.now();
        for offset in 0..6 {
            let found = match (first + offset) % 6 {
                0 => self
                    .aggregate
                    .next(&self.stream, now, &mut self.random)
                    .map(|batch| stream_job(Function::Aggregate, batch, Origin::Aggregate)),
                1 => self
                    .evaluate
                    .next(&self.stream, now, &mut self.random)
                    .map(|batch| stream_job(Function::Evaluate, batch, Origin::Evaluate)),
                2 => self.changed.next(&self.changes, now, &mut self.random).map(|batch| Job {
                    function: Function::Evaluate,
                    call: Call::Changes(batch.clone()),
                    origin: Origin::Changes(batch),
                }),
                3 => self
                    .broadcast
                    .next(&self.stream, now, &mut self.random)
                    .map(|batch| stream_job(Function::Broadcast, batch, Origin::Broadcast)),
                4 => self.timer(taken).await?,
                _ => self.object(taken),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn timer(&mut self, taken: &[Job]) -> Result<Option<Job>, String> {
        let due = self.embedded.timers().due(self.now()).await.map_err(|error| error.to_string())?;
        let running = |due: &embedded::Due| {
            taken.iter().any(|job| matches!(&job.origin, Origin::Timer(other) if other.wake == due.wake))
        };
        Ok(due.into_iter().find(|due| !running(due)).map(|due| Job {
            function: Function::Evaluate,
            call: Call::Wake(due.wake.clone()),
            origin: Origin::Timer(Box::new(due)),
        }))
    }

    fn object(&mut self, taken: &[Job]) -> Option<Job> {
        let running =
            |name: &String| taken.iter().any(|job| matches!(&job.origin, Origin::Object(other) if other == name));
        let name = self.objects.iter().find(|name| !running(name))?.clone();
        Some(Job { origin: Origin::Object(name.clone()), ..job(Function::Aggregate, Call::Object(name)) })
    }

    async fn tick(&mut self) -> Result<(), String> {
        self.work(vec![job(Function::Evaluate, Call::Tick), job(Function::Aggregate, Call::Tick)]).await;
        self.keep_given_up().await
    }

    /// The manifest's changes, as their stream has them.
    async fn copy_changes(&mut self) -> Result<(), String> {
        let new = self.embedded.changes().next(self.changes_read, 1_000).await.map_err(|error| error.to_string())?;
        for change in new {
            self.changes_read = change.sequence;
            self.changes.put_raw(&format!("manifest#{}", change.tenant), 0, change.sort.into_bytes().into());
        }
        Ok(())
    }

    /// Runs them at the same time and tells everybody what came of it.
    pub(super) async fn work(&mut self, jobs: Vec<Job>) {
        self.ground.watch.truth().now = self.now();
        if self.random.chance(self.plan.other_limits) {
            let mins = [0, SPLIT_BETWEEN, usize::MAX];
            self.ground.limits.split_series_min = mins[self.random.below(3) as usize];
        }
        let mut running = Vec::new();
        for job in jobs {
            let death = self.death(&job);
            let mut process = self.process(job.function);
            running.push(async move {
                let ended = process.invoke(&job.call, death).await;
                (job, process, ended)
            });
        }
        for (job, process, ended) in join_all(running).await {
            self.happened.invocations += 1;
            self.happened.crashes += u64::from(ended == Ended::Crashed);
            self.happened.errors += u64::from(matches!(ended, Ended::Error(_)));
            let process = if ended == Ended::Crashed { process.restarted(&self.ground) } else { process };
            self.idle.entry(job.function).or_default().push(process);
            self.tell(job.origin, &ended).await;
        }
    }

    fn process(&mut self, function: Function) -> Process {
        let idle = self.idle.entry(function).or_default().pop();
        let alerts = matches!(function, Function::Evaluate | Function::Ingest);
        let faults = if alerts { &self.alert_faults } else { &self.faults };
        idle.unwrap_or_else(|| Process::start(&self.ground, function, faults))
    }

    fn death(&mut self, job: &Job) -> Option<Death> {
        if job.function == Function::Aggregate && self.plan.aggregate_down.contains(&self.step_now) {
            return Some(Death { call: 0, after: false });
        }
        let killer = |batch: &Batch| batch.records.iter().any(|record| self.killers.contains(&record.sequence));
        let kills = match &job.origin {
            Origin::Aggregate(batch) => killer(batch),
            _ => false,
        };
        let alerts = matches!(job.function, Function::Evaluate | Function::Ingest);
        let spared = !self.chaos || (self.plan.calm_alerts && alerts);
        if kills || (!spared && self.random.chance(self.plan.kills)) {
            return Some(Death { call: self.random.below(DEATH_CALLS), after: self.random.chance(500) });
        }
        None
    }

    async fn tell(&mut self, origin: Origin, ended: &Ended) {
        let (now, random) = (self.now(), &mut self.random);
        match origin {
            Origin::Aggregate(batch) => {
                let outcome = judged(&batch, ended, &self.aggregate);
                self.aggregate.ended(batch, outcome, now, random);
            }
            Origin::Evaluate(batch) => {
                let outcome = judged(&batch, ended, &self.evaluate);
                self.evaluate.ended(batch, outcome, now, random);
            }
            Origin::Changes(batch) => {
                let outcome = judged(&batch, ended, &self.changed);
                self.changed.ended(batch, outcome, now, random);
            }
            Origin::Broadcast(batch) => {
                let outcome = judged(&batch, ended, &self.broadcast);
                self.broadcast.ended(batch, outcome, now, random);
            }
            // A queue gives a message again that was not deleted, and sometimes one that was.
            Origin::Timer(due) if took_all(ended) && !(self.chaos && random.chance(50)) => {
                self.embedded.timers().done(vec![*due]).await.unwrap();
            }
            Origin::Object(name) if took_all(ended) && !(self.chaos && random.chance(200)) => {
                self.objects.retain(|other| *other != name);
                self.happened.rejoined += 1;
                if self.objects.is_empty() {
                    self.given_up.clear();
                }
            }
            Origin::Push if took_all(ended) => self.router.taken(now),
            Origin::Timer(_) | Origin::Object(_) | Origin::Push | Origin::Nobody => {}
        }
    }

    /// What `aggregate`'s mapping gives up becomes an object of the on-failure bucket.
    pub(super) async fn keep_given_up(&mut self) -> Result<(), String> {
        for discarded in std::mem::take(&mut self.aggregate.discarded) {
            for record in &discarded.batch.records {
                self.given_up.extend(invariants::identities(&record.data));
            }
            self.objects_made += 1;
            let (name, bytes) = event::on_failure(&discarded, self.objects_made, self.now());
            let put = self.context.ports.blobs.put(&name, bytes.into()).await;
            put.map_err(|error| error.to_string())?;
            self.objects.push(name);
        }
        Ok(())
    }

    /// Nothing goes wrong any more: until everything is done, and every claim has ended.
    pub(super) async fn settle(&mut self) -> Result<(), String> {
        let mut calm_rounds = 0;
        for round in 0..SETTLE_ROUNDS_MAX {
            self.clock.advance_ms(SETTLE_MS);
            self.send().await;
            while self.router.oldest().is_some() {
                self.send().await;
            }
            self.clock.advance_ms(FLIGHT_MS);
            while self.round().await? {}
            if round % 2 == 0 {
                self.tick().await?;
                while self.round().await? {}
            }
            let done = self.agents.iter().all(|agent| agent.oldest().is_none()) && self.is_drained();
            calm_rounds = if done { calm_rounds + 1 } else { 0 };
            if calm_rounds > CALM_ROUNDS {
                return self.last_signs().await;
            }
        }
        let open = self.open_readers();
        Err(format!("not settled after {SETTLE_ROUNDS_MAX} rounds: {open:?}, objects {:?}", self.objects))
    }

    /// Whose records wait for longer than a batch may be gathered. (Pulses come all the time.)
    fn open_readers(&self) -> Vec<&'static str> {
        let until = self.now().plus_ms(-FLIGHT_MS);
        let readers = [
            ("aggregate", &self.aggregate, &self.stream),
            ("evaluate-alerts", &self.evaluate, &self.stream),
            ("broadcast", &self.broadcast, &self.stream),
            ("changes", &self.changed, &self.changes),
        ];
        let open = readers.into_iter().filter(|(_, mapping, stream)| !mapping.is_drained(stream, until));
        open.map(|(name, _, _)| name).collect()
    }

    fn is_drained(&self) -> bool {
        self.objects.is_empty() && self.open_readers().is_empty()
    }

    /// The agents' ledgers as they are in the end.
    async fn last_signs(&mut self) -> Result<(), String> {
        for number in 0..self.agents.len() {
            let frame = self.agents[number].heartbeat();
            self.work(vec![job(Function::Ingest, Call::Frame(Box::new(frame)))]).await;
        }
        self.clock.advance_ms(FLIGHT_MS);
        while self.round().await? {}
        Ok(())
    }
}

pub(super) fn job(function: Function, call: Call) -> Job {
    Job { function, call, origin: Origin::Nobody }
}

fn stream_job(function: Function, batch: Batch, origin: fn(Batch) -> Origin) -> Job {
    Job { function, call: Call::Stream(batch.clone()), origin: origin(batch) }
}

/// Whether a message or a request needs no second time.
fn took_all(ended: &Ended) -> bool {
    matches!(ended, Ended::Answered(answer) if lambda::partial::handed_back(answer) == 0)
}

fn judged(batch: &Batch, ended: &Ended, mapping: &Mapping) -> Outcome {
    match ended {
        Ended::Answered(answer) => outcome(answer, &batch.sequences(), mapping.settings.report_items),
        Ended::Error(_) | Ended::Crashed => Outcome::Failed,
    }
}
